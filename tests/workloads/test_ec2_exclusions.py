"""Volumes a policy leaves out, tags it adds, and snapshots made by hand."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from server.adapters.aws_scripted import ScriptedAws
from server.adapters.clock import FakeClock
from server.domain.errors import AwsRejected, LegImpossible
from server.domain.scope import TagMatch, VolumeExclusions
from server.domain.workload import Place
from server.ports import ManualJob, SnapshotJob
from server.workloads.ec2 import Ec2, exclusions
from tests.demo_account import HOME, Site
from tests.workloads.conftest import Driver, Memo, Protected, instance_options, protect, restore_job

ROOT, FIRST, SECOND = "/dev/xvda", "/dev/sdf", "/dev/sdg"
FAR = Place(HOME.account_id, None, None, "eu-west-1")


def made(ec2: Ec2, clock: FakeClock, job: SnapshotJob) -> Memo:
    return Driver(clock, lambda memo: ec2.snapshot(job, memo), twice=True).finish()


def devices(document: Memo) -> list[str]:
    return [v["device"] for v in document["volumes"]]


def tags_of(site: Site, snapshot_id: str, place: Place = HOME) -> dict[str, str]:
    found = site.aws.call(place, "ec2", "describe_snapshots", SnapshotIds=[snapshot_id])["Snapshots"][0]
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


# ---- exclusions


@pytest.mark.parametrize(
    ("excluded", "left"),
    [
        ({"system": True}, [FIRST, SECOND]),
        ({"ids": [FIRST]}, [SECOND, ROOT]),
        ({"ids": [ROOT]}, [FIRST, SECOND]),
        ({"tags": [TagMatch(key="Scratch")]}, [FIRST, ROOT]),
        ({"tags": [TagMatch(key="Scratch", value="no")]}, [FIRST, SECOND, ROOT]),
        ({"system": True, "ids": [FIRST], "tags": [TagMatch(key="other")]}, [SECOND]),
    ],
)
def test_excluded_volumes_are_not_snapshotted(
    site: Site, ec2: Ec2, web: Protected, clock: FakeClock, excluded: dict[str, Any], left: list[str]
) -> None:
    site.call("create_tags", Resources=[web.volumes[SECOND]], Tags=[{"Key": "Scratch", "Value": "yes"}])
    out = VolumeExclusions(
        system=excluded.get("system", False),
        volume_ids=tuple(web.volumes[device] for device in excluded.get("ids", ())),
        tags=tuple(excluded.get("tags", ())),
    )
    job = web.job(excluded=out)
    document = made(ec2, clock, job)
    assert devices(document) == left
    assert set(document["leftOut"]) == set(web.volumes.values()) - {v["volumeId"] for v in document["volumes"]}
    assert sorted(site.of_task(job.token)["snapshots"]) == sorted(v["snapshotId"] for v in document["volumes"])


def test_excluding_every_volume_is_impossible_and_makes_nothing(site: Site, ec2: Ec2, web: Protected) -> None:
    job = web.job(excluded=VolumeExclusions(volume_ids=tuple(web.volumes.values())))
    with pytest.raises(LegImpossible, match="excludes every volume of web-1"):
        ec2.snapshot(job, {})
    assert not site.of_task(job.token)["snapshots"]


def test_an_excluded_volume_attached_at_the_last_moment_leaves_no_snapshot(site: Site, ec2: Ec2, clock: FakeClock) -> None:
    protected = protect(site, ec2, "late-scratch", data_disks=1)
    job = protected.job(excluded=VolumeExclusions(tags=(TagMatch(key="Name", value="scratch"),)))
    memo = ec2.snapshot(job, {}).memo
    site.attach_disk(protected.resource.aws_id, SECOND, name="scratch")
    document = Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish(memo)
    assert devices(document) == [FIRST, ROOT]
    assert len(site.of_task(job.token)["snapshots"]) == 2


def test_an_excluded_volume_detached_at_the_last_moment_does_not_stop_the_others(
    site: Site, ec2: Ec2, clock: FakeClock
) -> None:
    protected = protect(site, ec2, "less-scratch", data_disks=2)
    job = protected.job(excluded=VolumeExclusions(volume_ids=(protected.volumes[SECOND],)))
    memo = ec2.snapshot(job, {}).memo
    site.detach(protected.volumes[SECOND])
    document = Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish(memo)
    assert devices(document) == [FIRST, ROOT]


def test_when_aws_refuses_an_exclusion_of_a_detached_volume_the_plan_is_made_anew(web: Protected, clock: FakeClock) -> None:
    aws = scripted(web, [])
    create = aws.answers["ec2", "create_snapshots"]
    (kept,) = aws.call(HOME, "ec2", "describe_volumes")["Volumes"]
    scratch = {**kept, "VolumeId": "vol-2", "Attachments": [{**kept["Attachments"][0], "Device": FIRST}]}
    aws.answers["ec2", "describe_volumes"] = {"Volumes": [kept, scratch]}

    def refuse(params: dict[str, Any]) -> dict[str, Any]:
        if params["InstanceSpecification"].get("ExcludeDataVolumeIds"):
            aws.answers["ec2", "describe_volumes"] = {"Volumes": [kept]}
            raise AwsRejected("vol-2 is not attached", aws_code="InvalidParameterValue")
        assert callable(create)
        return create(params)

    aws.answers["ec2", "create_snapshots"] = refuse
    job = web.job(excluded=VolumeExclusions(volume_ids=("vol-2",)))
    ec2 = Ec2(aws, clock)
    document = Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()
    assert [v["volumeId"] for v in document["volumes"]] == ["vol-1"]


def test_any_other_refusal_with_exclusions_is_passed_on(web: Protected, clock: FakeClock) -> None:
    aws = scripted(web, [])
    aws.answers["ec2", "create_snapshots"] = AwsRejected("no", aws_code="InvalidParameterValue")
    (kept,) = aws.call(HOME, "ec2", "describe_volumes")["Volumes"]
    scratch = {**kept, "VolumeId": "vol-2", "Attachments": [{**kept["Attachments"][0], "Device": FIRST}]}
    aws.answers["ec2", "describe_volumes"] = {"Volumes": [kept, scratch]}
    job = web.job(excluded=VolumeExclusions(volume_ids=("vol-2",)))
    ec2 = Ec2(aws, clock)
    with pytest.raises(AwsRejected, match="no"):
        Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()


def test_aws_leaves_out_no_more_than_forty_volumes() -> None:
    volumes = [{"volumeId": f"vol-{n}", "device": f"/dev/{n}", "tags": {}} for n in range(42)]
    document = {"instance": {"instanceId": "i-1", "name": "db", "rootDeviceName": "/dev/0"}, "volumes": volumes}
    asked = exclusions.specification(document, frozenset(f"vol-{n}" for n in range(41)))
    assert asked["ExcludeBootVolume"]
    assert len(asked["ExcludeDataVolumeIds"]) == 40
    with pytest.raises(AwsRejected, match="excludes 41 data volumes of db"):
        exclusions.specification(document, frozenset(f"vol-{n}" for n in range(1, 42)))


def test_nothing_excluded_asks_for_everything() -> None:
    document = {"instance": {"instanceId": "i-1", "name": "db", "rootDeviceName": "/dev/0"}, "volumes": []}
    assert exclusions.specification(document, frozenset()) == {"InstanceId": "i-1", "ExcludeBootVolume": False}


def test_a_point_without_its_system_disk_is_restored_as_volumes_only(
    site: Site, ec2: Ec2, web: Protected, clock: FakeClock
) -> None:
    document = made(ec2, clock, web.job(excluded=VolumeExclusions(system=True)))
    job = restore_job(document, ec2)
    with pytest.raises(AwsRejected, match="does not hold its system disk /dev/xvda"):
        ec2.restore_instance(job, instance_options(), {})
    assert site.of_task(job.token)["volumes"] == []


# ---- tags


def test_a_policys_own_tags_are_set_at_creation_and_win_over_the_volumes(
    site: Site, ec2: Ec2, web: Protected, clock: FakeClock
) -> None:
    site.call(
        "create_tags", Resources=[web.volumes[FIRST]], Tags=[{"Key": "Team", "Value": "disks"}, {"Key": "Kind", "Value": "x"}]
    )
    job = web.job(tags={"Team": "storage", "Name": "nightly", "holdfast:task": "forged"})
    document = made(ec2, clock, job)
    snapshot = next(v["snapshotId"] for v in document["volumes"] if v["device"] == FIRST)
    found = tags_of(site, snapshot)
    assert (found["Team"], found["Kind"], found["Name"]) == ("storage", "x", "nightly")
    assert found["holdfast:task"] == job.token


def scripted(web: Protected, order: list[tuple[str, set[str]]]) -> ScriptedAws:
    """An AWS that notes which tags are set by which call."""
    volume = {"VolumeId": "vol-1", "Size": 1, "Tags": [{"Key": "Cost", "Value": "1"}]}
    volume["Attachments"] = [{"InstanceId": web.resource.aws_id, "Device": ROOT}]
    instance = {"InstanceId": web.resource.aws_id, "State": {"Name": "running"}, "RootDeviceName": ROOT}
    snapshot: dict[str, Any] = {"SnapshotId": "snap-1", "VolumeId": "vol-1", "State": "completed", "StartTime": "2026-11-22"}

    def create(params: dict[str, Any]) -> dict[str, Any]:
        snapshot["Tags"] = params["TagSpecifications"][0]["Tags"]
        order.append(("create", {tag["Key"] for tag in snapshot["Tags"]}))
        return {"Snapshots": [snapshot]}

    def tag(params: dict[str, Any]) -> dict[str, Any]:
        snapshot["Tags"] = [*snapshot["Tags"], *params["Tags"]]
        order.append(("tag", {tag["Key"] for tag in params["Tags"]}))
        return {}

    return ScriptedAws(
        {
            ("ec2", "describe_instances"): {"Reservations": [{"Instances": [instance]}]},
            ("ec2", "describe_volumes"): {"Volumes": [volume]},
            ("ec2", "describe_snapshots"): lambda _: {"Snapshots": [snapshot] if "Tags" in snapshot else []},
            ("ec2", "create_snapshots"): create,
            ("ec2", "create_tags"): tag,
        }
    )


MARKS = {"holdfast:task", "holdfast:policy", "holdfast:resource", "Name"}


def test_a_policys_snapshot_is_created_with_all_its_tags(web: Protected, clock: FakeClock) -> None:
    order: list[tuple[str, set[str]]] = []
    ec2 = Ec2(scripted(web, order), clock)
    job = web.job(tags={"Team": "storage"})
    Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()
    assert order == [("create", {*MARKS, "Team"}), ("tag", {"Cost"})]


def test_a_manual_snapshot_gets_our_marks_then_the_custom_tags_then_the_volumes(web: Protected, clock: FakeClock) -> None:
    order: list[tuple[str, set[str]]] = []
    ec2 = Ec2(scripted(web, order), clock)
    job = ManualJob(snapshot=web.job(tags={"Team": "storage"}))
    Driver(clock, lambda memo: ec2.manual_snapshot(job, memo)).finish()
    assert order == [("create", MARKS), ("tag", {"Team"}), ("tag", {"Cost"})]


# ---- manual snapshots


def test_a_manual_snapshot_stays_where_the_instance_is(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = ManualJob(snapshot=web.job())
    document = Driver(clock, lambda memo: ec2.manual_snapshot(job, memo), twice=True).finish()
    assert sorted(site.of_task(job.snapshot.token)["snapshots"]) == sorted(v["snapshotId"] for v in document["volumes"])


def test_a_manual_snapshot_kept_elsewhere_leaves_nothing_at_home(
    site: Site, ec2: Ec2, web: Protected, clock: FakeClock
) -> None:
    key = site.aws.call(FAR, "kms", "create_key", Description="kept")["KeyMetadata"]["Arn"]
    job = ManualJob(snapshot=web.job(tags={"Why": "audit"}), target=FAR, kms_key=key)
    driver = Driver(clock, lambda memo: ec2.manual_snapshot(job, memo), twice=True)
    document = driver.finish()
    assert site.of_task(job.snapshot.token)["snapshots"] == []
    for volume in document["volumes"]:
        assert volume["kmsKeyId"] == key
        assert tags_of(site, volume["snapshotId"], FAR)["Why"] == "audit"
        assert site.account.hashes(volume["snapshotId"]) == site.account.hashes(volume["volumeId"])
    again = Driver(clock, lambda memo: ec2.manual_snapshot(job, memo)).finish(driver.memos[-1])
    assert again == document


def test_an_abandoned_manual_snapshot_leaves_nothing_anywhere(site: Site, ec2: Ec2, web: Protected) -> None:
    job = ManualJob(snapshot=web.job(token=uuid4().hex), target=FAR)
    memo: Memo = {}
    while memo.get("inner", {}).get("phase") != "wait" or memo["stage"] != "copy":
        memo = ec2.manual_snapshot(job, memo).memo
    ec2.abandon_manual(job)
    filters = [{"Name": "tag:holdfast:task", "Values": [job.snapshot.token, f"{job.snapshot.token}-copy"]}]
    for place in (HOME, FAR):
        assert site.aws.call(place, "ec2", "describe_snapshots", Filters=filters)["Snapshots"] == []
