"""Health checks of policies: once a month, after the policy's first session of the day, its backups are looked at.

Structure and availability of everything, and the content of a twelfth of the blocks, another one each month. Damage makes
points INCOMPLETE and the session an error; the next backup of the resource heals what it can.
"""

from __future__ import annotations

import zoneinfo
from datetime import date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import Conflict, InvalidInput
from server.domain.health import SHARES, CheckLevel, is_due, monthly_share
from server.domain.policy import Policy
from server.domain.restore import Leg, PointState
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.ports import Order, Select, Tx, Where
from server.services import checks, runs
from server.services.context import Services
from server.services.steps import Done, Handler, Next, Run

POINTS_MAX: Final = 10_000  # of one policy; a daily policy of a hundred resources keeps 3,000 in a month
PAGE: Final = 500


def start_health_check(
    app: Services, caller: Caller, policy_id: UUID, *, dry_run: bool = False, key: str | None = None
) -> Session | None:
    """Check the policy's backups now, whatever its plan. None when ``dry_run``.

    Errors: Forbidden, NotFound, InvalidInput when there is nothing to check, Conflict while it is being done.
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        policy = tx.policies.get(policy_id, lock=True)
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        if _running(tx, policy_id):
            raise Conflict(f"A health check of {policy.name} is running already.")
        if not _points(tx, policy):
            raise InvalidInput(f"{policy.name} has no backups to check.", fields={"id": "No backups."})
        if dry_run:
            return None
        return begin(tx, app, policy, day=app.clock.now().date(), requested_by=caller.name, key=key)


def _running(tx: Tx, policy_id: UUID) -> bool:
    where = (
        Where("kind", "eq", SessionKind.HEALTH_CHECK),
        Where("policy_id", "eq", policy_id),
        Where("state", "in", (State.PENDING, State.RUNNING)),
    )
    return bool(tx.sessions.page(Select(where=where, limit=1)))


def begin_due(tx: Tx, app: Services, policy: Policy, *, requested_by: str) -> Session | None:
    """The health check of today or, when the day's first session ended after midnight, of yesterday: once the first session
    of that day is over. None when there is none to begin."""
    plan = policy.health_check
    if plan is None or policy.repository_id is None:
        return None
    zone = zoneinfo.ZoneInfo(policy.schedule.timezone if policy.schedule else "UTC")
    today = app.clock.now().astimezone(zone).date()
    for day in (today, today - timedelta(days=1)):
        key = f"health:{policy.id}:{day.isoformat()}"
        if not is_due(plan, day) or not _first_session_over(tx, policy, day, zone) or tx.sessions.find(key=key) is not None:
            continue
        if _points(tx, policy):
            return begin(tx, app, policy, day=day, requested_by=requested_by, key=key)
    return None


def _first_session_over(tx: Tx, policy: Policy, day: date, zone: zoneinfo.ZoneInfo) -> bool:
    begin_of_day = datetime.combine(day, time(), zone)
    where = (
        Where("kind", "eq", SessionKind.POLICY_RUN),
        Where("policy_id", "eq", policy.id),
        Where("created_at", "ge", begin_of_day),
        Where("created_at", "lt", datetime.combine(day + timedelta(days=1), time(), zone)),
    )
    first = tx.sessions.page(Select(where=where, order=(Order("created_at"),), limit=1))
    return bool(first) and first[0].state.final


def begin(tx: Tx, app: Services, policy: Policy, *, day: date, requested_by: str, key: str | None) -> Session:
    """Add the session and its task. The policy has a repository with points of its own."""
    assert policy.repository_id is not None, "only policies with backups have health checks"
    row = tx.repositories.get(policy.repository_id)
    plan = checks.Plan(
        level=CheckLevel.CONTENT, points=tuple(_points(tx, policy)), share=monthly_share(day), shares=SHARES
    )
    draft = runs.SessionDraft(
        kind=SessionKind.HEALTH_CHECK,
        name=f"Health check of {policy.name}",
        requested_by=requested_by,
        policy_id=policy.id,
        key=key,
        document={"repositoryId": str(row.id)},
        opening=((Level.INFO, checks.opening(row, plan)),),
    )
    document = {"repositoryId": str(row.id), "plan": plan.to_json()}
    return runs.begin(tx, app, draft, [runs.TaskDraft(kind=TaskKind.CHECK_CHAIN, name=row.name, document=document)])


def _points(tx: Tx, policy: Policy) -> list[UUID]:
    """The policy's backups in its repository, newest first."""
    where = (
        Where("policy_id", "eq", policy.id),
        Where("repository_id", "eq", policy.repository_id),
        Where("leg", "eq", Leg.BACKUP),
        Where("state", "eq", PointState.AVAILABLE),
    )
    found: list[UUID] = []
    after: tuple[object, ...] | None = None
    while len(found) < POINTS_MAX:
        rows = tx.points.page(Select(where=where, order=(Order("at", descending=True),), after=after, limit=PAGE))
        found += [row.id for row in rows]
        if len(rows) < PAGE:
            break
        after = (rows[-1].at, rows[-1].id)
    return found


def _step(run: Run) -> Next | Done:
    def finish(tx: Tx, now: datetime) -> None:
        """Nothing more to note: a health check looks at one policy's points, not at the repository."""

    return checks.step(run, finish=finish)


HANDLER: Final = Handler(step=_step)
