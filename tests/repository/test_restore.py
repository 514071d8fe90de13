"""Restoring to files and into sinks."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from server.domain.errors import Archived, Cancelled, Conflict, Damaged, InvalidInput, RepositoryError, StorageFull
from server.ports import BLOCK_SIZE
from server.repository.repository import Control, DiskInput, Progress
from server.repository.restore import read_blocks, restore_disk, restore_disk_to_device, restore_disk_to_file
from tests.repository.bed import SMALL, Bed, Content, Source, block, plain, refs

ZERO = bytes(BLOCK_SIZE)
SAMPLE: Content = {index: index + 1 for index in range(0, 600, 6)} | {13: 0}


def test_a_file_has_the_same_bytes_and_holes_for_zeros(tmp_path: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    target = tmp_path / "disk.img"
    assert restore_disk_to_file(bed.repo, manifest, "vol-1", target) == 100
    assert target.stat().st_size == 600 * BLOCK_SIZE
    assert target.stat().st_blocks * 512 <= 101 * BLOCK_SIZE
    with target.open("rb") as file:
        for index in range(600):
            assert file.read(BLOCK_SIZE) == block(SAMPLE.get(index, 0))


def test_the_last_block_is_cut_at_the_disks_end(tmp_path: Path) -> None:
    bed = Bed()
    run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
    disk = DiskInput(disk_id="vol-1", size_bytes=BLOCK_SIZE + 1000)
    source = Source({0: 5, 1: 10})
    result = run.disk(disk, blocks=refs(source.content), read=source.read, mode="full", control=Control())
    manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
    target = tmp_path / "disk.img"
    restore_disk_to_file(bed.repo, manifest, "vol-1", target)
    assert target.read_bytes() == block(5) + block(10)[:1000]


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    target = tmp_path / "disk.img"
    target.write_bytes(b"mine")
    with pytest.raises(Conflict):
        restore_disk_to_file(bed.repo, manifest, "vol-1", target)
    assert target.read_bytes() == b"mine"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    with pytest.raises(RepositoryError, match="Cannot write"):
        restore_disk_to_file(bed.repo, manifest, "vol-1", tmp_path / "no" / "disk.img")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageFull):
        restore_disk_to_file(bed.repo, manifest, "vol-1", tmp_path / "disk.img")
    assert list(tmp_path.iterdir()) == []


def test_damage_leaves_nothing_behind(tmp_path: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    bed.inner.delete(bed.names("packs/"))
    with pytest.raises(Damaged, match="missing"):
        restore_disk_to_file(bed.repo, manifest, "vol-1", tmp_path / "disk.img")
    assert list(tmp_path.iterdir()) == []


def test_cancelled() -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    stop = threading.Event()
    with pytest.raises(Cancelled):
        restore_disk(bed.repo, manifest, "vol-1", lambda *_: stop.set(), control=Control(cancelled=stop.is_set))


def test_progress_ends_at_the_total() -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    seen: list[Progress] = []
    restore_disk(bed.repo, manifest, "vol-1", lambda *_: None, control=Control(progress=seen.append))
    assert seen[-1].bytes_done == 100 * BLOCK_SIZE


def test_a_sink_gets_every_block_once() -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    got: list[tuple[int, bytes]] = []
    restore_disk(bed.repo, manifest, "vol-1", lambda index, data: got.append((index, data)))
    assert len(got) == 100
    assert dict(got) == plain(SAMPLE)


def test_what_the_sink_raises_comes_out() -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)

    def refuse(index: int, data: bytes) -> None:
        raise StorageFull("Volume quota.")

    with pytest.raises(StorageFull, match="quota"):
        restore_disk(bed.repo, manifest, "vol-1", refuse)


def test_reading_can_stop_early() -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    reading = read_blocks(bed.repo, manifest, "vol-1")
    assert next(reading) == (0, block(1))
    reading.close()  # type: ignore[attr-defined]  # it is a generator


def test_neighbouring_blocks_come_with_one_request() -> None:
    bed = Bed()
    manifest, _ = bed.backup({index: index + 1 for index in range(64) if index % 5 != 4})
    requests: list[str] = []
    get = bed.inner.get

    def counted(name: str, *, start: int = 0, length: int | None = None) -> bytes:
        requests.append(name)
        return get(name, start=start, length=length)

    bed.inner.get = counted  # type: ignore[method-assign]
    bed.restored(manifest)
    assert len([name for name in requests if name.startswith("packs/")]) <= 10


def test_an_archived_pack_is_not_taken_for_damage(tmp_path: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    get = bed.inner.get

    def archived(name: str, *, start: int = 0, length: int | None = None) -> bytes:
        if name.startswith("packs/"):
            raise Archived(f"{name} must be retrieved first.")
        return get(name, start=start, length=length)

    bed.inner.get = archived  # type: ignore[method-assign]
    with pytest.raises(Archived):
        restore_disk_to_file(bed.repo, manifest, "vol-1", tmp_path / "disk.img")
    with pytest.raises(Archived):
        list(read_blocks(bed.repo, manifest, "vol-1"))
    assert list(tmp_path.iterdir()) == []


# ---- devices


def attached(image: Path) -> str | None:
    """A loop device on ``image``; None where this user or system has none."""
    done = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


@pytest.fixture(params=["device", "file"])
def old_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """601 blocks of something else: on a loop device where there are any, and in a file."""
    image = tmp_path / "old.img"
    image.write_bytes(b"old " * (601 * BLOCK_SIZE // 4))
    device = attached(image) if request.param == "device" else None
    yield Path(device) if device else image
    if device:
        subprocess.run(["losetup", "--detach", device], check=True)


def content_of(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [file.read(BLOCK_SIZE) for _ in range(601)]


def test_a_device_is_overwritten_and_zero_runs_read_as_zeros(old_disk: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    assert restore_disk_to_device(bed.repo, manifest, "vol-1", old_disk) == 100
    found = content_of(old_disk)
    assert found[:600] == [block(SAMPLE.get(index, 0)) for index in range(600)]
    assert found[600] == b"old " * (BLOCK_SIZE // 4), "what lies beyond the disk is not its business"


def test_zeros_are_not_written_where_there_are_some(tmp_path: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    image = tmp_path / "new.img"
    with image.open("wb") as file:
        file.truncate(600 * BLOCK_SIZE)
    restore_disk_to_device(bed.repo, manifest, "vol-1", image)
    assert image.stat().st_blocks * 512 <= 101 * BLOCK_SIZE
    assert content_of(image)[:600] == [block(SAMPLE.get(index, 0)) for index in range(600)]


def test_an_empty_disk_clears_the_device(old_disk: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup({})
    restore_disk_to_device(bed.repo, manifest, "vol-1", old_disk)
    assert content_of(old_disk)[:600] == [ZERO] * 600


def test_a_disk_that_ends_within_a_sector(old_disk: Path) -> None:
    bed = Bed()
    run = bed.repo.begin(uuid4(), parent=None, tuning=SMALL)
    disk = DiskInput(disk_id="vol-1", size_bytes=3 * BLOCK_SIZE + 1000)
    result = run.disk(disk, blocks=[], read=lambda _: b"", mode="full", control=Control())
    manifest = run.commit(at=bed.clock.now(), resource={}, document={}, disks=[result])
    restore_disk_to_device(bed.repo, manifest, "vol-1", old_disk)
    found = content_of(old_disk)
    assert found[:3] == [ZERO] * 3
    assert found[3] == bytes(1000) + (b"old " * (BLOCK_SIZE // 4))[1000:]


def test_a_device_too_small_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    small = tmp_path / "small.img"
    small.write_bytes(bytes(BLOCK_SIZE))
    with pytest.raises(InvalidInput, match="the disk 314572800"):
        restore_disk_to_device(bed.repo, manifest, "vol-1", small)
    with pytest.raises(InvalidInput, match="neither"):
        restore_disk_to_device(bed.repo, manifest, "vol-1", Path("/dev/null"))
    with pytest.raises(RepositoryError, match="Cannot write"):
        restore_disk_to_device(bed.repo, manifest, "vol-1", tmp_path / "missing")
    assert small.read_bytes() == bytes(BLOCK_SIZE)


def test_a_device_in_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bed = Bed()
    manifest, _ = bed.backup(SAMPLE)
    opened = os.open

    def busy(path: Path, flags: int, *rest: int) -> int:
        if flags & os.O_EXCL:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", busy)
    with pytest.raises(Conflict, match="in use"):
        restore_disk_to_device(bed.repo, manifest, "vol-1", tmp_path / "disk")


def test_a_device_restore_can_be_stopped(old_disk: Path) -> None:
    bed = Bed()
    manifest, _ = bed.backup({})
    with pytest.raises(Cancelled):
        restore_disk_to_device(bed.repo, manifest, "vol-1", old_disk, control=Control(cancelled=lambda: True))
