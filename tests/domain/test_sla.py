"""SLA windows and promises: worked examples, and properties. How much was kept: ``test_compliance``."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.periods import EVERY_DAY, DayRule, Frequency, Ordinal, Period, Weekday
from server.domain.region_zones import ZONES
from server.domain.regions import TITLES
from server.domain.restore import Leg
from server.domain.sla import (
    ArchivePlan,
    DailyPlan,
    LegPlan,
    MonthlyPlan,
    ReplicaPlan,
    SlaTerms,
    WeeklyPlan,
    Window,
    archive_slots,
    leg_slots,
    opening,
    replica_slots,
    runs,
)
from server.domain.wall_clock import zone

WEEK = Period(7)
HOUR = 60


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(start: int, end: int, step: int) -> LegPlan:
    return LegPlan(window=Window(start=start, end=end), daily=DailyPlan(every_minutes=step, keep=WEEK))


def of_day(plan: LegPlan, region: str = "us-gov-unknown") -> list[datetime]:
    """An unknown Region counts as UTC."""
    return [when for when, _ in leg_slots(plan, region, at("2026-11-21 23:59"), at("2026-11-22 23:59"))]


@pytest.mark.parametrize(
    ("start", "end", "step", "expected"),
    [(10 * HOUR, 13 * HOUR, HOUR, 3), (10 * HOUR, 13 * HOUR + 5, HOUR, 4), (0, 0, 2 * HOUR, 12)],
)
def test_example_the_end_of_a_window_is_exclusive(start: int, end: int, step: int, expected: int) -> None:
    found = of_day(daily(start, end, step))
    assert len(found) == expected
    assert found[0] == at("2026-11-22") + timedelta(minutes=start)


def test_example_a_window_is_read_in_each_regions_own_time() -> None:
    """09:00–21:00 starts 01:00 UTC in Singapore and 17:00 UTC in Oregon."""
    window = Window(start=9 * HOUR, end=21 * HOUR)
    assert opening(window, date(2026, 11, 22), "ap-southeast-1") == (at("2026-11-22 01:00"), at("2026-11-22 13:00"))
    assert opening(window, date(2026, 11, 22), "us-west-2") == (at("2026-11-22 17:00"), at("2026-11-23 05:00"))


def replicated(template: SlaTerms, first: str, last: str, region: str = "eu-west-2") -> list[datetime]:
    days = date.fromisoformat(first), date.fromisoformat(last)
    return [when for _, when, _ in replica_slots(template, region, *days)]


def on(*days: Weekday) -> LegPlan:
    return LegPlan(window=Window(start=HOUR, end=2 * HOUR), weekly=WeeklyPlan(days=days, keep=WEEK))


def test_example_snapshots_on_three_days_with_weekly_replication_replicate_mondays() -> None:
    template = SlaTerms(
        snapshot=on(Weekday.MONDAY, Weekday.WEDNESDAY, Weekday.FRIDAY),
        replica=ReplicaPlan(first_of=Frequency.WEEKLY, keep=WEEK),
    )
    assert replicated(template, "2026-11-22", "2026-12-06") == [at("2026-11-23 01:00"), at("2026-11-30 01:00")]
    assert replicated(template, "2026-11-24", "2026-11-30") == [at("2026-11-30 01:00")], "not Wednesday's"


def test_example_a_daily_replica_is_truly_daily_only_when_every_weekday_is_selected() -> None:
    some, every = (
        SlaTerms(snapshot=on(*days), replica=ReplicaPlan(first_of=Frequency.DAILY, keep=WEEK))
        for days in ((Weekday.MONDAY, Weekday.WEDNESDAY), EVERY_DAY)
    )
    assert [when.weekday() for when in replicated(some, "2026-11-23", "2026-11-29")] == [0, 2]
    assert [when.weekday() for when in replicated(every, "2026-11-23", "2026-11-29")] == list(range(7))


def test_example_the_first_point_of_a_day_due_for_a_rarer_schedule_is_marked_as_both() -> None:
    plan = LegPlan(
        window=Window(start=10 * HOUR, end=12 * HOUR),
        daily=DailyPlan(every_minutes=HOUR, keep=WEEK),
        weekly=WeeklyPlan(days=(Weekday.SUNDAY,), keep=WEEK),
    )
    found = [flags for _, flags in leg_slots(plan, "unknown", at("2026-11-22"), at("2026-11-23 23:00"))]
    assert found == [{Frequency.DAILY, Frequency.WEEKLY}, {Frequency.DAILY}, {Frequency.DAILY}, {Frequency.DAILY}]


def test_the_archive_is_made_of_the_months_first_backup_whatever_its_day() -> None:
    """Sundays only: 1 November 2026 is one, the first of December is a Tuesday, January is not chosen."""
    plan = LegPlan(window=Window(start=3 * HOUR, end=4 * HOUR), weekly=WeeklyPlan(days=(Weekday.SUNDAY,), keep=WEEK))
    template = SlaTerms(snapshot=LegPlan(), backup=plan, archive=ArchivePlan(months=(11, 12), keep=WEEK))
    found = [when for _, when, _ in archive_slots(template, "unknown", date(2026, 10, 1), date(2027, 1, 31))]
    assert found == [at("2026-11-01 03:00"), at("2026-12-06 03:00")]
    slots = {slot.at: slot for slot in runs(template, "unknown", at("2026-10-31"), at("2026-12-07"))}
    assert [when for when, slot in slots.items() if Leg.ARCHIVE in slot.flags] == found
    assert slots[found[0]].flags[Leg.ARCHIVE] == {Frequency.MONTHLY}
    assert slots[found[0]].flags[Leg.SNAPSHOT] == frozenset(), "a temporary one"


def test_what_a_window_asks_for_past_midnight_belongs_to_the_day_it_opened_on() -> None:
    template = SlaTerms(snapshot=daily(22 * HOUR, 4 * HOUR, 2 * HOUR), replica=ReplicaPlan(first_of=Frequency.DAILY, keep=WEEK))
    found = list(runs(template, "unknown", at("2026-11-22 12:00"), at("2026-11-23 12:00")))
    assert [slot.at.hour for slot in found] == [22, 0, 2]
    assert [slot.at.hour for slot in found if Leg.REPLICA in slot.flags] == [22]


def test_a_window_that_the_change_to_summer_time_swallows_asks_for_nothing() -> None:
    """In Berlin, 02:00 to 03:00 of 29 March 2026 does not happen."""
    template = SlaTerms(snapshot=daily(2 * HOUR, 3 * HOUR, HOUR), replica=ReplicaPlan(first_of=Frequency.DAILY, keep=WEEK))
    found = [slot.at for slot in runs(template, "eu-central-1", at("2026-03-28 12:00"), at("2026-03-30 12:00"))]
    assert found == [at("2026-03-30 00:00")]
    assert replicated(template, "2026-03-29", "2026-03-29", "eu-central-1") == []


def test_the_first_point_of_a_chosen_day_is_the_weekly_and_monthly_one_too() -> None:
    plan = LegPlan(
        window=Window(start=10 * HOUR, end=12 * HOUR),
        daily=DailyPlan(every_minutes=HOUR, keep=WEEK),
        weekly=WeeklyPlan(days=(Weekday.SUNDAY,), keep=WEEK),
        monthly=MonthlyPlan(months=(11,), day=DayRule(ordinal=Ordinal.FOURTH, weekday=Weekday.SUNDAY), keep=WEEK),
    )
    found = list(leg_slots(plan, "unknown", at("2026-11-22"), at("2026-11-22 23:00")))
    assert found == [
        (at("2026-11-22 10:00"), frozenset({Frequency.DAILY, Frequency.WEEKLY, Frequency.MONTHLY})),
        (at("2026-11-22 11:00"), frozenset({Frequency.DAILY})),
    ]


def test_a_backup_at_another_time_than_the_snapshots_makes_a_temporary_snapshot() -> None:
    template = SlaTerms(snapshot=daily(8 * HOUR, 10 * HOUR, HOUR), backup=daily(9 * HOUR, 9 * HOUR + 40, 20))
    found = {slot.at.strftime("%H:%M"): slot for slot in runs(template, "unknown", at("2026-11-22"), at("2026-11-22 23:00"))}
    assert list(found) == ["08:00", "09:00", "09:20"]
    assert Leg.BACKUP not in found["08:00"].flags
    assert found["09:00"].flags[Leg.SNAPSHOT] == {Frequency.DAILY}
    assert found["09:20"].flags[Leg.SNAPSHOT] == frozenset()


minutes = st.integers(0, 24 * 60 - 1)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(ZONES)), minutes, minutes, st.integers(5, 24 * 60), st.integers(0, 3000), st.integers(1, 40))
def test_slots_lie_in_an_open_window_and_are_as_many_as_fit(
    region: str, start: int, end: int, step: int, day: int, span: int
) -> None:
    plan = daily(start, end, step)
    after = at("2020-01-01") + timedelta(days=day)
    found = [when for when, _ in leg_slots(plan, region, after, after + timedelta(days=span))]
    assert found == sorted(set(found))
    for offset in range(1, span - 2):
        opens, closes = opening(plan.window, (after + timedelta(days=offset)).date(), region)
        inside = [when for when in found if opens <= when < closes]
        minutes_open = (closes - opens).total_seconds() / 60
        assert len(inside) >= -(-minutes_open // step), "windows of neighbouring days may overlap by a changed clock"


def test_every_day_of_the_week_is_known() -> None:
    assert [day.value for day in EVERY_DAY] == list(range(7))


def test_every_region_has_a_time_zone() -> None:
    assert ZONES.keys() == TITLES.keys()
    assert all(zone(name) for name in ZONES.values())
