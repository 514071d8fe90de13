"""Keys that never leave the service that holds them (AWS KMS)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Kms(Protocol):
    """Data keys made and opened under a key of the service. ``context`` is authenticated with them and, in AWS, written to the
    log of the key's uses: it holds nothing secret.

    Errors: AwsNotFound (no such key), AwsAccessDenied, AwsRejected (disabled key; other context or ciphertext), Unavailable.
    """

    def generate(self, key_id: str, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        """A new 32-byte data key as (plaintext, ciphertext). ``key_id``: the key's ARN."""
        ...

    def decrypt(self, ciphertext: bytes, context: Mapping[str, str], key_id: str) -> bytes:
        """The plaintext of a data key that ``generate`` made with this key and this context."""
        ...
