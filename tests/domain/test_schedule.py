"""Daily schedules: hours, days, time zones and their changes of the clock, and what is made up for after downtime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.errors import InvalidInput
from server.domain.policy import EVERY_DAY, DailySchedule, Weekday
from server.domain.schedule import Slot, describe, due_slots, next_run

MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(schedule: DailySchedule, after: datetime, count: int) -> list[Slot]:
    found: list[Slot] = []
    for _ in range(count):
        slot = next_run(schedule, found[-1].at if found else after)
        assert slot is not None
        found.append(slot)
    return found


# ---- examples ---------------------------------------------------------------------------------------------------------


def test_the_next_run_is_the_next_selected_hour_of_a_selected_day() -> None:
    schedule = DailySchedule(snapshot_hours=(7, 9, 11), backup_hours=(7,), days=EVERY_DAY[:5])
    friday = at("2026-11-20 09:30")
    assert runs(schedule, friday, 3) == [
        Slot(at("2026-11-20 11:00"), backup=False),
        Slot(at("2026-11-23 07:00"), backup=True),
        Slot(at("2026-11-23 09:00"), backup=False),
    ]


def test_a_slot_is_later_than_the_moment_asked_for() -> None:
    schedule = DailySchedule(snapshot_hours=(7,))
    assert next_run(schedule, at("2026-11-20 07:00")) == Slot(at("2026-11-21 07:00"), backup=False)
    assert next_run(schedule, at("2026-11-20 06:59:59")) == Slot(at("2026-11-20 07:00"), backup=False)


def test_hours_are_those_of_the_schedules_zone() -> None:
    schedule = DailySchedule(snapshot_hours=(7,), days=(Weekday.MONDAY,), timezone="Asia/Tokyo")
    assert next_run(schedule, at("2026-11-20 00:00")) == Slot(at("2026-11-22 22:00"), backup=False)


@pytest.mark.parametrize("schedule", [DailySchedule(snapshot_hours=()), DailySchedule(snapshot_hours=(1,), days=())])
def test_a_schedule_that_selects_nothing_never_runs(schedule: DailySchedule) -> None:
    assert next_run(schedule, at("2026-11-20 00:00")) is None
    assert due_slots(schedule, at("2026-01-01 00:00"), at("2026-11-20 00:00"), 5) == []
    assert describe(schedule) == "Never: no hour or no day is selected."


def test_an_hour_the_clock_skips_runs_at_the_change() -> None:
    schedule = DailySchedule(snapshot_hours=(2,), timezone="Europe/Berlin")
    assert runs(schedule, at("2027-03-27 12:00"), 2) == [
        Slot(at("2027-03-28 01:00"), backup=False),
        Slot(at("2027-03-29 00:00"), backup=False),
    ]


def test_the_skipped_hour_and_the_one_after_it_are_one_run_with_the_backup_of_either() -> None:
    schedule = DailySchedule(snapshot_hours=(2, 3), backup_hours=(2,), timezone="Europe/Berlin")
    assert runs(schedule, at("2027-03-27 12:00"), 2) == [
        Slot(at("2027-03-28 01:00"), backup=True),
        Slot(at("2027-03-29 00:00"), backup=True),
    ]


def test_an_hour_the_clock_shows_twice_runs_once() -> None:
    schedule = DailySchedule(snapshot_hours=(2,), timezone="Europe/Berlin")
    assert runs(schedule, at("2026-10-24 12:00"), 2) == [
        Slot(at("2026-10-25 00:00"), backup=False),
        Slot(at("2026-10-26 01:00"), backup=False),
    ]


def test_a_change_of_half_an_hour() -> None:
    schedule = DailySchedule(snapshot_hours=(2,), timezone="Australia/Lord_Howe")
    assert next_run(schedule, at("2026-10-03 00:00")) == Slot(at("2026-10-03 15:30"), backup=False)


def test_a_whole_day_that_a_zone_skipped_is_one_run_when_it_is_over() -> None:
    schedule = DailySchedule(snapshot_hours=(5, 17), backup_hours=(17,), days=(Weekday.FRIDAY,), timezone="Pacific/Apia")
    assert next_run(schedule, at("2011-12-29 12:00")) == Slot(at("2011-12-30 10:00"), backup=True)


def test_an_unknown_zone_is_named_in_the_error() -> None:
    with pytest.raises(InvalidInput, match="Mars/Olympus"):
        next_run(DailySchedule(snapshot_hours=(1,), timezone="Mars/Olympus"), at("2026-11-20 00:00"))


def test_runs_missed_during_downtime_become_one_which_keeps_the_backup() -> None:
    schedule = DailySchedule(snapshot_hours=tuple(range(24)), backup_hours=(1,))
    assert due_slots(schedule, at("2026-11-20 00:30"), at("2026-11-22 12:10"), 1) == [Slot(at("2026-11-22 12:00"), backup=True)]
    assert due_slots(schedule, at("2026-11-22 10:00"), at("2026-11-22 12:10"), 1) == [
        Slot(at("2026-11-22 12:00"), backup=False)
    ]


def test_nothing_is_due_before_its_time_or_twice() -> None:
    schedule = DailySchedule(snapshot_hours=(7,))
    assert due_slots(schedule, at("2026-11-20 07:00"), at("2026-11-21 06:59"), 1) == []
    assert due_slots(schedule, at("2026-11-20 07:00"), at("2026-11-21 07:00"), 1) == [
        Slot(at("2026-11-21 07:00"), backup=False)
    ]
    assert due_slots(schedule, at("2026-11-21 07:00"), at("2026-11-20 07:00"), 1) == []


def test_years_of_downtime_are_answered_at_once() -> None:
    schedule = DailySchedule(snapshot_hours=(7, 8), backup_hours=(7,), days=(Weekday.SUNDAY,))
    assert due_slots(schedule, at("1990-01-01 00:00"), at("2026-11-21 00:00"), 1) == [Slot(at("2026-11-15 08:00"), backup=True)]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (DailySchedule(snapshot_hours=(7,)), "Every day at 07:00, snapshots only (UTC)."),
        (DailySchedule(snapshot_hours=(7,), backup_hours=(7,)), "Every day at 07:00, with a backup (UTC)."),
        (
            DailySchedule(snapshot_hours=(19, 7), backup_hours=(7, 19), days=EVERY_DAY[:5]),
            "Monday to Friday at 07:00 and 19:00, each with a backup (UTC).",
        ),
        (
            DailySchedule(
                snapshot_hours=tuple(range(24)),
                backup_hours=(2, 14, 20),
                days=(Weekday.SUNDAY, Weekday.MONDAY),
                timezone="Europe/Berlin",
            ),
            "Every Monday and Sunday every hour, with a backup at 02:00, 14:00 and 20:00 (Europe/Berlin).",
        ),
    ],
)
def test_a_schedule_is_described_in_plain_words(schedule: DailySchedule, words: str) -> None:
    assert describe(schedule) == words


# ---- against a model that watches the clock minute by minute ------------------------------------------------------------

ZONES_AND_MIDDLES = [
    # Both changes of a year in zones that change at night, at midnight, by half an hour, on other weekdays; and none at all.
    *((zone, f"2026-{day}") for zone in ("Europe/Berlin", "Europe/London", "Africa/Casablanca") for day in ("03-29", "10-25")),
    *((zone, f"2026-{day}") for zone in ("America/New_York", "America/Havana") for day in ("03-08", "11-01")),
    *((zone, f"2026-{day}") for zone in ("Australia/Lord_Howe", "Australia/Sydney") for day in ("04-05", "10-04")),
    *((zone, f"2026-{day}") for zone in ("Pacific/Auckland", "Pacific/Chatham") for day in ("04-05", "09-27")),
    *((zone, f"2026-{day}") for zone in ("America/Santiago", "Pacific/Easter") for day in ("04-05", "09-06")),
    *((zone, f"2026-{day}") for zone in ("Asia/Beirut", "Asia/Jerusalem", "Africa/Cairo") for day in ("03-28", "10-29")),
    *((zone, f"2018-{day}") for zone in ("America/Sao_Paulo", "Asia/Tehran") for day in ("02-18", "03-22", "09-22", "11-04")),
    ("Antarctica/Troll", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Asia/Kathmandu", "2026-06-01"),
    ("UTC", "2026-02-28"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kwajalein", "1993-08-21"),
    ("Asia/Pyongyang", "2015-08-15"),
]
DAYS_EACH_SIDE = 8


@cache
def clock(zone: str, middle: str) -> list[tuple[datetime, datetime]]:
    """Every minute around ``middle``: UTC, and what the wall clock shows (naive)."""
    start = at(f"{middle} 00:00") - timedelta(days=DAYS_EACH_SIDE)
    place = ZoneInfo(zone)
    minutes = (start + index * MINUTE for index in range(2 * DAYS_EACH_SIDE * 24 * 60))
    return [(utc, utc.astimezone(place).replace(tzinfo=None)) for utc in minutes]


def model(schedule: DailySchedule, middle: str) -> list[Slot]:
    """Watch the clock: whenever it reaches or passes wall times not reached before, that is one run for all of them."""
    ticks = clock(schedule.timezone, middle)
    first = ticks[0][1]
    days = [first.date() + timedelta(days=index) for index in range(2 * DAYS_EACH_SIDE + 2)]
    walls = [
        (wall, hour in schedule.backup_hours)
        for day in days
        if Weekday(day.weekday()) in schedule.days
        for hour in range(24)
        if hour in schedule.snapshot_hours and (wall := datetime(day.year, day.month, day.day, hour)) > first  # noqa: DTZ001  wall
    ]
    slots, reached = [], 0
    for utc, shown in ticks:
        passed = []
        while reached < len(walls) and walls[reached][0] <= shown:
            passed.append(walls[reached][1])
            reached += 1
        if passed:
            slots.append(Slot(utc, backup=any(passed)))
    return slots


hours = st.sets(st.integers(0, 23), min_size=1).map(lambda found: tuple(sorted(found)))


@st.composite
def schedules(draw: st.DrawFn) -> tuple[DailySchedule, str]:
    zone, middle = draw(st.sampled_from(ZONES_AND_MIDDLES))
    chosen = draw(hours)
    backups = tuple(draw(st.sets(st.sampled_from(chosen))))
    days = draw(st.one_of(st.just(EVERY_DAY), st.sets(st.sampled_from(EVERY_DAY), min_size=1).map(tuple)))
    return DailySchedule(snapshot_hours=chosen, backup_hours=backups, days=days, timezone=zone), middle


@settings(max_examples=300, deadline=None)
@given(case=schedules(), minute=st.integers(0, 7 * 24 * 60), seconds=st.integers(0, 59))
def test_next_run_agrees_with_watching_the_clock(case: tuple[DailySchedule, str], minute: int, seconds: int) -> None:
    schedule, middle = case
    after = clock(schedule.timezone, middle)[minute][0] + timedelta(seconds=seconds)
    expected = next(slot for slot in model(schedule, middle) if slot.at > after)
    assert next_run(schedule, after) == expected


@settings(max_examples=200, deadline=None)
@given(case=schedules(), start=st.integers(0, 8 * 24 * 60), length=st.integers(0, 7 * 24 * 60), limit=st.integers(1, 40))
def test_due_slots_agree_with_watching_the_clock(case: tuple[DailySchedule, str], start: int, length: int, limit: int) -> None:
    schedule, middle = case
    ticks = clock(schedule.timezone, middle)
    last, now = ticks[start][0], ticks[start + length][0]
    missed = [slot for slot in model(schedule, middle) if last < slot.at <= now]
    found = due_slots(schedule, last, now, limit)
    assert [slot.at for slot in found] == [slot.at for slot in missed[-limit:]]
    assert [slot.backup for slot in found[1:]] == [slot.backup for slot in missed[-limit:][1:]]
    assert any(slot.backup for slot in found) == any(slot.backup for slot in missed)


@settings(max_examples=60, deadline=None)
@given(case=schedules())
def test_following_next_run_visits_every_slot_once(case: tuple[DailySchedule, str]) -> None:
    schedule, middle = case
    expected = model(schedule, middle)[:30]
    assert runs(schedule, clock(schedule.timezone, middle)[0][0], len(expected)) == expected
