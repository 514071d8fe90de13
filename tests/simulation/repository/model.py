"""What must be true: the points as plain dicts, and a witness that compares the store with them at every change."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from server.domain.errors import HoldfastError
from server.ports import Blob, Blobs
from server.repository import layout
from server.repository.manifest import Manifest
from server.repository.repository import Repository
from server.repository.restore import read_blocks
from tests.simulation.repository.stage import BLOCK_SIZE
from tests.simulation.repository.store import Store, Watcher

Content = dict[int, int]  # block index → seed of its content; 0 is a block of zeros

REPLACEABLE = (layout.OWNER, layout.PINS, layout.GC_STATE, layout.CONFIG)


@lru_cache(maxsize=256)
def block(seed: int) -> bytes:
    """Reproducible content: zeros, well compressible, or (every fifth seed) not at all."""
    if seed == 0:
        return bytes(BLOCK_SIZE)
    if seed % 5 == 0:
        return random.Random(seed).randbytes(BLOCK_SIZE)
    return seed.to_bytes(16, "big") * (BLOCK_SIZE // 16)


def plain(content: Content) -> dict[int, bytes]:
    """What a restore must yield: every block that is not zero."""
    return {index: block(seed) for index, seed in content.items() if seed}


@dataclass(frozen=True, slots=True)
class Disk:
    """``blocks`` long."""

    id: str
    blocks: int
    content: Content


@dataclass(slots=True)
class Point:
    """``needs``: objects a restore of it read. ``changed``: the step at which it was last shown or hidden."""

    id: UUID
    resource: str
    disks: tuple[Disk, ...]
    visible: bool = False
    changed: int = 0
    committed: bool = False  # a commit returned
    forgets: int = 0  # asked for, ever
    recalls: int = 0
    recalling: int = 0  # at this moment
    needs: set[str] = field(default_factory=set)
    manifest: Manifest | None = None

    def disk(self, disk_id: str) -> Disk | None:
        return next((disk for disk in self.disks if disk.id == disk_id), None)


@dataclass(slots=True)
class Model:
    points: dict[UUID, Point] = field(default_factory=dict)
    owner_changed: int = 0  # step

    def visible(self) -> list[Point]:
        return [point for point in self.points.values() if point.visible]

    def throughout(self, point_id: UUID, since: int) -> bool:
        """Visible from that step until now without a break."""
        point = self.points[point_id]
        return point.visible and point.changed < since


class Reads:
    """The memory behind the store, noting the names of objects read."""

    def __init__(self, inner: Blobs) -> None:
        self._inner = inner
        self.names: set[str] = set()

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.names.add(name)
        return self._inner.get(name, start=start, length=length)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Witness(Watcher):
    """Reads behind everybody's back. ``open`` makes a repository over given blobs, without faults."""

    def __init__(self, store: Store, model: Model) -> None:
        self._store = store
        self._memory = store.memory
        self._model = model
        self.reads = Reads(store.memory)
        self.repo: Repository | None = None

    @property
    def blobs(self) -> Blobs:
        return cast(Blobs, self.reads)

    # -- what the store tells

    def put(self, name: str, before: Blob | None, after: Blob) -> None:
        assert before is None or name.startswith(REPLACEABLE), f"{name} was replaced"
        if before is not None and before.locked_until is not None:
            assert after.locked_until is not None, f"{name} lost its lock"
            assert after.locked_until >= before.locked_until, f"the lock of {name} was shortened"
        if name == layout.OWNER:
            self._model.owner_changed = self._store.scheduler.steps
        elif name.startswith(layout.POINTS):
            self._note(self._point(name))
        elif name.startswith(layout.FORGOTTEN):
            point = self._point(name)
            assert point.forgets, f"point {point.id} was forgotten though nobody asked for it"
            self._note(point)

    def deleted(self, names: Sequence[str]) -> None:
        gone = set(names)
        for name in names:
            if name.startswith(layout.POINTS):
                point = self._point(name)
                assert self._memory.head(layout.forgotten(point.id)), f"point {point.id} was deleted though not forgotten"
                self._note(point)
            elif name.startswith(layout.FORGOTTEN):
                point = self._point(name)
                there = self._memory.head(layout.point(point.id)) is not None
                assert not there or point.recalls, f"point {point.id} shows again though nobody recalled it"
                self._note(point)
        for point in self._model.visible():
            if point.needs & gone:
                self.verify(point)

    def locked(self, name: str, before: datetime | None) -> None:
        after = self._memory.head(name)
        assert after is not None
        assert before is None or (after.locked_until and after.locked_until >= before), f"the lock of {name} was shortened"

    # -- judgement

    def verify(self, point: Point) -> None:
        """It can be restored, and is what was backed up."""
        assert self.repo is not None
        self.reads.names = set()
        try:
            point.manifest = self.repo.manifest(point.id)
            disks = {record.disk_id for record in point.manifest.disks}
            assert disks == {disk.id for disk in point.disks}, f"point {point.id} has disks {disks}"
            for disk in point.disks:
                restored = dict(read_blocks(self.repo, point.manifest, disk.id, threads=1))
                assert restored == plain(disk.content), (
                    f"disk {disk.id} of point {point.id}: {differing(restored, plain(disk.content))}"
                )
        except HoldfastError as error:
            raise AssertionError(f"point {point.id} cannot be restored: {error.message}") from error
        point.needs = self.reads.names
        self._locks_cover(point)

    def _locks_cover(self, point: Point) -> None:
        """Everything a point needs is locked at least as long as the point itself."""
        own = self._memory.head(layout.point(point.id))
        if own is None or own.locked_until is None:
            return
        for name in point.needs:
            there = self._memory.head(name)
            if there is not None:
                until = there.locked_until
                assert until is not None and until >= own.locked_until, (
                    f"{name}, locked until {until}, is needed by point {point.id}, locked until {own.locked_until}"
                )

    def _point(self, name: str) -> Point:
        point_id = layout.uuid_of(name)
        assert point_id in self._model.points, f"nobody backs up {name}"
        return self._model.points[point_id]

    def _note(self, point: Point) -> None:
        there = self._memory.head(layout.point(point.id)) is not None
        visible = there and self._memory.head(layout.forgotten(point.id)) is None
        if visible != point.visible:
            point.visible, point.changed = visible, self._store.scheduler.steps
            self._store.trace.add(f"point {point.id} is {'visible' if visible else 'hidden'}")
        if visible:
            self.verify(point)


def differing(found: dict[int, bytes], wanted: dict[int, bytes]) -> str:
    indexes: Iterable[int] = sorted({*found, *wanted})
    wrong = [index for index in indexes if found.get(index) != wanted.get(index)]
    return f"blocks {wrong[:10]} are wrong, of {len(wanted)}"
