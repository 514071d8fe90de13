"""Object storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Blob:
    """An object as listed: ``version`` is its ETag-like content version; ``modified`` the store's own clock."""

    name: str
    size: int
    version: str
    modified: datetime


class Blobs(Protocol):
    """Objects in one folder. Names use ``/`` and never begin with it."""

    @property
    def url(self) -> str:
        """For people: ``s3://bucket/folder`` or ``file:///path``."""
        ...

    def put(self, name: str, data: bytes | memoryview, *, if_absent: bool = False, if_version: str | None = None) -> Blob:
        """Durable when it returns. AlreadyThere when a condition does not hold. StorageFull, Unavailable, AwsError."""
        ...

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """NotFound when absent. Fewer bytes than asked only at the object's end."""
        ...

    def head(self, name: str) -> Blob | None: ...

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        """In name order, strongly consistent."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Absent ones are no error."""
        ...

    def now(self) -> datetime:
        """The store's clock (S3: the Date header), to notice a skewed one of ours."""
        ...
