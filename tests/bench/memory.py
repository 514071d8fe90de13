"""Peak memory of a disk of 16 TiB that holds 64 GiB of scattered data: full, increment of 1 %, restore."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from server.domain.errors import Damaged
from server.ports import BLOCK_SIZE, BlockRef
from server.repository.repository import Control, DiskInput
from server.repository.restore import restore_disk
from tests.bench import engine
from tests.bench.processes import child
from tests.bench.rows import Report

DISK_BYTES = 16 * 2**40
SCATTERED = 64 * 2**30
QUICK_SCATTERED = 4 * 2**30
NOISE = 8 * 1024  # bytes of a block that do not compress: packs stay small enough for a memory folder
FILLER = (b"the quick brown fox jumps over the lazy dog; " * (BLOCK_SIZE // 45 + 1))[: BLOCK_SIZE - NOISE - 16]
POOL = random.Random(7).randbytes(2**20)
FULL, INCREMENT = UUID(int=1), UUID(int=2)
TARGET_MIB = 300.0


def measure(work: Path, report: Report, *, quick: bool) -> None:
    scattered = QUICK_SCATTERED if quick else SCATTERED
    repo = str(work / "memory")
    engine.create(repo)
    names = {
        "full": "full backup",
        "increment": "increment of 1 %",
        "restore": "restore, every block compared",
    }
    for name, what in names.items():
        done = child(f"memory.{name}", repo=repo, scattered=scattered)
        says = f"peak memory of the process: {what}; 16 TiB with {scattered >> 30} GiB of scattered data, {done.wall:.0f} s"
        report.add(f"memory_{name}", done.answer["peak"] / 2**20, "MiB", says, TARGET_MIB)
    shutil.rmtree(repo)


def full(repo: str, scattered: int) -> dict[str, Any]:
    return _backup(repo, FULL, None, iter(_positions(scattered)))


def increment(repo: str, scattered: int) -> dict[str, Any]:
    return _backup(repo, INCREMENT, FULL, _changed(scattered))


def restore(repo: str, scattered: int) -> dict[str, Any]:
    """Damaged when a block is not what was backed up."""
    repository = engine.opened(repo)
    changed = set(_changed(scattered))

    def compare(index: int, data: bytes | memoryview) -> None:
        if data != _content(index, 1 if index in changed else 0):
            raise Damaged(f"Block {index} came back with other content.")

    count = restore_disk(repository, repository.point(INCREMENT), engine.DISK, compare)
    if count != scattered // BLOCK_SIZE:
        raise Damaged(f"{count} blocks came back of {scattered // BLOCK_SIZE}.")
    return {"blocks": count}


def _backup(repo: str, point: UUID, parent: UUID | None, indexes: Iterator[int]) -> dict[str, Any]:
    repository = engine.opened(repo)
    version = 0 if parent is None else 1
    run = repository.begin(point, parent=parent)
    result = run.disk(
        DiskInput(disk_id=engine.DISK, size_bytes=DISK_BYTES),
        blocks=(BlockRef(index, "t") for index in indexes),
        read=lambda ref: _content(ref.index, version),
        mode="full" if parent is None else "changed",
        control=Control(),
    )
    run.commit(at=engine.NOON, resource={"id": "i-1"}, document={}, disks=[result])
    return {"blocks": result.record.blocks_written, "metadata": result.record.metadata_bytes}


def _positions(scattered: int) -> list[int]:
    """Ascending, without pattern: most leaves of the tree hold one block or two."""
    return sorted(random.Random(11).sample(range(DISK_BYTES // BLOCK_SIZE), scattered // BLOCK_SIZE))


def _changed(scattered: int) -> Iterator[int]:
    """Every hundredth of them."""
    return iter(_positions(scattered)[::100])


def _content(index: int, version: int) -> bytes:
    """Differs for every index and version."""
    at = (index * 7919 + version) % (len(POOL) - NOISE)
    return index.to_bytes(8, "big") + version.to_bytes(8, "big") + POOL[at : at + NOISE] + FILLER
