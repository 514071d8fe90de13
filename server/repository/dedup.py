"""The deduplication index: a bounded file on this machine that knows where blocks with a content id are stored (FORMAT.md §11).

A cache and never the truth: lossy, read and written in place by several processes at once without locks, so it costs no memory
to speak of. Every record carries a keyed checksum: what was torn, altered or lost is not found, and never found wrong.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

from server.domain.errors import Archived, Cancelled, Damaged, NotFound
from server.ports import Blob
from server.repository import layout
from server.repository.control import Control
from server.repository.crypto import TYPE_DATA_PACK, Keys
from server.repository.pack import KIND_BLOCK, Item, footer_in, pack_ref
from server.repository.tree import Entry
from server.repository.vault import Vault

INDEX_BYTES = 256 * 1024 * 1024  # of a sparse file: room for about 4 million blocks, 2 TiB
READERS = 8  # footers read at once by ``rebuild``

_HEAD = struct.Struct("<8s16sQ")
_MAGIC = b"HFDEDUP1"
_HEAD_SIZE = 4096  # a page of its own, so that buckets do not straddle pages
_RECORD = struct.Struct("<16s20sIIB3x")  # content id, pack reference, offset, length, codec
_CHECK_SIZE = 16
_SLOT = _RECORD.size + _CHECK_SIZE
_SLOTS = 16
_BUCKET = _SLOT * _SLOTS
_EMPTY = bytes(_SLOT)


class DedupIndex:
    """Thread-safe. Disk errors disable it, with the reason in ``problem``: a backup goes on without."""

    def __init__(self, handle: int, keys: Keys, buckets: int) -> None:
        self._handle = handle
        self._key = _index_key(keys)
        self._buckets = buckets
        self.problem: str | None = None

    @classmethod
    @contextmanager
    def opened(cls, folder: Path | None, keys: Keys, *, size_bytes: int = INDEX_BYTES) -> Iterator[DedupIndex | None]:
        """The index of the repository of ``keys`` in ``folder``, made when it is absent, of another size or not ours. None
        without a folder, or when it cannot be opened."""
        handle = None if folder is None else _open(folder, keys, size_bytes)
        if handle is None:
            yield None
            return
        try:
            yield cls(handle, keys, _bucket_count(size_bytes))
        finally:
            os.close(handle)

    def get(self, content_id: bytes) -> Entry | None:
        if self.problem is not None:
            return None
        try:
            bucket = os.pread(self._handle, _BUCKET, self._place(content_id))
        except OSError as failure:
            return self._disable(failure)
        for slot in _slots_of(bucket, content_id):
            record = bucket[slot : slot + _RECORD.size]
            if self._check(record) == bucket[slot + _RECORD.size : slot + _SLOT]:
                _, pack, offset, length, codec = _RECORD.unpack(record)
                return Entry(pack, codec, offset, length, content_id)
        return None

    def add(self, ref: bytes, items: Sequence[Item]) -> None:
        """The blocks of a pack that has become durable. Where a bucket is full, an arbitrary record makes room."""
        if self.problem is not None:
            return
        try:
            for item in items:
                if item.kind == KIND_BLOCK:
                    self._write(item.id, _RECORD.pack(item.id, ref, item.offset, item.length, item.codec))
        except OSError as failure:
            self._disable(failure)

    def _write(self, content_id: bytes, record: bytes) -> None:
        place = self._place(content_id)
        bucket = os.pread(self._handle, _BUCKET, place)
        check = self._check(record)
        slot = next(_slots_of(bucket, content_id), None)
        if slot is None:
            free = (at for at in range(0, len(bucket), _SLOT) if bucket[at : at + _SLOT] == _EMPTY)
            slot = next(free, check[0] % _SLOTS * _SLOT)
        os.pwrite(self._handle, record + check, place + slot)

    def _place(self, content_id: bytes) -> int:
        return _HEAD_SIZE + int.from_bytes(content_id[:8], "little") % self._buckets * _BUCKET

    def _check(self, record: bytes) -> bytes:
        return blake3(record, key=self._key).digest(length=_CHECK_SIZE)

    def _disable(self, failure: OSError) -> None:
        self.problem = f"The deduplication index cannot be used ({failure.strerror or failure})."


def rebuild(vault: Vault, index: DedupIndex, control: Control | None = None) -> int:
    """Fill the index from the footers of the repository's data packs, after it was lost or on another machine. Returns the
    number of packs read; those in an archive or damaged are left out. Errors: Cancelled, the storage's."""
    hooks = control or Control()
    known = 0

    def read(blob: Blob) -> bool:
        def part(start: int, length: int) -> bytes:
            return vault.get(blob.name, start=start, length=length)

        try:
            epoch, _, items = footer_in(vault.keys, TYPE_DATA_PACK, blob.name, blob.size, part)
        except (Archived, Damaged, NotFound):
            return False
        pack_id = layout.pack_id_of(blob.name)
        if pack_id is not None:
            index.add(pack_ref(pack_id, epoch), items)
        return pack_id is not None

    with vault.pool(READERS, "footers") as pool:
        batch: list[Blob] = []
        for blob in vault.blobs.list(layout.PACKS):
            batch.append(blob)
            if len(batch) == READERS * 4:
                known += sum(pool.map(read, batch))
                batch = []
                if hooks.cancelled():
                    raise Cancelled("Rebuilding the deduplication index was stopped.")
        known += sum(pool.map(read, batch))
    return known


# ---- the file ---------------------------------------------------------------------------------------------------------


def _index_key(keys: Keys) -> bytes:
    return blake3(b"holdfast/dedup-index/1", key=keys.content).digest()


def _bucket_count(size_bytes: int) -> int:
    return max(1, (size_bytes - _HEAD_SIZE) // _BUCKET)


def _header(keys: Keys, buckets: int) -> bytes:
    head = _HEAD.pack(_MAGIC, keys.repository_id.bytes, buckets)
    return head + blake3(head, key=_index_key(keys)).digest(length=_CHECK_SIZE)


def _slots_of(bucket: bytes, content_id: bytes) -> Iterator[int]:
    """Where records of that id begin."""
    at = bucket.find(content_id)
    while at >= 0:
        if at % _SLOT == 0:
            yield at
        at = bucket.find(content_id, at + 1)


def _open(folder: Path, keys: Keys, size_bytes: int) -> int | None:
    path = folder / f"{keys.repository_id}.dedup"
    head = _header(keys, _bucket_count(size_bytes))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for _ in range(2):
            try:
                handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                _make(path, head, size_bytes)
                continue
            if os.pread(handle, len(head), 0) == head:
                return handle
            os.close(handle)
            _make(path, head, size_bytes)  # of an older format, or damaged: begin anew
    except OSError:
        return None  # a folder that cannot be used is no reason not to back up
    return None


def _make(path: Path, head: bytes, size_bytes: int) -> None:
    """Of two processes making it at once, one works on a file that nobody else sees: it finds less, that is all."""
    handle, aside = tempfile.mkstemp(dir=path.parent)
    try:
        os.ftruncate(handle, _HEAD_SIZE + _bucket_count(size_bytes) * _BUCKET)
        os.pwrite(handle, head, 0)
        os.replace(aside, path)
    except OSError:
        os.unlink(aside)
        raise
    finally:
        os.close(handle)
