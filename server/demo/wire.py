"""HTTP as the demo cloud sees it: one request read once, one reply, and two ways of not replying."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from server.demo import clock

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

DRAIN_MAX = 64 * 1024 * 1024  # bytes of a refused body that are still received, to keep the connection
STREAM_CHUNK = 1024 * 1024  # file bytes per send: large enough to be cheap, small enough to bound memory


class ClientGone(Exception):
    """The client closed the connection before the request was complete."""


class BodyTooLarge(Exception):
    """The body is larger than this request may be."""


@dataclass(slots=True)
class Request:
    """``headers`` by lower-case name; ``raw_path`` is percent-encoded as sent; ``body`` is filled by ``read``."""

    method: str
    path: str
    raw_path: str
    query_string: str
    headers: dict[str, str]
    receive: Receive
    client_host: str
    body: bytes = b""
    begun: bool = False  # some of the body has been asked for
    finished: bool = False  # the whole body has been received

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> Request:
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        client = scope.get("client")
        return cls(
            method=scope["method"],
            path=scope["path"],
            raw_path=scope["raw_path"].decode("latin-1"),
            query_string=scope["query_string"].decode("latin-1"),
            headers=headers,
            receive=receive,
            client_host=client[0] if client else "",
        )

    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Errors: ClientGone."""
        self.begun = True
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if chunk := message.get("body", b""):
                yield chunk
            if not message.get("more_body", False):
                self.finished = True
                return

    @property
    def unread(self) -> bool:
        """Whether a body may still be on its way: then the connection cannot be used for another request."""
        announced = self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers
        return announced and not self.finished

    async def settle(self) -> bool:
        """Take in what is left of the body. False when that is too much: then the connection must be closed.

        A client that waits for "100 Continue" sends nothing when it is refused first.
        """
        if not self.unread:
            return True
        if not self.begun and self.headers.get("expect", "").lower() == "100-continue":
            return False
        received = 0
        async for chunk in self.chunks():
            received += len(chunk)
            if received > DRAIN_MAX:
                return False
        return True

    async def read(self, limit: int) -> bytes:
        """The whole body, at most ``limit`` bytes. Errors: ClientGone, BodyTooLarge."""
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge
            parts.append(chunk)
        self.body = parts[0] if len(parts) == 1 else b"".join(parts)
        return self.body

    async def gone(self) -> None:
        """Return once the client has hung up."""
        while (await self.receive())["type"] != "http.disconnect":
            continue


@dataclass(slots=True)
class FileSpan:
    """Part of an open file to be sent as a body. The sender closes ``descriptor``."""

    descriptor: int
    offset: int
    length: int


@dataclass(slots=True)
class Reply:
    status: int
    body: bytes | FileSpan = b""
    headers: list[tuple[str, str]] = field(default_factory=list)

    async def send(self, send: Send, *, head: bool = False) -> None:
        """``head``: headers only, with the length the body would have."""
        length = self.body.length if isinstance(self.body, FileSpan) else len(self.body)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        known = {name.lower() for name, _ in self.headers}
        if "content-length" not in known:
            headers.append((b"content-length", b"%d" % length))
        if "date" not in known:
            headers.append((b"date", formatdate(clock.now(), usegmt=True).encode()))
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            if head or isinstance(self.body, bytes):
                await send({"type": "http.response.body", "body": b"" if head else self.body})
            else:
                await _send_file(send, self.body)
        finally:
            if isinstance(self.body, FileSpan):
                os.close(self.body.descriptor)


async def _send_file(send: Send, span: FileSpan) -> None:
    position, end = span.offset, span.offset + span.length
    while position < end:
        chunk = os.pread(span.descriptor, min(STREAM_CHUNK, end - position), position)
        if not chunk:
            raise OSError("the file is shorter than recorded")
        position += len(chunk)
        await send({"type": "http.response.body", "body": chunk, "more_body": position < end})
    if span.length == 0:
        await send({"type": "http.response.body", "body": b""})


def drop_connection(send: Send) -> None:
    """Close the connection without a reply, as a lost network does. ``send`` must be the server's own callable."""
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise RuntimeError("lost replies need uvicorn as the server")
    transport.abort()
