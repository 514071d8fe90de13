"""Dates in AWS's answers, read quickly, are what botocore would have read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from server.adapters.aws import moment

moments = st.integers(0, 30_000_000_000_000_000).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))


@given(moments, st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_a_usual_date_is_read_as_botocore_reads_it(at: datetime, precision: str) -> None:
    text = at.isoformat(timespec=precision).replace("+00:00", "Z")
    assert moment(text) == parse_timestamp(text)
    assert moment(text).utcoffset() == timedelta()


@pytest.mark.parametrize(
    "text", ["Wed, 21 Oct 2026 07:28:00 GMT", 1792568880, "1792568880.5", "2026-10-21T07:28:00+02:00", "2026-10-21"]
)
def test_other_forms_are_left_to_botocore(text: Any) -> None:
    assert moment(text) == parse_timestamp(text)


def test_a_date_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        moment("tomorrow")


def test_the_zone_is_utc() -> None:
    assert moment("2026-10-21T07:28:00Z") == datetime(2026, 10, 21, 9, 28, tzinfo=timezone(timedelta(hours=2)))
