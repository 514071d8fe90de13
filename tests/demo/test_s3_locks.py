"""S3 with versions, Object Lock and archive classes: what real S3 refuses is refused here too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests.demo.clouds import Cloud, refused
from tests.waiting import until

NOW = datetime.now(UTC)
TOMORROW, NEXT_WEEK = NOW + timedelta(days=1), NOW + timedelta(days=7)
DENIED = ("AccessDenied", 403)


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    return cloud.client("s3", config={"request_checksum_calculation": "when_required"})


@pytest.fixture
def bucket(s3: Any) -> str:
    """Empty, with versions and Object Lock. It stays: what is locked cannot be removed."""
    name = f"locked-{uuid4()}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def lock(mode: str = "COMPLIANCE", end: datetime = TOMORROW) -> dict[str, Any]:
    return {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": end, "ChecksumAlgorithm": "CRC32"}


def versions(s3: Any, bucket: str, **options: Any) -> list[tuple[str, bool, bool]]:
    """(version id, whether it is the newest, whether it is a delete marker), as S3 lists them."""
    page = s3.list_object_versions(Bucket=bucket, **options)
    found = [(each["LastModified"], each["VersionId"], each["IsLatest"], False) for each in page.get("Versions", [])]
    found += [(each["LastModified"], each["VersionId"], each["IsLatest"], True) for each in page.get("DeleteMarkers", [])]
    return [each[1:] for each in sorted(found, key=lambda each: each[0], reverse=True)]


class TestVersions:
    def test_a_deletion_hides_and_its_removal_reveals(self, s3: Any, bucket: str) -> None:
        first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
        second = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
        gone = s3.delete_object(Bucket=bucket, Key="k")
        assert gone["DeleteMarker"] is True
        assert refused(lambda: s3.get_object(Bucket=bucket, Key="k")) == ("NoSuchKey", 404)
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
        assert versions(s3, bucket) == [(gone["VersionId"], True, True), (second, False, False), (first, False, False)]
        assert s3.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read() == b"1"
        marker = {"Bucket": bucket, "Key": "k", "VersionId": gone["VersionId"]}
        assert refused(lambda: s3.get_object(**marker)) == ("MethodNotAllowed", 405)
        assert s3.delete_object(**marker)["DeleteMarker"] is True
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"
        s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"

    def test_conditions_look_at_what_shows(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
        put = partial(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
        assert refused(put) == ("PreconditionFailed", 412)
        s3.delete_object(Bucket=bucket, Key="k")
        put()
        assert len(versions(s3, bucket)) == 3

    def test_pages_of_versions_fit_together(self, s3: Any, bucket: str) -> None:
        for key in ("a", "b", "b/c", "ü"):
            for number in range(3):
                s3.put_object(Bucket=bucket, Key=key, Body=bytes([number]))
        s3.delete_object(Bucket=bucket, Key="b")
        whole = s3.list_object_versions(Bucket=bucket)
        pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}))
        for kind in ("Versions", "DeleteMarkers"):
            assert [each for page in pages for each in page.get(kind, [])] == whole[kind]
        assert [each["Key"] for each in whole["Versions"]] == ["a"] * 3 + ["b"] * 3 + ["b/c"] * 3 + ["ü"] * 3
        after = s3.list_object_versions(Bucket=bucket, KeyMarker="b", Prefix="b")
        assert {each["Key"] for each in after["Versions"]} == {"b/c"}

    def test_suspended_versioning_replaces_the_version_without_an_id(self, s3: Any) -> None:
        bucket = f"suspended-{uuid4()}"
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="k", Body=b"0")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        kept = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        assert s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"] == "null"
        assert versions(s3, bucket) == [("null", True, False), (kept, False, False)]
        assert s3.delete_object(Bucket=bucket, Key="k")["VersionId"] == "null"
        assert versions(s3, bucket) == [("null", True, True), (kept, False, False)]
        assert refused(lambda: s3.delete_bucket(Bucket=bucket)) == ("BucketNotEmpty", 409)

    def test_many_versions_go_at_once(self, s3: Any, bucket: str) -> None:
        ids = [s3.put_object(Bucket=bucket, Key="k", Body=b"")["VersionId"] for _ in range(3)]
        objects = [{"Key": "k", "VersionId": each} for each in ids[:2]] + [{"Key": "k"}]
        done = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})["Deleted"]
        assert [each.get("VersionId") for each in done] == [*ids[:2], None]
        assert done[2]["DeleteMarker"] is True
        assert versions(s3, bucket) == [(done[2]["DeleteMarkerVersionId"], True, True), (ids[2], False, False)]


class TestLocks:
    def test_nobody_removes_or_shortens_a_compliance_lock(self, s3: Any, bucket: str) -> None:
        made = s3.put_object(Bucket=bucket, Key="k", Body=b"1", **lock())["VersionId"]
        which = {"Bucket": bucket, "Key": "k", "VersionId": made}
        assert refused(lambda: s3.delete_object(**which)) == DENIED
        assert refused(lambda: s3.delete_object(**which, BypassGovernanceRetention=True)) == DENIED
        (error,) = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": made}]})["Errors"]
        assert (error["Code"], error["VersionId"]) == ("AccessDenied", made)
        earlier = {"Mode": "COMPLIANCE", "RetainUntilDate": NOW + timedelta(hours=1)}
        weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": NEXT_WEEK}
        for less in (earlier, weaker):
            call = partial(s3.put_object_retention, **which, Retention=less, BypassGovernanceRetention=True)
            assert refused(call) == DENIED
        s3.put_object_retention(**which, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": NEXT_WEEK})
        found = s3.get_object_retention(**which)["Retention"]
        assert (found["Mode"], found["RetainUntilDate"].date()) == ("COMPLIANCE", NEXT_WEEK.date())
        assert s3.head_object(Bucket=bucket, Key="k")["ObjectLockMode"] == "COMPLIANCE"
        s3.delete_object(Bucket=bucket, Key="k")
        assert s3.get_object(**which)["Body"].read() == b"1"

    def test_governance_can_be_bypassed(self, s3: Any, bucket: str) -> None:
        made = s3.put_object(Bucket=bucket, Key="k", Body=b"1", **lock("GOVERNANCE"))["VersionId"]
        which = {"Bucket": bucket, "Key": "k", "VersionId": made}
        assert refused(lambda: s3.delete_object(**which)) == DENIED
        s3.delete_object(**which, BypassGovernanceRetention=True)
        assert versions(s3, bucket) == []

    def test_a_lock_ends_by_itself(self, s3: Any, bucket: str) -> None:
        end = datetime.now(UTC) + timedelta(seconds=2)
        made = s3.put_object(Bucket=bucket, Key="k", Body=b"1", **lock(end=end))["VersionId"]
        which = {"Bucket": bucket, "Key": "k", "VersionId": made}
        assert refused(lambda: s3.delete_object(**which)) == DENIED
        until(lambda: datetime.now(UTC) > end, what="the lock's end")
        s3.delete_object(**which)
        assert versions(s3, bucket) == []

    def test_the_default_locks_what_comes_without_a_lock(self, s3: Any, bucket: str) -> None:
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 2}}
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})
        plain = s3.put_object(Bucket=bucket, Key="plain", Body=b"1", ChecksumAlgorithm="CRC32")
        assert refused(lambda: s3.delete_object(Bucket=bucket, Key="plain", VersionId=plain["VersionId"])) == DENIED
        head = s3.head_object(Bucket=bucket, Key="plain")
        assert timedelta(days=1.9) < head["ObjectLockRetainUntilDate"] - datetime.now(UTC) <= timedelta(days=2)
        s3.put_object(Bucket=bucket, Key="own", Body=b"1", **lock("GOVERNANCE", NEXT_WEEK))
        assert s3.head_object(Bucket=bucket, Key="own")["ObjectLockMode"] == "GOVERNANCE"

    def test_locked_bodies_need_a_checksum(self, s3: Any, bucket: str) -> None:
        locked = {name: value for name, value in lock().items() if name != "ChecksumAlgorithm"}
        assert refused(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"1", **locked)) == ("InvalidRequest", 400)
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **locked)["UploadId"]
        part = {"Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": 1, "Body": b"1"}
        assert refused(lambda: s3.upload_part(**part)) == ("InvalidRequest", 400)
        tag = s3.upload_part(**part, ChecksumAlgorithm="CRC32")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
        done = s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
        assert refused(lambda: s3.delete_object(Bucket=bucket, Key="k", VersionId=done["VersionId"])) == DENIED

    def test_an_announced_checksum_comes_with_every_part_and_with_the_whole(self, s3: Any, bucket: str) -> None:
        which = {"Bucket": bucket, "Key": "k"}
        upload = which | {"UploadId": s3.create_multipart_upload(**which, ChecksumAlgorithm="CRC32")["UploadId"]}
        send = partial(s3.upload_part, **upload, PartNumber=1, Body=b"1")
        assert refused(send) == ("InvalidRequest", 400)
        assert refused(partial(send, ChecksumAlgorithm="SHA256")) == ("InvalidRequest", 400)
        part = {"PartNumber": 1, "ETag": send(ChecksumAlgorithm="CRC32")["ETag"]}
        finish = partial(s3.complete_multipart_upload, **upload)
        assert refused(partial(finish, MultipartUpload={"Parts": [part]})) == ("InvalidRequest", 400)
        finish(MultipartUpload={"Parts": [part | {"ChecksumCRC32": "g9zvtw=="}]})
        assert s3.get_object(**which)["Body"].read() == b"1"

    @pytest.mark.parametrize(
        ("operation", "call"),
        [
            ("DeleteObjects", lambda s3, bucket: s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})),
            (
                "PutObjectRetention",
                lambda s3, bucket: s3.put_object_retention(
                    Bucket=bucket, Key="k", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": TOMORROW}
                ),
            ),
        ],
    )
    def test_some_requests_need_a_checksum(
        self, cloud: Cloud, bucket: str, operation: str, call: Callable[[Any, str], Any]
    ) -> None:
        bare = cloud.client("s3", config={"request_checksum_calculation": "when_required"})
        bare.put_object(Bucket=bucket, Key="k", Body=b"1")

        def strip(request: Any, **_: Any) -> None:
            for name in [name for name in request.headers if "checksum" in name.lower() or name.lower() == "content-md5"]:
                del request.headers[name]

        bare.meta.events.register(f"before-sign.s3.{operation}", strip)
        try:
            assert refused(lambda: call(bare, bucket)) == ("InvalidRequest", 400)
        finally:
            bare.meta.events.unregister(f"before-sign.s3.{operation}", strip)
        assert bare.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"

    def test_wrong_requests_are_refused(self, s3: Any, bucket: str) -> None:
        past = lock(end=NOW - timedelta(days=1))
        assert refused(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"1", **past)) == ("InvalidArgument", 400)
        suspended = {"Status": "Suspended"}
        call = partial(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=suspended)
        assert refused(call) == ("InvalidBucketState", 409)
        plain = f"plain-{uuid4()}"
        s3.create_bucket(Bucket=plain)
        assert refused(lambda: s3.put_object(Bucket=plain, Key="k", Body=b"1", **lock())) == ("InvalidRequest", 400)
        enable = {"ObjectLockEnabled": "Enabled"}
        call = partial(s3.put_object_lock_configuration, Bucket=plain, ObjectLockConfiguration=enable)
        assert refused(call) == ("InvalidBucketState", 409)
        s3.put_bucket_versioning(Bucket=plain, VersioningConfiguration={"Status": "Enabled"})
        call()
        s3.put_object(Bucket=plain, Key="k", Body=b"1", **lock())


class TestArchives:
    def test_an_archived_object_is_read_after_its_retrieval(self, slow_cloud: Cloud) -> None:
        s3, bucket = slow_cloud.client("s3"), f"archive-{uuid4()}"
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", StorageClass="GLACIER")

        def read() -> Any:
            return s3.get_object(Bucket=bucket, Key="k")["Body"].read()

        assert refused(read) == ("InvalidObjectState", 403)
        asked = {"Days": 2, "GlacierJobParameters": {"Tier": "Expedited"}}
        restore = partial(s3.restore_object, Bucket=bucket, Key="k", RestoreRequest=asked)
        assert restore()["ResponseMetadata"]["HTTPStatusCode"] == 202
        assert s3.head_object(Bucket=bucket, Key="k")["Restore"] == 'ongoing-request="true"'
        assert refused(restore) == ("RestoreAlreadyInProgress", 409)
        assert refused(read) == ("InvalidObjectState", 403)
        until(lambda: 'ongoing-request="false"' in s3.head_object(Bucket=bucket, Key="k")["Restore"], what="the retrieval")
        assert read() == b"1"
        assert restore()["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "GLACIER"

    def test_what_cannot_be_retrieved_is_refused(self, cloud: Cloud, bucket: str) -> None:
        s3 = cloud.client("s3")
        s3.put_object(Bucket=bucket, Key="plain", Body=b"1")
        s3.put_object(Bucket=bucket, Key="deep", Body=b"1", StorageClass="DEEP_ARCHIVE")
        asked = {"Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}}
        call = partial(s3.restore_object, Bucket=bucket, RestoreRequest=asked)
        assert refused(lambda: call(Key="plain")) == ("InvalidObjectState", 403)
        assert refused(lambda: call(Key="deep")) == ("InvalidArgument", 400)


def test_versions_and_locks_outlive_the_process(fresh_cloud: Cloud) -> None:
    s3 = fresh_cloud.client("s3")
    s3.create_bucket(Bucket="kept-locked", ObjectLockEnabledForBucket=True)
    first = s3.put_object(Bucket="kept-locked", Key="k", Body=b"1", **lock())["VersionId"]
    s3.put_object(Bucket="kept-locked", Key="k", Body=b"2")
    fresh_cloud.kill()
    fresh_cloud.start()
    s3 = fresh_cloud.client("s3")
    which = {"Bucket": "kept-locked", "Key": "k", "VersionId": first}
    assert s3.get_object(**which)["Body"].read() == b"1"
    assert refused(lambda: s3.delete_object(**which)) == DENIED
    assert s3.get_object(Bucket="kept-locked", Key="k")["Body"].read() == b"2"
