"""What is alive: the packs that trees reach, where their items were moved to, and how much of a pack is still needed."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from server.domain.errors import Cancelled, Damaged, NotFound
from server.ports import Blob
from server.repository import layout
from server.repository.control import Control
from server.repository.crypto import TYPE_DATA_PACK, TYPE_TOMBSTONE, TYPE_TREE_PACK
from server.repository.fetch import Fetcher, NodeAt
from server.repository.moved import CACHED_ITEMS, MAX_HOPS, Moves, read_moves
from server.repository.pins import live_pins
from server.repository.repository import Repository
from server.repository.tree import PAGE_BITS, Entry, decode_node, leaf_entries, reached_packs
from server.repository.vault import Vault
from server.repository.walk import PackIndex, Visited

PIN_MARGIN = timedelta(minutes=1)  # stores stamp objects with whole seconds, and from several clocks
ITEM_LIMIT = 4_000_000  # items whose liveness is known at once: four bytes each
NODE_GROUP = 64
READERS = 4


@dataclass(slots=True)
class Live:
    """Of one pack: its reference and the offsets of items that are needed, ascending, with the sum of their lengths."""

    ref: bytes
    offsets: array[int] = field(default_factory=lambda: array("I"))
    size: int = 0

    def add(self, entry: Entry) -> bool:
        at = bisect_left(self.offsets, entry.offset)
        if at < len(self.offsets) and self.offsets[at] == entry.offset:
            return False
        self.offsets.insert(at, entry.offset)
        self.size += entry.length
        return True


class LiveItems:
    """Which items are needed, of as many packs as memory allows: of those in ``among`` (None: of all), a share that halves when
    more than ``limit`` items are found. ``turn`` picks the share, so that successive turns come to every pack."""

    def __init__(self, turn: int = 0, among: PackIndex | None = None, limit: int = ITEM_LIMIT) -> None:
        self._turn = turn
        self._among = among
        self._limit = limit
        self._bits = 0
        self._count = 0
        self._packs: dict[bytes, Live] = {}

    def wants(self, pack: bytes) -> bool:
        mask = (1 << self._bits) - 1
        mine = not (int.from_bytes(pack[8:16], "big") ^ self._turn) & mask
        return mine and (self._among is None or pack in self._among)

    def add(self, entry: Entry) -> None:
        """For an entry of a wanted pack."""
        live = self._packs.get(entry.pack[:16])
        if live is None:
            live = self._packs[entry.pack[:16]] = Live(entry.pack)
        if live.add(entry):
            self._count += 1
            if self._count > self._limit:
                self._bits += 1
                self._packs = {pack: live for pack, live in self._packs.items() if self.wants(pack)}
                self._count = sum(len(live.offsets) for live in self._packs.values())

    def get(self, pack_id: bytes) -> Live | None:
        return self._packs.get(pack_id)


@dataclass(slots=True, kw_only=True)
class Reach:
    """What is alive now. ``data`` and ``trees`` are the packs that are asked about (``complete``: all there are); ``records``
    the packs that have forwarding records. ``since``: packs written after it belong, or may belong, to a run in progress.
    ``watched`` pack ids that were reached are in ``met``. ``winding``: packs that are gone and whose records lead on through
    others, or nowhere."""

    vault: Vault
    data: PackIndex
    trees: PackIndex
    records: PackIndex
    items: LiveItems
    complete: bool
    forgotten: frozenset[UUID]
    kept: frozenset[UUID]  # forgotten, but parent of a run in progress
    since: datetime | None
    watched: frozenset[bytes] = frozenset()
    met: set[bytes] = field(default_factory=set)
    winding: set[tuple[int, bytes]] = field(default_factory=set)
    seen: Visited = field(default_factory=Visited)
    there: set[UUID] = field(default_factory=set)  # points whose manifests are there
    unreadable: bool = False  # a forgotten point that is not to be deleted yet cannot be read: nothing may be deleted
    _tables: OrderedDict[tuple[int, bytes], list[Moves]] = field(default_factory=OrderedDict)
    _held: int = 0  # moves in them

    def alive(self, name: str) -> bool:
        """Of a pack or a forwarding record that was there when the walk began."""
        if name.startswith(layout.MOVED):
            pack_id = layout.moved_pack_of(name)
            return pack_id is None or self.records.marked(pack_id)
        pack_id = layout.pack_id_of(name)
        index = self.data if name.startswith(layout.PACKS) else self.trees
        return pack_id is None or index.marked(pack_id)

    def young(self, modified: datetime) -> bool:
        return self.since is not None and modified >= self.since - PIN_MARGIN

    def known(self, blob: Blob) -> bool:
        """False for what was written after the lists were taken: it was not looked for while walking."""
        if blob.name.startswith(layout.MOVED):
            pack_id, index = layout.moved_pack_of(blob.name), self.records
        else:
            pack_id = layout.pack_id_of(blob.name)
            index = self.data if blob.name.startswith(layout.PACKS) else self.trees
        return pack_id is not None and pack_id in index

    def node(self, at: NodeAt) -> None:
        self._place(TYPE_TREE_PACK, at.entry)

    def leaf(self, plain: bytes) -> None:
        """What an authenticated plain leaf reaches."""
        for pack in reached_packs(0, plain):
            self._mark(TYPE_DATA_PACK, pack)
        for entry in leaf_entries(plain, lambda pack: pack in self.records or self.items.wants(pack)):
            self._place(TYPE_DATA_PACK, entry)

    def _mark(self, pack_type: int, pack: bytes) -> None:
        (self.data if pack_type == TYPE_DATA_PACK else self.trees).mark(pack)
        if pack[:16] in self.watched:
            self.met.add(pack[:16])

    def _place(self, pack_type: int, entry: Entry) -> None:
        """Mark where the item is and every place it was moved to: each is somebody's only copy, perhaps."""
        listed = self.data if pack_type == TYPE_DATA_PACK else self.trees
        frontier = [entry]
        for hop in range(MAX_HOPS + 1):
            following: list[Entry] = []
            for at in frontier:
                self._mark(pack_type, at.pack)
                if self.items.wants(at.pack):
                    self.items.add(at)
                onward = self._onward(pack_type, at)
                if hop and self.complete and entry.pack not in listed and (onward or at.pack not in listed):
                    self.winding.add((pack_type, entry.pack[:16]))
                following += onward
            frontier = following
            if not frontier:
                return

    def _onward(self, pack_type: int, at: Entry) -> list[Entry]:
        if at.pack not in self.records:
            return []
        self.records.mark(at.pack)
        return [move.applied(at) for table in self._moves(pack_type, at.pack[:16]) if (move := table.get(at.offset))]

    def _moves(self, pack_type: int, pack_id: bytes) -> list[Moves]:
        key = (pack_type, pack_id)
        tables = self._tables.get(key)
        if tables is not None:
            self._tables.move_to_end(key)
            return tables
        tables = self._tables[key] = read_moves(self.vault, pack_type, pack_id)
        self._held += sum(map(len, tables))
        while self._held > CACHED_ITEMS and len(self._tables) > 1:
            _, oldest = self._tables.popitem(last=False)
            self._held -= sum(map(len, oldest))
        return tables


def look(
    repo: Repository,
    data: PackIndex,
    trees: PackIndex,
    items: LiveItems,
    hooks: Control,
    *,
    doomed: Collection[UUID] | None,
    watched: Iterable[bytes] = (),
) -> Reach:
    """Walk everything that must stay. ``doomed`` None: all points but the forgotten ones; else all but these, as far as they
    still are forgotten and no run needs them.

    Tombstones first, then pins, then records and points: the order that FORMAT.md §12 relies on. Errors: Damaged, Cancelled.
    """
    vault = repo.vault
    forgotten = frozenset(_truly_forgotten(repo))
    pins = list(live_pins(vault))
    reach = Reach(
        vault=vault,
        data=data,
        trees=trees,
        records=PackIndex(vault.blobs.list(layout.MOVED), layout.moved_pack_of),
        items=items,
        complete=doomed is None,
        forgotten=forgotten,
        kept=forgotten.intersection(pin.parent for pin in pins if pin.parent is not None),
        since=min((pin.since for pin in pins), default=None),
        watched=frozenset(watched),
    )
    excluded = (forgotten if doomed is None else forgotten.intersection(doomed)) - reach.kept
    with vault.pool(READERS, "collect") as pool:
        for blob in vault.blobs.list(layout.POINTS):
            point_id = layout.uuid_of(blob.name)
            if point_id is None:
                continue
            reach.there.add(point_id)
            if point_id not in excluded:
                _look_at(repo, point_id, reach, pool, hooks)
    return reach


def _truly_forgotten(repo: Repository) -> Iterator[UUID]:
    """Only what the owner has sealed is believed here: whoever can write to the bucket must not be able to have points deleted.
    A point whose tombstone cannot be opened stays hidden, and stays."""
    for point_id in repo.forgotten():
        try:
            tombstone = repo.vault.read_sealed(layout.forgotten(point_id), TYPE_TOMBSTONE)
        except (NotFound, Damaged):
            continue  # recalled meanwhile, or not ours
        if tombstone.get("point") == str(point_id):
            yield point_id


def _look_at(repo: Repository, point_id: UUID, reach: Reach, pool: Executor, hooks: Control) -> None:
    stop_if_asked(hooks)
    try:
        manifest = repo.manifest(point_id)
        for disk in manifest.disks:
            if disk.root is not None:
                _follow(repo.vault, [NodeAt(disk.root, disk.level, 0)], reach, pool, hooks)
    except NotFound:
        return  # collected by a sweep that was still going on
    except Damaged:
        if point_id in reach.forgotten - reach.kept:
            reach.unreadable = True
        elif repo.vault.patiently(lambda: repo.vault.blobs.head(layout.point(point_id))) is not None:
            raise


def _follow(vault: Vault, nodes: Iterable[NodeAt], reach: Reach, pool: Executor, hooks: Control) -> None:
    """Mark every pack below ``nodes``, each node once. Depth first by pages, so that few nodes wait."""
    fetcher = Fetcher(vault)
    stack = [[node for node in nodes if reach.seen.add(node.entry)]]
    while stack:
        stop_if_asked(hooks)
        group = stack.pop()
        parts = [group[at : at + NODE_GROUP] for at in range(0, len(group), NODE_GROUP)]
        for part, plains in zip(parts, pool.map(fetcher.plain_nodes, parts), strict=True):
            for node, plain in zip(part, plains, strict=True):
                reach.node(node)
                if node.level == 0:
                    reach.leaf(plain)
                    continue
                stack.append([child for child in _children(vault, node, plain) if reach.seen.add(child.entry)])


def _children(vault: Vault, node: NodeAt, plain: bytes) -> Iterator[NodeAt]:
    children = decode_node(vault.keys.tree, node.level, node.number, node.entry.id, plain)
    return (NodeAt(entry, node.level - 1, node.number << PAGE_BITS | slot) for slot, entry in children.items())


def stop_if_asked(hooks: Control) -> None:
    if hooks.cancelled():
        raise Cancelled("The collection was stopped.")
