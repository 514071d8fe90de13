"""What a policy keeps in the long run: the same points harmonised retention keeps when it looks at all runs there ever were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain import keeping, sla
from server.domain.flags import Flagged, harmonise
from server.domain.periods import EVERY_DAY, DayRule, Frequency, Ordinal, Period, Unit, Weekday
from server.domain.policy import Policy, PolicyKind
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly, slots
from server.domain.scope import Scope
from server.domain.sla import ArchivePlan, DailyPlan, LegPlan, MonthlyPlan, ReplicaPlan, SlaTerms, WeeklyPlan, Window
from server.domain.steady import chains

NOW = datetime(2027, 8, 17, 12, 30, tzinfo=UTC)
REGION = "eu-central-1"
REPOSITORY = UUID(int=5)


def policy(schedule: Schedule | None = None, kind: PolicyKind = PolicyKind.SCHEDULE) -> Policy:
    return Policy(
        id=UUID(int=1),
        name="gold",
        kind=kind,
        scope=Scope(account_id=UUID(int=2), regions=(REGION,)),
        schedule=schedule,
        repository_id=REPOSITORY,
        created_at=NOW,
        updated_at=NOW,
    )


counts = st.builds(lambda n: Rule(count=n), st.integers(0, 9))
periods = st.builds(lambda n, unit: Rule(period=Period(n, unit)), st.integers(1, 24), st.sampled_from([Unit.DAYS, Unit.MONTHS]))


def with_slots(rule: Rule, *numbers: int) -> Rule:
    return Rule(slots=numbers, count=rule.count, period=rule.period)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    hours = draw(st.sets(st.integers(0, 23), min_size=1, max_size=4))
    weekdays = draw(st.sets(st.integers(0, 6), min_size=1))
    months = draw(st.sets(st.integers(1, 12), min_size=1))
    return Schedule(
        timezone=draw(st.sampled_from(["UTC", "Europe/Berlin", "Australia/Sydney"])),
        daily=draw(
            st.none()
            | st.builds(
                Daily,
                days=st.sampled_from([EVERY_DAY, EVERY_DAY[:5]]),
                per_hour=st.sampled_from([1, 2]),
                snapshot=counts.map(lambda rule: with_slots(rule, *hours)),
                backup=periods.map(lambda rule: with_slots(rule, min(hours))),
            )
        ),
        weekly=draw(
            st.none()
            | st.builds(
                Weekly,
                hour=st.sampled_from(sorted(hours)),
                snapshot=counts.map(lambda rule: with_slots(rule, *weekdays)),
                replica=counts.map(lambda rule: with_slots(rule, *weekdays)),
            )
        ),
        monthly=draw(
            st.none()
            | st.builds(
                Monthly,
                hour=st.sampled_from(sorted(hours)),
                day=st.sampled_from([DayRule(weekday=Weekday.MONDAY), DayRule(day=31)]),
                snapshot=counts.map(lambda rule: with_slots(rule, *months)),
                archive=periods.map(lambda rule: with_slots(rule, *months)),
            )
        ),
    )


@given(schedules())
@settings(max_examples=15, deadline=None)
def test_kept_are_the_points_harmonised_retention_keeps(schedule: Schedule) -> None:
    mine = policy(schedule)
    found = chains(mine, None, REGION, NOW)
    every = list(slots(schedule, NOW - timedelta(days=12 * 370), NOW))
    for leg, rules in keeping.rules(mine, None).items():
        points = [Flagged(UUID(int=n), slot.at, slot.flags[leg]) for n, slot in enumerate(every) if leg in slot.flags]
        left = harmonise(points, rules, NOW)
        kept = tuple(point.at for point in points if left[point.id].flags)
        assert (found[leg].kept if leg in found else ()) == kept


def test_ten_years_of_yearly_archives() -> None:
    schedule = Schedule(
        daily=Daily(snapshot=Rule(slots=(7,), count=7), backup=Rule(slots=(7,), period=Period(30))),
        yearly=Yearly(hour=7, day=DayRule(day=1), archive=Rule(slots=(3,), period=Period(10, Unit.YEARS))),
    )
    found = chains(policy(schedule), None, REGION, NOW)
    assert [at.year for at in found[Leg.ARCHIVE].kept] == list(range(2018, 2028))
    assert (len(found[Leg.SNAPSHOT].kept), len(found[Leg.BACKUP].kept), len(found[Leg.BACKUP].runs)) == (7, 30, 365)
    assert found[Leg.BACKUP].lifetime == timedelta(days=30)
    assert found[Leg.SNAPSHOT].lifetime is None


def test_legs_that_are_not_made_are_not_there() -> None:
    assert chains(policy(None), None, REGION, NOW) == {}
    assert set(chains(policy(Schedule(daily=Daily(snapshot=Rule(slots=(3,), count=2)))), None, REGION, NOW)) == {Leg.SNAPSHOT}


TERMS = SlaTerms(
    snapshot=LegPlan(
        window=Window(start=8 * 60, end=20 * 60),
        daily=DailyPlan(every_minutes=240, keep=Period(3)),
        weekly=WeeklyPlan(days=(Weekday.MONDAY,), keep=Period(21)),
        monthly=MonthlyPlan(
            months=(1, 7), day=DayRule(ordinal=Ordinal.FIRST, weekday=Weekday.SUNDAY), keep=Period(1, Unit.YEARS)
        ),
    ),
    replica=ReplicaPlan(first_of=Frequency.WEEKLY, keep=Period(28)),
    backup=LegPlan(window=Window(start=22 * 60, end=2 * 60), daily=DailyPlan(every_minutes=120, keep=Period(14))),
    archive=ArchivePlan(months=(2, 8), keep=Period(2, Unit.YEARS)),
)


def test_an_sla_policy_keeps_what_its_windows_promise() -> None:
    found = chains(policy(kind=PolicyKind.SLA), TERMS, REGION, NOW)
    rules = keeping.rules(policy(kind=PolicyKind.SLA), TERMS)
    every = list(sla.runs(TERMS, REGION, NOW - timedelta(days=800), NOW))
    for leg in Leg:
        points = [Flagged(UUID(int=n), slot.at, slot.flags[leg]) for n, slot in enumerate(every) if leg in slot.flags]
        left = harmonise(points, rules[leg], NOW)
        assert found[leg].kept == tuple(point.at for point in points if left[point.id].flags)
    assert len(found[Leg.ARCHIVE].kept) == 4, "two a year for two years"


@pytest.mark.parametrize("leg", [Leg.SNAPSHOT, Leg.BACKUP])
def test_more_points_than_are_looked_at_do_not_take_for_ever(leg: Leg) -> None:
    hours = tuple(range(24))
    daily = Daily(snapshot=Rule(slots=hours, count=1000), backup=Rule(slots=hours, period=Period(99, Unit.YEARS)))
    assert 1000 <= len(chains(policy(Schedule(daily=daily)), None, REGION, NOW)[leg].kept) <= 20_000
