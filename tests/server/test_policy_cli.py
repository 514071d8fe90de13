"""``holdfast policy export | plan | apply`` as people and pipelines call it, on an appliance that runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RunningAppliance
from tests.server.test_cli import holdfast

NIGHTLY = """\
holdfast: 1
policies:
  - name: Nightly
    account: Home account
    regions: [eu-central-1]
    select: {tags: [env=prod]}
    schedule:
      timezone: Europe/Berlin
      daily:
        snapshot: {hours: [7, 19], keep: 7}
"""


@pytest.fixture
def environ(appliance: RunningAppliance) -> dict[str, str]:
    settings = appliance.settings
    return {
        "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.need_database_url(),
        "REDIS_URL": settings.need_redis_url(),
    }


def test_policies_as_code_from_nothing_to_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    file, copy = tmp_path / "policies.yaml", tmp_path / "copy.yaml"
    file.write_text(NIGHTLY)

    planned = holdfast("policy", "plan", str(file), **environ)
    assert planned.returncode == 3, planned.stderr
    assert "+ create policy Nightly" in planned.stdout
    assert "schedule.daily.snapshot.keep: 7" in planned.stdout

    rehearsed = holdfast("policy", "apply", "--dry-run", str(file), **environ)
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "Applied." not in rehearsed.stderr
    applied = holdfast("policy", "apply", str(file), **environ)
    assert (applied.returncode, applied.stderr.strip()) == (0, "Applied.")
    assert holdfast("policy", "plan", str(file), **environ).returncode == 0

    exported = holdfast("policy", "export", "--output", str(copy), **environ)
    assert exported.returncode == 0, exported.stderr
    assert holdfast("policy", "plan", str(copy), **environ).stdout.strip() == "Nothing to do: policies are as the file says."
    shown = json.loads(holdfast("policy", "export", "nightly", "--json", **environ).stdout)
    assert shown["policies"][0]["select"] == {"mode": "listed", "tags": ["env=prod"]}

    copy.write_text(copy.read_text().replace("keep: 7", "keep: 14"))
    changed = holdfast("policy", "plan", str(copy), **environ)
    assert "~ change policy Nightly\n    schedule.daily.snapshot.keep: 7 → 14\n" in changed.stdout

    file.write_text("holdfast: 1\npolicies: []\n")
    refused = holdfast("policy", "apply", "--prune", str(file), **environ)
    assert refused.returncode == 1, "nobody said yes"
    assert "- delete policy Nightly (its restore points stay)" in refused.stdout
    assert holdfast("policy", "apply", "--prune", "--yes", str(file), **environ).returncode == 0
    assert holdfast("policy", "plan", "--prune", str(file), **environ).returncode == 0


def test_mistakes_are_told_with_their_lines(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(
        NIGHTLY.replace("Home account", "Elsewhere").replace("hours: [7, 19]", "hours: [7, 25]") + "    retires: 3\n"
    )
    refused = holdfast("policy", "plan", str(file), **environ)
    assert refused.returncode == 1
    assert f"{file}:4: policies.0.account: There is no account 'Elsewhere'." in refused.stderr
    assert f"{file}:11: policies.0.retires: There is no field 'retires' here. Did you mean retries?" in refused.stderr
    assert "2 mistakes; nothing was changed." in refused.stderr

    file.write_text(NIGHTLY.replace("hours: [7, 19]", "hours: [7, 25]"))
    refused = holdfast("policy", "apply", str(file), **environ)
    assert f"{file}:10: policies.0.schedule.daily.snapshot.hours" in refused.stderr


def test_a_file_that_is_not_there_is_one_sentence() -> None:
    refused = holdfast("policy", "plan", "nowhere.yaml")
    assert refused.returncode == 1
    assert "nowhere.yaml cannot be read: No such file or directory." in refused.stderr
