"""A point's disk read like a block device: any range, each block fetched once, failures that pass."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.adapters.blobs.faulty import Faults, FaultyBlobs
from server.domain.errors import Damaged, InvalidInput, NotFound, Unavailable
from server.ports import BLOCK_SIZE
from server.repository import layout
from server.repository.repository import Repository
from server.repository.view import AHEAD, BlockCache, DiskView
from tests.repository.bed import PASSWORD, Bed, Content, block
from tests.waiting import until

BLOCKS = 600
CONTENT: Content = {0: 1, 1: 5, 2: 0, 3: 2, 255: 3, 256: 4, 400: 6, 599: 7}


class Counting(FaultyBlobs):
    """Notes every range of a data pack that is read; ``before`` is called first."""

    def __init__(self, bed: Bed) -> None:
        super().__init__(bed.inner, bed.clock, seed=1)
        self.ranges: list[tuple[str, int]] = []
        self.before: Callable[[str], None] = lambda _: None

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.before(name)
        if name.startswith(layout.PACKS):
            self.ranges.append((name, start))
        return super().get(name, start=start, length=length)


@contextmanager
def view(
    content: Content = CONTENT, *, blocks: int = BLOCKS, cached: int = 64, bed: Bed | None = None
) -> Iterator[tuple[DiskView, Counting]]:
    """A disk of a new point, and what it reads from."""
    bed = bed or Bed()
    manifest, _ = bed.backup(content, blocks=blocks)
    store = Counting(bed)
    repo = Repository.open(store, PASSWORD, clock=bed.clock, owner=None)
    with ThreadPoolExecutor(3) as pool:
        yield DiskView(repo, manifest, "vol-1", BlockCache(pool, blocks=cached)), store


def joined(disk: DiskView, offset: int, length: int) -> bytes:
    return b"".join(bytes(piece.length) if piece.data is None else bytes(piece.data) for piece in disk.read(offset, length))


def expected(offset: int, length: int) -> bytes:
    first, last = offset // BLOCK_SIZE, (offset + length) // BLOCK_SIZE
    whole = b"".join(block(CONTENT.get(index, 0)) for index in range(first, last + 1))
    return whole[offset - first * BLOCK_SIZE :][:length]


@pytest.fixture(scope="module")
def disk() -> Iterator[DiskView]:
    with view() as (made, _):
        yield made


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_range_is_what_the_disk_holds(disk: DiskView, data: st.DataObject) -> None:
    near = data.draw(st.sampled_from([0, 1, 2, 3, 4, 255, 256, 257, 399, 400, 598, 599]))
    offset = min(data.draw(st.integers(0, BLOCK_SIZE)) + near * BLOCK_SIZE, disk.size_bytes)
    length = data.draw(st.integers(0, min(3 * BLOCK_SIZE, disk.size_bytes - offset)))
    assert joined(disk, offset, length) == expected(offset, length)


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (BLOCKS * BLOCK_SIZE, 1), (0, BLOCKS * BLOCK_SIZE + 1)])
def test_a_range_that_leaves_the_disk_is_refused(disk: DiskView, offset: int, length: int) -> None:
    with pytest.raises(InvalidInput):
        disk.read(offset, length)
    with pytest.raises(InvalidInput):
        list(disk.extents(offset, length))


def test_extents_are_the_stored_blocks(disk: DiskView) -> None:
    runs, at = [], 0
    for length, stored in disk.extents(0, disk.size_bytes):
        runs.append((at // BLOCK_SIZE, length // BLOCK_SIZE, stored))
        at += length
    assert at == disk.size_bytes
    assert [run[:2] for run in runs if run[2]] == [(0, 2), (3, 1), (255, 2), (400, 1), (599, 1)]
    assert all(one[2] != two[2] for one, two in itertools.pairwise(runs))


def test_extents_of_a_part_are_cut_to_it(disk: DiskView) -> None:
    assert list(disk.extents(10, BLOCK_SIZE)) == [(BLOCK_SIZE, True)]
    assert list(disk.extents(2 * BLOCK_SIZE - 5, 10)) == [(5, True), (5, False)]


def test_sixteen_tebibytes_of_nothing_are_told_at_once() -> None:
    with view({0: 1}, blocks=16 * 2**41 // 2**20) as (huge, _):
        assert list(huge.extents(0, huge.size_bytes)) == [(BLOCK_SIZE, True), (huge.size_bytes - BLOCK_SIZE, False)]
        assert joined(huge, huge.size_bytes - 10, 10) == bytes(10)


def test_zeros_are_never_fetched() -> None:
    with view() as (disk, store):
        assert joined(disk, 5 * BLOCK_SIZE, 200 * BLOCK_SIZE) == bytes(200 * BLOCK_SIZE)
        assert store.ranges == []


def test_a_block_is_fetched_once_however_many_ask_for_parts_of_it() -> None:
    with view() as (disk, store), ThreadPoolExecutor(8) as readers:
        gate = threading.Event()
        store.before = lambda name: None if not name.startswith(layout.PACKS) else _wait(gate)
        asked = [readers.submit(joined, disk, 400 * BLOCK_SIZE + part * 4096, 4096) for part in range(8)]
        gate.set()
        assert b"".join(one.result() for one in asked) == block(CONTENT[400])[: 8 * 4096]
        assert len(store.ranges) == 1


def test_one_who_reads_forward_is_fetched_ahead_for() -> None:
    content = {index: index + 1 for index in range(40)}
    with view(content) as (disk, store):
        joined(disk, 20 * BLOCK_SIZE, 4096)
        assert not _cached(disk, 21)
        joined(disk, 21 * BLOCK_SIZE, 4096)
        until(lambda: all(_cached(disk, index) for index in range(22, 22 + AHEAD - 2)), what="fetching ahead")
        before = len(store.ranges)
        for index in range(22, 22 + AHEAD - 2):
            assert joined(disk, index * BLOCK_SIZE, BLOCK_SIZE) == block(content[index])
        assert len(store.ranges) - before < AHEAD / 2  # neighbours come together


def test_memory_stays_within_the_cache() -> None:
    content = {index: index + 1 for index in range(40)}
    with view(content, cached=8) as (disk, _):
        for index in range(40):
            assert joined(disk, index * BLOCK_SIZE, BLOCK_SIZE) == block(content[index])
        assert sum(_cached(disk, index) for index in range(40)) <= 8


def test_a_failure_that_passes_is_not_remembered() -> None:
    with view() as (disk, store):
        store.faults = Faults(refused=1.0)
        with pytest.raises(Unavailable):
            disk.read(400 * BLOCK_SIZE, 10)
        store.faults = Faults()
        assert joined(disk, 400 * BLOCK_SIZE, 10) == block(CONTENT[400])[:10]


def test_damage_hurts_the_damaged_block_only() -> None:
    bed = Bed()
    with view(bed=bed) as (disk, _):
        (entry,) = [entry for index, entry in disk._entries(0, 3).items() if index == 1]
        name = layout.data_pack(entry.pack[:16])
        data = bytearray(bed.inner.get(name))
        data[entry.offset + 100] ^= 1
        bed.inner.put(name, bytes(data))
        with pytest.raises(Damaged):
            disk.read(0, 4 * BLOCK_SIZE)
        assert joined(disk, 0, BLOCK_SIZE) == block(CONTENT[0])
        assert joined(disk, 2 * BLOCK_SIZE, 2 * BLOCK_SIZE) == block(0) + block(CONTENT[3])


def _wait(gate: threading.Event) -> None:
    assert gate.wait(20)


def _cached(disk: DiskView, index: int) -> bool:
    return disk._cache.has("vol-1", index)


def test_an_unknown_disk_is_told_which_there_are() -> None:
    bed = Bed()
    manifest, _ = bed.backup({0: 1})
    with ThreadPoolExecutor(1) as pool, pytest.raises(NotFound) as caught:
        DiskView(bed.repo, manifest, "nix", BlockCache(pool))
    assert "vol-1" in (caught.value.remedy or "")
