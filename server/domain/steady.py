"""The points a policy keeps once it has run for ever, and the runs of its last year: what estimates are made from. Pure.

A point is kept while any frequency keeps it (``domain.flags``), so each frequency is looked at by itself, as far back as its
own rule reaches, and the moments they keep are put together. So ten yearly points are found as quickly as seven daily ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Any

from server.domain import keeping, sla
from server.domain import schedule as calendar
from server.domain.estimate import YEAR, Chain
from server.domain.periods import Frequency
from server.domain.policy import Policy, PolicyKind
from server.domain.restore import Leg
from server.domain.schedule import Rule, Schedule, Slot
from server.domain.sla import LegPlan, SlaTerms

# Looked back at once: first the near, then more; the last is longer than the gap between yearly runs.
STRETCHES = (timedelta(days=35), timedelta(days=140), timedelta(days=400))
POINTS_MAX = 20_000  # of one leg and frequency; more are not counted
LOOKBACK_MAX = timedelta(days=100 * 366)  # no retention reaches farther
_DAY_MINUTES = 24 * 60


def chains(policy: Policy, terms: SlaTerms | None, region: str, now: datetime) -> dict[Leg, Chain]:
    """By leg that makes points of ``region``. ``terms``: of an SLA policy's template."""
    rules = keeping.rules(policy, terms)
    runs = list(_slots(policy, terms, region, now - YEAR, now))
    found = {}
    for leg in Leg:
        made = tuple(sorted(slot.at for slot in runs if leg in slot.flags))
        flagged = {flag for slot in runs for flag in slot.flags.get(leg, ())}
        kept: set[datetime] = set()
        for frequency, rule in rules.get(leg, {}).items():
            if frequency in flagged:
                kept.update(_kept(policy, terms, region, leg, frequency, rule, now))
        if made:
            found[leg] = Chain(kept=tuple(sorted(kept)), runs=made, lifetime=_lifetime(rules.get(leg, {}), flagged, now))
    return found


def _lifetime(rules: Mapping[Frequency, Rule], flagged: set[Frequency], now: datetime) -> timedelta | None:
    """How old points get at least; None where their number decides."""
    ages = [rule.period.after(now) - now for frequency, rule in rules.items() if frequency in flagged and rule.period]
    return min(ages, default=None)


def _kept(
    policy: Policy, terms: SlaTerms | None, region: str, leg: Leg, frequency: Frequency, rule: Rule, now: datetime
) -> Iterable[datetime]:
    """Moments of the points whose flag ``frequency`` has not been taken away by ``now``."""
    found: list[datetime] = []
    wanted = POINTS_MAX if rule.count is None else min(rule.count, POINTS_MAX)
    until, first = now, now - LOOKBACK_MAX
    stretches = chain(STRETCHES, repeat(STRETCHES[-1]))
    while len(found) < wanted and until > first:
        after = max(until - next(stretches), first)
        held = [
            slot.at
            for slot in _slots(policy, terms, region, after, until, only=(leg, frequency))
            if frequency in slot.flags.get(leg, ())
        ]
        young = [at for at in held if rule.period is None or rule.period.after(at) > now]
        found = young + found
        if rule.period is not None and len(young) < len(held):
            break
        if rule.period is not None and rule.period.after(after) <= now:
            break
        until = after
    return found[-wanted:] if wanted else []


def _slots(
    policy: Policy,
    terms: SlaTerms | None,
    region: str,
    after: datetime,
    until: datetime,
    *,
    only: tuple[Leg, Frequency] | None = None,
) -> Iterator[Slot]:
    """Runs for ``region`` in (after, until]. ``only``: just those that can carry this flag in this leg, found faster."""
    if policy.kind is PolicyKind.SLA:
        if terms is not None:
            yield from sla.runs(terms if only is None else _terms_of(terms, *only), region, after, until)
    elif policy.schedule is not None:
        yield from calendar.slots(policy.schedule if only is None else _part_of(policy.schedule, only[1]), after, until)


def _part_of(schedule: Schedule, frequency: Frequency) -> Schedule:
    others: dict[str, Any] = {other.value: None for other in Frequency if other is not frequency}
    return replace(schedule, **others)


def _terms_of(terms: SlaTerms, leg: Leg, frequency: Frequency) -> SlaTerms:
    """The first point of a day carries its weekly and monthly flags, with a daily plan or without, and is the one that may be
    replicated or archived."""
    nothing = replace(terms, snapshot=LegPlan(), backup=None, replica=None, archive=None)
    if leg is Leg.REPLICA:
        return replace(nothing, snapshot=_once_a_day(terms.snapshot), replica=terms.replica)
    if leg is Leg.SNAPSHOT:
        return replace(nothing, snapshot=_plan_of(terms.snapshot, frequency))
    if leg is Leg.ARCHIVE:
        return replace(nothing, backup=terms.backup and _once_a_day(terms.backup), archive=terms.archive)
    return replace(nothing, backup=terms.backup and _plan_of(terms.backup, frequency))


def _once_a_day(plan: LegPlan) -> LegPlan:
    return replace(plan, daily=plan.daily and replace(plan.daily, every_minutes=_DAY_MINUTES))


def _plan_of(plan: LegPlan, frequency: Frequency) -> LegPlan:
    names = (each for each in Frequency if each not in (frequency, Frequency.YEARLY))
    others: dict[str, Any] = {other.value: None for other in names}
    return replace(plan, **others)
