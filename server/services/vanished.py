"""Points known here whose snapshots somebody has deleted in AWS.

A point all of whose snapshots are gone is DELETED, with ``lostAt`` in its document, and comes back when they do; one that lost
some is INCOMPLETE. A snapshot counts as gone only when AWS, asked for it by its id, says so, and the account is still the one
it was: a listing that failed, or leaves something out, proves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from server.domain.restore import Damage, DamagedRange, Health, PointState, RestorePoint
from server.domain.session import Level
from server.ports import Tx
from server.services import answering, point_marks
from server.services.point_looks import Known, Look
from server.services.points import describe

TOLD_MAX: Final = 100  # points named in the log
MARKED_MAX: Final = 500  # points marked by one rescan; the next goes on
LOST_AT: Final = "lostAt"


def compare(this: Look, known: Mapping[UUID, Known], unlisted: Mapping[str, UUID]) -> None:
    """``unlisted``: snapshots of known points that the listing did not show."""
    absent: defaultdict[UUID, set[str]] = defaultdict(set)
    for snapshot_id, id in unlisted.items():
        absent[id].add(snapshot_id)
    doubtful = {each for id, ids in absent.items() for each in ids if known[id].disks[each] not in known[id].harmed}
    gone = this.workload.missing(this.place, doubtful) if doubtful else set()
    if gone:
        answering.require_same(this.run.app, this.account, this.region)
    for id, point in known.items():
        this.run.check()
        lost = {point.disks[each] for each in absent[id] if each in gone or point.disks[each] in point.harmed}
        if lost != point.harmed:
            _note(this, id, lost)
        if absent[id] & doubtful - gone and this.counts.marked < MARKED_MAX:
            _mark(this, id)


def _note(this: Look, id: UUID, lost: set[str]) -> None:
    """``lost``: ids of the disks whose snapshots are gone."""
    app, now = this.run.app, this.run.app.clock.now()
    with app.store.transaction() as tx:
        point = tx.points.get(id, lock=True)
        if point.state is not PointState.AVAILABLE:
            return  # deleted by Holdfast meanwhile
        disks = this.workload.disks(point.document)
        ranges = tuple(
            DamagedRange(disk_id=each.disk_id, start=0, end=each.size_bytes) for each in disks if each.disk_id in lost
        )
        if not ranges:
            tx.points.save(replace(point, health=Health.HEALTHY, damage=None))
            this.counts.back += 1
            return
        if len(ranges) == len(disks):
            document = {**point.document, LOST_AT: now.isoformat()}
            tx.points.save(replace(point, state=PointState.DELETED, base=False, document=document))
            this.counts.lost += 1
            text = f"{describe(point)} is lost: somebody deleted its snapshots in AWS."
        else:
            damage = Damage(found_at=now, ranges=ranges)
            tx.points.save(replace(point, health=Health.INCOMPLETE, damage=damage))
            this.counts.harmed += 1
            names = ", ".join(sorted(lost))
            text = f"{describe(point)} is no longer whole: somebody deleted the snapshot of {names} in AWS."
        tx.activity.append(at=now, kind="restore_point", subject_id=id, change="changed", message=text)
    if this.counts.lost + this.counts.harmed <= TOLD_MAX:
        this.run.log(text, Level.WARNING, pointId=str(id))


def _mark(this: Look, id: UUID) -> None:
    """Its snapshots are there and lack the mark: made by an older version, or somebody took it away."""
    with this.run.app.store.transaction() as tx:
        point = tx.points.get(id)
        policy = tx.policies.many([point.policy_id]).get(point.policy_id) if point.policy_id is not None else None
    if point.state is not PointState.AVAILABLE:
        return
    warnings = point_marks.put(this.run.app, point, policy.name if policy is not None else "")
    for each in warnings:
        this.run.log(f"{describe(point)}: {each}", Level.WARNING)
    this.counts.marked += not warnings


def returned(this: Look, tx: Tx, row: RestorePoint, listed: Collection[str]) -> bool:
    """Make a point that was lost AVAILABLE again when all of its snapshots are there. ``row``: locked."""
    snapshots = {disk.snapshot_id for disk in this.workload.disks(row.document)}
    if row.state is not PointState.DELETED or LOST_AT not in row.document or not snapshots <= set(listed):
        return False
    document = {key: value for key, value in row.document.items() if key != LOST_AT}
    tx.points.save(replace(row, state=PointState.AVAILABLE, health=Health.HEALTHY, damage=None, document=document))
    return True
