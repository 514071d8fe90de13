"""Buckets: made, removed, set up, and asked how they are set up. A new one has what S3 gives a new bucket."""

from __future__ import annotations

import json
import re
from typing import Any

from server.demo.errors import AwsError
from server.demo.s3 import documents, locks
from server.demo.s3.call import Call, Handler
from server.demo.wire import Reply

_LOCK_WITHOUT_DEFAULT = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
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
    if call.request.headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true":
        call.store.set(call.bucket, "versioning", b"Enabled")
        call.store.set(call.bucket, locks.SETTING, _LOCK_WITHOUT_DEFAULT)
    return Reply(200, b"", [("location", f"/{call.bucket}")])


async def delete(call: Call) -> Reply:
    call.store.delete_bucket(call.bucket)
    return Reply(204)


async def head(call: Call) -> Reply:
    return Reply(200, b"", [("x-amz-bucket-region", call.caller.region), ("content-type", "application/xml")])


async def location(call: Call) -> Reply:
    region = "" if call.caller.region == "us-east-1" else call.caller.region
    return documents.document("LocationConstraint", region)


# ---- settings


async def versioning(call: Call) -> Reply:
    status = call.store.setting(call.bucket, "versioning")
    return documents.document("VersioningConfiguration", [("Status", None if status is None else status.decode())])


async def put_versioning(call: Call) -> Reply:
    call.require_checksum()
    status = documents.parse(await call.document()).findtext("Status")
    if status not in ("Enabled", "Suspended"):
        raise documents.malformed()
    if status == "Suspended" and call.store.setting(call.bucket, locks.SETTING) is not None:
        text = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        raise AwsError("InvalidBucketState", text, 409)
    call.store.set(call.bucket, "versioning", status.encode())
    return Reply(200)


async def put_object_lock(call: Call) -> Reply:
    call.require_checksum()
    body = await call.document()
    root = documents.parse(body)
    default = root.find("Rule/DefaultRetention")
    if root.findtext("ObjectLockEnabled") != "Enabled":
        raise documents.malformed()
    if default is not None:
        days, years = default.findtext("Days"), default.findtext("Years")
        if default.findtext("Mode") not in locks.MODES or bool(days) == bool(years) or not (days or years or "").isdigit():
            raise documents.malformed()
    if call.store.setting(call.bucket, "versioning") != b"Enabled":
        text = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        raise AwsError("InvalidBucketState", text, 409)
    call.store.set(call.bucket, locks.SETTING, body)
    return Reply(200)


def shown(name: str, absent: tuple[str, str]) -> Handler:
    """The setting as it was put. ``absent``: what S3 answers when there is none."""

    async def answer(call: Call) -> Reply:
        body = call.store.setting(call.bucket, name)
        if body is None:
            raise AwsError(*absent, 404, BucketName=call.bucket)
        return Reply(200, body, [("content-type", "application/json" if name == "policy" else "application/xml")])

    return answer


def put(name: str) -> Handler:
    async def answer(call: Call) -> Reply:
        call.require_checksum()
        body = await call.document()
        documents.parse(body)
        call.store.set(call.bucket, name, body)
        return Reply(200)

    return answer


def removed(name: str) -> Handler:
    async def answer(call: Call) -> Reply:
        call.store.set(call.bucket, name, b"" if name == PUBLIC_ACCESS else None)
        return Reply(204)

    return answer


async def encryption(call: Call) -> Reply:
    body = call.store.setting(call.bucket, "encryption")
    if body is not None:
        return Reply(200, body, [("content-type", "application/xml")])
    default = [("ApplyServerSideEncryptionByDefault", [("SSEAlgorithm", "aws:kms")]), ("BucketKeyEnabled", "false")]
    return documents.document("ServerSideEncryptionConfiguration", [("Rule", default)])


async def public_access_block(call: Call) -> Reply:
    body = call.store.setting(call.bucket, PUBLIC_ACCESS)
    if body == b"":
        raise AwsError("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found", 404)
    if body is not None:
        return Reply(200, body, [("content-type", "application/xml")])
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return documents.document("PublicAccessBlockConfiguration", [(name, "true") for name in blocks])


async def put_policy(call: Call) -> Reply:
    body = await call.document()
    try:
        public = _is_public(json.loads(body))
    except (ValueError, AttributeError, TypeError):
        raise AwsError("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'", 400)
    blocked = call.store.setting(call.bucket, PUBLIC_ACCESS)
    if public and (blocked is None or b"<BlockPublicPolicy>true" in blocked):
        text = "User is not authorized to perform: s3:PutBucketPolicy because public policies are blocked by BlockPublicPolicy."
        raise AwsError("AccessDenied", text, 403)
    call.store.set(call.bucket, "policy", body)
    return Reply(204)


async def policy_status(call: Call) -> Reply:
    body = call.store.setting(call.bucket, "policy")
    if body is None:
        raise AwsError(*_NO_POLICY, 404, BucketName=call.bucket)
    return documents.document("PolicyStatus", [("IsPublic", "true" if _is_public(json.loads(body)) else "false")])


def _is_public(policy: Any) -> bool:
    """Whether anyone is allowed anything without a condition."""
    found = policy["Statement"]
    statements = found if isinstance(found, list) else [found]
    everyone = ("*", {"AWS": "*"}, {"AWS": ["*"]})
    return any(s.get("Effect") == "Allow" and s.get("Principal") in everyone and not s.get("Condition") for s in statements)


PUBLIC_ACCESS = "publicAccessBlock"
_NO_POLICY = ("NoSuchBucketPolicy", "The bucket policy does not exist")
object_lock = shown(
    locks.SETTING, ("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
)
policy = shown("policy", _NO_POLICY)
lifecycle = shown("lifecycle", ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"))
tagging = shown("tagging", ("NoSuchTagSet", "The TagSet does not exist"))
