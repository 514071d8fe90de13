"""How a script in a guest is started: the text SSM's shell documents run there.

Words that come from elsewhere (names of instances and policies) reach the script as they are, or with the characters replaced
that a Windows command line would take for its own; nothing in them is ever run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

from server.domain.guest import Script, extension, filled, words

MISSING_CODE: Final = 213  # the exit code that, with the mark on its output, says that the script is not there
MISSING_MARK: Final = "holdfast: the script does not exist"
LINUX_DOCUMENT: Final = "AWS-RunShellScript"
WINDOWS_DOCUMENT: Final = "AWS-RunPowerShellScript"
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
_WINDOWS_SYNTAX: Final = re.compile(r"[\x00-\x1f\x7f\"%^&|<>!`]")  # what cmd.exe acts upon, even inside quotes
_STARTED_WITH: Final[Mapping[str, str]] = {
    "ps1": "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File ",
    "vbs": "cscript.exe //NoLogo ",
    "js": "cscript.exe //NoLogo ",
    "wsf": "cscript.exe //NoLogo ",
}


def linux(script: Script, values: Mapping[str, str]) -> list[str]:
    """Lines for ``AWS-RunShellScript``. A script that may be executed is, so its first line chooses the shell."""
    clean = {key: _UNPRINTABLE.sub("_", value) for key, value in values.items()}
    path = shlex.quote(script.path)
    arguments = "".join(f" {shlex.quote(filled(word, clean))}" for word in words(script.arguments))
    exports = [f"export {_environment(key)}={shlex.quote(value)}" for key, value in clean.items()]
    return [
        *exports,
        f"if [ ! -f {path} ]; then echo '{MISSING_MARK}'; exit {MISSING_CODE}; fi",
        f"if [ -x {path} ]; then {path}{arguments}; else sh {path}{arguments}; fi",
    ]


def windows(script: Script, values: Mapping[str, str]) -> list[str]:
    """Lines for ``AWS-RunPowerShellScript``, whichever kind of script it is."""
    clean = {key: _WINDOWS_SYNTAX.sub("_", value) for key, value in values.items()}
    path = _powershell(script.path)
    arguments = "".join(f" {_powershell(filled(word, clean))}" for word in words(script.arguments))
    exports = [f"$env:{_environment(key)} = {_powershell(value)}" for key, value in clean.items()]
    return [
        *exports,
        f"if (-not (Test-Path -LiteralPath {path} -PathType Leaf)) {{ Write-Output '{MISSING_MARK}'; exit {MISSING_CODE} }}",
        "$global:LASTEXITCODE = 0",
        f"& {_STARTED_WITH.get(extension(script.path), '')}{path}{arguments}",
        "exit $LASTEXITCODE",
    ]


def _powershell(word: str) -> str:
    """A literal. PowerShell also takes the typographic quotes for the end of one."""
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", word) + "'"


def _environment(key: str) -> str:
    """``instanceId`` → ``HOLDFAST_INSTANCE_ID``."""
    return "HOLDFAST_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).upper()
