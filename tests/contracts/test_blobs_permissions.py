"""S3 permissions: what the store declares is what it uses, and little beyond what a backup product is known to need.

``reference_repository_permissions.json`` holds the S3 actions the reference product asks for, for its repositories.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from server.adapters.blobs.s3 import S3Blobs
from server.adapters.blobs.s3_bucket import PERMISSIONS
from server.domain.repository import RetrievalMode, StorageClass
from server.permissions import REPOSITORY_BUCKET, REPOSITORY_OBJECTS
from tests.contracts.buckets import DemoS3, demo_s3

REFERENCE: Final = set(json.loads(Path(__file__).with_name("reference_repository_permissions.json").read_text()))
# The bucket's settings are judged before a repository is made in it; abandoned uploads are cleared away.
OURS: Final = {
    "s3:AbortMultipartUpload",
    "s3:GetBucketPolicyStatus",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:ListBucketMultipartUploads",
}


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoS3]:
    with demo_s3() as found:
        yield found


def use_everything(blobs: S3Blobs) -> None:
    blobs.facts()
    later = blobs.now() + timedelta(days=1)
    blobs.put("a", b"1")
    blobs.get("a")
    blobs.head("a")
    list(blobs.list())
    for name in ("large", "given up"):
        upload = blobs.upload(name, storage_class=StorageClass.GLACIER)
        upload.part(1, b"1")
        _ = upload.complete() if name == "large" else upload.abort()  # type: ignore[func-returns-value]  # one of the two
    blobs.retrieve("large", mode=RetrievalMode.BULK, days=1)
    blobs.reveal("a")
    blobs.delete(["a"])
    blobs.extend_locks(["large"], later)


def test_what_is_used_is_declared_and_what_is_declared_is_used(demo: DemoS3) -> None:
    used: set[str] = set()
    bucket = demo.bucket(lock=True)

    def note(model: Any, **_: Any) -> None:
        used.add(model.name)

    demo.client.meta.events.register("before-call.s3", note)
    try:
        use_everything(S3Blobs(demo.client, bucket, "folder"))
    finally:
        demo.client.meta.events.unregister("before-call.s3", note)
    assert used == PERMISSIONS.keys()


def test_little_is_declared_that_the_reference_does_not_need() -> None:
    declared = {*REPOSITORY_BUCKET, *REPOSITORY_OBJECTS}
    assert declared - REFERENCE == OURS
    # It speeds retrievals up with batch jobs, and shows people their buckets to choose from.
    assert REFERENCE - declared == {"s3:CreateJob", "s3:DescribeJob", "s3:GetBucketLocation", "s3:ListAllMyBuckets"}
