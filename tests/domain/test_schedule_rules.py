"""Which schedules go together: archives and backups, times taken over, slots that need each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.domain.periods import DayRule, Frequency, Ordinal, Weekday
from server.domain.policy_hints import additions, inherited
from server.domain.policy_rules import problems
from server.domain.schedule import Daily, Rule, Schedule
from server.domain.schedule_rules import PER_HOUR
from tests.domain.test_policy_rules import (
    ARCHIVED,
    DAILY,
    DAYS30,
    DR,
    FIRST_MONDAY,
    GOOD,
    MONTHLY,
    ON_DAY,
    WEEKLY,
    YEARLY,
    YEARS7,
    daily,
    monthly,
    scheduled,
    yearly,
)

# ---- archives ---------------------------------------------------------------------------------------------------------


def archiving(**parts: Any) -> dict[str, str]:
    return problems(replace(GOOD, schedule=Schedule(**parts)))


MONTHLY_ARCHIVE = replace(MONTHLY, backup=None, archive=ARCHIVED)
YEARLY_ARCHIVE = replace(YEARLY, backup=None, archive=Rule(slots=(1,), period=YEARS7))


def test_a_monthly_archive_needs_daily_or_weekly_backups() -> None:
    text = "A monthly archive is made of daily or weekly backups: switch on a schedule that makes some."
    assert archiving(monthly=MONTHLY_ARCHIVE) == {"schedule.monthly.archive": text}
    assert archiving(monthly=MONTHLY_ARCHIVE, daily=DAILY) == {}
    assert archiving(monthly=MONTHLY_ARCHIVE, weekly=WEEKLY) == {}
    for useless in (replace(DAILY, enabled=False), replace(DAILY, backup=None)):
        assert archiving(monthly=MONTHLY_ARCHIVE, daily=useless).keys() == {"schedule.monthly.archive"}


def test_a_yearly_archive_needs_daily_weekly_or_monthly_backups() -> None:
    text = "A yearly archive is made of daily, weekly or monthly backups: switch on a schedule that makes some."
    assert archiving(yearly=YEARLY_ARCHIVE) == {"schedule.yearly.archive": text}
    for part in ({"daily": DAILY}, {"weekly": WEEKLY}, {"monthly": MONTHLY}):
        assert archiving(yearly=YEARLY_ARCHIVE, **part) == {}


# ---- inheritance ------------------------------------------------------------------------------------------------------


def test_the_monthly_hour_is_the_weekly_one_unless_on_a_fixed_day() -> None:
    apart = problems(monthly(hour=8))
    text = "The monthly schedule goes with the weekly one: choose 07:00, or a fixed day of the month."
    assert apart == {"schedule.monthly.hour": text}
    assert problems(monthly(hour=8, day=ON_DAY)) == {}
    assert problems(scheduled(monthly=replace(MONTHLY, hour=8), yearly=None, weekly=replace(WEEKLY, enabled=False))) == {}


def test_the_yearly_hour_and_day_are_the_monthly_ones_unless_on_a_fixed_day() -> None:
    last = DayRule(ordinal=Ordinal.LAST, weekday=Weekday.FRIDAY)
    text = "The yearly schedule goes with the monthly one: choose the first Monday, or a fixed day of the month."
    assert problems(yearly(day=last)) == {"schedule.yearly.day": text}
    assert problems(yearly(day=ON_DAY, hour=1)) == {}
    by_itself = replace(MONTHLY, day=ON_DAY, hour=1)
    assert problems(scheduled(monthly=by_itself, yearly=replace(YEARLY, day=last))) == {}  # Friday is a weekly day


parts = st.fixed_dictionaries(
    {
        "weekly": st.builds(lambda hour, on: replace(WEEKLY, hour=hour, enabled=on), st.integers(0, 2), st.booleans()),
        "monthly": st.builds(
            lambda hour, day, on: replace(MONTHLY, hour=hour, day=day, enabled=on),
            st.integers(0, 2),
            st.sampled_from([FIRST_MONDAY, ON_DAY, DayRule(weekday=Weekday.FRIDAY)]),
            st.booleans(),
        ),
        "yearly": st.builds(
            lambda hour, day, on: replace(YEARLY, hour=hour, day=day, enabled=on),
            st.integers(0, 2),
            st.sampled_from([FIRST_MONDAY, ON_DAY, DayRule(weekday=Weekday.FRIDAY)]),
            st.booleans(),
        ),
    }
)


def taken_over(schedule: Schedule) -> Schedule:
    """With every inherited time as its source says."""
    for one in inherited(schedule):
        frequency, name = one.path.split(".")[1:]
        part = schedule.part(Frequency(frequency))
        assert part is not None
        value = one.hour if one.hour is not None else one.day
        given_part: Any = {name: value}
        taken: Any = {frequency: replace(part, **given_part)}
        schedule = replace(schedule, **taken)
    return schedule


@given(parts)
def test_a_schedule_that_takes_over_what_is_inherited_has_no_problems(found: dict[str, Any]) -> None:
    schedule = taken_over(Schedule(**found))
    assert problems(replace(GOOD, schedule=schedule)) == {}
    assert taken_over(schedule) == schedule


@given(parts, st.sampled_from([FIRST_MONDAY, DayRule(weekday=Weekday.FRIDAY)]))
def test_whatever_is_not_what_is_inherited_is_a_problem(found: dict[str, Any], day: DayRule) -> None:
    schedule = Schedule(**found)
    wrong = {path for path in problems(replace(GOOD, schedule=schedule)) if path.split(".")[-1] in ("hour", "day")}
    differing = set()
    for one in inherited(schedule):
        frequency, name = one.path.split(".")[1:]
        if getattr(schedule.part(Frequency(frequency)), name) != (one.hour if one.hour is not None else one.day):
            differing.add(one.path)
    assert wrong == differing


# ---- slots ------------------------------------------------------------------------------------------------------------

slots = st.sets(st.integers(0, 23), max_size=4).map(lambda found: tuple(sorted(found)))


@given(slots, slots, slots)
def test_slots_added_as_offered_are_enough(
    snapshot: tuple[int, ...], replica: tuple[int, ...], backup: tuple[int, ...]
) -> None:
    schedule = Schedule(
        daily=Daily(
            snapshot=Rule(slots=snapshot, count=1),
            replica=Rule(slots=replica, count=1) if replica else None,
            backup=Rule(slots=backup, period=DAYS30) if backup else None,
        )
    )
    policy = replace(GOOD, schedule=schedule, replicas=(DR,))
    lacking = set(replica + backup) - set(snapshot)
    offered = additions(schedule)
    assert bool(lacking) == bool(offered) == any(path.endswith(("replica.slots", "backup.slots")) for path in problems(policy))
    assert schedule.daily is not None
    mended = offered.get("schedule.daily.snapshot.slots", snapshot)
    assert set(mended) == set(snapshot) | lacking
    if mended:
        daily_part = replace(schedule.daily, snapshot=Rule(slots=mended, count=1))
        assert problems(replace(policy, schedule=Schedule(daily=daily_part))) == {}


@given(st.integers(-1, 61))
def test_several_snapshots_an_hour_are_whole_minutes_apart(number: int) -> None:
    allowed = "schedule.daily.perHour" not in problems(daily(per_hour=number))
    assert allowed == (number in PER_HOUR)
    assert not allowed or 60 % number == 0
