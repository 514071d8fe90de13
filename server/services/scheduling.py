"""What the clock starts: due policy runs, the hourly rescan, daily upkeep, and messages that got lost.

Any number of schedulers may tick; PostgreSQL lets one of them through, and every session made has a key that exists once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from server.domain import keeping
from server.domain.access import SYSTEM
from server.domain.errors import Conflict, DatabaseDown, HoldfastError, QueueDown
from server.domain.policy import Policy
from server.domain.restore import PointState
from server.domain.retention import DAILY_PASS
from server.domain.schedule import Slot, due_slots
from server.domain.session import Level, SessionKind, TaskKind
from server.ports import Order, Select, Tx, Where
from server.services import health_checks, maintenance, prices, protection, repository_rescans, rescans, retention, runs
from server.services.context import Services
from server.services.points import AT_ONCE
from server.services.wording import count, span

REQUESTED_BY: Final = "schedule"
GRACE: Final = timedelta(seconds=3)  # a task is overdue when nobody took it this long after its time
SWEEP_MAX: Final = 500
POLICIES_MAX: Final = 1000
LATE: Final = timedelta(minutes=5)  # a run that starts this much after its slot says why
UPKEEP_HOUR: Final = DAILY_PASS.hour  # UTC

_log = logging.getLogger(__name__)


def next_run_at(policy: Policy, now: datetime) -> datetime | None:
    """When an enabled policy with this schedule runs next; None when by hand only."""
    run = keeping.next_run(policy, None, now) if policy.enabled else None
    return run.slot.at if run else None


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
        if agenda.minute != minute and _attempt("what is due by the minute", lambda: _by_the_minute(app)):
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
        enabled = Where("enabled", "eq", True)
        due = (enabled, Where("next_run_at", "le", now))
        unplanned = (enabled, Where("next_run_at", "is_null", True))
        found = tx.policies.page(Select(where=due, order=(Order("next_run_at"),), limit=POLICIES_MAX))
        planless = tx.policies.page(Select(where=unplanned, limit=POLICIES_MAX))
    found += [policy for policy in planless if policy.schedule is not None]
    for policy in found:
        _attempt(f"policy {policy.name}", partial(_run_due, app, policy.id, now))


def _run_due(app: Services, policy_id: UUID, now: datetime) -> None:
    with app.store.transaction() as tx:
        policy = tx.policies.get(policy_id, lock=True)
        if not policy.enabled or policy.schedule is None:
            return
        following = next_run_at(policy, now)
        slot = _slot(policy, now)
        if slot is None or tx.sessions.find(key=_key(policy, slot)) is not None:
            tx.policies.save(replace(policy, next_run_at=following, revision=policy.revision + 1))
            return
        try:
            protection.refuse_while_running(tx, policy)
        except Conflict:
            text = f"{policy.name}: the run due at {slot.at:%Y-%m-%d %H:%M} UTC was left out: the previous one still runs."
            tx.activity.append(at=now, kind="policy", subject_id=policy.id, change="changed", message=text)
            tx.policies.save(replace(policy, next_run_at=following, revision=policy.revision + 1))
            return
        order = protection.RunOrder(
            requested_by=REQUESTED_BY,
            flags=slot.flags,
            slot_at=slot.at,
            retries=policy.retries.attempts,
            key=_key(policy, slot),
            remarks=_remarks(slot, now),
        )
        protection.start_run(tx, app, policy, order, next_run_at=following)


def _slot(policy: Policy, now: datetime) -> Slot | None:
    """The slot to run now: the latest one that came due; earlier missed ones are folded into it."""
    assert policy.schedule is not None
    if policy.next_run_at is None or policy.next_run_at > now:
        return None
    slots = due_slots(policy.schedule, policy.next_run_at - timedelta(microseconds=1), now)
    return slots[-1] if slots else None


def _key(policy: Policy, slot: Slot) -> str:
    return f"policy:{policy.id}:{slot.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _remarks(slot: Slot, now: datetime) -> tuple[tuple[Level, str], ...]:
    late = now - slot.at
    if late < LATE:
        return ()
    text = f"This run was due at {slot.at:%Y-%m-%d %H:%M} UTC, {span(late)} ago; it is made up for now."
    return ((Level.WARNING, text),)


# ---- upkeep -----------------------------------------------------------------------------------------------------------


def _rescans(app: Services, hour: datetime) -> None:
    """Look again where resources are known or policies reach, so that new ones are protected without anybody's doing."""
    with app.store.transaction() as tx:
        accounts = tx.accounts.page(Select(limit=POLICIES_MAX))
        policies = tx.policies.page(Select(where=(Where("enabled", "eq", True),), limit=POLICIES_MAX))
        for account in accounts:
            known = tx.resources.groups("region", (Where("account_id", "eq", account.id), Where("present", "eq", True)))
            named = {region for each in policies if each.scope.account_id == account.id for region in each.scope.regions}
            regions = sorted({str(region) for region in known} | named)[: rescans.REGIONS_MAX]
            key = f"rescan:{account.id}:{hour:%Y-%m-%dT%H}"
            if regions and tx.sessions.find(key=key) is None:
                rescans.begin_rescan(tx, app, account, regions, requested_by=REQUESTED_BY, key=key)


def _by_the_minute(app: Services) -> None:
    """Health checks, of disabled policies, too: what they made is still kept. Retention where windows have closed."""
    with app.store.transaction() as tx:
        retention.begin_closed(tx, app)
        for policy in tx.policies.page(Select(where=(Where("repository_id", "is_null", False),), limit=POLICIES_MAX)):
            health_checks.begin_due(tx, app, policy, requested_by=REQUESTED_BY)


def _upkeep(app: Services, day: datetime) -> None:
    with app.store.transaction() as tx:
        for repository in tx.repositories.page(Select(limit=POLICIES_MAX)):
            key = f"maintenance:{repository.id}:{day:%Y-%m-%d}"
            maintenance.begin_maintenance(tx, app, repository, requested_by=REQUESTED_BY, key=key)
            key = f"rescan-repository:{repository.id}:{day:%Y-%m-%d}"
            if tx.sessions.find(key=key) is None:
                repository_rescans.begin_rescan(tx, app, repository, requested_by=REQUESTED_BY, key=key)
        _leftovers(tx, app, day)
        retention.begin_daily(tx, app, day)
        prices.begin_due(tx, app, requested_by=REQUESTED_BY, key=f"prices:{day:%Y-%m-%d}")


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
