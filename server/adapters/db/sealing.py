"""Sealing secrets, and what snapshots tell of their points: AES-256-GCM under the appliance's key, bound to where each lies.

A sealed value is one version byte (1), a 12-byte random nonce, and the ciphertext with its 16-byte tag. The authenticated data
is ``table/column/row`` or names the snapshot, so a sealed value copied to another row does not open there.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.domain.errors import Misconfigured

KEY_BYTES = 32
VERSION = b"\x01"
NONCE_BYTES = 12  # random nonces are safe for 2^32 sealings under one key; one per snapshot is far fewer


class Sealer:
    """Seals and opens values with one key. Never shows the key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise Misconfigured(
                f"The secret key has {len(key)} bytes; it must have {KEY_BYTES}.",
                remedy="Restore the secret key file from its backup; a new key cannot read the stored secrets.",
            )
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, *, place: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return VERSION + nonce + self._cipher.encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """Misconfigured when the key is not the one the value was sealed with, or the value was moved or altered."""
        nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            if sealed[:1] != VERSION or len(nonce) != NONCE_BYTES:
                raise InvalidTag
            return self._cipher.decrypt(nonce, ciphertext, place.encode())
        except InvalidTag:
            raise Misconfigured(
                f"A secret in the database ({place}) cannot be opened: it was sealed with another key.",
                remedy="Start with the secret key file this database was used with (HOLDFAST_SECRET_KEY_FILE).",
            ) from None
