"""Block tokens and page tokens of EBS direct: opaque to clients, bound to what they were given for, and short-lived."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from typing import Any

_BLOCK = struct.Struct(">BQIQI")  # kind, place, block index, expiry (seconds), snapshot's number
_PAGE = struct.Struct(">BIQ16s")  # kind, start index, expiry, digest of the question
_MAC_SIZE = 12
_BLOCK_KIND, _PAGE_KIND = 1, 2


class BadToken(Exception):
    """Not a token of ours, for something else, or expired."""


class Tokens:
    """Keyed by ``secret``, which must survive restarts for tokens to do so."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def _seal(self, body: bytes) -> str:
        return base64.b64encode(body + self._mac(body)).decode()

    def _mac(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._secret, digest_size=_MAC_SIZE).digest()

    def _open(self, token: str, form: struct.Struct) -> tuple[Any, ...]:
        try:
            raw = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            raise BadToken
        body, mac = raw[:-_MAC_SIZE], raw[-_MAC_SIZE:]
        if len(body) != form.size or mac != self._mac(body):
            raise BadToken
        return form.unpack(body)

    def for_block(self, disk: int, block: int, place: int, expires: float) -> str:
        return self._seal(_BLOCK.pack(_BLOCK_KIND, place, block, int(expires), disk))

    def block(self, token: str, disk: int, block: int, now: float) -> int:
        """The place the token stands for. Errors: BadToken."""
        kind, place, for_block, expires, for_disk = self._open(token, _BLOCK)
        if kind != _BLOCK_KIND or (for_disk, for_block) != (disk, block) or expires < now:
            raise BadToken
        return int(place)

    def for_page(self, question: str, start: int, expires: float) -> str:
        return self._seal(_PAGE.pack(_PAGE_KIND, start, int(expires), _digest(question)))

    def page(self, token: str, question: str, now: float) -> int:
        """Where the page starts. Errors: BadToken."""
        kind, start, expires, digest = self._open(token, _PAGE)
        if kind != _PAGE_KIND or digest != _digest(question) or expires < now:
            raise BadToken
        return int(start)


def _digest(question: str) -> bytes:
    return hashlib.blake2b(question.encode(), digest_size=16).digest()
