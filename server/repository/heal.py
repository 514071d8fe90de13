"""Healing on write: what is damaged in the parent's tree is read from the source again, and older points are led to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain

from server.domain.errors import Damaged, InvalidInput
from server.domain.immutability import Lock
from server.repository import layout, locks
from server.repository.crypto import TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.damage import Damage
from server.repository.fetch import Fetcher, NodeAt, TreeReader
from server.repository.moved import Move, write_moves
from server.repository.tree import LEAF_BITS, PAGE_BITS, Entry, Slots
from server.repository.vault import Vault

Range = tuple[int, int]  # block indexes [start, end)


@dataclass(slots=True)
class Suspects:
    """Of one disk of the parent: ``ranges`` ascending and disjoint, ``nodes`` (level, number) of it that cannot be read."""

    ranges: list[Range] = field(default_factory=list)
    nodes: set[tuple[int, int]] = field(default_factory=set)

    def mark(self) -> str:
        """Of equal suspects equal: what a run settled before it knew of others must not be gone on with."""
        return blake2b(repr((self.ranges, sorted(self.nodes))).encode(), digest_size=16).hexdigest()

    def add(self, start: int, end: int) -> None:
        """``start`` not before the last one's."""
        if self.ranges and start <= self.ranges[-1][1]:
            start, end = self.ranges[-1][0], max(end, self.ranges.pop()[1])
        self.ranges.append((start, end))


def find_suspects(fetcher: Fetcher, root: Entry | None, level: int, damage: Damage, blocks: int) -> Suspects:
    """What ``damage`` touches, and what else of the tree cannot be read, in a disk of ``blocks`` blocks. Reads the whole tree
    (7 KiB per 128 MiB of disk) when there is any damage, nothing otherwise."""
    found = Suspects()
    if not damage or root is None:
        return found
    stack = [NodeAt(root, level, 0)]
    while stack:
        at = stack.pop()
        slots = _node(fetcher, at, damage)
        if slots is None:
            found.nodes.add((at.level, at.number))
            shift = LEAF_BITS + PAGE_BITS * at.level
            found.add(at.number << shift, min(blocks, (at.number + 1) << shift))
        elif at.level:
            below = [NodeAt(entry, at.level - 1, at.number << PAGE_BITS | slot) for slot, entry in slots.items()]
            stack.extend(reversed(below))
        else:
            for slot, entry in slots.items():
                if damage.hurts(TYPE_DATA_PACK, entry):
                    index = at.number << LEAF_BITS | slot
                    found.add(index, index + 1)
    return found


def _node(fetcher: Fetcher, at: NodeAt, damage: Damage) -> Slots | None:
    """None when it cannot be read."""
    if damage.hurts(TYPE_TREE_PACK, at.entry):
        return None
    try:
        return fetcher.node(at)
    except Damaged:
        return None


class HealingReader(TreeReader):
    """A parent's tree with holes: a node that cannot be read has no children. In an increment only the ``suspects`` may be
    such nodes (the caller lists everything below them); in a full backup (``suspects`` None) any."""

    def __init__(self, fetcher: Fetcher, root: Entry | None, level: int, suspects: Suspects | None) -> None:
        super().__init__(fetcher, root, level)
        self._suspects = suspects

    def node(self, level: int, number: int) -> Slots:
        if self._suspects is not None and (level, number) in self._suspects.nodes:
            return {}
        try:
            return super().node(level, number)
        except Damaged:
            if self._suspects is not None:
                raise
            return {}


class Coverage:
    """Sees to it that every suspect block from ``start`` on is listed."""

    def __init__(self, disk_id: str, ranges: Sequence[Range], start: int) -> None:
        self._disk_id = disk_id
        self._due: Iterator[int] = chain.from_iterable(range(max(first, start), end) for first, end in ranges)
        self._next = next(self._due, None)

    def listed(self, index: int | None) -> None:
        """``index`` comes next in the list; None: the list ends. InvalidInput when a suspect block was left out."""
        if self._next is None:
            return
        if index is None or index > self._next:
            raise InvalidInput(
                f"Block {self._next} of {self._disk_id} is damaged in the parent point and was not listed.",
                remedy="List the suspects of the disk too, or back it up in full.",
            )
        if index == self._next:
            self._next = next(self._due, None)


class Heals:
    """Items stored anew that hold exactly what a damaged one held. Thread-safe."""

    def __init__(self, damage: Damage) -> None:
        self._damage = damage
        self._found: dict[tuple[int, bytes], list[Move]] = {}
        self._lock = threading.Lock()

    def hurts(self, entry: Entry) -> bool:
        """Whether that block cannot be read."""
        return self._damage.hurts(TYPE_DATA_PACK, entry)

    def stored(self, pack_type: int, old: Entry, new: Entry) -> None:
        packed_alike = (new.codec, new.length) == (old.codec, old.length)
        codec, length = (None, None) if packed_alike else (new.codec, new.length)
        with self._lock:
            moves = self._found.setdefault((pack_type, old.pack[:16]), [])
            moves.append(Move(old.offset, new.pack, new.offset, codec, length))

    def take(self) -> dict[tuple[int, bytes], list[Move]]:
        """Those found since the last call, by type and id of the damaged pack."""
        with self._lock:
            found, self._found = self._found, {}
        return found


def write_heals(vault: Vault, heals: dict[tuple[int, bytes], list[Move]], lock: Lock | None) -> None:
    """To be called when the packs the moves lead to are durable. Older points need them as long as their own locks last:
    those of the chain's other schedules may end later than the run's."""
    if not heals:
        return
    until = max([lock.until, *(each.until for each in lock.generations.values())]) if lock else None
    vault.upgrade()
    if until is not None:
        name_of = {TYPE_DATA_PACK: layout.data_pack, TYPE_TREE_PACK: layout.tree_pack}
        targets = {name_of[pack_type](move.ref[:16]) for (pack_type, _), moves in heals.items() for move in moves}
        locks.extend(vault, sorted(targets), until)
    for (pack_type, pack_id), moves in heals.items():
        write_moves(vault, pack_type, pack_id, moves, lock_until=until)
