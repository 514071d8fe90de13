"""Policy runs that are due: at the slots of a schedule, and as SLA templates promise, Region by Region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from server.domain import keeping, sla
from server.domain.errors import Conflict
from server.domain.periods import Frequency
from server.domain.policy import Policy, PolicyKind
from server.domain.restore import Leg
from server.domain.schedule import Flags, Slot, due_slots
from server.domain.session import Level
from server.domain.sla import LegPlan, SlaTerms
from server.ports import Order, Select, Tx, Where
from server.services import protection
from server.services.context import Services
from server.services.policy_terms import terms_of
from server.services.wording import span

REQUESTED_BY: Final = "schedule"
POLICIES_MAX: Final = 1000
LATE: Final = timedelta(minutes=5)  # a run that starts this much after its slot says why
_TICK: Final = timedelta(microseconds=1)


def next_run_at(policy: Policy, terms: SlaTerms | None, now: datetime) -> datetime | None:
    """When an enabled policy runs next; None when by hand only. ``terms``: of an SLA policy's template."""
    run = keeping.next_run(policy, terms, now) if policy.enabled else None
    return run.slot.at if run else None


def scheduled(tx: Tx, now: datetime) -> list[Policy]:
    """Enabled schedule policies whose time has come, the most overdue first, and those that were never planned."""
    enabled = (Where("enabled", "eq", True), Where("kind", "eq", PolicyKind.SCHEDULE))
    due = (*enabled, Where("next_run_at", "le", now))
    unplanned = (*enabled, Where("next_run_at", "is_null", True))
    found = tx.policies.page(Select(where=due, order=(Order("next_run_at"),), limit=POLICIES_MAX))
    planless = tx.policies.page(Select(where=unplanned, limit=POLICIES_MAX))
    return found + [policy for policy in planless if policy.schedule is not None]


def promised(tx: Tx, now: datetime) -> list[Policy]:
    """Enabled SLA policies with something to do now. Their templates may have changed, Regions may have been busy: so what was
    planned counts for nothing, and each is looked at."""
    enabled = (Where("enabled", "eq", True), Where("kind", "eq", PolicyKind.SLA))
    found = tx.policies.page(Select(where=enabled, limit=POLICIES_MAX))
    templates = tx.sla_templates.many(policy.sla_template_id for policy in found if policy.sla_template_id is not None)
    followed = ((policy, templates.get(policy.sla_template_id or policy.id)) for policy in found)
    return [
        policy
        for policy, template in followed
        if template is not None
        and (_stale(policy, now) or any(_due(policy, template.terms, region, now) for region in policy.scope.regions))
    ]


def _stale(policy: Policy, now: datetime) -> bool:
    return policy.next_run_at is None or policy.next_run_at <= now


# ---- a clock that was ahead ------------------------------------------------------------------------------------------


def ahead(tx: Tx, now: datetime) -> list[Policy]:
    """Enabled policies that wait for longer than they should: what was planned, or counts as dealt with, while the clock was
    wrong lies in the future. Two statements."""
    found = tx.policies.page(Select(where=(Where("enabled", "eq", True),), limit=POLICIES_MAX))
    templates = tx.sla_templates.many(policy.sla_template_id for policy in found if policy.sla_template_id is not None)
    followed = ((policy, templates.get(policy.sla_template_id or policy.id)) for policy in found)
    return [policy for policy, template in followed if _ahead(policy, template.terms if template else None, now)]


def _ahead(policy: Policy, terms: SlaTerms | None, now: datetime) -> bool:
    if any(at > now for at in policy.runs.handled.values()):
        return True
    if policy.next_run_at is None or policy.next_run_at <= now:
        return False
    following = next_run_at(policy, terms, now)
    return following is None or policy.next_run_at > following


def plan_anew(app: Services, policy_id: UUID, now: datetime) -> None:
    with app.store.transaction() as tx:
        policy = tx.policies.get(policy_id, lock=True)
        terms = terms_of(tx, policy)
        if not policy.enabled or not _ahead(policy, terms, now):
            return
        handled = {region: min(at, now) for region, at in policy.runs.handled.items()}
        following = next_run_at(policy, terms, now)
        state = replace(policy.runs, handled=handled)
        tx.policies.save(replace(policy, runs=state, next_run_at=following, revision=policy.revision + 1))
        text = f"{policy.name} was planned anew: the clock was set back, and its next run lay too far in the future."
        tx.activity.append(at=now, kind="policy", subject_id=policy.id, change="changed", message=text)


# ---- schedules --------------------------------------------------------------------------------------------------------


def begin_scheduled(app: Services, policy_id: UUID, now: datetime) -> None:
    """The latest slot that came due; earlier missed ones are folded into it. While the previous run goes on, one that the next
    makes up for is left out; another waits."""
    with app.store.transaction() as tx:
        policy = tx.policies.get(policy_id, lock=True)
        if not policy.enabled or policy.schedule is None:
            return
        upcoming = keeping.next_run(policy, None, now)
        following = upcoming.slot.at if upcoming else None
        slot = _slot(policy, now)
        if slot is None or tx.sessions.find(key=_key(policy, slot.at)) is not None:
            _planned(tx, policy, following)
            return
        try:
            protection.refuse_while_running(tx, policy)
        except Conflict:
            if upcoming is None or not _makes_up_for(upcoming.slot, slot):
                return  # still due: it is made as soon as the previous one is over
            text = f"{policy.name}: the run due at {slot.at:%Y-%m-%d %H:%M} UTC was left out: the previous one still runs."
            tx.activity.append(at=now, kind="policy", subject_id=policy.id, change="changed", message=text)
            _planned(tx, policy, following)
            return
        order = protection.RunOrder(
            requested_by=REQUESTED_BY,
            flags=slot.flags,
            slot_at=slot.at,
            retries=policy.retries.attempts,
            key=_key(policy, slot.at),
            remarks=_remarks(slot.at, now),
        )
        protection.start_run(tx, app, policy, order, next_run_at=following)


def _planned(tx: Tx, policy: Policy, following: datetime | None) -> None:
    if policy.next_run_at != following:
        tx.policies.save(replace(policy, next_run_at=following, revision=policy.revision + 1))


def _makes_up_for(later: Slot, missed: Slot) -> bool:
    """Whether ``later`` makes every leg ``missed`` would have made, counting for as much."""
    return all(leg in later.flags and later.flags[leg] >= flags for leg, flags in missed.flags.items())


def _slot(policy: Policy, now: datetime) -> Slot | None:
    assert policy.schedule is not None
    if policy.next_run_at is None or policy.next_run_at > now:
        return None
    slots = due_slots(policy.schedule, policy.next_run_at - _TICK, now)
    return slots[-1] if slots else None


def _key(policy: Policy, at: datetime, region: str = "") -> str:
    return f"policy:{policy.id}:{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}{region and f':{region}'}"


def _remarks(at: datetime, now: datetime) -> tuple[tuple[Level, str], ...]:
    late = now - at
    if late < LATE:
        return ()
    text = f"This run was due at {at:%Y-%m-%d %H:%M} UTC, {span(late)} ago; it is made up for now."
    return ((Level.WARNING, text),)


# ---- SLA --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Due:
    """What one Region is owed. ``slots``: for each leg the promised moment its point fulfils, the latest of those missed."""

    flags: Flags
    slots: Mapping[Leg, datetime]

    @property
    def at(self) -> datetime:
        return max(self.slots.values())

    def same(self, other: _Due) -> bool:
        return dict(self.flags) == dict(other.flags) and dict(self.slots) == dict(other.slots)


def begin_promised(app: Services, policy_id: UUID, now: datetime) -> None:
    """One run for Regions that are owed the same, others of their own. A Region whose previous run goes on is left for later:
    its promises are made up for while their window is open."""
    with app.store.transaction() as tx:
        policy = tx.policies.get(policy_id, lock=True)
        terms = terms_of(tx, policy)
        if not policy.enabled or terms is None:
            return
        busy = protection.busy_regions(tx, policy)
        owed = {region: _due(policy, terms, region, now) for region in policy.scope.regions if region not in busy}
        following = next_run_at(policy, terms, now)
        for due, regions in _together({region: due for region, due in owed.items() if due is not None}):
            key = _key(policy, due.at, regions[0])
            if tx.sessions.find(key=key) is not None:
                continue  # made while the clock was ahead
            order = protection.RunOrder(
                requested_by=REQUESTED_BY,
                flags=due.flags,
                slot_at=due.at,
                slots=due.slots,
                retries=policy.retries.attempts,
                regions=regions,
                key=key,
                remarks=_remarks(due.at, now),
            )
            protection.start_run(tx, app, policy, order, next_run_at=following)
            policy = tx.policies.get(policy_id)
        handled = policy.runs.handled | {region: now for region, due in owed.items() if due is not None}
        if handled != policy.runs.handled or policy.next_run_at != following:
            state = replace(policy.runs, handled=handled)
            tx.policies.save(replace(policy, runs=state, next_run_at=following, revision=policy.revision + 1))


def _due(policy: Policy, terms: SlaTerms, region: str, now: datetime) -> _Due | None:
    """What was promised since the Region was last dealt with, and can still be kept: its window is open."""
    since = sla.open_since(terms, region, now)
    handled = policy.runs.handled.get(region, since)
    flags: dict[Leg, frozenset[Frequency]] = {}
    slots: dict[Leg, datetime] = {}
    for slot in sla.runs(terms, region, max(since, handled), now):
        for leg in slot.legs:
            if slot.flags[leg] and _still_open(terms, leg, region, slot.at, now):
                flags[leg] = flags.get(leg, frozenset()) | slot.flags[leg]
                slots[leg] = slot.at
    if not flags:
        return None
    flags.setdefault(Leg.SNAPSHOT, frozenset())
    return _Due(MappingProxyType({leg: flags[leg] for leg in Leg if leg in flags}), MappingProxyType(slots))


def _still_open(terms: SlaTerms, leg: Leg, region: str, at: datetime, now: datetime) -> bool:
    """Whether the window that promised a point of ``leg`` at ``at`` is open now."""
    plan: LegPlan | None = terms.backup if leg in (Leg.BACKUP, Leg.ARCHIVE) else terms.snapshot
    assert plan is not None  # it has promised the slot
    return sla.open_since(replace(terms, snapshot=plan, backup=None), region, now) < at


def _together(owed: dict[str, _Due]) -> Iterator[tuple[_Due, tuple[str, ...]]]:
    left = dict(owed)
    while left:
        first = next(iter(left.values()))
        regions = tuple(region for region, due in left.items() if due.same(first))
        yield first, regions
        left = {region: due for region, due in left.items() if region not in regions}
