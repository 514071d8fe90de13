"""Instances: launched from images with real disks, through their states, taken apart and put together again."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.demo.clouds import Cloud, block, refused
from tests.waiting import until


def disks(cloud: Cloud, instance_id: str) -> dict[str, str]:
    """Device → volume id."""
    mappings = cloud.describe(instance_id)["BlockDeviceMappings"]
    return {mapping["DeviceName"]: mapping["Ebs"]["VolumeId"] for mapping in mappings}


def stop(cloud: Cloud, instance_id: str) -> None:
    cloud.client("ec2").stop_instances(InstanceIds=[instance_id])
    until(lambda: cloud.state(instance_id) == "stopped")


def test_the_root_disk_holds_what_the_image_holds(cloud: Cloud) -> None:
    instance_id = cloud.instance(cloud.image())
    root = disks(cloud, instance_id)["/dev/xvda"]
    assert list(cloud.control("GET", f"volumes/{root}/hash")["blocks"]) == ["0"]
    described = cloud.describe(instance_id)
    assert (described["RootDeviceName"], described["Placement"]["AvailabilityZone"]) == ("/dev/xvda", "us-east-1a")


def test_disks_asked_for_are_laid_over_those_of_the_image(cloud: Cloud) -> None:
    mappings: list[dict[str, Any]] = [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 3, "VolumeType": "gp3", "Iops": 4000, "Throughput": 250}},
        {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 2, "DeleteOnTermination": True}},
        {"DeviceName": "/dev/sdb", "NoDevice": ""},
    ]
    instance_id = cloud.instance(cloud.image(devices=("/dev/xvda", "/dev/sdb")), BlockDeviceMappings=mappings)
    found = disks(cloud, instance_id)
    assert set(found) == {"/dev/xvda", "/dev/sdf"}
    root = cloud.client("ec2").describe_volumes(VolumeIds=[found["/dev/xvda"]])["Volumes"][0]
    assert (root["Size"], root["Iops"], root["Throughput"]) == (3, 4000, 250)
    assert root["Attachments"][0]["DeleteOnTermination"] is True
    assert root["SnapshotId"].startswith("snap-")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"InstanceType": "t99.huge"}, "InvalidParameterValue"),
    ],
)
def test_impossible_instances_are_refused(cloud: Cloud, options: dict[str, Any], code: str) -> None:
    image_id = cloud.image()
    call = {"ImageId": image_id, "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro", **options}
    assert refused(lambda: cloud.client("ec2").run_instances(**call))[0] == code


def test_the_same_client_token_makes_one_instance(cloud: Cloud) -> None:
    ec2, image_id = cloud.client("ec2"), cloud.image()
    call = {"ImageId": image_id, "MinCount": 1, "MaxCount": 1, "ClientToken": f"run-{time.monotonic_ns()}"}
    first = ec2.run_instances(InstanceType="t3.micro", **call)["Instances"][0]["InstanceId"]
    assert ec2.run_instances(InstanceType="t3.micro", **call)["Instances"][0]["InstanceId"] == first
    assert refused(lambda: ec2.run_instances(InstanceType="t3.small", **call)) == ("IdempotentParameterMismatch", 400)


def test_an_instance_passes_through_its_states(slow_cloud: Cloud) -> None:
    ec2, image_id = slow_cloud.client("ec2"), slow_cloud.image()
    reply = ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t3.micro")["Instances"][0]
    instance_id, seen = reply["InstanceId"], [reply["State"]["Name"]]

    def reaches(state: str) -> None:
        def reached() -> bool:
            now = slow_cloud.state(instance_id)
            if now != seen[-1]:
                seen.append(now)
            return now == state

        until(reached)

    reaches("running")
    seen.append(ec2.stop_instances(InstanceIds=[instance_id])["StoppingInstances"][0]["CurrentState"]["Name"])
    reaches("stopped")
    seen.append(ec2.start_instances(InstanceIds=[instance_id])["StartingInstances"][0]["CurrentState"]["Name"])
    reaches("running")
    seen.append(ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]["CurrentState"]["Name"])
    reaches("terminated")
    assert seen == ["pending", "running", "stopping", "stopped", "pending", "running", "shutting-down", "terminated"]


def test_terminating_deletes_the_disks_that_say_so(cloud: Cloud) -> None:
    mappings = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}}]
    instance_id = cloud.instance(cloud.image(), BlockDeviceMappings=mappings)
    found, ec2 = disks(cloud, instance_id), cloud.client("ec2")
    ec2.terminate_instances(InstanceIds=[instance_id])
    assert refused(lambda: ec2.describe_volumes(VolumeIds=[found["/dev/xvda"]])) == ("InvalidVolume.NotFound", 400)
    until(lambda: ec2.describe_volumes(VolumeIds=[found["/dev/sdf"]])["Volumes"][0]["State"] == "available")


def test_restored_disks_replace_those_of_a_new_instance(cloud: Cloud) -> None:
    ec2, image_id = cloud.client("ec2"), cloud.image()
    instance_id = cloud.instance(image_id, ClientToken=f"restore-{time.monotonic_ns()}")
    own = disks(cloud, instance_id)["/dev/xvda"]
    restored = cloud.volume((2, block("r")))
    assert refused(lambda: ec2.detach_volume(VolumeId=own)) == ("OperationNotPermitted", 400)
    stop(cloud, instance_id)
    ec2.detach_volume(VolumeId=own)
    assert refused(lambda: ec2.start_instances(InstanceIds=[instance_id])) == ("InvalidParameterValue", 400)
    ec2.delete_volume(VolumeId=own)
    ec2.attach_volume(VolumeId=restored, InstanceId=instance_id, Device="/dev/xvda")
    until(lambda: ec2.describe_volumes(VolumeIds=[restored])["Volumes"][0]["Attachments"][0]["State"] == "attached")
    ec2.start_instances(InstanceIds=[instance_id])
    until(lambda: cloud.state(instance_id) == "running")
    assert disks(cloud, instance_id) == {"/dev/xvda": restored}


def test_a_volume_is_attached_once_and_in_its_own_zone(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    instance_id = cloud.instance(cloud.image())
    elsewhere = ec2.create_volume(Size=1, AvailabilityZone="us-east-1c")["VolumeId"]
    volume_id = cloud.volume()

    def attach(volume: str, device: str) -> Any:
        return ec2.attach_volume(VolumeId=volume, InstanceId=instance_id, Device=device)

    assert refused(lambda: attach(elsewhere, "/dev/sdf")) == ("InvalidVolume.ZoneMismatch", 400)
    assert refused(lambda: attach(volume_id, "/dev/xvda")) == ("InvalidParameterValue", 400)
    attach(volume_id, "/dev/sdf")
    assert refused(lambda: attach(volume_id, "/dev/sdg")) == ("VolumeInUse", 400)
    assert refused(lambda: ec2.delete_volume(VolumeId=volume_id)) == ("VolumeInUse", 400)


def instance_with_data(cloud: Cloud) -> tuple[str, dict[str, str]]:
    mappings = [{"DeviceName": device, "Ebs": {"VolumeSize": 1}} for device in ("/dev/sdf", "/dev/sdg")]
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "Owner", "Value": "team"}]}]
    instance_id = cloud.instance(cloud.image(), BlockDeviceMappings=mappings, TagSpecifications=tags)
    return instance_id, disks(cloud, instance_id)


def test_snapshots_of_an_instance_leave_out_what_they_are_told_to(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    instance_id, found = instance_with_data(cloud)

    def volumes_of(**specification: Any) -> set[str]:
        reply = ec2.create_snapshots(InstanceSpecification={"InstanceId": instance_id, **specification})
        return {snapshot["VolumeId"] for snapshot in reply["Snapshots"]}

    assert volumes_of() == set(found.values())
    assert volumes_of(ExcludeBootVolume=True) == {found["/dev/sdf"], found["/dev/sdg"]}
    assert volumes_of(ExcludeDataVolumeIds=[found["/dev/sdf"]]) == {found["/dev/xvda"], found["/dev/sdg"]}
    assert refused(lambda: volumes_of(ExcludeDataVolumeIds=[found["/dev/xvda"]]))[0] == "InvalidParameterValue"


def test_snapshots_of_an_instance_copy_the_volumes_tags_when_asked(cloud: Cloud) -> None:
    instance_id, _ = instance_with_data(cloud)
    own = [{"ResourceType": "snapshot", "Tags": [{"Key": "Name", "Value": "point"}]}]

    def tags(**options: Any) -> list[dict[str, str]]:
        reply = cloud.client("ec2").create_snapshots(
            InstanceSpecification={"InstanceId": instance_id}, TagSpecifications=own, **options
        )
        return [{tag["Key"]: tag["Value"] for tag in snapshot["Tags"]} for snapshot in reply["Snapshots"]]

    assert tags() == [{"Name": "point"}] * 3
    assert tags(CopyTagsFromSource="volume") == [{"Name": "point", "Owner": "team"}] * 3


def test_an_image_of_an_instance_starts_a_copy_of_it(cloud: Cloud) -> None:
    instance_id, found = instance_with_data(cloud)
    cloud.control("POST", f"volumes/{found['/dev/sdf']}/blocks/4", block("i"))
    made = cloud.client("ec2").create_image(InstanceId=instance_id, Name=f"copy-{time.monotonic_ns()}")["ImageId"]
    copy = disks(cloud, cloud.instance(made))
    assert set(copy) == set(found)
    assert list(cloud.control("GET", f"volumes/{copy['/dev/sdf']}/hash")["blocks"]) == ["4"]
