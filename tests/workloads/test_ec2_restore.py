"""EC2 restores against the demo account: volumes and instances, also when steps are repeated and answers are lost."""

from __future__ import annotations

from typing import Any

import pytest

from server.adapters.clock import FakeClock
from server.domain.errors import AwsNotFound, AwsRejected
from server.ports import RestoreJob
from server.workloads.ec2 import Ec2
from server.workloads.ec2.instance import PHASES
from tests.demo_account import HOME, REGION, Site
from tests.workloads.conftest import (
    Driver,
    Memo,
    Protected,
    instance_options,
    restore_job,
    volume_options,
)


def tags_of(found: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


# ---- restoring volumes


def test_restored_volumes_hold_the_same_bytes(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = restore_job(document, ec2)
    options = volume_options(zone=f"{REGION}b")
    memo = Driver(clock, lambda memo: ec2.restore_volumes(job, options, memo)).finish()
    assert {v["diskId"] for v in memo["volumes"]} == {v["volumeId"] for v in document["volumes"]}
    for restored in memo["volumes"]:
        assert site.account.hashes(restored["volumeId"]) == site.account.hashes(restored["diskId"]) != {}
        assert site.volume(restored["volumeId"])["AvailabilityZone"] == f"{REGION}b"


def test_a_restored_volume_keeps_type_speed_and_tags(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    disk = document["volumes"][0]
    job = restore_job(document, ec2)
    options = volume_options(disks=(disk["volumeId"],))
    memo = Driver(clock, lambda memo: ec2.restore_volumes(job, options, memo)).finish()
    (restored,) = memo["volumes"]
    volume = site.volume(restored["volumeId"])
    assert (volume["VolumeType"], volume["Iops"], volume["Throughput"]) == ("gp3", 4000, 200)
    assert tags_of(volume)["Name"] == "web-1-data0-restored"
    assert tags_of(volume)["holdfast:restored-from"] == disk["volumeId"]


def test_another_volume_type_can_be_chosen(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = restore_job(document, ec2)
    options = volume_options(volume_type="gp2")
    memo = Driver(clock, lambda memo: ec2.restore_volumes(job, options, memo)).finish()
    assert {site.volume(v["volumeId"])["VolumeType"] for v in memo["volumes"]} == {"gp2"}


def test_repeated_volume_restore_steps_make_no_second_volume(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = restore_job(document, ec2)
    driver = Driver(clock, lambda memo: ec2.restore_volumes(job, volume_options(), memo), twice=True)
    memo = driver.finish()
    for older in driver.memos:
        again = Driver(clock, lambda memo: ec2.restore_volumes(job, volume_options(), memo)).finish(older)
        assert again["volumes"] == memo["volumes"]
    assert len(site.of_task(job.token)["volumes"]) == 3


def test_a_lost_answer_makes_no_second_volume(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    site.account.fault("ec2:CreateVolume", "lost_reply", times=2)
    job = restore_job(document, ec2)
    Driver(clock, lambda memo: ec2.restore_volumes(job, volume_options(), memo)).finish()
    assert len(site.of_task(job.token)["volumes"]) == 3


def test_an_unknown_zone_names_the_known_ones(ec2: Ec2, document: Memo) -> None:
    with pytest.raises(AwsNotFound) as caught:
        ec2.restore_volumes(restore_job(document, ec2), volume_options(zone="eu-central-1z"), {})
    assert f"{REGION}a" in (caught.value.remedy or "")


def test_an_unknown_disk_names_the_known_ones(ec2: Ec2, document: Memo) -> None:
    with pytest.raises(AwsNotFound) as caught:
        ec2.restore_volumes(restore_job(document, ec2), volume_options(disks=("vol-77",)), {})
    assert document["volumes"][0]["volumeId"] in (caught.value.remedy or "")


def test_a_point_whose_snapshot_was_deleted_says_so(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = web.job()
    document = Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()
    ec2.delete_snapshot(HOME, document)
    restore = restore_job(document, ec2)
    with pytest.raises(AwsNotFound, match="no longer exists"):
        Driver(clock, lambda memo: ec2.restore_volumes(restore, volume_options(), memo)).finish()


def test_an_upload_not_yet_completed_is_waited_for(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = web.job()
    driver = Driver(clock, lambda memo: ec2.snapshot(job, memo))
    pending = driver.step(driver.step({}).memo).memo
    restore = restore_job(pending, ec2)
    memo = Driver(clock, lambda memo: ec2.restore_volumes(restore, volume_options(), memo)).finish()
    assert len(memo["volumes"]) == 3


# ---- restoring an instance


def check_restored(site: Site, document: Memo, memo: Memo, job: RestoreJob) -> None:
    """One instance, exactly the restored disks at their devices with the same bytes, and nothing else."""
    devices = {v["device"]: v["volumeId"] for v in document["volumes"]}
    restored = site.volumes_of(memo["instanceId"])
    assert restored.keys() == devices.keys()
    for device, volume in restored.items():
        assert site.account.hashes(volume) == site.account.hashes(devices[device])
    left = site.of_task(job.token)
    assert left["instances"] == [memo["instanceId"]]
    assert sorted(left["volumes"]) == sorted(restored.values())
    assert left["snapshots"] == []


def test_an_instance_comes_back_with_its_disks_and_settings(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = restore_job(document, ec2)
    driver = Driver(clock, lambda memo: ec2.restore_instance(job, instance_options(), memo))
    memo = driver.finish()
    check_restored(site, document, memo, job)
    instance = site.call("describe_instances", InstanceIds=[memo["instanceId"]])["Reservations"][0]["Instances"][0]
    assert instance["State"]["Name"] == "running"
    assert instance["InstanceType"] == "t3.small"
    assert instance["KeyName"] == site.key
    assert instance["IamInstanceProfile"]["Arn"].endswith(site.profile)
    assert [g["GroupId"] for g in instance["SecurityGroups"]] == [site.group]
    assert tags_of(instance)["Name"] == "web-1-restored"
    assert tags_of(instance)["Environment"] == "production"
    assert tags_of(instance)["holdfast:restored-from"] == document["instance"]["instanceId"]
    mappings = {m["DeviceName"]: m["Ebs"]["DeleteOnTermination"] for m in instance["BlockDeviceMappings"]}
    assert mappings == {v["device"]: v["deleteOnTermination"] for v in document["volumes"]}
    assert memo["warnings"] == []
    assert {m["phase"] for m in driver.memos if m} | {"check"} == set(PHASES)


def test_an_instance_can_be_left_stopped(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = restore_job(document, ec2)
    options = instance_options(power_on=False)
    memo = Driver(clock, lambda memo: ec2.restore_instance(job, options, memo)).finish()
    assert site.state(memo["instanceId"]) == "stopped"


def test_an_ami_with_another_root_device_boots_from_the_restored_root(
    site: Site, ec2: Ec2, document: Memo, clock: FakeClock
) -> None:
    image = site.register_image("other-root", root="/dev/sda1")
    job = restore_job(document, ec2)
    options = instance_options(image_id=image)
    memo = Driver(clock, lambda memo: ec2.restore_instance(job, options, memo)).finish()
    root = next(v["volumeId"] for v in document["volumes"] if v["device"] == "/dev/xvda")
    restored = site.volumes_of(memo["instanceId"])
    assert set(restored) == {"/dev/sda1", "/dev/sdf", "/dev/sdg"}
    assert site.account.hashes(restored["/dev/sda1"]) == site.account.hashes(root)


def test_instance_restore_steps_may_all_run_twice(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = restore_job(document, ec2)
    driver = Driver(clock, lambda memo: ec2.restore_instance(job, instance_options(), memo), twice=True)
    check_restored(site, document, driver.finish(), job)


def test_an_instance_restore_resumes_from_any_older_memo(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = restore_job(document, ec2)
    driver = Driver(clock, lambda memo: ec2.restore_instance(job, instance_options(), memo))
    memo = driver.finish()
    by_phase = {older.get("phase", "check"): older for older in driver.memos}
    for older in by_phase.values():
        again = Driver(clock, lambda memo: ec2.restore_instance(job, instance_options(), memo)).finish(older)
        assert again["instanceId"] == memo["instanceId"]
    check_restored(site, document, memo, job)
    assert site.state(memo["instanceId"]) == "running"


CHANGES = [
    "CreateVolume",
    "RunInstances",
    "StopInstances",
    "DetachVolume",
    "DeleteVolume",
    "AttachVolume",
    "ModifyInstanceAttribute",
    "StartInstances",
]


@pytest.mark.parametrize("operation", CHANGES)
def test_an_instance_restore_survives_the_loss_of_any_answer(
    site: Site, ec2: Ec2, document: Memo, clock: FakeClock, operation: str
) -> None:
    site.account.fault(f"ec2:{operation}", "lost_reply", times=5)  # more often than one call is repeated
    job = restore_job(document, ec2)
    memo = Driver(clock, lambda memo: ec2.restore_instance(job, instance_options(), memo)).finish()
    site.account.reset()
    check_restored(site, document, memo, job)


def test_an_instance_restore_in_a_storm(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    for kind in ("throttle", "error500", "lost_reply"):
        site.account.fault("ec2:*", kind, times=None, probability=0.12)
    job = restore_job(document, ec2)
    memo = Driver(clock, lambda memo: ec2.restore_instance(job, instance_options(), memo), twice=True).finish()
    site.account.reset()
    check_restored(site, document, memo, job)


@pytest.mark.parametrize("phase", [p for p in PHASES if p not in ("check", "done")])
def test_abandoning_an_instance_restore_leaves_nothing(
    site: Site, ec2: Ec2, document: Memo, clock: FakeClock, phase: str
) -> None:
    job = restore_job(document, ec2)
    driver = Driver(clock, lambda memo: ec2.restore_instance(job, instance_options(), memo))
    memo: Memo = {}
    while memo.get("phase") != phase:
        memo = driver.step(memo).memo
    driver.step(memo)  # whatever this phase does first has happened too
    ec2.abandon(HOME, job.token)
    assert site.of_task(job.token) == {"instances": [], "volumes": [], "snapshots": []}


def test_somebody_terminating_the_new_instance_is_named(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = restore_job(document, ec2)
    driver = Driver(clock, lambda memo: ec2.restore_instance(job, instance_options(), memo))
    memo: Memo = {}
    while memo.get("phase") != "stop":
        memo = driver.step(memo).memo
    site.call("terminate_instances", InstanceIds=[memo["instanceId"]])
    with pytest.raises(AwsNotFound, match=memo["instanceId"]):
        driver.finish(memo)
    ec2.abandon(HOME, job.token)


def test_what_is_missing_is_a_warning_or_an_error(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    lost = {
        **document["instance"],
        "keyName": "lost-key",
        "iamInstanceProfileArn": "arn:aws:iam::1:instance-profile/lost-profile",
    }
    job = restore_job({**document, "instance": lost}, ec2)
    step = ec2.restore_instance(job, instance_options(), {})
    assert any("lost-key" in warning for warning in step.memo["warnings"])
    assert any("lost-profile" in warning for warning in step.memo["warnings"])
    for wrong, kind in (
        ({"subnet_id": "subnet-0123456789abcdef0"}, AwsNotFound),
        ({"security_group_ids": ("sg-0123456789abcdef0",)}, AwsNotFound),
        ({"image_id": "ami-0123456789abcdef0"}, AwsNotFound),
        ({"iam_instance_profile": "no-such-profile"}, AwsNotFound),
        ({"instance_type": "t99.huge"}, AwsRejected),
    ):
        with pytest.raises(kind) as caught:
            ec2.restore_instance(job, instance_options(**wrong), {})
        assert caught.value.remedy


def test_a_security_group_of_another_vpc_is_refused(site: Site, ec2: Ec2, document: Memo) -> None:
    other = site.call("create_vpc", CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    group = site.call("create_security_group", GroupName="elsewhere", Description="other VPC", VpcId=other)["GroupId"]
    with pytest.raises(AwsRejected, match="not in the VPC"):
        ec2.restore_instance(restore_job(document, ec2), instance_options(security_group_ids=(group,)), {})


def test_an_ami_of_another_architecture_needs_another_type(site: Site, ec2: Ec2, document: Memo) -> None:
    image = site.register_image("arm", architecture="arm64")
    with pytest.raises(AwsRejected, match="arm64"):
        ec2.restore_instance(restore_job(document, ec2), instance_options(image_id=image), {})
