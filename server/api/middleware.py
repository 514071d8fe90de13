"""Around every request: an id, limits, security headers, one access log line."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from uuid import uuid4

import orjson
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger("holdfast.access")

BODY_MAX = 1024 * 1024  # bytes; no door takes files yet
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
QUIET = ("/healthz", "/readyz")  # asked every few seconds: logged only when they fail

SECURITY_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
API_CSP = "default-src 'none'; frame-ancestors 'none'"


class Requests:
    """Gives each request an id (the client's own if it has a plausible one), bound to every log line under it."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        self._tls = tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = id
        status, began = 0, time.monotonic()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._dress(MutableHeaders(raw=message.setdefault("headers", [])), id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=id):
            try:
                await self._app(scope, receive, sending)
            finally:
                _note(scope, status, time.monotonic() - began)

    def _dress(self, headers: MutableHeaders, id: str) -> None:
        headers["x-request-id"] = id
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("content-security-policy", API_CSP)
        headers.setdefault("cache-control", "no-store")
        if self._tls:
            headers.setdefault("strict-transport-security", "max-age=31536000")


def _note(scope: Scope, status: int, seconds: float) -> None:
    if scope["path"] in QUIET and status < 400:
        return
    client = scope.get("client")
    log.info(
        "request",
        method=scope.get("method", "WEBSOCKET"),
        path=scope["path"],
        status=status or None,
        ms=round(seconds * 1000, 1),
        address=client[0] if client else None,
    )


class TooLarge(Exception):
    """The body went over the limit while it was read."""


class BodyLimit:
    """413 for bodies over the limit, announced or not."""

    def __init__(self, app: ASGIApp, *, limit: int = BODY_MAX) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > self._limit:
            await self._refuse(send)
            return
        read, started = 0, False

        async def receiving() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b"")) if message["type"] == "http.request" else 0
            if read > self._limit:
                raise TooLarge
            return message

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        except TooLarge:
            if not started:
                await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        body = orjson.dumps(
            {"errors": [{"message": f"A request has at most {self._limit} bytes.", "extensions": {"code": "LIMIT_EXCEEDED"}}]}
        )
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
