"""Schedules: daily, weekly, monthly and yearly times of each leg; which runs follow from them, and what was missed. Pure.

A run happens at an instant; everything the four frequencies want at that instant is one run. In it, each leg carries the *flag*
of every frequency that asked for it: the flags decide later how long its point stays (``domain.flags``). A snapshot always
comes first; one that no frequency asked for (it only feeds a backup or an archive) carries no flag and is temporary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from types import MappingProxyType

from server.domain.periods import EVERY_DAY, DayRule, Frequency, Period, Weekday
from server.domain.restore import Leg
from server.domain.wall_clock import first_instant, local_date, zone

DAY = timedelta(days=1)
# A zone that crosses the date line shifts its clock by up to a day; slots of two days before may still be to come.
SHIFT_DAYS = 2
LONGEST_GAP = timedelta(days=369)  # a yearly schedule, and the shift


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One leg of one frequency. ``slots``: hours (daily), weekday numbers with Monday 0 (weekly), months 1–12 (monthly,
    yearly). Points are kept by ``count``, newest first, or until they are ``period`` old; exactly one is set."""

    slots: tuple[int, ...] = ()
    count: int | None = None
    period: Period | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """``per_hour`` snapshots in each snapshot hour, evenly spaced; the other legs only at the full hour."""

    enabled: bool = True
    days: tuple[Weekday, ...] = EVERY_DAY
    per_hour: int = 1
    snapshot: Rule
    replica: Rule | None = None
    backup: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    enabled: bool = True
    hour: int
    snapshot: Rule
    replica: Rule | None = None
    backup: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monthly:
    """``archive`` replaces ``backup``: never both."""

    enabled: bool = True
    hour: int
    day: DayRule
    snapshot: Rule
    replica: Rule | None = None
    backup: Rule | None = None
    archive: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Yearly:
    """Backup or archive, in the one month of its ``slots``."""

    enabled: bool = True
    hour: int
    day: DayRule
    backup: Rule | None = None
    archive: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Wall-clock times of ``timezone`` (IANA name)."""

    timezone: str = "UTC"
    daily: Daily | None = None
    weekly: Weekly | None = None
    monthly: Monthly | None = None
    yearly: Yearly | None = None

    def enabled(self) -> Iterator[tuple[Frequency, Daily | Weekly | Monthly | Yearly]]:
        """The frequencies that start runs, most frequent first."""
        for frequency in Frequency:
            part = self.part(frequency)
            if part is not None and part.enabled:
                yield frequency, part

    def part(self, frequency: Frequency) -> Daily | Weekly | Monthly | Yearly | None:
        part: Daily | Weekly | Monthly | Yearly | None = getattr(self, frequency.value)
        return part

    def rule(self, frequency: Frequency, leg: Leg) -> Rule | None:
        """Also of a disabled frequency: its points are still kept by its rule."""
        rule: Rule | None = getattr(self.part(frequency), leg.value, None)
        return rule


Flags = Mapping[Leg, frozenset[Frequency]]
NO_FLAGS: frozenset[Frequency] = frozenset()


@dataclass(frozen=True, slots=True)
class Slot:
    """One run: ``at`` in UTC, and for each leg it makes the flags its points get. The snapshot is always there."""

    at: datetime
    flags: Flags = field(default_factory=lambda: MappingProxyType({}))

    @property
    def legs(self) -> tuple[Leg, ...]:
        return tuple(leg for leg in Leg if leg in self.flags)

    def join(self, other: Slot) -> Slot:
        """This run, made to do what the other would have done too."""
        legs = [leg for leg in Leg if leg in self.flags or leg in other.flags]
        merged = {leg: self.flags.get(leg, NO_FLAGS) | other.flags.get(leg, NO_FLAGS) for leg in legs}
        return Slot(self.at, MappingProxyType(merged))


def next_run(schedule: Schedule, after: datetime) -> Slot | None:
    """The first run later than ``after``; None when nothing is selected. InvalidInput: unknown zone."""
    return next(slots(schedule, after, after + LONGEST_GAP), None)


def due_slots(schedule: Schedule, last: datetime, now: datetime, limit: int = 1) -> list[Slot]:
    """What became due after ``last``, up to and including ``now``: the ``limit`` latest runs, oldest first.

    Runs missed before those are not made up one by one: the oldest one returned does what any of them would have done, with
    their flags. So an appliance that was off for a week runs each policy once, and misses no weekly backup.
    """
    if limit < 1 or now <= last:
        return []
    kept: list[Slot] = []
    for slot in slots(schedule, max(last, now - LONGEST_GAP), now):
        kept.append(slot)
        if len(kept) > limit:
            missed = kept.pop(0)
            kept[0] = kept[0].join(missed)
    return kept


def manual_flags(schedule: Schedule | None, legs: frozenset[Leg]) -> Flags:
    """A run started by hand: its points carry the flag of the most frequent enabled schedule that makes each leg. Without any
    schedule for the leg they count as daily ones, kept by the policy's own retention."""
    flags: dict[Leg, frozenset[Frequency]] = {}
    for leg in Leg:
        if leg not in legs and leg is not Leg.SNAPSHOT:
            continue
        asked = [frequency for frequency, _ in schedule.enabled() if schedule.rule(frequency, leg)] if schedule else []
        flags[leg] = frozenset(asked[:1] or [Frequency.DAILY])
    return MappingProxyType(flags)


# ---- runs -------------------------------------------------------------------------------------------------------------


def slots(schedule: Schedule, after: datetime, until: datetime) -> Iterator[Slot]:
    """Runs in (after, until], ascending; what falls on one instant is one run."""
    where = zone(schedule.timezone)
    pending: Slot | None = None
    day = local_date(after, where) - SHIFT_DAYS * DAY
    last = local_date(until, where) + SHIFT_DAYS * DAY
    while day <= last:
        for wall, flags in _wants(schedule, day):
            at = first_instant(datetime.combine(day, wall), where)
            if at <= after:
                continue
            if at > until:
                break
            slot = Slot(at, flags)
            if pending is not None and pending.at == at:
                pending = pending.join(slot)
            else:
                if pending is not None:
                    yield pending
                pending = slot
        day += DAY
    if pending is not None:
        yield pending


def _wants(schedule: Schedule, day: date) -> list[tuple[time, Flags]]:
    """What is to happen on a local day, by wall-clock time."""
    found: dict[time, dict[Leg, set[Frequency]]] = {}
    for frequency, part in schedule.enabled():
        for wall, legs in _moments(part, day):
            flags = found.setdefault(wall, {Leg.SNAPSHOT: set()})
            for leg in legs:
                flags.setdefault(leg, set()).add(frequency)
    return [
        (wall, MappingProxyType({leg: frozenset(found[wall][leg]) for leg in Leg if leg in found[wall]}))
        for wall in sorted(found)
    ]


def _moments(part: Daily | Weekly | Monthly | Yearly, day: date) -> Iterator[tuple[time, tuple[Leg, ...]]]:
    if isinstance(part, Daily):
        yield from _daily_moments(part, day)
        return
    if isinstance(part, Weekly):
        number = day.weekday()
    elif part.day.of(day.year, day.month) == day:
        number = day.month
    else:
        return
    legs = _legs(part, number)
    if legs:
        yield time(part.hour), legs


def _daily_moments(daily: Daily, day: date) -> Iterator[tuple[time, tuple[Leg, ...]]]:
    if not any(chosen.value == day.weekday() for chosen in daily.days):
        return
    for hour in sorted(set(daily.snapshot.slots)):
        yield time(hour), _legs(daily, hour)
        for part in range(1, daily.per_hour):
            yield time(hour, part * 60 // daily.per_hour), (Leg.SNAPSHOT,)


def _legs(part: Daily | Weekly | Monthly | Yearly, number: int) -> tuple[Leg, ...]:
    rules = ((leg, getattr(part, leg.value, None)) for leg in Leg)
    return tuple(leg for leg, rule in rules if rule is not None and number in rule.slots)
