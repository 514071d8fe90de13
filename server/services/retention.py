"""Retention of a policy's points: decided by the domain, carried out here, every deletion with its reason in the log.

A resource's points are one chain. It is looked after by the policy that made its newest point, so that a resource which moved
to another policy is kept by that one's rules alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from uuid import UUID

from server.domain.policy import Retention
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.retention import Decision, decide
from server.domain.session import Level
from server.ports import Order, Select, Tx, Where
from server.services import points
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count

PAGE: Final = 500
_LIVE: Final = (PointState.AVAILABLE, PointState.DELETING)


def chain(tx: Tx, resource_id: UUID) -> list[RestorePoint]:
    """All points of a resource that are not deleted, newest first."""
    where = (Where("resource_id", "eq", resource_id), Where("state", "in", _LIVE))
    found: list[RestorePoint] = []
    after: tuple[object, ...] | None = None
    while True:
        rows = tx.points.page(Select(where=where, order=(Order("at", descending=True),), after=after, limit=PAGE))
        found += rows
        if len(rows) < PAGE:
            return found
        after = (rows[-1].at, rows[-1].id)


def _step(run: Run) -> Next | Done:
    policy_id = run.session.policy_id
    if policy_id is None:
        return Done(message="The policy was removed meanwhile.", document={})
    with run.app.store.transaction() as tx:
        groups = tx.points.groups("resource_id", (Where("policy_id", "eq", policy_id), Where("state", "in", _LIVE)))
    checked, doomed = 0, list[tuple[RestorePoint, str]]()
    for resource_id in sorted(groups):
        run.check()
        decisions = list(_decided(run, policy_id, resource_id))
        checked += len(decisions)
        doomed += [(decision.point, decision.reason) for decision in decisions if not decision.keep]
    tally = points.destroy_all(run, doomed)
    text = f"Retention: {count(checked, 'restore point')} checked, {tally.sentence()}"
    line = Line(text, Level.WARNING if tally.failed else Level.SUCCESS)
    result = {"checked": checked, "deleted": tally.deleted, "failed": tally.failed}
    return Done(state=tally.state(), message=text, document={"result": result}, lines=(line,))


def _decided(run: Run, policy_id: UUID, resource_id: UUID) -> Iterator[Decision]:
    """Decisions on one resource's chain; those to delete are marked DELETING, durably, before the first is touched."""
    document = run.task.document
    rules = Retention(snapshots=document["snapshots"], backup_days=document["backupDays"])
    with run.app.store.transaction() as tx:
        found = chain(tx, resource_id)
        newest = next((point for point in found if point.state is PointState.AVAILABLE), None)
        if newest is not None and newest.policy_id != policy_id:
            return
        used = points.points_in_use(tx)
        decisions = [_spared(each, used) for each in decide(found, rules, run.app.clock.now())]
        going = [each.point.id for each in decisions if not each.keep]
        current = [tx.points.get(id, lock=True) for id in going]
        points.mark_deleting(tx, [point for point in current if point.state is PointState.AVAILABLE])
        for each in decisions:
            if each.keep and each.release_base:
                tx.points.save(replace(tx.points.get(each.point.id, lock=True), base=False))
    _tell_spared(run, decisions, rules)
    yield from decisions


def _spared(decision: Decision, used: set[UUID]) -> Decision:
    if decision.keep or decision.point.id not in used:
        return decision
    return replace(decision, keep=True, reason="It is being restored from; the next run deletes it.")


def _tell_spared(run: Run, decisions: list[Decision], rules: Retention) -> None:
    """Say why a point stays although the count or age would let it go: people wonder."""
    snapshots = [each for each in decisions if each.point.leg is Leg.SNAPSHOT and each.keep]
    if len(snapshots) <= rules.snapshots:
        return
    for each in snapshots:
        if each.point.base or "restored" in each.reason:
            run.log(f"{points.describe(each.point)} is kept: {each.reason}", pointId=str(each.point.id))


HANDLER: Final = Handler(step=_step)
