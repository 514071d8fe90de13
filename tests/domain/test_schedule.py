"""Schedules against a model that walks ten years in steps of a quarter of an hour, in zones whose clocks change."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.errors import InvalidInput
from server.domain.periods import EVERY_DAY, WORK_DAYS, DayRule, Frequency, Ordinal, Period, Weekday
from server.domain.restore import Leg
from server.domain.schedule import (
    Daily,
    Monthly,
    Rule,
    Schedule,
    Slot,
    Weekly,
    Yearly,
    due_slots,
    manual_flags,
    next_run,
    slots,
)

D, W, M, Y = Frequency
QUARTER = timedelta(minutes=15)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Africa/Casablanca",
)
DECADE = datetime(2018, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)


# ---- the model --------------------------------------------------------------------------------------------------------


@cache
def walls(zone: str) -> list[tuple[datetime, datetime]]:
    """(instant, wall time that happens at it), every quarter of an hour of the decade. Skipped ones happen at the change,
    repeated ones once."""
    found = []
    where = ZoneInfo(zone)
    instant, end = DECADE
    shown = (instant - QUARTER).astimezone(where).replace(tzinfo=None)
    while instant < end:
        local = instant.astimezone(where).replace(tzinfo=None)
        while shown < local:
            shown += QUARTER
            found.append((instant, shown))
        instant += QUARTER
    return found


def chosen(rule: DayRule, wall: datetime) -> bool:
    length = calendar.monthrange(wall.year, wall.month)[1]
    if rule.day is not None:
        return wall.day == rule.day or (wall.day == length and rule.day > length)
    if rule.weekday is None or wall.weekday() != rule.weekday.value:
        return False
    return wall.day + 7 > length if rule.ordinal is Ordinal.LAST else (wall.day - 1) // 7 + 1 == rule.ordinal.value


def wanted(schedule: Schedule, wall: datetime) -> dict[Leg, frozenset[Frequency]]:
    """What a reader of the schedule's definition expects at that wall time; {} for nothing."""
    flags: dict[Leg, set[Frequency]] = {}
    daily, weekly, monthly, yearly = schedule.daily, schedule.weekly, schedule.monthly, schedule.yearly
    asks: list[tuple[Frequency, Leg]] = []
    if daily and daily.enabled and Weekday(wall.weekday()) in daily.days and wall.hour in daily.snapshot.slots:
        if wall.minute % (60 // daily.per_hour) == 0:
            asks.append((D, Leg.SNAPSHOT))
        if wall.minute == 0:
            asks += [
                (D, leg)
                for leg, rule in ((Leg.REPLICA, daily.replica), (Leg.BACKUP, daily.backup))
                if rule and wall.hour in rule.slots
            ]
    for frequency, part, number in ((W, weekly, wall.weekday()), (M, monthly, wall.month), (Y, yearly, wall.month)):
        if part is None or not part.enabled or (wall.hour, wall.minute) != (part.hour, 0):
            continue
        if isinstance(part, Monthly | Yearly) and not chosen(part.day, wall):
            continue
        asks += [(frequency, leg) for leg in Leg if (rule := getattr(part, leg.value, None)) and number in rule.slots]
    for frequency, leg in asks:
        flags.setdefault(Leg.SNAPSHOT, set())
        flags.setdefault(leg, set()).add(frequency)
    return {leg: frozenset(found) for leg, found in flags.items()}


def expected(schedule: Schedule, after: datetime, until: datetime) -> list[tuple[datetime, dict[Leg, frozenset[Frequency]]]]:
    runs: dict[datetime, dict[Leg, frozenset[Frequency]]] = {}
    for instant, wall in walls(schedule.timezone):
        if after < instant <= until and (flags := wanted(schedule, wall)):
            there = runs.setdefault(instant, {})
            for leg, more in flags.items():
                there[leg] = there.get(leg, frozenset()) | more
    return sorted(runs.items())


def actual(schedule: Schedule, after: datetime, until: datetime) -> list[tuple[datetime, dict[Leg, frozenset[Frequency]]]]:
    return [(slot.at, dict(slot.flags)) for slot in slots(schedule, after, until)]


# ---- against the model ------------------------------------------------------------------------------------------------

FULL = Schedule(
    daily=Daily(
        days=WORK_DAYS, per_hour=4, snapshot=Rule(slots=(1, 2, 3, 19), count=3), backup=Rule(slots=(2, 19), period=Period(9))
    ),
    weekly=Weekly(hour=2, snapshot=Rule(slots=(5, 6), count=2), replica=Rule(slots=(6,), count=1)),
    monthly=Monthly(
        hour=0,
        day=DayRule(ordinal=Ordinal.LAST, weekday=Weekday.SUNDAY),
        snapshot=Rule(slots=(3, 10, 11), count=1),
        backup=Rule(slots=(3, 10), period=Period(9)),
    ),
    yearly=Yearly(hour=23, day=DayRule(day=31), archive=Rule(slots=(2,), period=Period(9))),
)


@pytest.mark.parametrize("zone", ZONES)
def test_ten_years_are_as_the_model_says(zone: str) -> None:
    schedule = Schedule(timezone=zone, daily=FULL.daily, weekly=FULL.weekly, monthly=FULL.monthly, yearly=FULL.yearly)
    start, end = DECADE[0] + timedelta(days=2), DECADE[1] - timedelta(days=2)
    assert actual(schedule, start, end) == expected(schedule, start, end)


def subset(values: range) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.sampled_from(list(values)), max_size=5, unique=True).map(tuple)


def rule(values: range) -> st.SearchStrategy[Rule]:
    return st.builds(Rule, slots=subset(values), count=st.just(1))


hours = st.integers(0, 23)
days = st.one_of(
    st.builds(DayRule, ordinal=st.sampled_from(Ordinal), weekday=st.sampled_from(Weekday)),
    st.builds(DayRule, day=st.integers(1, 31)),
)
on = st.booleans()
schedules = st.builds(
    Schedule,
    timezone=st.sampled_from(ZONES),
    daily=st.none()
    | st.builds(
        Daily,
        enabled=on,
        days=st.lists(st.sampled_from(EVERY_DAY), unique=True).map(tuple),
        per_hour=st.sampled_from((1, 2, 4)),
        snapshot=rule(range(24)),
        replica=st.none() | rule(range(24)),
        backup=st.none() | rule(range(24)),
    ),
    weekly=st.none() | st.builds(Weekly, enabled=on, hour=hours, snapshot=rule(range(7)), backup=st.none() | rule(range(7))),
    monthly=st.none()
    | st.builds(Monthly, enabled=on, hour=hours, day=days, snapshot=rule(range(1, 13)), archive=st.none() | rule(range(1, 13))),
    yearly=st.none() | st.builds(Yearly, enabled=on, hour=hours, day=days, backup=rule(range(1, 13))),
)
moments = st.integers(4, 3640).map(lambda day: DECADE[0] + timedelta(days=day))


def in_daily_hours(schedule: Schedule) -> Schedule:
    """Replicas and backups only in hours with snapshots, as ``problems`` demands of a stored policy."""
    daily = schedule.daily
    if daily is None:
        return schedule
    kept = [
        Rule(slots=tuple(set(r.slots) & set(daily.snapshot.slots)), count=1) if r else None
        for r in (daily.replica, daily.backup)
    ]
    daily = Daily(
        enabled=daily.enabled,
        days=daily.days,
        per_hour=daily.per_hour,
        snapshot=daily.snapshot,
        replica=kept[0],
        backup=kept[1],
    )
    return Schedule(
        timezone=schedule.timezone, daily=daily, weekly=schedule.weekly, monthly=schedule.monthly, yearly=schedule.yearly
    )


@settings(max_examples=40, deadline=None)
@given(schedules.map(in_daily_hours), moments, st.integers(1, 60))
def test_any_schedule_is_as_the_model_says(schedule: Schedule, start: datetime, span: int) -> None:
    assert actual(schedule, start, start + timedelta(days=span)) == expected(schedule, start, start + timedelta(days=span))


@settings(max_examples=60, deadline=None)
@given(schedules, moments, st.integers(1, 2000), st.integers(1, 3))
def test_what_was_missed_is_made_up_for_by_few_runs_that_lose_no_flag(
    schedule: Schedule, last: datetime, hours_off: int, limit: int
) -> None:
    now = last + timedelta(hours=hours_off)
    missed = list(slots(schedule, last, now))
    made = due_slots(schedule, last, now, limit)
    assert [slot.at for slot in made] == [slot.at for slot in missed[-limit:]]
    assert union(made) == union(missed)


def union(runs: list[Slot]) -> dict[Leg, frozenset[Frequency]]:
    joined: dict[Leg, frozenset[Frequency]] = {}
    for slot in runs:
        for leg, flags in slot.flags.items():
            joined[leg] = joined.get(leg, frozenset()) | flags
    return joined


# ---- examples ---------------------------------------------------------------------------------------------------------


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_slot_is_later_than_the_moment_asked_for() -> None:
    schedule = Schedule(daily=Daily(snapshot=Rule(slots=(7,), count=1)))
    following = next_run(schedule, at("2026-11-20 07:00"))
    assert following is not None
    assert following.at == at("2026-11-21 07:00")


def test_a_yearly_run_on_29_february_comes_every_year() -> None:
    schedule = Schedule(yearly=Yearly(hour=6, day=DayRule(day=29), backup=Rule(slots=(2,), period=Period(1))))
    following = next_run(schedule, at("2026-02-28 06:00"))
    assert following is not None
    assert following.at == at("2027-02-28 06:00")
    assert following.legs == (Leg.SNAPSHOT, Leg.BACKUP)
    assert following.flags[Leg.SNAPSHOT] == frozenset(), "the snapshot only feeds the backup: temporary"


def test_nothing_selected_never_runs() -> None:
    assert next_run(Schedule(), at("2026-01-01 00:00")) is None
    assert next_run(Schedule(daily=Daily(enabled=False, snapshot=Rule(slots=(7,), count=1))), at("2026-01-01 00:00")) is None


def test_a_manual_run_carries_the_flag_of_the_most_frequent_schedule() -> None:
    legs = frozenset({Leg.SNAPSHOT, Leg.BACKUP})
    schedule = Schedule(
        daily=Daily(snapshot=Rule(slots=(7,), count=1)),
        weekly=Weekly(hour=7, snapshot=Rule(slots=(0,), count=1), backup=Rule(slots=(0,), period=Period(1))),
    )
    assert manual_flags(schedule, legs) == {Leg.SNAPSHOT: {D}, Leg.BACKUP: {W}}
    assert manual_flags(None, legs) == {Leg.SNAPSHOT: {D}, Leg.BACKUP: {D}}


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Mars"):
        next_run(Schedule(timezone="Mars/Olympus", daily=Daily(snapshot=Rule(slots=(7,), count=1))), at("2026-01-01 00:00"))
