"""The deduplication index: bounded, lossy, shared by processes, and never wrong."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import tempfile
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.ports import BLOCK_SIZE
from server.repository import layout
from server.repository.crypto import TYPE_DATA_PACK, Keys
from server.repository.damage import Bad, write_damage
from server.repository.dedup import DedupIndex, refill
from server.repository.pack import KIND_BLOCK, KIND_LEAF, RAW, ZSTD, Item
from server.repository.prune import collect
from server.repository.repository import Control, DiskInput, Repository
from server.repository.tree import Entry
from tests.repository.bed import OWNER, PASSWORD, Bed, Content, Source, plain, refs

KEYS = Keys(UUID(int=7), {1: bytes(range(32))})
SMALL_SIZE = 64 * 1024  # 60 buckets


@dataclass
class Cached(Bed):
    """A bed whose repository has a cache folder."""

    folder: Path = Path()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reopen()

    def reopen(self, faults: object = None) -> Repository:
        self.blobs.revive()
        runtime = replace(self.repo.vault.runtime, cache=self.folder)
        self.repo = Repository.open(self.blobs, PASSWORD, clock=self.clock, owner=OWNER, runtime=runtime)
        return self.repo

    @property
    def file(self) -> Path:
        return self.folder / f"{self.repo.id}.dedup"


@pytest.fixture
def bed(tmp_path: Path) -> Cached:
    return Cached(folder=tmp_path / "cache")


def item(content_id: bytes, number: int = 0) -> Item:
    return Item(KIND_BLOCK, ZSTD, 48 + 1000 * number, 1000, number, content_id)


def entry(ref: bytes, found: Item) -> Entry:
    return Entry(ref, found.codec, found.offset, found.length, found.id)


class Against(RuleBasedStateMachine):
    """The file against a dict, through damage of every kind: a hit is always something that was added."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.added: dict[bytes, set[Entry]] = {}
        self.last: Entry | None = None
        self.use()

    def use(self) -> None:
        self.context = DedupIndex.opened(Path(self.folder.name), KEYS, size_bytes=SMALL_SIZE)
        opened = self.context.__enter__()
        assert opened is not None
        self.index = opened

    @property
    def file(self) -> Path:
        return Path(self.folder.name) / f"{KEYS.repository_id}.dedup"

    @rule(numbers=st.lists(st.integers(0, 5000), min_size=1, max_size=30), pack=st.integers(0, 50))
    def add(self, numbers: list[int], pack: int) -> None:
        ref = pack.to_bytes(20, "big")
        items = [item(random.Random(number).randbytes(16), at) for at, number in enumerate(numbers)]
        self.index.add(ref, [*items, Item(KIND_LEAF, RAW, 1, 1, 1, bytes(16))])
        for each in items:
            self.added.setdefault(each.id, set()).add(entry(ref, each))
        self.last = entry(ref, items[-1])

    @rule(at=st.floats(0, 1), bytes_=st.binary(min_size=1, max_size=200))
    def overwrite(self, at: float, bytes_: bytes) -> None:
        self.last = None
        with self.file.open("r+b") as file:
            file.seek(int(at * (SMALL_SIZE - 200)))
            file.write(bytes_)

    @rule(to=st.floats(0, 1))
    def swap(self, to: float) -> None:
        """A bucket's bytes appear elsewhere too."""
        self.last = None
        with self.file.open("r+b") as file:
            data = file.read()
            file.seek(int(to * (SMALL_SIZE - 2048)))
            file.write(data[4096:6144])

    @rule(size=st.floats(0, 1))
    def truncate(self, size: float) -> None:
        self.last = None
        os.truncate(self.file, int(size * SMALL_SIZE))

    @rule()
    def reopen(self) -> None:
        self.context.__exit__(None, None, None)
        self.use()
        self.last = None

    @invariant()
    def what_is_found_was_added(self) -> None:
        for number in range(0, 5000, 97):
            content_id = random.Random(number).randbytes(16)
            found = self.index.get(content_id)
            assert found is None or found in self.added[content_id]
        if self.last is not None:
            assert self.index.get(self.last.id) == self.last

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)
        self.folder.cleanup()


Against.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestAgainstADict = Against.TestCase


class TestFile:
    def test_keeps_what_fits_and_stays_as_large_as_it_was(self, tmp_path: Path) -> None:
        ids = [random.Random(number).randbytes(16) for number in range(20_000)]
        with DedupIndex.opened(tmp_path, KEYS, size_bytes=256 * 1024) as index:
            assert index is not None
            for number, content_id in enumerate(ids):
                index.add(number.to_bytes(20, "big"), [item(content_id)])
            found = sum(index.get(content_id) is not None for content_id in ids)
        (file,) = tmp_path.iterdir()
        assert file.stat().st_size <= 256 * 1024
        assert found > 0.95 * 252 * 16

    def test_another_key_finds_nothing_and_begins_anew(self, tmp_path: Path) -> None:
        content_id = bytes(16)
        with DedupIndex.opened(tmp_path, KEYS, size_bytes=SMALL_SIZE) as index:
            assert index is not None
            index.add(bytes(20), [item(content_id)])
        stolen = Keys(KEYS.repository_id, {1: bytes(32)})
        with DedupIndex.opened(tmp_path, stolen, size_bytes=SMALL_SIZE) as index:
            assert index is not None
            assert index.get(content_id) is None

    def test_survives_closing(self, tmp_path: Path) -> None:
        for expected in (None, entry(bytes(20), item(bytes(16)))):
            with DedupIndex.opened(tmp_path, KEYS, size_bytes=SMALL_SIZE) as index:
                assert index is not None
                assert index.get(bytes(16)) == expected
                index.add(bytes(20), [item(bytes(16))])

    def test_without_a_usable_folder_there_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for folder in (None, tmp_path / "file"):
            with DedupIndex.opened(folder, KEYS) as index:
                assert index is None

    def test_a_disk_error_disables_it(self, tmp_path: Path) -> None:
        with DedupIndex.opened(tmp_path, KEYS, size_bytes=SMALL_SIZE) as index:
            assert index is not None
            broken = DedupIndex(os.open(tmp_path, os.O_RDONLY), KEYS, 10)
        assert broken.get(bytes(16)) is None
        assert broken.problem is not None
        assert "cannot be used" in broken.problem
        broken.add(bytes(20), [item(bytes(16))])
        os.close(broken._handle)

    def test_costs_no_memory(self, tmp_path: Path) -> None:
        """100,000 records of 64 bytes are written and looked up: 6 MiB of file, almost none of it resident."""
        with DedupIndex.opened(tmp_path, KEYS) as index:
            assert index is not None
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for number in range(100):
                ids = [random.Random(f"{number}-{at}").randbytes(16) for at in range(1000)]
                index.add(number.to_bytes(20, "big"), [item(content_id, at) for at, content_id in enumerate(ids)])
                assert sum(index.get(content_id) is not None for content_id in ids) == 1000
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 2 * 1024  # KiB


def _hammer(folder: str, seed: int) -> None:
    rng = random.Random(seed)
    with DedupIndex.opened(Path(folder), KEYS, size_bytes=SMALL_SIZE) as index:
        assert index is not None
        for _ in range(4000):
            number = rng.randrange(1200)
            content_id = random.Random(number).randbytes(16)
            ref = rng.randrange(3).to_bytes(20, "big")
            index.add(ref, [item(content_id, number)])
            found = index.get(random.Random(rng.randrange(1200)).randbytes(16))
            if found is not None:
                assert random.Random((found.offset - 48) // 1000).randbytes(16) == found.id
                assert int.from_bytes(found.pack, "big") < 3


def test_several_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_hammer, args=(str(tmp_path), seed)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]


SAMPLE: Content = {index: 5 * index + 5 for index in range(12)}


class TestBackups:
    def test_other_resources_share_their_blocks(self, bed: Cached) -> None:
        bed.backup(SAMPLE)
        manifest, result = bed.backup({index + 100: seed for index, seed in SAMPLE.items()} | {0: 2}, disk_id="vol-2")
        assert result.record.blocks_written == 1
        assert bed.restored(manifest, "vol-2") == plain({index + 100: seed for index, seed in SAMPLE.items()} | {0: 2})

    def test_without_a_cache_folder_they_do_not(self) -> None:
        bare = Bed()
        bare.backup(SAMPLE)
        _, result = bare.backup(SAMPLE, disk_id="vol-2")
        assert result.record.blocks_written == len(SAMPLE)

    def test_a_pack_that_is_gone_is_not_referred_to(self, bed: Cached) -> None:
        bed.backup(SAMPLE)
        bed.inner.delete(bed.names("packs/"))
        manifest, result = bed.backup(SAMPLE, disk_id="vol-2")
        assert result.record.blocks_written == len(SAMPLE)
        assert bed.restored(manifest, "vol-2") == plain(SAMPLE)

    def test_a_damaged_pack_is_not_referred_to(self, bed: Cached) -> None:
        bed.backup(SAMPLE)
        packs = [layout.pack_id_of(name) for name in bed.names("packs/")]
        write_damage(bed.repo.vault, [Bad(TYPE_DATA_PACK, pack) for pack in packs if pack], at=bed.clock.now())
        _, result = bed.backup(SAMPLE, disk_id="vol-2")
        assert result.record.blocks_written == len(SAMPLE)

    def test_packs_marked_for_deletion_are_not_referred_to(self, bed: Cached) -> None:
        first, _ = bed.backup(SAMPLE)
        bed.repo.forget(first.id)
        bed.days(2)
        assert collect(bed.repo, min_age=timedelta(days=1)).marked_objects
        manifest, result = bed.backup(SAMPLE, disk_id="vol-2")
        assert result.record.blocks_written == len(SAMPLE)
        for _ in range(3):
            bed.days(2)
            collect(bed.repo, min_age=timedelta(days=1))
        assert bed.restored(manifest, "vol-2") == plain(SAMPLE)

    def test_a_collection_that_marks_during_the_run_waits_for_it(self, bed: Cached) -> None:
        """The only point that holds the blocks is forgotten while a run refers to them through the index."""
        first, _ = bed.backup(SAMPLE)
        source = Source(SAMPLE)
        hit: list[int] = []

        def at(index: int) -> None:
            hit.append(index)
            if len(hit) == 6:
                bed.repo.forget(first.id)
                bed.days(2)
                collect(bed.repo, min_age=timedelta(days=1))
                bed.days(0.9)
                collect(bed.repo, min_age=timedelta(hours=1))

        source.at = at
        manifest, result = bed.backup(SAMPLE, disk_id="vol-2", source=source)
        for _ in range(3):
            bed.days(2)
            collect(bed.repo, min_age=timedelta(days=1))
        assert bed.restored(manifest, "vol-2") == plain(SAMPLE)
        assert result.record.blocks_written < len(SAMPLE)

    def test_corruption_costs_space_only(self, bed: Cached) -> None:
        bed.backup(SAMPLE)
        rng = random.Random(1)
        data = bytearray(bed.file.read_bytes()[:4096]) + rng.randbytes(1024 * 1024)
        bed.file.write_bytes(data + bytes(bed.file.stat().st_size - len(data)))
        manifest, _ = bed.backup(SAMPLE, disk_id="vol-2")
        assert bed.restored(manifest, "vol-2") == plain(SAMPLE)

    def test_rebuilt_from_footers(self, bed: Cached) -> None:
        first, _ = bed.backup(SAMPLE)
        assert refill(bed.repo.vault) == 0, "there is one"
        bed.file.unlink()
        bed.inner.put("packs/00/" + 32 * "0", b"not a pack")
        assert refill(bed.repo.vault) == len(bed.names("packs/")) - 1
        manifest, result = bed.backup(SAMPLE, disk_id="vol-2")
        assert result.record.blocks_written == 0
        assert bed.restored(manifest, "vol-2") == plain(SAMPLE)
        assert first.id != manifest.id

    def test_a_version_one_repository_is_upgraded_first(self, bed: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
        upgraded: list[str] = []
        upgrade = type(bed.repo.vault).upgrade

        def watched(vault: object) -> None:
            upgraded.append("now")
            upgrade(vault)  # type: ignore[arg-type]  # it is one

        monkeypatch.setattr(type(bed.repo.vault), "upgrade", watched)
        bed.backup(SAMPLE)
        assert not upgraded
        bed.backup(SAMPLE, disk_id="vol-2")
        assert upgraded == ["now"]

    def test_blocks_of_a_run_that_comes_to_nothing_may_be_used(self, bed: Cached) -> None:
        run = bed.repo.begin(uuid4(), parent=None)
        disk = DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE)
        run.disk(disk, blocks=refs(SAMPLE), read=Source(SAMPLE).read, mode="full", control=Control())
        manifest, result = bed.backup(SAMPLE, disk_id="vol-2")
        assert result.record.blocks_written == 0
        run.abandon()
        for _ in range(3):
            bed.days(2)
            collect(bed.repo, min_age=timedelta(days=1))
        assert bed.restored(manifest, "vol-2") == plain(SAMPLE)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.sampled_from([RAW, ZSTD]))
def test_records_keep_every_value(content_id: bytes, offset: int, length: int, codec: int) -> None:
    with tempfile.TemporaryDirectory() as folder, DedupIndex.opened(Path(folder), KEYS, size_bytes=SMALL_SIZE) as index:
        assert index is not None
        ref = content_id + b"\x01\x00\x00\x00"
        index.add(ref, [Item(KIND_BLOCK, codec, offset, length, 3, content_id)])
        assert index.get(content_id) == Entry(ref, codec, offset, length, content_id)
