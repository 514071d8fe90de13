"""Compaction: space comes back, every point stays what it was, whenever the process dies and whatever goes on beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from server.adapters.blobs.faulty import Crash, Faults
from server.domain.errors import Conflict, Damaged, NotFound
from server.domain.immutability import BucketFacts, LockRequest
from server.domain.repository import StorageClass
from server.ports import BLOCK_SIZE
from server.repository import layout, worth
from server.repository.check import check
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.marks import doomed
from server.repository.moved import read_moves
from server.repository.pack import read_footer
from server.repository.prune import collect
from server.repository.repository import Control, DiskInput, Repository
from server.repository.restore import read_blocks
from server.repository.runtime import Runtime
from tests.repository.bed import OWNER, PASSWORD, SMALL, Bed, Content, Source, plain, refs
from tests.repository.halves import BOTH, DAY, DISK, LATER, ORDERED, WHOLE, half_dead, rounds, sound, stored


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact also what is too small to pay."""
    monkeypatch.setattr(worth, "PAYBACK_MONTHS", 1e9)


class TestSpace:
    def test_comes_back_and_the_point_stays(self) -> None:
        bed = Bed()
        second = half_dead(bed)
        before = stored(bed)
        packs = set(bed.names("packs/"))
        first, swept, last = rounds(bed)
        assert first.to_compact == 4
        assert first.compacted.packs == 0
        assert swept.compacted.packs == 4
        assert swept.before.size_bytes == before
        assert swept.after.size_bytes == stored(bed) < before - 7 * BLOCK_SIZE
        assert swept.after.usd_month < swept.before.usd_month
        assert swept.after.objects == len(bed.packs()) + len(bed.names("moved/"))
        assert swept.deleted_bytes == before - swept.after.size_bytes
        assert (last.to_compact, last.compacted.packs, last.marked_objects) == (0, 0, 0)
        assert len(packs - set(bed.names("packs/"))) == 4
        sound(bed, {second.id: BOTH})

    def test_what_is_nearly_all_needed_stays(self) -> None:
        bed = Bed()
        first, _ = bed.backup(WHOLE, tuning=ORDERED)
        bed.backup(WHOLE | {0: 1005}, changed=[0], parent=first.id)
        bed.repo.forget(first.id)
        bed.days(5)
        assert [report.compacted.packs for report in rounds(bed)] == [0, 1, 0]  # the one of which a third is dead

    def test_archived_packs_are_left_alone(self) -> None:
        bed = Bed()
        second = half_dead(bed)
        for blob in list(bed.inner.list("packs/")):
            data = bed.inner.get(blob.name)
            bed.inner.delete([blob.name])
            bed.inner.put(blob.name, data, storage_class=StorageClass.GLACIER)
        bed.days(5)
        assert all(report.to_compact == 0 for report in rounds(bed))
        assert second.id in {point.id for point in bed.repo.points()}

    def test_trees_too(self, eager: None) -> None:
        bed = Bed()
        content: Content = dict.fromkeys(range(0, 6000, 5), 1)
        first, _ = bed.backup(content, blocks=6000)
        changed = {index: 6 for index in content if index >= 600}
        second, _ = bed.backup(content | changed, blocks=6000, changed=changed, parent=first.id)
        trees = set(bed.names("trees/"))
        bed.repo.forget(first.id)
        bed.days(5)
        reports = rounds(bed)
        assert reports[1].compacted.packs >= 1
        assert len(trees & set(bed.names("trees/"))) == 1
        sound(bed, {second.id: content | changed})
        third, _ = bed.backup(content | changed | {3: 11}, blocks=6000, changed=[3], parent=second.id)
        sound(bed, {second.id: content | changed, third.id: content | changed | {3: 11}})

    def test_everything_forgotten_takes_the_records_along(self) -> None:
        bed = Bed()
        second = half_dead(bed)
        rounds(bed)
        assert bed.names("moved/")
        bed.repo.forget(second.id)
        bed.days(5)
        rounds(bed)
        assert bed.packs() == bed.names("moved/") == []

    def test_again_and_again_keeps_trails_short(self, eager: None) -> None:
        bed = Bed()
        content = dict(WHOLE)
        point, _ = bed.backup(content)
        for turn in range(1, 5):
            changed = {index: 5 * index + 1000 * turn + 5 for index in range(turn, 12)}
            content |= changed
            following, _ = bed.backup(content, changed=changed, parent=point.id)
            bed.repo.forget(point.id)
            point = following
            bed.days(5)
            rounds(bed, 4)
            sound(bed, {point.id: content})
        gone = {layout.moved_pack_of(name) for name in bed.names("moved/")} - {layout.pack_id_of(name) for name in bed.packs()}
        for pack_id in gone:
            for table in read_moves(bed.repo.vault, TYPE_DATA_PACK, pack_id or b""):
                assert all(bed.inner.head(layout.data_pack(move.ref[:16])) for move in table)


class TestBesideRuns:
    def test_a_run_whose_parent_is_compacted_meanwhile(self) -> None:
        bed = Bed()
        second = half_dead(bed)
        collect(bed.repo, min_age=DAY)
        bed.days(2)
        run = bed.repo.begin(uuid4(), parent=second.id, tuning=SMALL)
        part = run.disk(DISK, blocks=refs({0: 7}), read=Source({0: 7}).read, mode="changed", control=Control())
        assert collect(bed.repo, min_age=DAY).compacted.packs == 4
        third = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[part])
        sound(bed, {second.id: BOTH, third.id: BOTH | {0: 7}})
        bed.repo.forget(second.id)
        bed.days(5)
        rounds(bed)
        sound(bed, {third.id: BOTH | {0: 7}})

    def test_a_run_that_began_before_the_mark_holds_the_sweep_up(self) -> None:
        bed = Bed()
        second = half_dead(bed)
        run = bed.repo.begin(uuid4(), parent=second.id, tuning=SMALL)
        bed.days(0.1)
        assert not collect(bed.repo, min_age=DAY).waiting
        bed.days(1.5)
        run.disk(DISK, blocks=[], read=Source({}).read, mode="changed", control=Control())  # renews its pin
        before = bed.packs()
        report = collect(bed.repo, min_age=DAY)
        assert report.waiting
        assert "began before" in report.reason
        assert bed.packs() == before
        run.abandon()
        assert collect(bed.repo, min_age=DAY).compacted.packs == 4
        sound(bed, {second.id: BOTH})

    def test_later_runs_do_not_refer_to_what_is_marked(self, tmp_path: Path) -> None:
        bed = Bed()
        bed.repo = Repository.open(bed.blobs, PASSWORD, clock=bed.clock, owner=OWNER, runtime=Runtime(cache=tmp_path))
        second = half_dead(bed)
        collect(bed.repo, min_age=DAY)
        bed.days(2)
        index = doomed(bed.repo.vault)
        assert len(index) >= 4
        # Blocks only the forgotten point had, in packs that are about to be compacted: known to the index, not to be used.
        old = {index: seed for index, seed in WHOLE.items() if index % 3}
        third, _ = bed.backup(old, disk_id="vol-2")
        assert third.disks[0].blocks_written == len(old)
        assert collect(bed.repo, min_age=DAY).compacted.packs == 4
        assert bed.restored(bed.repo.point(second.id)) == plain(BOTH)
        assert bed.restored(bed.repo.point(third.id), "vol-2") == plain(old)

    def test_what_a_run_found_through_the_index_before_the_mark_stays(self, tmp_path: Path) -> None:
        bed = Bed()
        bed.repo = Repository.open(bed.blobs, PASSWORD, clock=bed.clock, owner=OWNER, runtime=Runtime(cache=tmp_path))
        second = half_dead(bed)
        old = {index: seed for index, seed in WHOLE.items() if index % 3}
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        disk = DiskInput(disk_id="vol-2", size_bytes=600 * BLOCK_SIZE)
        result = run.disk(disk, blocks=refs(old), read=Source(old).read, mode="full", control=Control())
        assert result.record.blocks_written == 0
        bed.days(0.1)
        collect(bed.repo, min_age=DAY)
        bed.days(2)
        assert collect(bed.repo, min_age=DAY).waiting
        third = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        rounds(bed)
        assert bed.restored(bed.repo.point(third.id), "vol-2") == plain(old)
        assert bed.restored(bed.repo.point(second.id)) == plain(BOTH)
        assert list(check(bed.repo, "content")) == []

    def test_a_point_forgotten_after_the_mark_can_be_recalled_whole(self) -> None:
        """Its items must not be dropped by the sweep: they were alive when the list was made."""
        bed = Bed()
        contents: dict[UUID, Content] = {}
        content, parent = WHOLE, None
        for third in (None, 1, 2):  # each point leaves one of each three blocks to its parent alone
            changed = {index: 5 * index + 2005 for index in WHOLE if index % 3 == third} if third else content
            content = content | changed
            point, _ = bed.backup(content, changed=changed if third else None, parent=parent, tuning=ORDERED)
            contents[point.id], parent = content, point.id
        first, second, _ = contents
        bed.repo.forget(first)
        bed.days(5)
        assert collect(bed.repo, min_age=DAY).to_compact == 4
        bed.repo.forget(second)
        bed.days(5)
        assert collect(bed.repo, min_age=DAY).compacted.packs == 4
        bed.repo.recall(second)
        del contents[first]
        sound(bed, contents)

    def test_a_point_a_sweep_began_to_delete_cannot_be_recalled(self) -> None:
        """Also when a lock kept its manifest."""
        bed = Bed(facts=BucketFacts(versioning="enabled", object_lock=True))
        first, _ = bed.backup(WHOLE, tuning=ORDERED)
        bed.inner.extend_locks([layout.point(first.id)], bed.clock.now() + timedelta(days=30))
        bed.repo.forget(first.id)
        bed.days(5)
        reports = rounds(bed)
        assert reports[1].deleted_points == 0
        assert reports[1].locked_objects == 1
        with pytest.raises(NotFound):
            bed.repo.recall(first.id)
        assert list(bed.repo.points()) == []
        bed.days(30)
        rounds(bed)
        assert bed.names("points/") == bed.names("forgotten/") == []

    def test_two_collectors_compact_the_same_packs(self) -> None:
        """The second appliance's process goes on with a sweep that the first, held up before its first deletion, goes on with
        much later."""
        bed = Bed()
        second = half_dead(bed)
        collect(bed.repo, min_age=DAY)
        bed.days(5)
        other = Repository.open(bed.inner, PASSWORD, clock=bed.clock, owner=OWNER)
        calls: list[int] = []

        def meanwhile() -> bool:
            calls.append(1)
            if len(calls) == 8:
                for _ in range(3):
                    collect(other, min_age=DAY)
                    bed.days(2)
            return False

        with pytest.raises(Conflict):
            collect(bed.repo, min_age=DAY, control=Control(cancelled=meanwhile))
        assert len(calls) >= 8
        sound(bed, {second.id: BOTH})
        bed.days(5)
        rounds(bed, 4)
        sound(bed, {second.id: BOTH})


class TestLocks:
    def test_locked_packs_wait_for_their_locks(self) -> None:
        bed = Bed(facts=BucketFacts(versioning="enabled", object_lock=True))
        lock = LockRequest("daily", 7)
        first, _ = bed.backup(WHOLE, lock=lock, tuning=ORDERED)
        second, _ = bed.backup(BOTH, changed=LATER, parent=first.id, lock=lock)
        bed.repo.forget(first.id)
        bed.days(5)
        packs = set(bed.packs())
        assert all(report.to_compact == report.deleted_objects == 0 for report in rounds(bed))
        assert packs <= set(bed.packs())
        bed.days(60)
        assert rounds(bed)[1].compacted.packs == 4
        sound(bed, {second.id: BOTH})

    def test_a_lock_put_on_after_the_list_was_made(self) -> None:
        bed = Bed(facts=BucketFacts(versioning="enabled", object_lock=True))
        second = half_dead(bed)
        assert collect(bed.repo, min_age=DAY).to_compact == 4
        bed.inner.extend_locks(bed.packs(), bed.clock.now() + timedelta(days=20))
        bed.days(5)
        swept = collect(bed.repo, min_age=DAY)
        assert swept.compacted.packs == 0
        assert set(swept.compacted.left.values()) == {"it is locked"}
        bed.days(30)
        rounds(bed)
        assert len(bed.names("packs/")) < 8
        sound(bed, {second.id: BOTH})


class TestDamage:
    def test_a_pack_that_cannot_be_read_stays(self) -> None:
        bed = Bed()
        second = half_dead(bed)
        collect(bed.repo, min_age=DAY)
        name = next(iter(marked(bed)))
        data = bytearray(bed.inner.get(name))
        data[60] ^= 1
        data[BLOCK_SIZE + 90] ^= 1
        data[2 * BLOCK_SIZE + 120] ^= 1
        bed.inner.put(name, bytes(data))
        bed.days(5)
        swept = collect(bed.repo, min_age=DAY)
        assert swept.compacted.packs == 3
        assert "damaged" in swept.compacted.left[name]
        assert name in bed.names("packs/")
        assert [problem.object for problem in check(bed.repo, "content")] == [name]
        assert second.id in {point.id for point in bed.repo.points()}

    def test_a_reader_follows_while_it_reads(self) -> None:
        bed = Bed()
        second = half_dead(bed)
        collect(bed.repo, min_age=DAY)
        bed.days(5)
        reading = read_blocks(bed.repo, second, "vol-1", threads=1)
        found = dict([next(reading)])
        collect(bed.repo, min_age=DAY)
        found |= dict(reading)
        assert found == plain(BOTH)

    def test_a_lost_record_is_damage_of_what_it_forwarded(self) -> None:
        bed = Bed()
        second = half_dead(bed)
        rounds(bed)
        bed.inner.delete(bed.names("moved/"))
        problems = list(check(bed.repo, "structure"))
        assert {harm.point_id for problem in problems for harm in problem.harm} == {second.id}
        assert sum(harm.end - harm.start for problem in problems for harm in problem.harm) == 4 * BLOCK_SIZE
        with pytest.raises(Damaged):
            bed.restored(second)


def marked(bed: Bed) -> Iterator[str]:
    index = doomed(bed.repo.vault)
    return (name for name in bed.names("packs/") if (layout.pack_id_of(name) or b"") in index)


@pytest.mark.parametrize("applied", [False, True])
def test_a_crash_at_any_write_is_mended_by_the_next_collection(applied: bool) -> None:
    number = 0
    while True:
        number += 1
        bed = Bed()
        second = half_dead(bed)
        whole = stored(bed)
        collect(bed.repo, min_age=DAY)
        bed.days(5)
        bed.blobs.revive(Faults(crash_after=number, crash_applied=applied))
        try:
            collect(bed.repo, min_age=DAY)
        except Crash:
            bed.reopen()
            sound(bed, {second.id: BOTH})
            bed.days(5)
            rounds(bed, 4)
            sound(bed, {second.id: BOTH})
            assert stored(bed) < whole - 7 * BLOCK_SIZE
            bed.repo.forget(second.id)
            bed.days(5)
            rounds(bed)
            assert bed.packs() == bed.names("moved/") == []
            continue
        break
    assert number > 12


def test_a_new_pack_tells_where_its_items_came_from() -> None:
    bed = Bed()
    half_dead(bed)
    before = set(bed.names("packs/"))
    rounds(bed)
    (new,) = set(bed.names("packs/")) - before
    context, items = read_footer(bed.repo.vault.keys, TYPE_DATA_PACK, new, bed.inner.get(new))
    assert [count for count, _ in context["merged"]] == [1, 1, 1, 1]
    assert {part["disk"] for _, part in context["merged"]} == {"vol-1"}
    assert sorted(item.position for item in items) == [0, 3, 6, 9]
