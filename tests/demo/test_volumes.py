"""Volumes and snapshots: what is accepted, what they hold, and how their states go."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.demo.clouds import Cloud, block, refused
from tests.waiting import until


def holds(cloud: Cloud, path: str) -> list[str]:
    return sorted(cloud.control("GET", f"{path}/hash")["blocks"], key=int)


def test_a_snapshot_keeps_what_the_volume_held_then(cloud: Cloud) -> None:
    volume_id = cloud.volume((0, block("a")), (5, block("b")))
    before = cloud.control("GET", f"volumes/{volume_id}/hash")
    snapshot_id = cloud.snapshot(volume_id)
    cloud.control("POST", f"volumes/{volume_id}/blocks/5", block("c"))
    after = cloud.control("GET", f"snapshots/{snapshot_id}/hash")
    assert (after["blocks"], after["root"]) == (before["blocks"], before["root"])
    assert cloud.control("GET", f"volumes/{volume_id}/hash")["root"] != before["root"]


def test_a_volume_from_a_snapshot_has_its_content_and_outlives_it(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    snapshot_id = cloud.snapshot(cloud.volume((3, block("x"))))
    volume_id = ec2.create_volume(SnapshotId=snapshot_id, AvailabilityZone="us-east-1b")["VolumeId"]
    ec2.delete_snapshot(SnapshotId=snapshot_id)
    assert holds(cloud, f"volumes/{volume_id}") == ["3"]


def test_a_copy_in_another_region_has_the_content(cloud: Cloud) -> None:
    snapshot_id = cloud.snapshot(cloud.volume((7, block("k"))))
    europe = cloud.client("ec2", "eu-central-1")
    copy = europe.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot_id)["SnapshotId"]
    assert holds(cloud, f"snapshots/{copy}") == ["7"]
    assert europe.describe_snapshots(SnapshotIds=[copy])["Snapshots"][0]["VolumeSize"] == 1


def test_zero_blocks_do_not_count_as_content(cloud: Cloud) -> None:
    volume_id = cloud.volume((0, bytes(len(block("a")))), (1, block("a")))
    answer = cloud.control("GET", f"volumes/{volume_id}/hash")
    assert (list(answer["blocks"]), answer["written"]) == (["1"], 2)


def test_churn_rewrites_the_share_asked_for(cloud: Cloud) -> None:
    volume_id = cloud.volume(*((index, block("q")) for index in range(10)))
    changed = cloud.control("POST", f"volumes/{volume_id}/churn?percent=30&seed=7")["blocks"]
    digests = cloud.control("GET", f"volumes/{volume_id}/hash")["blocks"]
    same = max(list(digests.values()), key=list(digests.values()).count)
    assert sorted(int(index) for index, digest in digests.items() if digest != same) == changed
    assert len(changed) == 3


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"Size": 1, "AvailabilityZone": "us-east-1z"}, "InvalidZone.NotFound"),
        ({"Size": 999_999, "AvailabilityZone": "us-east-1a"}, "InvalidParameterValue"),
        ({"AvailabilityZone": "us-east-1a"}, "MissingParameter"),
        ({"Size": 1, "AvailabilityZone": "us-east-1a", "VolumeType": "gp9"}, "UnknownVolumeType"),
        ({"SnapshotId": "snap-0123456789abcdef0", "AvailabilityZone": "us-east-1a"}, "InvalidSnapshot.NotFound"),
    ],
)
def test_impossible_volumes_are_refused(cloud: Cloud, options: dict[str, Any], code: str) -> None:
    assert refused(lambda: cloud.client("ec2").create_volume(**options)) == (code, 400)


def test_a_volume_must_not_be_smaller_than_its_snapshot(cloud: Cloud) -> None:
    snapshot_id = cloud.snapshot(cloud.volume(size=2))
    ec2 = cloud.client("ec2")
    call = lambda: ec2.create_volume(SnapshotId=snapshot_id, Size=1, AvailabilityZone="us-east-1a")  # noqa: E731
    assert refused(call) == ("InvalidParameterValue", 400)


def test_the_same_client_token_makes_one_volume(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    options = {"AvailabilityZone": "us-east-1a", "ClientToken": f"volume-{time.monotonic_ns()}"}
    first = ec2.create_volume(Size=1, **options)["VolumeId"]
    assert ec2.create_volume(Size=1, **options)["VolumeId"] == first
    assert refused(lambda: ec2.create_volume(Size=2, **options)) == ("IdempotentParameterMismatch", 400)


def test_only_own_snapshots_are_listed_as_self(cloud: Cloud) -> None:
    own = cloud.snapshot(cloud.volume())
    ids = {snapshot["SnapshotId"] for snapshot in cloud.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert own in ids
    others = cloud.client("ec2", key="demo2")
    assert own not in {snapshot["SnapshotId"] for snapshot in others.describe_snapshots()["Snapshots"]}
    assert refused(lambda: others.describe_snapshots(SnapshotIds=[own])) == ("InvalidSnapshot.NotFound", 400)


def test_a_shared_snapshot_is_visible_and_copyable_for_whom_it_is_shared_with(cloud: Cloud) -> None:
    own = cloud.snapshot(cloud.volume((1, block("s"))))
    cloud.client("ec2").modify_snapshot_attribute(
        SnapshotId=own, Attribute="createVolumePermission", OperationType="add", UserIds=["210987654321"]
    )
    others = cloud.client("ec2", key="demo2")
    assert others.describe_snapshots(SnapshotIds=[own])["Snapshots"][0]["OwnerId"] == "123456789012"
    copy = others.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=own)["SnapshotId"]
    assert holds(cloud, f"snapshots/{copy}") == ["1"]


def test_a_snapshot_of_an_image_cannot_be_deleted(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    image = ec2.describe_images(ImageIds=[cloud.image()])["Images"][0]
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert refused(lambda: ec2.delete_snapshot(SnapshotId=snapshot_id)) == ("InvalidSnapshot.InUse", 400)
    ec2.deregister_image(ImageId=image["ImageId"])
    ec2.delete_snapshot(SnapshotId=snapshot_id)


def test_tags_find_snapshots(cloud: Cloud) -> None:
    ec2, token = cloud.client("ec2"), f"task-{time.monotonic_ns()}"
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "holdfast:task", "Value": token}]}]
    made = ec2.create_snapshot(VolumeId=cloud.volume(), TagSpecifications=tags)["SnapshotId"]
    found = ec2.describe_snapshots(Filters=[{"Name": "tag:holdfast:task", "Values": [token]}])["Snapshots"]
    assert [snapshot["SnapshotId"] for snapshot in found] == [made]


def test_a_snapshot_takes_time_and_shows_progress(slow_cloud: Cloud) -> None:
    ec2 = slow_cloud.client("ec2")
    made = ec2.create_snapshot(VolumeId=slow_cloud.volume((0, block("p"))))
    assert made["State"] == "pending"
    seen: list[tuple[str, str]] = []

    def completed() -> bool:
        snapshot = ec2.describe_snapshots(SnapshotIds=[made["SnapshotId"]])["Snapshots"][0]
        seen.append((snapshot["State"], snapshot["Progress"]))
        return bool(snapshot["State"] == "completed")

    until(completed)
    percents = [int(progress.rstrip("%")) for _, progress in seen]
    assert percents == sorted(percents)
    assert (seen[0][0], percents[0] < 100, percents[-1]) == ("pending", True, 100)


def test_a_pending_snapshot_can_neither_be_read_nor_become_a_volume(slow_cloud: Cloud) -> None:
    ec2 = slow_cloud.client("ec2")
    pending = ec2.create_snapshot(VolumeId=slow_cloud.volume())["SnapshotId"]
    assert refused(lambda: ec2.create_volume(SnapshotId=pending, AvailabilityZone="us-east-1a")) == ("IncorrectState", 400)
    code, _ = refused(lambda: slow_cloud.client("ebs").list_snapshot_blocks(SnapshotId=pending))
    assert code == "ValidationException"


def test_a_sixth_pending_snapshot_of_a_volume_is_refused(slow_cloud: Cloud) -> None:
    ec2, volume_id = slow_cloud.client("ec2"), slow_cloud.volume()
    for _ in range(5):
        ec2.create_snapshot(VolumeId=volume_id)
    assert refused(lambda: ec2.create_snapshot(VolumeId=volume_id)) == ("ConcurrentSnapshotLimitExceeded", 400)


def test_a_volume_is_creating_before_it_is_available(slow_cloud: Cloud) -> None:
    ec2 = slow_cloud.client("ec2")
    volume = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")
    assert volume["State"] == "creating"
    until(lambda: ec2.describe_volumes(VolumeIds=[volume["VolumeId"]])["Volumes"][0]["State"] == "available")
