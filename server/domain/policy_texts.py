"""What a policy does, said in sentences. Pure."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from server.domain import keeping
from server.domain.periods import EVERY_DAY, WORK_DAYS, Frequency, Weekday
from server.domain.policy import Policy, PolicyKind
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly
from server.domain.sla import LegPlan, SlaTerms, Window

BY_HAND = "Started by hand only"
_EXTRA = ((Leg.REPLICA, "a replica"), (Leg.BACKUP, "a backup"))


@dataclass(frozen=True, slots=True)
class KeepLine:
    """How long points of ``leg`` stay that carry the flag of ``frequency``."""

    leg: Leg
    frequency: Frequency
    text: str


def schedule_text(policy: Policy, terms: SlaTerms | None) -> str:
    """When the policy runs and what it makes, in one sentence. The policy must have no problems."""
    if policy.kind is PolicyKind.SLA:
        return "" if terms is None else _promises(terms)
    return _schedule(policy.schedule)


def keep_lines(policy: Policy, terms: SlaTerms | None) -> list[KeepLine]:
    """For each leg the policy makes: what is kept how long."""
    found = keeping.rules(policy, terms)
    there = {
        Leg.SNAPSHOT: True,
        Leg.REPLICA: bool(policy.replicas),
        Leg.BACKUP: policy.repository_id is not None or policy.storage_template_id is not None,
        Leg.ARCHIVE: policy.archive_repository_id is not None or policy.storage_template_id is not None,
    }
    return [
        KeepLine(leg, frequency, _keep(leg, frequency, found[leg][frequency]))
        for leg in found
        if there[leg]
        for frequency in Frequency
        if frequency in found[leg]
    ]


def _keep(leg: Leg, frequency: Frequency, rule: Rule) -> str:
    name = f"{frequency.value} {leg.value}"
    if rule.period is not None:
        return f"Each {name} for {rule.period}"
    if not rule.count:
        return f"No {name}"
    return f"The newest {name}" if rule.count == 1 else f"The {rule.count} newest {name}s"


# ---- schedules --------------------------------------------------------------------------------------------------------


def _schedule(schedule: Schedule | None) -> str:
    said: list[str] = []
    hour: int | None = None  # said already
    for _, part in schedule.enabled() if schedule is not None else ():
        said.append(_daily(part) if isinstance(part, Daily) else _other(part, hour))
        hour = None if isinstance(part, Daily) else part.hour
    if schedule is None or not said:
        return BY_HAND
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]} ({schedule.timezone})"


def _daily(daily: Daily) -> str:
    slots = daily.snapshot.slots
    when = "every hour" if len(slots) == 24 else f"at {_hours(slots)}"
    often = f", {daily.per_hour} snapshots an hour" if daily.per_hour > 1 else ""
    return f"{_days(daily.days)} {when}{often}" + _extras(daily, slots, lambda few: f" at {_hours(few)}")


def _other(part: Weekly | Monthly | Yearly, said: int | None) -> str:
    at = "" if part.hour == said else f" at {clock(part.hour * 60)}"
    if isinstance(part, Weekly):
        slots = part.snapshot.slots
        return f"{_days([Weekday(one) for one in slots])}{at}" + _extras(
            part, slots, lambda few: f" on {listed([_day(Weekday(one)) for one in few])}"
        )
    if isinstance(part, Yearly):
        rule = part.archive or part.backup
        month = calendar.month_name[rule.slots[0]] if rule is not None else ""
        return f"{part.day} of {month} each year{at}" + (" archived" if part.archive else ", with a backup")
    slots = tuple(sorted({*part.snapshot.slots, *(part.archive.slots if part.archive else ())}))
    text = f"{part.day} of {_months(slots)}{at}" + _extras(part, slots, lambda few: f" in {_months(few)}")
    if part.archive is None:
        return text
    return text + " archived" + ("" if part.archive.slots == slots else f" in {_months(part.archive.slots)}")


def _extras(part: Daily | Weekly | Monthly, slots: Sequence[int], where: Callable[[Sequence[int]], str]) -> str:
    """What is made besides snapshots: ``, with a replica and a backup at 07:00``."""
    said = []
    for leg, name in _EXTRA:
        rule: Rule | None = getattr(part, leg.value)
        if rule is not None and rule.slots:
            said.append(name if tuple(rule.slots) == tuple(slots) else f"{name}{where(rule.slots)}")
    return f", with {listed(said)}" if said else ""


# ---- promises ---------------------------------------------------------------------------------------------------------


def _promises(terms: SlaTerms) -> str:
    said = [f"snapshots {_plan(terms.snapshot)}"]
    if terms.replica is not None:
        stretch = {Frequency.DAILY: "day", Frequency.WEEKLY: "week", Frequency.MONTHLY: "month"}[terms.replica.first_of]
        said.append(f"the first one of each {stretch} copied")
    if terms.backup is not None:
        said.append(f"backups {_plan(terms.backup)}")
    if terms.archive is not None:
        said.append(f"archived in {_months(terms.archive.months)}")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]} (each Region's own time; {terms.target} % promised)"


def _plan(plan: LegPlan) -> str:
    return f"{listed(list(_times(plan)))} {_window(plan.window)}"


def _times(plan: LegPlan) -> Iterator[str]:
    if plan.daily is not None:
        hours, minutes = divmod(plan.daily.every_minutes, 60)
        step = f"{hours} hours" if hours > 1 else "hour" if hours else f"{minutes} minutes"
        yield f"every {step}" if not (hours and minutes) else f"every {plan.daily.every_minutes} minutes"
    if plan.weekly is not None:
        yield _days(plan.weekly.days)
    if plan.monthly is not None:
        yield f"on the {plan.monthly.day} of {_months(plan.monthly.months)}"


def _window(window: Window) -> str:
    return "around the clock" if window.start == window.end else f"from {clock(window.start)} to {clock(window.end)}"


# ---- words ------------------------------------------------------------------------------------------------------------


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _hours(hours: Sequence[int]) -> str:
    return listed([clock(hour * 60) for hour in hours])


def _day(day: Weekday) -> str:
    return day.name.capitalize()


def _days(days: Sequence[Weekday]) -> str:
    if len(days) == len(EVERY_DAY):
        return "every day"
    return "every work day" if tuple(days) == WORK_DAYS else f"every {listed([_day(day) for day in days])}"


def _months(months: Sequence[int]) -> str:
    return "each month" if len(months) == 12 else listed([calendar.month_name[month] for month in months])
