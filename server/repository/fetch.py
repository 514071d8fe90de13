"""Reading items out of packs: coalesced range requests, opened, verified."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from blake3 import blake3

from server.domain.errors import Damaged, NotFound
from server.ports import BLOCK_SIZE
from server.repository import layout
from server.repository.crypto import CHECK_REMEDY, TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.moved import Forwarder
from server.repository.pack import KIND_BLOCK, PackReader
from server.repository.tree import ID_SIZE, MAX_NODE_SIZE, PAGE_BITS, PAGE_CHILDREN, Entry, Slots, decode_node, node_kind
from server.repository.vault import Vault

MAX_GAP = 64 * 1024  # bytes fetched in vain rather than asking twice: about one round trip's worth
MAX_RANGE = 8 * 1024 * 1024
CACHED_KEYS = 4096  # derived pack keys kept, about 1 KiB each
CACHED_NODES = 64  # of a TreeReader: at most about 3 MiB


@dataclass(frozen=True, slots=True)
class NodeAt:
    """A node to read and where in the tree it belongs."""

    entry: Entry
    level: int
    number: int


class Fetcher:
    """Items by entry, followed to where they were moved. Thread-safe. Errors: Damaged (missing or altered packs, blamed by name
    and range), Archived, the storage's."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._moved = Forwarder(vault)
        self._readers: OrderedDict[tuple[int, bytes], PackReader] = OrderedDict()
        self._lock = threading.Lock()

    def block(self, entry: Entry, sealed: bytes | memoryview) -> bytes:
        """The plain block, its content id verified."""
        return self._opened(TYPE_DATA_PACK, entry, sealed, self._open_block)

    def blocks(self, entries: Sequence[Entry]) -> list[bytes]:
        sealed = self.sealed(TYPE_DATA_PACK, entries)
        return [self.block(entry, data) for entry, data in zip(entries, sealed, strict=True)]

    def node(self, at: NodeAt) -> Slots:
        return self.nodes([at])[0]

    def nodes(self, wanted: Sequence[NodeAt]) -> list[Slots]:
        return [
            decode_node(self._vault.keys.tree, at.level, at.number, at.entry.id, plain)
            for at, plain in zip(wanted, self.plain_nodes(wanted), strict=True)
        ]

    def plain_nodes(self, wanted: Sequence[NodeAt]) -> list[bytes]:
        """Authenticated but not parsed."""
        sealed = self.sealed(TYPE_TREE_PACK, [at.entry for at in wanted])
        return [
            self.item(TYPE_TREE_PACK, node_kind(at.level), at.entry, data, MAX_NODE_SIZE)
            for at, data in zip(wanted, sealed, strict=True)
        ]

    def item(self, pack_type: int, kind: int, entry: Entry, sealed: bytes | memoryview, max_size: int) -> bytes:
        def open_item(at: Entry, data: bytes | memoryview) -> bytes:
            return self._reader(pack_type, at.pack).open(kind, at.codec, at.offset, data, max_size=max_size)

        return self._opened(pack_type, entry, sealed, open_item)

    def sealed(self, pack_type: int, entries: Sequence[Entry]) -> list[memoryview]:
        """The stored bytes of each entry, near ones fetched with one request. ``b""`` where only another copy can be read:
        ``block`` and ``item`` look for it."""
        found: list[memoryview] = [memoryview(b"")] * len(entries)
        self._fetch_all(pack_type, entries, range(len(entries)), found)
        return found

    def _open_block(self, at: Entry, sealed: bytes | memoryview) -> bytes:
        reader = self._reader(TYPE_DATA_PACK, at.pack)
        plain = reader.open(KIND_BLOCK, at.codec, at.offset, sealed, max_size=BLOCK_SIZE)
        if len(plain) != BLOCK_SIZE or blake3(plain, key=self._vault.keys.content).digest(length=ID_SIZE) != at.id:
            raise Damaged(
                f"{reader.name} holds another block at byte {at.offset} than the tree says.",
                remedy=CHECK_REMEDY,
                fields={"object": reader.name, "offset": str(at.offset), "length": str(at.length)},
            )
        return plain

    def _opened(
        self,
        pack_type: int,
        entry: Entry,
        sealed: bytes | memoryview,
        open_at: Callable[[Entry, bytes | memoryview], bytes],
    ) -> bytes:
        """Opened where it was fetched from, else from any other place it was moved to."""
        first = self._moved.place(pack_type, entry)
        try:
            if not sealed:
                raise _lost(_name(pack_type, first.pack), "is missing or too short", first.offset, first.offset + first.length)
            return open_at(first, sealed)
        except Damaged as damaged:
            failure = damaged
        for at in self._moved.trail(pack_type, entry):
            try:
                data = self._vault.get(_name(pack_type, at.pack), start=at.offset, length=at.length)
                return open_at(at, data)
            except NotFound:
                continue  # moved on, or stored anew by a run that came to nothing
            except Damaged as damaged:
                failure = damaged
        raise failure

    def _fetch_all(self, pack_type: int, entries: Sequence[Entry], which: Iterable[int], found: list[memoryview]) -> None:
        places = {i: self._moved.place(pack_type, entries[i]) for i in which}
        group: list[int] = []
        for i in sorted(places, key=lambda i: (places[i].pack, places[i].offset)):
            if group and not _joins(places[group[0]], places[group[-1]], places[i]):
                self._fetch(pack_type, entries, places, group, found)
                group = []
            group.append(i)
        if group:
            self._fetch(pack_type, entries, places, group, found)

    def _fetch(
        self, pack_type: int, entries: Sequence[Entry], places: dict[int, Entry], group: list[int], found: list[memoryview]
    ) -> None:
        first = places[group[0]]
        start = first.offset
        end = max(places[i].offset + places[i].length for i in group)
        name = _name(pack_type, first.pack)
        try:
            data = memoryview(self._vault.get(name, start=start, length=end - start))
        except NotFound:
            if self._moved.learn(pack_type, first.pack) and all(
                self._moved.place(pack_type, entries[i])[:3] != places[i][:3] for i in group
            ):
                self._fetch_all(pack_type, entries, group, found)
            else:
                self._settle_elsewhere(pack_type, entries, group, found, _lost(name, "is missing", start, end))
            return
        for i in group:
            found[i] = data[places[i].offset - start : places[i].offset - start + places[i].length]
        short = [i for i in group if len(found[i]) != places[i].length]
        if short:
            self._settle_elsewhere(pack_type, entries, short, found, _lost(name, "is shorter than the tree says", start, end))

    def _settle_elsewhere(
        self, pack_type: int, entries: Sequence[Entry], which: list[int], found: list[memoryview], damaged: Damaged
    ) -> None:
        """Not to be had from where they should be. Fine when each was moved somewhere; ``damaged`` otherwise."""
        for i in which:
            if next(self._moved.trail(pack_type, entries[i]), None) is None:
                raise damaged
            found[i] = memoryview(b"")

    def _reader(self, pack_type: int, ref: bytes) -> PackReader:
        key = (pack_type, ref)
        with self._lock:
            reader = self._readers.get(key)
            if reader is not None:
                self._readers.move_to_end(key)
                return reader
        reader = PackReader(self._vault.keys, pack_type, ref)
        with self._lock:
            self._readers[key] = reader
            if len(self._readers) > CACHED_KEYS:
                self._readers.popitem(last=False)
        return reader


def _name(pack_type: int, ref: bytes) -> str:
    return layout.data_pack(ref[:16]) if pack_type == TYPE_DATA_PACK else layout.tree_pack(ref[:16])


def _lost(name: str, how: str, start: int, end: int) -> Damaged:
    where = {"object": name, "offset": str(start), "length": str(end - start)}
    return Damaged(f"{name} {how}.", remedy=CHECK_REMEDY, fields=where)


def _joins(first: Entry, last: Entry, entry: Entry) -> bool:
    end = last.offset + last.length
    near = entry.pack == first.pack and entry.offset <= end + MAX_GAP
    return near and entry.offset + entry.length - first.offset <= MAX_RANGE


class TreeReader:
    """Nodes of one disk's tree by level and number, through a small cache. Thread-safe."""

    def __init__(self, fetcher: Fetcher, root: Entry | None, level: int) -> None:
        self.root = root
        self.level = level
        self._fetcher = fetcher
        self._cache: OrderedDict[tuple[int, int], Slots] = OrderedDict()
        self._lock = threading.Lock()

    def entry(self, level: int, number: int) -> Entry | None:
        """Where that node is stored; None when everything below is zeros or beyond the tree."""
        if level > self.level or self.root is None:
            return None
        if level == self.level:
            return self.root if number == 0 else None
        return self.node(level + 1, number >> PAGE_BITS).get(number & (PAGE_CHILDREN - 1))

    def node(self, level: int, number: int) -> Slots:
        """Children of that node, {} when there are none. Not to be changed."""
        key = (level, number)
        with self._lock:
            slots = self._cache.get(key)
            if slots is not None:
                self._cache.move_to_end(key)
                return slots
        entry = self.entry(level, number)
        slots = self._fetcher.node(NodeAt(entry, level, number)) if entry else {}
        with self._lock:
            self._cache[key] = slots
            if len(self._cache) > CACHED_NODES:
                self._cache.popitem(last=False)
        return slots
