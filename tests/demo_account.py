"""The demo AWS account as a process of its own, at a quick pace, and what tests need in it: a network, an AMI, instances."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

import pytest

from server.adapters.aws import Boto3Aws
from server.adapters.clock import SystemClock
from server.domain.workload import Place
from server.ports import BLOCK_SIZE
from server.supervise.ports import free_port
from tests.waiting import until

REGION = "eu-central-1"
HOME = Place(UUID(int=1), None, None, REGION)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"}
NO_OTHER_CREDENTIALS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
PACE = "0.1"  # transitions take about a tenth of a second
START_SECONDS = 60.0


class DemoAccount:
    """``with DemoAccount() as account``: the process runs inside the block, its data is removed after it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-aws-"))
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> DemoAccount:
        command = [sys.executable, "-m", "server.demo.cloud", "--data", str(self._folder), "--port", str(self._port)]
        self._process = subprocess.Popen([*command, "--pace", PACE], env={**os.environ, **CREDENTIALS})
        try:
            until(lambda: self._answers() or self._process.poll() is not None, START_SECONDS, what="the demo account's start")
            assert self._process.poll() is None, "the demo account did not start"
        except AssertionError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            self.control("GET", "healthz")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def control(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(f"{self.url}/_demo/{path}", data=body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def fault(self, operation: str, kind: str, *, times: int | None = 1, probability: float = 1.0, delay: float = 0.0) -> None:
        body = {"operation": operation, "kind": kind, "times": times, "probability": probability, "delay": delay}
        self.control("POST", "faults", json.dumps(body).encode())

    def reset(self) -> None:
        self.control("DELETE", "faults")
        self.control("DELETE", "calls")

    def calls(self, operation: str) -> int:
        return int(self.control("GET", "calls").get(operation, 0))

    def write(self, volume_id: str, index: int, fill: int) -> None:
        """What a guest's write to its disk does."""
        self.control("POST", f"volumes/{volume_id}/blocks/{index}", bytes([fill]) * BLOCK_SIZE)

    def hashes(self, disk_id: str) -> dict[str, str]:
        """Block index → SHA-256 of a volume or snapshot, non-zero blocks only."""
        kind = "volumes" if disk_id.startswith("vol-") else "snapshots"
        found: dict[str, str] = self.control("GET", f"{kind}/{disk_id}/hash")["blocks"]
        return found


@dataclass
class Site:
    """A Region of the account with a VPC, a subnet, a security group, a key pair, an IAM profile and an AMI."""

    account: DemoAccount
    aws: Boto3Aws
    place: Place = HOME
    vpc: str = ""
    subnet: str = ""
    group: str = ""
    image: str = ""
    key: str = "ops"
    profile: str = "web-profile"
    made: list[str] = field(default_factory=list)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.aws.call(self.place, "ec2", operation, **params)

    def build(self) -> Site:
        self.vpc = self.call("create_vpc", CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        zone = f"{self.place.region}a"
        self.subnet = self.call("create_subnet", VpcId=self.vpc, CidrBlock="10.7.1.0/24", AvailabilityZone=zone)["Subnet"][
            "SubnetId"
        ]
        group = self.call("create_security_group", GroupName="web", Description="web servers", VpcId=self.vpc)
        self.group = group["GroupId"]
        self.call("create_key_pair", KeyName=self.key)
        self.aws.call(self.place, "iam", "create_instance_profile", InstanceProfileName=self.profile)
        self.image = self.register_image("web-image")
        return self

    def register_image(self, name: str, *, root: str = "/dev/xvda", architecture: str = "x86_64", **params: Any) -> str:
        """An AMI with one empty 1 GiB root disk."""
        volume = self.call("create_volume", AvailabilityZone=f"{self.place.region}a", Size=1)["VolumeId"]
        until(lambda: self.volume(volume)["State"] == "available")
        snapshot = self.call("create_snapshot", VolumeId=volume)["SnapshotId"]
        until(lambda: self.call("describe_snapshots", SnapshotIds=[snapshot])["Snapshots"][0]["State"] == "completed")
        self.call("delete_volume", VolumeId=volume)
        return str(
            self.call(
                "register_image",
                Name=name,
                RootDeviceName=root,
                Architecture=architecture,
                VirtualizationType="hvm",
                BlockDeviceMappings=[{"DeviceName": root, "Ebs": {"SnapshotId": snapshot}}],
                **params,
            )["ImageId"]
        )

    def launch(
        self, name: str, *, data_disks: int = 1, profile: bool = False, key: bool = False, image: str = "", **params: Any
    ) -> str:
        """A running instance with a root disk and this many tagged 1 GiB data disks at /dev/sdf, /dev/sdg …"""
        extra: dict[str, Any] = {"IamInstanceProfile": {"Name": self.profile}} if profile else {}
        if key:
            extra["KeyName"] = self.key
        launched = self.call(
            "run_instances",
            ImageId=image or self.image,
            MinCount=1,
            MaxCount=1,
            InstanceType="t3.small",
            SubnetId=self.subnet,
            SecurityGroupIds=[self.group],
            TagSpecifications=[
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": "Name", "Value": name}, {"Key": "Environment", "Value": "production"}],
                }
            ],
            **extra,
            **params,
        )
        instance = str(launched["Instances"][0]["InstanceId"])
        until(lambda: self.state(instance) == "running")
        for number in range(data_disks):
            self.attach_disk(instance, f"/dev/sd{'fghij'[number]}", name=f"{name}-data{number}")
        return instance

    def attach_disk(self, instance: str, device: str, *, name: str) -> str:
        volume = str(
            self.call(
                "create_volume",
                AvailabilityZone=f"{self.place.region}a",
                Size=1,
                VolumeType="gp3",
                Iops=4000,
                Throughput=200,
                TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": name}]}],
            )["VolumeId"]
        )
        self.attach(volume, instance, device)
        return volume

    def attach(self, volume: str, instance: str, device: str) -> None:
        until(lambda: self.volume(volume)["State"] == "available")
        self.call("attach_volume", VolumeId=volume, InstanceId=instance, Device=device)
        until(lambda: self.volume(volume)["Attachments"][0]["State"] == "attached")

    def detach(self, volume: str) -> None:
        self.call("detach_volume", VolumeId=volume)
        until(lambda: self.volume(volume)["State"] == "available")

    def state(self, instance: str) -> str:
        found = self.call("describe_instances", InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return str(found["State"]["Name"])

    def volume(self, volume: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("describe_volumes", VolumeIds=[volume])["Volumes"][0]
        return found

    def volumes_of(self, instance: str) -> dict[str, str]:
        """Device → volume id."""
        filters = [{"Name": "attachment.instance-id", "Values": [instance]}]
        found = self.call("describe_volumes", Filters=filters)["Volumes"]
        return {v["Attachments"][0]["Device"]: v["VolumeId"] for v in found}

    def of_task(self, token: str) -> dict[str, list[str]]:
        """What carries the task's tag and is not gone: kind → ids."""
        filters = [{"Name": "tag:holdfast:task", "Values": [token]}]
        instances = [i for r in self.call("describe_instances", Filters=filters)["Reservations"] for i in r["Instances"]]
        return {
            "instances": [i["InstanceId"] for i in instances if i["State"]["Name"] != "terminated"],
            "volumes": [v["VolumeId"] for v in self.call("describe_volumes", Filters=filters)["Volumes"]],
            "snapshots": [s["SnapshotId"] for s in self.call("describe_snapshots", Filters=filters)["Snapshots"]],
        }


@contextlib.contextmanager
def demo_account() -> Iterator[DemoAccount]:
    """The account running, and its home credentials, only those, in the environment."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        for name, value in {**CREDENTIALS, **NO_OTHER_CREDENTIALS}.items():
            environment.setenv(name, value)
        with DemoAccount() as account:
            yield account


def site(account: DemoAccount) -> Site:
    return Site(account, Boto3Aws(SystemClock(), endpoint_url=account.url))
