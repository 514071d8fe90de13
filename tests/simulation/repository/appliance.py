"""An appliance: processes that die and come back, and the backups it makes, as the services do them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from server.domain.errors import AwsRejected, Damaged, HoldfastError, InvalidInput, NotFound
from server.domain.immutability import LockRequest
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
from tests.simulation.repository.store import START, Door, ProcessClock, Store
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

    def __init__(self, name: str, owner: UUID, store: Store, skew: float, cache: Path | None) -> None:
        self.name = name
        self.owner = owner
        self.store = store
        self.skew = skew
        self.cache = cache
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

        process = self._worker()
        self._light_a_fuse(process)
        self.store.scheduler.join(self.store.scheduler.spawn(process, name, run))
        said = "died" if outcome.died else f"{type(outcome.error).__name__}: {outcome.error}" if outcome.error else "done"
        self.store.trace.add(f"{self.name} {name}: {said}")
        return outcome

    def calm(self) -> None:
        """No more mishaps."""
        for process in self._workers:
            process.fuse = None

    def _light_a_fuse(self, process: Process) -> None:
        faults, rng = self.store.faults, self.store.rng
        if not faults.crash and not faults.frozen:
            return
        draw = rng.random()
        if draw < faults.crash + faults.frozen:
            process.stumbles = draw >= faults.crash
            process.fuse = rng.randrange(rng.choice((4, 16, 64, 160)))

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
        return Runtime(pools=Pool, entropy=self.store.rng.randbytes, cache=self.cache)


def changes(base: Content, now: Content) -> list[int]:
    return [index for index in {**base, **now} if base.get(index) != now.get(index)]


@dataclass
class Backup:
    """A task that makes one point, with what it keeps between attempts in the appliance's database. ``holds``: seconds, one of
    which it may be held up for at any of its moments."""

    model: Model
    store: Store
    rng: random.Random
    point: Point
    parent: UUID | None
    lock: LockRequest | None = None
    holds: tuple[float, ...] = ()
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    checkpoint: str | None = None

    def attempt(self, appliance: Appliance) -> None:
        """As ``services/backups.py`` does it. NotFound: all over again, without a parent."""
        run = self._begin(appliance.repository())
        self._hold_up(0.2)
        if run.committed is None:
            for disk in self.point.disks:
                if disk.id not in self.results:
                    result = self._disk(run, disk)
                    self.results[disk.id] = result.to_json()
                    self.checkpoint = None
        done = [DiskResult.from_json(self.results[disk.id]) for disk in self.point.disks if disk.id in self.results]
        self._hold_up(0.7)
        there, owned = run.committed is not None, self.model.owner == appliance.owner
        since = self.store.scheduler.steps
        try:
            run.commit(at=START, resource={"id": self.point.resource}, document={}, disks=done)
        except NotFound:
            self._forget_progress()
            raise
        assert there or owned or self.model.owner_changed >= since, "a commit of an appliance that was not the owner"
        assert not run.lost, f"what point {self.point.id} reaches is lost: {run.lost}"
        self.point.committed = True

    def abandon(self, repo: Repository) -> None:
        self.point.forgets += 1
        repo.begin(self.point.id, parent=None).abandon()
        repo.forget(self.point.id)

    def _begin(self, repo: Repository) -> BackupRun:
        try:
            return repo.begin(self.point.id, parent=self.parent, lock=self.lock, tuning=TUNING)
        except NotFound:
            if self.parent is None:
                raise
        self._forget_progress()
        return repo.begin(self.point.id, parent=None, lock=self.lock, tuning=TUNING)

    def _forget_progress(self) -> None:
        self.parent, self.results, self.checkpoint = None, {}, None

    def _disk(self, run: BackupRun, disk: Disk) -> DiskResult:
        """Increments fall back to a full when the source fails, in the same run."""
        checkpoint = self.checkpoint
        if checkpoint is not None and not (run.accepts(checkpoint) and json.loads(checkpoint)["disk"] == disk.id):
            checkpoint = None
        known = self.model.points[run.parent.id].disk(disk.id) if run.parent else None
        if known is not None and known.blocks <= disk.blocks:
            suspects = [index for start, end in run.suspects(disk.id) for index in range(start, end)]
            extra = [index for index in disk.content if self.rng.random() < 0.1]  # EBS may list too many
            listed = {*changes(known.content, disk.content), *suspects, *extra}
            try:
                return self._read(run, disk, listed, "changed", checkpoint, fails=self.rng.random() < 0.05)
            except (InvalidInput, AwsRejected, Damaged):  # a checkpoint of the other mode; the base is gone, there or here
                checkpoint = None
        try:
            return self._read(run, disk, disk.content, "full", checkpoint)
        except InvalidInput:
            if checkpoint is None:
                raise
        return self._read(run, disk, disk.content, "full", None)

    def _read(
        self,
        run: BackupRun,
        disk: Disk,
        listed: Iterable[int],
        mode: Literal["full", "changed"],
        checkpoint: str | None,
        fails: bool = False,
    ) -> DiskResult:
        def read(ref: BlockRef) -> bytes:
            self.store.scheduler.preempt(0.2)
            self._hold_up(0.1, still=True)
            if fails and self.rng.random() < 0.3:
                raise AwsRejected("The snapshot to compare with is gone.")
            return block(disk.content[ref.index])

        start = resume_index(checkpoint)
        return run.disk(
            DiskInput(disk_id=disk.id, size_bytes=disk.blocks * BLOCK_SIZE),
            blocks=[BlockRef(i, f"t{i}" if i in disk.content else "") for i in sorted(listed) if i >= start],
            read=read,
            mode=mode,
            control=Control(save=self._save),
            checkpoint=checkpoint,
        )

    def _hold_up(self, chance: float, *, still: bool = False) -> None:
        """``still``: the whole process, as other threads look every now and then whether this one has come on."""
        scheduler = self.store.scheduler
        if self.holds and self.rng.random() < chance:
            seconds = self.rng.choice(self.holds)
            if still and scheduler.task is not None:
                scheduler.freeze(scheduler.task.process, seconds)
            else:
                scheduler.park(seconds=seconds)

    def _save(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint
