"""Where sealed items go: open packs filled by many threads, full ones uploaded, memory bounded by a few buffers."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from server.repository.pack import PackBuffer
from server.repository.tree import Entry
from server.repository.vault import Vault

WAIT = 0.2  # seconds between looks at the stop flag while waiting for a free buffer


class Stopped(Exception):
    """Another thread failed or the caller cancelled; its error is the one that counts."""


class PackSink:
    """Takes items of one disk into packs of one type. Thread-safe. At most ``buffers`` packs are in memory."""

    def __init__(
        self,
        vault: Vault,
        pack_type: int,
        context: Mapping[str, Any],
        *,
        pack_size: int,
        buffers: int,
        uploads: Executor,
        stop: threading.Event,
    ) -> None:
        self._vault = vault
        self._type = pack_type
        self._context = context
        self._uploads = uploads
        self._stop = stop
        self._free: queue.SimpleQueue[bytearray | None] = queue.SimpleQueue()
        self._pack_size = pack_size
        for _ in range(buffers):
            self._free.put(None)  # a buffer not allocated yet
        self._lock = threading.Lock()  # the open pack; held while waiting for a buffer, so uploads must not need it
        self._books = threading.Lock()  # the fields below
        self._open: PackBuffer | None = None
        self._buffer_of: dict[bytes, bytearray] = {}
        self._durable: dict[bytes, Future[int]] = {}
        self.stored_bytes = 0
        self.failure: BaseException | None = None

    def add(self, kind: int, codec: int, payload: bytes, position: int, item_id: bytes, blocks: int = 1) -> Entry:
        """Seal ``payload`` into a pack; durable only when the futures of ``outstanding`` are done. Blocks when all buffers are
        being uploaded. Stopped when the run ends meanwhile."""
        while True:
            with self._lock:
                pack = self._open
                if pack is None:
                    pack = self._open = self._new_pack()
                item = pack.reserve(kind, codec, len(payload), position, item_id)
                if item is None:
                    self._close_open()
            if item is not None:
                break
        if pack.fill(item, payload):
            self._upload_later(pack)
        return Entry(pack.ref, codec, item.offset, item.length, item_id, blocks)

    def flush(self) -> None:
        """Close the pack that is open, so that everything added so far becomes durable."""
        with self._lock:
            if self._open is not None:
                self._close_open()

    def outstanding(self) -> list[Future[int]]:
        """A future for each pack that holds something added so far and is not durable yet."""
        with self._books:
            return list(self._durable.values())

    def _close_open(self) -> None:
        pack = self._open
        self._open = None
        if pack is not None and pack.close():
            self._upload_later(pack)

    def _new_pack(self) -> PackBuffer:
        buffer = self._take_buffer()
        pack = PackBuffer(self._vault.keys, self._type, buffer, self._context, self._vault.new_id())
        with self._books:
            self._buffer_of[pack.id] = buffer
            self._durable[pack.id] = Future()
        return pack

    def _take_buffer(self) -> bytearray:
        while not self._stop.is_set():
            try:
                return self._free.get(timeout=WAIT) or bytearray(self._pack_size)
            except queue.Empty:
                continue
        raise Stopped

    def _upload_later(self, pack: PackBuffer) -> None:
        try:
            self._uploads.submit(self._upload, pack)
        except RuntimeError as shut_down:  # the executor refuses work once the run has ended
            raise Stopped from shut_down

    def _upload(self, pack: PackBuffer) -> None:
        with self._books:
            future = self._durable[pack.id]
        try:
            if self._stop.is_set():
                raise Stopped
            data = pack.finish()
            self._vault.put_once(pack.name, data)
        except BaseException as failure:
            self.failure = self.failure or failure
            future.set_exception(failure)
            return
        with self._books:
            self.stored_bytes += len(data)
            self._free.put(self._buffer_of.pop(pack.id))
            del self._durable[pack.id]
        future.set_result(len(data))


def wait_for(futures: list[Future[int]], tick: Callable[[], None]) -> None:
    """Wait until all are done, calling ``tick`` several times a second. Raises what the first failed one raised."""
    for future in futures:
        while True:
            try:
                future.result(timeout=WAIT)
                break
            except TimeoutError:
                if future.done():
                    raise
                tick()
