"""Retention: decided by the domain, carried out here, every deletion with its reason in the log.

When: after each run of a schedule policy; for an SLA policy once its windows have closed in all its Regions; and of everything,
of disabled policies too, once a day. A task looks at the resources whose newest point a policy made, whoever looks after them
now (``keepers``), or at those whose newest point no policy made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from server.domain.access import SYSTEM
from server.domain.policy import PolicyKind
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.retention import Decision
from server.domain.session import Level, Session, SessionKind, TaskKind
from server.domain.windows import closed_since
from server.ports import Select, Tx, Where
from server.services import points, runs
from server.services.context import Services
from server.services.keepers import LIVE, POLICIES_MAX, Keepers, chains
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count

RESOURCES_AT_ONCE: Final = 50  # whose chains are in memory together
UNATTENDED: Final = "What no policy looks after"
_LATER: Final = "Retention follows once the windows have closed in all Regions."

# ---- when -------------------------------------------------------------------------------------------------------------


def begin_daily(tx: Tx, app: Services, day: datetime) -> Session | None:
    """The pass of ``day``: one session, a task per policy that made points. None when there are none, or it has begun."""
    key = f"retention:{day:%Y-%m-%d}"
    makers = tx.points.groups("policy_id", (Where("state", "in", LIVE),))
    if not makers or tx.sessions.find(key=key) is not None:
        return None
    policies = tx.policies.many(id for id in makers if id is not None)
    drafts = [_draft(policy.name, policy.id) for policy in sorted(policies.values(), key=lambda one: one.name.lower())]
    if None in makers:
        drafts.append(_draft(UNATTENDED, None))
    draft = runs.SessionDraft(kind=SessionKind.RETENTION, name="Daily retention", requested_by=SYSTEM.name, key=key)
    return runs.begin(tx, app, draft, drafts)


def begin_closed(tx: Tx, app: Services) -> None:
    """SLA policies, disabled ones too, whose windows have closed in all their Regions since their last retention."""
    now = app.clock.now()
    found = tx.policies.page(Select(where=(Where("kind", "eq", PolicyKind.SLA),), limit=POLICIES_MAX))
    templates = tx.sla_templates.many(policy.sla_template_id for policy in found if policy.sla_template_id is not None)
    for policy in found:
        template = templates.get(policy.sla_template_id) if policy.sla_template_id is not None else None
        closed = closed_since(template.terms, policy.scope.regions, now) if template is not None else None
        if closed is None or closed <= policy.created_at:
            continue
        key = f"retention:{policy.id}:{closed:%Y-%m-%dT%H:%M}"
        draft = runs.SessionDraft(
            kind=SessionKind.RETENTION,
            name=f"Retention of {policy.name}",
            requested_by=SYSTEM.name,
            policy_id=policy.id,
            key=key,
        )
        runs.begin(tx, app, draft, [_draft(policy.name, policy.id)])


def _draft(name: str, policy_id: UUID | None) -> runs.TaskDraft:
    return runs.TaskDraft(kind=TaskKind.RETENTION, name=name, document={"policyId": str(policy_id) if policy_id else None})


# ---- what -------------------------------------------------------------------------------------------------------------


def _step(run: Run) -> Next | Done:
    """Repeated after a crash from the beginning: what was decided then is marked, and decided again."""
    after_run = "policyId" not in run.task.document
    text = run.task.document.get("policyId")
    policy_id = run.session.policy_id if after_run else UUID(text) if text else None
    if after_run:
        if policy_id is None:
            return Done(message="The policy was removed meanwhile.", document={})
        if _window_open(run, policy_id):
            return Done(message=_LATER, document={})
    tally, checked = points.Tally(), 0
    shredder = points.Shredder(run)
    for batch in _batches(_resources(run, policy_id)):
        run.check()
        decisions = _decided(run, policy_id, batch)
        checked += len(decisions)
        tally.add(shredder.destroy_all((each.point, each.reason) for each in decisions if not each.keep))
    told = f"{run.task.name}: {count(checked, 'restore point')} checked, {tally.sentence()}"
    line = Line(told, Level.WARNING if tally.failed else Level.SUCCESS)
    result = {"checked": checked, "deleted": tally.deleted, "failed": tally.failed}
    return Done(state=tally.state(), message=told, document={"result": result}, lines=(line,))


def _window_open(run: Run, policy_id: UUID) -> bool:
    with run.app.store.transaction() as tx:
        policy = tx.policies.get(policy_id)
        if policy.kind is not PolicyKind.SLA or policy.sla_template_id is None:
            return False
        terms = tx.sla_templates.get(policy.sla_template_id).terms
    return closed_since(terms, policy.scope.regions, run.app.clock.now()) is None


def _resources(run: Run, policy_id: UUID | None) -> list[UUID]:
    """Resources that have points made by the policy (None: by none)."""
    maker = Where("policy_id", "is_null", True) if policy_id is None else Where("policy_id", "eq", policy_id)
    with run.app.store.transaction() as tx:
        return sorted(tx.points.groups("resource_id", (maker, Where("state", "in", LIVE))))


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), RESOURCES_AT_ONCE):
        yield ids[start : start + RESOURCES_AT_ONCE]


def _decided(run: Run, policy_id: UUID | None, batch: Sequence[UUID]) -> list[Decision]:
    """Decisions on these resources' points; those to delete are marked DELETING, durably, before the first is touched."""
    with run.app.store.transaction() as tx:
        now = run.app.clock.now()
        keepers = Keepers(tx)
        resources = tx.resources.many(batch)
        decided: list[Decision] = []
        for resource_id, chain in chains(tx, batch).items():
            if _maker(chain) == policy_id:
                decided += keepers.decided(keepers.of(resources[resource_id], chain), chain, now)
        rows = tx.points.many((each.point.id for each in decided if _changes(each)), lock=True)
        use = points.in_use(tx, but=run.session.id)  # after the lock: who wants one of them now has said so, or comes too late
        decisions = [_spared(each, use) for each in decided]
        _write(tx, decisions, rows)
    _tell_spared(run, decisions)
    return decisions


def _maker(chain: Sequence[RestorePoint]) -> UUID | None:
    """Of the newest point. Where none is left but those made by hand or being deleted, of any that a policy made."""
    made = [point for point in chain if not point.manual]
    newest = max(
        made, key=lambda point: (point.state is PointState.AVAILABLE, point.at, point.policy_id is not None), default=None
    )
    return newest.policy_id if newest is not None else None


def _changes(decision: Decision) -> bool:
    return not decision.keep or decision.release_base or decision.flags != decision.point.flags


def _write(tx: Tx, decisions: Sequence[Decision], rows: Mapping[UUID, RestorePoint]) -> None:
    """``rows``: the points that change, locked."""
    going = {each.point.id for each in decisions if not each.keep}
    changed = {each.point.id: each for each in decisions if each.keep and _changes(each)}
    points.mark_deleting(tx, [row for id, row in rows.items() if id in going and row.state is PointState.AVAILABLE])
    tx.points.put(
        [
            replace(row, flags=changed[id].flags, base=row.base and not changed[id].release_base)
            for id, row in rows.items()
            if id in changed
        ]
    )


def _spared(decision: Decision, use: points.Use) -> Decision:
    if decision.keep or not use.holds(decision.point):
        return decision
    return replace(decision, keep=True, reason="It is in use; a later pass deletes it.", flags=decision.point.flags)


def _tell_spared(run: Run, decisions: Sequence[Decision]) -> None:
    """Say why a point stays although the count or age would let it go: people wonder."""
    told = [
        each for each in decisions if each.keep and not each.flags and not each.point.manual and each.point.leg is Leg.SNAPSHOT
    ]
    if not told:
        return
    with run.app.store.transaction() as tx:
        for each in told:
            text = f"{points.describe(each.point)} is kept: {each.reason}"
            data = {"pointId": str(each.point.id)}
            tx.events.append(run.session.id, Level.INFO, text, at=run.app.clock.now(), task_id=run.task.id, data=data)


HANDLER: Final = Handler(step=_step)
