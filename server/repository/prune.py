"""Collection of garbage in two passes (FORMAT.md §12): mark what nothing needs, later sweep it, and compact the half-empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from server.domain.errors import Conflict, NotFound
from server.ports import Blob
from server.repository import catalog, layout
from server.repository.compact import Compacted, compact, facts_of, flatten
from server.repository.control import Control
from server.repository.damage import known_damage, write_damage
from server.repository.marks import Candidate, MarkList, doomed, pack_blobs, read_mark, read_state, write_mark, write_state
from server.repository.pins import live_pins
from server.repository.reach import PIN_MARGIN, Live, LiveItems, Reach, look, stop_if_asked
from server.repository.repository import Repository
from server.repository.vault import Vault
from server.repository.walk import PackIndex
from server.repository.worth import Footprint, PackFacts, choose, footprint

__all__ = ["CollectReport", "Compacted", "Footprint", "collect", "doomed"]

MAX_SKEW = timedelta(minutes=5)
MARK_LIMIT = 100_000  # objects in one mark list (2 TiB of packs); the rest waits for the next collection
FLATTEN_LIMIT = 10_000  # packs whose records one collection shortens
DELETE_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectReport:
    """``waiting`` (with the reason): nothing was done, an earlier mark cannot be swept yet. ``deleted_bytes`` net of what
    compaction wrote. ``locked_objects``: garbage that an Object Lock still protects; tried again by every collection.
    ``marked_*``: what the next collection will delete; ``to_compact``: packs it will look at. ``live_packs`` are reached by a
    point or a run. ``before`` and ``after``: what packs and forwarding records take."""

    waiting: bool = False
    reason: str = ""
    deleted_points: int = 0
    deleted_objects: int = 0
    deleted_bytes: int = 0
    locked_objects: int = 0
    compacted: Compacted = field(default_factory=Compacted)
    shortened: int = 0  # packs whose trails of forwarding records were
    marked_objects: int = 0
    marked_bytes: int = 0
    to_compact: int = 0
    live_packs: int = 0
    before: Footprint = field(default_factory=Footprint)
    after: Footprint = field(default_factory=Footprint)


@dataclass(slots=True)
class _Swept:
    """``begun``: points that may have been deleted in part."""

    points: int = 0
    objects: int = 0
    size: int = 0
    locked: int = 0
    compacted: Compacted = field(default_factory=Compacted)
    shortened: int = 0
    begun: frozenset[UUID] = frozenset()


def collect(
    repo: Repository, *, min_age: timedelta, region: str | None = None, control: Control | None = None
) -> CollectReport:
    """One collection: sweeps what an earlier one marked at least ``min_age`` ago, then marks anew. Safe beside running backups,
    beside another collection and after a crash at any write; run it regularly. ``region`` of the store: for its prices.

    Errors: Conflict (clocks differ, or another collection runs), NotOwner, Damaged (a live tree cannot be read: nothing is
    deleted), Cancelled, the storage's.
    """
    hooks = control or Control()
    vault = repo.vault
    vault.check_owner()
    now = _store_now(vault)
    state, blob = read_state(vault) or ({"phase": "idle"}, None)
    swept = _Swept()
    if blob is not None and state["phase"] != "idle":
        marked_at = datetime.fromisoformat(state["markedAt"]) if "markedAt" in state else blob.modified
        reason = _not_yet(vault, state["phase"], marked_at, min_age, now)
        if reason:
            return CollectReport(waiting=True, reason=reason)
        state = {**state, "phase": "sweeping", "markedAt": marked_at.isoformat()}
        blob = write_state(vault, state, blob)
        swept = _sweep(repo, state, region, hooks)
    report = _mark(repo, now - min_age, state, blob, swept, region, hooks)
    catalog.refresh(repo)
    return report


def _not_yet(vault: Vault, phase: str, marked_at: datetime, min_age: timedelta, now: datetime) -> str:
    """Why the mark must not be swept; "" when it may. A run that was going on when it was published may refer to what it names;
    later runs have read it and do not."""
    if phase == "marked" and marked_at + min_age > now:
        return "What the last collection marked is not old enough."
    if any(pin.since <= marked_at + PIN_MARGIN for pin in live_pins(vault)):
        return "A backup that began before the last collection is not finished."
    return ""


# ---- the two passes ---------------------------------------------------------------------------------------------------


def _mark(
    repo: Repository,
    before: datetime,
    state: dict[str, Any],
    blob: Blob | None,
    swept: _Swept,
    region: str | None,
    hooks: Control,
) -> CollectReport:
    vault = repo.vault
    earlier = _earlier(vault, state)
    turn = int(state.get("turn", 0)) + 1
    bad = known_damage(vault).bad
    data, trees = PackIndex(vault.blobs.list(layout.PACKS)), PackIndex(vault.blobs.list(layout.TREES))
    reach = look(repo, data, trees, LiveItems(turn), hooks, doomed=None, watched=(each.pack[:16] for each in bad))
    if bad and (gone := [each for each in bad if each.pack[:16] not in reach.met]):
        write_damage(vault, bad.difference(gone), at=vault.clock.now())
    total, dead, facts = _sift(vault, reach, earlier, before, region)
    mark = MarkList(
        tuple(dead),
        _chosen(vault, reach, earlier, facts, region, hooks),
        tuple(sorted(reach.winding))[:FLATTEN_LIMIT],
    )
    superseded = [each.name for each in vault.blobs.list(layout.GC_MARKS)]  # later ones are not ours to delete
    mark_id = write_mark(vault, mark)
    points = reach.forgotten - reach.kept
    final = points & reach.there & (swept.begun | {UUID(point) for point in state.get("final", ())})
    content = {"phase": "marked", "mark": mark_id, "points": _texts(points), "final": _texts(final), "turn": turn}
    write_state(vault, content, blob)
    vault.patiently(lambda: vault.blobs.delete(superseded))
    return _report(vault, swept, mark, total, data.marked_count() + trees.marked_count(), region)


def _sweep(repo: Repository, state: dict[str, Any], region: str | None, hooks: Control) -> _Swept:
    """Recall is refused from here on. Points forgotten since the mark count as alive: they may still be recalled later."""
    vault = repo.vault
    mark = _named(vault, state)
    chosen = PackIndex(pack_blobs(mark.compact))
    data = PackIndex(pack_blobs(item for item in [*mark.dead, *mark.compact] if item.name.startswith(layout.PACKS)))
    trees = PackIndex(pack_blobs(item for item in [*mark.dead, *mark.compact] if item.name.startswith(layout.TREES)))
    wanted = {UUID(point) for point in state["points"]}
    reach = look(repo, data, trees, LiveItems(among=chosen), hooks, doomed=wanted)
    points = sorted(reach.forgotten.intersection(wanted) - reach.kept)
    swept = _Swept(begun=frozenset(points))
    if reach.unreadable:
        return swept  # a point forgotten since the mark is damaged: it is left out of the next one
    kept = _delete(vault, [layout.point(point) for point in points], hooks)
    leftover = [point for point in reach.forgotten - reach.kept if point not in reach.there]
    over = [layout.forgotten(point) for point in dict.fromkeys([*points, *leftover]) if layout.point(point) not in kept]
    _delete(vault, over, hooks)
    dead = [item for item in mark.dead if not reach.alive(item.name) and not reach.young(item.modified)]
    locked = _delete(vault, [item.name for item in dead], hooks)
    gone = [item for item in dead if item.name not in locked]
    swept.points, swept.locked = len(points) - len(kept), len(kept) + len(locked)
    swept.objects, swept.size = len(gone), sum(item.size for item in gone)
    swept.compacted = compact(vault, mark.compact, reach.items, region, hooks)
    swept.shortened = flatten(vault, mark.flatten, hooks)
    return swept


def _delete(vault: Vault, names: Sequence[str], hooks: Control) -> set[str]:
    """Returns those that a lock protects."""
    locked: set[str] = set()
    for at in range(0, len(names), DELETE_BATCH):
        stop_if_asked(hooks)
        vault.check_owner()
        locked.update(vault.patiently(partial(vault.blobs.delete, names[at : at + DELETE_BATCH])))
    return locked


# ---- what to mark -----------------------------------------------------------------------------------------------------


def _sift(
    vault: Vault, reach: Reach, earlier: MarkList, before: datetime, region: str | None
) -> tuple[Footprint, list[Candidate], list[PackFacts]]:
    """What everything takes; what nothing needs, at most MARK_LIMIT; and live packs with what is known of their items.

    What was named before comes first: it stays named until it is gone, as a collection that was held up may still be about to
    delete it."""
    named = {item.name for item in (*earlier.dead, *earlier.compact)}
    total = Footprint()
    again: list[Candidate] = []
    fresh: list[Candidate] = []
    facts: list[PackFacts] = []
    for blob in _objects(vault):
        own = footprint(1, blob.size, blob.storage_class, region)
        total = Footprint(total.objects + 1, total.size_bytes + own.size_bytes, total.usd_month + own.usd_month)
        old = blob.modified <= before and not reach.young(blob.modified)
        if not reach.known(blob) or not (old or blob.name in named):
            continue
        pack_id = layout.pack_id_of(blob.name)
        if not reach.alive(blob.name):
            where = again if blob.name in named else fresh
            if len(where) < MARK_LIMIT:
                where.append(Candidate(blob.name, blob.size, blob.modified))
        elif not blob.name.startswith(layout.MOVED) and pack_id and (live := reach.items.get(pack_id)) is not None:
            facts.append(_facts(blob, live))
    return total, [*again, *fresh][:MARK_LIMIT], facts


def _facts(blob: Blob, live: Live) -> PackFacts:
    return PackFacts(
        name=blob.name,
        size=blob.size,
        live_items=len(live.offsets),
        live_bytes=live.size,
        storage_class=blob.storage_class,
    )


def _chosen(
    vault: Vault,
    reach: Reach,
    earlier: MarkList,
    facts: Iterable[PackFacts],
    region: str | None,
    hooks: Control,
) -> tuple[Candidate, ...]:
    """Those worth it and not locked, and those that were named before."""
    named: dict[str, Candidate] = {}
    for item in earlier.compact:
        index = reach.data if item.name.startswith(layout.PACKS) else reach.trees
        if (layout.pack_id_of(item.name) or b"") in index and reach.alive(item.name):
            named[item.name] = item
    for each in choose((each for each in facts if each.name not in named), region):
        stop_if_asked(hooks)
        blob = vault.patiently(partial(vault.blobs.head, each.name))
        live = reach.items.get(layout.pack_id_of(each.name) or b"")
        if blob is not None and live is not None and not facts_of(vault, blob, live).locked:
            named[blob.name] = Candidate(blob.name, blob.size, blob.modified)
    return tuple(named.values())


def _objects(vault: Vault) -> Iterator[Blob]:
    for prefix in (layout.PACKS, layout.TREES, layout.MOVED):
        yield from vault.blobs.list(prefix)


def _earlier(vault: Vault, state: dict[str, Any]) -> MarkList:
    return _named(vault, state) if state.get("mark") else MarkList()


def _named(vault: Vault, state: dict[str, Any]) -> MarkList:
    """The list that the state names. Empty when it is gone: its sweep was finished."""
    try:
        return read_mark(vault, state["mark"])
    except NotFound:
        return MarkList()


def _texts(points: Iterable[UUID]) -> list[str]:
    return sorted(map(str, points))


def _report(
    vault: Vault, swept: _Swept, mark: MarkList, total: Footprint, live_packs: int, region: str | None
) -> CollectReport:
    moved = swept.compacted
    gone = footprint(
        swept.objects + moved.packs - moved.written_objects,
        swept.size + moved.freed_bytes - moved.written_bytes,
        vault.storage_class,
        region,
    )
    return CollectReport(
        deleted_points=swept.points,
        deleted_objects=swept.objects + moved.packs,
        deleted_bytes=swept.size + moved.freed_bytes - moved.written_bytes,
        locked_objects=swept.locked,
        compacted=moved,
        shortened=swept.shortened,
        marked_objects=len(mark.dead),
        marked_bytes=sum(item.size for item in mark.dead),
        to_compact=len(mark.compact),
        live_packs=live_packs,
        before=Footprint(total.objects + gone.objects, total.size_bytes + gone.size_bytes, total.usd_month + gone.usd_month),
        after=total,
    )


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
