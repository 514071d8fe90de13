"""How a disk's blocks travel: concurrency that follows the source, compression that pays, little metadata, locks kept."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from server.adapters.blobs.faulty import Crash
from server.domain.immutability import BucketFacts, LockRequest
from server.ports import BLOCK_SIZE, BlockRef
from server.repository import layout
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.damage import Bad
from server.repository.pack import KIND_BLOCK, RAW, ZSTD, read_footer
from server.repository.repository import Control, DiskInput, Repository, Tuning, resume_index
from server.repository.worker import WORTH_IT, _looks_random
from tests.repository.bed import EAGER, OWNER, PASSWORD, SMALL, Bed, Content, Source, block, plain, refs
from tests.repository.test_healing import flip, indexes, located, note

DISK = DiskInput(disk_id="vol-1", size_bytes=6000 * BLOCK_SIZE)
LOCKED = BucketFacts(versioning="enabled", object_lock=True)


class TestConcurrency:
    def test_a_slow_source_is_read_by_every_thread(self) -> None:
        """Each read waits until all threads read: it would time out if fewer were let in."""
        bed = Bed()
        content: Content = {index: index + 1 for index in range(64)}
        together = threading.Barrier(8)
        source = Source(content)
        source.at = lambda _: (together.wait(30), None)[1]
        manifest, _ = bed.backup(content, source=source, tuning=replace(SMALL, threads=8, cores=1, batch=1))
        assert bed.restored(manifest) == plain(content)

    def test_a_quick_source_occupies_few(self) -> None:
        bed = Bed()
        content: Content = {index: index + 1 for index in range(120)}
        used: set[int] = set()
        source = Source(content)
        source.at = lambda _: used.add(threading.get_ident())
        bed.backup(content, source=source, tuning=replace(SMALL, threads=12, cores=1, batch=8))
        assert len(used) < 12

    @given(
        threads=st.integers(1, 6),
        cores=st.integers(1, 4),
        batch=st.integers(1, 9),
        content=st.dictionaries(st.integers(0, 599), st.integers(0, 12), max_size=40),
    )
    @settings(max_examples=25, deadline=None)
    def test_the_result_does_not_depend_on_it(self, threads: int, cores: int, batch: int, content: Content) -> None:
        bed = Bed()
        manifest, result = bed.backup(content, tuning=replace(SMALL, threads=threads, cores=cores, batch=batch))
        assert bed.restored(manifest) == plain(content)
        assert result.record.blocks_read == len(content)

    def test_a_reused_buffer_is_taken(self) -> None:
        """A source may read into the same memory again and again."""
        bed = Bed()
        content: Content = {index: 5 * index + index % 3 for index in range(60)}
        own = threading.local()

        def read(ref: BlockRef) -> bytearray:
            if not hasattr(own, "buffer"):
                own.buffer = bytearray(BLOCK_SIZE)
            buffer: bytearray = own.buffer
            buffer[:] = block(content[ref.index])
            return buffer

        run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
        result = run.disk(DISK, blocks=refs(content), read=read, mode="full", control=Control())
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert bed.restored(manifest) == plain(content)


def codecs(bed: Bed) -> dict[int, int]:
    """By block index."""
    vault = bed.repo.vault
    footers = (read_footer(vault.keys, TYPE_DATA_PACK, name, bed.inner.get(name)) for name in bed.names("packs/"))
    return {item.position: item.codec for _, items in footers for item in items if item.kind == KIND_BLOCK}


class TestCompression:
    def test_what_does_not_compress_is_stored_raw(self) -> None:
        bed = Bed()
        bed.backup({index: index for index in range(1, 41)}, tuning=replace(SMALL, threads=1, cores=1))
        assert codecs(bed) == {index: RAW if index % 5 == 0 else ZSTD for index in range(1, 41)}

    def test_the_level_is_a_setting(self) -> None:
        rng = random.Random(1)
        words = [rng.randbytes(rng.randint(1, 6)).hex().encode() for _ in range(3000)]
        text = b" ".join(rng.choices(words, k=BLOCK_SIZE))[:BLOCK_SIZE]
        sizes = []
        for level in (1, 9):
            bed = Bed()
            run = bed.repo.begin(uuid4(), parent=None, tuning=replace(SMALL, level=level))
            result = run.disk(DISK, blocks=[BlockRef(0, "t")], read=lambda _: text, mode="full", control=Control())
            sizes.append(result.record.stored_bytes)
        assert sizes[1] < 0.95 * sizes[0]

    def test_the_level_of_the_process_counts_without_tuning(self) -> None:
        bed = Bed()
        runtime = replace(bed.repo.vault.runtime, level=9)
        repo = Repository.open(bed.blobs, PASSWORD, clock=bed.clock, owner=OWNER, runtime=runtime)
        run = repo.begin(uuid4(), parent=None)
        assert run._tuning.level == 9

    def test_the_probe_knows_noise_from_text(self) -> None:
        probe = zstandard.ZstdCompressor(level=1)
        assert _looks_random(probe, random.Random(1).randbytes(BLOCK_SIZE))
        assert not _looks_random(probe, b"The quick brown fox. " * (BLOCK_SIZE // 21) + bytes(BLOCK_SIZE % 21))
        assert not _looks_random(probe, bytearray(BLOCK_SIZE))

    def test_half_noise_in_a_row_of_noise_is_compressed(self) -> None:
        bed = Bed()
        noise = {index: random.Random(index).randbytes(BLOCK_SIZE) for index in range(8)}
        noise[5] = noise[5][: BLOCK_SIZE // 2] + bytes(BLOCK_SIZE // 2)
        run = bed.repo.begin(uuid4(), parent=None, tuning=replace(SMALL, threads=1, cores=1))
        blocks = [BlockRef(index, "t") for index in noise]
        run.disk(DISK, blocks=blocks, read=lambda ref: noise[ref.index], mode="full", control=Control())
        assert codecs(bed) == {index: ZSTD if index == 5 else RAW for index in noise}
        assert WORTH_IT < BLOCK_SIZE


class TestProportion:
    @pytest.mark.parametrize("share", [0.01, 0.001])
    def test_an_increments_metadata(self, share: float) -> None:
        """16 TiB of disk, 1 GiB in it: at most 1 % of the changed bytes and 1 MiB, everything counted."""
        bed = Bed()
        blocks = 2**25
        rng = random.Random(3)
        content: Content = dict.fromkeys(sorted(rng.sample(range(blocks), 2048)), 7)
        first, _ = bed.backup(content, blocks=blocks, tuning=SMALL)
        changed = sorted(rng.sample(sorted(content), int(2048 * share)))
        before = {blob.name: blob.size for blob in bed.inner.list()}
        content |= {index: 5 * at + 5 for at, index in enumerate(changed)}
        _, result = bed.backup(content, blocks=blocks, changed=changed, parent=first.id, tuning=SMALL)
        written = sum(blob.size for blob in bed.inner.list() if blob.name not in before)
        data = len(changed) * (BLOCK_SIZE + 16)
        assert written - data <= 0.01 * data + 1024 * 1024
        assert result.record.metadata_bytes <= written - data


class TestLocks:
    def test_a_resumed_run_keeps_the_lock_it_began_with(self) -> None:
        bed = Bed(facts=LOCKED)
        content: Content = {index: 5 * index + 5 for index in range(0, 6000, 20)}
        point = uuid4()
        run = bed.repo.begin(point, parent=None, lock=LockRequest("daily", 7), tuning=EAGER)
        assert run.lock is not None
        until = run.lock.until
        saved: list[str] = []
        source = Source(content)

        def die(index: int) -> None:
            if index >= 5000:
                raise Crash

        source.at = die
        with pytest.raises(Crash):
            run.disk(DISK, blocks=refs(content), read=source.read, mode="full", control=Control(save=saved.append))
        bed.days(2)
        run = bed.reopen().begin(point, parent=None, lock=LockRequest("daily", 7), tuning=EAGER)
        assert run.lock is not None
        assert run.lock.until == until
        result = run.disk(
            DISK,
            blocks=refs(content, None, resume_index(saved[-1])),
            read=Source(content).read,
            mode="full",
            control=Control(),
            checkpoint=saved[-1],
        )
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        assert manifest.lock == run.lock
        for name in bed.packs():
            head = bed.inner.head(name)
            assert head is not None
            assert head.locked_until == until

    def test_what_heals_an_older_point_is_locked_as_long_as_that(self) -> None:
        bed = Bed(facts=LOCKED)
        content: Content = {1: 2, 2: 3}
        yearly, _ = bed.backup(content, blocks=6000, lock=LockRequest("yearly", 365))
        bad = located(bed, yearly, 1)
        flip(bed, layout.data_pack(bad.pack[:16]), bad.offset)
        note(bed, Bad(TYPE_DATA_PACK, bad.pack, bad.offset, bad.length))
        known = set(bed.names())
        daily = bed.repo.begin(uuid4(), parent=yearly.id, lock=LockRequest("daily", 7), tuning=SMALL)
        listed = refs(content, indexes(daily.suspects("vol-1")))
        result = daily.disk(DISK, blocks=listed, read=Source(content).read, mode="changed", control=Control())
        daily.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
        fresh = [name for name in bed.names() if name not in known and name.startswith((layout.PACKS, layout.MOVED))]
        assert {name.split("/")[0] for name in fresh} == {"packs", "moved"}
        assert yearly.lock is not None
        for name in fresh:
            head = bed.inner.head(name)
            assert head is not None
            assert head.locked_until is not None
            assert head.locked_until >= yearly.lock.until
        assert bed.restored(yearly) == plain(content)

    def test_retention_and_lock_are_listed(self) -> None:
        bed = Bed(facts=LOCKED)
        run = bed.repo.begin(uuid4(), parent=None, lock=LockRequest("daily", 7))
        kept = {"days": 7, "schedule": "daily", "policy": "Gold"}
        manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[], retention=kept)
        assert bed.repo.point(manifest.id) == manifest
        (summary,) = bed.repo.points()
        assert (summary.retention, summary.locked_until) == (kept, bed.clock.now() + timedelta(days=32))


def test_sizes_follow_the_storage_class() -> None:
    assert Tuning().pack_size is None
    assert Tuning(pack_size=123).data_packs(Bed().repo.vault.storage_class) == 123
