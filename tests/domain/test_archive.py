"""Retrieval of archived points: which orders are possible, how long they take, and how long their copies last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.archive import (
    DAYS_MAX,
    WAITS,
    asked,
    available,
    check_keep_days,
    check_order,
    current,
    days_to_ask,
    expected,
    extended_until,
    too_short,
)
from server.domain.errors import Conflict, InvalidInput
from server.domain.repository import RetrievalMode, StorageClass
from server.domain.restore import Retrieval, RetrievalState

NOW = datetime(2026, 10, 1, 15, 30, tzinfo=UTC)
MODES = [(each, mode) for each, waits in WAITS.items() for mode in waits]
moments = st.timedeltas(timedelta(0), timedelta(days=1000)).map(lambda passed: NOW + passed)


def readable(until: datetime) -> Retrieval:
    return available(asked(None, RetrievalMode.STANDARD, 1, NOW), until)


@pytest.mark.parametrize(
    ("storage_class", "mode", "earliest", "latest"),
    [
        (StorageClass.GLACIER, RetrievalMode.EXPEDITED, timedelta(minutes=1), timedelta(minutes=5)),
        (StorageClass.GLACIER, RetrievalMode.STANDARD, timedelta(hours=3), timedelta(hours=5)),
        (StorageClass.GLACIER, RetrievalMode.BULK, timedelta(hours=5), timedelta(hours=12)),
        (StorageClass.DEEP_ARCHIVE, RetrievalMode.STANDARD, timedelta(hours=12), timedelta(hours=12)),
        (StorageClass.DEEP_ARCHIVE, RetrievalMode.BULK, timedelta(hours=48), timedelta(hours=48)),
    ],
)
def test_how_long_each_mode_takes(
    storage_class: StorageClass, mode: RetrievalMode, earliest: timedelta, latest: timedelta
) -> None:
    assert expected(storage_class, mode, NOW) == (NOW + earliest, NOW + latest)


@pytest.mark.parametrize(("storage_class", "mode"), MODES)
def test_every_mode_of_the_table_can_be_ordered(storage_class: StorageClass, mode: RetrievalMode) -> None:
    check_order(storage_class, mode, 1)
    check_order(storage_class, mode, DAYS_MAX)


@pytest.mark.parametrize(
    ("storage_class", "mode"),
    [(each, mode) for each in StorageClass for mode in RetrievalMode if (each, mode) not in MODES],
)
def test_a_mode_the_class_does_not_have_is_refused(storage_class: StorageClass, mode: RetrievalMode) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_order(storage_class, mode, 1)
    assert set(refused.value.fields) == {"mode"}


@pytest.mark.parametrize("days", [0, -1, DAYS_MAX + 1])
def test_days_out_of_range_are_refused(days: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_order(StorageClass.GLACIER, RetrievalMode.BULK, days)
    assert set(refused.value.fields) == {"days"}
    with pytest.raises(InvalidInput):
        check_keep_days(0)


def test_a_retrieval_goes_from_requested_to_available_to_expired_and_can_be_asked_for_again() -> None:
    first = asked(None, RetrievalMode.BULK, 2, NOW)
    assert (first.state, first.available_until) == (RetrievalState.REQUESTED, None)
    until = NOW + timedelta(days=3)
    second = available(first, until)
    assert current(second, until - timedelta(seconds=1)) == second
    third = current(second, until)
    assert third is not None
    assert third.state is RetrievalState.EXPIRED
    again = asked(second, RetrievalMode.EXPEDITED, 1, until)
    assert (again.state, again.mode, again.requested_at) == (RetrievalState.REQUESTED, RetrievalMode.EXPEDITED, until)


def test_nobody_asks_twice() -> None:
    with pytest.raises(Conflict, match="already"):
        asked(asked(None, RetrievalMode.BULK, 2, NOW), RetrievalMode.BULK, 2, NOW + timedelta(days=30))
    with pytest.raises(Conflict, match="until 2026-10-03"):
        asked(readable(datetime(2026, 10, 3, tzinfo=UTC)), RetrievalMode.BULK, 2, NOW)


def test_an_extension_is_added_to_the_current_expiry() -> None:
    """The reference's example: available to 3 October, extended by 3 days: 6 October."""
    october_3 = datetime(2026, 10, 3, tzinfo=UTC)
    until = extended_until(readable(october_3), 3, NOW)
    assert until == datetime(2026, 10, 6, tzinfo=UTC)
    days = days_to_ask(until, NOW)
    midnight_after = (NOW + timedelta(days=days + 1)).replace(hour=0, minute=0)  # what S3 makes of it
    assert midnight_after == until


@pytest.mark.parametrize(
    "retrieval", [None, asked(None, RetrievalMode.BULK, 1, NOW), readable(NOW)], ids=["none", "requested", "expired"]
)
def test_only_a_readable_copy_can_be_extended(retrieval: Retrieval | None) -> None:
    with pytest.raises(Conflict):
        extended_until(retrieval, 1, NOW)


@given(now=moments, until=moments)
def test_s3_keeps_a_copy_at_least_as_long_as_wanted_and_at_most_a_day_longer(now: datetime, until: datetime) -> None:
    days = days_to_ask(until, now)
    end = (now + timedelta(days=days + 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert days >= 1
    assert end >= until
    assert days == 1 or end < until + timedelta(days=1)


def test_a_copy_near_its_end_is_too_short_to_rely_on() -> None:
    assert too_short(NOW + timedelta(hours=1), NOW)
    assert not too_short(NOW + timedelta(hours=3), NOW)
