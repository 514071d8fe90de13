"""What happens to one block: read → zero? → content id → known? → zstd → sealed into a pack (FORMAT.md §11)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import zstandard
from blake3 import blake3

from server.domain.errors import InvalidInput
from server.ports import BLOCK_SIZE, BlockRef
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.fetch import TreeReader
from server.repository.heal import Heals
from server.repository.known import KnownBlocks
from server.repository.pack import KIND_BLOCK, RAW, ZSTD
from server.repository.sink import PackSink, Stopped
from server.repository.tree import ID_SIZE, LEAF_BLOCKS, Entry, Slots

Read = Callable[[BlockRef], bytes | bytearray]

ZERO_BLOCK = bytes(BLOCK_SIZE)
WORTH_IT = BLOCK_SIZE - BLOCK_SIZE // 32  # a frame above this size is not kept: the block is stored raw
SAMPLES, SAMPLE_SIZE = 8, 4096  # of a block that is probed: 20 µs instead of zstd's 85 (level 1) or more


@dataclass(slots=True)
class Leaf:
    """A leaf being filled; batches of it share the parent's leaf, loaded by the first worker that needs it."""

    number: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    base: Slots | None = None
    changes: dict[int, Entry | None] = field(default_factory=dict)

    def load(self, parent: TreeReader) -> Slots:
        with self.lock:
            if self.base is None:
                self.base = parent.node(0, self.number)
            return self.base


@dataclass(frozen=True, slots=True)
class Batch:
    leaf: Leaf
    refs: tuple[BlockRef, ...]


@dataclass(slots=True)
class Done:
    """What a worker made of a batch. ``read`` blocks came from the source, ``written`` went into packs."""

    changes: dict[int, Entry | None] = field(default_factory=dict)
    read: int = 0
    written: int = 0


class BlockWorker:
    """Shared by the threads of one disk. ``reading`` holds those that wait for the source or the store just now."""

    def __init__(
        self,
        disk_id: str,
        *,
        parent: TreeReader,
        sink: PackSink,
        known: KnownBlocks,
        heals: Heals,
        content_key: bytes,
        level: int,
        stop: threading.Event,
    ) -> None:
        self.reading: set[int] = set()
        self._disk_id = disk_id
        self._parent = parent
        self._sink = sink
        self._known = known
        self._heals = heals
        self._content_key = content_key
        self._level = level
        self._stop = stop
        self._local = threading.local()

    def process(self, batch: Batch, read: Read) -> Done:
        me = threading.get_ident()
        done = Done()
        try:
            self.reading.add(me)
            known = batch.leaf.load(self._parent)
            for ref in batch.refs:
                if self._stop.is_set():
                    raise Stopped
                slot = ref.index & (LEAF_BLOCKS - 1)
                if not ref.token:
                    done.changes[slot] = None
                    continue
                self.reading.add(me)
                data = read(ref)
                self.reading.discard(me)
                done.read += 1
                done.changes[slot] = self._block(ref, data, known.get(slot), done)
        finally:
            self.reading.discard(me)
        return done

    def _block(self, ref: BlockRef, data: bytes | bytearray, before: Entry | None, done: Done) -> Entry | None:
        """``before``: the parent's entry of the same block."""
        if len(data) != BLOCK_SIZE:
            raise InvalidInput(f"Block {ref.index} of {self._disk_id} has {len(data)} bytes instead of {BLOCK_SIZE}.")
        if data == ZERO_BLOCK:
            return None
        content_id = blake3(data, key=self._content_key).digest(length=ID_SIZE)
        same = before if before is not None and before.id == content_id else None
        if same is not None and not self._heals.hurts(same):
            return same
        entry = self._known.find(content_id)
        if entry is None:
            codec, payload = self._compressed(data)
            entry = self._sink.add(KIND_BLOCK, codec, payload, ref.index, content_id)
            done.written += 1
            self._known.add(entry)
        if same is not None:
            self._heals.stored(TYPE_DATA_PACK, same, entry)
        return entry

    def _compressed(self, data: bytes | bytearray) -> tuple[int, bytes | bytearray]:
        """Codec and payload. Incompressible blocks come in rows (pictures, archives): after one, a sample decides."""
        local = self._local
        compressor: zstandard.ZstdCompressor | None = getattr(local, "compressor", None)
        if compressor is None:
            compressor = local.compressor = zstandard.ZstdCompressor(level=self._level)
            local.probe = zstandard.ZstdCompressor(level=1)
            local.raw = False
        if not (local.raw and _looks_random(local.probe, data)):
            packed = compressor.compress(data)
            if len(packed) <= WORTH_IT:
                local.raw = False
                return ZSTD, packed
        local.raw = True
        return RAW, data


def _looks_random(compressor: zstandard.ZstdCompressor, data: bytes | bytearray) -> bool:
    view = memoryview(data)
    sample = b"".join(view[at : at + SAMPLE_SIZE] for at in range(0, BLOCK_SIZE, BLOCK_SIZE // SAMPLES))
    return len(compressor.compress(sample)) >= len(sample)
