"""Health checks: on which days, and which share of the blocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import InvalidInput
from server.domain.health import SHARES, daily_share, is_due, monthly_share
from server.domain.periods import Ordinal, Weekday
from server.domain.policy import HealthCheck

PLANS = st.builds(HealthCheck, ordinal=st.sampled_from(Ordinal), weekday=st.sampled_from(Weekday))
MOMENTS = st.datetimes(timezones=st.just(UTC), max_value=datetime(2100, 1, 1))  # noqa: DTZ001  # Hypothesis adds the zone
DAYS = st.dates(min_value=date(2000, 1, 1), max_value=date(2100, 12, 31))


@pytest.mark.parametrize(
    ("ordinal", "weekday", "day"),
    [
        (Ordinal.FIRST, Weekday.SUNDAY, date(2026, 11, 1)),
        (Ordinal.SECOND, Weekday.SUNDAY, date(2026, 11, 8)),
        (Ordinal.FOURTH, Weekday.SUNDAY, date(2026, 11, 22)),
        (Ordinal.LAST, Weekday.SUNDAY, date(2026, 11, 29)),
        (Ordinal.LAST, Weekday.SATURDAY, date(2026, 2, 28)),  # a month of exactly four weeks: the fourth is the last
        (Ordinal.FOURTH, Weekday.SATURDAY, date(2026, 2, 28)),
    ],
)
def test_the_weekday_of_a_month(ordinal: Ordinal, weekday: Weekday, day: date) -> None:
    plan = HealthCheck(ordinal=ordinal, weekday=weekday)
    due = [one for one in (day.replace(day=1) + timedelta(days=n) for n in range(31)) if one.month == day.month]
    assert [one for one in due if is_due(plan, one)] == [day]


@given(PLANS, DAYS)
def test_a_plan_is_due_once_in_every_month(plan: HealthCheck, day: date) -> None:
    month = [one for one in (day.replace(day=1) + timedelta(days=n) for n in range(31)) if one.month == day.month]
    assert sum(is_due(plan, one) for one in month) == 1


@given(DAYS)
def test_every_share_has_its_month(day: date) -> None:
    months = [date(day.year + (day.month - 1 + n) // 12, (day.month - 1 + n) % 12 + 1, 1) for n in range(SHARES)]
    assert {monthly_share(month) for month in months} == set(range(SHARES))


@given(MOMENTS, st.integers(1, 1000))
def test_every_share_has_its_day(now: datetime, shares: int) -> None:
    assert {daily_share(now + timedelta(days=n), shares) for n in range(shares)} == set(range(shares))


@pytest.mark.parametrize("shares", [0, -1, 1001])
def test_a_number_of_shares_that_makes_no_sense(shares: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        daily_share(datetime(2026, 11, 22, tzinfo=UTC), shares)
    assert caught.value.fields == {"shares": "Between 1 (all blocks) and 1000."}
