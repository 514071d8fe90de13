"""One small repository of every format version, made once and kept: every build reads them, goes on in them and collects."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.clock import FakeClock
from server.domain.errors import NotFound
from server.ports import BLOCK_SIZE, BlockRef
from server.repository import layout
from server.repository.check import check
from server.repository.crypto import FORMAT_VERSION
from server.repository.prune import collect
from server.repository.repository import Control, DiskInput, Repository, peek
from server.repository.restore import read_blocks
from tests.repository.bed import START
from tests.repository.frozen.contents import FORGOTTEN, FULL, INCREMENT, OWNER, PARENTS, PASSWORDS, POINTS, Disk, block

FROZEN = Path(__file__).parent / "frozen"
VERSIONS = sorted(folder.name for folder in FROZEN.glob("version-*"))

pytestmark = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START + timedelta(days=30))


@pytest.fixture
def blobs(version: str, clock: FakeClock) -> MemoryBlobs:
    """A copy to work on."""
    copy = MemoryBlobs(clock)
    for path in (FROZEN / version).rglob("*"):
        if path.is_file():
            copy.put(path.relative_to(FROZEN / version).as_posix(), path.read_bytes())
    return copy


def reader(blobs: MemoryBlobs, clock: FakeClock, password: str = PASSWORDS[0]) -> Repository:
    return Repository.open(blobs, password, clock=clock, owner=None)


def owned(blobs: MemoryBlobs, clock: FakeClock) -> Repository:
    return Repository.open(blobs, PASSWORDS[0], clock=clock, owner=OWNER)


def holds(repo: Repository, point_id: UUID, disks: tuple[Disk, ...]) -> None:
    """Every block of every disk is what it was, and there are no others."""
    manifest = repo.manifest(point_id)
    assert [(disk.disk_id, disk.size_bytes) for disk in manifest.disks] == [(disk.disk_id, disk.size_bytes) for disk in disks]
    for disk in disks:
        expected = {index: block(kind) for index, kind in disk.blocks.items() if kind != "zero"}
        assert dict(read_blocks(repo, manifest, disk.disk_id, threads=2)) == expected


def test_its_version_is_the_folder_s(version: str, blobs: MemoryBlobs, clock: FakeClock) -> None:
    header = peek(blobs, clock=clock)
    assert (f"version-{header.version}", header.owner) == (version, OWNER)
    assert header.hint == "in order of appearance"


@pytest.mark.parametrize("password", PASSWORDS)
def test_every_byte_is_read(blobs: MemoryBlobs, clock: FakeClock, password: str) -> None:
    repo = reader(blobs, clock, password)
    assert sorted(summary.id for summary in repo.points()) == [FULL, INCREMENT]
    assert list(repo.forgotten()) == [FORGOTTEN]
    for point_id, disks in POINTS.items():
        holds(repo, point_id, disks)
        assert repo.manifest(point_id).parent == PARENTS[point_id]


def test_a_check_finds_nothing(blobs: MemoryBlobs, clock: FakeClock) -> None:
    assert list(check(reader(blobs, clock), "content")) == []


def test_reading_changes_nothing(version: str, blobs: MemoryBlobs, clock: FakeClock) -> None:
    before = {blob.name: blob.version for blob in blobs.list()}
    repo = reader(blobs, clock)
    holds(repo, INCREMENT, POINTS[INCREMENT])
    assert {blob.name: blob.version for blob in blobs.list()} == before


def test_an_increment_goes_on_from_it(blobs: MemoryBlobs, clock: FakeClock) -> None:
    repo = owned(blobs, clock)
    run = repo.begin(uuid4(), parent=INCREMENT)
    before = POINTS[INCREMENT][0]
    result = run.disk(
        DiskInput(disk_id=before.disk_id, size_bytes=before.size_bytes),
        blocks=[BlockRef(2, "t"), BlockRef(39, "")],
        read=lambda _: block("new"),
        mode="changed",
        control=Control(),
    )
    manifest = run.commit(at=clock.now(), resource={}, document={}, disks=[result])
    after = {**before.blocks, 2: "new", 39: "zero"}
    holds(repo, manifest.id, (Disk(before.disk_id, before.size_bytes, after),))
    assert result.record.blocks_written == 1
    assert result.record.stored_bytes < BLOCK_SIZE


def test_the_collection_under_way_is_finished(blobs: MemoryBlobs, clock: FakeClock) -> None:
    repo = owned(blobs, clock)
    for _ in range(2):
        clock.advance(timedelta(days=1))
        collect(repo, min_age=timedelta(hours=1))
    assert list(repo.forgotten()) == []
    with pytest.raises(NotFound):
        repo.manifest(FORGOTTEN)
    for point_id in (FULL, INCREMENT):
        holds(repo, point_id, POINTS[point_id])
    assert list(check(repo, "content")) == []


def test_what_was_forgotten_can_be_recalled(blobs: MemoryBlobs, clock: FakeClock) -> None:
    repo = owned(blobs, clock)
    repo.recall(FORGOTTEN)
    holds(repo, FORGOTTEN, POINTS[FORGOTTEN])


def test_an_upgrade_leaves_everything_readable(blobs: MemoryBlobs, clock: FakeClock) -> None:
    owned(blobs, clock).vault.upgrade()
    assert peek(blobs, clock=clock).version == FORMAT_VERSION
    repo = reader(blobs, clock, PASSWORDS[1])
    holds(repo, INCREMENT, POINTS[INCREMENT])


def test_the_header_of_every_object_is_the_documented_one(version: str, blobs: MemoryBlobs, clock: FakeClock) -> None:
    repository = peek(blobs, clock=clock).id
    for blob in blobs.list():
        if blob.name.startswith((layout.KEYS, layout.CONFIG, layout.OWNER)):
            continue
        head = blobs.get(blob.name, length=48)
        assert (head[:8], head[8:10], head[16:32]) == (b"HOLDFAST", b"\x01\x00", repository.bytes)


def test_every_version_is_kept(version: str) -> None:
    assert [f"version-{number}" for number in range(1, len(VERSIONS) + 1)] == VERSIONS
