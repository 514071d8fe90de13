"""Runs that are interrupted: resumed behind a checkpoint, committed once, killed at every write."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from server.adapters.blobs.faulty import Crash, Faults
from server.domain.errors import Damaged, InvalidInput, NotFound
from server.ports import BLOCK_SIZE
from server.repository.repository import Control, DiskInput, DiskResult, resume_index
from tests.repository.bed import EAGER, OWNER, SMALL, Bed, Content, Source, plain, refs, resume_from

DISK = DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE)
BIG = DiskInput(disk_id="vol-1", size_bytes=6000 * BLOCK_SIZE)
LARGE: Content = {index: 5 * index + 5 for index in range(0, 6000, 20)}
SAMPLE: Content = {0: 1, 1: 5, 2: 0, 255: 3, 256: 4, 300: 10, 599: 7}


class TestResume:
    def interrupted(self, bed: Bed, point: object, at: int) -> list[str]:
        """Checkpoints an attempt gave before it died at block ``at``."""
        saved: list[str] = []
        source = Source(LARGE)

        def die(index: int) -> None:
            if index >= at:
                raise Crash

        source.at = die
        run = bed.repo.begin(point, parent=None, tuning=EAGER)  # type: ignore[arg-type]  # a UUID
        with pytest.raises(Crash):
            run.disk(BIG, blocks=refs(LARGE), read=source.read, mode="full", control=Control(save=saved.append))
        return saved

    def test_goes_on_behind_the_checkpoint(self) -> None:
        bed = Bed()
        point = uuid4()
        saved = self.interrupted(bed, point, 5000)
        assert saved
        assert all(len(text) < 1024 for text in saved)
        repo = bed.reopen()
        run = repo.begin(point, parent=None, tuning=EAGER)
        assert run.accepts(saved[-1])
        start = resume_index(saved[-1])
        assert 0 < start < 5000
        source = Source(LARGE)
        result = run.disk(
            BIG,
            blocks=resume_from(saved[-1], LARGE, None),
            read=source.read,
            mode="full",
            control=Control(),
            checkpoint=saved[-1],
        )
        assert min(source.read_indexes) >= start
        assert result.record.blocks_read == len(LARGE)
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert bed.restored(manifest) == plain(LARGE)

    def test_blocks_before_the_checkpoint_are_not_read_again(self) -> None:
        bed = Bed()
        point = uuid4()
        saved = self.interrupted(bed, point, 5000)
        run = bed.reopen().begin(point, parent=None, tuning=EAGER)
        source = Source(LARGE)
        result = run.disk(BIG, blocks=refs(LARGE), read=source.read, mode="full", control=Control(), checkpoint=saved[-1])
        assert min(source.read_indexes) >= resume_index(saved[-1])
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert bed.restored(manifest) == plain(LARGE)

    def test_comes_also_when_no_pack_fills(self) -> None:
        bed = Bed()
        saved: list[str] = []
        source = Source(dict.fromkeys(range(0, 6000, 20), 7))
        source.at = lambda _: bed.clock.sleep(1)
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        control = Control(save=saved.append)
        run.disk(BIG, blocks=refs(source.content), read=source.read, mode="full", control=control)
        assert saved

    def test_increments_resume_too(self) -> None:
        bed = Bed()
        first, _ = bed.backup(LARGE, blocks=6000)
        content = LARGE | {index: 5 * index + 10 for index in range(0, 6000, 60)}
        changed = range(0, 6000, 60)
        point = uuid4()
        saved: list[str] = []
        source = Source(content)

        def die(index: int) -> None:
            if index >= 5000:
                raise Crash

        source.at = die
        run = bed.repo.begin(point, parent=first.id, tuning=EAGER)
        with pytest.raises(Crash):
            run.disk(
                BIG,
                blocks=refs(content, changed),
                read=source.read,
                mode="changed",
                control=Control(save=saved.append),
            )
        run = bed.reopen().begin(point, parent=first.id, tuning=EAGER)
        result = run.disk(
            BIG,
            blocks=resume_from(saved[-1], content, changed),
            read=Source(content).read,
            mode="changed",
            control=Control(),
            checkpoint=saved[-1],
        )
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert bed.restored(manifest) == plain(content)

    def test_after_the_run_expired_the_checkpoint_is_refused(self) -> None:
        bed = Bed()
        point = uuid4()
        saved = self.interrupted(bed, point, 5000)
        bed.days(4)
        run = bed.reopen().begin(point, parent=None, tuning=EAGER)
        assert not run.accepts(saved[-1])
        with pytest.raises(NotFound, match="expired"):
            run.disk(BIG, blocks=[], read=lambda _: b"", mode="full", control=Control(), checkpoint=saved[-1])

    def test_a_checkpoint_of_another_disk_is_refused(self) -> None:
        bed = Bed()
        point = uuid4()
        saved = self.interrupted(bed, point, 5000)
        run = bed.reopen().begin(point, parent=None, tuning=EAGER)
        other = DiskInput(disk_id="vol-2", size_bytes=BIG.size_bytes)
        with pytest.raises(InvalidInput, match="another disk"):
            run.disk(other, blocks=[], read=lambda _: b"", mode="full", control=Control(), checkpoint=saved[-1])

    def test_a_checkpoint_that_makes_no_sense(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=EAGER)
        with pytest.raises(Damaged):
            resume_index("nonsense")
        with pytest.raises(NotFound):
            run.disk(DISK, blocks=[], read=lambda _: b"", mode="full", control=Control(), checkpoint="nonsense")
        assert resume_index(None) == 0

    def test_finished_disks_survive_as_json(self) -> None:
        bed = Bed()
        point = uuid4()
        run = bed.repo.begin(point, parent=None, tuning=EAGER)
        stored = run.disk(DISK, blocks=refs(SAMPLE), read=Source(SAMPLE).read, mode="full", control=Control()).to_json()
        run = bed.reopen().begin(point, parent=None, tuning=EAGER)
        result = DiskResult.from_json(stored)
        assert run.accepts(result)
        manifest = run.commit(at=bed.clock.now(), resource={}, document={"x": 1}, disks=[result])
        assert bed.restored(manifest) == plain(SAMPLE)
        assert manifest.document == {"x": 1}


class TestCommit:
    def test_is_the_last_write_and_nothing_is_visible_before(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        result = run.disk(DISK, blocks=refs(SAMPLE), read=Source(SAMPLE).read, mode="full", control=Control())
        assert list(bed.repo.points()) == []
        with pytest.raises(NotFound):
            bed.repo.point(run.point_id)
        run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert [point.id for point in bed.repo.points()] == [run.point_id]
        assert bed.names("pins/") == []

    def test_again_gives_what_is_there(self) -> None:
        bed = Bed()
        manifest, result = bed.backup(SAMPLE)
        run = bed.repo.begin(manifest.id, parent=None, tuning=SMALL)
        assert run.committed == manifest
        again = run.commit(at=bed.clock.now() + timedelta(hours=1), resource={"other": 1}, document={}, disks=[result])
        assert again == manifest
        run.abandon()
        assert bed.repo.point(manifest.id) == manifest

    def test_of_two_processes_resuming_one_run_both_succeed_with_one_point(self) -> None:
        bed = Bed()
        point = uuid4()
        one = bed.repo.begin(point, parent=None, tuning=SMALL)
        two = bed.repo.begin(point, parent=None, tuning=SMALL)
        results = [
            run.disk(DISK, blocks=refs(SAMPLE), read=Source(SAMPLE).read, mode="full", control=Control()) for run in (one, two)
        ]
        first = one.commit(at=bed.clock.now(), resource={"by": 1}, document={}, disks=[results[0]])
        second = two.commit(at=bed.clock.now(), resource={"by": 2}, document={}, disks=[results[1]])
        assert first == second
        assert bed.restored(second) == plain(SAMPLE)

    def test_of_another_run_is_refused(self) -> None:
        bed = Bed()
        _, stale = bed.backup(SAMPLE)
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        with pytest.raises(NotFound, match="expired"):
            run.commit(at=bed.clock.now(), resource={}, document={}, disks=[stale])

    def test_after_abandon_is_refused(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        result = run.disk(DISK, blocks=refs(SAMPLE), read=Source(SAMPLE).read, mode="full", control=Control())
        run.abandon()
        run.abandon()
        with pytest.raises(NotFound):
            run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])

    def test_several_disks(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        contents: dict[str, Content] = {"a": {1: 1}, "b": {1: 1, 2: 2}, "c": {}}
        results = [
            run.disk(
                DiskInput(disk_id=name, size_bytes=10 * BLOCK_SIZE, document={"device": name}),
                blocks=refs(content),
                read=Source(content).read,
                mode="full",
                control=Control(),
            )
            for name, content in contents.items()
        ]
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=results)
        for name, content in contents.items():
            assert bed.restored(manifest, name) == plain(content)
        assert results[1].record.blocks_written == 1  # block 1 is known from disk a
        (summary,) = bed.repo.points()
        assert (summary.disks, summary.size_bytes) == (3, 30 * BLOCK_SIZE)
        assert OWNER  # the point belongs to the repository's owner


class TestKilled:
    """kill -9 at every single write of a backup: what is visible is whole, and the next attempt succeeds."""

    @pytest.mark.parametrize("applied", [False, True])
    def test_at_every_write(self, applied: bool) -> None:
        content: Content = {index: index + 1 for index in range(0, 600, 25)}
        total = self.writes(content)
        assert total > 5
        for number in range(1, total + 1):
            bed = Bed()
            first, _ = bed.backup(SAMPLE)
            point = uuid4()
            bed.blobs.revive(Faults(crash_after=number, crash_applied=applied))
            with pytest.raises(Crash):
                bed.backup(content, changed=content, parent=first.id, point=point, tuning=EAGER)
            bed.reopen()
            for summary in bed.repo.points():
                shown = bed.repo.point(summary.id)
                assert bed.restored(shown) == plain(SAMPLE if summary.id == first.id else SAMPLE | content)
            run = bed.repo.begin(point, parent=first.id)
            if run.committed is None:
                manifest, _ = bed.backup(content, changed=content, parent=first.id, point=point)
            else:
                manifest = run.committed
            assert bed.restored(manifest) == plain(SAMPLE | content)
            assert bed.names("pins/") == []

    def writes(self, content: Content) -> int:
        bed = Bed()
        first, _ = bed.backup(SAMPLE)
        bed.blobs.revive()
        bed.backup(content, changed=content, parent=first.id, tuning=EAGER)
        return bed.blobs.writes
