"""A store that misbehaves on purpose, reproducibly: for tests and the simulation. Wraps any other."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from server.domain.errors import StorageFull, Throttled, Unavailable
from server.domain.immutability import BucketFacts
from server.domain.repository import RetrievalMode, StorageClass
from server.ports import Blob, Blobs, Clock, Upload

T = TypeVar("T")


class Crash(BaseException):
    """The process died here. Not an Exception: nothing may catch it and go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities, 0..1, per call. ``refused``: not done, Unavailable; ``lost``: done, but the reply is; ``throttled``;
    ``full``: a put finds no space; ``slow``: sleeps ``delay`` seconds first. ``crash_after``: the n-th writing call and all
    calls after it raise Crash; ``crash_applied``: that n-th write takes effect. ``skew``: how far the store's clock is off."""

    refused: float = 0.0
    lost: float = 0.0
    throttled: float = 0.0
    full: float = 0.0
    slow: float = 0.0
    delay: float = 1.0
    crash_after: int | None = None
    crash_applied: bool = False
    skew: timedelta = timedelta(0)


class FaultyBlobs:
    """``faults`` may be exchanged at any time. ``writes`` counts calls that change something and reached the store's door."""

    def __init__(self, inner: Blobs, clock: Clock, *, seed: int, faults: Faults | None = None) -> None:
        self._inner = inner
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311  faults must be reproducible, not secret
        self._lock = threading.Lock()
        self.faults = faults or Faults()
        self.writes = 0
        self.crashed = False

    @property
    def url(self) -> str:
        return self._inner.url

    def revive(self, faults: Faults | None = None) -> None:
        """A new process after a crash."""
        with self._lock:
            self.faults = faults or Faults()
            self.writes = 0
            self.crashed = False

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
        return self.writing(
            lambda: self._inner.put(
                name, data, if_absent=if_absent, if_version=if_version, lock_until=lock_until, storage_class=storage_class
            ),
            fills=True,
        )

    def upload(
        self, name: str, *, lock_until: datetime | None = None, storage_class: StorageClass = StorageClass.STANDARD
    ) -> Upload:
        begun = self.writing(lambda: self._inner.upload(name, lock_until=lock_until, storage_class=storage_class))
        return _FaultyUpload(self, begun)

    def delete(self, names: Sequence[str]) -> list[str]:
        return self.writing(lambda: self._inner.delete(names))

    def extend_locks(self, names: Sequence[str], until: datetime) -> None:
        self.writing(lambda: self._inner.extend_locks(names, until))

    def reveal(self, name: str) -> bool:
        return self.writing(lambda: self._inner.reveal(name))

    def retrieve(self, name: str, *, mode: RetrievalMode, days: int) -> None:
        self.writing(lambda: self._inner.retrieve(name, mode=mode, days=days))

    def facts(self) -> BucketFacts:
        return self._call(self._inner.facts)

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        return self._call(lambda: self._inner.get(name, start=start, length=length))

    def head(self, name: str) -> Blob | None:
        return self._call(lambda: self._inner.head(name))

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        self._alive()
        for blob in self._inner.list(prefix, after=after):
            self._alive()
            yield blob

    def now(self) -> datetime:
        self._alive()
        return self._inner.now() + self.faults.skew

    def _alive(self) -> None:
        if self.crashed:
            raise Crash

    def _strikes(self, probability: float) -> bool:
        with self._lock:
            return probability > 0 and self._random.random() < probability

    def writing(self, action: Callable[[], T], *, fills: bool = False) -> T:
        """Do ``action`` under the faults of calls that change something; ``fills``: it takes space."""
        self._alive()
        faults = self.faults
        if fills and self._strikes(faults.full):
            raise StorageFull(f"No space left in {self.url}.", remedy="Free space.")
        with self._lock:
            self.writes += 1
            dies = faults.crash_after is not None and self.writes >= faults.crash_after
            first = dies and not self.crashed
            self.crashed = self.crashed or dies
        if first and faults.crash_applied:
            action()
        return self._call(action)

    def _call(self, action: Callable[[], T]) -> T:
        self._alive()
        faults = self.faults
        if self._strikes(faults.slow):
            self._clock.sleep(faults.delay)
        if self._strikes(faults.throttled):
            raise Throttled("The store asks us to slow down.")
        if self._strikes(faults.refused):
            raise Unavailable("The store did not answer.")
        result = action()
        if self._strikes(faults.lost):
            raise Unavailable("The store's reply was lost.")
        return result


class _FaultyUpload:
    def __init__(self, blobs: FaultyBlobs, inner: Upload) -> None:
        self._blobs = blobs
        self._inner = inner

    def part(self, number: int, data: bytes | memoryview) -> None:
        self._blobs.writing(lambda: self._inner.part(number, data), fills=True)

    def complete(self) -> Blob:
        return self._blobs.writing(self._inner.complete)

    def abort(self) -> None:
        self._blobs.writing(self._inner.abort)
