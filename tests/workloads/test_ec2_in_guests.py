"""Scripts and VSS in guests of the demo account, whose Systems Manager runs what it is sent."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from server.adapters.clock import FakeClock
from server.domain.guest import Guest, Script, Scripts
from server.domain.scope import VolumeExclusions
from server.ports import GuestJob, GuestStep, Step
from server.workloads.ec2 import Ec2
from tests.demo_account import HOME, Site
from tests.workloads.conftest import Driver, Memo, Protected, protect

FREEZE, THAW = "/opt/freeze.sh", "/opt/thaw.sh"
LINUX = Guest(linux=Scripts(pre=Script(path=FREEZE, arguments="%instance% %moment%"), post=Script(path=THAW)))
WINDOWS = Guest(windows=Scripts(pre=Script(path=r"C:\Scripts\freeze.ps1", arguments="%policy%")))


def settings(site: Site, protected: Protected, **guest: Any) -> None:
    body = json.dumps({"agent": "online", **guest}).encode()
    site.account.control("POST", f"ssm/{protected.resource.aws_id}", body)


def commands(site: Site, protected: Protected) -> list[dict[str, Any]]:
    return list(site.account.control("GET", f"ssm/{protected.resource.aws_id}/commands"))


@pytest.fixture(scope="module")
def linux(built: Site, clock: FakeClock) -> Protected:
    return protect(built, Ec2(built.aws, clock), "shell", data_disks=0)


@pytest.fixture(scope="module")
def windows(built: Site, clock: FakeClock) -> Protected:
    image = built.register_image("windows-image", root="/dev/sda1", BillingProducts=["bp-6ba54002"])
    instance = built.launch("sql", data_disks=1, image=image)
    return protect(built, Ec2(built.aws, clock), instance=instance)


def run(ec2: Ec2, clock: FakeClock, protected: Protected, guest: Guest, **changes: Any) -> GuestStep:
    job = GuestJob(
        **{
            "place": HOME,
            "resource": protected.resource,
            "token": uuid4().hex,
            "policy_name": "Nightly's",
            "guest": guest,
            "moment": "pre",
            **changes,
        }
    )
    return ec2.guest(job, Driver(clock, lambda memo: ec2.guest(job, memo), twice=True).finish())


def snapshot(ec2: Ec2, clock: FakeClock, protected: Protected, **changes: Any) -> tuple[Memo, Step, str]:
    job = protected.job(**{"consistency": "application", **changes})
    last: list[Step] = []

    def step(memo: Memo) -> Step:
        last.append(ec2.snapshot(job, memo))
        return last[-1]

    return Driver(clock, step).finish(), last[-1], job.token


def test_a_linux_script_runs_with_its_arguments(site: Site, ec2: Ec2, clock: FakeClock, linux: Protected) -> None:
    settings(site, linux, scripts={FREEZE: {"exitCode": 0}})
    before = len(commands(site, linux))
    step = run(ec2, clock, linux, LINUX)
    assert (step.outcome, step.message) == ("done", f"The pre-snapshot script {FREEZE} ran.")
    (sent,) = commands(site, linux)[before:]
    assert any(f"{FREEZE} shell pre" in line for line in sent["Parameters"]["commands"])


def test_a_windows_script_runs_with_its_arguments(site: Site, ec2: Ec2, clock: FakeClock, windows: Protected) -> None:
    settings(site, windows, scripts={r"C:\Scripts\freeze.ps1": {"exitCode": 0}})
    assert run(ec2, clock, windows, WINDOWS).outcome == "done"
    assert any("'Nightly''s'" in line for line in commands(site, windows)[-1]["Parameters"]["commands"])


@pytest.mark.parametrize("platform", ["linux", "windows"])
def test_a_script_that_is_not_there_is_told_from_one_that_fails(
    site: Site, ec2: Ec2, clock: FakeClock, request: pytest.FixtureRequest, platform: str
) -> None:
    protected = request.getfixturevalue(platform)
    guest, path = (LINUX, FREEZE) if platform == "linux" else (WINDOWS, r"C:\Scripts\freeze.ps1")
    settings(site, protected, scripts={})
    missing = run(ec2, clock, protected, guest)
    assert missing.outcome == "failed"
    assert "does not exist" in missing.message
    settings(site, protected, scripts={path: {"exitCode": 4, "error": "database is busy"}})
    failed = run(ec2, clock, protected, guest)
    assert failed.outcome == "failed"
    assert "exit code 4. It said: database is busy" in failed.message


@pytest.mark.parametrize("agent", ["offline", "absent"])
def test_an_agent_that_does_not_answer_is_noticed(site: Site, ec2: Ec2, clock: FakeClock, linux: Protected, agent: str) -> None:
    settings(site, linux, agent=agent)
    assert run(ec2, clock, linux, LINUX).outcome == "failed"


@pytest.mark.parametrize("kind", ["lost_reply", "error500", "throttle"])
def test_trouble_with_ssm_runs_no_script_twice(site: Site, ec2: Ec2, clock: FakeClock, linux: Protected, kind: str) -> None:
    settings(site, linux, scripts={FREEZE: {"exitCode": 0}})
    before = len(commands(site, linux))
    site.account.fault("ssm:*", kind, times=None, probability=0.2)
    site.account.fault("ssm:SendCommand", kind, times=1)
    assert run(ec2, clock, linux, LINUX).outcome == "done"
    assert len(commands(site, linux)) == before + 1


def test_a_windows_guest_makes_consistent_snapshots(site: Site, ec2: Ec2, clock: FakeClock, windows: Protected) -> None:
    settings(site, windows, vss="ok")
    document, last, token = snapshot(ec2, clock, windows, tags={"Team": "db; x"})
    assert (document["consistency"], last.warnings) == ("application", ())
    assert sorted(site.of_task(token)["snapshots"]) == sorted(v["snapshotId"] for v in document["volumes"])
    for volume in document["volumes"]:
        assert site.account.hashes(volume["snapshotId"]) == site.account.hashes(volume["volumeId"])
        found = site.call("describe_snapshots", SnapshotIds=[volume["snapshotId"]])["Snapshots"][0]
        labels = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        assert (labels["AppConsistent"].lower(), labels["Team"], labels["holdfast:policy"]) == ("true", "db; x", "Nightly")


def test_a_storm_of_failures_makes_one_set_of_snapshots(site: Site, ec2: Ec2, clock: FakeClock, windows: Protected) -> None:
    settings(site, windows, vss="ok")
    before = len(commands(site, windows))
    for kind in ("throttle", "error500", "lost_reply"):
        for service in ("ec2", "ssm"):
            site.account.fault(f"{service}:*", kind, times=None, probability=0.1)
    job = windows.job(consistency="application")
    document = Driver(clock, lambda memo: ec2.snapshot(job, memo), twice=True).finish()
    site.account.reset()
    assert document["consistency"] == "application"
    assert len(commands(site, windows)) == before + 1
    assert len(site.of_task(job.token)["snapshots"]) == 2


def test_excluded_volumes_are_left_out_of_vss_too(site: Site, ec2: Ec2, clock: FakeClock, windows: Protected) -> None:
    settings(site, windows, vss="ok")
    for excluded, device in (({"system": True}, "/dev/sdf"), ({"volume_ids": (windows.volumes["/dev/sdf"],)}, "/dev/sda1")):
        document, _, token = snapshot(ec2, clock, windows, excluded=VolumeExclusions(**excluded))
        assert (document["consistency"], [v["device"] for v in document["volumes"]]) == ("application", [device])
        assert site.of_task(token)["snapshots"] == [document["volumes"][0]["snapshotId"]]


@pytest.mark.parametrize("fault", ["writers-fail", "not-installed", "partial"])
def test_when_vss_fails_the_snapshots_are_plain_and_nothing_else_stays(
    site: Site, ec2: Ec2, clock: FakeClock, windows: Protected, fault: str
) -> None:
    settings(site, windows, vss=fault)
    document, last, token = snapshot(ec2, clock, windows)
    assert document["consistency"] == "crash"
    assert "not application-consistent" in last.warnings[0]
    assert sorted(site.of_task(token)["snapshots"]) == sorted(v["snapshotId"] for v in document["volumes"])
