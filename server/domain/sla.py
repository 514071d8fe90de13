"""SLA policies: what a template promises in each Region's window, and how much of it was kept. Pure: ``now`` is an argument.

A *window* opens every day at ``start`` (inclusive) and closes at ``end`` (exclusive; the same time means 24 hours), in the
Region's own time. Inside it the daily plan asks for a point every ``every_minutes``; the first point of a chosen day also
counts as the weekly or monthly one, or the next when nothing comes of it (``domain.owed``). Without a daily plan, the chosen
days ask for one point as the window opens. An overrun stops nothing. What falls into a window belongs to the day it opened on,
also past midnight. How much was kept: ``domain.compliance``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any

from server.domain.periods import DayRule, Frequency, Period, Weekday
from server.domain.policy import HealthCheck
from server.domain.region_zones import zone_name
from server.domain.restore import Leg
from server.domain.schedule import NO_FLAGS, Slot
from server.domain.wall_clock import first_instant, local_date, zone

DAY = timedelta(days=1)
SHIFT_DAYS = 2


# ---- templates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Wall-clock minutes of the day, 0 to 1439."""

    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyPlan:
    every_minutes: int
    keep: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyPlan:
    days: tuple[Weekday, ...]
    keep: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyPlan:
    months: tuple[int, ...]
    day: DayRule
    keep: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class LegPlan:
    """What one leg is promised: any of the three."""

    window: Window = Window()
    daily: DailyPlan | None = None
    weekly: WeeklyPlan | None = None
    monthly: MonthlyPlan | None = None

    def keep(self, frequency: Frequency) -> Period | None:
        plan: Any = getattr(self, frequency.value, None)
        return plan.keep if plan else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaPlan:
    """The first snapshot of each day, week (from Monday) or month is replicated."""

    first_of: Frequency
    keep: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePlan:
    """In each of these months, the first backup of the month is archived: that of the day closest to its first."""

    months: tuple[int, ...]
    keep: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaTerms:
    """``target``: percent of promised points, from which on the promise counts as kept. ``health_check``: once a month, after
    the window has closed everywhere."""

    snapshot: LegPlan
    replica: ReplicaPlan | None = None
    backup: LegPlan | None = None
    archive: ArchivePlan | None = None
    track_changes: bool = True
    target: int = 97
    health_check: HealthCheck | None = None


# ---- slots ------------------------------------------------------------------------------------------------------------


def opening(window: Window, day: date, region: str) -> tuple[datetime, datetime]:
    """The instants between which the window of local day ``day`` is open in ``region``."""
    where = zone(zone_name(region))
    closes = day if window.end > window.start else day + DAY
    return _instant(day, window.start, where), _instant(closes, window.end, where)


def _instant(day: date, minutes: int, where: Any) -> datetime:
    return first_instant(datetime.combine(day, time(minutes // 60, minutes % 60)), where)


def open_since(terms: SlaTerms, region: str, now: datetime) -> datetime:
    """Just before the earliest of the windows that are open in ``region`` opened; ``now`` when none is."""
    today = local_date(now, zone(zone_name(region)))
    windows = [plan.window for plan in (terms.snapshot, terms.backup) if plan is not None]
    spans = [opening(window, today - days * DAY, region) for window in windows for days in (0, 1)]
    return min((opens - timedelta(microseconds=1) for opens, closes in spans if opens <= now < closes), default=now)


def leg_slots(plan: LegPlan, region: str, after: datetime, until: datetime) -> Iterator[tuple[datetime, frozenset[Frequency]]]:
    """Promised points in (after, until], ascending, with the flags they carry."""
    where = zone(zone_name(region))
    first, last = local_date(after, where) - SHIFT_DAYS * DAY, local_date(until, where) + DAY
    latest = after
    for day in days(first, last):
        for at, flags in day_slots(plan, region, day):
            if latest < at <= until:
                latest = at
                yield at, flags


def day_slots(plan: LegPlan, region: str, day: date) -> Iterator[tuple[datetime, frozenset[Frequency]]]:
    """Promised points of the window that opens on local day ``day``, with the flags they carry."""
    flags = flags_of_day(plan, day)
    if not flags:
        return
    at, closes = opening(plan.window, day, region)
    if plan.daily is None:
        yield at, flags
        return
    step = timedelta(minutes=plan.daily.every_minutes)
    while at < closes:
        yield at, flags
        at, flags = at + step, frozenset({Frequency.DAILY})


def days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY


def flags_of_day(plan: LegPlan, day: date) -> frozenset[Frequency]:
    """What the first point of the window that opens on ``day`` counts for; none: the plan asks for nothing that day."""
    first = frozenset(_chosen(plan, day))
    return first | {Frequency.DAILY} if plan.daily is not None else first


def _chosen(plan: LegPlan, day: date) -> Iterator[Frequency]:
    if plan.weekly is not None and Weekday(day.weekday()) in plan.weekly.days:
        yield Frequency.WEEKLY
    if plan.monthly is not None and day.month in plan.monthly.months and plan.monthly.day.of(day.year, day.month) == day:
        yield Frequency.MONTHLY


def runs(template: SlaTerms, region: str, after: datetime, until: datetime) -> Iterator[Slot]:
    """The runs the template asks for in ``region``, in (after, until]: snapshots and backups of one instant are one run. A
    backup at another time than a snapshot's makes a temporary snapshot (no flag). Replicas go with the first snapshot of
    their day, week or month, archives with the first backup of their month."""
    wanted: dict[datetime, dict[Leg, frozenset[Frequency]]] = {}
    for at, flags in leg_slots(template.snapshot, region, after, until):
        wanted[at] = {Leg.SNAPSHOT: flags}
    for at, flags in leg_slots(template.backup, region, after, until) if template.backup else ():
        wanted.setdefault(at, {Leg.SNAPSHOT: NO_FLAGS})[Leg.BACKUP] = flags
    where = zone(zone_name(region))
    first, last = local_date(after, where) - SHIFT_DAYS * DAY, local_date(until, where) + DAY
    for leg, found in ((Leg.REPLICA, replica_slots), (Leg.ARCHIVE, archive_slots)):
        for _, at, flag in found(template, region, first, last):
            if at in wanted:
                wanted[at][leg] = frozenset({flag})
    for at in sorted(wanted):
        legs = wanted[at]
        yield Slot(at, MappingProxyType({leg: legs[leg] for leg in Leg if leg in legs}))


def replica_slots(template: SlaTerms, region: str, first: date, last: date) -> Iterator[tuple[date, datetime, Frequency]]:
    """The first promised snapshot of each day, week (from Monday) or month of the Region's calendar, of windows that open on
    the days ``first`` to ``last``: its day, its moment, the flag of its replica."""
    plan = template.replica
    if plan is not None:
        for day, at in _firsts(template.snapshot, region, plan.first_of, first, last):
            yield day, at, plan.first_of


def archive_slots(template: SlaTerms, region: str, first: date, last: date) -> Iterator[tuple[date, datetime, Frequency]]:
    """The first promised backup of each chosen month, of windows that open on the days ``first`` to ``last``."""
    plan = template.archive
    if plan is not None and template.backup is not None:
        for day, at in _firsts(template.backup, region, Frequency.MONTHLY, first, last):
            if day.month in plan.months:
                yield day, at, Frequency.MONTHLY


def _firsts(plan: LegPlan, region: str, stretch: Frequency, first: date, last: date) -> Iterator[tuple[date, datetime]]:
    seen: date | None = None
    for day in days(stretch_start(stretch, first), last):
        begins = stretch_start(stretch, day)
        found = next(day_slots(plan, region, day), None) if begins != seen else None
        if found is not None:
            seen = begins
            if day >= first:
                yield day, found[0]


def stretch_start(frequency: Frequency, day: date) -> date:
    """The first day of the day's own week (Monday) or month; the day itself when daily."""
    if frequency is Frequency.WEEKLY:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if frequency is Frequency.MONTHLY else day
