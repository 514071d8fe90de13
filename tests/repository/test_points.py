"""Points: written in full and as increments, shared trees, read back the same."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest

from server.adapters.blobs.faulty import Faults
from server.domain.errors import Cancelled, InvalidInput, NotFound, StorageFull, Unavailable
from server.ports import BLOCK_SIZE, BlockRef
from server.repository.repository import Control, DiskInput, Progress
from server.repository.restore import read_blocks
from tests.repository.bed import SMALL, Bed, Content, Source, block, plain, refs

DISK = DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE)
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

    def test_a_disk_is_not_done_before_its_last_pack_is(self) -> None:
        bed = Bed()
        put = bed.inner.put
        tree_is_there = threading.Event()

        def late(name: str, data: bytes | memoryview, **conditions: object) -> object:
            if name.startswith("packs/"):
                assert tree_is_there.wait(timeout=30)
                raise StorageFull("No space left.")
            blob = put(name, data, **conditions)  # type: ignore[arg-type]  # passed through
            if name.startswith("trees/"):
                tree_is_there.set()
            return blob

        bed.inner.put = late  # type: ignore[assignment,method-assign]
        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        with pytest.raises(StorageFull):
            run.disk(DISK, blocks=refs(SAMPLE), read=Source(SAMPLE).read, mode="full", control=Control())

    @pytest.mark.parametrize("seed", range(4))
    def test_lost_replies_and_throttling_do_no_harm(self, seed: int) -> None:
        bed = Bed(seed=seed)
        bed.blobs.faults = Faults(lost=0.06, refused=0.04, throttled=0.04)
        content: Content = {index: index for index in range(0, 600, 7)}
        manifest, _ = bed.backup(content)
        increment, _ = bed.backup(content | {7: 1000}, changed=[7], parent=manifest.id)
        assert bed.restored(increment) == plain(content | {7: 1000})
        assert len(list(bed.repo.points())) == 2


def test_reading_from_the_middle() -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    found = [index for index, _ in read_blocks(bed.repo, manifest, "vol-1", start_index=256)]
    assert found == [256, 300, 599]
