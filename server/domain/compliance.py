"""How much of its promises an SLA policy kept, per leg and calendar period. Pure.

A chart has one entry per day, week (from Monday) or month, each Region by its own calendar. The daily chart judges daily
promises, the weekly chart weekly ones, the monthly chart monthly ones; archives are promised by the month, whichever chart.
An entry appears once every Region has finished its last session of the period.

An instance's ratio = points made ÷ points expected. Expected points due before it joined count as made. What left the policy
before the entry *closes* is shown as removed and not judged; what left before its first point was due, or joined after it
closed, is not shown. A day closes with its window, a week or month with its last day. A policy's ratio is the plain mean over
its instances; the promise is met from the target on.

A *due* is what is expected of one Region together: the points of a day, or the one weekly, monthly, replica or archive point;
any point that was made for a moment in [since, until) counts. The weekly point of a day is kept by the first snapshot that
succeeds on it, so the day counts when any was made.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Final
from uuid import UUID

from server.domain import sla
from server.domain.periods import Frequency
from server.domain.policy import TemplateUse
from server.domain.promises import Kept
from server.domain.region_zones import zone_name
from server.domain.restore import Leg
from server.domain.sla import LegPlan, SlaTerms, Window
from server.domain.templates import SlaTemplateVersion
from server.domain.wall_clock import first_instant, local_date, zone

ENTRIES: Final = {Frequency.DAILY: 14, Frequency.WEEKLY: 12, Frequency.MONTHLY: 12}
BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
END: Final = datetime.max.replace(tzinfo=UTC)
DAY: Final = timedelta(days=1)


class SlaState(enum.Enum):
    NOT_CONFIGURED = "not_configured"  # nothing was promised for the leg in the period
    NOT_AVAILABLE = "not_available"  # there was no instance to judge
    MET = "met"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Span:
    """Calendar days ``first`` to ``last``, of each Region's own calendar."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Due:
    """``slots`` ascending, never empty. ``closes``: of the entry, in this Region."""

    region: str
    slots: tuple[datetime, ...]
    since: datetime
    until: datetime
    closes: datetime


@dataclass(frozen=True, slots=True)
class Era:
    """Terms in force in [since, until)."""

    since: datetime
    until: datetime
    terms: SlaTerms


@dataclass(frozen=True, slots=True)
class Standing:
    """One instance in one entry. ``removed``: it left before the entry closed, and is not judged."""

    resource_id: UUID
    made: int
    expected: int
    removed: bool = False

    @property
    def percent(self) -> Fraction:
        return Fraction(100 * self.made, self.expected)


@dataclass(frozen=True, slots=True)
class Entry:
    """``percent`` None: not judged. ``met``, ``missed``, ``removed``: how many instances."""

    span: Span
    state: SlaState
    percent: Fraction | None
    target: int
    met: int = 0
    missed: int = 0
    removed: int = 0


# ---- periods ----------------------------------------------------------------------------------------------------------


def chart_frequency(leg: Leg, asked: Frequency) -> Frequency:
    """Archives have monthly promises only."""
    return Frequency.MONTHLY if leg is Leg.ARCHIVE else asked


def candidates(frequency: Frequency, regions: Sequence[str], now: datetime, born: datetime) -> Iterator[Span]:
    """Periods that may be over, newest first, back to the one the policy was made in."""
    dates = [local_date(now, zone(zone_name(region))) for region in regions]
    births = [local_date(born, zone(zone_name(region))) for region in regions]
    span = span_of(frequency, min(dates, default=now.date()))
    while span.last >= min(births, default=born.date()):
        yield span
        span = span_of(frequency, span.first - DAY)


def span_of(frequency: Frequency, day: date) -> Span:
    """The period of the calendar that holds ``day``."""
    first = sla.stretch_start(frequency, day)
    length = {Frequency.DAILY: 1, Frequency.WEEKLY: 7}.get(frequency, 31)
    beyond = sla.stretch_start(frequency, first + length * DAY)
    return Span(first, beyond - DAY)


# ---- what was promised ------------------------------------------------------------------------------------------------


def eras(uses: Sequence[TemplateUse], versions: Iterable[SlaTemplateVersion]) -> list[Era]:
    """The terms a policy followed over time, from the templates it was given and the versions those have had."""
    by_template: defaultdict[UUID, list[SlaTemplateVersion]] = defaultdict(list)
    for version in sorted(versions, key=lambda one: one.version):
        by_template[version.template_id].append(version)
    found = []
    for use, use_ends in zip(uses, [*(one.since for one in uses[1:]), END], strict=True):
        known = by_template[use.template_id]
        for version, version_ends in zip(known, [*(one.since for one in known[1:]), END], strict=True):
            since, until = max(use.since, version.since), min(use_ends, version_ends)
            if since < until:
                found.append(Era(since, until, version.terms))
    return found


def always(terms: SlaTerms) -> list[Era]:
    """As if the terms had been in force all the time."""
    return [Era(BEGINNING, END, terms)]


def promised(history: Sequence[Era], leg: Leg, frequency: Frequency, regions: Sequence[str], span: Span) -> list[Due]:
    """Everything due in ``span``, by the terms in force at each moment."""
    return [due for era in history for region in regions for due in _in_era(era, leg, frequency, region, span)]


def _in_era(era: Era, leg: Leg, frequency: Frequency, region: str, span: Span) -> Iterator[Due]:
    for due in dues(era.terms, leg, frequency, region, span):
        slots = tuple(at for at in due.slots if era.since <= at < era.until)
        if slots:
            yield Due(region, slots, max(due.since, era.since), min(due.until, era.until), due.closes)


def dues(terms: SlaTerms, leg: Leg, frequency: Frequency, region: str, span: Span) -> Iterator[Due]:
    """What ``terms`` promise one Region in ``span``."""
    if leg in (Leg.SNAPSHOT, Leg.BACKUP):
        plan = terms.snapshot if leg is Leg.SNAPSHOT else terms.backup
        if plan is not None:
            yield from _days(plan, frequency, region, span)
        return
    slots = sla.replica_slots if leg is Leg.REPLICA else sla.archive_slots
    source = terms.snapshot if leg is Leg.REPLICA else terms.backup
    for day, at, flag in slots(terms, region, span.first, span.last):
        if flag is frequency and source is not None:
            window = source.window
            since, until = _begin(window, span.first, region), _begin(window, span.last + DAY, region)
            yield Due(
                region, (at,), since, until, sla.opening(window, day, region)[1] if frequency is Frequency.DAILY else until
            )


def _days(plan: LegPlan, frequency: Frequency, region: str, span: Span) -> Iterator[Due]:
    ends = _begin(plan.window, span.last + DAY, region)
    for day in sla.days(span.first, span.last):
        if frequency in sla.flags_of_day(plan, day):
            slots = tuple(at for at, flags in sla.day_slots(plan, region, day) if frequency in flags)
            since, until = _begin(plan.window, day, region), _begin(plan.window, day + DAY, region)
            if slots:
                closes = sla.opening(plan.window, day, region)[1] if frequency is Frequency.DAILY else ends
                yield Due(region, slots, since, until, closes)


def _begin(window: Window, day: date, region: str) -> datetime:
    """When the day's own window may open: at midnight, or once the window of the day before has closed."""
    midnight = first_instant(datetime.combine(day, time()), zone(zone_name(region)))
    return max(midnight, sla.opening(window, day - DAY, region)[1])


def over(
    span: Span,
    due: Sequence[Due],
    regions: Sequence[str],
    now: datetime,
    handled: Mapping[str, datetime],
    running: Collection[datetime],
) -> bool:
    """Whether every Region has finished its last session of the period.

    ``handled``: Region → the moment up to which sessions were started; ``running``: the planned moments of those not over.
    """
    if not due:
        return all(local_date(now, zone(zone_name(region))) > span.last for region in regions)
    for one in due:
        waiting = handled.get(one.region, BEGINNING) < one.slots[-1] and now < one.closes
        if now < one.slots[-1] or waiting or any(one.since <= at < one.until for at in running):
            return False
    return True


def target_of(history: Sequence[Era], due: Sequence[Due]) -> int:
    """Of the terms in force when the last of ``due`` came; the newest when nothing was due."""
    last = max((one.slots[-1] for one in due), default=END)
    in_force = [era for era in history if era.since <= last]
    return in_force[-1].terms.target if in_force else history[0].terms.target


# ---- what was kept ----------------------------------------------------------------------------------------------------


def standings(due: Mapping[int, Due], kept: Iterable[Kept]) -> list[Standing]:
    """Each instance of one entry. ``due``: by the number under which ``kept`` answers for it."""
    by_region: defaultdict[str, dict[int, Due]] = defaultdict(dict)
    for number, one in due.items():
        by_region[one.region][number] = one
    answers: defaultdict[tuple[UUID, str], list[Kept]] = defaultdict(list)
    for row in kept:
        answers[row.resource_id, due[row.asked].region].append(row)
    found = (_standing(by_region[region], rows) for (_, region), rows in answers.items())
    return [one for one in found if one is not None]


def _standing(due: Mapping[int, Due], rows: Sequence[Kept]) -> Standing | None:
    """The instance's last stretch of membership that began before the entry closed decides; None: not there in the period."""
    opens, closes = min(one.slots[0] for one in due.values()), max(one.closes for one in due.values())
    joined = max((row.joined_at for row in rows if row.joined_at < closes), default=None)
    if joined is None:
        return None
    stretch = {row.asked: row for row in rows if row.joined_at == joined}
    last = next(iter(stretch.values()))
    made = sum(_kept(one, joined, stretch[number].made if number in stretch else 0) for number, one in due.items())
    expected = sum(len(one.slots) for one in due.values())
    if last.left_at is None or last.left_at >= closes:
        return Standing(last.resource_id, made, expected)
    return Standing(last.resource_id, made, expected, removed=True) if last.left_at > opens else None


def _kept(due: Due, joined: datetime, made: int) -> int:
    """At most what is expected: points beyond the promise make up for nothing else."""
    before = sum(1 for at in due.slots if at < joined)
    return min(len(due.slots), before + made)


def state_of(percent: Fraction, target: int) -> SlaState:
    """Met when the target is reached or exceeded."""
    return SlaState.MET if percent >= target else SlaState.MISSED


def entry(span: Span, due: Collection[Due], found: Sequence[Standing], target: int) -> Entry:
    judged = [one.percent for one in found if not one.removed]
    removed = len(found) - len(judged)
    if not due:
        return Entry(span, SlaState.NOT_CONFIGURED, None, target)
    if not judged:
        return Entry(span, SlaState.NOT_AVAILABLE, None, target, removed=removed)
    percent = sum(judged, Fraction(0)) / len(judged)
    met = sum(1 for one in judged if state_of(one, target) is SlaState.MET)
    return Entry(span, state_of(percent, target), percent, target, met, len(judged) - met, removed)
