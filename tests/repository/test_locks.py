"""Immutable repositories: what a point reaches is locked as long as the point; everything else goes on as usual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from server.adapters.blobs.memory import MemoryBlobs
from server.domain.errors import Cancelled, NotFound
from server.domain.immutability import BucketFacts, LockRequest
from server.repository import layout, locks
from server.repository.control import Control
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.fetch import Fetcher, NodeAt
from server.repository.manifest import Manifest
from server.repository.moved import Move, write_moves
from server.repository.prune import collect
from server.repository.repository import Repository
from server.repository.runtime import Runtime
from tests.repository.bed import START, Bed, Content, plain

LOCKED = BucketFacts(versioning="enabled", object_lock=True)
DEFAULTING = replace(LOCKED, default_mode="GOVERNANCE", default_retention=30)
DAILY, WEEKLY = LockRequest("daily", 7), LockRequest("weekly", 30)
DAY = timedelta(days=1)


@pytest.fixture
def bed() -> Bed:
    return Bed(facts=LOCKED)


def reached(bed: Bed, manifest: Manifest) -> set[str]:
    """Names of all packs below a point, found by reading its trees node by node."""
    fetcher, names = Fetcher(bed.repo.vault), set()

    def visit(at: NodeAt) -> None:
        names.add(layout.tree_pack(at.entry.pack[:16]))
        for slot, entry in fetcher.node(at).items():
            if at.level == 0:
                names.add(layout.data_pack(entry.pack[:16]))
            else:
                visit(NodeAt(entry, at.level - 1, at.number << 9 | slot))

    for disk in manifest.disks:
        if disk.root is not None:
            visit(NodeAt(disk.root, disk.level, 0))
    return names


def locked_until(bed: Bed, name: str) -> datetime:
    head = bed.inner.head(name)
    assert head is not None, f"{name} is gone"
    return head.locked_until or START


def assert_protected(bed: Bed, manifest: Manifest) -> None:
    """The invariant: as long as the point."""
    assert manifest.lock is not None
    slots = bed.names(layout.KEYS)
    assert slots
    for name in {*reached(bed, manifest), layout.point(manifest.id), layout.CONFIG, *slots}:
        assert locked_until(bed, name) >= manifest.lock.until, name


def test_everything_a_run_writes_is_locked_at_once(bed: Bed) -> None:
    manifest, _ = bed.backup({1: 1, 300: 5, 599: 10}, lock=WEEKLY)
    assert manifest.lock is not None
    assert manifest.lock.until == START + timedelta(days=55)
    assert_protected(bed, manifest)
    everything = bed.names()
    assert {*bed.inner.delete(everything)} >= {*bed.packs(), layout.point(manifest.id), layout.CONFIG}
    bed.days(56)
    assert bed.inner.delete(bed.packs()) == []


def test_the_lock_is_kept_in_the_manifest(bed: Bed) -> None:
    manifest, _ = bed.backup({1: 1}, lock=WEEKLY)
    read = bed.reopen().point(manifest.id)
    assert read.lock == manifest.lock


def test_blocks_of_a_generation_share_an_expiry_and_the_next_extends_what_it_needs(bed: Bed) -> None:
    """Weekly from the first of March: all locks to 25 April; 29 March opens the second generation."""
    parent: UUID | None = None
    points = []
    for week in range(6):
        content: Content = {index: index for index in range(0, 500, 50)} | {7 * week: 1000 + week}
        changed = None if parent is None else [7 * week]
        manifest, _ = bed.backup(content if week == 0 else {7 * week: 1000 + week}, changed=changed, parent=parent, lock=WEEKLY)
        points.append(manifest)
        assert_protected(bed, manifest)
        if week == 3:
            assert {locked_until(bed, name) for name in bed.packs()} == {START + timedelta(days=55)}
        parent = manifest.id
        bed.days(7)
    ends = [point.lock.until for point in points if point.lock]
    assert ends == [START + timedelta(days=55)] * 4 + [START + timedelta(days=28 + 55)] * 2
    for name in reached(bed, points[-1]):
        assert locked_until(bed, name) == ends[-1]
    for point in points:
        assert_protected(bed, point)


def test_points_of_several_schedules_in_one_chain(bed: Bed) -> None:
    parent: UUID | None = None
    points: list[Manifest] = []
    for day in range(60):
        content: Content = {day % 40: 2000 + day} if day else {index: index + 1 for index in range(40)}
        manifest, _ = bed.backup(
            content, blocks=40, changed=[day % 40] if day else None, parent=parent, lock=WEEKLY if day % 7 == 0 else DAILY
        )
        points.append(manifest)
        parent = manifest.id
        if day % 6 == 0 or day % 7 == 0:
            for point in points:
                if point.lock and point.lock.until > bed.clock.now():
                    assert_protected(bed, point)
        bed.days(1)


def test_locks_are_only_ever_lengthened(bed: Bed) -> None:
    long, _ = bed.backup({1: 1, 2: 2}, lock=LockRequest("yearly", 365))
    before = {name: locked_until(bed, name) for name in bed.packs()}
    short, _ = bed.backup({3: 3}, changed=[3], parent=long.id, lock=DAILY)
    assert {name: locked_until(bed, name) for name in before} == before
    assert_protected(bed, short)


def test_a_shorter_retention_opens_a_generation_and_shortens_nothing(bed: Bed) -> None:
    first, _ = bed.backup({1: 1}, lock=WEEKLY)
    bed.days(1)
    second, _ = bed.backup({2: 2}, changed=[2], parent=first.id, lock=LockRequest("weekly", 10))
    assert first.lock is not None
    assert second.lock is not None
    assert second.lock.until == START + DAY + timedelta(days=35)
    assert_protected(bed, first)
    assert_protected(bed, second)


def test_a_chain_that_was_not_locked_becomes_so(bed: Bed) -> None:
    first, _ = bed.backup({1: 1, 400: 5})
    assert not any(locked_until(bed, name) > START for name in bed.packs())
    second, _ = bed.backup({2: 2}, changed=[2], parent=first.id, lock=DAILY)
    assert_protected(bed, second)
    third, _ = bed.backup({3: 3}, changed=[3], parent=second.id)
    assert third.lock is None


def test_a_pack_found_by_deduplication_is_locked_with_the_point(bed: Bed, tmp_path: Path) -> None:
    bed.repo = Repository(replace(bed.repo.vault, runtime=Runtime(cache=tmp_path)))
    content: Content = {index: index + 1 for index in range(30)}
    one, _ = bed.backup(content, blocks=40, disk_id="vol-1", lock=DAILY)
    bed.days(3)
    other, result = bed.backup(content, blocks=40, disk_id="vol-2", lock=WEEKLY)
    assert result.record.blocks_written == 0
    assert reached(bed, other) & reached(bed, one)
    assert_protected(bed, other)
    assert_protected(bed, one)


def test_what_was_moved_is_locked_with_its_record(bed: Bed) -> None:
    """A pack whose lock had ended was compacted: the next generation locks the copy, and the record that leads to it."""
    vault = bed.repo.vault
    first, _ = bed.backup({1: 1}, blocks=40, lock=DAILY)
    (old,) = (name for name in reached(bed, first) if name.startswith(layout.PACKS))
    bed.days(40)
    other, _ = bed.backup({1: 1}, blocks=40, disk_id="vol-2")
    (new,) = (name for name in reached(bed, other) if name.startswith(layout.PACKS))
    old_id, new_id = layout.pack_id_of(old), layout.pack_id_of(new)
    assert old_id is not None
    assert new_id is not None
    record = write_moves(vault, TYPE_DATA_PACK, old_id, [Move(48, new_id + (1).to_bytes(4, "little"), 48)]).name
    assert bed.inner.delete([old]) == []
    second, _ = bed.backup({2: 2}, blocks=40, changed=[2], parent=first.id, lock=DAILY)
    assert second.lock is not None
    for name in (record, new):
        assert locked_until(bed, name) >= second.lock.until


def test_a_lost_pack_is_reported_and_stops_nothing(bed: Bed) -> None:
    first, _ = bed.backup({1: 1}, blocks=40)
    (lost,) = (name for name in reached(bed, first) if name.startswith(layout.PACKS))
    bed.inner.delete([lost])
    assert first.disks[0].root is not None
    assert locks.secure(bed.repo.vault, [NodeAt(first.disks[0].root, 0, 0)], START + DAY) == [lost]


def test_securing_again_asks_for_nothing_new_and_can_be_stopped(bed: Bed) -> None:
    manifest, _ = bed.backup({1: 1, 300: 2}, lock=DAILY)
    root = manifest.disks[0].root
    assert root is not None
    at = [NodeAt(root, manifest.disks[0].level, 0)]
    before = {name: locked_until(bed, name) for name in bed.packs()}
    assert locks.secure(bed.repo.vault, at, START + DAY) == []
    assert {name: locked_until(bed, name) for name in bed.packs()} == before
    with pytest.raises(Cancelled):
        locks.secure(bed.repo.vault, at, START + 100 * DAY, control=Control(cancelled=lambda: True))


class TestHousekeeping:
    """Retention and collection on locked buckets: AccessDenied is normal, nothing is lost, nothing stays for ever."""

    @pytest.fixture(params=["locked", "default retention"])
    def bed(self, request: pytest.FixtureRequest) -> Bed:
        return Bed(facts=LOCKED if request.param == "locked" else DEFAULTING)

    def collected(self, bed: Bed, times: int = 2) -> None:
        for _ in range(times):
            collect(bed.repo, min_age=DAY)
            bed.days(2)

    def test_expired_points_go_when_their_locks_have_ended(self, bed: Bed) -> None:
        content: Content = {index: index + 1 for index in range(40)}
        first, _ = bed.backup(content, blocks=40, lock=DAILY)
        bed.days(1)
        second, _ = bed.backup({1: 999}, blocks=40, changed=[1], parent=first.id, lock=DAILY)
        bed.days(8)
        bed.repo.forget(first.id)
        self.collected(bed, 4)
        assert [point.id for point in bed.repo.points()] == [second.id]
        with pytest.raises(NotFound):
            bed.repo.point(first.id)
        assert bed.restored(second) == plain(content | {1: 999})
        bed.days(60)
        bed.repo.forget(second.id)
        bed.days(60)
        self.collected(bed, 4)
        assert (bed.packs(), bed.names(layout.POINTS)) == ([], [])
        bed.days(60)
        self.collected(bed, 3)
        assert bed.names(layout.FORGOTTEN) == []

    def test_a_point_is_forgotten_recalled_and_forgotten_again(self, bed: Bed) -> None:
        manifest, _ = bed.backup({1: 1}, lock=DAILY)
        for _ in range(2):
            bed.repo.forget(manifest.id)
            assert [*bed.repo.points()] == []
            bed.repo.recall(manifest.id)
            assert [point.id for point in bed.repo.points()] == [manifest.id]
            assert bed.repo.point(manifest.id).lock == manifest.lock

    def test_a_finished_run_holds_nothing_up(self, bed: Bed) -> None:
        first, _ = bed.backup({1: 1}, blocks=40, lock=DAILY)
        bed.repo.forget(first.id)
        bed.days(1)
        for _ in range(3):
            report = collect(bed.repo, min_age=DAY)
            bed.days(1.5)
        assert not report.waiting

    def test_replaced_state_does_not_pile_up(self, bed: Bed) -> None:
        bed.backup({1: 1}, lock=DAILY)
        for _ in range(5):
            self.collected(bed, 1)
        bed.days(90)
        self.collected(bed, 2)
        bed.days(90)
        self.collected(bed, 1)
        store: MemoryBlobs = bed.inner
        assert store.version_count(layout.GC_STATE) <= 2
        assert store.version_count(layout.OWNER) == 1


def hidden(bed: Bed, names: Iterable[str]) -> None:
    for name in names:
        bed.inner.hide(name)


def test_an_intruder_who_deletes_everything_hides_it_only(bed: Bed) -> None:
    content: Content = {1: 1, 2: 5, 300: 7}
    manifest, _ = bed.backup(content, lock=DAILY)
    everything = bed.names()
    hidden(bed, everything)
    assert bed.names() == []
    assert all(bed.inner.reveal(name) for name in everything)
    assert bed.reopen().point(manifest.id) == manifest
    assert bed.restored(manifest) == plain(content)
