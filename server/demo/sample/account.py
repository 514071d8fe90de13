"""The sample resources, made through the public API; run again, it makes only what is missing."""

from __future__ import annotations

import json
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from server.demo.sample import access
from server.demo.sample.access import unless_there
from server.demo.sample.estate import BUCKET as BUCKET
from server.demo.sample.estate import DEFAULT_KEY, MACHINES, PLAIN_PROFILE, PROFILE, Machine
from server.demo.sample.images import Image, Size, build

KEY_PAIR = "sample-key"
IMAGES = {"linux": "sample-linux-12", "windows": "sample-windows-2022"}
ROOT_DEVICES = {"linux": "/dev/xvda", "windows": "/dev/sda1"}
WINDOWS_PRODUCT = "bp-6ba54002"  # the billing product that makes an image one of Windows
IMPORTED = "holdfast-demo:image"  # tag of a volume that has its content
WAIT_SECONDS = 60.0
Progress = Callable[[str], None]


def _quiet(_: str) -> None:
    """Progress nobody watches."""


def seed(endpoint_url: str, data_dir: Path, size: Size = "small", progress: Progress = _quiet) -> dict[str, Any]:
    """Fill the account. Returns, and writes to ``data_dir/sample.json``: volumes → image manifest, instances → ids.

    Errors: ToolMissing when e2fsprogs is absent; botocore's for calls that fail.
    """
    images = {}
    for name in ("system", "database", "logs"):
        progress(f"disk image {name}")
        images[name] = build(data_dir / "images", name, size)
    sample = _Sample(endpoint_url, images, progress)
    access.prepare(sample.client)
    sample.bucket()
    for machine in MACHINES:
        sample.machine(machine)
    for machine in MACHINES:
        sample.settle(machine)
        sample.equip(machine)
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
        self._amis: dict[tuple[str, str, str], str] = {}
        self.instances: dict[str, str] = {}
        self.volumes: dict[str, dict[str, str]] = {}

    def client(self, service: str, key: str, region: str = "us-east-1") -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # chosen at run time
            endpoint_url=self._endpoint,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=key,
            config=Config(retries={"mode": "standard", "total_max_attempts": 5}),
        )

    def bucket(self) -> None:
        self.client("s3", "demo").create_bucket(Bucket=BUCKET)

    # ---- one machine

    def machine(self, machine: Machine) -> None:
        self._progress(f"instance {machine.name} in {machine.region}")
        ec2 = self.client("ec2", machine.key, machine.region)
        instance_id = _instance_named(ec2, machine.name) or self._launch(ec2, machine)
        self.instances[machine.name] = instance_id
        for volume in _volumes_of(ec2, instance_id):
            self._fill(ec2, machine, volume)

    def settle(self, machine: Machine) -> None:
        """Wait until the instance runs, or has been stopped."""
        ec2, instance_id = self.client("ec2", machine.key, machine.region), self.instances[machine.name]
        _until(lambda: _state(ec2, instance_id) in ("running", "stopping", "stopped"), f"{machine.name} to run")
        if machine.stopped and _state(ec2, instance_id) == "running":
            ec2.stop_instances(InstanceIds=[instance_id])

    def equip(self, machine: Machine) -> None:
        """Put the machine's scripts into its guest, unless somebody has put others there."""
        path = f"ssm/{self.instances[machine.name]}"
        if machine.scripts and not self._control("GET", path)["scripts"]:
            scripts = {script: {"output": f"{script.rsplit('/', 1)[-1]} done\n"} for script in machine.scripts}
            self._control("POST", path, {"scripts": scripts})

    def _launch(self, ec2: Any, machine: Machine) -> str:
        image_id = self._ami(ec2, machine)
        unless_there(lambda: ec2.create_key_pair(KeyName=KEY_PAIR))
        group = _security_group(ec2, machine.application)
        tags = [{"Key": key, "Value": value} for key, value in machine.tags.items()]
        encryption = _encryption(machine)
        mappings = [
            {
                "DeviceName": device,
                "Ebs": {
                    "VolumeSize": self._images[image].size_gib,
                    "VolumeType": "gp3",
                    "DeleteOnTermination": True,
                    **encryption,
                },
            }
            for device, image in machine.disks.items()
        ]
        if encryption:
            mappings.append({"DeviceName": ROOT_DEVICES[machine.system], "Ebs": encryption})
        subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])
        reply = ec2.run_instances(
            ImageId=image_id,
            InstanceType=machine.instance_type,
            MinCount=1,
            MaxCount=1,
            KeyName=KEY_PAIR,
            SubnetId=subnets[0]["SubnetId"],
            SecurityGroupIds=[group],
            IamInstanceProfile={"Name": PROFILE if machine.managed else PLAIN_PROFILE},
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
        self._control("POST", f"volumes/{volume_id}/image?{query}")

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._endpoint}/_demo/{path}", data=data, method=method)  # noqa: S310 (our own http address)
        with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310 (the same)
            return json.load(reply)

    def _ami(self, ec2: Any, machine: Machine) -> str:
        """An AMI whose root snapshot holds the system image, one per account and Region."""
        place = (machine.key, machine.region, machine.system)
        if place not in self._amis:
            filters = [{"Name": "name", "Values": [IMAGES[machine.system]]}]
            found = ec2.describe_images(Owners=["self"], Filters=filters)["Images"]
            self._amis[place] = found[0]["ImageId"] if found else self._register(ec2, machine)
        return self._amis[place]

    def _register(self, ec2: Any, machine: Machine) -> str:
        name, device = IMAGES[machine.system], ROOT_DEVICES[machine.system]
        image = self._images["system"]
        volume_id = ec2.create_volume(AvailabilityZone=f"{machine.region}a", Size=image.size_gib, VolumeType="gp3")["VolumeId"]
        self._import(volume_id, image)
        snapshot_id = ec2.create_snapshot(VolumeId=volume_id, Description=f"Root disk of {name}")["SnapshotId"]
        _until(
            lambda: ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]["State"] == "completed",
            "the AMI's snapshot",
        )
        ec2.delete_volume(VolumeId=volume_id)
        root = {"DeviceName": device, "Ebs": {"SnapshotId": snapshot_id, "VolumeType": "gp3", "DeleteOnTermination": True}}
        reply = ec2.register_image(
            Name=name,
            Description="Sample Linux 12" if machine.system == "linux" else "Sample Windows Server 2022",
            Architecture="x86_64",
            VirtualizationType="hvm",
            RootDeviceName=device,
            BlockDeviceMappings=[root],
            BillingProducts=[WINDOWS_PRODUCT] if machine.system == "windows" else [],
        )
        return str(reply["ImageId"])


def _encryption(machine: Machine) -> dict[str, Any]:
    """What a block device mapping says of it. The default key is the one used where none is named."""
    if not machine.encryption:
        return {}
    return {"Encrypted": True} | ({} if machine.encryption == DEFAULT_KEY else {"KmsKeyId": machine.encryption})


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
