"""What people should know about a policy that may be stored: times one schedule takes from another, snapshots that are missing
under replicas and backups, and what will not happen as they may think. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from server.domain import keeping
from server.domain.periods import EVERY_DAY, DayRule, Frequency
from server.domain.policy import Policy, PolicyKind
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly
from server.domain.sla import SlaTerms

Part = Daily | Weekly | Monthly | Yearly
M = TypeVar("M", Monthly, Yearly)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """``path`` (``schedule.monthly.hour``) is given by the ``source`` schedule: its hour, or its day of the month."""

    path: str
    source: Frequency
    hour: int | None = None
    day: DayRule | None = None


def inherited(schedule: Schedule | None) -> tuple[Inherited, ...]:
    """Times and days that a less frequent schedule takes from a more frequent one, so that one run does both.

    The monthly hour is the weekly one; the yearly hour and day are the monthly ones, or the hour the weekly one. A schedule
    for a fixed date (``on day``) goes its own way.
    """
    return tuple(_inherited(schedule)) if schedule is not None else ()


def _inherited(schedule: Schedule) -> Iterator[Inherited]:
    weekly = schedule.weekly if schedule.weekly is not None and schedule.weekly.enabled else None
    monthly, yearly = _by_weekday(schedule.monthly), _by_weekday(schedule.yearly)
    if monthly is not None and weekly is not None:
        yield Inherited(path="schedule.monthly.hour", source=Frequency.WEEKLY, hour=weekly.hour)
    if yearly is not None and monthly is not None:
        hour = weekly.hour if weekly is not None else monthly.hour
        yield Inherited(path="schedule.yearly.hour", source=Frequency.MONTHLY, hour=hour)
        yield Inherited(path="schedule.yearly.day", source=Frequency.MONTHLY, day=monthly.day)
    elif yearly is not None and weekly is not None:
        yield Inherited(path="schedule.yearly.hour", source=Frequency.WEEKLY, hour=weekly.hour)


def chosen(part: Part, leg: Leg) -> tuple[int, ...]:
    """The slots in which ``part`` makes ``leg``."""
    rule: Rule | None = getattr(part, leg.value, None)
    return rule.slots if rule is not None else ()


def _by_weekday(part: M | None) -> M | None:
    """The schedule, if it runs, and not on a fixed day."""
    return part if part is not None and part.enabled and part.day.day is None else None


def additions(schedule: Schedule | None) -> dict[str, tuple[int, ...]]:
    """Snapshot slots that replicas and backups need and that are not chosen: input path → the slots with them."""
    found: dict[str, tuple[int, ...]] = {}
    for part in (schedule.daily, schedule.weekly, schedule.monthly) if schedule is not None else ():
        if part is None:
            continue
        there = set(part.snapshot.slots)
        needed = there.union(chosen(part, Leg.REPLICA), chosen(part, Leg.BACKUP))
        if needed != there:
            found[f"schedule.{type(part).__name__.lower()}.snapshot.slots"] = tuple(sorted(needed))
    return found


def warnings(policy: Policy, terms: SlaTerms | None) -> tuple[str, ...]:
    """What may surprise the owner of a policy that has no problems."""
    return tuple(_warnings(policy, terms))


def _warnings(policy: Policy, terms: SlaTerms | None) -> Iterator[str]:
    if policy.kind is PolicyKind.SLA:
        if policy.replicas and terms is not None and terms.replica is None:
            yield "The SLA template promises no replicas: the targets for them are not used."
    elif policy.schedule is not None:
        yield from _apart(policy.schedule)
        if policy.repository_id is not None and not keeping.tracks_changes(policy, terms):
            yield "No snapshot is kept: every backup reads the disks whole."
    volumes = policy.scope.excluded_volumes
    if policy.guest.application_aware and (volumes.volume_ids or volumes.tags):
        yield "Application-aware snapshots of Windows can leave out the system volume only, whatever else is excluded."


def _apart(schedule: Schedule) -> Iterator[str]:
    """Schedules whose runs no more frequent one shares: they make points of their own in place of marking its points."""
    parts = list(schedule.enabled())
    for at, (frequency, part) in enumerate(parts):
        before = [one for _, one in parts[:at]]
        if isinstance(part, Daily) or not before:
            continue
        archives = bool(chosen(part, Leg.ARCHIVE))
        if any(_shares(one, part, Leg.BACKUP if archives else Leg.SNAPSHOT) for one in before):
            continue
        if archives:
            yield f"No backup is made when the {frequency.value} archive is: a temporary one will be, and removed a day later."
        else:
            yield f"The {frequency.value} schedule runs at times of its own: it makes more points in place of marking others."


def _shares(more: Part, less: Weekly | Monthly | Yearly, leg: Leg) -> bool:
    """Whether every run of ``less`` is also one of ``more`` that makes ``leg``."""
    slots = set(chosen(more, leg))
    if isinstance(more, Daily):
        return less.hour in slots and _weekdays(less) <= {day.value for day in more.days}
    if more.hour != less.hour:
        return False
    if isinstance(more, Weekly):
        return _weekdays(less) <= slots
    return isinstance(less, Yearly) and less.day == more.day and _months(less) <= slots


def _weekdays(part: Weekly | Monthly | Yearly) -> set[int]:
    """On which it may run: any, for a fixed day of the month."""
    if isinstance(part, Weekly):
        return set(part.snapshot.slots)
    return {part.day.weekday.value} if part.day.weekday is not None else {day.value for day in EVERY_DAY}


def _months(yearly: Yearly) -> set[int]:
    return {*chosen(yearly, Leg.BACKUP), *chosen(yearly, Leg.ARCHIVE)}
