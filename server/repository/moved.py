"""Forwarding: where items went whose pack was compacted, or which were stored anew because theirs was damaged.

A record ``moved/<pack>/<random>`` is written once: neither nodes nor manifests change when an item moves (FORMAT.md §12).
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from server.domain.errors import Damaged, NotFound
from server.repository import layout
from server.repository.crypto import CHECK_REMEDY, TYPE_MOVED
from server.repository.tree import Entry
from server.repository.vault import Vault

MAX_HOPS = 16  # collection shortens trails of two; longer ones only come from a damaged store
CACHED_ITEMS = 500_000  # about ten bytes each
REF_SIZE = 20
ATTEMPTS = 4  # a record that vanishes while it is read was replaced by a shorter trail


class Move(NamedTuple):
    """The item at ``old`` of one pack is also, or now only, at ``offset`` of the pack ``ref`` (id ‖ epoch)."""

    old: int
    ref: bytes
    offset: int


class Moves:
    """The moves one record holds, by old offset."""

    def __init__(self, moves: Iterable[Move]) -> None:
        rows = sorted(moves)
        self._refs = sorted({move.ref for move in rows})
        place = {ref: at for at, ref in enumerate(self._refs)}
        self._old = array("I", (move.old for move in rows))
        self._which = array("I", (place[move.ref] for move in rows))
        self._new = array("I", (move.offset for move in rows))

    def __len__(self) -> int:
        return len(self._old)

    def __iter__(self) -> Iterator[Move]:
        for old, which, new in zip(self._old, self._which, self._new, strict=True):
            yield Move(old, self._refs[which], new)

    def get(self, old: int) -> Move | None:
        at = bisect_left(self._old, old)
        return Move(old, self._refs[self._which[at]], self._new[at]) if at < len(self._old) and self._old[at] == old else None


def write_moves(vault: Vault, pack_type: int, pack_id: bytes, moves: Iterable[Move]) -> str:
    """A new record for that pack; its name. Durable when it returns. ``vault.upgrade`` must have been called before."""
    name = layout.moved(pack_id) + vault.new_id().hex()
    items = [[move.old, move.ref.hex(), move.offset] for move in moves]
    vault.put_once(name, vault.seal(name, TYPE_MOVED, {"type": pack_type, "items": items}))
    return name


def read_record(vault: Vault, name: str, pack_type: int | None = None) -> Moves:
    """NotFound, Damaged (also when the record is of another type of pack than asked)."""
    content = vault.read_sealed(name, TYPE_MOVED)
    try:
        moves = Moves(Move(int(old), _ref(ref), int(offset)) for old, ref, offset in content["items"])
        if pack_type is None or content["type"] == pack_type:
            return moves
    except (KeyError, TypeError, ValueError, OverflowError) as wrong:
        raise _bad_record(name) from wrong
    raise _bad_record(name)


def read_moves(vault: Vault, pack_type: int, pack_id: bytes) -> list[Moves]:
    """Every record of that pack: alternatives, each of which was right when it was written. Damaged when one cannot be read."""
    for _ in range(ATTEMPTS - 1):
        try:
            return _read_all(vault, pack_type, pack_id)
        except NotFound:
            continue
    try:
        return _read_all(vault, pack_type, pack_id)
    except NotFound as gone:
        raise Damaged(gone.message, remedy=CHECK_REMEDY) from gone


def _read_all(vault: Vault, pack_type: int, pack_id: bytes) -> list[Moves]:
    names = vault.patiently(lambda: [blob.name for blob in vault.blobs.list(layout.moved(pack_id))])
    return [read_record(vault, name, pack_type) for name in names]


def _ref(text: str) -> bytes:
    ref = bytes.fromhex(text)
    if len(ref) != REF_SIZE:
        raise ValueError("not a pack reference")
    return ref


def _bad_record(name: str) -> Damaged:
    return Damaged(f"{name} does not hold what it should.", remedy=CHECK_REMEDY, fields={"object": name})


class Forwarder:
    """For one reader: which packs are known to be gone, and where their items are. Thread-safe, bounded."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._gone: OrderedDict[tuple[int, bytes], list[Moves]] = OrderedDict()
        self._items = 0
        self._lock = threading.Lock()

    def place(self, pack_type: int, entry: Entry) -> Entry:
        """Where to read it first: ``entry`` itself unless its pack is known to be gone."""
        if not self._gone:
            return entry
        at = entry
        for _ in range(MAX_HOPS):
            with self._lock:
                tables = self._gone.get((pack_type, at.pack[:16]))
            move = next(filter(None, (table.get(at.offset) for table in tables)), None) if tables else None
            if move is None:
                break
            at = at._replace(pack=move.ref, offset=move.offset)
        return at

    def learn(self, pack_type: int, pack: bytes) -> bool:
        """After a pack was not found: read its records. False when it has none: then it is lost."""
        tables = read_moves(self._vault, pack_type, pack[:16])
        if not tables:
            return False
        with self._lock:
            for table in self._gone.pop((pack_type, pack[:16]), []):
                self._items -= len(table)
            self._gone[pack_type, pack[:16]] = tables
            self._items += sum(map(len, tables))
            while self._items > CACHED_ITEMS and len(self._gone) > 1:
                _, oldest = self._gone.popitem(last=False)
                self._items -= sum(map(len, oldest))
        return True

    def trail(self, pack_type: int, entry: Entry) -> Iterator[Entry]:
        """Every other place the item may be read from, nearest first, from records as they are now."""
        seen = {(entry.pack, entry.offset)}
        frontier = [entry]
        for _ in range(MAX_HOPS):
            following: list[Entry] = []
            for at in frontier:
                for table in read_moves(self._vault, pack_type, at.pack[:16]):
                    move = table.get(at.offset)
                    if move is not None and (move.ref, move.offset) not in seen:
                        seen.add((move.ref, move.offset))
                        following.append(at._replace(pack=move.ref, offset=move.offset))
            yield from following
            frontier = following
            if not frontier:
                return
