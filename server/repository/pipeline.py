"""One disk's way into the repository: read → zero? → content id → known? → zstd → seal → pack → put (FORMAT.md §11).

The calling thread lists blocks, hands out batches, takes results back in order, builds the tree and calls the caller's hooks.
Workers read and compute; uploaders put packs. Everything between them is bounded: batches in flight, pack buffers, recent ids.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

import zstandard
from blake3 import blake3

from server.domain.errors import Cancelled, Damaged, InvalidInput
from server.ports import BLOCK_SIZE, BlockRef
from server.repository.builder import TreeBuilder, overlay, squeeze
from server.repository.control import Control, DiskInput, Progress, Tuning
from server.repository.crypto import CHECK_REMEDY, TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.fetch import Fetcher, TreeReader
from server.repository.manifest import DiskRecord
from server.repository.pack import KIND_BLOCK, KIND_STATE, RAW, TREE_PACK_SIZE, ZSTD
from server.repository.recent import RecentIds
from server.repository.sink import WAIT, PackSink, Stopped, wait_for
from server.repository.tree import (
    ID_SIZE,
    LEAF_BITS,
    LEAF_BLOCKS,
    Entry,
    Slots,
    block_count,
    content_root,
    entry_from_json,
    entry_to_json,
)
from server.repository.vault import Vault

ZERO_BLOCK = bytes(BLOCK_SIZE)
MAX_STATE_SIZE = 16 * 1024 * 1024
GRACE = 3.0  # seconds a cancelled or failed disk waits for its workers; a read that hangs longer is left to end alone


@dataclass(slots=True)
class _Leaf:
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
class _Batch:
    leaf: _Leaf
    refs: tuple[BlockRef, ...]


@dataclass(slots=True)
class _Done:
    """What a worker made of a batch. ``read`` blocks came from the source, ``written`` went into packs."""

    changes: dict[int, Entry | None] = field(default_factory=dict)
    read: int = 0
    written: int = 0


@dataclass(slots=True)
class _Counts:
    done: int = 0
    read: int = 0
    written: int = 0
    stored: int = 0  # bytes of earlier attempts, all packs
    metadata: int = 0  # of which tree packs


class DiskPipeline:
    """Backs up one disk once. ``parent`` is the previous point's tree of it (an empty reader when there is none)."""

    def __init__(
        self,
        vault: Vault,
        disk: DiskInput,
        *,
        parent: TreeReader,
        inherit: bool,
        run: str,
        context: Mapping[str, Any],
        control: Control,
        tuning: Tuning,
        recent: RecentIds,
        beat: Callable[[], None],
    ) -> None:
        self._vault = vault
        self._disk = disk
        self._parent = parent
        self._inherit = inherit
        self._run = run
        self._control = control
        self._tuning = tuning
        self._recent = recent
        self._beat = beat
        self._stop = threading.Event()
        self._cores = threading.Semaphore(tuning.cores)
        self._local = threading.local()
        self._content_key = vault.keys.content
        self._workers = vault.pool(tuning.threads, "backup")
        self._uploaders = vault.pool(tuning.uploads, "upload")
        context = {**context, "run": run, "disk": disk.disk_id, "sizeBytes": disk.size_bytes}
        self._data = self._sink(TYPE_DATA_PACK, context, tuning.pack_size, tuning.buffers)
        self._tree = self._sink(TYPE_TREE_PACK, context, min(TREE_PACK_SIZE, tuning.pack_size), 3)
        self._builder = TreeBuilder(
            parent, inherit=inherit, size_bytes=disk.size_bytes, tree_key=vault.keys.tree, sink=self._tree
        )
        self._counts = _Counts()
        self._next = 0  # first block index not settled by a checkpoint we started from
        self._checkpoint: tuple[list[Future[int]], str] | None = None
        now = vault.clock.monotonic()
        self._started = self._reported = self._checkpointed = self._beaten = now

    def _sink(self, kind: int, context: Mapping[str, Any], size: int, buffers: int) -> PackSink:
        return PackSink(self._vault, kind, context, pack_size=size, buffers=buffers, uploads=self._uploaders, stop=self._stop)

    # -- the calling thread

    def run(self, blocks: Iterable[BlockRef], read: Callable[[BlockRef], bytes], checkpoint: str | None) -> DiskRecord:
        pending: deque[tuple[_Batch, Future[_Done]]] = deque()
        try:
            if checkpoint is not None:
                self._resume(checkpoint)
            record = self._drive(self._batches(blocks), read, pending)
        except BaseException:
            self._stop.set()
            running = [future for _, future in pending if not future.cancel()]
            self._workers.shutdown(wait=False, cancel_futures=True)
            self._uploaders.shutdown(wait=False, cancel_futures=True)
            wait(running, timeout=GRACE)
            raise
        self._workers.shutdown()
        self._uploaders.shutdown()
        return record

    def _drive(
        self, batches: Iterator[_Batch], read: Callable[[BlockRef], bytes], pending: deque[tuple[_Batch, Future[_Done]]]
    ) -> DiskRecord:
        window = 2 * self._tuning.threads
        leaf: _Leaf | None = None
        more = True
        while more or pending:
            while more and len(pending) < window:
                self._tick()
                batch = next(batches, None)
                if batch is None:
                    more = False
                else:
                    pending.append((batch, self._workers.submit(self._process, batch, read)))
            if pending:
                batch, future = pending[0]
                done = self._result(future)
                pending.popleft()
                if leaf is not None and leaf is not batch.leaf:
                    self._settle(leaf)
                leaf = batch.leaf
                self._absorb(leaf, done, len(batch.refs))
        if leaf is not None:
            self._settle(leaf)
        return self._finish()

    def _batches(self, blocks: Iterable[BlockRef]) -> Iterator[_Batch]:
        """Groups of blocks of one leaf. InvalidInput when they do not ascend or lie beyond the disk."""
        limit = block_count(self._disk.size_bytes)
        last = -1
        leaf: _Leaf | None = None
        refs: list[BlockRef] = []
        for ref in blocks:
            if ref.index <= last or ref.index >= limit:
                raise InvalidInput(f"Block {ref.index} of {self._disk.disk_id} follows {last} in a disk of {limit} blocks.")
            last = ref.index
            if ref.index < self._next:
                continue
            number = ref.index >> LEAF_BITS
            if leaf is None or leaf.number != number or len(refs) == self._tuning.batch:
                if leaf is not None and refs:
                    yield _Batch(leaf, tuple(refs))
                refs = []
                leaf = leaf if leaf is not None and leaf.number == number else _Leaf(number)
            refs.append(ref)
        if leaf is not None and refs:
            yield _Batch(leaf, tuple(refs))

    def _result(self, future: Future[_Done]) -> _Done:
        while True:
            try:
                return future.result(timeout=WAIT)
            except TimeoutError:
                if future.done():
                    raise
                self._tick()
            except Stopped:
                self._raise_failure()
                raise

    def _absorb(self, leaf: _Leaf, done: _Done, blocks: int) -> None:
        leaf.changes.update(done.changes)
        self._counts.done += blocks
        self._counts.read += done.read
        self._counts.written += done.written

    def _settle(self, leaf: _Leaf) -> None:
        base = leaf.load(self._parent) if self._inherit else {}
        self._builder.leaf(leaf.number, overlay(base, leaf.changes))
        self._maybe_checkpoint((leaf.number + 1) * LEAF_BLOCKS)

    def _finish(self) -> DiskRecord:
        root = self._builder.finish()
        self._data.flush()
        self._tree.flush()
        try:
            wait_for(self._data.outstanding() + self._tree.outstanding(), self._tick)
        except Stopped:
            self._raise_failure()
            raise
        counts = self._counts
        self._report(final=True)
        metadata = counts.metadata + self._tree.stored_bytes
        return DiskRecord(
            disk_id=self._disk.disk_id,
            size_bytes=self._disk.size_bytes,
            document=self._disk.document,
            level=self._builder.level,
            root=root,
            content_root=content_root(self._vault.keys.tree, self._disk.size_bytes, root),
            blocks=root.blocks if root else 0,
            blocks_read=counts.read,
            blocks_written=counts.written,
            stored_bytes=counts.stored + self._data.stored_bytes + self._tree.stored_bytes,
            metadata_bytes=metadata,
        )

    # -- hooks

    def _tick(self) -> None:
        """Look at everything that may end the run, and tell the caller how far it is."""
        self._raise_failure()
        if self._control.cancelled():
            raise Cancelled(f"The backup of {self._disk.disk_id} was stopped.")
        self._hand_out_checkpoint()
        now = self._vault.clock.monotonic()
        if now - self._reported >= self._tuning.progress_every:
            self._reported = now
            self._report()
        if now - self._beaten >= self._tuning.beat_every:
            self._beaten = now
            self._beat()

    def _raise_failure(self) -> None:
        failure = self._data.failure or self._tree.failure
        if failure is not None and not isinstance(failure, Stopped):
            raise failure

    def _report(self, *, final: bool = False) -> None:
        if final:
            self._raise_failure()
        counts = self._counts
        stored = counts.stored + self._data.stored_bytes + self._tree.stored_bytes
        self._control.progress(Progress(counts.done * BLOCK_SIZE, counts.read * BLOCK_SIZE, stored))

    # -- checkpoints

    def _maybe_checkpoint(self, next_index: int) -> None:
        now = self._vault.clock.monotonic()
        every = min(60.0, max(self._tuning.checkpoint_every, (now - self._started) / 60))
        if self._checkpoint is not None or now - self._checkpointed < every:
            return
        self._checkpointed = now
        counts = self._counts
        state = {
            "builder": self._builder.to_json(),
            "counts": [
                counts.done,
                counts.read,
                counts.written,
                counts.stored + self._data.stored_bytes + self._tree.stored_bytes,
                counts.metadata + self._tree.stored_bytes,
            ],
        }
        codec, payload = squeeze(json.dumps(state).encode())
        entry = self._tree.add(KIND_STATE, codec, payload, next_index, bytes(ID_SIZE))
        self._tree.flush()
        mark = {"run": self._run, "disk": self._disk.disk_id, "inherit": self._inherit, "next": next_index}
        text = json.dumps({**mark, "state": entry_to_json(entry)})
        self._checkpoint = (self._data.outstanding() + self._tree.outstanding(), text)

    def _hand_out_checkpoint(self) -> None:
        if self._checkpoint is None:
            return
        futures, text = self._checkpoint
        if all(future.done() and future.exception() is None for future in futures):
            self._checkpoint = None
            self._control.save(text)
        elif self._vault.clock.monotonic() - self._checkpointed >= self._tuning.checkpoint_patience:
            self._data.flush()

    def _resume(self, checkpoint: str) -> None:
        """Errors: InvalidInput (of another disk or mode), Damaged when the state it names cannot be read."""
        try:
            mark = json.loads(checkpoint)
            if (mark["disk"], mark["inherit"]) != (self._disk.disk_id, self._inherit):
                raise InvalidInput(
                    f"The checkpoint is of another disk or mode than {self._disk.disk_id}.", remedy="Start the disk without it."
                )
            entry = entry_from_json(mark["state"])
            fetcher = Fetcher(self._vault)
            sealed = fetcher.sealed(TYPE_TREE_PACK, [entry])[0]
            state = json.loads(fetcher.item(TYPE_TREE_PACK, KIND_STATE, entry, sealed, MAX_STATE_SIZE))
            self._builder.restore(state["builder"])
            self._counts = _Counts(*state["counts"])
            self._next = int(mark["next"])
        except (KeyError, TypeError, ValueError) as wrong:
            raise Damaged("The checkpoint cannot be read.", remedy=CHECK_REMEDY) from wrong

    # -- workers

    def _process(self, batch: _Batch, read: Callable[[BlockRef], bytes]) -> _Done:
        known = batch.leaf.load(self._parent)
        done = _Done()
        for ref in batch.refs:
            if self._stop.is_set():
                raise Stopped
            slot = ref.index & (LEAF_BLOCKS - 1)
            done.changes[slot] = self._block(ref, known.get(slot), read, done) if ref.token else None
        return done

    def _block(self, ref: BlockRef, known: Entry | None, read: Callable[[BlockRef], bytes], done: _Done) -> Entry | None:
        data = read(ref)
        done.read += 1
        if len(data) != BLOCK_SIZE:
            raise InvalidInput(f"Block {ref.index} of {self._disk.disk_id} has {len(data)} bytes instead of {BLOCK_SIZE}.")
        if data == ZERO_BLOCK:
            return None
        with self._cores:
            content_id = blake3(data, key=self._content_key).digest(length=ID_SIZE)
            if known is not None and known.id == content_id:
                return known
            recent = self._recent.get(content_id)
            if recent is not None:
                return recent
            packed = self._compressor().compress(data)
        codec, payload = (ZSTD, packed) if len(packed) <= BLOCK_SIZE - BLOCK_SIZE // 32 else (RAW, data)
        entry = self._data.add(KIND_BLOCK, codec, payload, ref.index, content_id)
        done.written += 1
        self._recent.add(entry)
        return entry

    def _compressor(self) -> zstandard.ZstdCompressor:
        compressor: zstandard.ZstdCompressor | None = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = self._local.compressor = zstandard.ZstdCompressor(level=self._tuning.level)
        return compressor
