"""Reading a point's disks back: every byte authenticated and matched with its content id; zeros are never delivered."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TypeVar

from server.domain.errors import Cancelled
from server.ports import BLOCK_SIZE
from server.repository.control import Control, Progress
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.fetch import Fetcher
from server.repository.manifest import DiskRecord, Manifest
from server.repository.pack import Room
from server.repository.repository import Repository
from server.repository.targets import Device, SparseFile
from server.repository.tree import LEAF_BITS, LEAF_BLOCKS, Entry, block_count
from server.repository.vault import Vault
from server.repository.walk import leaves

THREADS = 8
CHUNK = 8  # blocks per unit of work: 4 MiB plain; neighbours in a pack come with one request
GAP = 2_048  # blocks zeroed at once: 1 GiB
REPORT_EVERY = 0.5  # seconds

T = TypeVar("T")
U = TypeVar("U")
Chunk = list[tuple[int, Entry]]
Write = Callable[[int, memoryview], None]


def read_blocks(
    repo: Repository, manifest: Manifest, disk_id: str, *, start_index: int = 0, threads: int = THREADS
) -> Iterator[tuple[int, bytes]]:
    """The disk's non-zero blocks (index, BLOCK_SIZE bytes), ascending from ``start_index``, fetched ahead in parallel.

    Memory: about ``2 * threads`` chunks of 4 MiB plain. Close the generator to stop early. Errors: NotFound (no such disk),
    Damaged, Archived, the storage's.
    """
    fetcher, disk = Fetcher(repo.vault), repo.disk(manifest, disk_id)

    def load(chunk: Chunk) -> list[tuple[int, bytes]]:
        data = fetcher.blocks([entry for _, entry in chunk])
        return [(index, block) for (index, _), block in zip(chunk, data, strict=True)]

    with _Looking(repo.vault, fetcher, disk, start_index) as chunks:
        for found in _through(repo.vault, chunks, load, threads):
            yield from found


def restore_disk(
    repo: Repository,
    manifest: Manifest,
    disk_id: str,
    write: Callable[[int, bytes], None],
    *,
    control: Control | None = None,
    start_index: int = 0,
    threads: int = THREADS,
) -> int:
    """Hand every non-zero block to ``write(index, data)``, from several threads and in no strict order; the number of blocks.
    Errors: Cancelled, what ``write`` raises, and those of ``read_blocks``."""
    fetcher, disk = Fetcher(repo.vault), repo.disk(manifest, disk_id)
    copier = _Copier(fetcher, disk, lambda index, data: write(index, bytes(data)), control or Control())
    with _Looking(repo.vault, fetcher, disk, start_index) as chunks:
        return _counted(repo.vault, _through(repo.vault, chunks, copier.copy, threads), copier)


def restore_disk_to_file(
    repo: Repository, manifest: Manifest, disk_id: str, path: Path, *, control: Control | None = None, threads: int = THREADS
) -> int:
    """A new sparse file of the disk's size; zero runs are holes. The number of blocks written. Removed again on failure.
    Errors: Conflict (the file exists), StorageFull, RepositoryError (cannot write), and those of ``restore_disk``."""
    target = SparseFile(path, repo.disk(manifest, disk_id).size_bytes)
    try:
        return _onto(target, repo, manifest, disk_id, control or Control(), threads)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def restore_disk_to_device(
    repo: Repository, manifest: Manifest, disk_id: str, path: Path, *, control: Control | None = None, threads: int = THREADS
) -> int:
    """Overwrite a block device (or an existing file) with the disk; zero runs read as zeros afterwards but are not sent. The
    number of blocks written. After a failure the device holds a part of the disk.
    Errors: Conflict (in use), InvalidInput (too small), StorageFull, RepositoryError, and those of ``restore_disk``."""
    target = Device(path, repo.disk(manifest, disk_id).size_bytes)
    return _onto(target, repo, manifest, disk_id, control or Control(), threads)


def _onto(
    target: SparseFile | Device, repo: Repository, manifest: Manifest, disk_id: str, control: Control, threads: int
) -> int:
    try:
        fetcher, disk = Fetcher(repo.vault), repo.disk(manifest, disk_id)
        copier = _Copier(fetcher, disk, target.write, control)

        def work(unit: Chunk | range) -> int:
            if isinstance(unit, range):
                assert isinstance(target, Device)
                copier.stop_if_asked()
                target.zero(unit)
                return 0
            return copier.copy(unit)

        with _Looking(repo.vault, fetcher, disk, 0) as chunks:
            units = _with_gaps(chunks, block_count(disk.size_bytes)) if isinstance(target, Device) else chunks
            count = _counted(repo.vault, _through(repo.vault, units, work, threads), copier)
        target.sync()
    finally:
        target.close()
    return count


class _Copier:
    """Fetches chunks, many at once, and opens and writes them, as many at once as there are cores."""

    def __init__(self, fetcher: Fetcher, disk: DiskRecord, write: Write, control: Control) -> None:
        self.control = control
        self._fetcher = fetcher
        self._disk = disk
        self._write = write
        self._cores = threading.Semaphore(max(2, os.cpu_count() or 2))
        self._local = threading.local()

    def copy(self, chunk: Chunk) -> int:
        sealed = self._fetcher.sealed(TYPE_DATA_PACK, [entry for _, entry in chunk])
        with self._cores:
            room: Room | None = getattr(self._local, "room", None)
            if room is None:
                room = self._local.room = Room(BLOCK_SIZE)
            for (index, entry), data in zip(chunk, sealed, strict=True):
                self.stop_if_asked()
                self._write(index, self._fetcher.block_in(room, entry, data))
        return len(chunk)

    def stop_if_asked(self) -> None:
        if self.control.cancelled():
            raise Cancelled(f"The restore of {self._disk.disk_id} was stopped.")


def _counted(vault: Vault, done: Iterable[int], copier: _Copier) -> int:
    """The sum of ``done``, reported as it grows."""
    clock, total = vault.clock, 0
    reported = clock.monotonic()
    for count in done:
        total += count
        copier.stop_if_asked()
        now = clock.monotonic()
        if now - reported >= REPORT_EVERY:
            reported = now
            copier.control.progress(Progress(total * BLOCK_SIZE, total * BLOCK_SIZE, 0))
    copier.control.progress(Progress(total * BLOCK_SIZE, total * BLOCK_SIZE, 0))
    return total


def _through(vault: Vault, units: Iterable[U], work: Callable[[U], T], threads: int) -> Iterator[T]:
    """``work`` on every unit in a pool, results in order, at most ``2 * threads`` units under way."""
    workers = vault.pool(threads, "restore")
    try:
        pending: deque[Future[T]] = deque()
        for unit in units:
            pending.append(workers.submit(work, unit))
            if len(pending) >= 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        workers.shutdown(cancel_futures=True)


class _Looking:
    """``with``: the disk's blocks in chunks, ascending from ``start_index``, leaves of the tree fetched ahead."""

    def __init__(self, vault: Vault, fetcher: Fetcher, disk: DiskRecord, start_index: int) -> None:
        self._pool: Executor = vault.pool(2, "restore-tree")
        self._chunks = _chunks(fetcher, disk, start_index, self._pool)

    def __enter__(self) -> Iterator[Chunk]:
        return self._chunks

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def _with_gaps(chunks: Iterable[Chunk], count: int) -> Iterator[Chunk | range]:
    """The chunks, and the blocks between them, of ``count`` altogether."""
    at = 0
    for chunk in chunks:
        for index, _ in chunk:
            yield from _pieces(at, index)
            at = index + 1
        yield chunk
    yield from _pieces(at, count)


def _pieces(start: int, end: int) -> Iterator[range]:
    for at in range(start, end, GAP):
        yield range(at, min(at + GAP, end))


def _chunks(fetcher: Fetcher, disk: DiskRecord, start_index: int, pool: Executor) -> Iterator[Chunk]:
    chunk: Chunk = []
    for number, slots in leaves(fetcher, disk.root, disk.level, pool, first_leaf=start_index >> LEAF_BITS):
        first = number * LEAF_BLOCKS
        for slot, entry in slots.items():
            if first + slot < start_index:
                continue
            chunk.append((first + slot, entry))
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
    if chunk:
        yield chunk
