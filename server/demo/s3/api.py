"""S3's front: which operation a request is, and the operations on buckets and objects."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from server.demo.credentials import Caller, Gate, Signature, declared_payload_hash
from server.demo.errors import AwsError
from server.demo.s3 import buckets, listing, multipart, objects
from server.demo.s3.call import Call, Handler
from server.demo.s3.store import ObjectStore
from server.demo.wire import Reply, Request

KEY_MAX = 1024  # bytes

_BUCKET_READS = {
    "location": "GetBucketLocation",
    "versioning": "GetBucketVersioning",
    "encryption": "GetBucketEncryption",
    "object-lock": "GetObjectLockConfiguration",
    "policy": "GetBucketPolicy",
    "policyStatus": "GetBucketPolicyStatus",
    "lifecycle": "GetBucketLifecycleConfiguration",
    "tagging": "GetBucketTagging",
    "publicAccessBlock": "GetPublicAccessBlock",
    "uploads": "ListMultipartUploads",
    "versions": "ListObjectVersions",
}
_BUCKET_WRITES = {
    ("PUT", "versioning"): "PutBucketVersioning",
    ("PUT", "encryption"): "PutBucketEncryption",
    ("DELETE", "encryption"): "DeleteBucketEncryption",
    ("PUT", "object-lock"): "PutObjectLockConfiguration",
    ("PUT", "policy"): "PutBucketPolicy",
    ("DELETE", "policy"): "DeleteBucketPolicy",
    ("PUT", "lifecycle"): "PutBucketLifecycleConfiguration",
    ("DELETE", "lifecycle"): "DeleteBucketLifecycle",
    ("PUT", "publicAccessBlock"): "PutPublicAccessBlock",
    ("DELETE", "publicAccessBlock"): "DeletePublicAccessBlock",
}
_PLAIN_QUERY = frozenset(
    [
        "list-type",
        "prefix",
        "delimiter",
        "max-keys",
        "start-after",
        "continuation-token",
        "encoding-type",
        "fetch-owner",
        "marker",
        "x-id",
        "versionId",
        "partNumber",
        "uploadId",
        "uploads",
        "delete",
        "location",
        "max-uploads",
        "key-marker",
        "version-id-marker",
        "retention",
        "restore",
        "upload-id-marker",
        "part-number-marker",
        "max-parts",
        "bucket-region",
        "max-buckets",
    ]
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
        name
        for name in query
        if name not in _PLAIN_QUERY and name not in _BUCKET_READS and not name.startswith(("X-Amz-", "response-"))
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
        return _BUCKET_WRITES.get((method, written), f"{method} ?{written}")
    return {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}.get(method, "Unknown")


def _object_operation(request: Request, query: dict[str, str]) -> str:
    method, copies = request.method, "x-amz-copy-source" in request.headers
    if any(name in query for name in ("tagging", "object-lock")):
        return f"{method} ?{'tagging' if 'tagging' in query else 'object-lock'}"
    if "retention" in query:
        return {"GET": "GetObjectRetention", "PUT": "PutObjectRetention"}.get(method, f"{method} ?retention")
    if method == "POST" and "restore" in query:
        return "RestoreObject"
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


_HANDLERS: dict[str, Handler] = {
    "ListBuckets": buckets.list_all,
    "CreateBucket": buckets.create,
    "DeleteBucket": buckets.delete,
    "HeadBucket": buckets.head,
    "GetBucketLocation": buckets.location,
    "GetBucketVersioning": buckets.versioning,
    "GetBucketEncryption": buckets.encryption,
    "GetPublicAccessBlock": buckets.public_access_block,
    "GetObjectLockConfiguration": buckets.object_lock,
    "GetBucketPolicy": buckets.policy,
    "GetBucketLifecycleConfiguration": buckets.lifecycle,
    "GetBucketPolicyStatus": buckets.policy_status,
    "GetBucketTagging": buckets.tagging,
    "PutBucketVersioning": buckets.put_versioning,
    "PutObjectLockConfiguration": buckets.put_object_lock,
    "PutBucketEncryption": buckets.put("encryption"),
    "DeleteBucketEncryption": buckets.removed("encryption"),
    "PutBucketLifecycleConfiguration": buckets.put("lifecycle"),
    "DeleteBucketLifecycle": buckets.removed("lifecycle"),
    "PutPublicAccessBlock": buckets.put("publicAccessBlock"),
    "DeletePublicAccessBlock": buckets.removed("publicAccessBlock"),
    "PutBucketPolicy": buckets.put_policy,
    "DeleteBucketPolicy": buckets.removed("policy"),
    "ListObjects": listing.list_objects,
    "ListObjectsV2": listing.list_objects,
    "ListObjectVersions": listing.list_versions,
    "PutObject": objects.put_object,
    "GetObject": objects.get_object,
    "HeadObject": objects.head_object,
    "CopyObject": objects.copy_object,
    "DeleteObject": objects.delete_object,
    "DeleteObjects": objects.delete_objects,
    "GetObjectRetention": objects.get_retention,
    "PutObjectRetention": objects.put_retention,
    "RestoreObject": objects.restore,
    "ListMultipartUploads": multipart.list_uploads,
    "CreateMultipartUpload": multipart.create,
    "UploadPart": multipart.upload_part,
    "ListParts": multipart.list_parts,
    "CompleteMultipartUpload": multipart.complete,
    "AbortMultipartUpload": multipart.abort,
}
