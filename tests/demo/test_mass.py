"""Thousands of instances at once: listed in pages, saved quickly, kept."""

from __future__ import annotations

import argparse
import urllib.error
from typing import Any

import pytest

from server.demo.cloud import seed_named
from server.demo.mass import Crowd
from tests.demo.clouds import Cloud
from tests.waiting import until


def named(ec2: Any, name: str) -> list[dict[str, Any]]:
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "tag:Name", "Values": [f"{name}-*"]}], PaginationConfig={"PageSize": 100}
    )
    return [instance for page in pages for reservation in page["Reservations"] for instance in reservation["Instances"]]


def test_a_crowd_is_there_at_once_in_all_its_regions(fresh_cloud: Cloud) -> None:
    made = fresh_cloud.control("POST", "seed", {"instances": 25, "disks": 1, "name": "crowd", "tags": {"team": "many"}})
    assert [len(ids) for ids in made.values()] == [13, 12]
    instances = named(fresh_cloud.client("ec2", "eu-central-1"), "crowd")
    assert sorted(each["InstanceId"] for each in instances) == sorted(made["eu-central-1"])
    for each in instances:
        tags = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        assert {"Name", "env", "tier"} <= set(tags)
        assert (tags["team"], each["State"]["Name"], len(each["BlockDeviceMappings"])) == ("many", "running", 2)
    assert fresh_cloud.control("POST", "seed", {"instances": 25, "name": "crowd"}) == {}
    volume = instances[0]["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert len(fresh_cloud.control("GET", f"volumes/{volume}/hash")["blocks"]) == 2
    fresh_cloud.kill()
    fresh_cloud.start()
    assert len(named(fresh_cloud.client("ec2", "us-east-1"), "crowd")) == 13


def test_what_small_changes_leave_outlives_a_restart(fresh_cloud: Cloud) -> None:
    """Snapshots, tags, shares, grants and commands are saved one by one; the rest of the account is not written for them."""
    ec2, kms = fresh_cloud.client("ec2"), fresh_cloud.client("kms")
    volume_id = fresh_cloud.volume()
    key = kms.create_key()["KeyMetadata"]["Arn"]
    made = [ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"] for _ in range(3)]
    ec2.create_tags(Resources=[made[0], volume_id], Tags=[{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}])
    ec2.delete_tags(Resources=[made[0]], Tags=[{"Key": "c"}])
    ec2.delete_snapshot(SnapshotId=made[1])
    ec2.modify_snapshot_attribute(SnapshotId=made[2], OperationType="add", UserIds=["210987654321"])
    grant = kms.create_grant(KeyId=key, GranteePrincipal="arn:aws:iam::210987654321:role/x", Operations=["Decrypt"])["GrantId"]
    gone = kms.create_grant(KeyId=key, GranteePrincipal="arn:aws:iam::210987654321:role/y", Operations=["Decrypt"])["GrantId"]
    kms.revoke_grant(KeyId=key, GrantId=gone)
    upload = fresh_cloud.client("ebs").start_snapshot(VolumeSize=1)["SnapshotId"]
    fresh_cloud.client("ebs").complete_snapshot(SnapshotId=upload, ChangedBlocksCount=0)
    fresh_cloud.kill()
    fresh_cloud.start()
    ec2 = fresh_cloud.client("ec2")
    found = {each["SnapshotId"]: each for each in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert set(found) == {made[0], made[2], upload}
    assert found[made[0]]["Tags"] == [{"Key": "a", "Value": "b"}]
    assert {each["State"] for each in found.values()} == {"completed"}
    assert found[upload]["VolumeId"] == "vol-ffffffff"
    assert len(ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["Tags"]) == 2
    shared = ec2.describe_snapshot_attribute(SnapshotId=made[2], Attribute="createVolumePermission")
    assert shared["CreateVolumePermissions"] == [{"UserId": "210987654321"}]
    assert [each["GrantId"] for each in fresh_cloud.client("kms").list_grants(KeyId=key)["Grants"]] == [grant]
    ec2.create_snapshot(VolumeId=volume_id)
    ec2.create_security_group(GroupName="whole", Description="saves everything")
    fresh_cloud.kill()
    fresh_cloud.start()
    ec2 = fresh_cloud.client("ec2")
    until(lambda: len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 4)


@pytest.mark.parametrize("asked", [
    {},
    [],
    {"instances": 0},
    {"instances": 20_001},
    {"instances": "5"},
    {"instances": 1, "disks": 11},
    {"instances": 1, "regions": []},
    {"instances": 1, "regions": ["moon-1"]},
    {"instances": 1, "profile": "none"},
    {"instances": 1, "colour": "red"},
])  # fmt: skip
def test_impossible_crowds_are_refused(asked: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Crowd.parse(asked)


def test_a_refusal_says_what_is_wrong(cloud: Cloud) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        cloud.control("POST", "seed", {"instances": 0})
    assert b"from 1 to 20000" in caught.value.read()
    caught.value.close()


@pytest.mark.parametrize(("text", "seed"), [("none", None), ("small", "small"), ("sample", "full"), ("many:1000", 1000)])
def test_the_command_line_names_what_to_make(text: str, seed: Any) -> None:
    assert seed_named(text) == seed


@pytest.mark.parametrize("text", ["lots", "many:", "many:0", "many:x", "many:20001"])
def test_the_command_line_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="many:N"):
        seed_named(text)
