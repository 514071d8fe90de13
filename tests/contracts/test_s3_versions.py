"""What only S3 can get wrong with versions, locks and uploads; S3 as the demo account does it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from server.adapters.blobs.s3 import S3Blobs
from server.adapters.blobs.s3_bucket import S3Bucket
from server.adapters.blobs.s3_upload import abort_abandoned
from server.domain.errors import AwsAccessDenied, Unavailable
from tests.contracts.buckets import DemoS3, demo_s3

LATER = timedelta(days=1)


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoS3]:
    with demo_s3() as found:
        yield found


class Answer:
    """A body as botocore's HTTP layer hands it on."""

    def __init__(self, text: str) -> None:
        self._text = text

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._text.encode()


def test_versions_enabled_behind_our_back_hide_nothing(demo: DemoS3) -> None:
    name = demo.bucket()
    blobs = S3Blobs(demo.client, name)
    for each in ("a", "b"):
        blobs.put(each, b"1")
    assert blobs.delete(["a"]) == []
    demo.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    assert blobs.delete(["b"]) == []
    left = demo.client.list_object_versions(Bucket=name)
    assert ("Versions" in left, "DeleteMarkers" in left) == (False, False)


def test_suspended_versioning_leaves_nothing_behind(demo: DemoS3) -> None:
    name = demo.bucket()
    versioning = {"Status": "Enabled"}
    demo.client.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)  # type: ignore[arg-type]  # a plain dict
    demo.client.put_object(Bucket=name, Key="a", Body=b"0")
    demo.client.put_object(Bucket=name, Key="b", Body=b"0")
    demo.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    blobs = S3Blobs(demo.client, name)
    blobs.put("a", b"1")
    assert [version["VersionId"] for version in demo.client.list_object_versions(Bucket=name, Prefix="a")["Versions"]] == [
        "null"
    ]
    assert blobs.delete(["a", "b"]) == []
    left = demo.client.list_object_versions(Bucket=name)
    assert ("Versions" in left, "DeleteMarkers" in left) == (False, False)


def test_neighbours_are_looked_up_together(demo: DemoS3) -> None:
    blobs = S3Blobs(demo.client, demo.bucket(lock=True), "folder")
    names = [f"packs/{number:03}" for number in range(60)]
    for name in names:
        blobs.put(name, b"", if_absent=True)
    demo.account.control("DELETE", "calls")
    assert blobs.delete(names[::2]) == []
    calls = demo.account.control("GET", "calls")
    assert {name: calls.get(f"s3:{name}", 0) for name in ("ListObjectVersions", "DeleteObjects")} == {
        "ListObjectVersions": 1,
        "DeleteObjects": 1,
    }
    assert [blob.name for blob in blobs.list()] == names[1::2]


def test_uploads_nobody_finished_are_cleared_away(demo: DemoS3) -> None:
    bucket = demo.bucket()
    blobs, neighbour = S3Blobs(demo.client, bucket, "folder"), S3Blobs(demo.client, bucket, "folder-2")
    for store in (blobs, blobs, neighbour):
        store.upload("large").part(1, b"1")
    abort_abandoned(S3Bucket(demo.client, bucket, "folder", 1000), blobs.now() + timedelta(days=6))
    assert len(demo.client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 3
    abort_abandoned(S3Bucket(demo.client, bucket, "folder", 1000), blobs.now() + timedelta(days=8))
    left = demo.client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["folder-2/large"]


def test_a_missing_permission_is_no_lock(demo: DemoS3) -> None:
    name = demo.bucket(lock=True)
    blobs = S3Blobs(demo.client, name)
    blobs.put("a", b"1")
    demo.account.fault("s3:DeleteObjects", "denied")
    with pytest.raises(AwsAccessDenied, match="DeleteObjects") as caught:
        blobs.delete(["a"])
    assert "s3:DeleteObjectVersion" in (caught.value.remedy or "")
    assert blobs.get("a") == b"1"


@pytest.mark.parametrize("locked", [True, False])
def test_a_refusal_that_names_no_lock_is_looked_into(demo: DemoS3, locked: bool) -> None:
    bucket = demo.bucket(lock=True)
    blobs = S3Blobs(demo.client, bucket)
    blobs.put("a", b"1", lock_until=blobs.now() + LATER if locked else None)
    (version,) = demo.client.list_object_versions(Bucket=bucket)["Versions"]
    refusal = f"<Key>a</Key><VersionId>{version['VersionId']}</VersionId><Code>AccessDenied</Code><Message>No</Message>"

    def refuse(request: Any, **_: Any) -> Any:
        return AWSResponse(request.url, 200, HTTPHeaders(), Answer(f"<DeleteResult><Error>{refusal}</Error></DeleteResult>"))

    demo.client.meta.events.register("before-send.s3.DeleteObjects", refuse)
    try:
        if locked:
            assert blobs.delete(["a"]) == ["a"]
        else:
            with pytest.raises(AwsAccessDenied, match="DeleteObjects"):
                blobs.delete(["a"])
    finally:
        demo.client.meta.events.unregister("before-send.s3.DeleteObjects", refuse)


def test_a_lost_reply_of_the_last_step_of_an_upload(demo: DemoS3) -> None:
    blobs = S3Blobs(demo.client, demo.bucket(lock=True), "folder")
    upload = blobs.upload("large")
    upload.part(1, b"x" * 1000)
    demo.account.fault("s3:CompleteMultipartUpload", "lost_reply")
    with pytest.raises(Unavailable):
        upload.complete()
    assert upload.complete().size == 1000
    assert [blob.name for blob in blobs.list()] == ["large"]


def test_retention_that_cannot_be_set_is_told(demo: DemoS3) -> None:
    blobs = S3Blobs(demo.client, demo.bucket(lock=True))
    blobs.put("a", b"1")
    demo.account.fault("s3:PutObjectRetention", "denied")
    with pytest.raises(AwsAccessDenied) as caught:
        blobs.extend_locks(["a"], blobs.now() + LATER)
    assert "s3:PutObjectRetention" in (caught.value.remedy or "")
