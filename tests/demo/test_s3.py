"""S3: conditional writes, ranges, listing order, multipart uploads, and who may see what."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.demo.clouds import Cloud, refused

MIB = 1024 * 1024


@pytest.fixture
def bucket(cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty bucket of its own, emptied and removed afterwards."""
    name = f"b-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]}"
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name)
    yield name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        if keys := [{"Key": item["Key"]} for item in page.get("Contents", [])]:
            s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
    s3.delete_bucket(Bucket=name)


def keys(cloud: Cloud, bucket: str, **options: Any) -> list[str]:
    return [item["Key"] for item in cloud.client("s3").list_objects_v2(Bucket=bucket, **options).get("Contents", [])]


def test_an_object_comes_back_whole_and_in_parts(cloud: Cloud, bucket: str) -> None:
    s3, data = cloud.client("s3"), os.urandom(3 * MIB + 5)
    s3.put_object(Bucket=bucket, Key="k", Body=data, ContentType="application/x-pack", Metadata={"point": "7"})
    whole = s3.get_object(Bucket=bucket, Key="k")
    assert whole["Body"].read() == data
    assert (whole["ContentType"], whole["Metadata"]) == ("application/x-pack", {"point": "7"})
    for text, part in (("bytes=5-14", data[5:15]), ("bytes=-5", data[-5:]), (f"bytes={3 * MIB}-", data[3 * MIB :])):
        reply = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert reply["Body"].read() == part
        assert reply["ContentRange"].endswith(f"/{len(data)}")
    assert refused(lambda: s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={len(data)}-")) == ("InvalidRange", 416)
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == len(data)
    empty = s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert s3.get_object(Bucket=bucket, Key="empty", IfMatch=empty["ETag"])["Body"].read() == b""


def test_only_the_first_conditional_write_wins(cloud: Cloud, bucket: str) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(6)

    def write(number: int) -> None:
        s3 = cloud.client("s3", config={"max_pool_connections": 1})
        start.wait()
        try:
            s3.put_object(Bucket=bucket, Key="commit", Body=b"x" * MIB + bytes([number]), IfNoneMatch="*")
            outcomes.append(f"won {number}")
        except s3.exceptions.ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if outcome.startswith("won")]
    assert (len(winners), outcomes.count("PreconditionFailed")) == (1, 5)
    stored = cloud.client("s3").get_object(Bucket=bucket, Key="commit")["Body"].read()
    assert winners == [f"won {stored[-1]}"]


def test_a_write_may_demand_the_version_it_read(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    first = s3.put_object(Bucket=bucket, Key="owner", Body=b"1")["ETag"]
    second = s3.put_object(Bucket=bucket, Key="owner", Body=b"2", IfMatch=first)["ETag"]
    assert refused(lambda: s3.put_object(Bucket=bucket, Key="owner", Body=b"3", IfMatch=first)) == ("PreconditionFailed", 412)
    assert refused(lambda: s3.put_object(Bucket=bucket, Key="absent", Body=b"3", IfMatch=first)) == ("NoSuchKey", 404)
    assert refused(lambda: s3.delete_object(Bucket=bucket, Key="owner", IfMatch=first)) == ("PreconditionFailed", 412)
    assert refused(lambda: s3.get_object(Bucket=bucket, Key="owner", IfNoneMatch=second)) == ("304", 304)
    s3.delete_object(Bucket=bucket, Key="owner", IfMatch=second)


def test_keys_are_listed_in_the_order_of_their_bytes(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    names = ["a", "A", "a/b", "a b", "a+b&<c>", "é", "\U0001f600", "\uffee", "z" * 200, "%41"]
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=b"")
    expected = sorted(names, key=str.encode)
    assert keys(cloud, bucket) == expected
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
    assert [item["Key"] for page in pages for item in page["Contents"]] == expected
    assert keys(cloud, bucket, Prefix="a") == [name for name in expected if name.startswith("a")]
    assert keys(cloud, bucket, StartAfter="a/b") == expected[expected.index("a/b") + 1 :]
    old = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
    assert [item["Key"] for page in old for item in page["Contents"]] == expected


def test_a_delimiter_folds_folders_across_pages(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    for name in ("packs/aa/1", "packs/aa/2", "packs/bb/1", "packs/index", "points/1", "config"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"")
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix="packs/", Delimiter="/", PaginationConfig={"PageSize": 1}
        )
    )
    assert [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])] == ["packs/aa/", "packs/bb/"]
    assert [item["Key"] for page in pages for item in page.get("Contents", [])] == ["packs/index"]
    assert [page["KeyCount"] for page in pages] == [1, 1, 1]


def test_a_multipart_upload_is_one_object_once_complete(cloud: Cloud, bucket: str, folder: Path) -> None:
    s3, data = cloud.client("s3"), os.urandom(20 * MIB)
    source, target = folder / "source", folder / "target"
    source.write_bytes(data)
    s3.upload_file(str(source), bucket, "big")
    s3.download_file(bucket, "big", str(target))
    assert target.read_bytes() == data
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    tags = [s3.upload_part(PartNumber=number, Body=data[: 5 * MIB], **part)["ETag"] for number in (1, 2)]
    assert [entry["PartNumber"] for entry in s3.list_parts(**part)["Parts"]] == [1, 2]
    assert keys(cloud, bucket) == ["big"]
    asked = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    reverse = {"Parts": asked[::-1]}
    assert refused(lambda: s3.complete_multipart_upload(MultipartUpload=reverse, **part)) == ("InvalidPartOrder", 400)
    s3.complete_multipart_upload(MultipartUpload={"Parts": asked}, IfNoneMatch="*", **part)
    assert s3.head_object(Bucket=bucket, Key="parts")["ContentLength"] == 10 * MIB
    assert refused(lambda: s3.upload_part(PartNumber=3, Body=b"x", **part)) == ("NoSuchUpload", 404)


def test_an_aborted_upload_leaves_nothing(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="gone")["UploadId"]
    part = {"Bucket": bucket, "Key": "gone", "UploadId": upload}
    s3.upload_part(PartNumber=1, Body=b"x", **part)
    assert [entry["UploadId"] for entry in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    s3.abort_multipart_upload(**part)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert refused(lambda: s3.list_parts(**part)) == ("NoSuchUpload", 404)


def test_wrong_checksums_are_refused_and_nothing_is_stored(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    wrong: dict[str, Any]
    for wrong in ({"ChecksumSHA256": "AAAA"}, {"ChecksumCRC32": "AAAAAA=="}, {"ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}):
        assert refused(functools.partial(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **wrong)) == ("BadDigest", 400)
    assert keys(cloud, bucket) == []


def test_many_are_deleted_at_once_and_a_full_bucket_stays(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
    assert refused(lambda: s3.delete_bucket(Bucket=bucket)) == ("BucketNotEmpty", 409)
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k1"}, {"Key": "k3"}, {"Key": "absent"}]})
    assert [entry["Key"] for entry in answer["Deleted"]] == ["k1", "k3", "absent"]
    assert keys(cloud, bucket) == ["k0", "k2", "k4"]


def test_copies_and_presigned_addresses_work(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3", config={"signature_version": "s3v4"})
    s3.put_object(Bucket=bucket, Key="from me", Body=b"content")
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from me"})
    address = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "to"})
    with urllib.request.urlopen(address, timeout=10) as reply:
        assert reply.read() == b"content"


@pytest.mark.parametrize("operation", ["list_objects_v2", "head_bucket", "get_bucket_location"])
def test_foreign_and_absent_buckets_are_refused(cloud: Cloud, bucket: str, operation: str) -> None:
    others = cloud.client("s3", key="demo2")
    assert refused(lambda: getattr(others, operation)(Bucket=bucket))[1] == 403
    assert refused(lambda: getattr(others, operation)(Bucket="there-is-no-such-bucket"))[1] == 404


def test_a_bucket_lives_in_its_region(cloud: Cloud) -> None:
    europe, name = cloud.client("s3", "eu-central-1"), "bucket-in-europe"
    where = {"LocationConstraint": "eu-central-1"}
    america = cloud.client("s3")
    create = lambda: america.create_bucket(Bucket=name, CreateBucketConfiguration=where)  # noqa: E731
    assert refused(create)[0] == "IllegalLocationConstraintException"
    europe.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    assert refused(lambda: europe.create_bucket(Bucket=name, CreateBucketConfiguration=where))[0] == "BucketAlreadyOwnedByYou"
    assert refused(lambda: cloud.client("s3", key="demo2").create_bucket(Bucket=name))[0] == "BucketAlreadyExists"
    assert america.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-central-1"  # redirected by boto3
    europe.delete_bucket(Bucket=name)


def test_what_is_not_there_yet_says_so(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert refused(lambda: s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tagging)) == ("NotImplemented", 501)
    call = lambda: s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})  # noqa: E731
    assert refused(call) == ("NotImplemented", 501)
    code, status = refused(lambda: s3.get_object_lock_configuration(Bucket=bucket))
    assert (code, status) == ("ObjectLockConfigurationNotFoundError", 404)
