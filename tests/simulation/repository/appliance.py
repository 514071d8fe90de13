"""An appliance: processes that die and come back, and the backups it makes, as the services do them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from server.domain.errors import HoldfastError, InvalidInput, NotFound
from server.ports import BlockRef
from server.repository.repository import (
    BackupRun,
    Control,
    DiskInput,
    DiskResult,
    Kdf,
    Repository,
    Tuning,
    resume_index,
)
from server.repository.runtime import Runtime
from tests.simulation.repository.model import Content, Disk, Model, Point, block
from tests.simulation.repository.scheduler import Process
from tests.simulation.repository.stage import BLOCK_SIZE, PACK_SIZE
from tests.simulation.repository.store import Door, ProcessClock, Store
from tests.simulation.repository.threads import Pool

PASSWORD = "correct horse"
QUICK = Kdf(memory_kib=8, passes=1)  # the real costs would be most of a history's time
TUNING = Tuning(
    threads=2,
    cores=2,
    batch=2,
    pack_size=PACK_SIZE,
    buffers=2,
    uploads=2,
    progress_every=1.0,
    checkpoint_every=0.0,
    checkpoint_patience=1.0,
    beat_every=30.0,
)


@dataclass
class Outcome:
    """Of an attempt. ``error`` None and not ``died``: it succeeded with ``value``."""

    value: Any = None
    error: HoldfastError | None = None
    died: bool = False


class Appliance:
    """One owner with two worker processes; one that dies is replaced."""

    def __init__(self, name: str, owner: UUID, store: Store, skew: float) -> None:
        self.name = name
        self.owner = owner
        self.store = store
        self.skew = skew
        self._workers = [Process(f"{name}{number}", skew) for number in (1, 2)]
        self._started = 2
        self._open: dict[Process, Repository] = {}

    def create(self) -> None:
        blobs, clock = self._stand()
        Repository.create(blobs, PASSWORD, clock=clock, owner=self.owner, kdf=QUICK, runtime=self._runtime())

    def repository(self, *, fresh: bool = False, take_over: bool = False) -> Repository:
        """Opened once per process, unless ``fresh``."""
        process = self._process()
        if not fresh and not take_over and process in self._open:
            return self._open[process]
        blobs, clock = self._stand()
        runtime = self._runtime()
        opened = Repository.open(blobs, PASSWORD, clock=clock, owner=self.owner, take_over=take_over, runtime=runtime)
        self._open[process] = opened
        return opened

    def attempt(self, name: str, work: Callable[[], Any]) -> Outcome:
        """Run in one of this appliance's processes; the caller waits."""
        outcome = Outcome(died=True)

        def run() -> None:
            try:
                outcome.value = work()
            except HoldfastError as error:
                outcome.error = error
            outcome.died = False

        self.store.scheduler.join(self.store.scheduler.spawn(self._worker(), name, run))
        said = "died" if outcome.died else f"{type(outcome.error).__name__}: {outcome.error}" if outcome.error else "done"
        self.store.trace.add(f"{self.name} {name}: {said}")
        return outcome

    def _worker(self) -> Process:
        number = int(self.store.rng.random() < 0.3)
        if not self._workers[number].alive:
            self._started += 1
            self._workers[number] = Process(f"{self.name}{self._started}", self.skew)
        return self._workers[number]

    def _process(self) -> Process:
        task = self.store.scheduler.task
        assert task is not None
        return task.process

    def _stand(self) -> tuple[Door, ProcessClock]:
        process = self._process()
        return Door(self.store, process), ProcessClock(self.store.scheduler, process)

    def _runtime(self) -> Runtime:
        return Runtime(pools=Pool, entropy=self.store.rng.randbytes)


def changes(base: Content, now: Content) -> list[int]:
    return [index for index in {**base, **now} if base.get(index) != now.get(index)]


@dataclass
class Backup:
    """A task that makes one point, with what it keeps between attempts in the appliance's database."""

    model: Model
    store: Store
    rng: random.Random
    point: Point
    parent: UUID | None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    checkpoint: str | None = None

    def attempt(self, repo: Repository) -> None:
        """As ``services/backups.py`` does it. NotFound: all over again, without a parent."""
        run = self._begin(repo)
        if run.committed is None:
            for disk in self.point.disks:
                if disk.id not in self.results:
                    result = self._disk(run, disk)
                    self.results[disk.id] = result.to_json()
                    self.checkpoint = None
        done = [DiskResult.from_json(self.results[disk.id]) for disk in self.point.disks if disk.id in self.results]
        try:
            run.commit(at=datetime(2026, 3, 1, tzinfo=UTC), resource={"id": self.point.resource}, document={}, disks=done)
        except NotFound:
            self.parent, self.results, self.checkpoint = None, {}, None
            raise
        self.point.committed = True

    def abandon(self, repo: Repository) -> None:
        self.point.forgets += 1
        repo.begin(self.point.id, parent=None).abandon()
        repo.forget(self.point.id)

    def _begin(self, repo: Repository) -> BackupRun:
        try:
            return repo.begin(self.point.id, parent=self.parent, tuning=TUNING)
        except NotFound:
            if self.parent is None:
                raise
        self.parent, self.results, self.checkpoint = None, {}, None
        return repo.begin(self.point.id, parent=None, tuning=TUNING)

    def _disk(self, run: BackupRun, disk: Disk) -> DiskResult:
        checkpoint = self.checkpoint
        if checkpoint is not None and not (run.accepts(checkpoint) and json.loads(checkpoint)["disk"] == disk.id):
            checkpoint = None
        known = self.model.points[run.parent.id].disk(disk.id) if run.parent else None
        listed: Iterable[int] = disk.content
        mode: str = "full"
        if known is not None and known.blocks <= disk.blocks:
            extra = [index for index in disk.content if self.rng.random() < 0.1]  # EBS may list too many
            listed, mode = {*changes(known.content, disk.content), *extra}, "changed"
        try:
            return self._read(run, disk, listed, mode, checkpoint)
        except InvalidInput:
            if checkpoint is None:
                raise
        return self._read(run, disk, listed, mode, None)  # the checkpoint was of the other mode

    def _read(self, run: BackupRun, disk: Disk, listed: Iterable[int], mode: str, checkpoint: str | None) -> DiskResult:
        def read(ref: BlockRef) -> bytes:
            self.store.scheduler.preempt(0.2)
            return block(disk.content[ref.index])

        start = resume_index(checkpoint)
        return run.disk(
            DiskInput(disk_id=disk.id, size_bytes=disk.blocks * BLOCK_SIZE),
            blocks=[BlockRef(i, f"t{i}" if i in disk.content else "") for i in sorted(listed) if i >= start],
            read=read,
            mode="full" if mode == "full" else "changed",
            control=Control(save=self._save),
            checkpoint=checkpoint,
        )

    def _save(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint
