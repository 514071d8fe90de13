"""Buckets: made, removed, and asked how they are set up (they have what S3 gives a new bucket)."""

from __future__ import annotations

import re

from server.demo.errors import AwsError
from server.demo.s3 import documents
from server.demo.s3.call import Call, Handler
from server.demo.wire import Reply

_NAME = re.compile(r"(?!xn--)[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]$")


async def list_all(call: Call) -> Reply:
    buckets = [
        ("Bucket", [("Name", b.name), ("CreationDate", documents.moment(b.created)), ("BucketRegion", b.region)])
        for b in call.store.buckets(call.caller.account)
    ]
    owner = [("ID", call.caller.account), ("DisplayName", call.caller.account)]
    return documents.document("ListAllMyBucketsResult", [("Owner", owner), ("Buckets", buckets)])


async def create(call: Call) -> Reply:
    if not _NAME.match(call.bucket) or ".." in call.bucket:
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.", 400, BucketName=call.bucket)
    if call.request.headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true":
        raise AwsError("NotImplemented", "The demo account has no Object Lock yet.", 501)
    body = await call.document()
    wanted = documents.parse(body).findtext("LocationConstraint") if body else None
    if (wanted or "us-east-1") != call.caller.region:
        raise AwsError(
            "IllegalLocationConstraintException",
            f"The {wanted or 'unspecified'} location constraint is incompatible for the region specific endpoint this request "
            "was sent to.",
            400,
        )
    call.store.create_bucket(call.bucket, call.caller.account, call.caller.region)
    return Reply(200, b"", [("location", f"/{call.bucket}")])


async def delete(call: Call) -> Reply:
    call.store.delete_bucket(call.bucket)
    return Reply(204)


async def head(call: Call) -> Reply:
    return Reply(200, b"", [("x-amz-bucket-region", call.caller.region), ("content-type", "application/xml")])


async def location(call: Call) -> Reply:
    region = "" if call.caller.region == "us-east-1" else call.caller.region
    return documents.document("LocationConstraint", region)


def fixed(root: str, tree: documents.Tree) -> Handler:
    """A setting that no call of ours changes."""

    async def answer(_: Call) -> Reply:
        return documents.document(root, tree)

    return answer


def absent(code: str, message: str) -> Handler:
    """A setting that a new bucket does not have."""

    async def answer(call: Call) -> Reply:
        raise AwsError(code, message, 404, BucketName=call.bucket)

    return answer


versioning = fixed("VersioningConfiguration", [])
encryption = fixed(
    "ServerSideEncryptionConfiguration",
    [("Rule", [("ApplyServerSideEncryptionByDefault", [("SSEAlgorithm", "aws:kms")]), ("BucketKeyEnabled", "false")])],
)
public_access_block = fixed(
    "PublicAccessBlockConfiguration",
    [(name, "true") for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")],
)
object_lock = absent("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
policy = absent("NoSuchBucketPolicy", "The bucket policy does not exist")
lifecycle = absent("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")
tagging = absent("NoSuchTagSet", "The TagSet does not exist")
