"""When a policy runs next, and what it missed. Pure: zones come from the IANA database, ``now`` is an argument.

A slot is a wall-clock hour of a local day. It happens at the first instant when the local clock shows that hour or later:
- an hour the clock skips (summer time begins) happens at the moment of the change; several skipped hours, and the hour right
  after them, then are one run, which makes a backup if any of them would have;
- an hour the clock shows twice (summer time ends) happens the first time only.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from server.domain.errors import InvalidInput
from server.domain.policy import EVERY_DAY, DailySchedule, Weekday

WORK_DAYS = EVERY_DAY[:5]
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
# A zone that crosses the date line shifts its clock by up to a day; slots of two days before may still be to come.
SHIFT_DAYS = 2


@dataclass(frozen=True, slots=True)
class Slot:
    """One run: ``at`` in UTC; ``backup`` when a backup is made, not only snapshots."""

    at: datetime
    backup: bool


def next_run(schedule: DailySchedule, after: datetime) -> Slot | None:
    """The first slot later than ``after``; None when the schedule selects no hour or no day. InvalidInput: unknown zone."""
    return next(_slots(schedule, after, after + WEEK + (SHIFT_DAYS + 1) * DAY), None)


def due_slots(schedule: DailySchedule, last: datetime, now: datetime, limit: int = 1) -> list[Slot]:
    """What became due after ``last``, up to and including ``now``: the ``limit`` latest slots, oldest first.

    Slots missed before those are not made up one by one: the oldest one returned stands for them all, and makes a backup if
    any of them would have. So an appliance that was off for a week runs each policy once.
    """
    if limit < 1 or now <= last:
        return []
    # A week holds every slot of a schedule, so looking further back than that, beyond the slots kept, finds nothing new.
    since = max(last, now - (limit + 2) * WEEK)
    found = list(_slots(schedule, since, now))
    if not found:
        return []
    first = max(0, len(found) - limit)
    oldest = Slot(found[first].at, backup=any(slot.backup for slot in found[: first + 1]))
    return [oldest, *found[first + 1 :]]


def describe(schedule: DailySchedule) -> str:
    """The schedule in plain words: ``Every day at 07:00 and 19:00, with a backup at 19:00 (Europe/Berlin).``"""
    if not schedule.snapshot_hours or not schedule.days:
        return "Never: no hour or no day is selected."
    backups = _backup_hours(schedule)
    if not backups:
        made = "snapshots only"
    elif backups == _hours(schedule):
        made = "each with a backup" if len(backups) > 1 else "with a backup"
    else:
        made = f"with a backup at {_clock_times(backups)}"
    hours = _hours(schedule)
    times = "every hour" if len(hours) == 24 else f"at {_clock_times(hours)}"
    return f"{_day_words(schedule)} {times}, {made} ({schedule.timezone})."


# ---- slots ------------------------------------------------------------------------------------------------------------


def _slots(schedule: DailySchedule, after: datetime, until: datetime) -> Iterator[Slot]:
    """Slots in (after, until], ascending; those at one instant are one."""
    zone = _zone(schedule.timezone)
    pending: Slot | None = None
    for at, backup in _instants(schedule, zone, _local_date(after, zone) - SHIFT_DAYS * DAY):
        if at > until:
            break
        if at <= after:
            continue
        if pending is not None and pending.at == at:
            pending = Slot(at, pending.backup or backup)
            continue
        if pending is not None:
            yield pending
        pending = Slot(at, backup)
    if pending is not None:
        yield pending


def _instants(schedule: DailySchedule, zone: zoneinfo.ZoneInfo, first: date) -> Iterator[tuple[datetime, bool]]:
    """Every slot from local day ``first`` on: UTC instants, never descending. Endless unless nothing is selected."""
    hours, backups = _hours(schedule), set(_backup_hours(schedule))
    weekdays = {day.value for day in schedule.days}
    if not hours or not weekdays:
        return
    day = first
    while True:
        if day.weekday() in weekdays:
            for hour in hours:
                yield first_instant(datetime(day.year, day.month, day.day, hour), zone), hour in backups  # noqa: DTZ001  wall time
        day += DAY


def first_instant(wall: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """The first UTC instant at which clocks in ``zone`` show ``wall`` (a naive time) or later."""
    early = wall.replace(tzinfo=zone, fold=0)
    instant = early.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    return _moment_of_change(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant, zone)


def _moment_of_change(before: datetime, after: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """The instant between the two, in whole seconds, from which the zone's offset is that of ``after``."""
    new_offset = after.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while low < high:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == new_offset:
            high = middle
        else:
            low = middle + 1
    return before + timedelta(seconds=low)


def _hours(schedule: DailySchedule) -> tuple[int, ...]:
    return tuple(sorted(set(schedule.snapshot_hours)))


def _backup_hours(schedule: DailySchedule) -> tuple[int, ...]:
    """A backup is made from a snapshot: hours without one do not count."""
    return tuple(sorted(set(schedule.backup_hours) & set(schedule.snapshot_hours)))


def _local_date(moment: datetime, zone: zoneinfo.ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(
            f"Unknown time zone {name!r}.",
            remedy="Use an IANA name such as Europe/Berlin.",
            fields={"schedule.timezone": "Unknown time zone."},
        ) from None


# ---- words ------------------------------------------------------------------------------------------------------------


def _day_words(schedule: DailySchedule) -> str:
    days = tuple(day for day in EVERY_DAY if day in schedule.days)
    if days == EVERY_DAY:
        return "Every day"
    if days == WORK_DAYS:
        return "Monday to Friday"
    return f"Every {_listed([_day_name(day) for day in days])}"


def _day_name(day: Weekday) -> str:
    return day.name.capitalize()


def _clock_times(hours: tuple[int, ...]) -> str:
    return _listed([f"{hour:02}:00" for hour in hours])


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
