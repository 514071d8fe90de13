"""Objects in a folder of an S3 bucket, through a boto3 client somebody else made (credentials are not our business)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError

from server.adapters.aws_errors import Call, no_credentials, translate, unreachable
from server.adapters.blobs.names import checked
from server.domain.errors import (
    AlreadyThere,
    AwsAccessDenied,
    AwsNotFound,
    AwsRejected,
    HoldfastError,
    NotFound,
    StorageFull,
    Throttled,
    Unavailable,
)
from server.ports import Blob

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

# What a client for this adapter should be made with. Checksums only where S3 requires them: every object authenticates
# itself, and "when_supported" makes botocore read each body once more and breaks S3-compatible stores.
CLIENT_CONFIG = Config(
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=32,
    tcp_keepalive=True,
)

_PRECONDITION = ("PreconditionFailed", "412")
_BUSY = ("ConditionalRequestConflict", "OperationAborted", "409")
_ELSEWHERE = (
    "PermanentRedirect",
    "TemporaryRedirect",
    "301",
    "307",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
)
_FULL = ("InsufficientStorage", "XMinioStorageFull", "QuotaExceeded", "507")
_BEYOND_END = "InvalidRange"  # a ranged read started behind the object's end
_ABSENT = ("NoSuchKey", "404", "NotFound")


class S3Blobs:
    """``prefix`` is the folder inside ``bucket``, without slashes at its ends; "" for the whole bucket. Thread-safe, as
    boto3 clients are."""

    def __init__(self, client: S3Client, bucket: str, prefix: str = "", *, page_size: int = 1000) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self._folder = f"{self._prefix}/" if self._prefix else ""
        self._page_size = page_size  # of lists and deletions; S3 allows 1,000
        self._bucket_seen = False

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(self, name: str, data: bytes | memoryview, *, if_absent: bool = False, if_version: str | None = None) -> Blob:
        conditions: dict[str, str] = {}
        if if_absent:
            conditions["IfNoneMatch"] = "*"
        if if_version is not None:
            conditions["IfMatch"] = if_version
        key = self._key(name)
        size = len(data)

        def write() -> Any:
            body = data if isinstance(data, bytes) else _Body(data)
            return self._client.put_object(Bucket=self._bucket, Key=key, Body=body, **conditions)  # type: ignore[arg-type]  # both conditions are plain strings

        try:
            answer = self._call("PutObject", write)
        except NotFound:  # If-Match on an object that is gone
            raise AlreadyThere(f"{name} has changed or is gone.", fields={"object": name}) from None
        return Blob(name, size, answer["ETag"], _date(answer))

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        if length == 0 and self.head(name) is not None:
            return b""
        wanted: dict[str, str] = {}
        if start or length is not None:
            wanted["Range"] = f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"

        def read() -> bytes:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name), **wanted)  # type: ignore[arg-type]  # Range is a plain string
            return answer["Body"].read()

        try:
            return self._call("GetObject", read)
        except AwsRejected as error:
            if error.aws_code != _BEYOND_END:
                raise
            return b""

    def head(self, name: str) -> Blob | None:
        try:
            answer = self._call("HeadObject", lambda: self._client.head_object(Bucket=self._bucket, Key=self._key(name)))
        except NotFound:
            self._see_bucket()  # the answer to HEAD has no body: a missing bucket looks like a missing object
            return None
        return Blob(name, answer["ContentLength"], answer["ETag"], answer["LastModified"].astimezone(UTC))

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._folder + prefix, "MaxKeys": self._page_size}
        if after:
            request["StartAfter"] = self._folder + after
        while True:
            page = self._call("ListObjectsV2", lambda: self._client.list_objects_v2(**request))
            for found in page.get("Contents", []):
                name = found["Key"][len(self._folder) :]
                yield Blob(name, found["Size"], found["ETag"], found["LastModified"].astimezone(UTC))
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, names: Sequence[str]) -> None:
        for at in range(0, len(names), self._page_size):
            objects: Any = [{"Key": self._key(name)} for name in names[at : at + self._page_size]]
            answer = self._delete_batch(objects)
            for refused in answer.get("Errors", []):
                if refused.get("Code") not in _ABSENT:
                    raise self._error("DeleteObject", str(refused.get("Code")), str(refused.get("Message", "")), 400)

    def _delete_batch(self, objects: Any) -> Mapping[str, Any]:
        def delete() -> Any:
            return self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})

        answer: Mapping[str, Any] = self._call("DeleteObjects", delete)
        return answer

    def now(self) -> datetime:
        """S3's clock, from the Date header of an answer (whole seconds)."""
        return _date(self._call("HeadBucket", lambda: self._client.head_bucket(Bucket=self._bucket)))

    def _key(self, name: str) -> str:
        return self._folder + checked(name)

    def _see_bucket(self) -> None:
        if not self._bucket_seen:
            try:
                self.now()
            except NotFound:
                raise self._no_bucket() from None
            self._bucket_seen = True

    # -- errors

    def _call(self, operation: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except ClientError as failure:
            error = failure.response.get("Error", {})
            status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            raise self._error(operation, str(error.get("Code", "")), str(error.get("Message", "")), status) from failure
        except (NoCredentialsError, PartialCredentialsError) as failure:
            raise no_credentials(self._where(operation), str(failure)) from failure
        except (HTTPClientError, BotoCoreError, OSError) as failure:
            raise unreachable(self._where(operation), str(failure)) from failure

    def _where(self, operation: str) -> Call:
        return Call(operation=f"s3:{operation}", region=self._client.meta.region_name, endpoint=self._client.meta.endpoint_url)

    def _error(self, operation: str, code: str, text: str, status: int) -> HoldfastError:
        if code in _PRECONDITION:
            return AlreadyThere("The object exists already or has changed.", remedy="Read it again first.")
        if code == "NoSuchBucket" or (operation == "HeadBucket" and code in _ABSENT):
            return self._no_bucket()
        if code in _ABSENT:
            return NotFound(f"{self.url} has no such object.")
        if code in (_BEYOND_END, "416"):
            return AwsRejected("The range lies beyond the object's end.", operation=f"s3:{operation}", aws_code=_BEYOND_END)
        if code in _BUSY:
            return Unavailable(f"Another write to the same object in {self.url} is going on.", remedy="Try again.")
        if code in _ELSEWHERE or (status == 400 and operation in ("HeadBucket", "HeadObject")):
            return self._other_region(operation, code)
        if code in _FULL:
            return StorageFull(f"No space left in {self.url} ({code}).", remedy="Free space, or raise the store's quota.")
        if code in ("503", "SlowDown"):
            return Throttled(f"S3 asks us to slow down at {self.url}.", remedy="Holdfast slows down and tries again.")
        if status == 403 and code in ("403", "AccessDenied", "Forbidden", "AllAccessDisabled"):
            return self._denied(operation, code)
        return translate(self._where(operation), code, text, status=status)

    def _denied(self, operation: str, code: str) -> AwsAccessDenied:
        actions = "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"
        return AwsAccessDenied(
            f"AWS denies s3:{operation} on {self.url}.",
            operation=f"s3:{operation}",
            aws_code=code,
            remedy=f"Allow {actions} on this bucket and its objects, in the role and in the bucket policy.",
        )

    def _no_bucket(self) -> AwsNotFound:
        return AwsNotFound(
            f"There is no bucket {self._bucket}.",
            operation="s3:HeadBucket",
            aws_code="NoSuchBucket",
            remedy="Check its name and account; create it in the same Region as the repository says.",
        )

    def _other_region(self, operation: str, code: str) -> AwsRejected:
        return AwsRejected(
            f"The bucket {self._bucket} is not in {self._client.meta.region_name}.",
            operation=f"s3:{operation}",
            aws_code=code,
            remedy="Set the repository's Region to the bucket's.",
        )


class _Body(io.RawIOBase):
    """A memoryview as a seekable stream: botocore takes no memoryview, and copying packs would double their memory."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def __len__(self) -> int:
        return len(self._data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._data) if size is None or size < 0 else self._at + size
        chunk = bytes(self._data[self._at : end])
        self._at += len(chunk)
        return chunk


def _date(answer: Mapping[str, Any]) -> datetime:
    """The time in S3's answer; Unavailable when something in between dropped the header."""
    header = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if header is None:
        raise Unavailable("S3's answer has no Date header.", remedy="Check the proxy in front of S3.")
    return parsedate_to_datetime(header).astimezone(UTC)
