"""The sample resources, made through the public API; run again, it makes only what is missing."""

from __future__ import annotations

import json
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from server.demo.credentials import HOME_ACCOUNT, SECOND_ACCOUNT
from server.demo.sample.images import Image, Size, build

EXTERNAL_ID = "holdfast-demo"
ROLE_NAME = "HoldfastBackup"
ROLE_ARN = f"arn:aws:iam::{SECOND_ACCOUNT}:role/{ROLE_NAME}"
BUCKET = "holdfast-demo-backups"  # in us-east-1 of the home account
IMAGE_NAME = "sample-linux-12"
PROFILE = "sample-server"
KEY_PAIR = "sample-key"
ROOT_DEVICE = "/dev/xvda"
IMPORTED = "holdfast-demo:image"  # tag of a volume that has its content
WAIT_SECONDS = 60.0
Progress = Callable[[str], None]


def _quiet(_: str) -> None:
    """Progress nobody watches."""


@dataclass(frozen=True, slots=True)
class Machine:
    """An instance of the sample; ``disks``: device → image."""

    name: str
    region: str
    environment: str
    application: str
    key: str = "demo"
    disks: dict[str, str] = field(default_factory=dict)
    instance_type: str = "t3.medium"
    stopped: bool = False


MACHINES = (
    Machine("web-01", "us-east-1", "production", "shop"),
    Machine("web-02", "us-east-1", "production", "shop"),
    Machine(
        "db-01", "us-east-1", "production", "shop", disks={"/dev/sdf": "database", "/dev/sdg": "logs"}, instance_type="m5.large"
    ),
    Machine("build-01", "us-east-1", "development", "ci", stopped=True),
    Machine("web-eu-01", "eu-central-1", "production", "shop"),
    Machine("log-eu-01", "eu-central-1", "staging", "analytics", disks={"/dev/sdf": "logs"}),
    Machine("partner-01", "us-east-1", "production", "partner", key="demo2"),
)


def seed(endpoint_url: str, data_dir: Path, size: Size = "small", progress: Progress = _quiet) -> dict[str, Any]:
    """Fill the account. Returns, and writes to ``data_dir/sample.json``: volumes → image manifest, instances → ids.

    Errors: ToolMissing when e2fsprogs is absent; botocore's for calls that fail.
    """
    images = {}
    for name in ("system", "database", "logs"):
        progress(f"disk image {name}")
        images[name] = build(data_dir / "images", name, size)
    sample = _Sample(endpoint_url, images, progress)
    sample.trust()
    sample.bucket()
    for machine in MACHINES:
        sample.machine(machine)
    for machine in MACHINES:
        sample.settle(machine)
    document = {"size": size, "instances": sample.instances, "volumes": sample.volumes}
    draft = data_dir / "sample.json.new"
    draft.write_text(json.dumps(document, indent=1))
    os.replace(draft, data_dir / "sample.json")
    return document


class _Sample:
    def __init__(self, endpoint_url: str, images: dict[str, Image], progress: Progress) -> None:
        self._endpoint = endpoint_url
        self._images = images
        self._progress = progress
        self._amis: dict[tuple[str, str], str] = {}
        self.instances: dict[str, str] = {}
        self.volumes: dict[str, dict[str, str]] = {}

    def _client(self, service: str, key: str, region: str = "us-east-1") -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # chosen at run time
            endpoint_url=self._endpoint,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=key,
            config=Config(retries={"mode": "standard", "total_max_attempts": 5}),
        )

    def trust(self) -> None:
        """The role in the second account that the home account may assume, and an instance profile in both."""
        policy = {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{HOME_ACCOUNT}:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
            },
        }
        iam = self._client("iam", "demo2")
        _unless_there(lambda: iam.create_role(RoleName=ROLE_NAME, AssumeRolePolicyDocument=json.dumps(policy)))
        allowed = {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": ["ec2:*", "ebs:*", "s3:*"], "Resource": "*"},
        }
        iam.put_role_policy(RoleName=ROLE_NAME, PolicyName="backup", PolicyDocument=json.dumps(allowed))
        for key in ("demo", "demo2"):
            self._profile(self._client("iam", key))

    @staticmethod
    def _profile(iam: Any) -> None:
        trust = {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
        }
        _unless_there(lambda: iam.create_role(RoleName=PROFILE, AssumeRolePolicyDocument=json.dumps(trust)))
        _unless_there(lambda: iam.create_instance_profile(InstanceProfileName=PROFILE))
        _unless_there(lambda: iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE))

    def bucket(self) -> None:
        self._client("s3", "demo").create_bucket(Bucket=BUCKET)

    # ---- one machine

    def machine(self, machine: Machine) -> None:
        self._progress(f"instance {machine.name} in {machine.region}")
        ec2 = self._client("ec2", machine.key, machine.region)
        instance_id = _instance_named(ec2, machine.name) or self._launch(ec2, machine)
        self.instances[machine.name] = instance_id
        for volume in _volumes_of(ec2, instance_id):
            self._fill(ec2, machine, volume)

    def settle(self, machine: Machine) -> None:
        """Wait until the instance runs, or has been stopped."""
        ec2, instance_id = self._client("ec2", machine.key, machine.region), self.instances[machine.name]
        _until(lambda: _state(ec2, instance_id) in ("running", "stopping", "stopped"), f"{machine.name} to run")
        if machine.stopped and _state(ec2, instance_id) == "running":
            ec2.stop_instances(InstanceIds=[instance_id])

    def _launch(self, ec2: Any, machine: Machine) -> str:
        image_id = self._ami(ec2, machine)
        _unless_there(lambda: ec2.create_key_pair(KeyName=KEY_PAIR))
        group = _security_group(ec2, machine.application)
        tags = [
            {"Key": "Name", "Value": machine.name},
            {"Key": "Environment", "Value": machine.environment},
            {"Key": "Application", "Value": machine.application},
        ]
        mappings = [
            {
                "DeviceName": device,
                "Ebs": {"VolumeSize": self._images[image].size_gib, "VolumeType": "gp3", "DeleteOnTermination": True},
            }
            for device, image in machine.disks.items()
        ]
        subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])
        reply = ec2.run_instances(
            ImageId=image_id,
            InstanceType=machine.instance_type,
            MinCount=1,
            MaxCount=1,
            KeyName=KEY_PAIR,
            SubnetId=subnets[0]["SubnetId"],
            SecurityGroupIds=[group],
            IamInstanceProfile={"Name": PROFILE},
            BlockDeviceMappings=mappings,
            TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        )
        return str(reply["Instances"][0]["InstanceId"])

    def _fill(self, ec2: Any, machine: Machine, volume: dict[str, Any]) -> None:
        volume_id, device = str(volume["VolumeId"]), volume["Attachments"][0]["Device"]
        image = self._images[machine.disks.get(device, "system")]
        tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}
        if device in machine.disks and IMPORTED not in tags:
            self._import(volume_id, image)
            ec2.create_tags(Resources=[volume_id], Tags=[{"Key": IMPORTED, "Value": image.path.name}])
        self.volumes[volume_id] = {"instance": machine.name, "device": device, "manifest": str(image.manifest)}

    def _import(self, volume_id: str, image: Image) -> None:
        query = urllib.parse.urlencode({"path": str(image.path)})
        url = f"{self._endpoint}/_demo/volumes/{volume_id}/image?{query}"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=120) as reply:  # noqa: S310 (our own http address)
            reply.read()

    def _ami(self, ec2: Any, machine: Machine) -> str:
        """An AMI whose root snapshot holds the system image, one per account and Region."""
        place = (machine.key, machine.region)
        if place not in self._amis:
            found = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": [IMAGE_NAME]}])["Images"]
            self._amis[place] = found[0]["ImageId"] if found else self._register(ec2, machine.region)
        return self._amis[place]

    def _register(self, ec2: Any, region: str) -> str:
        image = self._images["system"]
        volume_id = ec2.create_volume(AvailabilityZone=f"{region}a", Size=image.size_gib, VolumeType="gp3")["VolumeId"]
        self._import(volume_id, image)
        snapshot_id = ec2.create_snapshot(VolumeId=volume_id, Description=f"Root disk of {IMAGE_NAME}")["SnapshotId"]
        _until(
            lambda: ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]["State"] == "completed",
            "the AMI's snapshot",
        )
        ec2.delete_volume(VolumeId=volume_id)
        root = {"DeviceName": ROOT_DEVICE, "Ebs": {"SnapshotId": snapshot_id, "VolumeType": "gp3", "DeleteOnTermination": True}}
        reply = ec2.register_image(
            Name=IMAGE_NAME,
            Description="Sample Linux 12",
            Architecture="x86_64",
            VirtualizationType="hvm",
            RootDeviceName=ROOT_DEVICE,
            BlockDeviceMappings=[root],
        )
        return str(reply["ImageId"])


def _unless_there(make: Callable[[], Any]) -> None:
    try:
        make()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ("EntityAlreadyExists", "LimitExceeded") and not code.endswith("Duplicate"):
            raise


def _instance_named(ec2: Any, name: str) -> str | None:
    filters = [
        {"Name": "tag:Name", "Values": [name]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    reservations = ec2.describe_instances(Filters=filters)["Reservations"]
    return str(reservations[0]["Instances"][0]["InstanceId"]) if reservations else None


def _volumes_of(ec2: Any, instance_id: str) -> list[dict[str, Any]]:
    filters = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    return list(ec2.describe_volumes(Filters=filters)["Volumes"])


def _state(ec2: Any, instance_id: str) -> str:
    reservations = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    return str(reservations[0]["Instances"][0]["State"]["Name"])


def _security_group(ec2: Any, application: str) -> str:
    name = f"{application}-servers"
    filters = [{"Name": "group-name", "Values": [name]}]
    found = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    if found:
        return str(found[0]["GroupId"])
    vpc = next(vpc for vpc in ec2.describe_vpcs()["Vpcs"] if vpc["IsDefault"])
    made = ec2.create_security_group(GroupName=name, Description=f"Servers of {application}", VpcId=vpc["VpcId"])
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    ec2.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=[rule])
    return str(made["GroupId"])


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {WAIT_SECONDS:.0f} s for {what}")
        time.sleep(0.1)
