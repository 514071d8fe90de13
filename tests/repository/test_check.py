"""Damage of every kind is found, and blamed on exactly the points, disks and bytes it hurts."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.domain.errors import Cancelled, Damaged, HoldfastError
from server.ports import BLOCK_SIZE
from server.repository.check import Harm, check
from server.repository.fetch import Fetcher, NodeAt
from server.repository.repository import Control
from server.repository.tree import Entry
from tests.repository.bed import Bed, Content, plain

SAMPLE: Content = {0: 5, 1: 10, 300: 15}


def problems(bed: Bed, level: Literal["structure", "content"] = "content") -> list[tuple[str, tuple[Harm, ...]]]:
    return [(problem.object, problem.harm) for problem in check(bed.repo, level)]


def alter(bed: Bed, name: str, position: int) -> None:
    data = bytearray(bed.inner.get(name))
    data[position] ^= 0x40
    bed.inner.put(name, bytes(data))


def test_a_sound_repository_has_no_problems() -> None:
    bed = Bed()
    first, _ = bed.backup(SAMPLE)
    bed.backup(SAMPLE | {1: 20}, changed=[1], parent=first.id)
    bed.backup({})
    assert problems(bed, "structure") == problems(bed) == []


def test_a_bad_block_hurts_the_points_that_share_it_and_no_other() -> None:
    bed = Bed()
    first, _ = bed.backup(SAMPLE)
    (pack,) = bed.names("packs/")
    second, _ = bed.backup(SAMPLE | {1: 20}, changed=[1], parent=first.id)
    third, _ = bed.backup(SAMPLE | {0: 25, 1: 20}, changed=[0], parent=second.id)
    entry = leaf(bed, first.disks[0].root)[0]  # block 0
    alter(bed, pack, entry.offset + 1000)
    assert problems(bed, "structure") == []
    ((name, harm),) = problems(bed)
    assert name == pack
    assert set(harm) == {Harm(point.id, "vol-1", 0, BLOCK_SIZE) for point in (first, second)}
    assert bed.restored(third)[0] != b""
    with pytest.raises(Damaged):
        bed.restored(second)


def leaf(bed: Bed, root: Entry | None) -> list[Entry]:
    """Entries of the first leaf, in order."""
    assert root is not None
    fetcher = Fetcher(bed.repo.vault)
    page = fetcher.node(NodeAt(root, 1, 0))
    return list(fetcher.node(NodeAt(page[0], 0, 0)).values())


def test_a_missing_pack() -> None:
    bed = Bed()
    first, _ = bed.backup({0: 5, 1: 10, 2: 1, 300: 15, 599: 20}, blocks=600)
    bed.inner.delete(bed.names("packs/"))
    found = problems(bed, "structure")
    harm = [item for _, items in found for item in items]
    assert {(item.start, item.end) for item in harm} == {
        (0, 3 * BLOCK_SIZE),
        (300 * BLOCK_SIZE, 301 * BLOCK_SIZE),
        (599 * BLOCK_SIZE, 600 * BLOCK_SIZE),
    } or sum(item.end - item.start for item in harm) == 5 * BLOCK_SIZE
    assert {item.point_id for item in harm} == {first.id}


def test_a_truncated_pack() -> None:
    bed = Bed()
    bed.backup(SAMPLE)
    (pack,) = bed.names("packs/")
    bed.inner.put(pack, bed.inner.get(pack)[: BLOCK_SIZE + 100])
    assert [name for name, _ in problems(bed, "structure")] == [pack]


def test_a_bad_node_hurts_its_whole_range() -> None:
    bed = Bed()
    first, _ = bed.backup(SAMPLE)
    (tree,) = bed.names("trees/")
    alter(bed, tree, 60)  # the first node: leaf 0, blocks 0–255
    ((name, harm),) = problems(bed, "structure")
    assert name == tree
    assert harm == (Harm(first.id, "vol-1", 0, 256 * BLOCK_SIZE),)


def test_a_bad_manifest_hurts_the_whole_point() -> None:
    bed = Bed()
    first, _ = bed.backup(SAMPLE)
    second, _ = bed.backup(SAMPLE)
    alter(bed, f"points/{first.id}", 100)
    ((name, harm),) = problems(bed, "structure")
    assert name == f"points/{first.id}"
    assert [item.point_id for item in harm] == [first.id]
    with pytest.raises(Damaged):
        bed.repo.point(first.id)
    assert bed.restored(second) == plain(SAMPLE)


def test_exchanged_manifests_are_noticed() -> None:
    bed = Bed()
    first, _ = bed.backup(SAMPLE)
    second, _ = bed.backup({1: 1})
    one, two = bed.inner.get(f"points/{first.id}"), bed.inner.get(f"points/{second.id}")
    bed.inner.put(f"points/{first.id}", two)
    bed.inner.put(f"points/{second.id}", one)
    assert len(problems(bed, "structure")) == 2


def test_exchanged_packs_are_noticed() -> None:
    bed = Bed()
    bed.backup(SAMPLE)
    bed.backup({0: 30, 1: 35, 300: 40})
    one, two = bed.names("packs/")
    first, second = bed.inner.get(one), bed.inner.get(two)
    bed.inner.put(one, second)
    bed.inner.put(two, first)
    assert len([harm for _, items in problems(bed) for harm in items]) == 6  # each block of each point


def test_forgotten_points_are_not_checked() -> None:
    bed = Bed()
    first, _ = bed.backup(SAMPLE)
    bed.repo.forget(first.id)
    bed.inner.delete(bed.packs())
    assert problems(bed) == []


def test_cancelled() -> None:
    bed = Bed()
    bed.backup(SAMPLE)
    with pytest.raises(Cancelled):
        list(check(bed.repo, "structure", control=Control(cancelled=lambda: True)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_alteration_of_any_object_is_ever_returned_as_data(data: st.DataObject) -> None:
    """Flip, cut, remove or exchange anything a point needs: a restore either fails or yields the right bytes."""
    bed = Bed()
    content: Content = {0: 5, 1: 7, 300: 15}
    first, _ = bed.backup(content)
    bed.backup({0: 11, 1: 20})
    names = bed.packs() + bed.names("points/")
    name = names[data.draw(st.integers(0, 5))]
    stored = bed.inner.get(name)
    # A share of the length, as lengths and names vary by a few bytes from run to run.
    position = int(data.draw(st.floats(0, 0.999999)) * len(stored))
    how = data.draw(st.sampled_from(["flip", "cut", "remove", "exchange", "grow"]))
    if how == "flip":
        alter(bed, name, position)
    elif how == "cut":
        bed.inner.put(name, stored[:position])
    elif how == "grow":
        bed.inner.put(name, stored + b"x")
    elif how == "exchange":
        bed.inner.put(name, bed.inner.get(names[data.draw(st.integers(0, 5))]))
    else:
        bed.inner.delete([name])
    try:
        restored = bed.restored(bed.repo.point(first.id))
    except HoldfastError:
        assert problems(bed) or (how == "remove" and name == f"points/{first.id}")
        return
    assert restored == plain(content)
