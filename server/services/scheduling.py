"""What the clock starts: due policy runs, the hourly rescan, daily upkeep, and messages that got lost.

Any number of schedulers may tick; PostgreSQL lets one of them through, and every session made has a key that exists once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from server.domain.access import SYSTEM
from server.domain.errors import DatabaseDown, HoldfastError, QueueDown
from server.domain.restore import IN_AWS, PointState
from server.domain.retention import DAILY_PASS
from server.domain.session import SessionKind, TaskKind
from server.ports import Select, Tx, Where
from server.services import (
    due_runs,
    health_checks,
    maintenance,
    prices,
    repository_rescans,
    rescans,
    retention,
    runs,
)
from server.services.context import Services
from server.services.points import AT_ONCE
from server.services.wording import count

GRACE: Final = timedelta(seconds=3)  # a task is overdue when nobody took it this long after its time
SWEEP_MAX: Final = 500
POLICIES_MAX: Final = 1000
UPKEEP_HOUR: Final = DAILY_PASS.hour  # UTC

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Agenda:
    """What this process has seen done already, to spare the database. Losing it costs a few look-ups."""

    minute: datetime | None = None
    hour: datetime | None = None
    day: datetime | None = None


def tick(app: Services, agenda: Agenda) -> None:
    """One look at the clock. Errors: DatabaseDown; others are logged and do not hold up the rest."""
    now = app.clock.now()
    with app.store.transaction() as guard:
        if not guard.single("scheduler"):
            return
        _runs(app, now)
        sweep(app, now)
        minute = now.astimezone(UTC).replace(second=0, microsecond=0)
        if agenda.minute != minute and _attempt("what is due by the minute", lambda: _by_the_minute(app, now)):
            agenda.minute = minute
        hour = minute.replace(minute=0)
        if agenda.hour != hour and _attempt("the hourly rescan", lambda: _rescans(app, hour)):
            agenda.hour = hour
        day = hour.replace(hour=UPKEEP_HOUR)
        if now >= day and agenda.day != day and _attempt("the daily upkeep", lambda: _upkeep(app, day)):
            agenda.day = day


def _attempt(what: str, action: Callable[[], None]) -> bool:
    try:
        action()
    except DatabaseDown:
        raise
    except HoldfastError as error:
        _log.warning("Starting %s failed: %s", what, error.sentence())
        return False
    return True


# ---- lost messages ----------------------------------------------------------------------------------------------------


def sweep(app: Services, now: datetime) -> int:
    """Send again what is overdue; how many were."""
    with app.store.transaction() as tx:
        overdue = tx.tasks.overdue(now=now, grace=GRACE, limit=SWEEP_MAX)
    try:
        for task_id in overdue:
            app.jobs.send(task_id)
    except QueueDown as error:
        _log.warning("%s waiting, but the queue is down: %s", count(len(overdue), "task"), error.sentence())
    return len(overdue)


# ---- policies ---------------------------------------------------------------------------------------------------------


def _runs(app: Services, now: datetime) -> None:
    with app.store.transaction() as tx:
        found = due_runs.scheduled(tx, now)
    for policy in found:
        _attempt(f"policy {policy.name}", partial(due_runs.begin_scheduled, app, policy.id, now))


def _replanned(app: Services, now: datetime) -> None:
    with app.store.transaction() as tx:
        found = due_runs.ahead(tx, now)
    for policy in found:
        _attempt(f"policy {policy.name}", partial(due_runs.plan_anew, app, policy.id, now))


def _promised(app: Services, now: datetime) -> None:
    with app.store.transaction() as tx:
        found = due_runs.promised(tx, now)
    for policy in found:
        _attempt(f"policy {policy.name}", partial(due_runs.begin_promised, app, policy.id, now))


# ---- upkeep -----------------------------------------------------------------------------------------------------------


def _rescans(app: Services, hour: datetime) -> None:
    """Look again where resources or snapshots are known or policies reach, so that new ones are protected, and what happened to
    snapshots is noticed, without anybody's doing."""
    with app.store.transaction() as tx:
        accounts = tx.accounts.page(Select(limit=POLICIES_MAX))
        policies = tx.policies.page(Select(where=(Where("enabled", "eq", True),), limit=POLICIES_MAX))
        for account in accounts:
            here = Where("account_id", "eq", account.id)
            known = tx.resources.groups("region", (here, Where("present", "eq", True)))
            named = {region for each in policies if each.scope.account_id == account.id for region in each.scope.regions}
            kept = (
                Where("account_id", "eq", account.id),
                Where("leg", "in", IN_AWS),
                Where("state", "eq", PointState.AVAILABLE),
            )
            holding = {str(region) for region in tx.points.groups("region", kept)}
            targets = {each.region for policy in policies for each in policy.replicas if each.account_id == account.id}
            regions = sorted({str(region) for region in known} | named | holding | targets)[: rescans.REGIONS_MAX]
            key = f"rescan:{account.id}:{hour:%Y-%m-%dT%H}"
            if regions and tx.sessions.find(key=key) is None:
                rescans.begin_rescan(tx, app, account, regions, requested_by=due_runs.REQUESTED_BY, key=key)


def _by_the_minute(app: Services, now: datetime) -> None:
    """What was planned while the clock was ahead. SLA policies' runs. Health checks, of disabled policies, too: what they made
    is still kept. Retention where windows have closed."""
    _replanned(app, now)
    _promised(app, now)
    with app.store.transaction() as tx:
        retention.begin_closed(tx, app)
        for policy in health_checks.planned(tx):
            health_checks.begin_due(tx, app, policy, requested_by=due_runs.REQUESTED_BY)


def _upkeep(app: Services, day: datetime) -> None:
    with app.store.transaction() as tx:
        for repository in tx.repositories.page(Select(limit=POLICIES_MAX)):
            key = f"maintenance:{repository.id}:{day:%Y-%m-%d}"
            maintenance.begin_maintenance(tx, app, repository, requested_by=due_runs.REQUESTED_BY, key=key)
            key = f"rescan-repository:{repository.id}:{day:%Y-%m-%d}"
            if tx.sessions.find(key=key) is None:
                repository_rescans.begin_rescan(tx, app, repository, requested_by=due_runs.REQUESTED_BY, key=key)
        _leftovers(tx, app, day)
        retention.begin_daily(tx, app, day)
        prices.begin_due(tx, app, requested_by=due_runs.REQUESTED_BY, key=f"prices:{day:%Y-%m-%d}")


def _leftovers(tx: Tx, app: Services, day: datetime) -> None:
    """Deletions that failed are tried again once a day."""
    stuck = tx.points.page(Select(where=(Where("state", "eq", PointState.DELETING),), limit=AT_ONCE))
    if not stuck:
        return
    draft = runs.SessionDraft(
        kind=SessionKind.DELETE_POINTS,
        name=f"Delete {count(len(stuck), 'restore point')} left over",
        requested_by=SYSTEM.name,
        key=f"leftovers:{day:%Y-%m-%d}",
    )
    document = {"points": [str(point.id) for point in stuck]}
    runs.begin(tx, app, draft, [runs.TaskDraft(kind=TaskKind.DELETE_POINTS, name="Delete", document=document)])
