"""Receiving a body into a file: hashed on the way, decoded when it comes in ``aws-chunked`` pieces, never held in memory."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from server.demo.errors import AwsError
from server.demo.wire import Request

BATCH = 1024 * 1024  # bytes hashed and written in one go, in a thread
LINE_MAX = 16 * 1024  # of chunk headers and trailers
VERIFIED_CHECKSUMS = ("crc32", "sha1", "sha256")
UNKNOWN_CHECKSUMS = ("crc32c", "crc64nvme")


@dataclass(slots=True)
class Body:
    """A received body. ``checksums``: base64, by algorithm; ``sha256``: hex, when the client declared one.

    ``etag``: the MD5 where S3 says so (SSE-S3), else opaque, as S3's are for objects encrypted with a KMS key. That is the
    default here, since MD5 alone would cost more than all the rest of a transfer.
    """

    file: str
    size: int
    etag: str
    sha256: str
    checksums: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)


class _Sums:
    def __init__(self, algorithms: set[str]) -> None:
        self._hashes: dict[str, Any] = {
            name: hashlib.new(name, usedforsecurity=False) for name in algorithms if name in ("md5", "sha1", "sha256")
        }
        self.crc32: int | None = 0 if "crc32" in algorithms else None

    def take(self, batch: bytes) -> None:
        for digest in self._hashes.values():
            digest.update(batch)
        if self.crc32 is not None:
            self.crc32 = zlib.crc32(batch, self.crc32)

    def checksums(self) -> dict[str, str]:
        found = {name: base64.b64encode(digest.digest()).decode() for name, digest in self._hashes.items()}
        if self.crc32 is not None:
            found["crc32"] = base64.b64encode(self.crc32.to_bytes(4, "big")).decode()
        return found


class _Sink:
    """Writes and hashes batches; runs in threads, one batch at a time."""

    def __init__(self, path: Path, algorithms: set[str]) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._sums = _Sums(algorithms)
        self.size = 0

    def take(self, batch: bytes) -> None:
        view = memoryview(batch)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._sums.take(batch)
        self.size += len(batch)

    def close(self) -> None:
        os.close(self._descriptor)

    def checksums(self) -> dict[str, str]:
        return self._sums.checksums()


def wanted_checksums(headers: dict[str, str]) -> set[str]:
    """Algorithms the client sends a checksum of, in a header or trailer. Errors: AwsError for ones we cannot verify."""
    named = {name.removeprefix("x-amz-checksum-") for name in headers if name.startswith("x-amz-checksum-")}
    named |= {
        name.strip().removeprefix("x-amz-checksum-") for name in headers.get("x-amz-trailer", "").lower().split(",") if name
    }
    named -= {"algorithm", "mode", "type"}
    if unknown := named & set(UNKNOWN_CHECKSUMS):
        raise AwsError("NotImplemented", f"The demo account cannot verify {min(unknown)} checksums.", 501)
    return named & set(VERIFIED_CHECKSUMS)


async def receive(request: Request, folder: Path) -> Body:
    """The body in a new file of ``folder``; removed again on any failure. Errors: AwsError, ClientGone, OSError."""
    algorithms = wanted_checksums(request.headers)
    name = uuid4().hex
    path = folder / name[:2] / name
    path.parent.mkdir(exist_ok=True)
    chunked = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    if len(request.headers.get("x-amz-content-sha256", "")) == 64:
        algorithms.add("sha256")
    if "content-md5" in request.headers or request.headers.get("x-amz-server-side-encryption") == "AES256":
        algorithms.add("md5")
    sink = _Sink(path, algorithms)
    trailers: dict[str, str] = {}
    try:
        try:
            await _pour(_Chunked(request).content(trailers) if chunked else request.chunks(), sink)
        finally:
            sink.close()
        checksums = sink.checksums()
        md5 = base64.b64decode(checksums.pop("md5", "")).hex()
        payload = base64.b64decode(checksums.get("sha256", "")).hex()
        body = Body(name, sink.size, md5 or name, payload, checksums, trailers)
        _check(request, body)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return body


async def _pour(chunks: AsyncIterator[bytes], sink: _Sink) -> None:
    """Receive the next batch while the last is written."""
    batch: list[bytes] = []
    size = 0
    writing: asyncio.Task[None] | None = None
    try:
        async for chunk in chunks:
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH:
                if writing:
                    await writing
                writing = asyncio.create_task(asyncio.to_thread(sink.take, b"".join(batch)))
                batch, size = [], 0
    finally:
        if writing:
            await writing
    if batch:
        await asyncio.to_thread(sink.take, b"".join(batch))


class _Chunked:
    """Takes an ``aws-chunked`` body apart. Chunk signatures are not verified."""

    def __init__(self, request: Request) -> None:
        self._source = request.chunks()
        self._expects_trailer = "x-amz-trailer" in request.headers
        self._buffer = bytearray()

    async def _more(self) -> None:
        try:
            self._buffer.extend(await anext(self._source))
        except StopAsyncIteration:
            raise AwsError("IncompleteBody", "The chunked body ended early.", 400)

    async def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > LINE_MAX:
                raise AwsError("InvalidRequest", "A chunk header is too long.", 400)
            await self._more()
        text, _, rest = self._buffer.partition(b"\r\n")
        self._buffer = rest
        return bytes(text)

    async def content(self, trailers: dict[str, str]) -> AsyncIterator[bytes]:
        """The content; ``trailers`` are filled in at its end. Errors: AwsError."""
        while left := await self._chunk_size():
            while left:
                if not self._buffer:
                    await self._more()
                piece = bytes(self._buffer[:left])
                del self._buffer[: len(piece)]
                left -= len(piece)
                yield piece
            await self._line()
        while self._expects_trailer and (text := await self._line()):
            name, _, value = text.decode("latin-1").partition(":")
            trailers[name.strip().lower()] = value.strip()
        async for _ in self._source:  # whatever ends the body
            continue

    async def _chunk_size(self) -> int:
        try:
            return int((await self._line()).split(b";")[0], 16)
        except ValueError:
            raise AwsError("InvalidRequest", "A chunk header is malformed.", 400)


def check_small(request: Request, content: bytes) -> None:
    """The checksums sent with a body held in memory. Errors: AwsError."""
    sums = _Sums(wanted_checksums(request.headers) | ({"md5"} if "content-md5" in request.headers else set()))
    sums.take(content)
    checksums = sums.checksums()
    md5 = base64.b64decode(checksums.pop("md5", "")).hex()
    _check(request, Body("", len(content), md5, "", checksums))


def _check(request: Request, body: Body) -> None:
    headers = request.headers
    decoded = headers.get("x-amz-decoded-content-length")
    if decoded is not None and decoded != str(body.size):
        raise AwsError("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length header.", 400)
    if "content-md5" in headers and base64.b64decode(headers["content-md5"]).hex() != body.etag:
        raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.", 400)
    for algorithm in VERIFIED_CHECKSUMS:
        name = f"x-amz-checksum-{algorithm}"
        expected = headers.get(name) or body.trailers.get(name)
        if expected is not None and expected != body.checksums.get(algorithm):
            raise AwsError("BadDigest", f"The {algorithm.upper()} you specified did not match the calculated checksum.", 400)
