"""Health checks of policies: once a month its backups are looked at, after the policy's first session of the day or, of an SLA
policy, once the day's windows have closed in all its Regions.

Structure and availability of everything, and the content of a twelfth of the blocks, another one each month. Damage makes
points INCOMPLETE and the session an error; the next backup of the resource heals what it can.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import Conflict, InvalidInput
from server.domain.health import SHARES, CheckLevel, is_due, monthly_share
from server.domain.policy import Policy, PolicyKind
from server.domain.restore import Leg, PointState
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.domain.sla import SlaTerms, opening
from server.ports import Order, Select, Tx, Where
from server.services import checks, runs
from server.services.context import Services
from server.services.policy_terms import storage_of, terms_of
from server.services.protection import open_runs
from server.services.steps import Handler

POINTS_MAX: Final = 10_000  # of one policy; a daily policy of a hundred resources keeps 3,000 in a month
PAGE: Final = 500
POLICIES_MAX: Final = 1000
DAYS_BACK: Final = 3  # a day's windows may close two days later, seen from here; a first session may end after midnight


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
        found = _points(tx, policy)
        if not found:
            raise InvalidInput(f"{policy.name} has no backups to check.", fields={"id": "No backups."})
        if dry_run:
            return None
        return _begin(tx, app, policy, found, day=app.clock.now().date(), requested_by=caller.name, key=key)


def _running(tx: Tx, policy_id: UUID) -> bool:
    where = (
        Where("kind", "eq", SessionKind.HEALTH_CHECK),
        Where("policy_id", "eq", policy_id),
        Where("state", "in", (State.PENDING, State.RUNNING)),
    )
    return bool(tx.sessions.page(Select(where=where, limit=1)))


def planned(tx: Tx) -> list[Policy]:
    """Policies that may have health checks, disabled ones too: what they made is still kept."""
    sla = Where("kind", "eq", PolicyKind.SLA)
    stored = Where("repository_id", "is_null", False)
    return [policy for where in (sla, stored) for policy in tx.policies.page(Select(where=(where,), limit=POLICIES_MAX))]


def begin_due(tx: Tx, app: Services, policy: Policy, *, requested_by: str) -> Session | None:
    """The health check of today or of a day just over, when it is time for it. None when there is none to begin."""
    terms = terms_of(tx, policy)
    plan = terms.health_check if terms is not None else policy.health_check
    if plan is None:
        return None
    zone = zoneinfo.ZoneInfo(policy.schedule.timezone if policy.schedule else "UTC")
    today = app.clock.now().astimezone(zone).date()
    for day in (today - timedelta(days=back) for back in range(DAYS_BACK)):
        key = f"health:{policy.id}:{day.isoformat()}"
        if not is_due(plan, day) or tx.sessions.find(key=key) is not None:
            continue
        over = _first_session_over(tx, policy, day, zone) if terms is None else _windows_over(tx, app, policy, terms, day)
        if over and (found := _points(tx, policy)):
            return _begin(tx, app, policy, found, day=day, requested_by=requested_by, key=key)
    return None


def _windows_over(tx: Tx, app: Services, policy: Policy, terms: SlaTerms, day: date) -> bool:
    """The windows that opened on ``day`` have closed everywhere, and what began in them has ended."""
    windows = [plan.window for plan in (terms.snapshot, terms.backup) if plan is not None]
    closes = max(opening(window, day, region)[1] for window in windows for region in policy.scope.regions)
    return max(closes, policy.created_at) <= app.clock.now() and not open_runs(tx, policy.id)


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


def _begin(
    tx: Tx,
    app: Services,
    policy: Policy,
    found: Mapping[UUID, Sequence[UUID]],
    *,
    day: date,
    requested_by: str,
    key: str | None,
) -> Session:
    """Add the session, and a task per repository with points of the policy: ``found``."""
    rows = tx.repositories.many(found)
    told, drafts = [], []
    for row in sorted(rows.values(), key=lambda one: one.name):
        share = monthly_share(day)
        plan = checks.Plan(level=CheckLevel.CONTENT, points=tuple(found[row.id]), share=share, shares=SHARES)
        told.append((Level.INFO, checks.opening(row, plan)))
        document = {"repositoryId": str(row.id), "plan": plan.to_json()}
        drafts.append(runs.TaskDraft(kind=TaskKind.CHECK_CHAIN, name=row.name, document=document))
    draft = runs.SessionDraft(
        kind=SessionKind.HEALTH_CHECK,
        name=f"Health check of {policy.name}",
        requested_by=requested_by,
        policy_id=policy.id,
        key=key,
        document={"repositoryIds": sorted(str(id) for id in rows)},
        opening=tuple(told),
    )
    return runs.begin(tx, app, draft, drafts)


def _points(tx: Tx, policy: Policy) -> dict[UUID, list[UUID]]:
    """The policy's backups in each of its standard repositories, newest first."""
    storage = storage_of(tx, policy)
    own = () if policy.repository_id is None else (policy.repository_id,)
    targets = own if storage is None else storage.backup.all()
    found = {repository_id: _points_in(tx, policy.id, repository_id) for repository_id in targets}
    return {repository_id: points for repository_id, points in found.items() if points}


def _points_in(tx: Tx, policy_id: UUID, repository_id: UUID) -> list[UUID]:
    where = (
        Where("policy_id", "eq", policy_id),
        Where("repository_id", "eq", repository_id),
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


HANDLER: Final = Handler(step=checks.step)
