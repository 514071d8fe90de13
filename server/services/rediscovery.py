"""Restore points found in AWS by their marks, as part of the rescan of a Region.

What is marked in AWS and nobody knows here is imported, whole sets only: after the database was lost, all of them. What is
known here and no longer in AWS: ``vanished``. Nothing in AWS is changed but marks that were missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from server.domain.errors import Conflict
from server.domain.rediscovery import Told
from server.domain.restore import Leg
from server.domain.workload import Account, Resource, resource_id
from server.ports import MarkedPoint, MarkedSnapshot, Order, Select, Tx, Workload
from server.services import vanished
from server.services.keepers import POLICIES_MAX
from server.services.point_looks import PAGE, Counts, Look
from server.services.replicas import point_id as replica_id
from server.services.steps import Run

READ_AT_ONCE: Final = 200  # snapshots whose marks are in memory together, but for a point with more


@dataclass(slots=True)
class _Marked:
    """A point as the listing shows it."""

    appliance_id: UUID | None
    token: str
    snapshot_ids: list[str] = field(default_factory=list)


def look(run: Run, account: Account, region: str, workload: Workload) -> Counts:
    """Repeating it is harmless. Errors: those of AWS; what was found out before stays."""
    this = Look(run, account, region, workload)
    known = this.known()  # before the listing: what is registered meanwhile is not missed in it
    unlisted = {snapshot_id: id for id, point in known.items() for snapshot_id in point.disks}
    unknown: dict[UUID, _Marked] = {}
    for found in workload.marked(this.place):
        if unlisted.pop(found.snapshot_id, None) is None and found.point_id not in known:
            _note(unknown, found)
    _import(this, unknown)
    vanished.compare(this, known, unlisted)
    this.counts.seen = len(known) + this.counts.new + this.counts.back - this.counts.lost
    return this.counts


def _note(unknown: dict[UUID, _Marked], found: MarkedSnapshot) -> None:
    point = unknown.setdefault(found.point_id, _Marked(found.appliance_id, found.token))
    point.snapshot_ids.append(found.snapshot_id)


def _import(this: Look, unknown: Mapping[UUID, _Marked]) -> None:
    by_appliance: defaultdict[UUID | None, list[UUID]] = defaultdict(list)
    for id, point in unknown.items():
        by_appliance[point.appliance_id].append(id)
    for appliance_id, ids in by_appliance.items():
        left = len(ids)
        for batch in _batches(unknown, ids):
            this.run.check()
            left -= len(batch)
            read = _read(this, unknown, _fresh(this, {id: unknown[id] for id in batch}))
            foreign = sum(each.state == "foreign" for each in read)
            this.counts.foreign += foreign
            this.counts.partial += sum(each.state == "partial" for each in read)
            _register(this, [each for each in read if each.state == "whole"])
            if read and foreign == len(read) and appliance_id != this.run.app.owner_id():
                this.counts.foreign += left  # an appliance has one key: the rest is not asked after
                break


def _batches(unknown: Mapping[UUID, _Marked], ids: Sequence[UUID]) -> Iterator[list[UUID]]:
    batch: list[UUID] = []
    snapshots = 0
    for id in ids:
        size = len(unknown[id].snapshot_ids)
        if batch and snapshots + size > READ_AT_ONCE:
            yield batch
            batch, snapshots = [], 0
        batch.append(id)
        snapshots += size
    if batch:
        yield batch


def _fresh(this: Look, batch: Mapping[UUID, _Marked]) -> list[UUID]:
    """Those without a row that no running task is about to register. Points that were lost and are there again come back."""
    makers = {id: _task_id(point.token) for id, point in batch.items()}
    with this.run.app.store.transaction() as tx:
        tasks = tx.tasks.many({maker for maker in makers.values() if maker is not None})
        rows = tx.points.many(batch, lock=True)  # after the tasks: what one has registered by its end is seen
        for id, row in rows.items():
            if vanished.returned(this, tx, row, batch[id].snapshot_ids):
                this.counts.back += 1
    running = {id for id, task in tasks.items() if not task.state.final}
    return [id for id in batch if id not in rows and makers[id] not in running]


def _task_id(token: str) -> UUID | None:
    """The task a job's token begins with."""
    try:
        return UUID(token[:36])
    except ValueError:
        return None


def _read(this: Look, unknown: Mapping[UUID, _Marked], ids: Sequence[UUID]) -> list[MarkedPoint]:
    snapshot_ids = [snapshot_id for id in ids for snapshot_id in unknown[id].snapshot_ids]
    return this.workload.read_marks(this.place, snapshot_ids, this.run.app.sealing) if snapshot_ids else []


def _register(this: Look, found: Sequence[MarkedPoint]) -> None:
    if not found:
        return
    told = {each.point_id: Told.from_json(each.told) for each in found}
    with this.run.app.store.transaction() as tx:
        tx.accounts.get(this.account.id, lock=True)  # another rescan's import comes before or after
        there = tx.points.many({*told, *(one.source_id for one in told.values() if one.source_id is not None)})
        policies = tx.policies.page(Select(limit=POLICIES_MAX))
        owners = _Owners(this, tx)
        for each in found:
            one = told[each.point_id]
            if each.point_id in there:
                continue
            point = one.point(each.point_id, owners.resource(one).id, this.account.id, this.region, each.document)
            source_id = one.source_id if one.source_id in there else None
            tx.points.add(replace(point, policy_id=one.policy(policies), source_id=source_id))
            this.counts.new += 1
        _link(tx, told)


def _link(tx: Tx, told: Mapping[UUID, Told]) -> None:
    """Replicas imported before the snapshots they were made from."""
    sources = {replica_id(one.task_id): id for id, one in told.items() if one.task_id is not None and one.leg is Leg.SNAPSHOT}
    copies = tx.points.many(sources, lock=True)
    tx.points.put([replace(copy, source_id=sources[id]) for id, copy in copies.items() if copy.source_id is None])


class _Owners:
    """Finds what points are of."""

    def __init__(self, this: Look, tx: Tx) -> None:
        self._this = this
        self._tx = tx
        self._accounts = tx.accounts.page(Select(order=(Order("created_at"),), limit=PAGE))
        self._found: dict[UUID, Resource] = {}

    def resource(self, told: Told) -> Resource:
        """As the inventory knows it, by whichever of its account's roles; else added as one that is not in AWS now."""
        number = told.aws_account_id
        owners = [each for each in self._accounts if number is not None and each.aws_account_id == number]
        owners = owners or [self._this.account]
        for owner in owners:
            id = resource_id(owner.id, told.workload, told.region, told.aws_id)
            known = self._found.get(id) or self._tx.resources.find(
                account_id=owner.id, workload=told.workload, region=told.region, aws_id=told.aws_id
            )
            if known is not None:
                self._found[id] = known
                return known
        owner = next((each for each in owners if each.id == self._this.account.id), owners[0])
        made = self._add(owner, told)
        self._found[made.id] = made
        return made

    def _add(self, owner: Account, told: Told) -> Resource:
        id = resource_id(owner.id, told.workload, told.region, told.aws_id)
        made = Resource(
            id=id,
            account_id=owner.id,
            workload=told.workload,
            region=told.region,
            aws_id=told.aws_id,
            name=told.name,
            tags={},
            state="",
            size_bytes=told.size_bytes,
            document={},
            present=False,
            first_seen_at=self._this.run.app.clock.now(),
            last_seen_at=told.at,
        )
        try:
            self._tx.resources.add(made)
        except Conflict:  # another Region's rescan was first
            return self._tx.resources.get(id)
        return made
