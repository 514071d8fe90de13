"""Forgetting and collecting: garbage goes, nothing that is needed does, whenever the process dies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from server.adapters.blobs.faulty import Crash, Faults
from server.domain.errors import Cancelled, Conflict, Damaged, NotFound
from server.ports import BLOCK_SIZE, Blob
from server.repository import layout
from server.repository.marks import read_mark, read_state
from server.repository.prune import CollectReport, collect
from server.repository.repository import Control, DiskInput, Repository
from tests.repository.bed import OWNER, PASSWORD, SMALL, Bed, Content, Source, plain, refs

DAY = timedelta(days=1)
OLD: Content = {index: 5 * index + 5 for index in range(12)}
NEW: Content = {index: 5 * index + 1005 for index in range(12)}
DISK = DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE)


def collect_fully(bed: Bed) -> list[CollectReport]:
    """Long after everything: mark, sweep."""
    reports = []
    for _ in range(3):
        bed.days(5)
        reports.append(collect(bed.repo, min_age=DAY))
    return reports


class TestForget:
    def test_hides_at_once_and_is_idempotent(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup(OLD)
        bed.repo.forget(manifest.id)
        bed.repo.forget(manifest.id)
        bed.repo.forget(uuid4())
        assert list(bed.repo.points()) == []
        with pytest.raises(NotFound):
            bed.repo.point(manifest.id)
        assert list(bed.repo.forgotten()) == [manifest.id]

    def test_a_tombstone_that_the_owner_did_not_make_deletes_nothing(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup(OLD)
        other, _ = bed.backup(NEW)
        bed.repo.forget(other.id)
        bed.inner.put(layout.forgotten(manifest.id), b"forged")
        bed.inner.put(layout.forgotten(manifest.id), bed.inner.get(layout.forgotten(other.id)))
        collect_fully(bed)
        assert layout.point(other.id) not in bed.names()
        assert bed.restored(bed.repo.manifest(manifest.id)) == plain(OLD)

    def test_a_forgotten_point_is_not_begun_again(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup(OLD)
        bed.repo.forget(manifest.id)
        with pytest.raises(NotFound):
            bed.repo.begin(manifest.id, parent=None)

    def test_recall_until_the_sweep(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup(OLD)
        bed.repo.forget(manifest.id)
        bed.days(5)
        assert collect(bed.repo, min_age=DAY).marked_objects > 0
        bed.repo.recall(manifest.id)
        bed.repo.recall(manifest.id)
        collect_fully(bed)
        assert bed.restored(bed.repo.point(manifest.id)) == plain(OLD)
        bed.repo.forget(manifest.id)
        collect_fully(bed)
        with pytest.raises(NotFound):
            bed.repo.recall(manifest.id)

    def test_recall_while_sweeping_is_refused(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup(OLD)
        bed.repo.forget(manifest.id)
        bed.days(5)
        collect(bed.repo, min_age=DAY)
        bed.days(5)
        bed.blobs.revive(Faults(crash_after=2))  # dies right after the state says "sweeping"
        with pytest.raises(Crash):
            collect(bed.repo, min_age=DAY)
        bed.reopen()
        with pytest.raises(NotFound):
            bed.repo.recall(manifest.id)


class TestCollect:
    def test_what_nothing_needs_goes_with_the_second_pass(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        second, _ = bed.backup(OLD | NEW, changed=NEW, parent=first.id)
        before = set(bed.packs())
        bed.repo.forget(first.id)
        bed.days(5)
        marked = collect(bed.repo, min_age=DAY)
        assert set(bed.packs()) == before
        assert marked.marked_objects > 0
        bed.days(5)
        swept = collect(bed.repo, min_age=DAY)
        assert swept.deleted_points == 1
        assert swept.deleted_objects == marked.marked_objects
        assert swept.deleted_bytes == marked.marked_bytes
        assert len(bed.packs()) == len(before) - swept.deleted_objects
        assert bed.restored(second) == plain(OLD | NEW)
        assert bed.names("forgotten/") == []
        assert bed.names("points/") == [f"points/{second.id}"]

    def test_everything_forgotten_leaves_an_empty_repository(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        second, _ = bed.backup(OLD | NEW, changed=NEW, parent=first.id)
        bed.repo.forget(first.id)
        bed.repo.forget(second.id)
        collect_fully(bed)
        assert bed.packs() == []
        assert bed.names("points/") == bed.names("forgotten/") == []
        assert len(bed.names("gc/")) == 2

    def test_a_shared_pack_stays_while_any_point_needs_it(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        second, _ = bed.backup(OLD | {3: 7}, changed=[3], parent=first.id)
        bed.repo.forget(first.id)
        collect_fully(bed)
        assert bed.restored(second) == plain(OLD | {3: 7})

    def test_young_marks_wait(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        bed.repo.forget(first.id)
        bed.days(2)
        collect(bed.repo, min_age=DAY)
        assert collect(bed.repo, min_age=DAY).waiting
        assert bed.packs()

    def test_young_packs_are_not_marked(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        bed.repo.forget(first.id)
        assert collect(bed.repo, min_age=DAY).marked_objects == 0

    def test_skewed_clocks_stop_it(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        bed.repo.forget(first.id)
        for skew in (timedelta(minutes=6), timedelta(minutes=-6)):
            bed.blobs.faults = Faults(skew=skew)
            with pytest.raises(Conflict, match="clocks"):
                collect(bed.repo, min_age=timedelta(0))
        assert bed.packs()

    def test_cancelled(self) -> None:
        bed = Bed()
        bed.backup(OLD)
        with pytest.raises(Cancelled):
            collect(bed.repo, min_age=DAY, control=Control(cancelled=lambda: True))

    def test_a_live_tree_that_cannot_be_read_stops_it(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        bed.backup(NEW)
        bed.repo.forget(first.id)
        for name in bed.names("trees/"):
            data = bytearray(bed.inner.get(name))
            data[60] ^= 1
            bed.inner.put(name, bytes(data))
        before = bed.names("packs/")
        bed.days(5)
        with pytest.raises(Damaged):
            collect(bed.repo, min_age=DAY)
        assert bed.names("packs/") == before

    def test_a_damaged_point_can_be_forgotten_and_no_longer_stops_it(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        for name in bed.names("trees/"):
            bed.inner.put(name, b"")
        bed.repo.forget(first.id)
        collect_fully(bed)
        assert bed.packs() == []


class TestBesideRuns:
    def test_packs_of_a_run_in_progress_stay_however_old(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        result = run.disk(DISK, blocks=refs(OLD), read=Source(OLD).read, mode="full", control=Control())
        for _ in range(3):
            bed.days(2)
            run.disk(DISK, blocks=[], read=Source({}).read, mode="full", control=Control())  # renews its pin
            assert collect(bed.repo, min_age=DAY).deleted_objects == 0
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        collect_fully(bed)
        assert bed.restored(manifest) == plain(OLD)

    def test_the_parent_of_a_run_stays_though_forgotten(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        bed.days(10)
        run = bed.repo.begin(uuid4(), parent=first.id, tuning=SMALL)
        bed.repo.forget(first.id)
        for _ in range(3):
            bed.days(1.1)
            run.disk(DISK, blocks=[], read=Source({}).read, mode="full", control=Control())
            collect(bed.repo, min_age=DAY)
        result = run.disk(DISK, blocks=refs({3: 7}), read=Source({3: 7}).read, mode="changed", control=Control())
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        collect_fully(bed)
        assert bed.restored(manifest) == plain(OLD | {3: 7})
        assert [point.id for point in bed.repo.points()] == [manifest.id]

    def test_an_abandoned_run_is_garbage(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        run.disk(DISK, blocks=refs(OLD), read=Source(OLD).read, mode="full", control=Control())
        run.abandon()
        assert bed.packs()
        collect_fully(bed)
        assert bed.packs() == []

    def test_a_dead_run_expires_and_cannot_be_committed(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        result = run.disk(DISK, blocks=refs(OLD), read=Source(OLD).read, mode="full", control=Control())
        collect_fully(bed)
        assert bed.packs() == []
        with pytest.raises(NotFound, match="expired"):
            run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert list(bed.repo.points()) == []
        collect_fully(bed)
        assert bed.names("pins/") == []

    def test_recalled_while_being_marked(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        bed.backup(NEW)
        bed.repo.forget(first.id)
        bed.days(5)

        def recall() -> bool:
            bed.repo.recall(first.id)
            return False

        with pytest.raises(Conflict, match="recall"):
            collect(bed.repo, min_age=DAY, control=Control(cancelled=recall))
        collect_fully(bed)
        assert bed.restored(bed.repo.point(first.id)) == plain(OLD)

    def test_two_collections_at_once(self) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        alive, _ = bed.backup(NEW)
        bed.repo.forget(first.id)
        bed.days(5)
        other = Repository.open(bed.inner, PASSWORD, clock=bed.clock, owner=OWNER)
        seen: list[int] = []

        def meanwhile() -> bool:
            if not seen:
                seen.append(1)
                collect(other, min_age=DAY)
            return False

        with pytest.raises(Conflict, match="going on"):
            collect(bed.repo, min_age=DAY, control=Control(cancelled=meanwhile))
        collect_fully(bed)
        assert bed.names("points/") == [f"points/{alive.id}"]
        assert bed.restored(alive) == plain(NEW)

    @pytest.mark.parametrize("others", [1, 2])
    def test_one_that_stood_still_leaves_the_lists_of_later_ones(self, monkeypatch: pytest.MonkeyPatch, others: int) -> None:
        bed = Bed()
        first, _ = bed.backup(OLD)
        bed.repo.forget(first.id)
        bed.days(5)
        other = Repository.open(bed.inner, PASSWORD, clock=bed.clock, owner=OWNER)
        put = bed.blobs.put

        def slowly(name: str, data: bytes | memoryview, **how: Any) -> Blob:
            blob = put(name, data, **how)
            if name == layout.GC_STATE:
                monkeypatch.setattr(bed.blobs, "put", put)
                for _ in range(others):
                    bed.days(2)
                    collect(other, min_age=DAY)
            return blob

        monkeypatch.setattr(bed.blobs, "put", slowly)
        collect(bed.repo, min_age=DAY)
        state = read_state(bed.repo.vault)
        assert state is not None
        read_mark(bed.repo.vault, state[0]["mark"])
        collect_fully(bed)
        assert len(bed.names(layout.GC_MARKS)) == 1


@pytest.mark.parametrize("applied", [False, True])
def test_a_crash_at_any_write_of_a_collection_is_mended_by_the_next(applied: bool) -> None:
    number = 0
    while True:
        number += 1
        bed = Bed()
        first, _ = bed.backup(OLD)
        second, _ = bed.backup(OLD | NEW, changed=NEW, parent=first.id)
        bed.repo.forget(first.id)
        bed.days(5)
        collect(bed.repo, min_age=DAY)
        bed.days(5)
        bed.blobs.revive(Faults(crash_after=number, crash_applied=applied))
        try:
            collect(bed.repo, min_age=DAY)
        except Crash:
            bed.reopen()
            assert bed.restored(bed.repo.point(second.id)) == plain(OLD | NEW)
            collect_fully(bed)
            assert bed.restored(bed.repo.point(second.id)) == plain(OLD | NEW)
            assert bed.names("points/") == [f"points/{second.id}"]
            assert bed.names("forgotten/") == []
            bed.repo.forget(second.id)
            collect_fully(bed)
            assert bed.packs() == []
            continue
        break
    assert number > 5
