"""A point compared with what was read from its source: its content roots, its new blocks, and a share of the old ones.

A content root commits to a disk's size and to the content of every block, whatever the packs. So a disk whose root is the one
taken while the source was read, and whose blocks all match the ids in its tree, is what the source held. The tree is read from
the root down, as far as the work at hand needs it; blocks are read and matched one by one. The rotating share is chosen by leaf
(128 MiB of disk), so that the metadata of the rest is left alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from server.domain.errors import Cancelled, Damaged
from server.ports import BLOCK_SIZE
from server.repository import layout
from server.repository.control import Control, Progress
from server.repository.crypto import TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.damage import Bad
from server.repository.fetch import Fetcher, NodeAt, TreeReader
from server.repository.findings import Harm, Problem
from server.repository.manifest import DiskRecord, Manifest
from server.repository.repository import Repository
from server.repository.tree import LEAF_BITS, LEAF_BLOCKS, Entry, Slots, content_root
from server.repository.walk import leaf_refs

THREADS = 4
CHUNK = 16  # blocks read at once

Block = tuple[int, Entry]  # index on the disk, where it is stored


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where to go on: leaf ``leaf`` of the ``disk``-th disk."""

    disk: int = 0
    leaf: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """Every ``of``-th leaf, from the ``part``-th on, is read whether it is new or not. 0 of 1: all of them."""

    part: int = 0
    of: int = 1

    def has(self, leaf: int) -> bool:
        return leaf % self.of == self.part


@dataclass(slots=True)
class Report:
    """What one call found. ``following`` None: the point is through. ``blocks`` were read and match their ids."""

    following: Cursor | None = None
    blocks: int = 0
    problems: list[Problem] = field(default_factory=list)


def root_problems(repo: Repository, manifest: Manifest, expected: Mapping[str, str]) -> Iterator[Problem]:
    """Disks whose tree does not lead to the content root taken while the source was read (disk id → hex; of a disk that is
    not in ``expected`` only the manifest knows it)."""
    name = layout.point(manifest.id)
    for disk in manifest.disks:
        actual = content_root(repo.vault.keys.tree, disk.size_bytes, disk.root)
        if actual != disk.content_root or expected.get(disk.disk_id, actual) != actual:
            message = f"Disk {disk.disk_id} is not what was read from the source: its content root is another."
            yield Problem(name, message, (Harm(manifest.id, disk.disk_id, 0, disk.size_bytes),))
    for disk_id in sorted(expected.keys() - {disk.disk_id for disk in manifest.disks}):
        yield Problem(name, f"Disk {disk_id} was backed up, and the point has none.", (Harm(manifest.id, disk_id, 0, 0),))


def verify(
    repo: Repository,
    manifest: Manifest,
    *,
    parent: Manifest | None,
    share: Share,
    start: Cursor,
    budget: int,
    control: Control,
) -> Report:
    """Read blocks from ``start`` on, until ``budget`` bytes were read or the point is through: those the parent does not have
    in the same place, and all in the leaves of ``share``.

    Errors: Cancelled, the storage's (a store that does not answer is no damage).
    """
    work = _Work(repo, manifest, parent, share, control)
    try:
        work.report.following = work.go_on(start, budget)
    finally:
        work.close()
    return work.report


class _Work:
    """One call of ``verify``."""

    def __init__(self, repo: Repository, manifest: Manifest, parent: Manifest | None, share: Share, control: Control) -> None:
        self.report = Report()
        self._manifest = manifest
        self._parent = parent
        self._share = share
        self._control = control
        self._vault = repo.vault
        self._fetcher = Fetcher(repo.vault)
        self._asked = 0  # blocks, read or being read
        self._before: dict[str, TreeReader] = {}
        self._pool = repo.vault.pool(THREADS, "verify")
        self._reading: deque[tuple[DiskRecord, Future[list[tuple[Block, Damaged]]], int]] = deque()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def go_on(self, start: Cursor, budget: int) -> Cursor | None:
        for number in range(start.disk, len(self._manifest.disks)):
            disk = self._manifest.disks[number]
            for leaf in self._leaves(disk, start.leaf if number == start.disk else 0):
                if self._asked * BLOCK_SIZE >= budget:
                    self._settle()
                    return Cursor(number, leaf.number)
                self._leaf(disk, leaf)
        self._settle()
        return None

    def _leaves(self, disk: DiskRecord, first: int) -> Iterator[NodeAt]:
        """From number ``first`` on; a page that cannot be read is a problem, and so are the leaves below it."""
        if disk.root is None:
            return
        try:
            yield from leaf_refs(self._fetcher, NodeAt(disk.root, disk.level, 0), first)
        except Damaged as damaged:
            self._blame(disk, damaged, 0, disk.size_bytes, None)

    def _leaf(self, disk: DiskRecord, at: NodeAt) -> None:
        """Begin to read what is to be read of a leaf."""
        if self._control.cancelled():
            raise Cancelled("The verification was stopped.")
        begin = (at.number << LEAF_BITS) * BLOCK_SIZE
        try:
            before = self._earlier(disk, at)
            if before is None:
                return
            slots = self._fetcher.node(at)
        except Damaged as damaged:
            end = min(disk.size_bytes, begin + LEAF_BLOCKS * BLOCK_SIZE)
            self._blame(disk, damaged, begin, end, _bad(TYPE_TREE_PACK, at.entry))
            return
        first = at.number << LEAF_BITS
        wanted = [(first + slot, entry) for slot, entry in slots.items() if before.get(slot) != entry]
        for at_block in range(0, len(wanted), CHUNK):
            chunk = wanted[at_block : at_block + CHUNK]
            self._asked += len(chunk)
            self._reading.append((disk, self._pool.submit(self._read, chunk), len(chunk)))
        while len(self._reading) > 4 * THREADS:
            self._take()

    def _settle(self) -> None:
        """Wait for what is being read."""
        while self._reading:
            self._take()

    def _earlier(self, disk: DiskRecord, at: NodeAt) -> Slots | None:
        """What of this leaf need not be read: the parent's entries; nothing for a leaf of the share. None: all of it."""
        if self._share.has(at.number):
            return {}
        reader = self._reader(disk)
        if reader is None:
            return {}
        try:
            known = reader.entry(0, at.number)
            if known is None:
                return {}
            return None if known == at.entry else reader.node(0, at.number)
        except Damaged:
            return {}  # the parent's, not this point's

    def _reader(self, disk: DiskRecord) -> TreeReader | None:
        record = self._parent.disk(disk.disk_id) if self._parent else None
        if record is None:
            return None
        if disk.disk_id not in self._before:
            self._before[disk.disk_id] = TreeReader(self._fetcher, record.root, record.level)
        return self._before[disk.disk_id]

    def _read(self, chunk: Sequence[Block]) -> list[tuple[Block, Damaged]]:
        """Blocks of the chunk that cannot be read, each with what is wrong."""
        try:
            self._fetcher.blocks([entry for _, entry in chunk])
        except Damaged:
            return list(self._which(chunk))
        return []

    def _which(self, chunk: Sequence[Block]) -> Iterator[tuple[Block, Damaged]]:
        for block in chunk:
            try:
                self._fetcher.blocks([block[1]])
            except Damaged as damaged:
                yield block, damaged

    def _take(self) -> None:
        disk, future, length = self._reading.popleft()
        bad = future.result()
        self.report.blocks += length - len(bad)
        for (index, entry), damaged in bad:
            end = min(disk.size_bytes, (index + 1) * BLOCK_SIZE)
            self._blame(disk, damaged, index * BLOCK_SIZE, end, _bad(TYPE_DATA_PACK, entry))
        done = self.report.blocks * BLOCK_SIZE
        self._control.progress(Progress(done, done, 0))

    def _blame(self, disk: DiskRecord, damaged: Damaged, start: int, end: int, bad: Bad | None) -> None:
        harm = Harm(self._manifest.id, disk.disk_id, start, end)
        name = damaged.fields.get("object", "")
        self.report.problems.append(Problem(name, damaged.message, (harm,), (bad,) if bad else ()))


def _bad(pack_type: int, entry: Entry) -> Bad:
    return Bad(pack_type, entry.pack, entry.offset, entry.length)
