"""When an SLA policy's windows have closed everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.periods import Period
from server.domain.region_zones import zone_name
from server.domain.sla import DailyPlan, LegPlan, SlaTerms, Window
from server.domain.wall_clock import zone
from server.domain.windows import closed_since, closings

SINGAPORE, OREGON, VIRGINIA = "ap-southeast-1", "us-west-2", "us-east-1"
KEEP = DailyPlan(every_minutes=60, keep=Period(7))


def terms(start: float, end: float, backup: Window | None = None) -> SlaTerms:
    window = Window(start=int(start * 60), end=int(end * 60))
    return SlaTerms(snapshot=LegPlan(window=window, daily=KEEP), backup=LegPlan(window=backup, daily=KEEP) if backup else None)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_example_a_window_of_09_to_21_in_singapore_and_oregon() -> None:
    """In summer it is open from 01:00 to 13:00 UTC in Singapore, from 16:00 to 04:00 in Oregon (an hour later in winter)."""
    both = (SINGAPORE, OREGON)
    assert closed_since(terms(9, 21), both, at("2026-01-15 14:00")) == at("2026-01-15 13:00")
    assert closed_since(terms(9, 21), both, at("2026-01-15 16:59")) == at("2026-01-15 13:00")
    assert closed_since(terms(9, 21), both, at("2026-01-15 17:00")) is None
    assert closed_since(terms(9, 21), both, at("2026-07-15 16:00")) is None
    assert closed_since(terms(9, 21), both, at("2026-01-16 00:59")) is None, "Oregon's is open until 05:00 UTC"
    assert closed_since(terms(9, 21), (SINGAPORE,), at("2026-01-15 13:00")) == at("2026-01-15 13:00")


@pytest.mark.parametrize("now", ["2026-01-15 00:00", "2026-01-15 09:30", "2026-03-08 07:00"])
def test_a_window_of_24_hours_never_closes(now: str) -> None:
    assert closed_since(terms(0, 0), (VIRGINIA,), at(now)) is None
    assert closings(terms(0, 0), (VIRGINIA,), at(now), at(now) + timedelta(days=9)) == []


def test_a_window_across_midnight_closes_the_day_after() -> None:
    assert closed_since(terms(22, 2), (VIRGINIA,), at("2026-01-15 06:59")) is None
    assert closed_since(terms(22, 2), (VIRGINIA,), at("2026-01-15 07:00")) == at("2026-01-15 07:00")


def test_the_backup_window_counts_too() -> None:
    both = terms(7, 9, Window(start=20 * 60, end=22 * 60))
    assert closed_since(both, (VIRGINIA,), at("2026-01-15 15:00")) == at("2026-01-15 14:00")
    assert closed_since(both, (VIRGINIA,), at("2026-01-16 02:00")) is None
    assert closings(both, (VIRGINIA,), at("2026-01-15 00:00"), at("2026-01-16 04:00")) == [
        at("2026-01-15 03:00"),
        at("2026-01-15 14:00"),
        at("2026-01-16 03:00"),
    ]


hours = st.integers(0, 23)


@given(hours, hours, st.lists(st.sampled_from([SINGAPORE, OREGON, VIRGINIA]), min_size=1, max_size=3, unique=True))
def test_open_means_open_by_the_wall_clock_of_some_region(start: int, end: int, regions: list[str]) -> None:
    """Away from the changes to summer time, minute by minute over a day."""
    template = terms(start, end)
    begin = at("2026-06-10 00:00")
    for quarter in range(96):
        now = begin + timedelta(minutes=15 * quarter)
        opened = False
        for region in regions:
            wall = now.astimezone(zone(zone_name(region)))
            minute = wall.hour * 60 + wall.minute
            low, high = start * 60, end * 60
            opened |= low <= minute < high if low < high else minute >= low or minute < high
        assert (closed_since(template, regions, now) is None) is opened
