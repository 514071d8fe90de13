"""Points: written in full and as increments, shared trees, resumed after a kill, read back the same."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import uuid4

import pytest

from server.adapters.blobs.faulty import Crash, Faults
from server.domain.errors import Cancelled, Damaged, InvalidInput, NotFound, StorageFull, Unavailable
from server.ports import BLOCK_SIZE, BlockRef
from server.repository.repository import Control, DiskInput, DiskResult, Progress, resume_index
from server.repository.restore import read_blocks
from tests.repository.bed import EAGER, OWNER, SMALL, Bed, Content, Source, block, plain, refs, resume_from

DISK = DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE)
BIG = DiskInput(disk_id="vol-1", size_bytes=6000 * BLOCK_SIZE)
LARGE: Content = {index: 5 * index + 5 for index in range(0, 6000, 20)}
SAMPLE: Content = {0: 1, 1: 5, 2: 0, 255: 3, 256: 4, 300: 10, 599: 7}


class TestFull:
    def test_is_read_back_the_same(self) -> None:
        bed = Bed()
        manifest, result = bed.backup(SAMPLE)
        assert bed.restored(manifest) == plain(SAMPLE)
        assert result.record.blocks == 6
        assert result.record.blocks_read == 7
        assert manifest.size_bytes == 600 * BLOCK_SIZE
        assert bed.repo.point(manifest.id) == manifest

    def test_zeros_are_stored_nowhere(self) -> None:
        bed = Bed()
        manifest, result = bed.backup({0: 0, 9: 0})
        assert result.record.root is None
        assert bed.packs() == []
        assert bed.restored(manifest) == {}

    def test_an_empty_disk(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup({})
        assert bed.restored(manifest) == {}

    def test_equal_blocks_are_stored_once(self) -> None:
        bed = Bed()
        manifest, result = bed.backup(dict.fromkeys(range(40), 10))
        # Workers may store the first few at the same moment, each before it knows of the others.
        assert result.record.blocks_written <= SMALL.threads
        assert bed.restored(manifest) == plain(dict.fromkeys(range(40), 10))

    def test_a_disk_with_several_levels(self) -> None:
        bed = Bed()
        content = {0: 1, 131_071: 2, 131_072: 3, 70_000_000: 4}
        manifest, result = bed.backup(content, blocks=70_000_001)
        assert result.record.level == 3
        assert bed.restored(manifest) == plain(content)

    def test_content_roots_are_equal_exactly_when_content_is(self) -> None:
        bed = Bed()
        one, _ = bed.backup(SAMPLE)
        two, _ = bed.backup(SAMPLE | {3: 0})
        other, _ = bed.backup(SAMPLE | {3: 1})
        larger, _ = bed.backup(SAMPLE, blocks=601)
        roots = [manifest.disks[0].content_root for manifest in (one, two, other, larger)]
        assert roots[0] == roots[1]
        assert len(set(roots)) == 3

    def test_against_a_parent_stores_only_what_differs(self) -> None:
        bed = Bed()
        first, _ = bed.backup(SAMPLE)
        run = bed.repo.begin(uuid4(), parent=first.id, tuning=SMALL)
        content = {**SAMPLE, 1: 6}
        del content[599]
        result = run.disk(DISK, blocks=refs(content), read=Source(content).read, mode="full", control=Control())
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert result.record.blocks_written == 1
        assert bed.restored(manifest) == plain(content)

    def test_memory_stays_bounded_by_the_buffers(self) -> None:
        """A store slower than the source holds the source back."""
        bed = Bed()
        gate = threading.Event()
        source = Source({index: 5 * index for index in range(1, 200)})
        stuck = threading.Event()
        put = bed.inner.put

        def slow_put(name: str, data: bytes | memoryview, **conditions: object) -> object:
            if name.startswith("packs/"):
                stuck.set()
                gate.wait(timeout=30)
            return put(name, data, **conditions)  # type: ignore[arg-type]  # passed through

        bed.inner.put = slow_put  # type: ignore[assignment,method-assign]
        finished: list[object] = []
        thread = threading.Thread(target=lambda: finished.append(bed.backup(source.content, source=source)))
        thread.start()
        assert stuck.wait(timeout=30)
        # 3 buffers of 2 MiB hold 3 incompressible blocks each; each of 3 workers holds one more.
        while_stuck = -1
        while len(source.read_indexes) != while_stuck:
            while_stuck = len(source.read_indexes)
            thread.join(timeout=0.3)
        assert while_stuck <= 3 * 3 + SMALL.threads
        gate.set()
        thread.join(timeout=60)
        assert finished


class TestIncrement:
    def test_changed_blocks_replace_and_others_are_inherited(self) -> None:
        bed = Bed()
        first, _ = bed.backup(SAMPLE)
        content = {**SAMPLE, 1: 0, 256: 11, 400: 12}
        del content[599]
        source = Source(content)
        second, _ = bed.backup(content, changed=[1, 256, 400, 599], parent=first.id, source=source)
        assert bed.restored(second) == plain(content)
        assert sorted(source.read_indexes) == [1, 256, 400]
        assert bed.restored(first) == plain(SAMPLE)
        assert second.parent == first.id

    def test_nothing_changed_writes_nothing(self) -> None:
        bed = Bed()
        first, _ = bed.backup(SAMPLE)
        before = bed.packs()
        second, result = bed.backup(SAMPLE, changed=[], parent=first.id)
        assert bed.packs() == before
        assert result.record.root == first.disks[0].root
        assert bed.restored(second) == plain(SAMPLE)

    def test_blocks_listed_as_changed_but_equal_write_nothing(self) -> None:
        bed = Bed()
        first, _ = bed.backup(SAMPLE)
        before = bed.packs()
        second, result = bed.backup(SAMPLE, changed=SAMPLE, parent=first.id)
        assert bed.packs() == before
        assert result.record.blocks_read == len(SAMPLE)
        assert second.disks[0].content_root == first.disks[0].content_root

    def test_metadata_is_in_proportion_to_the_change(self) -> None:
        bed = Bed()
        # 1,000 blocks scattered over 16 TiB, ten of them changed: the worst case for a tree.
        content: Content = {index * 33_554: 1 + index % 4 for index in range(1000)}
        first, _ = bed.backup(content, blocks=2**25)
        changed = {index * 3_355_400: 20 + index for index in range(10)}
        content |= changed
        second, result = bed.backup(content, blocks=2**25, changed=changed, parent=first.id)
        assert bed.restored(second) == plain(content)
        assert result.record.metadata_bytes <= 10 * BLOCK_SIZE // 100

    def test_everything_zeroed(self) -> None:
        bed = Bed()
        first, _ = bed.backup(SAMPLE)
        second, result = bed.backup({}, changed=SAMPLE, parent=first.id)
        assert result.record.root is None
        assert bed.restored(second) == {}
        third, _ = bed.backup({5: 9}, changed=[5], parent=second.id)
        assert bed.restored(third) == plain({5: 9})

    @pytest.mark.parametrize("larger", [601, 5_000, 200_000, 70_000_000])
    def test_a_disk_that_grew(self, larger: int) -> None:
        bed = Bed()
        first, _ = bed.backup(SAMPLE)
        content = {**SAMPLE, 2: 8, larger - 1: 9}
        second, _ = bed.backup(content, blocks=larger, changed=[2, larger - 1], parent=first.id)
        assert bed.restored(second) == plain(content)
        untouched, _ = bed.backup(SAMPLE, blocks=larger, changed=[], parent=first.id)
        assert bed.restored(untouched) == plain(SAMPLE)
        full, _ = bed.backup(content, blocks=larger)
        assert full.disks[0].content_root == second.disks[0].content_root

    def test_a_disk_that_shrank_or_is_new_must_be_read_in_full(self) -> None:
        bed = Bed()
        first, _ = bed.backup(SAMPLE)
        with pytest.raises(InvalidInput, match="smaller"):
            bed.backup({}, blocks=500, changed=[1], parent=first.id)
        with pytest.raises(InvalidInput, match="not in the parent"):
            bed.backup({}, changed=[1], parent=first.id, disk_id="vol-2")
        with pytest.raises(InvalidInput, match="not in the parent"):
            bed.backup({}, changed=[1])

    def test_a_parent_that_is_gone_or_forgotten(self) -> None:
        bed = Bed()
        with pytest.raises(NotFound):
            bed.repo.begin(uuid4(), parent=uuid4())
        first, _ = bed.backup(SAMPLE)
        bed.repo.forget(first.id)
        with pytest.raises(NotFound):
            bed.repo.begin(uuid4(), parent=first.id)
        assert bed.names("pins/") == []


class TestBadInput:
    @pytest.mark.parametrize("indexes", [[3, 3], [5, 4], [600], [-1]])
    def test_blocks_out_of_order_or_beyond_the_disk(self, indexes: list[int]) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        blocks = [BlockRef(index, "t") for index in indexes]
        with pytest.raises(InvalidInput):
            run.disk(DISK, blocks=blocks, read=lambda _: block(1), mode="full", control=Control())

    def test_a_block_of_another_length(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        with pytest.raises(InvalidInput, match="has 5 bytes"):
            run.disk(DISK, blocks=[BlockRef(0, "t")], read=lambda _: b"short", mode="full", control=Control())

    def test_what_the_source_raises_comes_out(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)

        def read(ref: BlockRef) -> bytes:
            if ref.index == 20:
                raise Unavailable("EBS does not answer.")
            return block(1)

        with pytest.raises(Unavailable, match="EBS"):
            run.disk(DISK, blocks=[BlockRef(i, "t") for i in range(300)], read=read, mode="full", control=Control())
        # and the same run can simply try again
        result = run.disk(DISK, blocks=refs(SAMPLE), read=Source(SAMPLE).read, mode="full", control=Control())
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert bed.restored(manifest) == plain(SAMPLE)

    def test_no_disk_of_that_name(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup(SAMPLE)
        with pytest.raises(NotFound):
            bed.restored(manifest, "vol-9")


class TestControl:
    def test_progress_ends_at_the_total(self) -> None:
        bed = Bed()
        seen: list[Progress] = []
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        source = Source(SAMPLE)
        blocks = [*refs(SAMPLE)[:-1], BlockRef(598, ""), refs(SAMPLE)[-1]]
        result = run.disk(DISK, blocks=blocks, read=source.read, mode="full", control=Control(progress=seen.append))
        assert seen[-1].bytes_done == 8 * BLOCK_SIZE
        assert seen[-1].bytes_read == 7 * BLOCK_SIZE
        assert seen[-1].bytes_stored == result.record.stored_bytes > 0

    def test_cancelled(self) -> None:
        bed = Bed()
        stop = threading.Event()
        source = Source({index: index for index in range(600)})
        source.at = lambda index: stop.set() if index == 50 else None
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        control = Control(cancelled=stop.is_set)
        with pytest.raises(Cancelled):
            run.disk(DISK, blocks=refs(source.content), read=source.read, mode="full", control=control)
        assert len(source.read_indexes) < 200
        run.abandon()
        assert bed.names("pins/") == []
        assert list(bed.repo.points()) == []

    def test_a_full_store(self) -> None:
        bed = Bed()
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        source = Source({index: 5 * index for index in range(1, 100)})
        source.at = lambda index: setattr(bed.blobs, "faults", Faults(full=1.0)) if index == 20 else None
        with pytest.raises(StorageFull):
            run.disk(DISK, blocks=refs(source.content), read=source.read, mode="full", control=Control())
        bed.blobs.faults = Faults()
        source.at = lambda _: None
        result = run.disk(DISK, blocks=refs(source.content), read=source.read, mode="full", control=Control())
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert bed.restored(manifest) == plain(source.content)

    @pytest.mark.parametrize("seed", range(4))
    def test_lost_replies_and_throttling_do_no_harm(self, seed: int) -> None:
        bed = Bed(seed=seed)
        bed.blobs.faults = Faults(lost=0.06, refused=0.04, throttled=0.04)
        content: Content = {index: index for index in range(0, 600, 7)}
        manifest, _ = bed.backup(content)
        increment, _ = bed.backup(content | {7: 1000}, changed=[7], parent=manifest.id)
        assert bed.restored(increment) == plain(content | {7: 1000})
        assert len(list(bed.repo.points())) == 2


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


def test_reading_from_the_middle() -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    found = [index for index, _ in read_blocks(bed.repo, manifest, "vol-1", start_index=256)]
    assert found == [256, 300, 599]
