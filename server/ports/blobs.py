"""Object storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server.domain.immutability import BucketFacts
from server.domain.repository import RetrievalMode, StorageClass


@dataclass(frozen=True, slots=True)
class Availability:
    """Of an object in an archive class: ``ongoing`` while AWS retrieves it, ``until`` when its readable copy goes."""

    ongoing: bool
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Blob:
    """An object as listed: ``version`` is its ETag-like content version; ``modified`` the store's own clock.

    ``locked_until`` and ``availability`` are known from ``head`` only. ``availability`` None: not in an archive class, or
    archived and never retrieved.
    """

    name: str
    size: int
    version: str
    modified: datetime
    storage_class: StorageClass = StorageClass.STANDARD
    locked_until: datetime | None = None
    availability: Availability | None = None


class Upload(Protocol):
    """A large object coming in parts of 5 MiB to 5 GiB (the last may be smaller), at most 10,000. Invisible until
    ``complete``. Parts may be put from several threads."""

    def part(self, number: int, data: bytes | memoryview) -> None:
        """``number`` from 1. Putting a number again replaces it."""
        ...

    def complete(self) -> Blob:
        """Durable when it returns. AlreadyThere when an object of that name exists (it is never replaced). Idempotent: after a
        lost reply, a second call returns the object."""
        ...

    def abort(self) -> None:
        """Idempotent; harmless after ``complete``."""
        ...


class Blobs(Protocol):
    """Objects in one folder. Names use ``/`` and never begin with it.

    In a bucket with versions an object is its newest version; what ``put`` replaces and ``delete`` removes does not stay
    behind as an older version once no lock protects it.
    """

    @property
    def url(self) -> str:
        """For people: ``s3://bucket/folder`` or ``file:///path``."""
        ...

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
        """Durable when it returns. ``lock_until``: compliance lock until then. AlreadyThere when a condition does not hold.
        InvalidInput for a lock or class the store does not have. StorageFull, Unavailable, AwsError."""
        ...

    def upload(
        self, name: str, *, lock_until: datetime | None = None, storage_class: StorageClass = StorageClass.STANDARD
    ) -> Upload: ...

    def delete(self, names: Sequence[str]) -> list[str]:
        """Absent ones are no error. Returns those a lock still protects: they stay as they were, visible."""
        ...

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """NotFound when absent; Archived when it must be retrieved first. Fewer bytes than asked only at the object's end."""
        ...

    def head(self, name: str) -> Blob | None: ...

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        """In name order, strongly consistent."""
        ...

    def extend_locks(self, names: Sequence[str], until: datetime) -> None:
        """Lock until ``until`` at least; a longer lock stays (locks are never shortened). Many at once, in parallel. NotFound
        (names the object) when one is absent; InvalidInput when the store has no locks."""
        ...

    def reveal(self, name: str) -> bool:
        """Undo a deletion somebody else made in a bucket with versions: True when the object is there again."""
        ...

    def retrieve(self, name: str, *, mode: RetrievalMode, days: int) -> None:
        """Ask for a readable copy of an archived object for ``days`` from now; when there is one, its expiry is moved.
        Idempotent while it is under way. InvalidInput for a mode its class does not have."""
        ...

    def facts(self) -> BucketFacts:
        """What decides whether this store can hold a repository, and whether it will be immutable."""
        ...

    def now(self) -> datetime:
        """The store's clock (S3: the Date header), to notice a skewed one of ours."""
        ...
