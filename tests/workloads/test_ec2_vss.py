"""Application-consistent snapshots: made by the guest when it can, plain ones with a warning when it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from server.adapters.aws_scripted import ScriptedAws
from server.adapters.clock import FakeClock
from server.domain.scope import VolumeExclusions
from server.domain.workload import Found
from server.ports import SnapshotJob, Step
from server.workloads.ec2 import Ec2
from tests.demo_account import HOME, REGION
from tests.workloads.conftest import Driver, Memo, resource_of
from tests.workloads.managed import Command, Managed

INSTANCE = {
    "InstanceId": "i-1",
    "State": {"Name": "running"},
    "Platform": "windows",
    "RootDeviceName": "/dev/sda1",
    "Tags": [{"Key": "Name", "Value": "sql"}],
}


def volume(name: str, device: str) -> dict[str, Any]:
    attached = [{"InstanceId": "i-1", "Device": device, "State": "attached"}]
    return {"VolumeId": name, "Size": 8, "Attachments": attached, "Tags": [{"Key": "Cost", "Value": name}]}


class Bed:
    """A Windows instance whose agent makes the snapshots it is asked for."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.consistent = True
        self.skipped: set[str] = set()  # volumes VSS makes no snapshot of
        self.guest = Managed(clock, runs=self._vss)
        self.aws = ScriptedAws(
            {
                ("ec2", "describe_instances"): {"Reservations": [{"Instances": [INSTANCE]}]},
                ("ec2", "describe_volumes"): {"Volumes": [volume("vol-root", "/dev/sda1"), volume("vol-data", "xvdf")]},
                ("ec2", "describe_snapshots"): lambda _: {"Snapshots": list(self.snapshots.values())},
                ("ec2", "create_snapshots"): self._create,
                ("ec2", "delete_snapshot"): self._delete,
                ("ec2", "create_tags"): self._tag,
            }
        )
        self.guest.into(self.aws)
        self.ec2 = Ec2(self.aws, clock)

    def job(self, **changes: Any) -> SnapshotJob:
        found = Found(aws_id="i-1", name="sql", region=REGION, tags={}, state="running", size_bytes=0, document={})
        values = {"place": HOME, "resource": resource_of(found), "token": "task-1", "policy_name": "Night; x=1"}
        return SnapshotJob(**{**values, "consistency": "application", **changes})

    def run(self, job: SnapshotJob, *, twice: bool = True) -> tuple[Memo, Step]:
        """The document and the last step."""
        last: list[Step] = []

        def step(memo: Memo) -> Step:
            last.append(self.ec2.snapshot(job, memo))
            return last[-1]

        document = Driver(self.clock, step, twice=twice).finish()
        return document, last[-1]

    def instance(self, **changes: Any) -> None:
        self.aws.answers["ec2", "describe_instances"] = {"Reservations": [{"Instances": [{**INSTANCE, **changes}]}]}

    def _vss(self, command: Command) -> None:
        parts = dict(pair.split(",Value=") for pair in command.parameters["tags"][0].replace("Key=", "").split(";"))
        for each in ("vol-root", "vol-data"):
            left_out = each == "vol-root" and command.parameters["ExcludeBootVolume"] == ["True"]
            if left_out or each in self.skipped:
                continue
            own = {**parts, "Device": "x", "Name": "", **({"AppConsistent": "true"} if self.consistent else {})}
            self._make(each, own)

    def _make(self, volume_id: str, labels: dict[str, str]) -> dict[str, Any]:
        name = f"snap-{len(self.snapshots)}-{volume_id}"
        tags = [{"Key": key, "Value": value} for key, value in labels.items()]
        started = self.clock.now().isoformat()
        self.snapshots[name] = {
            "SnapshotId": name,
            "VolumeId": volume_id,
            "State": "completed",
            "StartTime": started,
            "Tags": tags,
        }
        return self.snapshots[name]

    def _create(self, params: dict[str, Any]) -> dict[str, Any]:
        labels = {tag["Key"]: tag["Value"] for tag in params["TagSpecifications"][0]["Tags"]}
        return {"Snapshots": [self._make(each, labels) for each in ("vol-root", "vol-data")]}

    def _delete(self, params: dict[str, Any]) -> dict[str, Any]:
        self.snapshots.pop(params["SnapshotId"], None)
        return {}

    def _tag(self, params: dict[str, Any]) -> dict[str, Any]:
        for name in params["Resources"]:
            held = {tag["Key"]: tag for tag in self.snapshots[name]["Tags"]}
            self.snapshots[name]["Tags"] = list({**held, **{tag["Key"]: tag for tag in params["Tags"]}}.values())
        return {}


@pytest.fixture
def bed(clock: FakeClock) -> Bed:
    return Bed(clock)


def test_a_windows_guest_makes_its_own_snapshots(bed: Bed) -> None:
    document, last = bed.run(bed.job())
    assert (document["consistency"], last.warnings) == ("application", ())
    assert {v["snapshotId"] for v in document["volumes"]} == set(bed.snapshots)
    assert not bed.aws.called("create_snapshots")
    (command,) = bed.guest.commands
    assert command.document == "AWSEC2-CreateVssSnapshot"
    assert command.parameters["CopyOnly"] == ["True"]
    assert command.parameters["ExcludeBootVolume"] == ["False"]
    assert command.parameters["tags"] == ["Key=holdfast:task,Value=task-1;Key=holdfast:consistency,Value=application"]


def test_what_the_guest_made_gets_all_tags_a_plain_snapshot_has(bed: Bed) -> None:
    document, _ = bed.run(bed.job(tags={"Team": "db"}))
    data = next(v["snapshotId"] for v in document["volumes"] if v["volumeId"] == "vol-data")
    found = {tag["Key"]: tag["Value"] for tag in bed.snapshots[data]["Tags"]}
    assert (found["holdfast:policy"], found["holdfast:resource"], found["Name"]) == ("Night; x=1", "i-1", "sql")
    assert (found["Team"], found["Cost"], found["AppConsistent"]) == ("db", "vol-data", "true")


def test_the_system_disk_can_be_left_out(bed: Bed) -> None:
    document, _ = bed.run(bed.job(excluded=VolumeExclusions(system=True)))
    assert bed.guest.commands[0].parameters["ExcludeBootVolume"] == ["True"]
    assert [v["volumeId"] for v in document["volumes"]] == ["vol-data"]
    assert len(bed.snapshots) == 1


def test_another_excluded_volumes_snapshot_is_deleted_as_vss_cannot_leave_it_out(bed: Bed) -> None:
    document, last = bed.run(bed.job(excluded=VolumeExclusions(volume_ids=("vol-data",))))
    assert (document["consistency"], last.warnings) == ("application", ())
    assert [v["volumeId"] for v in document["volumes"]] == ["vol-root"]
    assert list(bed.snapshots) == [document["volumes"][0]["snapshotId"]]


@pytest.mark.parametrize("changes", [{"Platform": None}, {"State": {"Name": "stopped"}}])
def test_where_vss_would_change_nothing_there_is_no_warning(bed: Bed, changes: dict[str, Any]) -> None:
    bed.instance(**changes)
    document, last = bed.run(bed.job())
    assert (document["consistency"], last.warnings) == ("crash", ())
    assert not bed.guest.commands


def test_a_policy_that_does_not_ask_for_it_sends_nothing(bed: Bed) -> None:
    document, _ = bed.run(bed.job(consistency="crash"))
    assert document["consistency"] == "crash"
    assert not bed.guest.commands


@pytest.mark.parametrize(("ping", "words"), [(None, "not managed"), ("ConnectionLost", "does not answer")])
def test_a_guest_out_of_reach_gets_plain_snapshots_and_a_warning(bed: Bed, ping: str | None, words: str) -> None:
    bed.guest.ping = ping
    document, last = bed.run(bed.job())
    assert document["consistency"] == "crash"
    assert len(document["volumes"]) == 2
    (warning,) = last.warnings
    assert "not application-consistent" in warning
    assert words in warning


FAILURES: list[tuple[dict[str, Any], str]] = [
    ({"Status": "Failed", "ResponseCode": 1, "StandardErrorContent": "VSS writer SqlServerWriter failed"}, "SqlServerWriter"),
    ({"Status": "Failed", "ResponseCode": 1, "StandardOutputContent": "AwsVssComponents is not installed"}, "not installed"),
    ({"Status": "TimedOut", "StatusDetails": "Execution Timed Out"}, "within 600 s"),
    ({"Status": "TimedOut", "StatusDetails": "Delivery Timed Out"}, "did not take it"),
    ({"Status": "Cancelled", "StatusDetails": "Cancelled"}, "cancelled"),
]


@pytest.mark.parametrize(("ends", "words"), FAILURES)
def test_when_vss_fails_plain_snapshots_are_made_and_its_own_are_deleted(bed: Bed, ends: dict[str, Any], words: str) -> None:
    bed.guest.ends, bed.consistent = ends, False
    document, last = bed.run(bed.job())
    assert document["consistency"] == "crash"
    assert words in last.warnings[0]
    assert set(bed.snapshots) == {v["snapshotId"] for v in document["volumes"]}
    assert len(bed.guest.commands) == 1
    assert len(bed.aws.called("create_snapshots")) == 1


@pytest.mark.parametrize("fault", ["inconsistent", "incomplete"])
def test_a_success_without_consistent_snapshots_of_all_volumes_is_none(bed: Bed, fault: str) -> None:
    if fault == "inconsistent":
        bed.consistent = False
    else:
        bed.skipped = {"vol-data"}
    document, last = bed.run(bed.job())
    assert document["consistency"] == "crash"
    assert "VSS made no consistent snapshot of" in last.warnings[0]
    assert set(bed.snapshots) == {v["snapshotId"] for v in document["volumes"]}


def test_a_lost_answer_freezes_the_guest_only_once(bed: Bed) -> None:
    bed.guest.lose_answers = 1
    document, _ = bed.run(bed.job(), twice=False)
    assert document["consistency"] == "application"
    assert len(bed.guest.commands) == 1
    assert len(bed.snapshots) == 2


def test_a_vss_that_never_ends_is_cancelled(bed: Bed) -> None:
    bed.guest.polls, bed.consistent = 10**6, False
    document, last = bed.run(bed.job(), twice=False)
    assert bed.guest.commands[0].cancelled
    assert "was cancelled" in last.warnings[0]
    assert document["consistency"] == "crash"
