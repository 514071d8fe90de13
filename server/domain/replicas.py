"""Where copies of snapshots go, and under which key."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from uuid import UUID


class KeyUsage(enum.Enum):
    """Which copies the target's key encrypts."""

    ALL = "all"  # volumes
    ENCRYPTED = "encrypted"  # volumes only; the others stay as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaTarget:
    """Snapshots of ``regions`` (empty: every source Region no other target names) are copied to ``account_id``, ``region``.

    ``encrypt``: copies are encrypted with ``kms_key`` (id, alias or ARN in the target Region; None: its default EBS key).
    Without it, encrypted volumes cannot be copied.
    """

    regions: tuple[str, ...] = ()
    account_id: UUID
    region: str
    encrypt: bool = False
    kms_key: str | None = None
    key_usage: KeyUsage = KeyUsage.ALL
