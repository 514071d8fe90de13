"""Archive points: made from a point of another repository, never from the source disk; each is an increment on the last.

Two repositories have different keys, so nothing in them can be compared but through the source's own ids. An archive point
therefore keeps, sealed in its manifest, the ids of the leaves it was made from (``Origin``): 16 bytes per 128 MiB of disk. The
next one reads only leaves whose id changed, and, while the former source point still exists, only the blocks that differ in
them; what it stores is what the archive's own previous point does not have.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal
from uuid import UUID

from server.domain.errors import Damaged, NotFound
from server.ports import BlockRef
from server.repository.control import Control, DiskInput, resume_index
from server.repository.crypto import CHECK_REMEDY
from server.repository.fetch import Fetcher, NodeAt, TreeReader
from server.repository.manifest import DiskRecord, Manifest
from server.repository.repository import Repository
from server.repository.run import BackupRun, DiskResult
from server.repository.tree import ID_SIZE, LEAF_BITS, LEAF_BLOCKS, Entry, Slots, block_count
from server.repository.walk import LEAF_GROUP, leaf_refs

CHUNK = 8  # blocks read from the source at once: neighbours in a pack come with one request
_NO_LEAF = bytes(ID_SIZE)  # of a leaf that holds only zeros


# ---- what an archive point was made from ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginDisk:
    """``leaves``: the source tree's leaf ids, 16 bytes each, number n at byte 16 n; zeros for leaves without content."""

    content_root: str
    leaves: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """``repository`` is the format id of the source. ``disks`` by disk id. In the manifest: the key ``archive``."""

    repository: UUID
    point: UUID
    disks: Mapping[str, OriginDisk]

    def to_json(self) -> dict[str, Any]:
        disks = [
            {"diskId": disk_id, "contentRoot": disk.content_root, "leaves": base64.b64encode(disk.leaves).decode()}
            for disk_id, disk in self.disks.items()
        ]
        return {"repository": str(self.repository), "point": str(self.point), "disks": disks}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Origin:
        """Damaged when it is not well formed."""
        try:
            disks = {
                disk["diskId"]: OriginDisk(
                    content_root=disk["contentRoot"], leaves=base64.b64decode(disk["leaves"], validate=True)
                )
                for disk in data["disks"]
            }
            return cls(repository=UUID(data["repository"]), point=UUID(data["point"]), disks=disks)
        except (KeyError, TypeError, ValueError, binascii.Error) as wrong:
            raise Damaged("An archive point does not say what it was made from.", remedy=CHECK_REMEDY) from wrong


def origin_of(manifest: Manifest) -> Origin | None:
    """None for a point that is no archive of another."""
    return None if manifest.archive is None else Origin.from_json(manifest.archive)


def make_origin(source: Repository, manifest: Manifest) -> Origin:
    """Of an archive of all disks of ``manifest``: reads the pages of its trees, no leaf."""
    fetcher = Fetcher(source.vault)
    disks = {
        disk.disk_id: OriginDisk(content_root=disk.content_root, leaves=_leaf_ids(fetcher, disk)) for disk in manifest.disks
    }
    return Origin(repository=source.id, point=manifest.id, disks=disks)


def _leaf_ids(fetcher: Fetcher, disk: DiskRecord) -> bytes:
    ids = bytearray()
    if disk.root is not None:
        for at in leaf_refs(fetcher, NodeAt(disk.root, disk.level, 0)):
            ids += bytes(ID_SIZE * at.number - len(ids)) + at.entry.id
    return bytes(ids)


# ---- copying one disk -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A leaf to copy. ``new`` None: it holds only zeros now. ``old``: as the archive has it, where that can still be read."""

    number: int
    new: NodeAt | None
    old: NodeAt | None


class DiskCopy:
    """One disk's way from a point of ``source`` into an archive. Made by ``copies``; used for one ``archive_disk`` call."""

    def __init__(
        self,
        source: Repository,
        disk: DiskRecord,
        *,
        known: OriginDisk | None,
        old: DiskRecord | None,
        suspects: Collection[int],
    ) -> None:
        self.disk = disk
        self.mode: Literal["full", "changed"] = "full" if known is None else "changed"
        self._fetcher = Fetcher(source.vault)
        self._known = known.leaves if known else b""
        self._old = TreeReader(self._fetcher, old.root, old.level) if old else None
        self._suspects = suspects  # leaves the archive holds damaged
        self._waiting: dict[int, _Chunk] = {}

    def blocks_to_read(self) -> int:
        """Blocks of the source a whole copy reads. Exact; reads only leaves that can be compared."""
        whole = sum(leaf.new.entry.blocks for leaf in self._changed(0) if leaf.new and not leaf.old)
        compared = self._read(leaf for leaf in self._changed(0) if leaf.new and leaf.old)
        return whole + sum(1 for leaf, new, old in compared for slot in new if self._differs(leaf, new, old, slot))

    def refs(self, start_index: int = 0) -> Iterator[BlockRef]:
        """What ``BackupRun.disk`` takes as ``blocks``; those that hold nothing any more have an empty token."""
        for leaf, new, old in self._read(self._changed(start_index >> LEAF_BITS)):
            yield from self._leaf(leaf, new, old, start_index)

    def read(self, ref: BlockRef) -> bytes:
        """The block, authenticated and matched with its content id. Each listed block once; from any thread."""
        data = self._waiting[ref.index].take(ref.index)
        del self._waiting[ref.index]
        return data

    def _changed(self, first: int) -> Iterator[_Leaf]:
        """Leaves from number ``first`` on whose content the archive does not have, ascending."""
        root, at = self.disk.root, first
        for new in leaf_refs(self._fetcher, NodeAt(root, self.disk.level, 0), first) if root else ():
            yield from self._vanished(at, new.number)
            if new.number in self._suspects:
                yield _Leaf(new.number, new, None)
            elif self._known_id(new.number) != new.entry.id:
                yield _Leaf(new.number, new, self._old_leaf(new.number))
            at = new.number + 1
        yield from self._vanished(at, len(self._known) // ID_SIZE)

    def _vanished(self, start: int, end: int) -> Iterator[_Leaf]:
        """Leaves in [start, end) that had content and have none any more."""
        for number in range(start, end):
            if self._known_id(number) != _NO_LEAF:
                yield _Leaf(number, None, None)

    def _known_id(self, number: int) -> bytes:
        return self._known[ID_SIZE * number : ID_SIZE * (number + 1)] or _NO_LEAF

    def _old_leaf(self, number: int) -> NodeAt | None:
        """None when the former source does not have it, or not as it was archived."""
        if self._old is None:
            return None
        try:
            entry = self._old.entry(0, number)
        except Damaged:  # collected meanwhile, or hurt: nothing to compare with, so whole leaves are read
            self._old = None
            return None
        return NodeAt(entry, 0, number) if entry is not None and entry.id == self._known_id(number) else None

    def _read(self, leaves: Iterator[_Leaf]) -> Iterator[tuple[_Leaf, Slots, Slots]]:
        """Each with its new and its old entries, {} for nodes it does not have; several fetched with one request."""
        while group := list(islice(leaves, LEAF_GROUP)):
            new = self._slots([leaf.new for leaf in group])
            try:
                old = self._slots([leaf.old for leaf in group])
            except Damaged:
                self._old, group, old = None, [replace(leaf, old=None) for leaf in group], [{} for _ in group]
            yield from zip(group, new, old, strict=True)

    def _slots(self, wanted: Sequence[NodeAt | None]) -> list[Slots]:
        found = iter(self._fetcher.nodes([at for at in wanted if at is not None]))
        return [{} if at is None else next(found) for at in wanted]

    def _leaf(self, leaf: _Leaf, new: Slots, old: Slots, start_index: int) -> Iterator[BlockRef]:
        first = leaf.number << LEAF_BITS
        skipped = max(0, start_index - first)
        last = min(LEAF_BLOCKS, block_count(self.disk.size_bytes) - first)
        wanted = {slot: new.get(slot) for slot in range(skipped, last) if self._differs(leaf, new, old, slot)}
        present = iter([(first + slot, entry) for slot, entry in wanted.items() if entry is not None])
        while group := dict(islice(present, CHUNK)):
            chunk = _Chunk(self._fetcher, group)
            self._waiting.update(dict.fromkeys(group, chunk))
        for slot, entry in wanted.items():
            yield BlockRef(first + slot, "" if entry is None else entry.id.hex())

    def _differs(self, leaf: _Leaf, new: Slots, old: Slots, slot: int) -> bool:
        if leaf.old is not None:
            return _id(new, slot) != _id(old, slot)
        return slot in new or self.mode == "changed"  # in a full copy what is not listed is zeros


def _id(slots: Slots, slot: int) -> bytes | None:
    entry = slots.get(slot)
    return entry.id if entry else None


class _Chunk:
    """Blocks fetched together when the first of them is asked for."""

    def __init__(self, fetcher: Fetcher, entries: Mapping[int, Entry]) -> None:
        self._fetcher = fetcher
        self._entries = entries
        self._lock = threading.Lock()
        self._data: dict[int, bytes] = {}

    def take(self, index: int) -> bytes:
        with self._lock:
            if not self._data:
                self._data = dict(zip(self._entries, self._fetcher.blocks(list(self._entries.values())), strict=True))
            return self._data.pop(index)


def copies(source: Repository, manifest: Manifest, run: BackupRun) -> list[DiskCopy]:
    """What has to be done for each disk of ``manifest``, given the archive's previous point (``run.parent``).

    Errors: Damaged (a tree of the source that must be read), the storage's.
    """
    parent = origin_of(run.parent) if run.parent else None
    if parent is not None and parent.repository != source.id:
        parent = None  # its ids are of other keys: nothing can be compared
    former = _former(source, parent)
    return [_copy(source, disk, run, parent, former) for disk in manifest.disks]


def _former(source: Repository, origin: Origin | None) -> Manifest | None:
    """The point the last archive was made from, when its tree can still be relied upon."""
    if origin is None:
        return None
    try:
        return source.point(origin.point)
    except NotFound:
        return None


def _copy(source: Repository, disk: DiskRecord, run: BackupRun, origin: Origin | None, former: Manifest | None) -> DiskCopy:
    held = run.parent.disk(disk.disk_id) if run.parent else None
    known = origin.disks.get(disk.disk_id) if origin else None
    if held is None or held.size_bytes > disk.size_bytes:
        known = None
    old = former.disk(disk.disk_id) if former and known else None
    suspects: set[int] = set()
    if known is not None:
        for start, end in run.suspects(disk.disk_id):
            suspects.update(range(start >> LEAF_BITS, (end - 1 >> LEAF_BITS) + 1))
    return DiskCopy(source, disk, known=known, old=old, suspects=suspects)


def archive_disk(copy: DiskCopy, run: BackupRun, *, control: Control, checkpoint: str | None = None) -> DiskResult:
    """Bring one disk into the archive; returns when everything of it is durable. Errors: as ``BackupRun.disk``."""
    disk = copy.disk
    return run.disk(
        DiskInput(disk_id=disk.disk_id, size_bytes=disk.size_bytes, document=disk.document),
        blocks=copy.refs(resume_index(checkpoint)),
        read=copy.read,
        mode=copy.mode,
        control=control,
        checkpoint=checkpoint,
    )
