"""HTTP/1.1 for large bodies at little cost: kept-alive connections, one pool per endpoint, headers read by hand.

``http.client`` opens the connection (TLS, proxies and their CONNECT); requests and answers then go over its socket
directly, because parsing each answer's headers as mail costs more than all the rest.
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import time
import urllib.request
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedReader
from typing import Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

IDLE_MAX: Final = 64  # connections kept open, more than a worker has threads
IDLE_SECONDS: Final = 20.0  # servers close idle connections after 60 s or so; an older one is not worth the risk
HEADERS_MAX: Final = 100
LINE_MAX: Final = 65536  # bytes
BODY_MAX: Final = 64 * 2**20  # bytes; the largest answer is a page of block tokens, a few MiB
BUFFER: Final = 64 * 1024  # bytes; larger reads go past it


class WireError(Exception):
    """The exchange failed on the way: no connection, cut off, too slow, or not HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` have lower-case names; of a repeated one the last value."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """Exchanges with one endpoint, from many threads at once. ``close`` when done."""

    def __init__(self, endpoint_url: str, *, connect_timeout: float, read_timeout: float) -> None:
        url = urlsplit(endpoint_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not an http(s) address: {endpoint_url!r}")
        self._url = url
        self._timeouts = (connect_timeout, read_timeout)
        self._tls = _tls_context() if url.scheme == "https" else None
        self._proxy = _proxy(url)
        self._idle: deque[_Connection] = deque()
        self.host = url.hostname if url.port in (None, _default_port(url)) else f"{url.hostname}:{url.port}"
        plain_proxy = self._proxy is not None and self._tls is None
        self._target_prefix = f"http://{self.host}" if plain_proxy else ""

    def request(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Answer:
        """Send and read the whole answer. An idle connection found closed is replaced once. Errors: WireError."""
        head = self._head(method, target, headers, len(body))
        while True:
            connection, fresh = self._take()
            try:
                answer = connection.exchange(head, body)
            except _ClosedEarly as error:
                connection.close()
                if fresh:
                    raise WireError("the connection was closed before an answer came") from error
            except BaseException as error:
                connection.close()
                if isinstance(error, (OSError, ValueError)):
                    raise WireError(str(error) or type(error).__name__) from error
                raise
            else:
                self._give_back(connection)
                return answer

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _head(self, method: str, target: str, headers: Iterable[tuple[str, str]], length: int) -> bytes:
        lines = [f"{method} {self._target_prefix}{target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers]]
        if length or method != "GET":
            lines.append(f"content-length: {length}")
        lines.append("\r\n")
        return "\r\n".join(lines).encode("latin-1")

    def _take(self) -> tuple[_Connection, bool]:
        oldest = time.monotonic() - IDLE_SECONDS
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if connection.used_at >= oldest:
                return connection, False
            connection.close()
        try:
            return _Connection(self._open(), self._timeouts[1]), True
        except (OSError, http.client.HTTPException) as error:
            raise WireError(str(error) or type(error).__name__) from error

    def _give_back(self, connection: _Connection) -> None:
        if connection.reusable and len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    def _open(self) -> http.client.HTTPConnection:
        way = self._proxy or self._url
        port = way.port or _default_port(way)
        assert way.hostname is not None
        assert self._url.hostname is not None
        connection: http.client.HTTPConnection
        if self._tls is not None:
            connection = http.client.HTTPSConnection(way.hostname, port, timeout=self._timeouts[0], context=self._tls)
        else:
            connection = http.client.HTTPConnection(way.hostname, port, timeout=self._timeouts[0])
        if self._proxy is not None and self._tls is not None:
            connection.set_tunnel(self._url.hostname, self._url.port or 443, headers=_proxy_login(self._proxy))
        connection.connect()
        return connection


class _ClosedEarly(Exception):
    """The server had closed the connection before it said anything."""


class _Connection:
    def __init__(self, connection: http.client.HTTPConnection, read_timeout: float) -> None:
        sock: socket.socket = connection.sock
        sock.settimeout(read_timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._http = connection
        self._socket = sock
        self._reader = cast("BufferedReader", sock.makefile("rb", BUFFER))
        self.used_at = time.monotonic()
        self.reusable = True

    def exchange(self, head: bytes, body: bytes) -> Answer:
        try:
            self._socket.sendall(head)
            if body:
                self._socket.sendall(body)
            status_line = self._reader.readline(LINE_MAX)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _ClosedEarly from error
        if not status_line:
            raise _ClosedEarly
        status = _status(status_line)
        headers = self._headers()
        while 100 <= status < 200:
            status = _status(self._reader.readline(LINE_MAX))
            headers = self._headers()
        content = self._body(status, headers)
        self.reusable = headers.get("connection", "").lower() != "close" and not status_line.startswith(b"HTTP/1.0")
        self.used_at = time.monotonic()
        return Answer(status, headers, content)

    def close(self) -> None:
        self._reader.close()
        self._http.close()

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(HEADERS_MAX + 1):
            line = self._reader.readline(LINE_MAX)
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise ValueError("the answer's headers are cut off" if not line else "the answer is not HTTP")
            headers[name.lower()] = value.strip()
        raise ValueError(f"the answer has more than {HEADERS_MAX} headers")

    def _body(self, status: int, headers: dict[str, str]) -> bytes:
        if status in (204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = headers.get("content-length")
        if length is None:
            headers["connection"] = "close"  # the body ends with the connection
            return self._reader.read(BODY_MAX)
        return self._exactly(int(length))

    def _exactly(self, length: int) -> bytes:
        if not 0 <= length <= BODY_MAX:
            raise ValueError(f"the answer claims {length} bytes")
        content = self._reader.read(length)
        if len(content) != length:
            raise ValueError(f"the answer was cut off after {len(content)} of {length} bytes")
        return content

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while size := int(self._reader.readline(LINE_MAX).partition(b";")[0], 16):
            total += size
            if total > BODY_MAX:
                raise ValueError(f"the answer has more than {BODY_MAX} bytes")
            parts.append(self._exactly(size))
            self._exactly(2)  # the line end after each chunk
        self._headers()  # trailers, and the empty line
        return b"".join(parts)


def _status(line: bytes) -> int:
    if not line.startswith(b"HTTP/1."):
        raise ValueError("the answer is not HTTP/1.1")
    return int(line[9:12])


def _default_port(url: SplitResult) -> int:
    return 443 if url.scheme == "https" else 80


def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)


def _proxy(url: SplitResult) -> SplitResult | None:
    """The proxy the environment names for this address (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``)."""
    assert url.hostname is not None
    if urllib.request.proxy_bypass(url.hostname):
        return None
    address = urllib.request.getproxies().get(url.scheme)
    if not address:
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    return proxy if proxy.hostname else None


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
