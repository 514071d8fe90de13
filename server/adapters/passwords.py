"""Argon2id for the passwords of people."""

from __future__ import annotations

import secrets
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# RFC 9106's second recommended option, for machines that share their memory with a backup engine.
TIME_COST = 3
MEMORY_KIB = 64 * 1024
LANES = 4


class Argon2Passwords:
    """``ports.Passwords``. Cheaper parameters are for tests only."""

    def __init__(self, *, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB, lanes: int = LANES) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=lanes)

    def hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    @cached_property
    def decoy(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(32))

    def outdated(self, hashed: str) -> bool:
        return self._hasher.check_needs_rehash(hashed)
