"""What is wrong with a schedule by itself. Pure. Paths are those of the policy's input."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from functools import cache
from typing import Final

from server.domain import policy_hints
from server.domain.periods import DayRule, Frequency, Period, Unit
from server.domain.policy_hints import Inherited, chosen
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly

COUNT_MAX: Final = 1000
PERIOD_MAX: Final = {Unit.DAYS: 36135, Unit.MONTHS: 1188, Unit.YEARS: 99}
PER_HOUR: Final = (1, 2, 3, 4, 5, 6, 10, 12)  # whole minutes apart
SLOTS: Final = {
    Frequency.DAILY: (range(24), "Hours are 0 to 23."),
    Frequency.WEEKLY: (range(7), "Weekdays are 0 (Monday) to 6 (Sunday)."),
    Frequency.MONTHLY: (range(1, 13), "Months are 1 to 12."),
    Frequency.YEARLY: (range(1, 13), "Months are 1 to 12."),
}
SLOT_NAMES: Final = {Frequency.DAILY: "hour", Frequency.WEEKLY: "weekday", Frequency.MONTHLY: "month"}
BY_COUNT: Final = (Leg.SNAPSHOT, Leg.REPLICA)

Part = Daily | Weekly | Monthly | Yearly
Found = Iterator[tuple[str, str]]


def problems(schedule: Schedule) -> Found:
    """Input path → what to do about it."""
    if schedule.timezone not in _zones():
        yield "schedule.timezone", f"Unknown time zone {schedule.timezone!r}: use an IANA name such as Europe/Berlin."
    for frequency in Frequency:
        part = schedule.part(frequency)
        if part is not None:
            yield from _part(frequency, part)
    yield from _archives(schedule)
    for given in policy_hints.inherited(schedule):
        yield from _differs(schedule, given)
    yield from _yearly_weekday(schedule)


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def period_problem(what: str, period: Period) -> str | None:
    """``what``: the plural of what is kept."""
    most = PERIOD_MAX[period.unit]
    if 1 <= period.amount <= most:
        return None
    return f"Keep {what} between 1 and {most} {period.unit.value}."


# ---- one frequency ----------------------------------------------------------------------------------------------------


def _part(frequency: Frequency, part: Part) -> Found:
    path = f"schedule.{frequency.value}"
    for leg in Leg:
        rule: Rule | None = getattr(part, leg.value, None)
        if rule is not None:
            yield from _rule(f"{path}.{leg.value}", frequency, leg, rule)
    if isinstance(part, Daily):
        yield from _daily(part)
    else:
        if not 0 <= part.hour <= 23:
            yield f"{path}.hour", "Hours are 0 to 23."
        if not isinstance(part, Weekly):
            yield from _day(f"{path}.day", part.day)
    if isinstance(part, Yearly):
        yield from _yearly(part)
        return
    yield from _subsets(path, frequency, part)
    if part.enabled and not part.snapshot.slots and not chosen(part, Leg.ARCHIVE):
        name = SLOT_NAMES[frequency]
        yield f"{path}.snapshot.slots", f"Choose at least one {name}, or switch the {frequency.value} schedule off."


def _rule(path: str, frequency: Frequency, leg: Leg, rule: Rule) -> Found:
    allowed, sentence = SLOTS[frequency]
    if any(slot not in allowed for slot in rule.slots):
        yield f"{path}.slots", sentence
    what = f"{frequency.value} {leg.value}s"
    if leg in BY_COUNT:
        least = 0 if leg is Leg.SNAPSHOT else 1
        if rule.period is not None:
            yield f"{path}.period", f"{what.capitalize()} are kept by count: say how many, and leave the period out."
        if rule.count is None or not least <= rule.count <= COUNT_MAX:
            yield f"{path}.count", f"Keep between {least} and {COUNT_MAX} {what}."
        return
    if rule.count is not None:
        yield f"{path}.count", f"{what.capitalize()} are kept for a period: say how long, and leave the count out."
    if rule.period is None:
        yield f"{path}.period", f"Say how long {what} are kept."
        return
    wrong = period_problem(what, rule.period)
    if wrong is not None:
        yield f"{path}.period", wrong
    elif frequency is Frequency.YEARLY and rule.period.unit is not Unit.YEARS:
        yield f"{path}.period", f"{what.capitalize()} are kept for years: choose that unit."


def _daily(daily: Daily) -> Found:
    if not daily.days:
        yield "schedule.daily.days", "Choose at least one day, or switch the daily schedule off."
    if daily.per_hour not in PER_HOUR:
        choices = ", ".join(map(str, PER_HOUR))
        yield "schedule.daily.perHour", f"Make {choices} snapshots an hour, so that they are whole minutes apart."


def _day(path: str, day: DayRule) -> Found:
    if (day.weekday is None) == (day.day is None):
        yield path, "Choose a weekday of the month, or a fixed day: one of the two."
    elif day.day is not None and not 1 <= day.day <= 31:
        yield path, "A fixed day is 1 to 31; 31 is the last day of every month."


def _yearly(yearly: Yearly) -> Found:
    legs = [leg for leg in (Leg.BACKUP, Leg.ARCHIVE) if chosen(yearly, leg)]
    if len(legs) == 2:
        yield "schedule.yearly.archive", "An archive takes the place of the yearly backup: choose one of the two."
    if yearly.enabled and not legs:
        yield "schedule.yearly", "Choose a yearly backup or a yearly archive, or switch the yearly schedule off."
    for leg in legs:
        if len(chosen(yearly, leg)) > 1:
            yield f"schedule.yearly.{leg.value}.slots", "Choose one month of the year."


def _subsets(path: str, frequency: Frequency, part: Daily | Weekly | Monthly) -> Found:
    name = SLOT_NAMES[frequency]
    for leg in (Leg.REPLICA, Leg.BACKUP):
        if not set(chosen(part, leg)) <= set(part.snapshot.slots):
            text = f"A {leg.value} needs a snapshot of the same {name}: select the {name} for snapshots too."
            yield f"{path}.{leg.value}.slots", text
    if chosen(part, Leg.ARCHIVE) and chosen(part, Leg.BACKUP):
        yield "schedule.monthly.archive", "Archives take the place of monthly backups: choose one of the two."


# ---- several frequencies ----------------------------------------------------------------------------------------------


def _archives(schedule: Schedule) -> Found:
    """An archive is made of the backups of more frequent schedules."""
    parts = dict(schedule.enabled())
    backed_up = [frequency for frequency, part in parts.items() if chosen(part, Leg.BACKUP)]
    for frequency, needed in (
        (Frequency.MONTHLY, (Frequency.DAILY, Frequency.WEEKLY)),
        (Frequency.YEARLY, (Frequency.DAILY, Frequency.WEEKLY, Frequency.MONTHLY)),
    ):
        part = parts.get(frequency)
        if part is not None and chosen(part, Leg.ARCHIVE) and not set(needed) & set(backed_up):
            names = " or ".join((", ".join(one.value for one in needed[:-1]), needed[-1].value))
            text = f"A {frequency.value} archive is made of {names} backups: switch on a schedule that makes some."
            yield f"schedule.{frequency.value}.archive", text


def _differs(schedule: Schedule, given: Inherited) -> Found:
    frequency, name = Frequency(given.path.split(".")[1]), given.path.split(".")[2]
    part = schedule.part(frequency)
    if getattr(part, name) == (given.hour if given.hour is not None else given.day):
        return
    value = f"{given.hour:02}:00" if given.hour is not None else f"the {given.day}"
    yield (
        given.path,
        f"The {frequency.value} schedule goes with the {given.source.value} one: choose {value}, or a fixed day of the month.",
    )


def _yearly_weekday(schedule: Schedule) -> Found:
    """Where the weekly schedule gives the yearly hour, the yearly day is one of its weekdays."""
    weekly, yearly = schedule.weekly, schedule.yearly
    given = [one.source for one in policy_hints.inherited(schedule) if one.path == "schedule.yearly.hour"]
    if Frequency.WEEKLY not in given or weekly is None or yearly is None or yearly.day.weekday is None:
        return
    if weekly.snapshot.slots and yearly.day.weekday.value not in weekly.snapshot.slots:
        day = yearly.day.weekday.name.capitalize()
        text = f"The weekly schedule does not run on {day}: choose one of its days, or a fixed day of the month."
        yield "schedule.yearly.day", text
