"""Where sealed items go: open packs filled by many threads, full ones uploaded, memory bounded by a few buffers."""

from __future__ import annotations

import contextlib
import mmap
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from server.domain.errors import HoldfastError
from server.domain.repository import StorageClass
from server.ports import Upload
from server.repository.pack import Item, PackBuffer, Part
from server.repository.tree import Entry
from server.repository.vault import Vault

WAIT = 0.2  # seconds between looks at the stop flag while waiting for a free buffer


class Stopped(Exception):
    """Another thread failed or the caller cancelled; its error is the one that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """How packs are put: up to ``pack_size`` bytes, ``part_size`` at once, locked until ``lock_until``, in ``storage_class``.
    ``durable`` is told every pack that has become so."""

    pack_size: int
    part_size: int
    lock_until: datetime | None = None
    storage_class: StorageClass = StorageClass.STANDARD
    durable: Callable[[bytes, Sequence[Item]], None] = lambda _ref, _items: None


@dataclass(slots=True)
class _Outgoing:
    """A pack on its way. ``upload`` from the first part of a large one on; ``parts`` of it are put, ``total`` known at the end."""

    pack: PackBuffer
    future: Future[int] = field(default_factory=Future)
    lock: threading.Lock = field(default_factory=threading.Lock)
    upload: Upload | None = None
    size: int = 0
    parts: int = 0
    total: int | None = None


class PackSink:
    """Takes items of one disk into packs of one type. Thread-safe. At most ``buffers`` parts are in memory."""

    def __init__(
        self,
        vault: Vault,
        pack_type: int,
        context: Mapping[str, Any],
        *,
        shelf: Shelf,
        buffers: int,
        uploads: Executor,
        stop: threading.Event,
    ) -> None:
        self._vault = vault
        self._type = pack_type
        self._context = context
        self._shelf = shelf
        self._uploads = uploads
        self._stop = stop
        self._free: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        for _ in range(buffers):
            self._free.put(None)  # a buffer not allocated yet
        self._lock = threading.Lock()  # the open pack; held while waiting for a buffer, so uploads must not need it
        self._books = threading.Lock()  # the fields below
        self._open: PackBuffer | None = None
        self._outgoing: dict[bytes, _Outgoing] = {}
        self.stored_bytes = 0
        self.failure: BaseException | None = None

    def add(
        self, kind: int, codec: int, payload: bytes | bytearray, position: int, item_id: bytes, blocks: int = 1
    ) -> Entry:
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
        full, last = pack.fill(item, payload)
        for part in full:
            self._later(self._put_part, pack.id, part)
        if last:
            self._later(self._finish, pack.id)
        return Entry(pack.ref, codec, item.offset, item.length, item_id, blocks)

    def flush(self) -> None:
        """Close the pack that is open, so that everything added so far becomes durable."""
        with self._lock:
            if self._open is not None:
                self._close_open()

    def outstanding(self) -> list[Future[int]]:
        """A future for each pack that holds something added so far and is not durable yet."""
        with self._books:
            return [outgoing.future for outgoing in self._outgoing.values()]

    def abandon(self) -> None:
        """After a failure: give up the uploads that are under way."""
        with self._books:
            uploads = [outgoing.upload for outgoing in self._outgoing.values() if outgoing.upload is not None]
        for upload in uploads:
            # The run's own error is the one that counts; an upload that stays incomplete is invisible.
            with contextlib.suppress(HoldfastError):
                upload.abort()

    # -- the open pack

    def _close_open(self) -> None:
        pack = self._open
        self._open = None
        if pack is not None and pack.close():
            self._later(self._finish, pack.id)

    def _new_pack(self) -> PackBuffer:
        shelf = self._shelf
        pack = PackBuffer(
            self._vault.keys,
            self._type,
            self._context,
            self._vault.new_id(),
            size=shelf.pack_size,
            part_size=shelf.part_size,
            take=self._take_buffer,
        )
        with self._books:
            self._outgoing[pack.id] = _Outgoing(pack)
        return pack

    def _take_buffer(self) -> memoryview:
        while not self._stop.is_set():
            try:
                # Whole memory pages, so that a local store can write them without copying.
                return self._free.get(timeout=WAIT) or memoryview(mmap.mmap(-1, self._shelf.part_size))
            except queue.Empty:
                continue
        raise Stopped

    # -- uploading

    def _later(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            self._uploads.submit(self._guarded, work, *arguments)
        except RuntimeError as shut_down:  # the executor refuses work once the run has ended
            raise Stopped from shut_down

    def _guarded(self, work: Callable[..., None], pack_id: bytes, *arguments: object) -> None:
        with self._books:
            outgoing = self._outgoing[pack_id]
        try:
            if self._stop.is_set():
                raise Stopped
            work(outgoing, *arguments)
        except BaseException as failure:
            self.failure = self.failure or failure
            if not outgoing.future.done():
                outgoing.future.set_exception(failure)

    def _finish(self, outgoing: _Outgoing) -> None:
        parts = outgoing.pack.finish()
        shelf = self._shelf
        if parts[0].number == len(parts) == 1:
            data = parts[0].data
            self._vault.put_once(
                outgoing.pack.name, data, lock_until=shelf.lock_until, storage_class=shelf.storage_class
            )
            self._recycle(parts[0])
            self._settled(outgoing, len(data))
            return
        with outgoing.lock:
            outgoing.total = parts[-1].number
        for part in parts:
            self._put_part(outgoing, part)

    def _put_part(self, outgoing: _Outgoing, part: Part) -> None:
        upload = self._upload_of(outgoing)
        self._vault.patiently(lambda: upload.part(part.number, part.data))
        self._recycle(part)
        with outgoing.lock:
            outgoing.size += part.used
            outgoing.parts += 1
            last = outgoing.parts == outgoing.total
        if last:
            self._vault.patiently(upload.complete)
            self._settled(outgoing, outgoing.size)

    def _upload_of(self, outgoing: _Outgoing) -> Upload:
        shelf, name = self._shelf, outgoing.pack.name
        with outgoing.lock:
            if outgoing.upload is None:
                outgoing.upload = self._vault.patiently(
                    lambda: self._vault.blobs.upload(name, lock_until=shelf.lock_until, storage_class=shelf.storage_class)
                )
            return outgoing.upload

    def _recycle(self, part: Part) -> None:
        if part.pooled:
            self._free.put(part.buffer)

    def _settled(self, outgoing: _Outgoing, size: int) -> None:
        self._shelf.durable(outgoing.pack.ref, outgoing.pack.items)
        with self._books:
            self.stored_bytes += size
            del self._outgoing[outgoing.pack.id]
        outgoing.future.set_result(size)


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
