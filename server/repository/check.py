"""Is everything there and intact? Names the points, disks and byte ranges that each damaged object hurts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from server.domain.errors import Cancelled, Damaged, ForeignFormat, NotFound
from server.ports import BLOCK_SIZE
from server.repository import layout
from server.repository.control import Control
from server.repository.fetch import Fetcher, NodeAt
from server.repository.manifest import DiskRecord, Manifest
from server.repository.repository import Repository
from server.repository.tree import LEAF_BITS, PAGE_BITS, Entry, Slots, content_root
from server.repository.walk import PackIndex, Visited

THREADS = 4
CHUNK = 16  # blocks read at once
MAX_PROBLEMS = 1000  # distinct damaged things examined; a repository with more is lost anyway

Level = Literal["structure", "content"]


@dataclass(frozen=True, slots=True)
class Harm:
    """Bytes [start, end) of a disk of a point that cannot be restored. ``disk_id`` "" : the whole point."""

    point_id: UUID
    disk_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something damaged or missing, ``object`` in the store, and everything it hurts."""

    object: str
    message: str
    harm: tuple[Harm, ...]


@dataclass(slots=True)
class _Findings:
    """Damaged nodes and blocks by (pack, offset); missing packs by pack."""

    nodes: dict[tuple[bytes, int], Damaged] = field(default_factory=dict)
    blocks: dict[tuple[bytes, int], Damaged] = field(default_factory=dict)
    packs: dict[bytes, Damaged] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.nodes) + len(self.blocks) + len(self.packs)

    def node(self, entry: Entry) -> Damaged | None:
        return self.nodes.get((entry.pack, entry.offset))

    def block(self, entry: Entry) -> Damaged | None:
        return self.packs.get(entry.pack) or self.blocks.get((entry.pack, entry.offset))


class _Checker:
    def __init__(self, repo: Repository, level: Level, control: Control) -> None:
        self.repo = repo
        self.level = level
        self.control = control
        self.fetcher = Fetcher(repo.vault)
        self.found = _Findings()
        self.nodes_seen = Visited()
        self.blocks_seen = Visited()
        self.data = PackIndex(repo.vault.blobs.list(layout.PACKS))

    def examine(self, disk: DiskRecord, pool: Executor) -> None:
        """Read every node of the disk not read before, and with "content" every block."""
        if disk.root is None:
            return
        stack = [NodeAt(disk.root, disk.level, 0)]
        reading: list[Future[None]] = []
        while stack and self.found.count < MAX_PROBLEMS:
            if self.control.cancelled():
                raise Cancelled("The check was stopped.")
            at = stack.pop()
            if not self.nodes_seen.add(at.entry):
                continue
            slots = self._node(at)
            if at.level:
                stack.extend(_children(at, slots))
            else:
                reading.extend(self._leaf(slots, pool))
                while len(reading) > 4 * THREADS:
                    reading.pop(0).result()
        for future in reading:
            future.result()

    def _node(self, at: NodeAt) -> Slots:
        try:
            return self.fetcher.node(at)
        except Damaged as damaged:
            self.found.nodes[at.entry.pack, at.entry.offset] = damaged
            return {}

    def _leaf(self, slots: Slots, pool: Executor) -> Iterator[Future[None]]:
        chunk: list[Entry] = []
        for entry in slots.values():
            size = self.data.size(entry.pack)
            if size is None:
                name = layout.data_pack(entry.pack[:16])
                self.found.packs[entry.pack] = Damaged(f"{name} is missing.", fields={"object": name})
            elif entry.offset + entry.length > size:
                name = layout.data_pack(entry.pack[:16])
                self.found.packs[entry.pack] = Damaged(f"{name} is truncated to {size} bytes.", fields={"object": name})
            elif self.level == "content" and self.blocks_seen.add(entry):
                chunk.append(entry)
            if len(chunk) == CHUNK:
                yield pool.submit(self._blocks, chunk)
                chunk = []
        if chunk:
            yield pool.submit(self._blocks, chunk)

    def _blocks(self, chunk: list[Entry]) -> None:
        try:
            self.fetcher.blocks(chunk)
        except Damaged:
            for entry in chunk:  # which of them?
                try:
                    self.fetcher.blocks([entry])
                except Damaged as damaged:
                    self.found.blocks[entry.pack, entry.offset] = damaged

    def blame(self, manifest: Manifest, harm: dict[tuple[str, str], list[Harm]]) -> None:
        """Add what the findings do to this point, as ranges merged per damaged thing."""
        for disk in manifest.disks:
            if disk.root is not None:
                self._blame_disk(manifest.id, disk, NodeAt(disk.root, disk.level, 0), harm)

    def _blame_disk(self, point: UUID, disk: DiskRecord, at: NodeAt, harm: dict[tuple[str, str], list[Harm]]) -> None:
        bits = LEAF_BITS + PAGE_BITS * at.level
        start = (at.number << bits) * BLOCK_SIZE
        damaged = self.found.node(at.entry)
        if damaged is not None:
            end = min(disk.size_bytes, start + (BLOCK_SIZE << bits))
            _add(harm, damaged, Harm(point, disk.disk_id, start, end))
            return
        slots = self.fetcher.node(at)
        if at.level:
            for child in _children(at, slots):
                self._blame_disk(point, disk, child, harm)
            return
        for slot, entry in slots.items():
            damaged = self.found.block(entry)
            if damaged is not None:
                first = start + slot * BLOCK_SIZE
                _add(harm, damaged, Harm(point, disk.disk_id, first, min(disk.size_bytes, first + BLOCK_SIZE)))


def check(repo: Repository, level: Level, *, control: Control | None = None) -> Iterator[Problem]:
    """Everything wrong with what visible points need. "structure": every manifest and node is read, packs must be there and
    long enough; "content": every block is read and matched with its content id too. Each node and block is read once.

    Errors: Cancelled, the storage's (a store that does not answer is no damage).
    """
    checker = _Checker(repo, level, control or Control())
    points: list[UUID] = []
    with repo.vault.pool(THREADS, "check") as pool:
        hidden = set(repo.forgotten())
        for blob in repo.vault.blobs.list(layout.POINTS):
            point_id = layout.uuid_of(blob.name)
            if point_id is None:
                yield Problem(blob.name, f"{blob.name} is no point's name.", ())
            elif point_id not in hidden:
                manifest, problem = _manifest(repo, point_id)
                if problem is not None:
                    yield problem
                if manifest is not None:
                    points.append(point_id)
                    for disk in manifest.disks:
                        yield from _root_problem(repo, manifest, disk)
                        checker.examine(disk, pool)
    if checker.found.count:
        yield from _attribute(checker, points)


def _attribute(checker: _Checker, points: list[UUID]) -> Iterator[Problem]:
    harm: dict[tuple[str, str], list[Harm]] = {}
    for point_id in points:
        manifest, _ = _manifest(checker.repo, point_id)
        if manifest is not None:
            checker.blame(manifest, harm)
    for (name, message), items in harm.items():
        yield Problem(name, message, tuple(items))


def _manifest(repo: Repository, point_id: UUID) -> tuple[Manifest | None, Problem | None]:
    try:
        return repo.manifest(point_id), None
    except NotFound:
        return None, None  # collected meanwhile
    except (Damaged, ForeignFormat) as damaged:
        return None, Problem(layout.point(point_id), damaged.message, (Harm(point_id, "", 0, 0),))


def _root_problem(repo: Repository, manifest: Manifest, disk: DiskRecord) -> Iterator[Problem]:
    if content_root(repo.vault.keys.tree, disk.size_bytes, disk.root) != disk.content_root:
        message = f"Disk {disk.disk_id} does not match its content root."
        yield Problem(layout.point(manifest.id), message, (Harm(manifest.id, disk.disk_id, 0, disk.size_bytes),))


def _children(at: NodeAt, slots: Slots) -> list[NodeAt]:
    return [NodeAt(entry, at.level - 1, at.number << PAGE_BITS | slot) for slot, entry in slots.items()]


def _add(harm: dict[tuple[str, str], list[Harm]], damaged: Damaged, new: Harm) -> None:
    """Joined to the range before when they touch."""
    items = harm.setdefault((damaged.fields.get("object", ""), damaged.message), [])
    if items:
        last = items[-1]
        if (last.point_id, last.disk_id, last.end) == (new.point_id, new.disk_id, new.start):
            items[-1] = Harm(last.point_id, last.disk_id, last.start, new.end)
            return
    items.append(new)
