"""A demo cloud in a process of its own, as tests use it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.waiting import until

BLOCK = 524_288


@dataclass
class Cloud:
    """``start`` and ``kill`` may be repeated: state is in ``data``."""

    data: Path
    pace: float = 0.0
    process: subprocess.Popen[str] | None = None
    url: str = ""
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def start(self) -> None:
        command = [sys.executable, "-m", "server.demo.cloud", "--data", str(self.data), "--port", "0", "--pace", str(self.pace)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), "the cloud did not start"
        self._clients.clear()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def client(self, service: str, region: str = "us-east-1", key: str = "demo", **options: Any) -> Any:
        """A boto3 client that does not retry. Ones without further options are shared."""
        known = (service, region, key)
        shared = not options
        if shared and known in self._clients:
            return self._clients[known]
        settings = {"retries": {"total_max_attempts": 1}, **options.pop("config", {})}
        options.setdefault("aws_secret_access_key", key)
        client: Any = boto3.client(
            service,  # type: ignore[call-overload]  # chosen at run time
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key,
            config=Config(**settings),
            **options,
        )
        if shared:
            self._clients[known] = client
        return client

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call ``/_demo/…``: JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_demo/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def volume(self, *blocks: tuple[int, bytes], size: int = 1, region: str = "us-east-1", **options: Any) -> str:
        """A new volume holding these blocks."""
        ec2 = self.client("ec2", region)
        volume_id: str = ec2.create_volume(Size=size, AvailabilityZone=f"{region}a", **options)["VolumeId"]
        for index, data in blocks:
            self.control("POST", f"volumes/{volume_id}/blocks/{index}", data)
        return volume_id

    def snapshot(self, volume_id: str, region: str = "us-east-1") -> str:
        """A new snapshot, completed."""
        ec2 = self.client("ec2", region)
        snapshot_id: str = ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
        until(lambda: ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]["State"] == "completed")
        return snapshot_id

    def image(self, region: str = "us-east-1", *, devices: tuple[str, ...] = ("/dev/xvda",)) -> str:
        """An AMI of fresh snapshots; the root disk has a block of R in front."""
        mappings = []
        for number, device in enumerate(devices):
            snapshot_id = self.snapshot(self.volume((number, b"R" * BLOCK), region=region), region)
            mappings.append({"DeviceName": device, "Ebs": {"SnapshotId": snapshot_id}})
        reply = self.client("ec2", region).register_image(
            Name=f"image-{time.monotonic_ns()}", RootDeviceName=devices[0], Architecture="x86_64", BlockDeviceMappings=mappings
        )
        return str(reply["ImageId"])

    def instance(self, image_id: str, region: str = "us-east-1", **options: Any) -> str:
        """A new instance, running."""
        ec2 = self.client("ec2", region)
        reply = ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t3.micro", **options)
        instance_id: str = reply["Instances"][0]["InstanceId"]
        until(lambda: self.state(instance_id, region) == "running")
        return instance_id

    def describe(self, instance_id: str, region: str = "us-east-1") -> dict[str, Any]:
        reply = self.client("ec2", region).describe_instances(InstanceIds=[instance_id])
        found: dict[str, Any] = reply["Reservations"][0]["Instances"][0]
        return found

    def state(self, instance_id: str, region: str = "us-east-1") -> str:
        return str(self.describe(instance_id, region)["State"]["Name"])


def block(letter: str) -> bytes:
    return letter.encode() * BLOCK


def refused(call: Callable[[], Any]) -> tuple[str, int]:
    """The error code and HTTP status a call is answered with."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError("the call was accepted")
