"""Disks served read-only over NBD, so that any machine can attach them: transmission and the listening sockets.

Neither encrypted nor authenticated: loopback or a Unix socket unless the user says otherwise.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from server.adapters.nbd_handshake import (
    ALLOCATION_ID,
    MAX_REQUEST,
    Agreed,
    Export,
    Piece,
    Refused,
    negotiate,
    receive,
)
from server.domain.errors import Conflict, HoldfastError, InvalidInput, Misconfigured

REQUEST: Final = struct.Struct(">IHHQQI")
REQUEST_MAGIC, SIMPLE_MAGIC, CHUNK_MAGIC = 0x25609513, 0x67446698, 0x668E33EF
READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
FLAG_DF, FLAG_REQ_ONE = 1 << 2, 1 << 3
DONE = 1  # flag of the last chunk of a reply
NONE, DATA, HOLE, STATUS, ERROR = 0, 1, 2, 5, (1 << 15) + 1
EPERM, EIO, EINVAL, ENOTSUP = 1, 5, 22, 95
ALLOCATED, ABSENT = 0, 3  # base:allocation: data, hole that reads as zeros
MAX_EXTENTS: Final = 4096  # of one answer; the client asks again from where it ends
HANDSHAKE_SECONDS: Final = 30
WORKERS: Final = 8
OUTSTANDING: Final = 16  # requests of one connection under way; more wait in its socket
CONNECTIONS: Final = 64

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    flags: int
    kind: int
    cookie: int
    offset: int
    length: int


class NbdServer:
    """Serves ``exports`` until closed. One thread a connection reads requests; ``WORKERS`` threads answer them."""

    def __init__(self, exports: Iterable[Export], listener: socket.socket) -> None:
        self._exports = {export.name: export for export in exports}
        self._listener = listener
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="nbd")
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False

    def serve(self) -> None:
        """Until ``close`` is called from another thread or a signal's handler."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._closed:
                    return
                raise
            with self._lock:
                full = len(self._connections) >= CONNECTIONS
                if not full:
                    self._connections.add(connection)
            if full or self._closed:
                connection.close()
                continue
            threading.Thread(target=self._talk, args=(connection,), name="nbd-connection", daemon=True).start()

    def close(self) -> None:
        """End every connection, then the workers. Idempotent."""
        self._closed = True
        with self._lock:
            open_now = [self._listener, *self._connections]
        for one in open_now:
            _hang_up(one)
        self._pool.shutdown(cancel_futures=True)
        self._listener.close()

    def _talk(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(HANDSHAKE_SECONDS)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            agreed = negotiate(connection, self._exports)
            connection.settimeout(None)
            if agreed is not None and agreed.export is not None:
                _Transmission(connection, agreed.export, agreed, self._pool).run()
        except (Refused, OSError) as ended:
            _log.debug("nbd connection ended", reason=str(ended))
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()


class _Transmission:
    """The second half of NBD, on one connection."""

    def __init__(self, connection: socket.socket, export: Export, agreed: Agreed, pool: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._export = export
        self._agreed = agreed
        self._pool = pool
        self._sending = threading.Lock()
        self._room = threading.Semaphore(OUTSTANDING)

    def run(self) -> None:
        """Until the client disconnects; answers under way are finished first."""
        try:
            while True:
                magic, *fields = REQUEST.unpack(receive(self._connection, REQUEST.size))
                request = _Request(*fields)
                if magic != REQUEST_MAGIC:
                    raise Refused("a request is malformed")
                if request.kind == WRITE:
                    self._skip(request.length)
                if request.kind == DISCONNECT:
                    return
                self._room.acquire()
                try:
                    self._pool.submit(self._answer, request)
                except RuntimeError as closed:
                    raise Refused("the server is closing") from closed
        finally:
            for _ in range(OUTSTANDING):
                self._room.acquire(timeout=HANDSHAKE_SECONDS)

    def _skip(self, length: int) -> None:
        """The payload of a write that is going to be refused."""
        if length > MAX_REQUEST:
            raise Refused("a write is too large")
        receive(self._connection, length)

    def _answer(self, request: _Request) -> None:
        try:
            self._handle(request)
        except InvalidInput as wrong:
            self._failed(request, EINVAL, wrong.message)
        except HoldfastError as failure:
            _log.warning("nbd read failed", disk=self._export.name, offset=request.offset, problem=failure.message)
            self._failed(request, EIO, failure.message)
        except OSError as gone:
            _log.debug("nbd client is gone", reason=str(gone))
            _hang_up(self._connection)
        except BaseException:
            _log.exception("nbd request failed", disk=self._export.name, offset=request.offset)
            _hang_up(self._connection)  # the client sees a lost connection instead of waiting for ever
            raise
        finally:
            self._room.release()

    def _handle(self, request: _Request) -> None:
        if request.kind in (WRITE, TRIM, WRITE_ZEROES):
            self._failed(request, EPERM, "the disk is read-only")
        elif request.kind == FLUSH:
            self._send(self._head(request))
        elif request.kind not in (READ, CACHE, BLOCK_STATUS) or (
            request.kind == BLOCK_STATUS and not (self._agreed.allocation and request.length)
        ):
            self._failed(request, EINVAL, "no such command here")
        elif request.kind == BLOCK_STATUS:
            self._status(request)
        elif request.length > MAX_REQUEST:
            self._failed(request, EINVAL, f"more than {MAX_REQUEST} bytes at once")
        elif request.kind == CACHE:
            self._export.read(request.offset, request.length)
            self._send(self._head(request))
        else:
            self._read(request, self._export.read(request.offset, request.length))

    # -- replies

    def _read(self, request: _Request, pieces: Sequence[Piece]) -> None:
        if not self._agreed.structured or request.flags & FLAG_DF or not request.length:
            parts = [bytes(piece.length) if piece.data is None else piece.data for piece in pieces]
            if not self._agreed.structured or not request.length:
                self._send(self._head(request), *parts)
            else:
                self._send(self._chunk(request, DATA, 8 + request.length, last=True), _offset(request.offset), *parts)
            return
        offset = request.offset
        with self._sending:  # chunks of one reply could be mixed with others', but that gains nothing
            for number, piece in enumerate(pieces, 1):
                last = number == len(pieces)
                if piece.data is None:
                    self._transmit(self._chunk(request, HOLE, 12, last=last), struct.pack(">QI", offset, piece.length))
                else:
                    self._transmit(self._chunk(request, DATA, 8 + piece.length, last=last), _offset(offset), piece.data)
                offset += piece.length

    def _status(self, request: _Request) -> None:
        limit = 1 if request.flags & FLAG_REQ_ONE else MAX_EXTENTS
        found = []
        for size, stored in self._export.extents(request.offset, request.length):
            found.append(struct.pack(">II", size, ALLOCATED if stored else ABSENT))
            if len(found) == limit:
                break
        body = struct.pack(">I", ALLOCATION_ID) + b"".join(found)
        self._send(self._chunk(request, STATUS, len(body), last=True), body)

    def _failed(self, request: _Request, code: int, message: str) -> None:
        if not self._agreed.structured:
            self._send(struct.pack(">IIQ", SIMPLE_MAGIC, code, request.cookie))
            return
        text = message.encode()[:4096]
        self._send(self._chunk(request, ERROR, 6 + len(text), last=True), struct.pack(">IH", code, len(text)), text)

    def _head(self, request: _Request) -> bytes:
        if self._agreed.structured:
            return self._chunk(request, NONE, 0, last=True)
        return struct.pack(">IIQ", SIMPLE_MAGIC, 0, request.cookie)

    def _chunk(self, request: _Request, kind: int, length: int, *, last: bool) -> bytes:
        return struct.pack(">IHHQI", CHUNK_MAGIC, DONE if last else 0, kind, request.cookie, length)

    def _send(self, *parts: bytes | memoryview) -> None:
        with self._sending:
            self._transmit(*parts)

    def _transmit(self, *parts: bytes | memoryview) -> None:
        """Small parts together, large ones as they are."""
        small = bytearray()
        for part in parts:
            if len(part) < 64 * 1024:
                small += part
            else:
                if small:
                    self._connection.sendall(small)
                    small = bytearray()
                self._connection.sendall(part)
        if small:
            self._connection.sendall(small)


def listen_tcp(host: str, port: int) -> socket.socket:
    """Port 0: any free one. Conflict when it is taken, Misconfigured when the address is not ours."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, reuse_port=False)
    except OSError as failure:
        raise _cannot_listen(f"{host}:{port}", failure) from failure


def listen_unix(path: Path) -> socket.socket:
    """A socket only its owner may use. Conflict when something lies at ``path`` already."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
    except OSError as failure:
        listener.close()
        raise _cannot_listen(str(path), failure) from failure
    return listener


def _cannot_listen(where: str, failure: OSError) -> HoldfastError:
    reason = failure.strerror or str(failure)
    if "in use" in reason.lower():
        return Conflict(f"{where} is in use already.", remedy="Choose another port or socket.")
    return Misconfigured(f"Cannot listen at {where} ({reason}).", remedy="Choose an address of this machine.")


def _offset(offset: int) -> bytes:
    return struct.pack(">Q", offset)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is gone already
