"""Packs put in several parts: archives' 512 MiB packs are never in memory as a whole."""

from __future__ import annotations

import mmap
import os
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.adapters.blobs.faulty import Crash, Faults
from server.adapters.blobs.local import LocalBlobs
from server.domain.errors import Archived, Unavailable
from server.domain.repository import RetrievalMode, StorageClass
from server.ports import BLOCK_SIZE, Upload
from server.repository.control import ARCHIVE_PATIENCE, Tuning
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.pack import KIND_BLOCK, RAW, PackBuffer, PackReader, read_footer
from server.repository.repository import Control, DiskInput, Repository
from tests.repository.bed import OWNER, PASSWORD, QUICK, SMALL, Bed, Content, Source, plain, refs
from tests.repository.test_bytes import KEYS

MIB = 1024 * 1024
PARTED = replace(SMALL, pack_size=24 * MIB, part_size=5 * MIB, buffers=4)
RANDOM: Content = {index: 5 * (index + 1) for index in range(56)}  # 28 MiB that do not compress


class Parts:
    """Hands out buffers and takes them back, counting how many are in use."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = self.most = 0

    def take(self) -> memoryview:
        self.used += 1
        self.most = max(self.most, self.used)
        return memoryview(bytearray(os.urandom(self.size)))


@given(
    payloads=st.lists(st.integers(0, 9000), min_size=1, max_size=120),
    part_size=st.integers(3000, 20_000),
    late=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_parts_joined_are_the_pack(payloads: list[int], part_size: int, late: bool) -> None:
    parts = Parts(part_size)
    pack = PackBuffer(KEYS, TYPE_DATA_PACK, {"point": "p"}, os.urandom(16), size=4 * MIB, part_size=part_size, take=parts.take)
    put: dict[int, bytes] = {}
    waiting = []
    for number, size in enumerate(payloads):
        item = pack.reserve(KIND_BLOCK, RAW, size, number, number.to_bytes(16, "big"))
        assert item is not None
        waiting.append((item, bytes([number]) * size))
        if late and number % 3:
            continue  # filled only after others have been reserved
        for filled, payload in reversed(waiting):
            for part in pack.fill(filled, payload)[0]:
                assert part.number not in put
                put[part.number] = bytes(part.data)
                parts.used -= 1
        waiting = []
    for filled, payload in waiting:
        put |= {part.number: bytes(part.data) for part in pack.fill(filled, payload)[0]}
    assert pack.close()
    put |= {part.number: bytes(part.data) for part in pack.finish()}
    assert sorted(put) == list(range(1, len(put) + 1))
    assert all(len(put[number]) == part_size for number in put if number < len(put))
    data = b"".join(put[number] for number in sorted(put))
    context, items = read_footer(KEYS, TYPE_DATA_PACK, pack.name, data)
    assert context == {"point": "p"}
    reader = PackReader(KEYS, TYPE_DATA_PACK, pack.ref)
    for item, size in zip(items, payloads, strict=True):
        sealed = data[item.offset : item.offset + item.length]
        assert reader.open(KIND_BLOCK, RAW, item.offset, sealed, max_size=MIB) == bytes([item.position]) * size


def test_a_full_part_is_handed_on_at_once() -> None:
    parts = Parts(10_000)
    pack = PackBuffer(KEYS, TYPE_DATA_PACK, {}, os.urandom(16), size=8 * MIB, part_size=10_000, take=parts.take)
    for number in range(1000):
        item = pack.reserve(KIND_BLOCK, RAW, 3000, number, bytes(16))
        assert item is not None
        parts.used -= len(pack.fill(item, b"x" * 3000)[0])
    assert parts.most <= 2


class Uploads:
    """Watches a store's uploads; none begins before ``go``."""

    def __init__(self, bed: Bed) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.aborted: list[str] = []
        self._upload = bed.inner.upload
        bed.inner.upload = self.upload  # type: ignore[method-assign]  # observed

    def upload(
        self, name: str, *, lock_until: datetime | None = None, storage_class: StorageClass = StorageClass.STANDARD
    ) -> Upload:
        self.begun.set()
        assert self.go.wait(20)
        return Watched(self._upload(name, lock_until=lock_until, storage_class=storage_class), self.aborted, name)


class Watched:
    def __init__(self, inner: Upload, aborted: list[str], name: str) -> None:
        self.part, self.complete = inner.part, inner.complete
        self._inner, self._aborted, self._name = inner, aborted, name

    def abort(self) -> None:
        self._aborted.append(self._name)
        self._inner.abort()


class TestBackup:
    def test_in_parts_restores(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup(RANDOM, blocks=200, tuning=PARTED)
        assert bed.restored(manifest) == plain(RANDOM)
        sizes = sorted(blob.size for blob in bed.inner.list("packs/"))
        assert len(sizes) == 2
        assert sizes[-1] > 4 * PARTED.part_size

    def test_buffers_bound_the_memory(self) -> None:
        """While the store takes nothing, the run waits with full buffers instead of reading on."""
        bed = Bed()
        source = Source(RANDOM)
        hold = Uploads(bed)
        seen: list[int] = []

        def cancelled() -> bool:
            seen.append(len(source.read_indexes))
            if hold.begun.is_set() and seen[-5:] == [seen[-1]] * 5:
                hold.go.set()
            return False

        run = bed.repo.begin(uuid4(), parent=None, tuning=replace(PARTED, buffers=3))
        run.disk(
            DiskInput(disk_id="vol-1", size_bytes=200 * BLOCK_SIZE),
            blocks=refs(source.content),
            read=source.read,
            mode="full",
            control=Control(cancelled=cancelled),
        )
        held = next(count for at, count in enumerate(seen) if at > 4 and seen[at - 4 : at + 1] == [count] * 5 and count)
        assert held * BLOCK_SIZE <= 3 * PARTED.part_size + 2 * SMALL.threads * BLOCK_SIZE
        assert len(source.read_indexes) == len(RANDOM)

    @pytest.mark.parametrize("seed", range(4))
    def test_on_a_store_that_loses_replies(self, seed: int) -> None:
        bed = Bed(seed=seed)
        bed.blobs.revive(Faults(refused=0.1, lost=0.1))
        manifest, _ = bed.backup(RANDOM, blocks=200, tuning=PARTED)
        bed.blobs.revive()
        assert bed.restored(manifest) == plain(RANDOM)

    def test_a_failure_gives_the_upload_up(self) -> None:
        bed = Bed()
        uploads = Uploads(bed)
        uploads.go.set()
        source = Source(RANDOM)

        def fail(index: int) -> None:
            if index >= 40:
                assert uploads.begun.wait(20)
                raise Unavailable("The source does not answer.")

        source.at = fail
        with pytest.raises(Unavailable, match="source"):
            bed.backup(RANDOM, blocks=200, source=source, tuning=PARTED)
        assert uploads.aborted
        assert bed.names("packs/") == []

    def test_killed_at_every_write(self) -> None:
        bed = Bed()
        bed.blobs.revive()
        bed.backup(RANDOM, blocks=200, tuning=PARTED)
        for number in range(1, bed.blobs.writes + 1):
            victim = Bed()
            point = uuid4()
            victim.blobs.revive(Faults(crash_after=number, crash_applied=bool(number % 2)))
            with pytest.raises(Crash):
                victim.backup(RANDOM, blocks=200, point=point, tuning=PARTED)
            repo = victim.reopen()
            manifest = repo.begin(point, parent=None).committed
            if manifest is None:
                manifest, _ = victim.backup(RANDOM, blocks=200, point=point, tuning=PARTED)
            assert victim.restored(manifest) == plain(RANDOM)


class TestArchiveClass:
    def bed(self) -> Bed:
        bed = Bed()
        bed.inner.delete(bed.names())
        bed.repo = Repository.create(
            bed.blobs, PASSWORD, clock=bed.clock, owner=OWNER, kdf=QUICK, storage_class=StorageClass.GLACIER
        )
        return bed

    def test_data_lies_in_the_class_and_everything_else_does_not(self) -> None:
        bed = self.bed()
        manifest, _ = bed.backup(RANDOM, blocks=200, tuning=PARTED)
        classes = {(blob.name.split("/")[0], blob.storage_class) for blob in bed.inner.list()}
        assert {name for name, found in classes if found is StorageClass.GLACIER} == {"packs"}
        assert {name for name, found in classes if found is StorageClass.STANDARD} >= {"trees", "points", "config"}
        with pytest.raises(Archived):
            bed.restored(manifest)
        for name in bed.names("packs/"):
            bed.inner.retrieve(name, mode=RetrievalMode.EXPEDITED, days=1)
        bed.days(0.2)
        assert bed.restored(manifest) == plain(RANDOM)

    def test_packs_are_large_and_closed_early_only_after_long(self) -> None:
        assert Tuning().data_packs(StorageClass.DEEP_ARCHIVE) == 512 * MIB
        assert Tuning().data_packs(StorageClass.STANDARD) == 16 * MIB
        assert Tuning().patience(StorageClass.GLACIER) == ARCHIVE_PATIENCE

    @pytest.mark.parametrize("seed", range(3))
    def test_a_small_pack_whose_reply_was_lost(self, seed: int) -> None:
        """It cannot be read back to compare."""
        bed = self.bed()
        bed.blobs = type(bed.blobs)(bed.inner, bed.clock, seed=seed, faults=Faults(lost=0.3))
        bed.repo = Repository.open(bed.blobs, PASSWORD, clock=bed.clock, owner=OWNER)
        manifest, _ = bed.backup({1: 1}, blocks=10)
        assert bed.repo.point(manifest.id) == manifest


def test_a_local_store_takes_pages_and_what_is_left_over(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    pages = memoryview(mmap.mmap(-1, 3 * MIB))
    pages[:] = os.urandom(3 * MIB)
    for name, data in {
        "aligned": pages,
        "odd-end": pages[: 2 * MIB + 77],
        "odd-start": pages[5 : 2 * MIB],
        "small": pages[:9],
    }.items():
        blobs.put(name, data, if_absent=True)
        assert blobs.get(name) == data
