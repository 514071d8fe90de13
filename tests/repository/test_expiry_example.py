"""A chain whose oldest point expires: what is left reads as if it had been merged into its successor."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.domain.errors import NotFound
from server.repository.prune import collect
from tests.repository.bed import Bed, plain

A, B, C = 11, 12, 13  # contents of blocks, as seeds
NEW_B, NEW_C = 22, 23


def test_example_full_abc_d0_then_b_on_d1_then_c_on_d2_and_d0_expires() -> None:
    """Full {0: a, 1: b, 2: c} on day 0, increment {1: B} on day 1, {2: C} on day 2; day 0 expires: day 1 is {a, B, c}, day 2
    {a, B, C}."""
    bed = Bed()
    d0, _ = bed.backup({0: A, 1: B, 2: C})
    bed.days(1)
    d1, _ = bed.backup({0: A, 1: NEW_B, 2: C}, changed=[1], parent=d0.id)
    bed.days(1)
    d2, _ = bed.backup({0: A, 1: NEW_B, 2: NEW_C}, changed=[2], parent=d1.id)

    bed.repo.forget(d0.id)
    for _ in range(4):
        bed.days(2)
        collect(bed.repo, min_age=timedelta(days=1))

    assert bed.restored(d1) == plain({0: A, 1: NEW_B, 2: C})
    assert bed.restored(d2) == plain({0: A, 1: NEW_B, 2: NEW_C})
    with pytest.raises(NotFound):
        bed.repo.point(d0.id)


def test_example_an_expired_point_between_kept_ones_leaves_its_blocks_to_its_successor() -> None:
    """Flags make this case: the middle one goes, the weekly one before it stays."""
    bed = Bed()
    d0, _ = bed.backup({0: A, 1: B})
    bed.days(1)
    d1, _ = bed.backup({0: A, 1: NEW_B}, changed=[1], parent=d0.id)
    bed.days(1)
    d2, _ = bed.backup({0: A, 1: NEW_B, 2: NEW_C}, changed=[2], parent=d1.id)

    bed.repo.forget(d1.id)
    for _ in range(4):
        bed.days(2)
        collect(bed.repo, min_age=timedelta(days=1))

    assert bed.restored(d0) == plain({0: A, 1: B})
    assert bed.restored(d2) == plain({0: A, 1: NEW_B, 2: NEW_C})
