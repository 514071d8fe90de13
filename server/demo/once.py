"""Client tokens: the same token with the same parameters makes one thing only."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.demo.ledger import Ledger

KEPT_SECONDS = 24 * 3600.0


class Reused(Exception):
    """The token was used before, with other parameters."""


@dataclass(frozen=True, slots=True)
class Once:
    """A token not seen before (``result`` empty: do the work, then ``keep``), or what it made."""

    ledger: Ledger
    scope: str
    request: bytes
    result: str = ""

    @classmethod
    def of(cls, ledger: Ledger, scope: str, request: Mapping[str, Any]) -> Once:
        """``scope`` names account, Region, operation and token. Errors: Reused."""
        digest = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).digest()
        with ledger.write() as db:
            row = db.execute("SELECT request, result FROM once WHERE scope = ?", (scope,)).fetchone()
        if row is None:
            return cls(ledger, scope, digest)
        if bytes(row[0]) != digest:
            raise Reused
        return cls(ledger, scope, digest, row[1])

    def keep(self, result: str) -> None:
        with self.ledger.write() as db:
            db.execute("DELETE FROM once WHERE at < ?", (time.time() - KEPT_SECONDS,))
            db.execute("INSERT INTO once VALUES (?, ?, ?, ?)", (self.scope, self.request, result, time.time()))
