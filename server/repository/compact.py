"""Compaction: what is needed of partly dead packs moves to new ones, with forwarding records in place of new trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from server.domain.errors import Damaged, NotFound
from server.ports import Blob
from server.repository import layout
from server.repository.control import Control
from server.repository.crypto import TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.marks import Candidate
from server.repository.moved import Forwarder, Move, Moves, read_moves, write_moves
from server.repository.pack import DATA_PACK_SIZE, TREE_PACK_SIZE, Item, PackBuffer, PackReader, read_footer
from server.repository.reach import Live, LiveItems, stop_if_asked
from server.repository.tree import Entry
from server.repository.vault import Vault
from server.repository.worth import PackFacts, decide

MAX_SOURCES = 128  # packs put together in one: their contexts must fit its footer
MAX_ALTERNATIVES = 4  # copies of one item that shortened records keep; more only come from a damaged store


@dataclass(slots=True)
class Compacted:
    """``left``: candidates not moved, with the reason, by name."""

    packs: int = 0
    moved_bytes: int = 0  # read and written anew
    written_objects: int = 0
    written_bytes: int = 0
    freed_bytes: int = 0
    left: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Source:
    """What is needed of one pack, in memory. ``size``: of the items in the new pack."""

    name: str
    pack_id: bytes
    stored: int
    context: dict[str, Any]
    items: list[tuple[Item, int, bytes]]  # as it was, codec and payload now

    @property
    def size(self) -> int:
        return sum(len(payload) + 16 for _, _, payload in self.items)


def compact(vault: Vault, candidates: Sequence[Candidate], items: LiveItems, region: str | None, hooks: Control) -> Compacted:
    """Move what ``items`` knows to be needed and delete the packs. Each write may be the last of its process: for every pack
    first the record, then the new pack, then its end (FORMAT.md §12). Memory: a few packs. Errors: Cancelled, NotOwner, the
    storage's."""
    done = Compacted()
    for pack_type, prefix, size in (
        (TYPE_DATA_PACK, layout.PACKS, DATA_PACK_SIZE),
        (TYPE_TREE_PACK, layout.TREES, TREE_PACK_SIZE),
    ):
        mine = sorted((item for item in candidates if item.name.startswith(prefix)), key=lambda item: item.modified)
        for group in _groups(_sources(vault, pack_type, mine, items, region, done, hooks), size):
            stop_if_asked(hooks)
            _move(vault, pack_type, group, done)
    return done


def _sources(
    vault: Vault,
    pack_type: int,
    candidates: Iterable[Candidate],
    items: LiveItems,
    region: str | None,
    done: Compacted,
    hooks: Control,
) -> Iterator[_Source]:
    for candidate in candidates:
        stop_if_asked(hooks)
        pack_id = layout.pack_id_of(candidate.name)
        live = items.get(pack_id) if pack_id is not None else None
        blob = vault.patiently(partial(vault.blobs.head, candidate.name))
        if pack_id is None or live is None or blob is None:
            continue  # gone, all dead, or another turn's
        decision = decide(facts_of(vault, blob, live), region)
        if not decision.compact:
            done.left[candidate.name] = decision.reason
            continue
        try:
            if _covered(vault, pack_type, pack_id, live):  # by a process that died before it could delete the pack
                _drop(vault, [(candidate.name, blob.size)], done)
            else:
                yield _read(vault, pack_type, candidate.name, pack_id, live)
        except (Damaged, NotFound) as wrong:
            done.left[candidate.name] = wrong.message


def facts_of(vault: Vault, blob: Blob, live: Live) -> PackFacts:
    """``blob`` from ``head``, so that its lock is known."""
    locked = blob.locked_until is not None and blob.locked_until > vault.patiently(vault.blobs.now)
    return PackFacts(
        name=blob.name,
        size=blob.size,
        live_items=len(live.offsets),
        live_bytes=live.size,
        storage_class=blob.storage_class,
        locked=locked,
    )


def _read(vault: Vault, pack_type: int, name: str, pack_id: bytes, live: Live) -> _Source:
    """Damaged when something that is needed can be read neither there nor where it was moved to."""
    data = vault.get(name)
    context, items = read_footer(vault.keys, pack_type, name, data)
    rows = {item.offset: item for item in items}
    reader = PackReader(vault.keys, pack_type, live.ref)
    needed = []
    for offset in live.offsets:
        item = rows.get(offset)
        if item is None:
            raise Damaged(f"{name} does not list an item at byte {offset} that a tree refers to.", fields={"object": name})
        try:
            payload = reader.payload(item.kind, item.codec, offset, data[offset : offset + item.length])
            needed.append((item, item.codec, payload))
        except Damaged as damaged:
            needed.append((item, *_healed(vault, pack_type, live.ref, item, damaged)))
    return _Source(name, pack_id, len(data), context, needed)


def _covered(vault: Vault, pack_type: int, pack_id: bytes, live: Live) -> bool:
    """Whether forwarding records lead from everything that is needed to packs that are there."""
    tables = read_moves(vault, pack_type, pack_id)
    trail = _Trail(vault, pack_type)
    return bool(tables) and all(
        any((move := table.get(offset)) is not None and trail.exists(move.ref) for table in tables) for offset in live.offsets
    )


def _healed(vault: Vault, pack_type: int, ref: bytes, item: Item, damaged: Damaged) -> tuple[int, bytes]:
    """Codec and payload of a copy that was stored anew."""
    entry = Entry(ref, item.codec, item.offset, item.length, item.id)
    for at in Forwarder(vault).trail(pack_type, entry):
        try:
            sealed = vault.get(_name(pack_type, at.pack), start=at.offset, length=at.length)
            return at.codec, PackReader(vault.keys, pack_type, at.pack).payload(item.kind, at.codec, at.offset, sealed)
        except (Damaged, NotFound):
            continue
    raise damaged


def _groups(sources: Iterable[_Source], size: int) -> Iterator[list[_Source]]:
    """Neighbours that fill a pack. One that is larger than a pack alone gets one of its own size."""
    group: list[_Source] = []
    used = 0
    for source in sources:
        if group and (used + source.size > size * 15 // 16 or len(group) == MAX_SOURCES):
            yield group
            group, used = [], 0
        group.append(source)
        used += source.size
    if group:
        yield group


def _move(vault: Vault, pack_type: int, sources: Sequence[_Source], done: Compacted) -> None:
    vault.check_owner()
    vault.upgrade()
    room = sum(source.size + 64 * len(source.items) for source in sources) + 128 * 1024
    context = {"merged": [[len(source.items), source.context] for source in sources]}
    pack = PackBuffer(
        vault.keys,
        pack_type,
        context,
        vault.new_id(),
        size=room,
        part_size=room,
        take=lambda: memoryview(bytearray(room)),
    )
    placed: list[tuple[Item, bytes]] = []
    for source in sources:
        moves = []
        for old, codec, payload in source.items:
            new = pack.reserve(old.kind, codec, len(payload), old.position, old.id)
            if new is None:
                raise AssertionError("a pack made for these items has no room for them")
            placed.append((new, payload))
            same = (codec, new.length) == (old.codec, old.length)
            moves.append(Move(old.offset, pack.ref, new.offset, *(() if same else (codec, new.length))))
        # The record before the new pack: so a pack that somebody may be led to is never garbage.
        record = write_moves(vault, pack_type, source.pack_id, moves)
        done.written_objects += 1
        done.written_bytes += record.size
    for new, payload in placed:
        pack.fill(new, payload)
    pack.close()
    data = b"".join(part.data for part in pack.finish())
    vault.put_once(pack.name, data)
    done.moved_bytes += sum(source.size for source in sources)
    done.written_objects += 1
    done.written_bytes += len(data)
    _drop(vault, [(source.name, source.stored) for source in sources], done)


def _drop(vault: Vault, packs: Sequence[tuple[str, int]], done: Compacted) -> None:
    """Delete packs (names and sizes) from which everything that is needed was moved."""
    vault.check_owner()
    locked = set(vault.patiently(lambda: vault.blobs.delete([name for name, _ in packs])))
    gone = [size for name, size in packs if name not in locked]
    done.packs += len(gone)
    done.freed_bytes += sum(gone)
    done.left.update(dict.fromkeys(locked, "it was locked meanwhile"))


# ---- shorter trails ---------------------------------------------------------------------------------------------------


def flatten(vault: Vault, packs: Iterable[tuple[int, bytes]], hooks: Control) -> int:
    """Make the records of packs that are gone lead straight to where their items are; how many packs. A record is deleted when
    those that replace it are durable."""
    done = 0
    for pack_type, pack_id in packs:
        stop_if_asked(hooks)
        if vault.patiently(partial(vault.blobs.head, _name(pack_type, pack_id))) is None:
            done += _flatten(vault, pack_type, pack_id)
    return done


def _flatten(vault: Vault, pack_type: int, pack_id: bytes) -> int:
    old = [blob.name for blob in vault.blobs.list(layout.moved(pack_id))]
    tables = read_moves(vault, pack_type, pack_id)
    trail = _Trail(vault, pack_type)
    layers: list[list[Move]] = []
    for offset in sorted({move.old for table in tables for move in table}):
        moves = [move for table in tables if (move := table.get(offset)) is not None]
        for at, place in enumerate(trail.ends(moves)[:MAX_ALTERNATIVES]):
            if at == len(layers):
                layers.append([])
            layers[at].append(place)
    if [sorted(layer) for layer in layers] == [sorted(table) for table in tables]:
        return 0
    vault.check_owner()
    vault.upgrade()
    for layer in layers:
        write_moves(vault, pack_type, pack_id, layer)
    vault.check_owner()
    vault.patiently(lambda: vault.blobs.delete(old))
    return 1


class _Trail:
    """Follows moves to packs that are there."""

    def __init__(self, vault: Vault, pack_type: int) -> None:
        self._vault = vault
        self._type = pack_type
        self._there: dict[bytes, bool] = {}
        self._tables: dict[bytes, list[Moves]] = {}

    def ends(self, moves: Sequence[Move]) -> list[Move]:
        """Every copy that is there, as moves of the same old item; ``moves`` themselves when none is."""
        found: list[Move] = []
        seen: set[tuple[bytes, int]] = set()
        frontier = list(moves)
        while frontier:
            move = frontier.pop(0)
            if (move.ref, move.offset) in seen:
                continue
            seen.add((move.ref, move.offset))
            if self.exists(move.ref):
                found.append(move)
                continue
            for table in self._onward(move.ref):
                onward = table.get(move.offset)
                if onward is not None:
                    codec, length = (move.codec, move.length) if onward.codec is None else (onward.codec, onward.length)
                    frontier.append(Move(move.old, onward.ref, onward.offset, codec, length))
        return found or list(moves)

    def exists(self, ref: bytes) -> bool:
        if ref not in self._there:
            name = _name(self._type, ref)
            self._there[ref] = self._vault.patiently(lambda: self._vault.blobs.head(name)) is not None
        return self._there[ref]

    def _onward(self, ref: bytes) -> list[Moves]:
        if ref not in self._tables:
            self._tables[ref] = read_moves(self._vault, self._type, ref[:16])
        return self._tables[ref]


def _name(pack_type: int, pack: bytes) -> str:
    return layout.data_pack(pack[:16]) if pack_type == TYPE_DATA_PACK else layout.tree_pack(pack[:16])
