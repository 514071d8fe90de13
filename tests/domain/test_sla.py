"""SLA windows, promises and compliance: the worked examples of the specification, and properties."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.periods import EVERY_DAY, DayRule, Frequency, Ordinal, Period, Weekday
from server.domain.region_zones import ZONES
from server.domain.restore import Leg
from server.domain.sla import (
    DailyPlan,
    LegPlan,
    MonthlyPlan,
    Ratio,
    ReplicaPlan,
    SlaState,
    SlaTerms,
    WeeklyPlan,
    Window,
    leg_slots,
    opening,
    policy_percent,
    ratio,
    replica_slots,
    runs,
    state,
)

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
def test_worked_example_the_end_of_a_window_is_exclusive(start: int, end: int, step: int, expected: int) -> None:
    """Spec ec2 §4.3.2."""
    found = of_day(daily(start, end, step))
    assert len(found) == expected
    assert found[0] == at("2026-11-22") + timedelta(minutes=start)


def test_worked_example_a_window_is_read_in_each_regions_own_time() -> None:
    """Spec ec2 §4.3: 09:00–21:00 starts 01:00 UTC in Singapore and 17:00 UTC in Oregon."""
    window = Window(start=9 * HOUR, end=21 * HOUR)
    assert opening(window, date(2026, 11, 22), "ap-southeast-1") == (at("2026-11-22 01:00"), at("2026-11-22 13:00"))
    assert opening(window, date(2026, 11, 22), "us-west-2") == (at("2026-11-22 17:00"), at("2026-11-23 05:00"))


HOURLY_10_TO_18 = [at(f"2026-11-22 {hour}:00") for hour in range(10, 18)]


@pytest.mark.parametrize(("later", "percent"), [(5, 100), (3, 75)])
def test_worked_example_an_instance_that_joined_at_12_30(later: int, percent: int) -> None:
    """Spec ec2 §4.5: hourly 10:00–18:00, eight expected; B joined after three of them."""
    made = HOURLY_10_TO_18[3 : 3 + later]
    assert ratio(HOURLY_10_TO_18, made, at("2026-11-22 12:30")).percent == percent


def test_worked_example_a_policy_is_the_mean_of_its_instances() -> None:
    """Spec ec2 §4.5: A = 100, B = 75, target 97: 87.5, missed."""
    percent = policy_percent([Ratio(8, 8), Ratio(6, 8)])
    assert percent == Fraction(175, 2)
    assert state(percent, 97, configured=True, over=True) is SlaState.MISSED
    assert state(Fraction(97), 97, configured=True, over=True) is SlaState.MET
    assert state(Fraction(100), 97, configured=True, over=False) is SlaState.NOT_AVAILABLE
    assert state(None, 97, configured=False, over=True) is SlaState.NOT_CONFIGURED


def test_worked_example_an_edited_template_recomputes_history() -> None:
    """Spec ec2 §4.5: two-hourly 10:00–14:00 with two made is 100 %; hourly then makes it 50 %."""
    made = of_day(daily(10 * HOUR, 14 * HOUR, 2 * HOUR))
    assert ratio(made, made, None).percent == 100
    assert ratio(of_day(daily(10 * HOUR, 14 * HOUR, HOUR)), made, None).percent == 50


def test_snapshots_on_three_days_with_weekly_replication_replicate_mondays() -> None:
    """Spec ec2 §4.1."""
    days = (Weekday.MONDAY, Weekday.WEDNESDAY, Weekday.FRIDAY)
    template = SlaTerms(
        snapshot=LegPlan(window=Window(start=HOUR, end=2 * HOUR), weekly=WeeklyPlan(days=days, keep=WEEK)),
        replica=ReplicaPlan(first_of=Frequency.WEEKLY, keep=WEEK),
    )
    found = list(replica_slots(template, "eu-west-2", at("2026-11-22"), at("2026-12-07")))
    assert found == [at("2026-11-23 01:00"), at("2026-11-30 01:00")]
    assert [when.weekday() for when in replica_slots(template, "eu-west-2", at("2026-11-24"), at("2026-12-01"))] == [0], (
        "not Wednesday's"
    )


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
