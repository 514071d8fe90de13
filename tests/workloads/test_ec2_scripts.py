"""The text that starts a script in a guest: run by a real shell for Linux; its quoting taken apart for Windows."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.domain.guest import Script
from server.workloads.ec2 import scripts

VALUES = {
    "policy": "Nightly",
    "instance": "web 1",
    "instanceId": "i-1",
    "region": "eu-central-1",
    "moment": "pre",
    "backup": "no",
}
REPORT = """import json, os, sys
ours = {key: value for key, value in os.environ.items() if key.startswith("HOLDFAST_")}
print(json.dumps({"arguments": sys.argv[1:], "environment": ours}))
"""
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
NASTY = ["$(touch owned)", "`id`", "a;b", "a'b\"c", "-rf", "*", "\\", "&calc", "100%", "x|y>z", "a b  c", "'", "’"]


def shell(lines: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh"], input="\n".join(lines), capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}
    )


@pytest.fixture
def reporter(tmp_path: Path) -> Path:
    """A script that says what it was given."""
    (tmp_path / "report.py").write_text(REPORT)
    script = tmp_path / "with space's.sh"
    script.write_text(f'python3 {tmp_path / "report.py"} "$@"\n')
    return script


@pytest.mark.parametrize("executable", [True, False])
def test_a_script_gets_its_arguments_and_environment(reporter: Path, executable: bool) -> None:
    if executable:
        reporter.write_text("#!/bin/sh\n" + reporter.read_text())
        reporter.chmod(0o755)
    script = Script(path=str(reporter), arguments='--of %instance% "a b" $HOME %moment%-%backup%')
    ran = shell(scripts.linux(script, VALUES))
    said = json.loads(ran.stdout)
    assert said["arguments"] == ["--of", "web 1", "a b", "$HOME", "pre-no"]
    assert said["environment"] == {
        "HOLDFAST_POLICY": "Nightly",
        "HOLDFAST_INSTANCE": "web 1",
        "HOLDFAST_INSTANCE_ID": "i-1",
        "HOLDFAST_REGION": "eu-central-1",
        "HOLDFAST_MOMENT": "pre",
        "HOLDFAST_BACKUP": "no",
    }


@pytest.mark.parametrize("name", NASTY)
def test_a_name_reaches_a_linux_script_as_it_is(reporter: Path, name: str) -> None:
    ran = shell(scripts.linux(Script(path=str(reporter), arguments="%instance%"), {**VALUES, "instance": name}))
    said = json.loads(ran.stdout)
    assert (said["arguments"], said["environment"]["HOLDFAST_INSTANCE"]) == ([name], name)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=NAMES)
def test_any_name_does(reporter: Path, name: str) -> None:
    ran = shell(scripts.linux(Script(path=str(reporter), arguments="x%instance%"), {**VALUES, "instance": name}))
    assert json.loads(ran.stdout)["arguments"] == ["x" + name]


@pytest.mark.parametrize("code", [0, 1, 77])
def test_the_exit_code_is_the_scripts_own(tmp_path: Path, code: int) -> None:
    script = tmp_path / "end.sh"
    script.write_text(f"exit {code}\n")
    assert shell(scripts.linux(Script(path=str(script)), VALUES)).returncode == code


def test_a_missing_script_says_so_in_its_own_way(tmp_path: Path) -> None:
    for path in (tmp_path / "none.sh", tmp_path):
        ran = shell(scripts.linux(Script(path=str(path)), VALUES))
        assert (ran.returncode, ran.stdout.strip()) == (scripts.MISSING_CODE, scripts.MISSING_MARK)


# ---- Windows


def literals(line: str) -> list[str]:
    """The single-quoted literals of a PowerShell line, as PowerShell reads them."""
    found = re.findall("['‘’‚‛]((?:[^'‘’‚‛]|['‘’‚‛]{2})*)['‘’‚‛]", line)
    return [re.sub("(['‘’‚‛])['‘’‚‛]", r"\1", each) for each in found]


@pytest.mark.parametrize(
    ("path", "starts"),
    [
        (r"C:\S\a.ps1", "& powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File 'C:\\S\\a.ps1' 'x'"),
        (r"C:\S\a.VBS", "& cscript.exe //NoLogo 'C:\\S\\a.VBS' 'x'"),
        (r"C:\S\a.js", "& cscript.exe //NoLogo 'C:\\S\\a.js' 'x'"),
        (r"C:\S\a.wsf", "& cscript.exe //NoLogo 'C:\\S\\a.wsf' 'x'"),
        (r"C:\S\a.bat", "& 'C:\\S\\a.bat' 'x'"),
        (r"C:\S\a.cmd", "& 'C:\\S\\a.cmd' 'x'"),
        (r"C:\S\a.exe", "& 'C:\\S\\a.exe' 'x'"),
    ],
)
def test_every_kind_of_windows_script_is_started_by_what_reads_it(path: str, starts: str) -> None:
    lines = scripts.windows(Script(path=path, arguments="x"), VALUES)
    assert lines[-2:] == [starts, "exit $LASTEXITCODE"]
    assert f"Test-Path -LiteralPath '{path}'" in lines[-4]
    assert f"exit {scripts.MISSING_CODE}" in lines[-4]


@pytest.mark.parametrize("name", NASTY)
def test_what_a_windows_command_line_would_act_upon_is_replaced(name: str) -> None:
    lines = scripts.windows(Script(path=r"C:\a.bat", arguments="%instance%"), {**VALUES, "instance": name})
    (_, argument) = literals(lines[-2])
    assert argument == re.sub(r"[\"%^&|<>!`]", "_", name)
    assert not set(argument) & set('"%^&|<>!`')


@given(name=NAMES)
def test_no_name_leaves_its_literal(name: str) -> None:
    lines = scripts.windows(Script(path=r"C:\a.ps1", arguments="%instance%"), {**VALUES, "instance": name})
    assert len(literals(lines[-2])) == 2
    assert re.fullmatch(r"& powershell\.exe [A-Za-z -]+ '' ''", re.sub("'(?:[^'‘’‚‛]|['‘’‚‛]{2})*'", "''", lines[-2]))
