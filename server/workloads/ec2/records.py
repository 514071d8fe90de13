"""What we keep of an instance and its volumes: the document of a resource and of its restore points.

``{"instance": {...}, "volumes": [{...}]}``; in a point each volume has its ``snapshotId``. IPv6 addresses are never kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from server.domain.errors import AwsNotFound, AwsRejected
from server.domain.workload import Found, Place
from server.ports import Aws, DiskSnapshot
from server.workloads.ec2 import tags

GIB: Final = 2**30
GONE: Final = frozenset({"terminated", "shutting-down"})
PAGE: Final = 500  # results per page; more makes EC2's answers slow

Json = dict[str, Any]


def instance(aws_instance: Mapping[str, Any]) -> Json:
    own_tags = tags.from_aws(aws_instance.get("Tags"))
    return {
        "instanceId": aws_instance["InstanceId"],
        "name": own_tags.get(tags.NAME) or aws_instance["InstanceId"],
        "state": aws_instance["State"]["Name"],
        "instanceType": aws_instance.get("InstanceType"),
        "imageId": aws_instance.get("ImageId"),
        "architecture": aws_instance.get("Architecture"),
        "platform": aws_instance.get("PlatformDetails") or aws_instance.get("Platform"),
        "zone": aws_instance.get("Placement", {}).get("AvailabilityZone"),
        "tenancy": aws_instance.get("Placement", {}).get("Tenancy"),
        "vpcId": aws_instance.get("VpcId"),
        "subnetId": aws_instance.get("SubnetId"),
        "privateIpAddress": aws_instance.get("PrivateIpAddress"),
        "securityGroupIds": [group["GroupId"] for group in aws_instance.get("SecurityGroups") or ()],
        "keyName": aws_instance.get("KeyName"),
        "iamInstanceProfileArn": (aws_instance.get("IamInstanceProfile") or {}).get("Arn"),
        "ebsOptimized": bool(aws_instance.get("EbsOptimized")),
        "httpTokens": (aws_instance.get("MetadataOptions") or {}).get("HttpTokens"),
        "rootDeviceName": aws_instance.get("RootDeviceName"),
        "tags": own_tags,
    }


def volume(aws_volume: Mapping[str, Any], instance_id: str) -> Json:
    attachment = next(a for a in aws_volume["Attachments"] if a["InstanceId"] == instance_id)
    return {
        "volumeId": aws_volume["VolumeId"],
        "device": attachment.get("Device"),
        "deleteOnTermination": bool(attachment.get("DeleteOnTermination")),
        "sizeGib": aws_volume["Size"],
        "volumeType": aws_volume.get("VolumeType"),
        "iops": aws_volume.get("Iops"),
        "throughput": aws_volume.get("Throughput"),
        "encrypted": bool(aws_volume.get("Encrypted")),
        "kmsKeyId": aws_volume.get("KmsKeyId"),
        "tags": tags.from_aws(aws_volume.get("Tags")),
    }


def discover(aws: Aws, place: Place) -> Iterator[Found]:
    """Every instance of the place with its volumes; terminated ones are skipped."""
    attached = _volumes_by_instance(aws, place)
    alive = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    for page in aws.pages(place, "ec2", "describe_instances", Filters=alive, MaxResults=PAGE):
        for reservation in page["Reservations"]:
            for found in reservation["Instances"]:
                record = instance(found)
                volumes = attached.get(record["instanceId"], [])
                yield Found(
                    aws_id=record["instanceId"],
                    name=record["name"],
                    region=place.region,
                    tags=record["tags"],
                    state=record["state"],
                    size_bytes=sum(v["sizeGib"] for v in volumes) * GIB,
                    document={"instance": record, "volumes": volumes},
                )


def of_instance(aws: Aws, place: Place, instance_id: str, name: str) -> Json:
    """The document of one instance as it is now. Errors: AwsNotFound when it is gone, AwsRejected when it has no disk."""
    found = lookup(aws, place, instance_id)
    if found is None or found["State"]["Name"] in GONE:
        raise gone(instance_id, name, place.region)
    filters = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    pages = aws.pages(place, "ec2", "describe_volumes", Filters=filters, MaxResults=PAGE)
    volumes = by_device(volume(v, instance_id) for page in pages for v in page["Volumes"])
    if not volumes:
        raise AwsRejected(
            f"Instance {name} ({instance_id}) has no EBS volume, so there is nothing to snapshot.",
            operation="ec2:DescribeVolumes",
            aws_code="NoVolumes",
            remedy="Exclude it from the policy; instance store volumes cannot be backed up.",
        )
    return {"instance": instance(found), "volumes": volumes}


def lookup(aws: Aws, place: Place, instance_id: str) -> Mapping[str, Any] | None:
    try:
        answer = aws.call(place, "ec2", "describe_instances", InstanceIds=[instance_id])
    except AwsNotFound:
        return None
    return next((i for r in answer["Reservations"] for i in r["Instances"]), None)


def gone(instance_id: str, name: str, region: str) -> AwsNotFound:
    return AwsNotFound(
        f"Instance {name} ({instance_id}) no longer exists in {region}: it was terminated.",
        operation="ec2:DescribeInstances",
        aws_code="InvalidInstanceID.NotFound",
        remedy="Its restore points stay; rescan to update the inventory.",
    )


def disks(document: Mapping[str, Any]) -> tuple[DiskSnapshot, ...]:
    return tuple(
        DiskSnapshot(
            disk_id=record["volumeId"],
            snapshot_id=record.get("snapshotId") or "",
            size_bytes=record["sizeGib"] * GIB,
            document={key: value for key, value in record.items() if key != "snapshotId"},
        )
        for record in document["volumes"]
    )


def _volumes_by_instance(aws: Aws, place: Place) -> dict[str, list[Json]]:
    attached: dict[str, list[Json]] = {}
    in_use = [{"Name": "attachment.status", "Values": ["attached", "attaching"]}]
    for page in aws.pages(place, "ec2", "describe_volumes", Filters=in_use, MaxResults=PAGE):
        for found in page["Volumes"]:
            for attachment in found["Attachments"]:
                owner = attachment["InstanceId"]
                attached.setdefault(owner, []).append(volume(found, owner))
    return {owner: by_device(volumes) for owner, volumes in attached.items()}


def by_device(volumes: Iterable[Json]) -> list[Json]:
    """By device name: the order people know, and the same in every point."""
    return sorted(volumes, key=lambda v: (v["device"] or "", v["volumeId"]))
