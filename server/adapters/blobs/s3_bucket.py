"""The folder of a bucket that an S3 store uses: its keys, calls into boto3, and S3's refusals in our words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError

from server.adapters.aws_errors import Call, no_credentials, translate, unreachable
from server.adapters.blobs import refusals
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

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

BEYOND_END: Final = "InvalidRange"  # a ranged read started behind the object's end
ABSENT: Final = ("NoSuchKey", "NoSuchVersion", "404", "NotFound")
DENIED: Final = ("403", "AccessDenied", "Forbidden", "AllAccessDisabled")
NOT_DONE_HERE: Final = ("NotImplemented", "MethodNotAllowed", "501", "405")  # S3-compatible stores without the feature
_PRECONDITION: Final = ("PreconditionFailed", "412")
_BUSY: Final = ("ConditionalRequestConflict", "OperationAborted", "409")
_ELSEWHERE: Final = (
    "PermanentRedirect",
    "TemporaryRedirect",
    "301",
    "307",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
)
_FULL: Final = ("InsufficientStorage", "XMinioStorageFull", "QuotaExceeded", "507")

# What IAM must allow for each operation used here; https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
BUCKET_PERMISSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "GetBucketEncryption": ("s3:GetEncryptionConfiguration",),
    "GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "GetBucketPolicyStatus": ("s3:GetBucketPolicyStatus",),
    "GetBucketVersioning": ("s3:GetBucketVersioning",),
    "GetObjectLockConfiguration": ("s3:GetBucketObjectLockConfiguration",),
    "HeadBucket": ("s3:ListBucket",),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "ListObjectVersions": ("s3:ListBucketVersions",),
    "ListObjectsV2": ("s3:ListBucket",),
}
OBJECT_PERMISSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "CompleteMultipartUpload": ("s3:PutObject",),
    "CreateMultipartUpload": ("s3:PutObject", "s3:PutObjectRetention"),
    "DeleteObjects": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    "GetObject": ("s3:GetObject",),
    "HeadObject": ("s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion"),
    "PutObject": ("s3:PutObject", "s3:PutObjectRetention"),
    "PutObjectRetention": ("s3:PutObjectRetention",),
    "RestoreObject": ("s3:RestoreObject",),
    "UploadPart": ("s3:PutObject",),
}
PERMISSIONS: Final = {**BUCKET_PERMISSIONS, **OBJECT_PERMISSIONS}
BUCKET_ACTIONS: Final = tuple(sorted({action for needed in BUCKET_PERMISSIONS.values() for action in needed}))
OBJECT_ACTIONS: Final = tuple(sorted({action for needed in OBJECT_PERMISSIONS.values() for action in needed}))


class S3Bucket:
    """``prefix`` is the folder inside ``name``, "" for the whole bucket. ``page_size``: of lists and deletions, S3 allows
    1,000."""

    def __init__(self, client: S3Client, name: str, prefix: str, page_size: int) -> None:
        self.client = client
        self.name = name
        self.page_size = page_size
        self.folder = f"{prefix}/" if prefix else ""
        self.url = f"s3://{name}/{prefix}".rstrip("/")

    def key(self, name: str) -> str:
        return self.folder + checked(name)

    def object_name(self, key: str) -> str:
        return key[len(self.folder) :]

    def call(self, operation: str, action: Callable[[], T]) -> T:
        """Only errors of the domain come out."""
        try:
            return action()
        except ClientError as failure:
            error = failure.response.get("Error", {})
            status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            raise self.error(operation, str(error.get("Code", "")), str(error.get("Message", "")), status) from failure
        except (NoCredentialsError, PartialCredentialsError) as failure:
            raise no_credentials(self._where(operation), str(failure)) from failure
        except (HTTPClientError, BotoCoreError, OSError) as failure:
            raise unreachable(self._where(operation), str(failure)) from failure

    def now(self) -> datetime:
        """S3's clock, from the Date header of an answer (whole seconds)."""
        return date_of(self.call("HeadBucket", lambda: self.client.head_bucket(Bucket=self.name)))

    def _where(self, operation: str) -> Call:
        return Call(operation=f"s3:{operation}", region=self.client.meta.region_name, endpoint=self.client.meta.endpoint_url)

    # -- errors

    def error(self, operation: str, code: str, text: str, status: int) -> HoldfastError:
        if code in _PRECONDITION:
            return AlreadyThere("The object exists already or has changed.", remedy="Read it again first.")
        if code == "NoSuchBucket" or (operation == "HeadBucket" and code in ABSENT):
            return self.no_bucket()
        if code in ABSENT:
            return NotFound(f"{self.url} has no such object.")
        if code in (BEYOND_END, "416"):
            return AwsRejected("The range lies beyond the object's end.", operation=f"s3:{operation}", aws_code=BEYOND_END)
        if code == "InvalidRequest" and "missing object lock" in text.lower():
            return refusals.no_locks(self.url)
        if code in _ELSEWHERE or (status == 400 and operation in ("HeadBucket", "HeadObject")):
            return self._other_region(operation, code)
        if code in DENIED:
            return self._denied(operation, code)
        if code in NOT_DONE_HERE:
            return AwsRejected(
                f"The store of {self.url} has no {operation}.", operation=f"s3:{operation}", aws_code=code, remedy="Use AWS S3."
            )
        return self._trouble(code) or translate(self._where(operation), code, text, status=status)

    def _trouble(self, code: str) -> HoldfastError | None:
        """What the store cannot do now."""
        if code in _BUSY:
            return Unavailable(f"Another write to the same object in {self.url} is going on.", remedy="Try again.")
        if code in _FULL:
            return StorageFull(f"No space left in {self.url} ({code}).", remedy="Free space, or raise the store's quota.")
        if code in ("503", "SlowDown"):
            return Throttled(f"S3 asks us to slow down at {self.url}.", remedy="Holdfast slows down and tries again.")
        if code == "GlacierExpeditedRetrievalNotAvailable":
            return Unavailable(f"S3 has no capacity for expedited retrievals at {self.url} now.", remedy="Use standard.")
        return None

    def _denied(self, operation: str, code: str) -> AwsAccessDenied:
        needed = " and ".join(PERMISSIONS[operation])
        return AwsAccessDenied(
            f"AWS denies s3:{operation} on {self.url}.",
            operation=f"s3:{operation}",
            aws_code=code,
            remedy=f"Allow {needed} on this bucket and its objects, in the role and in the bucket policy.",
        )

    def no_bucket(self) -> AwsNotFound:
        return AwsNotFound(
            f"There is no bucket {self.name}.",
            operation="s3:HeadBucket",
            aws_code="NoSuchBucket",
            remedy="Check its name and account; create it in the same Region as the repository says.",
        )

    def _other_region(self, operation: str, code: str) -> AwsRejected:
        return AwsRejected(
            f"The bucket {self.name} is not in {self.client.meta.region_name}.",
            operation=f"s3:{operation}",
            aws_code=code,
            remedy="Set the repository's Region to the bucket's.",
        )


def date_of(answer: Mapping[str, Any]) -> datetime:
    """The time in S3's answer; Unavailable when something in between dropped the header."""
    header = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if header is None:
        raise Unavailable("S3's answer has no Date header.", remedy="Check the proxy in front of S3.")
    return parsedate_to_datetime(header).astimezone(UTC)
