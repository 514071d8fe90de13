"""Listing objects: prefix, delimiter and where to go on, in S3's order."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from server.demo.errors import AwsError
from server.demo.s3.store import Object, ObjectStore


@dataclass(slots=True)
class Listing:
    """One page. ``following`` is where the next begins (inclusive), or None at the end."""

    objects: list[Object] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    following: bytes | None = None

    @property
    def count(self) -> int:
        return len(self.objects) + len(self.prefixes)


def beyond(prefix: bytes) -> bytes | None:
    """The first key after all those that begin with ``prefix``; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def page(store: ObjectStore, bucket: str, prefix: bytes, delimiter: bytes, start: bytes, limit: int) -> Listing:
    """At most ``limit`` objects and common prefixes from key ``start`` (inclusive) on."""
    found = Listing()
    position: bytes | None = max(start, prefix)
    end = beyond(prefix)
    while position is not None and limit > 0:
        # One row more than there is room for: it tells whether another page follows, and where that begins.
        for item in store.scan(bucket, position, end, limit - found.count + 1):
            if found.count == limit:
                found.following = item.key
                return found
            cut = item.key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                common = item.key[: cut + len(delimiter)]
                found.prefixes.append(common)
                position = beyond(common)
                break
            found.objects.append(item)
        else:
            return found
    return found


def token(following: bytes) -> str:
    return base64.urlsafe_b64encode(b"1" + following).decode()


def start_of(text: str) -> bytes:
    """Errors: AwsError InvalidArgument."""
    try:
        raw = base64.urlsafe_b64decode(text.encode())
    except (binascii.Error, ValueError):
        raw = b""
    if not raw.startswith(b"1"):
        raise AwsError("InvalidArgument", "The continuation token provided is incorrect", 400)
    return raw[1:]
