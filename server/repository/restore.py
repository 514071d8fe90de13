"""Reading a point's disks back: every byte authenticated and matched with its content id; zeros are never delivered."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TypeVar

from server.domain.errors import Cancelled, Conflict, Damaged, HoldfastError, NotFound, RepositoryError, StorageFull
from server.ports import BLOCK_SIZE
from server.repository.control import Control, Progress
from server.repository.crypto import CHECK_REMEDY
from server.repository.fetch import Fetcher
from server.repository.manifest import DiskRecord, Manifest
from server.repository.repository import Repository
from server.repository.tree import LEAF_BITS, LEAF_BLOCKS, Entry, content_root
from server.repository.vault import Vault
from server.repository.walk import leaves

THREADS = 6
CHUNK = 8  # blocks per unit of work: 4 MiB plain; neighbours in a pack come with one request
REPORT_EVERY = 0.5  # seconds

T = TypeVar("T")
Chunk = list[tuple[int, Entry]]


def read_blocks(
    repo: Repository, manifest: Manifest, disk_id: str, *, start_index: int = 0, threads: int = THREADS
) -> Iterator[tuple[int, bytes]]:
    """The disk's non-zero blocks (index, BLOCK_SIZE bytes), ascending from ``start_index``, fetched ahead in parallel.

    Memory: about ``2 * threads`` chunks of 4 MiB plain. Close the generator to stop early. Errors: NotFound (no such disk),
    Damaged, the storage's.
    """
    fetcher, disk = Fetcher(repo.vault), _disk(repo, manifest, disk_id)

    def load(chunk: Chunk) -> list[tuple[int, bytes]]:
        data = fetcher.blocks([entry for _, entry in chunk])
        return [(index, block) for (index, _), block in zip(chunk, data, strict=True)]

    for found in _through(repo.vault, fetcher, disk, start_index, load, threads):
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
    hooks = control or Control()
    clock = repo.vault.clock
    fetcher, disk = Fetcher(repo.vault), _disk(repo, manifest, disk_id)

    def copy(chunk: Chunk) -> int:
        for (index, _), block in zip(chunk, fetcher.blocks([entry for _, entry in chunk]), strict=True):
            if hooks.cancelled():
                raise Cancelled(f"The restore of {disk_id} was stopped.")
            write(index, block)
        return len(chunk)

    done = 0
    reported = clock.monotonic()
    for count in _through(repo.vault, fetcher, disk, start_index, copy, threads):
        done += count
        if hooks.cancelled():
            raise Cancelled(f"The restore of {disk_id} was stopped.")
        now = clock.monotonic()
        if now - reported >= REPORT_EVERY:
            reported = now
            hooks.progress(Progress(done * BLOCK_SIZE, done * BLOCK_SIZE, 0))
    hooks.progress(Progress(done * BLOCK_SIZE, done * BLOCK_SIZE, 0))
    return done


def restore_disk_to_file(
    repo: Repository, manifest: Manifest, disk_id: str, path: Path, *, control: Control | None = None, threads: int = THREADS
) -> int:
    """A new sparse file of the disk's size; zero runs are holes. The number of blocks written. Removed again on failure.
    Errors: Conflict (the file exists), StorageFull, RepositoryError (cannot write), and those of ``restore_disk``."""
    size = _disk(repo, manifest, disk_id).size_bytes
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as failure:
        raise _file_error(path, failure) from failure

    def write(index: int, data: bytes) -> None:
        offset = index * BLOCK_SIZE
        view = memoryview(data)[: size - offset]
        try:
            while view:
                done = os.pwrite(handle, view, offset)
                view, offset = view[done:], offset + done
        except OSError as failure:
            raise _file_error(path, failure) from failure

    try:
        try:
            os.ftruncate(handle, size)
            count = restore_disk(repo, manifest, disk_id, write, control=control, threads=threads)
            os.fsync(handle)
        except OSError as failure:
            raise _file_error(path, failure) from failure
        finally:
            os.close(handle)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return count


def _through(
    vault: Vault, fetcher: Fetcher, disk: DiskRecord, start_index: int, work: Callable[[Chunk], T], threads: int
) -> Iterator[T]:
    """``work`` on every chunk of the disk in a pool, results in order, at most ``2 * threads`` chunks under way."""
    workers = vault.pool(threads, "restore")
    lookers = vault.pool(2, "restore-tree")
    try:
        pending: deque[Future[T]] = deque()
        for chunk in _chunks(fetcher, disk, start_index, lookers):
            pending.append(workers.submit(work, chunk))
            if len(pending) >= 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        workers.shutdown(cancel_futures=True)
        lookers.shutdown(cancel_futures=True)


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


def _disk(repo: Repository, manifest: Manifest, disk_id: str) -> DiskRecord:
    disk = manifest.disk(disk_id)
    if disk is None:
        raise NotFound(f"Point {manifest.id} has no disk {disk_id}.")
    if content_root(repo.vault.keys.tree, disk.size_bytes, disk.root) != disk.content_root:
        raise Damaged(f"Disk {disk_id} of point {manifest.id} does not match its content root.", remedy=CHECK_REMEDY)
    return disk


def _file_error(path: Path, failure: OSError) -> HoldfastError:
    reason = failure.strerror or str(failure)
    if failure.errno == errno.EEXIST:
        return Conflict(f"{path} exists already.", remedy="Choose another file name.")
    if failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(f"No space left to write {path} ({reason}).", remedy="Free space or choose another disk.")
    return RepositoryError(f"Cannot write {path} ({reason}).", remedy="Check the path and its permissions.")
