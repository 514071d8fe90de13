"""Object versions of an S3 bucket: removed one by one, so that nothing hides behind a delete marker or stays unseen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from server.adapters.blobs.s3_bucket import ABSENT, DENIED, NOT_DONE_HERE, S3Bucket
from server.domain.errors import AwsRejected, HoldfastError, NotFound

_REFUSALS_OF_LOCKS: Final = (*DENIED, "InvalidRequest", "ObjectLocked", "MethodNotAllowed")  # S3's, and other stores'


@dataclass(frozen=True, slots=True)
class _Version:
    key: str
    id: str
    newest: bool
    marker: bool


@dataclass(frozen=True, slots=True)
class _Page:
    """``next_key`` None: nothing follows. Versions of one key: the newest first, delete markers last."""

    versions: list[_Version]
    next_key: str | None
    next_id: str | None


class Versions:
    """Of the objects of one bucket. Whether it has any is asked once, and noticed when that changes."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket
        self._status: str | None = None

    def status(self) -> str:
        """Versioning: "off", "enabled", or "suspended", which has versions too."""
        if self._status is None:
            self._status = self.ask_status()
        return self._status

    def ask_status(self) -> str:
        bucket = self._bucket
        try:
            answer = bucket.call("GetBucketVersioning", lambda: bucket.client.get_bucket_versioning(Bucket=bucket.name))
        except AwsRejected as error:
            if error.aws_code not in NOT_DONE_HERE:
                raise
            return "off"
        return answer.get("Status", "off").lower()

    def noticed(self, version_id: str | None) -> None:
        """A write was answered with this version id."""
        if version_id is not None and version_id != "null":
            self._status = "enabled"

    # -- deleting

    def delete(self, keys: Sequence[str]) -> set[str]:
        """Every version of these keys; those that a lock protects stay as they were. Returns them."""
        locked: set[str] = set()
        ordered = sorted(set(keys), key=str.encode)
        for at in range(0, len(ordered), self._bucket.page_size):
            batch = ordered[at : at + self._bucket.page_size]
            left = batch if self.status() != "off" else self._delete_plainly(batch)
            if left:
                locked |= self._delete_versions(left)
        return locked

    def _delete_plainly(self, keys: Sequence[str]) -> list[str]:
        """Returns the keys that got a delete marker instead, because the bucket has versions since it was asked: the markers
        are taken away again."""
        answer = self._request([{"Key": key} for key in keys], quiet=False)
        for refused in answer.get("Errors", []):
            if refused.get("Code") not in ABSENT:
                raise self._refusal(refused)
        marked = [done for done in answer.get("Deleted", []) if done.get("DeleteMarker")]
        if not marked:
            return []
        self._status = "enabled"
        self._remove([(done["Key"], done["DeleteMarkerVersionId"]) for done in marked])
        return [done["Key"] for done in marked]

    def _delete_versions(self, keys: Sequence[str]) -> set[str]:
        """Older versions first: while one of them is there, the newest hides it."""
        found = self._of(keys)
        locked = self._remove([(version.key, version.id) for version in found if not version.newest])
        return locked | self._remove(
            [(version.key, version.id) for version in found if version.newest and version.key not in locked]
        )

    def remove_superseded(self, key: str, version_id: str | None) -> None:
        """What lies under the version just written, as far as no lock protects it."""
        found = self._of([key])
        ids = [version.id for version in found if not version.marker]
        written = version_id or "null"
        below = ids[ids.index(written) + 1 :] if written in ids else []  # not there: somebody replaced it in turn
        markers = [version.id for version in found if version.marker and not version.newest]
        self._remove([(key, each) for each in below + markers])

    def reveal(self, key: str) -> bool:
        """Take delete markers away until a version shows. False when there is none."""
        versions = self._of([key])
        if any(version.newest and version.marker for version in versions):
            self._remove([(key, version.id) for version in versions if version.marker])
        return any(not version.marker for version in versions)

    # -- asking

    def _of(self, keys: Sequence[str]) -> list[_Version]:
        """All versions of ``keys``, which are in S3's order. A page is asked for where the next of them must lie, so keys
        that lie close together share one."""
        found: list[_Version] = []
        prefix = os.path.commonprefix([keys[0], keys[-1]])  # noqa: RUF071  of characters, as prefixes in S3 are
        wanted = set(keys)
        at = 0
        marker, version_id = None, None
        while True:
            page = self._page(prefix, marker, version_id)
            found += [version for version in page.versions if version.key in wanted]
            marker, version_id = page.next_key, page.next_id
            if marker is None:
                return found
            while at < len(keys) and keys[at].encode() < marker.encode():  # the key a page ends with may go on in the next
                at += 1
            if at == len(keys):
                return found
            before = keys[at][:-1]  # sorts before the key, and next to nothing lies between them
            if before.encode() > marker.encode():
                marker, version_id = before, None

    def _page(self, prefix: str, key_marker: str | None, version_marker: str | None) -> _Page:
        bucket = self._bucket
        request: dict[str, Any] = {"Bucket": bucket.name, "Prefix": prefix, "MaxKeys": bucket.page_size}
        if key_marker is not None:
            request["KeyMarker"] = key_marker
        if version_marker is not None:
            request["VersionIdMarker"] = version_marker
        answer = bucket.call("ListObjectVersions", lambda: bucket.client.list_object_versions(**request))
        versions = [_Version(v["Key"], v["VersionId"], v["IsLatest"], marker=False) for v in answer.get("Versions", [])]
        versions += [_Version(m["Key"], m["VersionId"], m["IsLatest"], marker=True) for m in answer.get("DeleteMarkers", [])]
        if not answer.get("IsTruncated"):
            return _Page(versions, None, None)
        return _Page(versions, answer["NextKeyMarker"], answer.get("NextVersionIdMarker"))

    # -- removing

    def _remove(self, targets: Sequence[tuple[str, str]]) -> set[str]:
        """(key, version id) pairs. Returns the keys of those that a lock protects."""
        locked = set()
        for at in range(0, len(targets), self._bucket.page_size):
            batch = [{"Key": key, "VersionId": version_id} for key, version_id in targets[at : at + self._bucket.page_size]]
            for refused in self._request(batch, quiet=True).get("Errors", []):
                if refused.get("Code") in ABSENT:
                    continue
                if not self._by_lock(refused):
                    raise self._refusal(refused)
                locked.add(refused["Key"])
        return locked

    def _request(self, objects: Sequence[Mapping[str, str]], *, quiet: bool) -> Mapping[str, Any]:
        bucket = self._bucket
        what: Any = {"Objects": objects, "Quiet": quiet}
        return bucket.call("DeleteObjects", lambda: bucket.client.delete_objects(Bucket=bucket.name, Delete=what))

    def _by_lock(self, refused: Mapping[str, Any]) -> bool:
        """Whether a lock, not a missing permission, is why this version was not deleted."""
        if refused.get("Code") not in _REFUSALS_OF_LOCKS:
            return False
        if "object lock" in str(refused.get("Message", "")).lower():
            return True
        bucket = self._bucket
        which = {"Bucket": bucket.name, "Key": refused["Key"], "VersionId": refused.get("VersionId", "null")}
        try:
            head: Mapping[str, Any] = bucket.call("HeadObject", lambda: bucket.client.head_object(**which))
        except NotFound:
            return False
        until: datetime | None = head.get("ObjectLockRetainUntilDate")
        return head.get("ObjectLockLegalHoldStatus") == "ON" or (until is not None and until.astimezone(UTC) > bucket.now())

    def _refusal(self, refused: Mapping[str, Any]) -> HoldfastError:
        return self._bucket.error("DeleteObjects", str(refused.get("Code")), str(refused.get("Message", "")), 400)
