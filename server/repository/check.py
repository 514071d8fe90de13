"""Is everything there and intact? Names the points, disks and byte ranges that each damaged object hurts."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from server.domain.errors import Archived, Cancelled, Damaged, ForeignFormat, InvalidInput, NotFound
from server.domain.repository import StorageClass
from server.ports import BLOCK_SIZE
from server.repository import layout
from server.repository.control import Control
from server.repository.crypto import CHECK_REMEDY, TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.damage import MAX_BAD, Bad, known_damage, write_damage
from server.repository.fetch import Fetcher, NodeAt
from server.repository.findings import MAX_FINDINGS, Blame, Findings, Harm, Problem
from server.repository.manifest import DiskRecord, Manifest
from server.repository.moved import Forwarder
from server.repository.pack import footer_in
from server.repository.repository import Repository
from server.repository.tree import LEAF_BITS, PAGE_BITS, Entry, Slots, content_root
from server.repository.vault import Vault
from server.repository.walk import PackIndex, Visited

__all__ = ["Harm", "Level", "Problem", "Sample", "check", "record", "undelete"]

THREADS = 4
CHUNK = 16  # blocks read at once
HEADS = 64  # packs asked for at once

_WRITTEN_ONCE = (layout.PACKS, layout.TREES, layout.POINTS, layout.MOVED)

Level = Literal["structure", "available", "content"]


@dataclass(frozen=True, slots=True)
class Sample:
    """The ``part``-th, from 0, of ``of`` disjoint shares of all blocks, by content id: ``of`` checks reach every block."""

    part: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.part < self.of:
            raise InvalidInput(f"There is no share {self.part} of {self.of}.", remedy="Count shares from 0.")

    def has(self, entry: Entry) -> bool:
        return int.from_bytes(entry.id[:8], "big") % self.of == self.part


def check(
    repo: Repository,
    level: Level,
    *,
    points: Collection[UUID] | None = None,
    sample: Sample | None = None,
    control: Control | None = None,
) -> Iterator[Problem]:
    """Everything wrong with what visible points (or those of them in ``points``) need. "structure": every manifest and node is
    read, packs must be there and long enough; "available": the store is asked for each pack too, and for its lock; "content":
    every block (of ``sample``) is read and matched with its content id. Each node and block is read once. What an earlier check
    recorded as damaged is read again at every level.

    Errors: Cancelled, the storage's (a store that does not answer is no damage).
    """
    vault = repo.vault
    checker = _Checker(repo, level, sample, control or Control())
    chosen: list[UUID] = []
    met: set[UUID] = set()
    with vault.pool(THREADS, "check") as pool:
        for point_id, promised in _in_order(repo, level, points):
            met.add(point_id)
            manifest, problem = _manifest(repo, point_id)
            if problem is not None:
                yield problem
            if manifest is None:
                continue
            chosen.append(point_id)
            for disk in manifest.disks:
                yield from _root_problem(repo, manifest, disk)
                checker.examine(disk, promised, pool)
            checker.point(point_id, promised)
    for point_id in sorted(set(points or ()) - met - set(repo.forgotten())):
        name = layout.point(point_id)
        yield Problem(name, f"{name} is missing.", (Harm(point_id, "", 0, 0),))
    for blob in vault.blobs.list(layout.POINTS):
        if layout.uuid_of(blob.name) is None:
            yield Problem(blob.name, f"{blob.name} is no point's name.", ())
    if checker.found.things or checker.found.locks:
        yield from _attribute(checker, chosen)
    yield from checker.left_out()


def record(repo: Repository, problems: Iterable[Problem]) -> None:
    """Keep what was found damaged in the repository, so that the next backup heals it, and withdraw what is healed. To be
    called after every check, also one that found nothing. Errors: NotOwner, the storage's."""
    vault = repo.vault
    vault.check_owner()
    found = {bad for problem in problems for bad in problem.bad}
    fetcher = Fetcher(vault)
    old = [bad for bad in known_damage(vault).bad if bad not in found]
    write_damage(vault, [*found, *(bad for bad in old if not _readable(repo, fetcher, bad))], at=vault.clock.now())


def undelete(repo: Repository, problems: Iterable[Problem]) -> list[str]:
    """Bring back what somebody else deleted, or put something over, in a bucket with versions; the names. Check again
    afterwards."""
    vault = repo.vault
    vault.check_owner()
    names = {problem.object for problem in problems} | {_name(bad.type, bad.pack) for each in problems for bad in each.bad}
    return [name for name in sorted(names) if name.startswith(_WRITTEN_ONCE) and brought_back(vault, name)]


def brought_back(vault: Vault, name: str) -> bool:
    """Whether the object was hidden and is there again."""
    before = vault.patiently(lambda: vault.blobs.head(name))
    vault.patiently(lambda: vault.blobs.reveal(name))
    after = vault.patiently(lambda: vault.blobs.head(name))
    return after is not None and (before is None or before.version != after.version)


# ---- examining --------------------------------------------------------------------------------------------------------


class _Checker:
    def __init__(self, repo: Repository, level: Level, sample: Sample | None, control: Control) -> None:
        vault = repo.vault
        self.repo = repo
        self.found = Findings()
        self._level = level
        self._sample = sample
        self._control = control
        self._vault = vault
        self._now = vault.patiently(vault.blobs.now)
        self._fetcher = Fetcher(vault)
        self._moved = Forwarder(vault)
        self._recorded = known_damage(vault)
        self._nodes_seen = Visited()
        self._blocks_seen = Visited()
        self._forwarded = PackIndex(vault.blobs.list(layout.MOVED), layout.moved_pack_of)
        self._data = PackIndex(vault.blobs.list(layout.PACKS))
        self._trees = PackIndex(vault.blobs.list(layout.TREES))
        self._late: dict[bytes, int | None] = {}  # sizes of packs that were not listed, by id
        self._reading: deque[Future[None]] = deque()

    def examine(self, disk: DiskRecord, promised: datetime | None, pool: Executor) -> None:
        """Read every node of the disk not read before, and the blocks that are to be read."""
        if disk.root is None:
            return
        stack = [NodeAt(disk.root, disk.level, 0)]
        while stack and not self.found.full:
            if self._control.cancelled():
                raise Cancelled("The check was stopped.")
            at = stack.pop()
            if not self._nodes_seen.add(at.entry):
                continue
            slots = self._node(at, promised, pool)
            if at.level:
                stack.extend(_children(at, slots))
            else:
                self._leaf(slots, promised, pool)
        self._wait(0)

    def point(self, point_id: UUID, promised: datetime | None) -> None:
        """Whether the manifest itself is locked as it promises."""
        if promised is not None:
            self._ask(layout.point(point_id), promised)

    def _node(self, at: NodeAt, promised: datetime | None, pool: Executor) -> Slots:
        try:
            slots = self._fetcher.node(at)
        except Damaged as damaged:
            self.found.item(TYPE_TREE_PACK, at.entry, damaged)
            return {}
        self._reached(TYPE_TREE_PACK, at.entry, promised, pool)
        return slots

    def _leaf(self, slots: Slots, promised: datetime | None, pool: Executor) -> None:
        chunk: list[Entry] = []
        for entry in slots.values():
            if self._there(entry, promised, pool) and self._wanted(entry) and self._blocks_seen.add(entry):
                chunk.append(entry)
            if len(chunk) == CHUNK:
                self._submit(pool.submit(self._blocks, chunk))
                chunk = []
        if chunk:
            self._submit(pool.submit(self._blocks, chunk))

    def _wanted(self, entry: Entry) -> bool:
        if self._recorded.hurts(TYPE_DATA_PACK, entry) and self._vault.storage_class is StorageClass.STANDARD:
            return True  # in an archive it cannot be read: there only packs that are missing or cut off are known
        return self._level == "content" and (self._sample is None or self._sample.has(entry))

    def _there(self, entry: Entry, promised: datetime | None, pool: Executor) -> bool:
        """Whether some pack may hold it; else noted."""
        size = self._size(entry.pack)
        if size is not None and entry.offset + entry.length <= size:
            self._reached(TYPE_DATA_PACK, entry, promised, pool)
            return True
        name = layout.data_pack(entry.pack[:16])
        problem = "is missing" if size is None else f"is truncated to {size} bytes"
        lost = Damaged(f"{name} {problem}.", remedy=CHECK_REMEDY, fields={"object": name})
        if entry.pack not in self._forwarded:
            if size is None:
                self.found.pack(TYPE_DATA_PACK, entry.pack, lost)
            else:
                self.found.item(TYPE_DATA_PACK, entry, lost)  # what lies before the cut is sound
            return False
        try:
            place = self._moved_to(entry)
        except Damaged as damaged:  # of the record
            self.found.item(TYPE_DATA_PACK, entry, damaged)
            return False
        if place is None:
            self.found.item(TYPE_DATA_PACK, entry, lost)
            return False
        self._reached(TYPE_DATA_PACK, place, promised, pool)
        return True

    def _moved_to(self, entry: Entry) -> Entry | None:
        """Where the records say it is and a pack can hold it."""
        if self._moved.place(TYPE_DATA_PACK, entry) == entry:
            self._moved.learn(TYPE_DATA_PACK, entry.pack)
        place = self._moved.place(TYPE_DATA_PACK, entry)
        if place != entry and self._holds(place):
            return place
        return next((other for other in self._moved.trail(TYPE_DATA_PACK, entry) if self._holds(other)), None)

    def _holds(self, place: Entry) -> bool:
        size = self._size(place.pack)
        return size is not None and place.offset + place.length <= size

    def _size(self, pack: bytes) -> int | None:
        """Of a data pack; packs written since the list was taken are asked for."""
        size = self._data.size(pack)
        if size is not None:
            return size
        if pack[:16] not in self._late:
            blob = self._vault.patiently(lambda: self._vault.blobs.head(layout.data_pack(pack[:16])))
            self._late[pack[:16]] = None if blob is None else blob.size
        return self._late[pack[:16]]

    def _blocks(self, chunk: list[Entry]) -> None:
        try:
            self._fetcher.blocks(chunk)
        except Damaged:
            for entry in chunk:  # which of them?
                try:
                    self._fetcher.blocks([entry])
                except Damaged as damaged:
                    self.found.item(TYPE_DATA_PACK, entry, damaged)

    def left_out(self) -> Iterator[Problem]:
        """What keeps the check from telling that whatever it does not name is whole."""
        if self.found.full:
            text = f"So much is damaged that the check ended after {MAX_FINDINGS} things: not everything was looked at."
        elif len(self._recorded.bad) >= MAX_BAD and (self._level != "content" or self._sample is not None):
            text = f"More was damaged than the {MAX_BAD} things that are kept on record: check all of the content."
        else:
            return
        yield Problem("", text, (), unfinished=True)

    # -- availability

    def _reached(self, pack_type: int, entry: Entry, promised: datetime | None, pool: Executor) -> None:
        """Ask the store for the pack, once. The points with the longest locks come first."""
        index = self._data if pack_type == TYPE_DATA_PACK else self._trees
        if index.mark(entry.pack) and self._level == "available":
            self._submit(pool.submit(self._ask, _name(pack_type, entry.pack), promised, pack_type, entry.pack), HEADS)

    def _ask(self, name: str, promised: datetime | None, pack_type: int | None = None, pack: bytes = b"") -> None:
        blob = self._vault.patiently(lambda: self._vault.blobs.head(name))
        if blob is None:
            if pack_type is not None and pack not in self._forwarded:
                lost = Damaged(f"{name} is missing.", remedy=CHECK_REMEDY, fields={"object": name})
                self.found.pack(pack_type, pack, lost)
        elif promised is not None and promised > self._now and (blob.locked_until is None or blob.locked_until < promised):
            self.found.unlocked(name, blob.locked_until, promised)

    def _submit(self, future: Future[None], limit: int = 4 * THREADS) -> None:
        self._reading.append(future)
        self._wait(limit)

    def _wait(self, limit: int) -> None:
        while len(self._reading) > limit:
            self._reading.popleft().result()

    # -- whom it hurts

    def blame(self, manifest: Manifest, blame: Blame) -> None:
        """Add what the findings do to this point, as ranges merged per damaged thing."""
        for disk in manifest.disks:
            if disk.root is not None:
                self._blame_disk(manifest.id, disk, NodeAt(disk.root, disk.level, 0), blame)

    def _blame_disk(self, point: UUID, disk: DiskRecord, at: NodeAt, blame: Blame) -> None:
        bits = LEAF_BITS + PAGE_BITS * at.level
        start = (at.number << bits) * BLOCK_SIZE
        bad = self.found.node(at.entry)
        if bad is not None:
            blame.add(bad, Harm(point, disk.disk_id, start, min(disk.size_bytes, start + (BLOCK_SIZE << bits))))
            return
        slots = self._fetcher.node(at)
        if at.level:
            for child in _children(at, slots):
                self._blame_disk(point, disk, child, blame)
            return
        for slot, entry in slots.items():
            bad = self.found.block(entry)
            if bad is not None:
                first = start + slot * BLOCK_SIZE
                blame.add(bad, Harm(point, disk.disk_id, first, min(disk.size_bytes, first + BLOCK_SIZE)))


# ---- points -----------------------------------------------------------------------------------------------------------


def _in_order(repo: Repository, level: Level, points: Collection[UUID] | None) -> Iterator[tuple[UUID, datetime | None]]:
    """Visible points and until when they promise to be locked. For "available" the longest promise first, so that each pack,
    asked for once, is held to the longest."""
    hidden = set(repo.forgotten())
    ids = (layout.uuid_of(blob.name) for blob in repo.vault.blobs.list(layout.POINTS))
    wanted = (each for each in ids if each and each not in hidden and (points is None or each in points))
    if level != "available":
        for point_id in wanted:
            yield point_id, None
        return
    promises: list[tuple[float, UUID, datetime | None]] = []
    for point_id in wanted:
        manifest, _ = _manifest(repo, point_id)
        until = manifest.lock.until if manifest is not None and manifest.lock is not None else None
        promises.append((-until.timestamp() if until else 0.0, point_id, until))
    for _, point_id, until in sorted(promises, key=lambda promise: promise[:2]):
        yield point_id, until


def _attribute(checker: _Checker, points: list[UUID]) -> Iterator[Problem]:
    blame = Blame(checker.found)
    hidden = set(checker.repo.forgotten())  # also those forgotten meanwhile, whose packs may be gone rightly
    for point_id in points:
        manifest, _ = (None, None) if point_id in hidden else _manifest(checker.repo, point_id)
        if manifest is not None:
            checker.blame(manifest, blame)
    yield from blame.problems()


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


def _readable(repo: Repository, fetcher: Fetcher, bad: Bad) -> bool:
    """Whether what was bad can be read again: the pack is complete, or a copy of the item authenticates."""
    try:
        return fetcher.authentic(bad.type, bad.pack, bad.offset, bad.length) if bad.length else _complete(repo, bad)
    except Archived:
        return False  # nobody can tell


def _complete(repo: Repository, bad: Bad) -> bool:
    vault, name = repo.vault, _name(bad.type, bad.pack)
    blob = vault.patiently(lambda: vault.blobs.head(name))
    if blob is None:
        return False
    try:
        footer_in(vault.keys, bad.type, name, blob.size, lambda start, length: vault.get(name, start=start, length=length))
    except (Damaged, NotFound):
        return False
    return True


def _name(pack_type: int, pack: bytes) -> str:
    return layout.data_pack(pack[:16]) if pack_type == TYPE_DATA_PACK else layout.tree_pack(pack[:16])


def _children(at: NodeAt, slots: Slots) -> list[NodeAt]:
    return [NodeAt(entry, at.level - 1, at.number << PAGE_BITS | slot) for slot, entry in slots.items()]
