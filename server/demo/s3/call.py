"""One S3 call: the request, who makes it, and what it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.demo.credentials import Caller, check_payload
from server.demo.errors import AwsError
from server.demo.s3.intake import check_small
from server.demo.s3.locks import has_checksum
from server.demo.s3.store import Condition, ObjectStore
from server.demo.wire import BodyTooLarge, Reply, Request

DOCUMENT_MAX = 2 * 1024 * 1024  # bytes of an XML request (DeleteObjects: 1000 keys)


@dataclass(frozen=True, slots=True)
class Call:
    """``declared``: the body's hash as the client signed it."""

    store: ObjectStore
    request: Request
    caller: Caller
    declared: str
    bucket: str
    key: bytes
    query: dict[str, str]

    def condition(self) -> Condition:
        headers = self.request.headers
        return Condition(headers.get("if-match"), headers.get("if-none-match"))

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        """A number of the query. Errors: AwsError InvalidArgument."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdigit() or not low <= int(text) <= high:
            raise AwsError("InvalidArgument", f"Argument {name} must be an integer between {low} and {high}", 400)
        return int(text)

    def require_checksum(self) -> None:
        """Errors: AwsError InvalidRequest when the body comes without."""
        if not has_checksum(self.request.headers):
            text = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
            raise AwsError("InvalidRequest", text, 400)

    async def document(self) -> bytes:
        """A small body, its declared hashes checked. Errors: AwsError."""
        try:
            body = await self.request.read(DOCUMENT_MAX)
        except BodyTooLarge:
            raise AwsError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", 400)
        check_payload(self.declared, hashlib.sha256(body).hexdigest())
        check_small(self.request, body)
        return body


Handler = Callable[[Call], Awaitable[Reply]]
