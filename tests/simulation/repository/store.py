"""The fake store: memory behind doors that delay, refuse, lose replies, and let processes die between any two calls."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from zlib import crc32

from server.adapters.blobs.memory import MemoryBlobs
from server.domain.errors import AlreadyThere, HoldfastError, Throttled, Unavailable
from server.domain.immutability import BucketFacts
from server.domain.repository import RetrievalMode, StorageClass
from server.ports import Blob, Upload
from tests.simulation.repository.scheduler import Process, Scheduler

T = TypeVar("T")

START = datetime(2026, 3, 1, tzinfo=UTC)
PAGE = 4  # objects in one answer to a list request
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities per call. ``refused``: not done; ``lost``: done, but the reply is; ``late``: given up by the caller, done
    a little later; ``slow``: takes seconds to minutes; ``frozen``: its process stands still for minutes to days; ``crash``: it
    dies, before or after."""

    refused: float = 0.0
    lost: float = 0.0
    late: float = 0.0
    slow: float = 0.0
    frozen: float = 0.0
    crash: float = 0.0


CALM = Faults()


class Trace:
    """What happened: the last lines to read, and a digest of all."""

    def __init__(self, scheduler: Scheduler, keep: int) -> None:
        self._scheduler = scheduler
        self._digest = hashlib.sha256()
        self.lines: deque[str] = deque(maxlen=keep)

    def add(self, what: str) -> None:
        at, task = self._scheduler, self._scheduler.task
        who = f"{task.process.name}/{task.name}" if task else "-"
        line = f"{at.steps:6d} {START + timedelta(seconds=at.now):%d %H:%M:%S.%f} {who:28} {what}"
        self._digest.update(line.encode())
        self.lines.append(line)

    def digest(self) -> str:
        return self._digest.hexdigest()


class StoreClock:
    """Stamps whole seconds, as S3 does."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def now(self) -> datetime:
        return START + timedelta(seconds=int(self._scheduler.now))

    def monotonic(self) -> float:
        return self._scheduler.now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a store does not sleep")


class ProcessClock:
    """Of one process: off by its skew; reading it is a place to lose the processor."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler = scheduler
        self._process = process

    def now(self) -> datetime:
        self._scheduler.preempt()
        return START + timedelta(seconds=self._scheduler.now + self._process.skew)

    def monotonic(self) -> float:
        self._scheduler.preempt()
        return self._scheduler.now

    def sleep(self, seconds: float) -> None:
        self._scheduler.park(seconds=seconds)


class Watcher:
    """Told of each change the moment it took place; raises AssertionError when it may not be."""

    def put(self, name: str, before: Blob | None, after: Blob) -> None: ...

    def deleted(self, names: Sequence[str]) -> None: ...

    def locked(self, name: str, before: datetime | None) -> None: ...


class Store:
    """What all processes share. ``faults`` may be exchanged at any time."""

    def __init__(self, scheduler: Scheduler, rng: random.Random, facts: BucketFacts, keep: int) -> None:
        self.scheduler = scheduler
        self.rng = rng
        self.memory = MemoryBlobs(StoreClock(scheduler), facts=facts)
        self.trace = Trace(scheduler, keep)
        self.faults = CALM
        self.watcher = Watcher()
        self.outage_until = 0.0
        self.network = Process("network")  # carries what outlives its sender

    # -- what calls do, at the moment they take effect

    def put(self, name: str, data: bytes, write: Callable[[], Blob]) -> Blob:
        before = self.memory.head(name)
        try:
            blob = write()
        except AlreadyThere:
            self.trace.add(f"put {name} refused: {before.version if before else 'absent'}")
            raise
        self.trace.add(f"put {name} {len(data)} {crc32(data):08x} v{blob.version}")
        self._watched(lambda: self.watcher.put(name, before, blob))
        return blob

    def delete(self, names: Sequence[str]) -> list[str]:
        there = [name for name in names if self.memory.head(name) is not None]
        locked = self.memory.delete(names)
        self.trace.add(f"delete {' '.join(names)}{' locked: ' + ' '.join(locked) if locked else ''}")
        self._watched(lambda: self.watcher.deleted([name for name in there if name not in locked]))
        return locked

    def extend(self, names: Sequence[str], until: datetime) -> None:
        before = {name: blob.locked_until for name in names if (blob := self.memory.head(name)) is not None}
        self.memory.extend_locks(names, until)
        self.trace.add(f"lock {' '.join(names)} until {until:%d %H:%M}")
        self._watched(lambda: [self.watcher.locked(name, old) for name, old in before.items()])

    def _watched(self, look: Callable[[], object]) -> None:
        self.scheduler.switching = False
        try:
            look()
        finally:
            self.scheduler.switching = True


class Door:
    """The store as one process sees it (a ``Blobs``)."""

    def __init__(self, store: Store, process: Process) -> None:
        self._store = store
        self._scheduler = store.scheduler
        self._process = process

    @property
    def url(self) -> str:
        return self._store.memory.url

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
        store, content = self._store, bytes(data)

        def write() -> Blob:
            return store.memory.put(
                name,
                content,
                if_absent=if_absent,
                if_version=if_version,
                lock_until=lock_until,
                storage_class=storage_class,
            )

        return self.call(f"put {name}", lambda: store.put(name, content, write), changes=True)

    def upload(
        self, name: str, *, lock_until: datetime | None = None, storage_class: StorageClass = StorageClass.STANDARD
    ) -> Upload:
        def begin() -> Upload:
            return self._store.memory.upload(name, lock_until=lock_until, storage_class=storage_class)

        return DoorUpload(self, self._store, name, self.call(f"upload {name}", begin))

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        return self.call(f"get {name}", lambda: self._store.memory.get(name, start=start, length=length))

    def head(self, name: str) -> Blob | None:
        return self.call(f"head {name}", lambda: self._store.memory.head(name))

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        """Page by page: each is consistent, the whole is not."""
        while True:
            page = self.call(f"list {prefix} after {after}", lambda: self._page(prefix, after))  # noqa: B023  called at once
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].name

    def _page(self, prefix: str, after: str) -> list[Blob]:
        page: list[Blob] = []
        for blob in self._store.memory.list(prefix, after=after):
            page.append(blob)
            if len(page) == PAGE:
                break
        return page

    def delete(self, names: Sequence[str]) -> list[str]:
        return self.call(f"delete {len(names)}", lambda: self._store.delete(names), changes=True) if names else []

    def extend_locks(self, names: Sequence[str], until: datetime) -> None:
        self.call(f"extend {len(names)}", lambda: self._store.extend(names, until), changes=True)

    def reveal(self, name: str) -> bool:
        return self.call(f"reveal {name}", lambda: self._store.memory.reveal(name), changes=True)

    def retrieve(self, name: str, *, mode: RetrievalMode, days: int) -> None:
        self.call(f"retrieve {name}", lambda: self._store.memory.retrieve(name, mode=mode, days=days), changes=True)

    def facts(self) -> BucketFacts:
        return self.call("facts", self._store.memory.facts)

    def now(self) -> datetime:
        return self.call("now", self._store.memory.now)

    # -- what may happen to a call

    def call(self, what: str, action: Callable[[], T], *, changes: bool = False) -> T:
        scheduler, store = self._scheduler, self._store
        scheduler.pause()
        if not scheduler.switching:
            return action()
        faults = store.faults
        if faults is CALM:
            result = self._answered(what, action)
            scheduler.pause()
            return result
        self._suffer(faults, what)
        draw = store.rng.random()
        if draw < faults.refused or scheduler.now < store.outage_until:
            store.trace.add(f"{what}: refused")
            raise Throttled("The store asks us to slow down.") if draw < faults.refused / 2 else Unavailable("No answer.")
        if changes and draw < faults.refused + faults.late:
            self._later(what, action)
            raise Unavailable("The store did not answer in time.")
        result = self._answered(what, action)
        self._suffer(faults, what)
        scheduler.pause()
        if store.rng.random() < faults.lost:
            store.trace.add(f"{what}: reply lost")
            raise Unavailable("The store's reply was lost.")
        return result

    def _answered(self, what: str, action: Callable[[], T]) -> T:
        try:
            result = action()
        except HoldfastError as refusal:
            self._store.trace.add(f"{what}: {type(refusal).__name__}")
            raise
        if not what.startswith(("put", "delete", "extend", "complete")):  # those tell themselves
            self._store.trace.add(f"{what}: {_brief(result)}")
        return result

    def _suffer(self, faults: Faults, what: str) -> None:
        """Delays and death, before or after the call takes effect."""
        store = self._store
        draw = store.rng.random()
        if draw < faults.crash:
            store.trace.add(f"{what}: dies here")
            self._scheduler.kill(self._process)
        elif draw < faults.crash + faults.frozen:
            seconds = store.rng.choice((10 * MINUTE, 3 * HOUR, DAY, 4 * DAY))
            store.trace.add(f"{what}: frozen for {seconds / HOUR:.1f} h")
            self._scheduler.freeze(self._process, seconds)
        elif draw < faults.crash + faults.frozen + faults.slow:
            self._scheduler.park(seconds=store.rng.choice((0.3, 5.0, 60.0)))

    def _later(self, what: str, action: Callable[[], object]) -> None:
        store = self._store
        store.trace.add(f"{what}: still on its way")

        def arrive() -> None:
            self._scheduler.park(seconds=store.rng.choice((0.1, 1.0, 10.0)))
            try:
                action()
            except HoldfastError as refusal:
                store.trace.add(f"{what}: arrived late, {type(refusal).__name__}")

        self._scheduler.spawn(store.network, "late", arrive)


class DoorUpload:
    """Parts come one by one; what is not completed never shows."""

    def __init__(self, door: Door, store: Store, name: str, inner: Upload) -> None:
        self._door = door
        self._store = store
        self._name = name
        self._inner = inner

    def part(self, number: int, data: bytes | memoryview) -> None:
        content = bytes(data)
        self._door.call(f"part {number} of {self._name}", lambda: self._inner.part(number, content))

    def complete(self) -> Blob:
        return self._door.call(
            f"complete {self._name}", lambda: self._store.put(self._name, b"", self._inner.complete), changes=True
        )

    def abort(self) -> None:
        self._door.call(f"abort {self._name}", self._inner.abort)


def _brief(answer: object) -> str:
    if isinstance(answer, Blob):
        return f"v{answer.version}"
    return f"{len(answer)}" if isinstance(answer, bytes | list) else f"{answer}" if answer is None else "done"
