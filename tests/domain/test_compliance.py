"""How much of its promises a policy kept: worked examples with their numbers, every rule, and a brute-force model."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from fractions import Fraction
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain import compliance
from server.domain.compliance import SlaState, Span, always
from server.domain.periods import EVERY_DAY, DayRule, Frequency, Ordinal, Weekday
from server.domain.policy import TemplateUse
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
)
from tests.domain.promises_kept import (
    HOUR,
    LONG_AGO,
    SUNDAY,
    WEEK,
    Instance,
    at,
    daily,
    hourly,
    hours,
    judged,
    percent,
    version,
)

# ---- worked examples --------------------------------------------------------------------------------------------------


def test_example_an_instance_that_was_there_all_day_has_eight_of_eight() -> None:
    entry, (standing,) = judged(always(hourly()), [Instance(hours(*range(10, 18)))])
    assert (standing.made, standing.expected, percent(standing)) == (8, 8, 100)
    assert (entry.state, entry.met, entry.missed) == (SlaState.MET, 1, 0)


@pytest.mark.parametrize(("later", "made", "ratio"), [(5, 8, 100), (3, 6, 75)])
def test_example_an_instance_that_joined_at_12_30_has_three_for_free(later: int, made: int, ratio: int) -> None:
    joined = (at("2026-11-22 12:30"), None)
    _, (standing,) = judged(always(hourly()), [Instance(hours(*range(13, 13 + later)), joined)])
    assert (standing.made, standing.expected, percent(standing)) == (made, 8, ratio)


def test_example_a_policy_is_the_mean_of_its_instances_87_5_is_missed() -> None:
    first = Instance(hours(*range(10, 18)))
    second = Instance(hours(13, 14, 15), (at("2026-11-22 12:30"), None))
    entry, _ = judged(always(hourly()), [first, second])
    assert entry.percent == Fraction(175, 2)
    assert (entry.state, entry.target, entry.met, entry.missed) == (SlaState.MISSED, 97, 1, 1)


def test_example_a_template_made_hourly_turns_a_kept_promise_into_half() -> None:
    """Two-hourly from 10:00 to 14:00 with both made is 100 %; hourly, four are expected."""
    instance = Instance(hours(10, 12))
    assert judged(always(SlaTerms(snapshot=daily(10, 14, 2 * HOUR))), [instance])[0].percent == 100
    entry, (standing,) = judged(always(SlaTerms(snapshot=daily(10, 14, HOUR))), [instance])
    assert (percent(entry), standing.made, standing.expected) == (50, 2, 4)


def test_example_as_it_was_the_kept_promise_stays_kept() -> None:
    template = uuid4()
    two_hourly, changed = SlaTerms(snapshot=daily(10, 14, 2 * HOUR)), SlaTerms(snapshot=daily(10, 14, HOUR), target=50)
    versions = [version(template, 1, "2026-11-01", two_hourly), version(template, 2, "2026-11-23 08:00", changed)]
    history = compliance.eras([TemplateUse(template_id=template, since=at("2026-11-05"))], versions)
    instance = Instance([*hours(10, 12), at("2026-11-23 10:00"), at("2026-11-23 11:00")])
    entry, _ = judged(history, [instance])
    assert (percent(entry), entry.target) == (100, 97)
    monday = Span(date(2026, 11, 23), date(2026, 11, 23))
    entry, _ = judged(history, [instance], monday)
    assert (percent(entry), entry.target, entry.state) == (50, 50, SlaState.MET)


def test_example_the_target_is_met_when_it_is_reached() -> None:
    assert compliance.state_of(Fraction(97), 97) is SlaState.MET
    assert compliance.state_of(Fraction(9699, 100), 97) is SlaState.MISSED


def test_example_of_snapshots_on_three_days_one_replica_a_week_is_expected() -> None:
    days = (Weekday.MONDAY, Weekday.WEDNESDAY, Weekday.FRIDAY)
    terms = SlaTerms(
        snapshot=LegPlan(weekly=WeeklyPlan(days=days, keep=WEEK)), replica=ReplicaPlan(first_of=Frequency.WEEKLY, keep=WEEK)
    )
    week = Span(date(2026, 11, 23), date(2026, 11, 29))
    kept = Instance([at("2026-11-23 00:00")])
    entry, (standing,) = judged(always(terms), [kept], week, Leg.REPLICA, Frequency.WEEKLY)
    assert (standing.made, standing.expected, entry.state) == (1, 1, SlaState.MET)
    assert judged(always(terms), [kept], week, Leg.REPLICA, Frequency.DAILY)[0].state is SlaState.NOT_CONFIGURED


def test_example_a_monthly_replica_made_before_an_instance_joined_counts_as_made() -> None:
    """And next month it must really be made."""
    plan = LegPlan(daily=DailyPlan(every_minutes=1440, keep=WEEK))
    terms = SlaTerms(snapshot=plan, replica=ReplicaPlan(first_of=Frequency.MONTHLY, keep=WEEK))
    late = Instance([], (at("2026-11-15"), None))
    november, december = Span(date(2026, 11, 1), date(2026, 11, 30)), Span(date(2026, 12, 1), date(2026, 12, 31))
    assert judged(always(terms), [late], november, Leg.REPLICA, Frequency.MONTHLY)[0].percent == 100
    assert judged(always(terms), [late], december, Leg.REPLICA, Frequency.MONTHLY)[0].percent == 0


# ---- who is judged ----------------------------------------------------------------------------------------------------


def test_what_left_while_the_window_was_open_is_removed_and_not_judged() -> None:
    kept, gone = Instance(hours(*range(10, 18))), Instance(hours(10), (LONG_AGO, at("2026-11-22 12:30")))
    entry, found = judged(always(hourly()), [kept, gone])
    assert (percent(entry), entry.met, entry.missed, entry.removed) == (100, 1, 0, 1)
    assert [one.removed for one in found if one.resource_id == gone.id] == [True]


@pytest.mark.parametrize("left", ["2026-11-22 09:59", "2026-11-22 10:00", "2026-11-21 15:00"])
def test_what_left_before_the_window_opened_is_not_shown(left: str) -> None:
    entry, found = judged(always(hourly()), [Instance([], (LONG_AGO, at(left)))])
    assert found == []
    assert (entry.state, entry.percent, entry.removed) == (SlaState.NOT_AVAILABLE, None, 0)


def test_what_left_after_the_window_had_closed_is_judged() -> None:
    entry, _ = judged(always(hourly()), [Instance(hours(*range(10, 14)), (LONG_AGO, at("2026-11-22 18:00")))])
    assert (percent(entry), entry.removed) == (50, 0)


def test_what_joined_after_the_window_had_closed_is_not_shown() -> None:
    assert judged(always(hourly()), [Instance([], (at("2026-11-22 18:00"), None))])[1] == []


def test_what_joined_after_the_point_of_the_week_is_shown_with_the_point_as_made() -> None:
    """Monday's point was due before it joined on Wednesday; what left on Wednesday is removed."""
    week = Span(date(2026, 11, 16), SUNDAY)
    terms = always(SlaTerms(snapshot=LegPlan(weekly=WeeklyPlan(days=(Weekday.MONDAY,), keep=WEEK))))
    late, gone = Instance([], (at("2026-11-18"), None)), Instance([], (LONG_AGO, at("2026-11-18")))
    entry, _ = judged(terms, [late, gone], week, frequency=Frequency.WEEKLY)
    assert (percent(entry), entry.met, entry.removed) == (100, 1, 1)


def test_what_came_back_is_judged_by_its_last_stretch() -> None:
    back = Instance(hours(16, 17), (LONG_AGO, at("2026-11-22 11:30")), (at("2026-11-22 15:30"), None))
    _, (standing,) = judged(always(hourly()), [back])
    assert (standing.made, standing.expected, standing.removed) == (8, 8, False)


def test_what_came_back_after_the_window_is_judged_by_the_stretch_before() -> None:
    back = Instance(hours(10, 11), (LONG_AGO, at("2026-11-22 18:30")), (at("2026-11-22 19:30"), None))
    _, (standing,) = judged(always(hourly()), [back])
    assert (standing.made, standing.expected) == (2, 8)


# ---- what is due ------------------------------------------------------------------------------------------------------


def test_points_beyond_the_promise_make_up_for_nothing() -> None:
    """Half-hourly points under terms that ask for one an hour, none in the last four hours."""
    made = [when + timedelta(minutes=part) for when in hours(10, 11, 12, 13) for part in (0, 15, 30)]
    _, (standing,) = judged(always(hourly()), [Instance(made)])
    assert (standing.made, percent(standing)) == (8, 100), "a day's points are counted, not matched"
    week = always(SlaTerms(snapshot=LegPlan(weekly=WeeklyPlan(days=(Weekday.SATURDAY, Weekday.SUNDAY), keep=WEEK))))
    twice = Instance(hours(0, 1))
    assert judged(week, [twice], Span(date(2026, 11, 16), SUNDAY), frequency=Frequency.WEEKLY)[0].percent == 50


def test_each_chart_judges_the_promises_of_its_own_frequency() -> None:
    """Daily all eight, weekly the Sunday's one, monthly the last Sunday's one."""
    plan = LegPlan(
        window=Window(start=10 * HOUR, end=18 * HOUR),
        daily=DailyPlan(every_minutes=HOUR, keep=WEEK),
        weekly=WeeklyPlan(days=(Weekday.SUNDAY,), keep=WEEK),
        monthly=MonthlyPlan(months=(11,), day=DayRule(ordinal=Ordinal.LAST, weekday=Weekday.SUNDAY), keep=WEEK),
    )
    terms = always(SlaTerms(snapshot=plan))
    instance = Instance(hours(12))
    week, month = Span(date(2026, 11, 16), SUNDAY), Span(date(2026, 11, 1), date(2026, 11, 30))
    assert judged(terms, [instance])[0].percent == Fraction(100, 8)
    assert judged(terms, [instance], week, frequency=Frequency.WEEKLY)[0].percent == 100, "the first that succeeded"
    assert judged(terms, [instance], month, frequency=Frequency.MONTHLY)[0].percent == 0, "the 29th is due"
    december = Span(date(2026, 12, 1), date(2026, 12, 31))
    assert judged(terms, [instance], december, frequency=Frequency.MONTHLY)[0].state is SlaState.NOT_CONFIGURED


def test_archives_are_judged_by_the_month_whichever_chart_is_asked_for() -> None:
    assert {compliance.chart_frequency(Leg.ARCHIVE, one) for one in Frequency} == {Frequency.MONTHLY}
    backup = LegPlan(weekly=WeeklyPlan(days=(Weekday.SUNDAY,), keep=WEEK))
    terms = SlaTerms(snapshot=LegPlan(), backup=backup, archive=ArchivePlan(months=(11,), keep=WEEK))
    november = Span(date(2026, 11, 1), date(2026, 11, 30))
    entry, _ = judged(always(terms), [Instance([at("2026-11-01")])], november, Leg.ARCHIVE, Frequency.MONTHLY)
    assert entry.percent == 100
    assert judged(always(terms), [], november, Leg.SNAPSHOT)[0].state is SlaState.NOT_CONFIGURED


def test_points_past_midnight_belong_to_the_day_their_window_opened_on() -> None:
    night = always(SlaTerms(snapshot=daily(22, 4, 2 * HOUR)))
    made = [at("2026-11-22 22:00"), at("2026-11-23 00:00"), at("2026-11-23 02:00")]
    assert judged(night, [Instance(made)])[0].percent == 100
    assert judged(night, [Instance(made)], Span(date(2026, 11, 23), date(2026, 11, 23)))[0].percent == 0


def test_every_region_is_judged_by_its_own_day() -> None:
    terms = always(SlaTerms(snapshot=daily(9, 21, 12 * HOUR)))
    east = Instance([at("2026-11-22 01:00")], region="ap-southeast-1")
    west = Instance([at("2026-11-22 17:00")], region="us-west-2")
    entry, _ = judged(terms, [east, west])
    assert (percent(entry), entry.met) == (100, 2)


# ---- against a brute-force model --------------------------------------------------------------------------------------

REGION_NAMES = st.sampled_from(["unknown", "us-west-2", "ap-southeast-2", "eu-central-1"])
QUARTERS = st.integers(0, 95).map(lambda number: number * 15)


@settings(max_examples=60, deadline=None)
@given(REGION_NAMES, QUARTERS, QUARTERS, st.sampled_from([15, 60, 120, 300]), st.integers(0, 700), st.data())
def test_daily_ratios_equal_counting_one_by_one(
    region: str, start: int, end: int, step: int, offset: int, data: st.DataObject
) -> None:
    """Counted by hand: of each promised moment, was it before the instance joined, or was its own point made?"""
    plan = LegPlan(window=Window(start=start, end=end), daily=DailyPlan(every_minutes=step, keep=WEEK))
    day = date(2025, 6, 1) + timedelta(days=offset)
    span = Span(day, day)
    due = compliance.promised(always(SlaTerms(snapshot=plan)), Leg.SNAPSHOT, Frequency.DAILY, [region], span)
    slots = [at for one in due for at in one.slots]
    if not slots:
        return  # the change of the clock swallowed the window
    made = data.draw(st.lists(st.sampled_from(slots), unique=True))
    around = st.integers(-300, 26 * 60).map(lambda minutes: slots[0] + timedelta(minutes=minutes))
    joined = data.draw(st.one_of(st.just(LONG_AGO - timedelta(days=900)), around))
    entry, found = judged(always(SlaTerms(snapshot=plan)), [Instance(made, (joined, None), region=region)], span)
    if joined >= max(one.closes for one in due):
        assert found == []
        return
    kept = sum(1 for moment in slots if moment < joined or moment in made)
    assert entry.percent == Fraction(100 * kept, len(slots))


@settings(max_examples=60, deadline=None)
@given(REGION_NAMES, QUARTERS, QUARTERS, st.integers(0, 700), st.sampled_from(list(compliance.ENTRIES)))
def test_every_promised_moment_belongs_to_one_period_and_is_kept_by_itself(
    region: str, start: int, end: int, offset: int, frequency: Frequency
) -> None:
    """Over ten weeks of entries no moment is missing or counted twice, and its own point falls into its due."""
    plan = LegPlan(
        window=Window(start=start, end=end),
        daily=DailyPlan(every_minutes=240, keep=WEEK),
        weekly=WeeklyPlan(days=EVERY_DAY[::2], keep=WEEK),
        monthly=MonthlyPlan(months=tuple(range(1, 13)), day=DayRule(day=31), keep=WEEK),
    )
    terms = SlaTerms(snapshot=plan, replica=ReplicaPlan(first_of=frequency, keep=WEEK))
    for leg in (Leg.SNAPSHOT, Leg.REPLICA):
        seen: list[datetime] = []
        last: datetime | None = None
        day = date(2025, 6, 1) + timedelta(days=offset)
        for _ in range(10):
            span = compliance.span_of(frequency, day)
            for due in compliance.promised(always(terms), leg, frequency, [region], span):
                assert all(due.since <= when < due.until for when in due.slots)
                assert due.slots[-1] < due.closes
                assert last is None or last <= due.since
                last = due.until
                seen += due.slots
            day = span.last + timedelta(days=1)
        assert seen == sorted(set(seen))
