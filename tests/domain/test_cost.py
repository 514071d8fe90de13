"""Cost estimates: worked examples by hand, and what must hold for any."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain import cost
from server.domain.archive import WAITS
from server.domain.cost import GIB, Stored
from server.domain.repository import RetrievalMode, StorageClass

TIB = 1024 * GIB
REGIONS = ["us-east-1", "eu-west-1", "eu-central-1", "xx-nowhere-1", None]


def test_a_tebibyte_retrieved_from_flexible_retrieval_in_virginia() -> None:
    """1 TiB in 2,048 packs, standard, kept 1 day: 1024 x 0.01 + 2.048 x 0.05 + 1024 x 0.023 / 30."""
    found = cost.retrieval(cost.bundled("us-east-1"), StorageClass.GLACIER, RetrievalMode.STANDARD, Stored(2048, TIB), days=1)
    assert found.retrieval == pytest.approx(10.24)
    assert found.requests == pytest.approx(0.1024)
    assert found.copies == pytest.approx(0.785, abs=0.001)
    assert found.total == pytest.approx(11.13, abs=0.005)


def test_bulk_is_free_but_for_the_copies() -> None:
    found = cost.retrieval(cost.bundled("us-east-1"), StorageClass.GLACIER, RetrievalMode.BULK, Stored(2048, TIB), days=3)
    assert found.total == found.copies > 0


def test_expedited_costs_most_where_there_are_many_objects() -> None:
    few = cost.retrieval(cost.bundled("us-east-1"), StorageClass.GLACIER, RetrievalMode.EXPEDITED, Stored(1, GIB), days=1)
    many = cost.retrieval(cost.bundled("us-east-1"), StorageClass.GLACIER, RetrievalMode.EXPEDITED, Stored(1000, GIB), days=1)
    assert many.requests - few.requests == pytest.approx(9.99)


def test_keeping_counts_the_overhead_of_archived_objects() -> None:
    """A million objects of nothing: 8 GB of STANDARD and 32 GB of the class, in binary units."""
    month = cost.monthly(cost.bundled("us-east-1"), {StorageClass.DEEP_ARCHIVE: Stored(1_000_000, 0)})
    assert month == pytest.approx(7.629 * 0.023 + 30.518 * 0.00099, rel=0.001)
    assert cost.monthly(cost.bundled("us-east-1"), {StorageClass.STANDARD: Stored(1_000_000, TIB)}) == pytest.approx(23.552)


def test_deleting_before_the_minimum_is_charged_for_the_rest_of_it() -> None:
    charge = cost.early_deletion(cost.bundled("us-east-1"), StorageClass.GLACIER, TIB, timedelta(days=30))
    assert charge == pytest.approx(1024 * 0.0036 * 2)
    assert cost.early_deletion(cost.bundled("us-east-1"), StorageClass.GLACIER, TIB, timedelta(days=90)) == 0
    assert cost.early_deletion(cost.bundled("us-east-1"), StorageClass.STANDARD, TIB, timedelta(0)) == 0


def test_an_unknown_region_is_estimated_and_said_to_be() -> None:
    assert cost.bundled("us-east-1").exact
    assert not cost.bundled("xx-nowhere-1").exact
    order = (StorageClass.GLACIER, RetrievalMode.STANDARD, Stored(1, TIB))
    elsewhere = cost.retrieval(cost.bundled("xx-nowhere-1"), *order, days=1)
    assert all(elsewhere.total >= cost.retrieval(cost.bundled(region), *order, days=1).total for region in REGIONS)


@pytest.mark.parametrize("region", REGIONS)
def test_every_mode_that_exists_has_a_price_and_no_other(region: str | None) -> None:
    for storage_class, waits in WAITS.items():
        assert set(cost.bundled(region).storage[storage_class].retrieval) == set(waits)


@given(
    region=st.sampled_from(REGIONS),
    size=st.integers(0, 2**50),
    objects=st.integers(0, 10**6),
    days=st.integers(1, 365),
)
def test_archives_are_cheaper_to_keep_and_slower_modes_cheaper_to_read(
    region: str | None, size: int, objects: int, days: int
) -> None:
    stored = Stored(0, size)
    standard, flexible, deep = (cost.monthly(cost.bundled(region), {each: stored}) for each in StorageClass)
    assert standard >= flexible >= deep >= 0
    for storage_class, waits in WAITS.items():
        totals = [
            cost.retrieval(cost.bundled(region), storage_class, mode, Stored(objects, size), days=days).total for mode in waits
        ]
        assert totals == sorted(totals, reverse=True)
