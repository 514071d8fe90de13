"""Retention of a policy's points: decided by the domain, carried out here, every deletion with its reason in the log.

A resource's points are one chain. It is looked after by the policy that made its newest point, so that a resource which moved
to another policy is kept by that one's rules alone. What no policy looks after goes, once a day, by the retention it was made
with; so do archives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from server.domain import keeping
from server.domain.access import SYSTEM
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.retention import Decision, Rules, decide
from server.domain.scope import verdict
from server.domain.session import Level, Session, SessionKind, TaskKind
from server.ports import Order, Select, Tx, Where
from server.services import points, runs
from server.services.context import Services
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count

PAGE: Final = 500
EXPIRED_MAX: Final = 2_000  # points deleted by one daily pass; the next one goes on
POLICIES_MAX: Final = 1000
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
    with run.app.store.transaction() as tx:
        policy = tx.policies.get(policy_id)
        rules = keeping.rules(policy, None)
        targets = {id for id in (policy.repository_id, policy.archive_repository_id) if id is not None}
        found = chain(tx, resource_id)
        newest = next((point for point in found if point.state is PointState.AVAILABLE), None)
        if newest is not None and newest.policy_id != policy_id:
            return
        used = points.points_in_use(tx)
        decisions = [_spared(each, used) for each in decide(found, rules, run.app.clock.now(), repositories=targets)]
        going = [each.point.id for each in decisions if not each.keep]
        current = [tx.points.get(id, lock=True) for id in going]
        points.mark_deleting(tx, [point for point in current if point.state is PointState.AVAILABLE])
        for each in decisions:
            if each.keep and (each.release_base or each.flags != each.point.flags):
                point = tx.points.get(each.point.id, lock=True)
                tx.points.save(replace(point, flags=each.flags, base=point.base and not each.release_base))
    _tell_spared(run, decisions, rules)
    yield from decisions


def _spared(decision: Decision, used: set[UUID]) -> Decision:
    if decision.keep or decision.point.id not in used:
        return decision
    return replace(decision, keep=True, reason="It is being restored from; the next run deletes it.")


def _tell_spared(run: Run, decisions: list[Decision], rules: Rules) -> None:
    """Say why a point stays although the count or age would let it go: people wonder."""
    for each in decisions:
        if each.keep and not each.flags and not each.point.manual and each.point.leg is Leg.SNAPSHOT:
            run.log(f"{points.describe(each.point)} is kept: {each.reason}", pointId=str(each.point.id))


# ---- what no policy looks after ---------------------------------------------------------------------------------------


def begin_expired(tx: Tx, app: Services, *, key: str) -> Session | None:
    """Delete points at the end of the retention they were made with: archives, and backups that no policy looks after. None
    when there are none."""
    doomed = _expired(tx, app.clock.now())
    if not doomed or tx.sessions.find(key=key) is not None:
        return None
    points.mark_deleting(tx, [tx.points.get(point.id, lock=True) for point in doomed])
    draft = runs.SessionDraft(
        kind=SessionKind.DELETE_POINTS,
        name=f"Delete {count(len(doomed), 'expired restore point')}",
        requested_by=SYSTEM.name,
        key=key,
        opening=((Level.INFO, "Their own retention is over, and no policy looks after them."),),
    )
    ids = [str(point.id) for point in doomed]
    drafts = [
        runs.TaskDraft(kind=TaskKind.DELETE_POINTS, name="Delete", document={"points": ids[at : at + points.AT_ONCE]})
        for at in range(0, len(ids), points.AT_ONCE)
    ]
    return runs.begin(tx, app, draft, drafts)


def _expired(tx: Tx, now: datetime) -> list[RestorePoint]:
    where = (
        Where("leg", "in", (Leg.BACKUP, Leg.ARCHIVE)),
        Where("state", "eq", PointState.AVAILABLE),
        Where("expires_at", "le", now),
    )
    found = tx.points.page(Select(where=where, order=(Order("expires_at"),), limit=EXPIRED_MAX))
    used = points.points_in_use(tx)
    governed = _governed(tx, {point.resource_id for point in found if point.leg is Leg.BACKUP})
    targets = _targets(tx, {point.resource_id for point in found} - governed)
    return [
        point
        for point in found
        if point.id not in used
        and (point.leg is Leg.ARCHIVE or point.resource_id not in governed)
        and (point.leg is Leg.ARCHIVE or point.repository_id not in targets.get(point.resource_id, ()))
    ]


def _governed(tx: Tx, resources: set[UUID]) -> set[UUID]:
    """Resources whose newest point was made by a policy there is: its runs look after the chain."""
    found = set()
    for resource_id in resources:
        where = (Where("resource_id", "eq", resource_id), Where("state", "eq", PointState.AVAILABLE))
        newest = tx.points.page(Select(where=where, order=(Order("at", descending=True),), limit=1))
        if newest and newest[0].policy_id is not None:
            found.add(resource_id)
    return found


def _targets(tx: Tx, resources: set[UUID]) -> dict[UUID, set[UUID]]:
    """Into which repositories policies back these resources up, or will with their next run: their retention counts there."""
    enabled = tx.policies.page(Select(where=(Where("enabled", "eq", True),), limit=POLICIES_MAX))
    return {
        id: {
            policy.repository_id
            for policy in enabled
            if policy.repository_id is not None and policy.workload == one.workload and verdict(policy.scope, one).covered
        }
        for id, one in tx.resources.many(resources).items()
    }


HANDLER: Final = Handler(step=_step)
