"""Reading items out of packs: coalesced range requests, opened, verified."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from server.domain.errors import Damaged, NotFound
from server.ports import BLOCK_SIZE
from server.repository import layout
from server.repository.crypto import CHECK_REMEDY, TYPE_DATA_PACK, TYPE_TREE_PACK
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
    """Items by entry. Thread-safe. Errors: Damaged (missing or altered packs, blamed by name and range), the storage's."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._readers: OrderedDict[tuple[int, bytes], PackReader] = OrderedDict()
        self._lock = threading.Lock()

    def block(self, entry: Entry, sealed: bytes | memoryview) -> bytes:
        """The plain block, its content id verified."""
        reader = self._reader(TYPE_DATA_PACK, entry.pack)
        plain = reader.open(KIND_BLOCK, entry.codec, entry.offset, sealed, max_size=BLOCK_SIZE)
        if len(plain) != BLOCK_SIZE or blake3(plain, key=self._vault.keys.content).digest(length=ID_SIZE) != entry.id:
            raise Damaged(
                f"{reader.name} holds another block at byte {entry.offset} than the tree says.",
                remedy=CHECK_REMEDY,
                fields={"object": reader.name, "offset": str(entry.offset), "length": str(entry.length)},
            )
        return plain

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
        return self._reader(pack_type, entry.pack).open(kind, entry.codec, entry.offset, sealed, max_size=max_size)

    def sealed(self, pack_type: int, entries: Sequence[Entry]) -> list[memoryview]:
        """The stored bytes of each entry, near ones fetched with one request."""
        found: list[memoryview] = [memoryview(b"")] * len(entries)
        order = sorted(range(len(entries)), key=lambda i: (entries[i].pack, entries[i].offset))
        group: list[int] = []
        for i in order:
            if group and not _joins(entries[group[0]], entries[group[-1]], entries[i]):
                self._fetch(pack_type, entries, group, found)
                group = []
            group.append(i)
        if group:
            self._fetch(pack_type, entries, group, found)
        return found

    def _fetch(self, pack_type: int, entries: Sequence[Entry], group: list[int], found: list[memoryview]) -> None:
        first = entries[group[0]]
        start = first.offset
        end = max(entries[i].offset + entries[i].length for i in group)
        name = layout.data_pack(first.pack[:16]) if pack_type == TYPE_DATA_PACK else layout.tree_pack(first.pack[:16])
        where = {"object": name, "offset": str(start), "length": str(end - start)}
        try:
            data = memoryview(self._vault.get(name, start=start, length=end - start))
        except NotFound:
            raise Damaged(f"{name} is missing.", remedy=CHECK_REMEDY, fields=where) from None
        if len(data) != end - start:
            raise Damaged(f"{name} is shorter than the tree says.", remedy=CHECK_REMEDY, fields=where)
        for i in group:
            found[i] = data[entries[i].offset - start : entries[i].offset - start + entries[i].length]

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
