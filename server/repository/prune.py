"""Collection of garbage in two passes (FORMAT.md §12)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from server.domain.errors import AlreadyThere, Cancelled, Conflict, NotFound
from server.ports import Blob
from server.repository import layout
from server.repository.control import Control
from server.repository.crypto import TYPE_GC_MARK, TYPE_GC_STATE
from server.repository.fetch import Fetcher, NodeAt
from server.repository.marks import doomed
from server.repository.pins import live_pins
from server.repository.repository import Repository
from server.repository.tree import PAGE_BITS, decode_node, reached_packs
from server.repository.vault import Vault
from server.repository.walk import PackIndex, Visited

__all__ = ["CollectReport", "collect", "doomed"]

MAX_SKEW = timedelta(minutes=5)
PIN_MARGIN = timedelta(minutes=1)  # stores stamp objects with whole seconds, and from several clocks
MARK_LIMIT = 100_000  # objects in one mark list (2 TiB of packs); the rest waits for the next collection
DELETE_BATCH = 500
NODE_GROUP = 64
READERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectReport:
    """``waiting``: an earlier mark is not old enough to sweep yet. ``live_packs`` are reached by a point or a run."""

    waiting: bool = False
    deleted_points: int = 0
    deleted_objects: int = 0
    deleted_bytes: int = 0
    marked_objects: int = 0
    marked_bytes: int = 0
    live_packs: int = 0


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    size: int
    modified: datetime


@dataclass(slots=True)
class _Reach:
    """What is alive now. ``since``: packs written after it belong, or may belong, to a run in progress."""

    data: PackIndex
    trees: PackIndex
    forgotten: set[UUID]
    kept: set[UUID]  # forgotten, but parent of a run in progress
    since: datetime | None
    seen: Visited = field(default_factory=Visited)

    def alive(self, name: str) -> bool:
        pack_id = layout.pack_id_of(name)
        index = self.data if name.startswith(layout.PACKS) else self.trees
        return pack_id is None or index.marked(pack_id)

    def young(self, modified: datetime) -> bool:
        return self.since is not None and modified >= self.since - PIN_MARGIN


def collect(repo: Repository, *, min_age: timedelta, control: Control | None = None) -> CollectReport:
    """One collection: sweeps what an earlier one marked at least ``min_age`` ago, then marks anew. Safe beside running backups
    and after a crash at any write; run it regularly.

    Errors: Conflict (clocks differ, or another collection runs), NotOwner, Damaged (a live tree cannot be read: nothing is
    deleted), Cancelled, the storage's.
    """
    hooks = control or Control()
    vault = repo.vault
    vault.check_owner()
    now = _store_now(vault)
    found = vault.read_versioned(layout.GC_STATE, TYPE_GC_STATE)
    state, blob = found or ({"phase": "idle"}, None)
    swept = CollectReport()
    if blob is not None and state["phase"] != "idle":
        if state["phase"] == "marked" and blob.modified + min_age > now:
            return CollectReport(waiting=True)
        state = {**state, "phase": "sweeping"}
        blob = _write_state(vault, state, blob)
        swept = _sweep(repo, state, hooks)
    return _mark(repo, now - min_age, blob, swept, hooks)


# ---- the two passes ---------------------------------------------------------------------------------------------------


def _mark(repo: Repository, before: datetime, state: Blob | None, swept: CollectReport, hooks: Control) -> CollectReport:
    vault = repo.vault
    data, trees = PackIndex(vault.blobs.list(layout.PACKS)), PackIndex(vault.blobs.list(layout.TREES))
    reach = _reach(repo, data, trees, hooks)
    marked: list[_Candidate] = []
    for blob in _packs(vault):
        if len(marked) == MARK_LIMIT:
            break
        if blob.modified <= before and not reach.young(blob.modified) and not _listed_late(reach, blob):
            if reach.alive(blob.name):
                continue
            marked.append(_Candidate(blob.name, blob.size, blob.modified))
    mark_id = vault.new_id().hex()
    name = f"{layout.GC_MARKS}{mark_id}"
    rows = [[item.name, item.size, item.modified.isoformat()] for item in marked]
    doomed = sorted(str(point) for point in reach.forgotten - reach.kept)
    vault.put_once(name, vault.seal(name, TYPE_GC_MARK, {"objects": rows}))
    _write_state(vault, {"phase": "marked", "mark": mark_id, "points": doomed}, state)
    stale = [blob.name for blob in vault.blobs.list(layout.GC_MARKS) if blob.name != name]
    vault.patiently(lambda: vault.blobs.delete(stale))
    return CollectReport(
        deleted_points=swept.deleted_points,
        deleted_objects=swept.deleted_objects,
        deleted_bytes=swept.deleted_bytes,
        marked_objects=len(marked),
        marked_bytes=sum(item.size for item in marked),
        live_packs=data.marked_count() + trees.marked_count(),
    )


def _sweep(repo: Repository, state: dict[str, Any], hooks: Control) -> CollectReport:
    vault = repo.vault
    marked = _read_mark(vault, state["mark"])
    data = PackIndex(_as_blobs(marked, layout.PACKS))
    trees = PackIndex(_as_blobs(marked, layout.TREES))
    reach = _reach(repo, data, trees, hooks)
    doomed = [UUID(point) for point in state["points"]]
    points = [point for point in doomed if point in reach.forgotten and point not in reach.kept]
    there = {layout.uuid_of(blob.name) for blob in vault.blobs.list(layout.POINTS)}
    leftover = [point for point in reach.forgotten if point not in there]
    dead = [item for item in marked if not reach.alive(item.name) and not reach.young(item.modified)]
    _delete(vault, [layout.point(point) for point in points], hooks)
    _delete(vault, [layout.forgotten(point) for point in dict.fromkeys([*points, *leftover])], hooks)
    _delete(vault, [item.name for item in dead], hooks)
    return CollectReport(deleted_points=len(points), deleted_objects=len(dead), deleted_bytes=sum(item.size for item in dead))


def _delete(vault: Vault, names: Sequence[str], hooks: Control) -> None:
    for at in range(0, len(names), DELETE_BATCH):
        _stop_if_asked(hooks)
        vault.check_owner()
        batch = names[at : at + DELETE_BATCH]
        vault.patiently(lambda batch=batch: vault.blobs.delete(batch))  # type: ignore[misc]  # binds the loop's value


# ---- what is alive ----------------------------------------------------------------------------------------------------


def _reach(repo: Repository, data: PackIndex, trees: PackIndex, hooks: Control) -> _Reach:
    """Tombstones first, then pins, then points: the order §12 relies on."""
    vault = repo.vault
    forgotten = set(repo.forgotten())
    pins = list(live_pins(vault))
    kept = {pin.parent for pin in pins if pin.parent is not None} & forgotten
    reach = _Reach(data, trees, forgotten, kept, min((pin.since for pin in pins), default=None))
    with vault.pool(READERS, "collect") as pool:
        for blob in vault.blobs.list(layout.POINTS):
            point_id = layout.uuid_of(blob.name)
            if point_id is None or point_id in forgotten - kept:
                continue
            _stop_if_asked(hooks)
            try:
                manifest = repo.manifest(point_id)
            except NotFound:
                continue  # collected by a sweep that was still going on
            for disk in manifest.disks:
                if disk.root is not None:
                    _follow(vault, [NodeAt(disk.root, disk.level, 0)], reach, pool, hooks)
    return reach


def _follow(vault: Vault, nodes: Iterable[NodeAt], reach: _Reach, pool: Executor, hooks: Control) -> None:
    """Mark every pack below ``nodes``, each node once. Depth first by pages, so that few nodes wait."""
    fetcher = Fetcher(vault)
    stack = [[node for node in nodes if reach.seen.add(node.entry)]]
    while stack:
        _stop_if_asked(hooks)
        group = stack.pop()
        parts = [group[at : at + NODE_GROUP] for at in range(0, len(group), NODE_GROUP)]
        for part, plains in zip(parts, pool.map(fetcher.plain_nodes, parts), strict=True):
            for node, plain in zip(part, plains, strict=True):
                reach.trees.mark(node.entry.pack)
                if node.level == 0:
                    for pack in reached_packs(0, plain):
                        reach.data.mark(pack)
                    continue
                children = decode_node(vault.keys.tree, node.level, node.number, node.entry.id, plain)
                below = [NodeAt(entry, node.level - 1, node.number << PAGE_BITS | slot) for slot, entry in children.items()]
                stack.append([child for child in below if reach.seen.add(child.entry)])


def _listed_late(reach: _Reach, blob: Blob) -> bool:
    """Written after the first listing: not looked for while walking, so nothing is known about it."""
    pack_id = layout.pack_id_of(blob.name)
    index = reach.data if blob.name.startswith(layout.PACKS) else reach.trees
    return pack_id is None or index.size(pack_id) is None


# ---- state ------------------------------------------------------------------------------------------------------------


def _store_now(vault: Vault) -> datetime:
    """The store's time. Conflict when ours is so far off that ages could be misjudged."""
    theirs = vault.patiently(vault.blobs.now)
    skew = abs(theirs - vault.clock.now())
    if skew > MAX_SKEW:
        raise Conflict(
            f"The clocks of this appliance and of {vault.blobs.url} differ by {skew.total_seconds():.0f} s; nothing collected.",
            remedy="Set the appliance's clock right, for example with chrony.",
        )
    return theirs


def _write_state(vault: Vault, content: dict[str, Any], before: Blob | None) -> Blob:
    sealed = vault.seal(layout.GC_STATE, TYPE_GC_STATE, content)
    try:
        if before is None:
            return vault.put_once(layout.GC_STATE, sealed)
        return vault.replace(layout.GC_STATE, sealed, before.version)
    except AlreadyThere:
        raise Conflict("Another collection or a recall is going on in this repository.", remedy="Try again later.") from None


def _read_mark(vault: Vault, mark_id: str) -> list[_Candidate]:
    name = f"{layout.GC_MARKS}{mark_id}"
    try:
        rows = vault.read_sealed(name, TYPE_GC_MARK)["objects"]
    except NotFound:
        return []  # its sweep was finished; only the new mark's state was not written
    return [_Candidate(row[0], row[1], datetime.fromisoformat(row[2])) for row in rows]


def _as_blobs(marked: Iterable[_Candidate], prefix: str) -> Iterator[Blob]:
    for item in marked:
        if item.name.startswith(prefix):
            yield Blob(item.name, item.size, "", item.modified)


def _packs(vault: Vault) -> Iterator[Blob]:
    yield from vault.blobs.list(layout.PACKS)
    yield from vault.blobs.list(layout.TREES)


def _stop_if_asked(hooks: Control) -> None:
    if hooks.cancelled():
        raise Cancelled("The collection was stopped.")
