"""How much of its promises a policy kept: worked examples with their numbers, every rule, and a brute-force model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain import compliance
from server.domain.compliance import Due, Entry, Era, SlaState, Span, Standing, always
from server.domain.periods import EVERY_DAY, DayRule, Frequency, Ordinal, Period, Weekday
from server.domain.policy import TemplateUse
from server.domain.promises import Kept
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
from server.domain.templates import SlaTemplateVersion

WEEK = Period(7)
HOUR = 60
UTC_REGION = "us-gov-unknown"  # a Region this program does not know counts as UTC
SUNDAY = date(2026, 11, 22)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(start: int, end: int, step: int) -> LegPlan:
    return LegPlan(window=Window(start=start * HOUR, end=end * HOUR), daily=DailyPlan(every_minutes=step, keep=WEEK))


def hourly() -> SlaTerms:
    return SlaTerms(snapshot=daily(10, 18, HOUR))


class Instance:
    """What the database would answer about one instance: when it belonged to the policy, which points were made."""

    def __init__(
        self, made: Iterable[datetime], *stretches: tuple[datetime, datetime | None], region: str = UTC_REGION
    ) -> None:
        self.id = uuid4()
        self.made = list(made)
        self.stretches = stretches or ((LONG_AGO, None),)
        self.region = region

    def answers(self, due: Sequence[Due]) -> Iterable[Kept]:
        for number, one in enumerate(due):
            for joined, left in self.stretches:
                if one.region == self.region and joined < one.closes and (left is None or left > one.since):
                    made = sum(1 for when in self.made if max(one.since, joined) <= when < one.until)
                    yield Kept(number, self.id, joined, left, made)


def judged(
    history: Sequence[Era],
    instances: Sequence[Instance],
    span: Span | None = None,
    leg: Leg = Leg.SNAPSHOT,
    frequency: Frequency = Frequency.DAILY,
) -> tuple[Entry, list[Standing]]:
    span = span or Span(SUNDAY, SUNDAY)
    regions = sorted({one.region for one in instances}) or [UTC_REGION]
    due = compliance.promised(history, leg, frequency, regions, span)
    found = compliance.standings(dict(enumerate(due)), [row for one in instances for row in one.answers(due)])
    return compliance.entry(span, due, found, compliance.target_of(history, due)), found


def percent(one: Entry | Standing) -> float | None:
    return None if one.percent is None else float(one.percent)


def hours(*numbers: int) -> list[datetime]:
    return [at("2026-11-22") + timedelta(hours=number) for number in numbers]


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


# ---- when entries appear ----------------------------------------------------------------------------------------------

REGIONS = ("ap-southeast-1", "us-west-2")


def over(now: str, handled: str | None = None, running: Sequence[str] = ()) -> bool:
    terms = always(SlaTerms(snapshot=daily(9, 21, 6 * HOUR)))
    span = Span(SUNDAY, SUNDAY)
    due = compliance.promised(terms, Leg.SNAPSHOT, Frequency.DAILY, REGIONS, span)
    noted = dict.fromkeys(REGIONS, at(handled or now))
    return compliance.over(span, due, REGIONS, at(now), noted, [at(one) for one in running])


def test_an_entry_appears_once_the_furthest_west_region_has_finished_its_last_session() -> None:
    """Oregon's last session of the day is at 23:00 UTC; its window closes at 05:00."""
    assert not over("2026-11-22 22:59"), "Singapore has finished long ago"
    assert not over("2026-11-22 23:01", running=["2026-11-22 23:00"])
    assert not over("2026-11-22 23:01", handled="2026-11-22 22:59"), "not started yet"
    assert over("2026-11-22 23:01")
    assert over("2026-11-22 23:01", running=["2026-11-23 21:00"]), "a session of the next day"
    assert over("2026-11-23 05:00", handled="2026-11-20 00:00"), "its window has closed: nothing will come of it"


def test_a_period_without_promises_is_over_when_its_last_day_has_ended_everywhere() -> None:
    def ended(now: str) -> bool:
        return compliance.over(Span(SUNDAY, SUNDAY), [], REGIONS, at(now), {}, [])

    assert not ended("2026-11-23 07:59")
    assert ended("2026-11-23 08:00")


def test_candidates_go_back_to_the_period_the_policy_was_made_in() -> None:
    found = list(compliance.candidates(Frequency.WEEKLY, ["unknown"], at("2026-11-22 12:00"), at("2026-11-04 12:00")))
    assert found == [
        Span(date(2026, 11, 16), date(2026, 11, 22)),
        Span(date(2026, 11, 9), date(2026, 11, 15)),
        Span(date(2026, 11, 2), date(2026, 11, 8)),
    ]
    months = list(compliance.candidates(Frequency.MONTHLY, ["unknown"], at("2027-03-01"), at("2026-12-31 23:00")))
    assert [(one.first.isoformat(), one.last.isoformat()) for one in months] == [
        ("2027-03-01", "2027-03-31"),
        ("2027-02-01", "2027-02-28"),
        ("2027-01-01", "2027-01-31"),
        ("2026-12-01", "2026-12-31"),
    ]


# ---- as it was --------------------------------------------------------------------------------------------------------


def version(template: UUID, number: int, since: str, terms: SlaTerms) -> SlaTemplateVersion:
    return SlaTemplateVersion(id=uuid4(), template_id=template, version=number, since=at(since), terms=terms)


def test_the_terms_of_the_past_follow_templates_and_their_versions() -> None:
    gold, silver = uuid4(), uuid4()
    one, two, three = (SlaTerms(snapshot=daily(10, 18, HOUR), target=target) for target in (91, 92, 93))
    uses = [
        TemplateUse(template_id=gold, since=at("2026-05-01")),
        TemplateUse(template_id=silver, since=at("2026-07-01")),
        TemplateUse(template_id=gold, since=at("2026-09-01")),
    ]
    versions = [
        version(silver, 1, "2026-01-01", three),
        version(gold, 2, "2026-08-01", two),
        version(gold, 1, "2026-04-01", one),
    ]
    found = compliance.eras(uses, versions)
    assert [(era.since.month, era.terms.target) for era in found] == [(5, 91), (7, 93), (9, 92)]
    assert [era.until for era in found] == [at("2026-07-01"), at("2026-09-01"), compliance.END]


def test_a_day_on_which_the_terms_changed_is_judged_by_both() -> None:
    """Hourly until 14:00, then two-hourly: 10, 11, 12, 13 and 14, 16 were promised."""
    template = uuid4()
    versions = [
        version(template, 1, "2026-11-01", hourly()),
        version(template, 2, "2026-11-22 14:00", SlaTerms(snapshot=daily(10, 18, 2 * HOUR))),
    ]
    history = compliance.eras([TemplateUse(template_id=template, since=at("2026-11-01"))], versions)
    _, (standing,) = judged(history, [Instance(hours(10, 11, 14, 16))])
    assert (standing.made, standing.expected) == (4, 6)


def test_before_a_policy_followed_a_template_nothing_was_promised() -> None:
    template = uuid4()
    history = compliance.eras(
        [TemplateUse(template_id=template, since=at("2026-11-23"))], [version(template, 1, "2026-11-01", hourly())]
    )
    assert judged(history, [Instance([])])[0].state is SlaState.NOT_CONFIGURED


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
