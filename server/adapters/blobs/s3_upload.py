"""Large objects in parts: multipart uploads that end in a conditional write."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from server.adapters.blobs import refusals
from server.adapters.blobs.s3_bucket import S3Bucket
from server.adapters.blobs.s3_bytes import body_of, crc32
from server.domain.errors import AlreadyThere, AwsNotFound, NotFound
from server.ports import Blob

_MARK: Final = "holdfast-upload"  # metadata by which an upload knows the object it became
_ABANDONED: Final = timedelta(days=7)  # S3 bills the parts of an unfinished upload until it is aborted


class S3Upload:
    def __init__(
        self, bucket: S3Bucket, name: str, request: Mapping[str, Any], head: Callable[[], tuple[Blob, Mapping[str, str]] | None]
    ) -> None:
        """``request``: lock and class, as CreateMultipartUpload takes them. ``head``: the object and its metadata."""
        self._bucket = bucket
        self._name = name
        self._where: dict[str, Any] = {"Bucket": bucket.name, "Key": bucket.key(name)}
        self._head = head
        self._mark = secrets.token_hex(16)
        self._tags: dict[int, str] = {}
        self._lock = threading.Lock()
        client, created = bucket.client, {**self._where, **request, "Metadata": {_MARK: self._mark}}
        answer = bucket.call("CreateMultipartUpload", lambda: client.create_multipart_upload(**created))
        self._upload: dict[str, Any] = {**self._where, "UploadId": answer["UploadId"]}

    def part(self, number: int, data: bytes | memoryview) -> None:
        client, checksum = self._bucket.client, crc32(data)

        def send() -> Any:
            return client.upload_part(**self._upload, PartNumber=number, Body=body_of(data), ChecksumCRC32=checksum)

        answer = self._bucket.call("UploadPart", send)
        with self._lock:
            self._tags[number] = answer["ETag"]

    def complete(self) -> Blob:
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in sorted(self._tags.items())]
        request: dict[str, Any] = {**self._upload, "MultipartUpload": {"Parts": parts}, "IfNoneMatch": "*"}
        client = self._bucket.client
        try:
            self._bucket.call("CompleteMultipartUpload", lambda: client.complete_multipart_upload(**request))
        except (AlreadyThere, AwsNotFound):  # perhaps by ourselves: the reply was lost
            there = self._head()
            if there is not None and there[1].get(_MARK) == self._mark:
                return there[0]
            raise refusals.exists(self._name) from None
        there = self._head()
        if there is None:
            raise refusals.absent(self._bucket.url, self._name)
        return there[0]

    def abort(self) -> None:
        _abort(self._bucket, self._bucket.key(self._name), self._upload["UploadId"])


def abort_abandoned(bucket: S3Bucket, now: datetime) -> None:
    """Uploads in the folder that nobody goes on with: a run that is resumed starts its open pack anew."""
    request: dict[str, Any] = {"Bucket": bucket.name, "Prefix": bucket.folder}
    while True:
        page = bucket.call("ListMultipartUploads", partial(bucket.client.list_multipart_uploads, **request))
        for found in page.get("Uploads", []):
            if now - found["Initiated"] > _ABANDONED:
                _abort(bucket, found["Key"], found["UploadId"])
        if not page.get("IsTruncated"):
            return
        request = {**request, "KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _abort(bucket: S3Bucket, key: str, upload_id: str) -> None:
    try:
        bucket.call(
            "AbortMultipartUpload",
            lambda: bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload_id),
        )
    except (AwsNotFound, NotFound):
        return  # completed, or aborted before
