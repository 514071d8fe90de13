"""Objects in a folder of an S3 bucket, through a boto3 client somebody else made (credentials are not our business)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from server.adapters.blobs import refusals
from server.adapters.blobs.s3_bucket import BEYOND_END, S3Bucket, date_of
from server.adapters.blobs.s3_bytes import body_of, crc32
from server.adapters.blobs.s3_facts import facts_of
from server.adapters.blobs.s3_upload import S3Upload, abort_abandoned
from server.adapters.blobs.s3_versions import Versions
from server.domain.errors import AwsAccessDenied, AwsError, AwsRejected, NotFound
from server.domain.immutability import BucketFacts
from server.domain.repository import RetrievalMode, StorageClass
from server.ports import Availability, Blob, Upload

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

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
EXTENDING_THREADS: Final = 16  # S3 takes 3,500 such requests a second per prefix; a connection is good for some 50

_CLASSES: Final = {StorageClass.GLACIER: "GLACIER", StorageClass.DEEP_ARCHIVE: "DEEP_ARCHIVE"}
_ARCHIVES: Final = {label: storage_class for storage_class, label in _CLASSES.items()}
_TIERS: Final = {RetrievalMode.EXPEDITED: "Expedited", RetrievalMode.STANDARD: "Standard", RetrievalMode.BULK: "Bulk"}
_EXPIRY: Final = re.compile(r'expiry-date="([^"]+)"')


class S3Blobs:
    """``prefix`` is the folder inside ``bucket``, without slashes at its ends; "" for the whole bucket. Thread-safe, as
    boto3 clients are."""

    def __init__(self, client: S3Client, bucket: str, prefix: str = "", *, page_size: int = 1000) -> None:
        self._client = client
        self._bucket = S3Bucket(client, bucket, prefix.strip("/"), page_size)
        self._versions = Versions(self._bucket)
        self._bucket_seen = False
        self._swept = False

    @property
    def url(self) -> str:
        return self._bucket.url

    # -- writing

    def put(
        self,
        name: str,
        data: bytes | memoryview,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        lock_until: datetime | None = None,
        storage_class: StorageClass = StorageClass.STANDARD,
    ) -> Blob:
        where = self._where(name)
        request: dict[str, Any] = {**where, **_treatment(lock_until, storage_class), "ChecksumCRC32": crc32(data)}
        if if_absent:
            request["IfNoneMatch"] = "*"
        if if_version is not None:
            request["IfMatch"] = if_version
        try:
            answer = self._bucket.call("PutObject", lambda: self._client.put_object(**request, Body=body_of(data)))
        except NotFound:  # If-Match on an object that is gone
            raise refusals.changed(name) from None
        version_id = answer.get("VersionId")
        self._versions.noticed(version_id)
        if not if_absent and self._versions.status() != "off":
            self._versions.remove_superseded(where["Key"], version_id)
        return Blob(name, len(data), answer["ETag"], date_of(answer), storage_class, lock_until)

    def upload(
        self, name: str, *, lock_until: datetime | None = None, storage_class: StorageClass = StorageClass.STANDARD
    ) -> Upload:
        self._bucket.key(name)
        if not self._swept:
            abort_abandoned(self._bucket, self.now())
            self._swept = True
        return S3Upload(self._bucket, name, _treatment(lock_until, storage_class), lambda: self._look(name))

    def delete(self, names: Sequence[str]) -> list[str]:
        locked = self._versions.delete([self._bucket.key(name) for name in names])
        return [name for name in names if self._bucket.key(name) in locked]

    def extend_locks(self, names: Sequence[str], until: datetime) -> None:
        keys = [self._bucket.key(name) for name in names]  # all checked before the first is sent
        if len(keys) < 2:
            for key in keys:
                self._extend_lock(key, until)
            return
        with ThreadPoolExecutor(min(EXTENDING_THREADS, len(keys)), "extend-locks") as pool:
            for _ in pool.map(lambda key: self._extend_lock(key, until), keys):
                continue

    def _extend_lock(self, key: str, until: datetime) -> None:
        retention: Any = {"Mode": "COMPLIANCE", "RetainUntilDate": _whole_second(until)}
        request: dict[str, Any] = {"Bucket": self._bucket.name, "Key": key, "Retention": retention}
        try:
            self._bucket.call("PutObjectRetention", lambda: self._client.put_object_retention(**request))
        except NotFound:
            raise refusals.absent(self.url, self._bucket.object_name(key)) from None
        except AwsAccessDenied:  # what S3 answers to a shorter lock, too
            there = self.head(self._bucket.object_name(key))
            if there is None or there.locked_until is None or there.locked_until < until:
                raise
        except AwsError as error:
            if "lock" in error.message.lower() and self.facts().object_lock is False:
                raise refusals.no_locks(self.url) from error
            raise

    # -- reading

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        if length == 0 and self.head(name) is not None:
            return b""
        request: dict[str, Any] = self._where(name)
        if start or length is not None:
            request["Range"] = f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"
        try:
            return self._bucket.call("GetObject", lambda: self._client.get_object(**request)["Body"].read())
        except AwsRejected as error:
            if error.aws_code == "InvalidObjectState":
                raise refusals.archived(self.url, name) from None
            if error.aws_code != BEYOND_END:
                raise
            return b""

    def head(self, name: str) -> Blob | None:
        found = self._look(name)
        return None if found is None else found[0]

    def _look(self, name: str) -> tuple[Blob, Mapping[str, str]] | None:
        """The object and its metadata."""
        where = self._where(name)
        try:
            answer = self._bucket.call("HeadObject", lambda: self._client.head_object(**where))
        except NotFound:
            self._see_bucket()  # the answer to HEAD has no body: a missing bucket looks like a missing object
            return None
        storage_class = _ARCHIVES.get(answer.get("StorageClass", ""), StorageClass.STANDARD)
        locked = answer.get("ObjectLockRetainUntilDate") if answer.get("ObjectLockMode") == "COMPLIANCE" else None
        blob = Blob(
            name,
            answer["ContentLength"],
            answer["ETag"],
            answer["LastModified"].astimezone(UTC),
            storage_class,
            None if locked is None else locked.astimezone(UTC),
            _availability(answer.get("Restore"), date_of(answer)),
        )
        return blob, answer.get("Metadata", {})

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        folder, client = self._bucket.folder, self._client
        request: dict[str, Any] = {"Bucket": self._bucket.name, "Prefix": folder + prefix, "MaxKeys": self._bucket.page_size}
        if after:
            request["StartAfter"] = folder + after
        while True:
            page = self._bucket.call("ListObjectsV2", lambda: client.list_objects_v2(**request))
            for found in page.get("Contents", []):
                storage_class = _ARCHIVES.get(found.get("StorageClass", ""), StorageClass.STANDARD)
                modified = found["LastModified"].astimezone(UTC)
                yield Blob(self._bucket.object_name(found["Key"]), found["Size"], found["ETag"], modified, storage_class)
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    # -- versions, archive, facts

    def reveal(self, name: str) -> bool:
        if self._versions.status() == "off":
            return self.head(name) is not None
        return self._versions.reveal(self._bucket.key(name))

    def retrieve(self, name: str, *, mode: RetrievalMode, days: int) -> None:
        there = self.head(name)
        if there is None:
            raise refusals.absent(self.url, name)
        if there.storage_class is StorageClass.STANDARD:
            raise refusals.not_archived(self.url, name)
        refusals.check_mode(name, there.storage_class, mode)
        asked: dict[str, Any] = {"Days": days}
        if there.availability is None:
            asked["GlacierJobParameters"] = {"Tier": _TIERS[mode]}
        elif there.availability.ongoing:
            return
        where = self._where(name)
        try:
            self._bucket.call("RestoreObject", lambda: self._client.restore_object(**where, RestoreRequest=asked))  # type: ignore[arg-type]  # as the request's type wants it
        except AwsRejected as error:
            if error.aws_code != "RestoreAlreadyInProgress":
                raise

    def facts(self) -> BucketFacts:
        return facts_of(self._bucket, self._versions)

    def now(self) -> datetime:
        """S3's clock (whole seconds)."""
        return self._bucket.now()

    def _where(self, name: str) -> dict[str, Any]:
        return {"Bucket": self._bucket.name, "Key": self._bucket.key(name)}

    def _see_bucket(self) -> None:
        if not self._bucket_seen:
            try:
                self.now()
            except NotFound:
                raise self._bucket.no_bucket() from None
            self._bucket_seen = True


def _treatment(lock_until: datetime | None, storage_class: StorageClass) -> dict[str, Any]:
    """Lock and class, as the requests that make objects take them."""
    treatment: dict[str, Any] = {}
    if lock_until is not None:
        treatment |= {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": _whole_second(lock_until)}
    if storage_class is not StorageClass.STANDARD:
        treatment["StorageClass"] = _CLASSES[storage_class]
    return treatment


def _whole_second(until: datetime) -> datetime:
    """Not before ``until``: S3 keeps no fractions everywhere."""
    return until if until.microsecond == 0 else until.replace(microsecond=0) + timedelta(seconds=1)


def _availability(restore: str | None, now: datetime) -> Availability | None:
    """From the header x-amz-restore: ``ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"``."""
    if restore is None:
        return None
    if 'ongoing-request="true"' in restore:
        return Availability(ongoing=True, until=None)
    found = _EXPIRY.search(restore)
    until = None if found is None else parsedate_to_datetime(found[1]).astimezone(UTC)
    return Availability(ongoing=False, until=until) if until is None or until > now else None
