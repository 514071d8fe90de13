"""Killed at any moment, the account comes back with all it has acknowledged."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.demo.clouds import BLOCK, Cloud, block
from tests.waiting import until


def restart(cloud: Cloud) -> None:
    cloud.kill()
    cloud.start()


def test_everything_acknowledged_survives_a_kill(fresh_cloud: Cloud) -> None:
    instance_id = fresh_cloud.instance(fresh_cloud.image(), TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}])  # fmt: skip
    snapshot_id = fresh_cloud.snapshot(fresh_cloud.volume((4, block("k"))))
    listing = fresh_cloud.client("ebs").list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"]
    fresh_cloud.client("s3").create_bucket(Bucket="kept")
    data = os.urandom(9 * 1024 * 1024)
    fresh_cloud.client("s3").put_object(Bucket="kept", Key="pack", Body=data)
    fresh_cloud.client("iam", key="demo2").create_role(RoleName="R", AssumeRolePolicyDocument='{"Statement": []}')
    before = fresh_cloud.describe(instance_id)
    subnets = fresh_cloud.client("ec2", "eu-west-1").describe_subnets()["Subnets"]
    restart(fresh_cloud)
    assert fresh_cloud.describe(instance_id) == before
    reply = fresh_cloud.client("ebs").get_snapshot_block(SnapshotId=snapshot_id, **listing[0])
    assert reply["BlockData"].read() == block("k")
    assert fresh_cloud.client("s3").get_object(Bucket="kept", Key="pack")["Body"].read() == data
    assert fresh_cloud.client("iam", key="demo2").get_role(RoleName="R")["Role"]["RoleName"] == "R"
    assert fresh_cloud.client("ec2", "eu-west-1").describe_subnets()["Subnets"] == subnets
    copy = fresh_cloud.instance(before["ImageId"])
    root = fresh_cloud.describe(copy)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert list(fresh_cloud.control("GET", f"volumes/{root}/hash")["blocks"]) == ["0"]


def test_a_pending_upload_and_a_multipart_upload_go_on_after_a_kill(fresh_cloud: Cloud) -> None:
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.sha256(block("u")).digest()).decode()
    put: dict[str, Any] = {"BlockData": block("u"), "DataLength": BLOCK, "Checksum": digest, "ChecksumAlgorithm": "SHA256"}
    snapshot_id = fresh_cloud.client("ebs").start_snapshot(VolumeSize=1, ClientToken="once")["SnapshotId"]
    fresh_cloud.client("ebs").put_snapshot_block(SnapshotId=snapshot_id, BlockIndex=0, **put)
    fresh_cloud.client("s3").create_bucket(Bucket="parts")
    part: dict[str, Any] = {"Bucket": "parts", "Key": "k"}
    part["UploadId"] = fresh_cloud.client("s3").create_multipart_upload(**part)["UploadId"]
    first = fresh_cloud.client("s3").upload_part(PartNumber=1, Body=b"a" * 5 * 1024 * 1024, **part)["ETag"]
    restart(fresh_cloud)
    ebs, s3 = fresh_cloud.client("ebs"), fresh_cloud.client("s3")
    assert ebs.start_snapshot(VolumeSize=1, ClientToken="once")["SnapshotId"] == snapshot_id
    ebs.put_snapshot_block(SnapshotId=snapshot_id, BlockIndex=1, **put)
    assert ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=2)["Status"] == "completed"
    last = s3.upload_part(PartNumber=2, Body=b"b", **part)["ETag"]
    s3.complete_multipart_upload(
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": last}]}, **part
    )
    assert s3.head_object(Bucket="parts", Key="k")["ContentLength"] == 5 * 1024 * 1024 + 1


def test_freed_space_is_used_again(fresh_cloud: Cloud) -> None:
    log = fresh_cloud.data / "blocks" / "blocks.dat"
    volume_id = fresh_cloud.volume(*((index, block("a")) for index in range(20)))
    fresh_cloud.client("ec2").delete_volume(VolumeId=volume_id)
    kept = fresh_cloud.volume((0, block("b")))
    restart(fresh_cloud)
    fresh_cloud.volume(*((index, block("c")) for index in range(15)))
    assert log.stat().st_size == 21 * BLOCK
    assert len(fresh_cloud.control("GET", f"volumes/{kept}/hash")["blocks"]) == 1


class Writers:
    """Threads that keep changing the account and remember what was acknowledged."""

    def __init__(self, cloud: Cloud, volume_id: str) -> None:
        self._cloud, self._volume_id = cloud, volume_id
        self._stop = threading.Event()
        self.snapshots: set[str] = set()
        self.objects: dict[str, bytes] = {}
        clients = cloud.client("ec2", config={}), cloud.client("s3", config={})
        self._threads = [threading.Thread(target=self._snapshots, args=clients[:1])]
        self._threads += [threading.Thread(target=self._objects, args=(clients[1], number)) for number in range(2)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def work(self, seconds: float) -> None:
        """Let them for so long, and until something was acknowledged."""
        end = time.monotonic() + seconds
        until(lambda: time.monotonic() > end and bool(self.snapshots))

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _snapshots(self, ec2: Any) -> None:
        while not self._stop.is_set():
            try:
                self.snapshots.add(ec2.create_snapshot(VolumeId=self._volume_id)["SnapshotId"])
            except (BotoCoreError, ClientError):
                return

    def _objects(self, s3: Any, number: int) -> None:
        source = random.Random(number)
        while not self._stop.is_set():
            key, data = f"{number}-{source.randrange(5)}", source.randbytes(source.randrange(600_000))
            try:
                s3.put_object(Bucket="busy", Key=key, Body=data)
            except (BotoCoreError, ClientError):
                self.objects.pop(key, None)  # whether it was stored is unknown
                return
            self.objects[key] = data


def test_kills_while_busy_lose_nothing_acknowledged(fresh_cloud: Cloud) -> None:
    volume_id = fresh_cloud.volume((0, block("a")), (1, block("b")))
    root = fresh_cloud.control("GET", f"volumes/{volume_id}/hash")["root"]
    fresh_cloud.client("s3").create_bucket(Bucket="busy")
    for pause in (0.2, 0.7):
        writers = Writers(fresh_cloud, volume_id)
        writers.start()
        writers.work(pause)
        fresh_cloud.kill()
        writers.stop()
        fresh_cloud.start()
        known = {entry["SnapshotId"] for entry in fresh_cloud.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]}
        assert writers.snapshots <= known
        for snapshot_id in sorted(writers.snapshots)[:10]:
            assert fresh_cloud.control("GET", f"snapshots/{snapshot_id}/hash")["root"] == root
        for key, data in writers.objects.items():
            assert fresh_cloud.client("s3").get_object(Bucket="busy", Key=key)["Body"].read() == data
    stored = sum(1 for _ in (fresh_cloud.data / "objects").glob("??/*"))
    listed = fresh_cloud.client("s3").list_objects_v2(Bucket="busy")["KeyCount"]
    assert stored == listed  # nothing half written is left behind


def test_encrypted_disks_keep_their_key(fresh_cloud: Cloud) -> None:
    ec2 = fresh_cloud.client("ec2")
    volume_id = fresh_cloud.volume((0, block("e")), Encrypted=True)
    snapshot_id = fresh_cloud.snapshot(volume_id)
    key = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["KmsKeyId"]
    restart(fresh_cloud)
    ec2 = fresh_cloud.client("ec2")
    snapshot = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    assert (snapshot["Encrypted"], snapshot["KmsKeyId"]) == (True, key)
    copy = ec2.create_volume(SnapshotId=snapshot_id, AvailabilityZone="us-east-1a")
    assert (copy["Encrypted"], copy["KmsKeyId"]) == (True, key)
