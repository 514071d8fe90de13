"""EBS direct: blocks listed, read and written as AWS does it, and refused as AWS refuses them."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any

import pytest

from tests.demo.clouds import BLOCK, Cloud, block, refused


def checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def put(cloud: Cloud, snapshot_id: str, index: int, data: bytes, **changed: Any) -> Any:
    options = {"BlockData": data, "DataLength": len(data), "Checksum": checksum(data), "ChecksumAlgorithm": "SHA256", **changed}
    return cloud.client("ebs").put_snapshot_block(SnapshotId=snapshot_id, BlockIndex=index, **options)


def indexes(cloud: Cloud, snapshot_id: str) -> list[int]:
    return [entry["BlockIndex"] for entry in cloud.client("ebs").list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"]]


def test_written_blocks_are_listed_and_read_back(cloud: Cloud) -> None:
    ebs, snapshot_id = cloud.client("ebs"), cloud.snapshot(cloud.volume((0, block("a")), (2047, block("z"))))
    listing = ebs.list_snapshot_blocks(SnapshotId=snapshot_id)
    assert (listing["BlockSize"], listing["VolumeSize"], "NextToken" in listing) == (BLOCK, 1, False)
    assert listing["ExpiryTime"].timestamp() > time.time() + 86_400
    assert [entry["BlockIndex"] for entry in listing["Blocks"]] == [0, 2047]
    for entry, data in zip(listing["Blocks"], (block("a"), block("z")), strict=True):
        reply = ebs.get_snapshot_block(SnapshotId=snapshot_id, **entry)
        assert (reply["DataLength"], reply["Checksum"], reply["ChecksumAlgorithm"]) == (BLOCK, checksum(data), "SHA256")
        assert reply["BlockData"].read() == data


def test_changed_blocks_are_those_that_differ_or_are_in_one_only(cloud: Cloud) -> None:
    volume_id = cloud.volume((1, block("a")), (2, block("b")))
    first = cloud.snapshot(volume_id)
    cloud.control("POST", f"volumes/{volume_id}/blocks/2", block("c"))
    cloud.control("POST", f"volumes/{volume_id}/blocks/9", block("d"))
    second = cloud.snapshot(volume_id)
    ebs = cloud.client("ebs")

    def changes(a: str, b: str) -> list[tuple[int, bool, bool]]:
        found = ebs.list_changed_blocks(FirstSnapshotId=a, SecondSnapshotId=b)["ChangedBlocks"]
        return [(entry["BlockIndex"], "FirstBlockToken" in entry, "SecondBlockToken" in entry) for entry in found]

    assert changes(first, second) == [(2, True, True), (9, False, True)]
    assert changes(second, first) == [(2, True, True), (9, True, False)]
    assert changes(first, first) == []
    whole = ebs.list_changed_blocks(SecondSnapshotId=second)["ChangedBlocks"]
    assert [entry["BlockIndex"] for entry in whole] == [1, 2, 9]
    token = ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)["ChangedBlocks"][0]["SecondBlockToken"]
    data = ebs.get_snapshot_block(SnapshotId=second, BlockIndex=2, BlockToken=token)["BlockData"].read()
    assert data == block("c")


def test_snapshots_of_different_volumes_cannot_be_compared(cloud: Cloud) -> None:
    one, other = cloud.snapshot(cloud.volume()), cloud.snapshot(cloud.volume())
    ebs = cloud.client("ebs")
    assert refused(lambda: ebs.list_changed_blocks(FirstSnapshotId=one, SecondSnapshotId=other)) == ("ValidationException", 400)


def test_long_lists_come_in_pages(cloud: Cloud) -> None:
    ebs, volume_id = cloud.client("ebs"), cloud.volume()
    for index in range(250):
        cloud.control("POST", f"volumes/{volume_id}/blocks/{index * 2}", block("n"))
    snapshot_id = cloud.snapshot(volume_id)
    pages: list[list[int]] = []
    token: dict[str, str] = {}
    while not pages or token:
        reply = ebs.list_snapshot_blocks(SnapshotId=snapshot_id, MaxResults=100, **token)
        pages.append([entry["BlockIndex"] for entry in reply["Blocks"]])
        token = {"NextToken": reply["NextToken"]} if "NextToken" in reply else {}
    assert [len(page) for page in pages] == [100, 100, 50]
    assert [index for page in pages for index in page] == [index * 2 for index in range(250)]
    later = ebs.list_snapshot_blocks(SnapshotId=snapshot_id, StartingBlockIndex=401, MaxResults=100)["Blocks"]
    assert later[0]["BlockIndex"] == 402
    changed = ebs.list_changed_blocks(SecondSnapshotId=snapshot_id, MaxResults=100)
    assert (len(changed["ChangedBlocks"]), "NextToken" in changed) == (100, True)
    token = {"NextToken": changed["NextToken"]}
    assert refused(lambda: ebs.list_snapshot_blocks(SnapshotId=snapshot_id, **token)) == ("ValidationException", 400)
    raw = cloud.client("ebs", config={"parameter_validation": False})
    assert refused(lambda: raw.list_snapshot_blocks(SnapshotId=snapshot_id, MaxResults=99)) == ("ValidationException", 400)


def test_a_block_token_opens_one_block_only(cloud: Cloud) -> None:
    ebs, snapshot_id = cloud.client("ebs"), cloud.snapshot(cloud.volume((0, block("a")), (1, block("b"))))
    tokens = [entry["BlockToken"] for entry in ebs.list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"]]
    for index, token in ((0, tokens[1]), (5, tokens[0]), (0, "bm90IGEgdG9rZW4=")):
        call = lambda i=index, t=token: ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=i, BlockToken=t)  # noqa: E731
        assert refused(call) == ("ValidationException", 400)


def test_a_deleted_snapshot_is_not_found(cloud: Cloud) -> None:
    ebs, snapshot_id = cloud.client("ebs"), cloud.snapshot(cloud.volume((0, block("a"))))
    entry = ebs.list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"][0]
    cloud.client("ec2").delete_snapshot(SnapshotId=snapshot_id)
    assert refused(lambda: ebs.get_snapshot_block(SnapshotId=snapshot_id, **entry)) == ("ResourceNotFoundException", 404)
    others = cloud.client("ebs", key="demo2")
    foreign = cloud.snapshot(cloud.volume())
    assert refused(lambda: others.list_snapshot_blocks(SnapshotId=foreign)) == ("ResourceNotFoundException", 404)


def test_an_uploaded_snapshot_becomes_a_volume(cloud: Cloud) -> None:
    ebs, ec2 = cloud.client("ebs"), cloud.client("ec2")
    started = ebs.start_snapshot(VolumeSize=2, Description="restored", Tags=[{"Key": "holdfast:task", "Value": "t"}])
    snapshot_id = started["SnapshotId"]
    assert (started["Status"], started["BlockSize"], started["VolumeSize"]) == ("pending", BLOCK, 2)
    assert ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]["State"] == "pending"
    for index, letter in ((0, "a"), (4095, "b"), (0, "c")):  # a block may be written again
        assert put(cloud, snapshot_id, index, block(letter))["Checksum"] == checksum(block(letter))
    total = hashlib.sha256(hashlib.sha256(block("c")).digest() + hashlib.sha256(block("b")).digest()).digest()
    aggregate = {"ChecksumAlgorithm": "SHA256", "ChecksumAggregationMethod": "LINEAR"}
    ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=2, Checksum=base64.b64encode(total).decode(), **aggregate)
    found = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    assert (found["State"], found["VolumeSize"], found["VolumeId"]) == ("completed", 2, "vol-ffffffff")
    assert {"Key": "holdfast:task", "Value": "t"} in found["Tags"]
    volume_id = ec2.create_volume(SnapshotId=snapshot_id, AvailabilityZone="us-east-1a")["VolumeId"]
    digests = cloud.control("GET", f"volumes/{volume_id}/hash")["blocks"]
    assert digests == {"0": hashlib.sha256(block("c")).hexdigest(), "4095": hashlib.sha256(block("b")).hexdigest()}


def test_an_upload_over_a_parent_inherits_its_blocks(cloud: Cloud) -> None:
    ebs, parent = cloud.client("ebs"), cloud.snapshot(cloud.volume((0, block("a")), (1, block("b"))))
    child = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=parent)["SnapshotId"]
    put(cloud, child, 1, block("x"))
    ebs.complete_snapshot(SnapshotId=child, ChangedBlocksCount=1)
    assert indexes(cloud, child) == [0, 1]
    changed = ebs.list_changed_blocks(FirstSnapshotId=parent, SecondSnapshotId=child)["ChangedBlocks"]
    assert [entry["BlockIndex"] for entry in changed] == [1]


@pytest.mark.parametrize(
    ("index", "data", "changed"),
    [
        (0, block("a"), {"Checksum": checksum(b"other")}),
        (0, b"short", {}),
        (0, block("a"), {"DataLength": 7}),
        (2048, block("a"), {}),
    ],
    ids=["wrong checksum", "short block", "wrong length", "beyond the end"],
)
def test_bad_blocks_are_refused(cloud: Cloud, index: int, data: bytes, changed: dict[str, Any]) -> None:
    snapshot_id = cloud.client("ebs").start_snapshot(VolumeSize=1)["SnapshotId"]
    assert refused(lambda: put(cloud, snapshot_id, index, data, **changed)) == ("ValidationException", 400)
    cloud.client("ec2").delete_snapshot(SnapshotId=snapshot_id)


def test_completion_counts_the_blocks_and_closes_the_snapshot(cloud: Cloud) -> None:
    ebs = cloud.client("ebs")
    snapshot_id = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    put(cloud, snapshot_id, 0, block("a"))

    def complete(count: int, **more: str) -> Any:
        return ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=count, **more)

    assert refused(lambda: complete(2)) == ("ValidationException", 400)
    wrong = {"Checksum": checksum(b"x"), "ChecksumAlgorithm": "SHA256", "ChecksumAggregationMethod": "LINEAR"}
    assert refused(lambda: complete(1, **wrong)) == ("ValidationException", 400)
    complete(1)
    assert complete(1)["Status"] == "completed"  # as after a lost reply
    assert refused(lambda: put(cloud, snapshot_id, 1, block("b"))) == ("ValidationException", 400)


def test_the_same_client_token_starts_one_snapshot(cloud: Cloud) -> None:
    ebs, token = cloud.client("ebs"), f"start-{time.monotonic_ns()}"
    first = ebs.start_snapshot(VolumeSize=1, ClientToken=token)["SnapshotId"]
    assert ebs.start_snapshot(VolumeSize=1, ClientToken=token)["SnapshotId"] == first
    assert refused(lambda: ebs.start_snapshot(VolumeSize=2, ClientToken=token)) == ("ConflictException", 409)
    cloud.client("ec2").delete_snapshot(SnapshotId=first)


def test_a_hundred_pending_uploads_are_enough(cloud: Cloud) -> None:
    ebs, ec2 = cloud.client("ebs", "eu-west-2"), cloud.client("ec2", "eu-west-2")
    started = [ebs.start_snapshot(VolumeSize=1)["SnapshotId"] for _ in range(100)]
    assert refused(lambda: ebs.start_snapshot(VolumeSize=1)) == ("ConcurrentLimitExceededException", 400)
    ec2.delete_snapshot(SnapshotId=started[0])
    ebs.start_snapshot(VolumeSize=1)


def test_errors_carry_reason_and_type(cloud: Cloud) -> None:
    ebs = cloud.client("ebs")
    with pytest.raises(ebs.exceptions.ResourceNotFoundException) as caught:
        ebs.list_snapshot_blocks(SnapshotId="snap-0123456789abcdef0")
    assert caught.value.response["Reason"] == "SNAPSHOT_NOT_FOUND"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"] == "ResourceNotFoundException"
