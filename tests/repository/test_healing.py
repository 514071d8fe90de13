"""Damage recorded by a check is read from the source again by the next backup, which heals older points too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.adapters.blobs.faulty import Crash
from server.domain.errors import Damaged, InvalidInput
from server.ports import BLOCK_SIZE
from server.repository.crypto import TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.damage import Bad, write_damage
from server.repository.fetch import Fetcher, TreeReader
from server.repository.heal import Coverage, Suspects
from server.repository.layout import data_pack, tree_pack
from server.repository.manifest import Manifest
from server.repository.repository import Control, DiskInput, DiskResult, Tuning, resume_index
from server.repository.tree import LEAF_BITS, LEAF_BLOCKS, Entry
from tests.repository.bed import EAGER, SMALL, Bed, Content, Source, plain, refs

BLOCKS = 6000
DISK = DiskInput(disk_id="vol-1", size_bytes=BLOCKS * BLOCK_SIZE)
CONTENT: Content = {index: 5 * index + 1 + index % 2 for index in range(0, BLOCKS, 120)}  # some compress, some do not


def located(bed: Bed, manifest: Manifest, index: int) -> Entry:
    """Where a block of the point is stored."""
    disk = manifest.disks[0]
    return TreeReader(Fetcher(bed.repo.vault), disk.root, disk.level).node(0, index >> LEAF_BITS)[index & (LEAF_BLOCKS - 1)]


def leaf_of(bed: Bed, manifest: Manifest, index: int) -> Entry:
    disk = manifest.disks[0]
    entry = TreeReader(Fetcher(bed.repo.vault), disk.root, disk.level).entry(0, index >> LEAF_BITS)
    assert entry is not None
    return entry


def flip(bed: Bed, name: str, at: int) -> None:
    data = bytearray(bed.inner.get(name))
    data[at] ^= 1
    bed.inner.delete([name])
    bed.inner.put(name, bytes(data))


def note(bed: Bed, *bad: Bad) -> None:
    write_damage(bed.repo.vault, bad, at=bed.clock.now())


def indexes(ranges: Iterable[tuple[int, int]]) -> set[int]:
    return {index for start, end in ranges for index in range(start, end)}


def healing_backup(
    bed: Bed,
    parent: UUID,
    content: Content,
    changed: Iterable[int] = (),
    *,
    point: UUID | None = None,
    tuning: Tuning = SMALL,
    source: Source | None = None,
    saved: list[str] | None = None,
) -> tuple[Manifest, DiskResult]:
    """As the service does it: what changed, and the suspects; goes on behind the last checkpoint of ``saved``."""
    run = bed.repo.begin(point or uuid4(), parent=parent, tuning=tuning)
    checkpoint = saved[-1] if saved and run.accepts(saved[-1]) else None
    listed = {*changed, *indexes(run.suspects("vol-1"))}
    result = run.disk(
        DISK,
        blocks=refs(content, listed, resume_index(checkpoint)),
        read=(source or Source(content)).read,
        mode="changed",
        control=Control(save=saved.append if saved is not None else lambda _: None),
        checkpoint=checkpoint,
    )
    return run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result]), result


class TestBlocks:
    @pytest.mark.parametrize("index", [0, 120, 240, 360])
    def test_a_flipped_one_is_healed_for_every_point(self, index: int) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT, blocks=BLOCKS)
        second, _ = bed.backup(CONTENT | {600: 7}, blocks=BLOCKS, changed=[600], parent=first.id)
        bad = located(bed, second, index)
        flip(bed, data_pack(bad.pack[:16]), bad.offset + 9)
        with pytest.raises(Damaged):
            bed.restored(first)
        note(bed, Bad(TYPE_DATA_PACK, bad.pack, bad.offset, bad.length))
        third, result = healing_backup(bed, second.id, CONTENT | {600: 7})
        assert result.record.blocks_written == 1
        assert bed.restored(third) == bed.restored(second) == plain(CONTENT | {600: 7})
        assert bed.restored(first) == plain(CONTENT)
        assert third.disks[0].content_root == second.disks[0].content_root

    def test_a_missing_pack_is_healed_where_the_source_still_has_it(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT, blocks=BLOCKS)
        bad = located(bed, first, 240)
        bed.inner.delete([data_pack(bad.pack[:16])])
        lost = {index for index in CONTENT if located(bed, first, index).pack == bad.pack}
        note(bed, Bad(TYPE_DATA_PACK, bad.pack[:16]))
        run = bed.repo.begin(uuid4(), parent=first.id)
        assert indexes(run.suspects("vol-1")) == lost
        run.abandon()
        content = {**CONTENT, 240: 12345}
        second, result = healing_backup(bed, first.id, content, [240])
        assert result.record.blocks_written == len(lost)
        assert bed.restored(second) == plain(content)
        with pytest.raises(Damaged):
            bed.restored(first)  # block 240 of then is nowhere any more
        others, _ = healing_backup(bed, second.id, content)
        assert bed.restored(others) == plain(content)

    def test_another_compression_level_still_heals_older_points(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT, blocks=BLOCKS, tuning=replace(SMALL, level=3))
        for index in (0, 120, 240, 360):
            bad = located(bed, first, index)
            flip(bed, data_pack(bad.pack[:16]), bad.offset)
            note(bed, Bad(TYPE_DATA_PACK, bad.pack, bad.offset, bad.length))
            second, _ = healing_backup(bed, first.id, CONTENT)
            assert bed.restored(second) == plain(CONTENT)
        assert bed.restored(first) == plain(CONTENT)

    def test_in_a_full_backup_too(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT, blocks=BLOCKS)
        bad = located(bed, first, 120)
        flip(bed, data_pack(bad.pack[:16]), bad.offset)
        note(bed, Bad(TYPE_DATA_PACK, bad.pack, bad.offset, bad.length))
        run = bed.repo.begin(uuid4(), parent=first.id)
        result = run.disk(DISK, blocks=refs(CONTENT), read=Source(CONTENT).read, mode="full", control=Control())
        assert result.record.blocks_written == 1
        second = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert bed.restored(second) == bed.restored(first) == plain(CONTENT)

    def test_left_out_is_refused(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT, blocks=BLOCKS)
        bad = located(bed, first, 3000)
        note(bed, Bad(TYPE_DATA_PACK, bad.pack, bad.offset, bad.length))
        for changed in ([], [0, 5400], [5400]):
            with pytest.raises(InvalidInput, match="Block 3000 of vol-1 is damaged"):
                bed.backup(CONTENT, blocks=BLOCKS, changed=changed, parent=first.id)

    def test_nothing_is_suspect_without_damage(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT, blocks=BLOCKS)
        note(bed, Bad(TYPE_DATA_PACK, bytes(16)), Bad(TYPE_TREE_PACK, bytes(16)))
        run = bed.repo.begin(uuid4(), parent=first.id)
        assert run.suspects("vol-1") == []
        assert run.suspects("vol-2") == []


class TestTrees:
    def test_a_damaged_leaf_makes_its_whole_range_suspect(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT, blocks=BLOCKS)
        leaf = leaf_of(bed, first, 3000)
        note(bed, Bad(TYPE_TREE_PACK, leaf.pack, leaf.offset, leaf.length))
        flip(bed, tree_pack(leaf.pack[:16]), leaf.offset)
        run = bed.repo.begin(uuid4(), parent=first.id)
        assert run.suspects("vol-1") == [(2816, 3072)]
        run.abandon()
        second, _ = healing_backup(bed, first.id, CONTENT)
        assert bed.restored(second) == bed.restored(first) == plain(CONTENT)
        assert second.disks[0].content_root == first.disks[0].content_root

    def test_a_missing_tree_pack_makes_everything_suspect(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT, blocks=BLOCKS)
        root = first.disks[0].root
        assert root is not None
        bed.inner.delete([tree_pack(root.pack[:16])])
        note(bed, Bad(TYPE_TREE_PACK, root.pack[:16]))
        run = bed.repo.begin(uuid4(), parent=first.id)
        assert run.suspects("vol-1") == [(0, BLOCKS)]
        run.abandon()
        second, _ = healing_backup(bed, first.id, CONTENT)
        assert bed.restored(second) == bed.restored(first) == plain(CONTENT)

    def test_a_full_backup_needs_nothing_of_a_broken_parent(self) -> None:
        """Nobody has checked: the damage is met while backing up."""
        bed = Bed()
        first, _ = bed.backup(CONTENT, blocks=BLOCKS)
        bed.inner.delete(bed.names("trees/"))
        with pytest.raises(Damaged):
            bed.backup(CONTENT, blocks=BLOCKS, changed=[0], parent=first.id)
        run = bed.repo.begin(uuid4(), parent=first.id)
        result = run.disk(DISK, blocks=refs(CONTENT), read=Source(CONTENT).read, mode="full", control=Control())
        second = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert bed.restored(second) == plain(CONTENT)


class TestInterrupted:
    def test_heals_survive_a_crash_behind_their_checkpoint(self) -> None:
        bed = Bed()
        content: Content = {index: 5 * index + 1 for index in range(0, BLOCKS, 20)}
        first, _ = bed.backup(content, blocks=BLOCKS)
        bad = located(bed, first, 120)
        flip(bed, data_pack(bad.pack[:16]), bad.offset)
        note(bed, Bad(TYPE_DATA_PACK, bad.pack, bad.offset, bad.length))
        changed = [index for index in content if index > 120]
        tuning = replace(EAGER, checkpoint_patience=0.0)
        saved: list[str] = []
        source = Source(content)

        def die(index: int) -> None:
            if index >= 5000:
                raise Crash

        source.at = die
        point = uuid4()
        with pytest.raises(Crash):
            healing_backup(bed, first.id, content, changed, point=point, tuning=tuning, source=source, saved=saved)
        assert saved
        bed.reopen()
        again = Source(content)
        healing_backup(bed, first.id, content, changed, point=point, tuning=tuning, source=again, saved=saved)
        assert 120 not in again.read_indexes
        assert bed.restored(first) == plain(content)


ranges = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=8)


@given(ranges)
def test_suspect_ranges_are_ascending_and_disjoint(found: list[tuple[int, int]]) -> None:
    suspects = Suspects()
    expected: set[int] = set()
    for start, length in sorted(found):
        suspects.add(start, start + length)
        expected |= set(range(start, start + length))
    assert indexes(suspects.ranges) == expected
    assert sum(end - start for start, end in suspects.ranges) == len(expected)
    assert suspects.ranges == sorted(suspects.ranges)


@given(ranges, st.sets(st.integers(0, 400)), st.integers(0, 300))
@settings(max_examples=200)
def test_coverage_refuses_exactly_when_something_is_left_out(
    found: list[tuple[int, int]], listed: set[int], start: int
) -> None:
    suspects = Suspects()
    for first, length in sorted(found):
        suspects.add(first, first + length)
    due = {index for index in indexes(suspects.ranges) if index >= start}

    def check() -> None:
        coverage = Coverage("vol-1", suspects.ranges, start)
        for index in sorted(listed):
            if index >= start:
                coverage.listed(index)
        coverage.listed(None)

    if due <= listed:
        check()
    else:
        with pytest.raises(InvalidInput, match=f"Block {min(due - listed)} "):
            check()
