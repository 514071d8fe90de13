"""Objects in memory, with what S3 does to them: versions, compliance locks, delete markers, archive classes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from server.adapters.blobs import refusals
from server.adapters.blobs.names import checked
from server.domain.immutability import BucketFacts
from server.domain.repository import RetrievalMode, StorageClass
from server.ports import Availability, Blob, Clock, Upload

# The longest S3 says each takes; https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html
RETRIEVAL_TIMES: Final = {
    (StorageClass.GLACIER, RetrievalMode.EXPEDITED): timedelta(minutes=5),
    (StorageClass.GLACIER, RetrievalMode.STANDARD): timedelta(hours=5),
    (StorageClass.GLACIER, RetrievalMode.BULK): timedelta(hours=12),
    (StorageClass.DEEP_ARCHIVE, RetrievalMode.STANDARD): timedelta(hours=12),
    (StorageClass.DEEP_ARCHIVE, RetrievalMode.BULK): timedelta(hours=48),
}


@dataclass(slots=True)
class _Copy:
    """Of an archived object: readable from ``ready`` until ``until``."""

    ready: datetime
    until: datetime


@dataclass(slots=True)
class _Version:
    """``content`` None: a delete marker."""

    blob: Blob
    content: bytes | None
    locked_until: datetime | None = None
    copy: _Copy | None = None


class MemoryBlobs:
    """A bucket set up as ``facts`` say. ``clock`` plays the store's own; locks, default retention and retrievals go by it.
    Thread-safe."""

    def __init__(self, clock: Clock, *, name: str = "memory", facts: BucketFacts | None = None) -> None:
        self._clock = clock
        self._name = name
        self._facts = facts or BucketFacts()
        self._versioned = self._facts.versioning == "enabled"
        self._objects: dict[str, list[_Version]] = {}  # versions, the newest last
        self._lock = threading.Lock()
        self._writes = 0

    @property
    def url(self) -> str:
        return f"memory://{self._name}"

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
        content = bytes(data)
        if lock_until is not None and not self._facts.object_lock:
            raise refusals.no_locks(self.url)
        with self._lock:
            there = self._current(checked(name))
            if if_absent and there is not None:
                raise refusals.exists(name)
            if if_version is not None and (there is None or there.blob.version != if_version):
                raise refusals.changed(name)
            return self._add(name, content, lock_until, storage_class, keep_older=if_absent)

    def _add(
        self, name: str, content: bytes, lock_until: datetime | None, storage_class: StorageClass, *, keep_older: bool
    ) -> Blob:
        now = self._clock.now()
        if lock_until is None and self._facts.default_retention is not None:
            lock_until = now + timedelta(days=self._facts.default_retention)
        self._writes += 1
        blob = Blob(name, len(content), str(self._writes), now, storage_class, lock_until)
        older = self._objects.get(name, []) if self._versioned else []
        kept = older if keep_older else [version for version in older if self._locked(version)]
        self._objects[name] = [*kept, _Version(blob, content, lock_until)]
        return blob

    def upload(
        self, name: str, *, lock_until: datetime | None = None, storage_class: StorageClass = StorageClass.STANDARD
    ) -> Upload:
        if lock_until is not None and not self._facts.object_lock:
            raise refusals.no_locks(self.url)
        return _MemoryUpload(self, checked(name), lock_until, storage_class)

    def delete(self, names: Sequence[str]) -> list[str]:
        locked = []
        with self._lock:
            for name in names:
                versions = self._objects.pop(checked(name), [])
                if protected := [version for version in versions if self._locked(version)]:
                    # What lies above a locked version stays too: removed, it would let older content show.
                    self._objects[name] = versions[versions.index(protected[0]) :]
                    locked.append(name)
        return locked

    def extend_locks(self, names: Sequence[str], until: datetime) -> None:
        if not self._facts.object_lock:
            raise refusals.no_locks(self.url)
        with self._lock:
            for name in names:
                there = self._current(checked(name))
                if there is None:
                    raise refusals.absent(self.url, name)
                if there.locked_until is None or there.locked_until < until:
                    there.locked_until = until

    # -- reading

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        with self._lock:
            there = self._current(checked(name))
            if there is None or there.content is None:
                raise refusals.absent(self.url, name)
            if there.blob.storage_class is not StorageClass.STANDARD:
                availability = self._availability(there)
                if availability is None or availability.ongoing:
                    raise refusals.archived(self.url, name)
            return there.content[start : None if length is None else start + length]

    def head(self, name: str) -> Blob | None:
        with self._lock:
            there = self._current(checked(name))
            if there is None:
                return None
            return replace(there.blob, locked_until=there.locked_until, availability=self._availability(there))

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        with self._lock:
            names = sorted(name for name in self._objects if name.startswith(prefix) and name > after)
        for name in names:
            with self._lock:
                there = self._current(name)
            if there is not None:
                yield replace(there.blob, locked_until=None)

    # -- versions, archive, facts

    def reveal(self, name: str) -> bool:
        with self._lock:
            versions = self._objects.get(checked(name), [])
            while versions and versions[-1].content is None:
                versions.pop()
            if not versions:
                self._objects.pop(name, None)
            return bool(versions)

    def hide(self, name: str) -> None:
        """What a plain deletion by somebody else does: a delete marker, or the end of the object without versions."""
        with self._lock:
            if not self._versioned:
                self._objects.pop(checked(name), None)
            elif self._current(checked(name)) is not None:
                self._writes += 1
                marker = Blob(name, 0, str(self._writes), self._clock.now())
                self._objects[name].append(_Version(marker, None))

    def version_count(self, name: str) -> int:
        """Versions and delete markers kept of this name."""
        with self._lock:
            return len(self._objects.get(name, []))

    def retrieve(self, name: str, *, mode: RetrievalMode, days: int) -> None:
        with self._lock:
            there = self._current(checked(name))
            if there is None:
                raise refusals.absent(self.url, name)
            storage_class = there.blob.storage_class
            if storage_class is StorageClass.STANDARD:
                raise refusals.not_archived(self.url, name)
            refusals.check_mode(name, storage_class, mode)
            now = self._clock.now()
            available = self._availability(there)
            if available is None:
                ready = now + RETRIEVAL_TIMES[storage_class, mode]
                there.copy = _Copy(ready, _expiry(ready, days))
            elif not available.ongoing and there.copy is not None:
                there.copy.until = _expiry(now, days)

    def facts(self) -> BucketFacts:
        return self._facts

    def now(self) -> datetime:
        return self._clock.now()

    # -- inside the lock

    def _current(self, name: str) -> _Version | None:
        versions = self._objects.get(name)
        return versions[-1] if versions and versions[-1].content is not None else None

    def _locked(self, version: _Version) -> bool:
        return version.locked_until is not None and version.locked_until > self._clock.now()

    def _availability(self, version: _Version) -> Availability | None:
        copy, now = version.copy, self._clock.now()
        if copy is None or now >= copy.until:
            return None
        return Availability(ongoing=True, until=None) if now < copy.ready else Availability(ongoing=False, until=copy.until)


class _MemoryUpload:
    def __init__(self, blobs: MemoryBlobs, name: str, lock_until: datetime | None, storage_class: StorageClass) -> None:
        self._blobs = blobs
        self._name = name
        self._lock_until = lock_until
        self._storage_class = storage_class
        self._parts: dict[int, bytes] = {}
        self._done: Blob | None = None

    def part(self, number: int, data: bytes | memoryview) -> None:
        self._parts[number] = bytes(data)

    def complete(self) -> Blob:
        if self._done is None:
            content = b"".join(self._parts[number] for number in sorted(self._parts))
            self._done = self._blobs.put(
                self._name, content, if_absent=True, lock_until=self._lock_until, storage_class=self._storage_class
            )
            self._parts.clear()
        return self._done

    def abort(self) -> None:
        self._parts.clear()


def _expiry(start: datetime, days: int) -> datetime:
    """S3 rounds the end of a copy up to the next midnight, UTC."""
    return datetime.combine(start.astimezone(UTC).date() + timedelta(days=days + 1), time(), UTC)
