"""A point's disk as a read-only block device: read at any offset, blocks fetched when needed, kept, and fetched ahead."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from server.domain.errors import InvalidInput
from server.ports import BLOCK_SIZE
from server.repository.fetch import Fetcher, TreeReader
from server.repository.manifest import Manifest
from server.repository.repository import Repository
from server.repository.tree import LEAF_BITS, LEAF_BLOCKS, Entry

CACHED_BLOCKS = 256  # 128 MiB, of all disks of a mount together
AHEAD = 16  # blocks fetched ahead of a reader that goes forward
AT_ONCE = 8  # blocks of one request for several: 4 MiB plain


@dataclass(frozen=True, slots=True)
class Piece:
    """``length`` bytes of a disk. ``data`` None: zeros that are stored nowhere."""

    length: int
    data: memoryview | None


class BlockCache:
    """Plain blocks by (disk, index), each fetched once however many ask for it. Thread-safe; shared by the disks of a mount."""

    def __init__(self, pool: Executor, *, blocks: int = CACHED_BLOCKS) -> None:
        self.pool = pool
        self._size = blocks
        self._lock = threading.Lock()
        self._blocks: OrderedDict[tuple[str, int], Future[bytes]] = OrderedDict()

    def has(self, disk: str, index: int) -> bool:
        with self._lock:
            return (disk, index) in self._blocks

    def claim(self, disk: str, indexes: list[int]) -> tuple[dict[int, Future[bytes]], list[int]]:
        """A future for each block, and those of them that the caller has to fetch."""
        with self._lock:
            found: dict[int, Future[bytes]] = {}
            mine = []
            for index in indexes:
                future = self._blocks.get((disk, index))
                if future is None:
                    future = self._blocks[disk, index] = Future()
                    mine.append(index)
                else:
                    self._blocks.move_to_end((disk, index))
                found[index] = future
            while len(self._blocks) > self._size:
                self._blocks.popitem(last=False)  # whoever waits for it holds its future
            return found, mine

    def forget(self, disk: str, index: int) -> None:
        with self._lock:
            self._blocks.pop((disk, index), None)


class Device:
    """One disk of a point. Thread-safe. Errors of every read: Damaged, Archived, the storage's."""

    def __init__(self, repo: Repository, manifest: Manifest, disk_id: str, cache: BlockCache) -> None:
        record = repo.disk(manifest, disk_id)
        self.name = disk_id
        self.size_bytes = record.size_bytes
        self._cache = cache
        self._fetcher = Fetcher(repo.vault)
        self._tree = TreeReader(self._fetcher, record.root, record.level)

    def read(self, offset: int, length: int) -> list[Piece]:
        """The range in pieces, none longer than a block. InvalidInput when it leaves the disk."""
        self._refuse(offset, length)
        if not length:
            return []
        first, last = offset // BLOCK_SIZE, (offset + length - 1) // BLOCK_SIZE
        entries = self._entries(first, last)
        blocks = self._fetch(entries)
        if self._cache.has(self.name, first - 1):
            self._fetch(self._entries(last + 1, min(last + AHEAD, (self.size_bytes - 1) // BLOCK_SIZE)))
        pieces = []
        for index in range(first, last + 1):
            start = max(offset, index * BLOCK_SIZE)
            end = min(offset + length, (index + 1) * BLOCK_SIZE)
            within = start - index * BLOCK_SIZE
            data = memoryview(blocks[index].result())[within : within + end - start] if index in blocks else None
            pieces.append(Piece(end - start, data))
        return pieces

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, bool]]:
        """The range as runs (bytes, whether anything is stored), neighbours differing. Reads nodes only."""
        self._refuse(offset, length)
        run, kind = 0, False
        for size, stored in self._spans(offset, offset + length):
            if run and stored != kind:
                yield run, kind
                run = 0
            run, kind = run + size, stored
        if run:
            yield run, kind

    def _spans(self, offset: int, end: int) -> Iterator[tuple[int, bool]]:
        """By block, or by leaf where a whole leaf is zeros."""
        while offset < end:
            index = offset // BLOCK_SIZE
            number = index >> LEAF_BITS
            if self._tree.entry(0, number) is None:
                stop, stored = ((number + 1) << LEAF_BITS) * BLOCK_SIZE, False
            else:
                stop, stored = (index + 1) * BLOCK_SIZE, (index & (LEAF_BLOCKS - 1)) in self._tree.node(0, number)
            stop = min(stop, end)
            yield stop - offset, stored
            offset = stop

    def _entries(self, first: int, last: int) -> dict[int, Entry]:
        found = {}
        for index in range(first, last + 1):
            entry = self._tree.node(0, index >> LEAF_BITS).get(index & (LEAF_BLOCKS - 1))
            if entry is not None:
                found[index] = entry
        return found

    def _fetch(self, entries: dict[int, Entry]) -> dict[int, Future[bytes]]:
        found, mine = self._cache.claim(self.name, list(entries))
        for at in range(0, len(mine), AT_ONCE):
            group = {index: (entries[index], found[index]) for index in mine[at : at + AT_ONCE]}
            self._cache.pool.submit(self._load, group)
        return found

    def _load(self, group: dict[int, tuple[Entry, Future[bytes]]]) -> None:
        """Fill the futures. Where a group fails, each block is tried alone: one may be damaged, its neighbours not."""
        try:
            blocks = self._fetcher.blocks([entry for entry, _ in group.values()])
        except BaseException as failure:  # whatever it is, it is raised by those who wait for the block
            if len(group) == 1:
                ((index, (_, future)),) = group.items()
                self._cache.forget(self.name, index)  # the next reader tries again
                future.set_exception(failure)
                return
            for index, pair in group.items():
                self._load({index: pair})
            return
        for (_, future), block in zip(group.values(), blocks, strict=True):
            future.set_result(block)

    def _refuse(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size_bytes:
            raise InvalidInput(f"Bytes {offset} to {offset + length} lie beyond {self.name}, which has {self.size_bytes}.")
