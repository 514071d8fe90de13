"""S3's front: which operation a request is, and the operations on buckets and objects."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from server.demo.credentials import Caller, Gate, Signature, check_payload, declared_payload_hash
from server.demo.errors import AwsError
from server.demo.s3 import documents, listing, multipart
from server.demo.s3.call import Call
from server.demo.s3.intake import receive
from server.demo.s3.objects import copy_object, etag_header, get_object, head_object, kept_headers, refuse_unsupported
from server.demo.s3.store import ObjectStore
from server.demo.wire import Reply, Request

KEY_MAX = 1024  # bytes
DELETES_MAX = 1000
_BUCKET_NAME = re.compile(r"(?!xn--)[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]$")

_BUCKET_READS = {
    "location": "GetBucketLocation",
    "versioning": "GetBucketVersioning",
    "encryption": "GetBucketEncryption",
    "object-lock": "GetObjectLockConfiguration",
    "policy": "GetBucketPolicy",
    "lifecycle": "GetBucketLifecycleConfiguration",
    "tagging": "GetBucketTagging",
    "publicAccessBlock": "GetPublicAccessBlock",
    "uploads": "ListMultipartUploads",
}
_PLAIN_QUERY = frozenset(
    "list-type prefix delimiter max-keys start-after continuation-token encoding-type fetch-owner marker x-id versionId "
    "partNumber uploadId uploads delete location max-uploads key-marker upload-id-marker part-number-marker max-parts "
    "bucket-region max-buckets".split()
)


def split(request: Request) -> tuple[str, bytes]:
    """Bucket and key, by path or by a host name such as ``bucket.localhost``."""
    host = request.headers.get("host", "").rsplit(":", 1)[0]
    path = unquote_to_bytes(request.raw_path.lstrip("/") if not request.raw_path.startswith("//") else request.raw_path[1:])
    if host.endswith(".localhost"):
        return host.removesuffix(".localhost"), path
    bucket, _, key = path.partition(b"/")
    return bucket.decode("utf-8", "replace"), key


def operation_of(request: Request) -> str:
    bucket, key = split(request)
    query = request.query()
    if not bucket:
        return "ListBuckets" if request.method == "GET" else "Unknown"
    unknown = {
        name for name in query if name not in _PLAIN_QUERY and name not in _BUCKET_READS and not name.startswith(("X-Amz-", "response-"))
    }
    if unknown:
        return f"{request.method} ?{min(unknown)}"
    return _object_operation(request, query) if key else _bucket_operation(request.method, query)


def _bucket_operation(method: str, query: dict[str, str]) -> str:
    if method == "GET":
        for name, operation in _BUCKET_READS.items():
            if name in query:
                return operation
        return "ListObjectsV2" if query.get("list-type") == "2" else "ListObjects"
    if method == "POST":
        return "DeleteObjects" if "delete" in query else "PostObject"
    written = next((name for name in _BUCKET_READS if name in query), None)
    if written:
        return f"{method} ?{written}"
    return {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}.get(method, "Unknown")


def _object_operation(request: Request, query: dict[str, str]) -> str:
    method, copies = request.method, "x-amz-copy-source" in request.headers
    if any(name in query for name in ("tagging", "object-lock")):
        return f"{method} ?{'tagging' if 'tagging' in query else 'object-lock'}"
    if method == "GET":
        return "ListParts" if "uploadId" in query else "GetObject"
    if method == "PUT" and "uploadId" in query:
        return "UploadPartCopy" if copies else "UploadPart"
    if method == "PUT":
        return "CopyObject" if copies else "PutObject"
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
    if method == "DELETE":
        return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
    return "HeadObject" if method == "HEAD" else "Unknown"


class S3:
    def __init__(self, gate: Gate, store: ObjectStore) -> None:
        self._gate = gate
        self._store = store

    async def handle(self, request: Request, signature: Signature | None) -> Reply:
        """Errors: AwsError."""
        operation = operation_of(request)
        if signature is None:
            raise AwsError("AccessDenied", "Access Denied", 403)
        declared = declared_payload_hash(request, signature) or ""
        caller = self._gate.admit(request, signature, declared)
        handler = _HANDLERS.get(operation)
        if handler is None:
            raise AwsError("NotImplemented", f"The demo account cannot do this S3 operation: {operation}", 501)
        bucket, key = split(request)
        call = Call(self._store, request, caller, declared, bucket, key, request.query())
        if bucket and operation != "CreateBucket":
            self._check_bucket(bucket, caller)
        if len(key) > KEY_MAX:
            raise AwsError("KeyTooLongError", "Your key is too long", 400)
        return await handler(call)

    def _check_bucket(self, name: str, caller: Caller) -> None:
        bucket = self._store.bucket(name)
        if bucket is None:
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404, BucketName=name)
        if bucket.account != caller.account:
            raise AwsError("AccessDenied", "Access Denied", 403)
        if bucket.region != caller.region:
            raise AwsError(
                "PermanentRedirect",
                "The bucket you are attempting to access must be addressed using the specified endpoint.",
                301,
                BucketRegion=bucket.region,
                Bucket=name,
            )


# ---- buckets


async def _list_buckets(call: Call) -> Reply:
    buckets = [
        ("Bucket", [("Name", b.name), ("CreationDate", documents.moment(b.created)), ("BucketRegion", b.region)])
        for b in call.store.buckets(call.caller.account)
    ]
    owner = [("ID", call.caller.account), ("DisplayName", call.caller.account)]
    return documents.document("ListAllMyBucketsResult", [("Owner", owner), ("Buckets", buckets)])


async def _create_bucket(call: Call) -> Reply:
    if not _BUCKET_NAME.match(call.bucket) or ".." in call.bucket:
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


async def _delete_bucket(call: Call) -> Reply:
    call.store.delete_bucket(call.bucket)
    return Reply(204)


async def _head_bucket(call: Call) -> Reply:
    return Reply(200, b"", [("x-amz-bucket-region", call.caller.region), ("content-type", "application/xml")])


async def _bucket_location(call: Call) -> Reply:
    region = None if call.caller.region == "us-east-1" else call.caller.region
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="{documents.NAMESPACE}">{region or ""}</LocationConstraint>'
    return Reply(200, text.encode(), [("content-type", "application/xml")])


async def _bucket_versioning(call: Call) -> Reply:
    return documents.document("VersioningConfiguration", [])


async def _bucket_encryption(call: Call) -> Reply:
    rule = [("ApplyServerSideEncryptionByDefault", [("SSEAlgorithm", "AES256")]), ("BucketKeyEnabled", "false")]
    return documents.document("ServerSideEncryptionConfiguration", [("Rule", rule)])


async def _public_access_block(call: Call) -> Reply:
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return documents.document("PublicAccessBlockConfiguration", [(name, "true") for name in names])


def _absent(code: str, message: str) -> Callable[[Call], Awaitable[Reply]]:
    async def answer(call: Call) -> Reply:
        raise AwsError(code, message, 404, BucketName=call.bucket)

    return answer


# ---- objects


async def _put_object(call: Call) -> Reply:
    refuse_unsupported(call.request.headers)
    condition = call.condition()
    condition.check(call.store.find(call.bucket, call.key))  # early, to spare the transfer; decided again at the commit
    body = await receive(call.request, call.store.folder)
    if call.declared and body.sha256:
        try:
            check_payload(call.declared, body.sha256)
        except AwsError:
            call.store.discard(body.file)
            raise
    headers = kept_headers(call.request.headers)
    headers.update({f"x-amz-checksum-{name}": text for name, text in body.checksums.items() if name != "sha256"})
    if "x-amz-checksum-sha256" in call.request.headers:
        headers["x-amz-checksum-sha256"] = body.checksums["sha256"]
    made = await asyncio.to_thread(
        call.store.put, call.bucket, call.key, body, f'"{body.md5.hex()}"', headers, condition
    )
    return Reply(200, b"", [etag_header(made), ("x-amz-server-side-encryption", _encryption(headers))])


def _encryption(headers: dict[str, str]) -> str:
    return headers.get("x-amz-server-side-encryption", "AES256")


async def _delete_object(call: Call) -> Reply:
    await asyncio.to_thread(call.store.delete, call.bucket, call.key, call.condition())
    return Reply(204)


async def _delete_objects(call: Call) -> Reply:
    root = documents.parse(await call.document())
    keys = [element.findtext("Key") or "" for element in root.findall("Object")]
    if not 1 <= len(keys) <= DELETES_MAX:
        raise documents.malformed()
    for key in keys:
        await asyncio.to_thread(call.store.delete, call.bucket, key.encode())
    quiet = (root.findtext("Quiet") or "").lower() == "true"
    return documents.document("DeleteResult", [] if quiet else [("Deleted", [("Key", key)]) for key in keys])


async def _list_objects(call: Call) -> Reply:
    query, second = call.query, call.query.get("list-type") == "2"
    encode = query.get("encoding-type") == "url"
    limit = call.integer("max-keys", 0, 2**31 - 1, 1000)
    prefix, delimiter = query.get("prefix", "").encode(), query.get("delimiter", "").encode()
    after = query.get("start-after" if second else "marker", "").encode()
    start = after + b"\x00" if after else b""
    if second and "continuation-token" in query:
        start = listing.start_of(query["continuation-token"])
    elif not second and delimiter and after.startswith(prefix) and after.endswith(delimiter):
        start = listing.beyond(after) or after
    found = listing.page(call.store, call.bucket, prefix, delimiter, start, min(limit, 1000))
    tree: list[tuple[str, Any]] = [
        ("Name", call.bucket),
        ("Prefix", documents.shown(prefix, encode)),
        ("Delimiter", documents.shown(delimiter, encode) if delimiter else None),
        ("MaxKeys", str(min(limit, 1000))),
        ("EncodingType", "url" if encode else None),
        ("IsTruncated", "true" if found.following is not None else "false"),
    ]
    if second:
        tree.append(("KeyCount", str(found.count)))
        tree.append(("ContinuationToken", query.get("continuation-token")))
        tree.append(("NextContinuationToken", listing.token(found.following) if found.following is not None else None))
        tree.append(("StartAfter", documents.shown(after, encode) if after else None))
    else:
        tree.append(("Marker", documents.shown(after, encode)))
        if found.following is not None and delimiter:
            last = max([item.key for item in found.objects] + found.prefixes)
            tree.append(("NextMarker", documents.shown(last, encode)))
    for item in found.objects:
        entry = [
            ("Key", documents.shown(item.key, encode)),
            ("LastModified", documents.moment(item.modified)),
            ("ETag", item.etag),
            ("Size", str(item.size)),
            ("StorageClass", item.headers.get("x-amz-storage-class", "STANDARD")),
        ]
        tree.append(("Contents", entry))
    tree.extend(("CommonPrefixes", [("Prefix", documents.shown(common, encode))]) for common in found.prefixes)
    return documents.document("ListBucketResult", tree)


_HANDLERS: dict[str, Callable[[Call], Awaitable[Reply]]] = {
    "ListBuckets": _list_buckets,
    "CreateBucket": _create_bucket,
    "DeleteBucket": _delete_bucket,
    "HeadBucket": _head_bucket,
    "GetBucketLocation": _bucket_location,
    "GetBucketVersioning": _bucket_versioning,
    "GetBucketEncryption": _bucket_encryption,
    "GetPublicAccessBlock": _public_access_block,
    "GetObjectLockConfiguration": _absent(
        "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"
    ),
    "GetBucketPolicy": _absent("NoSuchBucketPolicy", "The bucket policy does not exist"),
    "GetBucketLifecycleConfiguration": _absent("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    "GetBucketTagging": _absent("NoSuchTagSet", "The TagSet does not exist"),
    "ListObjects": _list_objects,
    "ListObjectsV2": _list_objects,
    "PutObject": _put_object,
    "GetObject": get_object,
    "HeadObject": head_object,
    "CopyObject": copy_object,
    "DeleteObject": _delete_object,
    "DeleteObjects": _delete_objects,
    "ListMultipartUploads": multipart.list_uploads,
    "CreateMultipartUpload": multipart.create,
    "UploadPart": multipart.upload_part,
    "ListParts": multipart.list_parts,
    "CompleteMultipartUpload": multipart.complete,
    "AbortMultipartUpload": multipart.abort,
}
