"""What holds for the whole appliance, and the price lists it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from server.domain.periods import Period

PREFERENCES_ID = UUID("00000000-0000-4000-8000-000000000001")  # there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """``obsolete_snapshots``: how old snapshots and replicas get that no policy looks after any more; None: they stay."""

    id: UUID = PREFERENCES_ID
    obsolete_snapshots: Period | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """Prices of one Region as AWS published them, in the shape ``domain.cost`` reads."""

    id: UUID
    region: str
    published_at: datetime
    fetched_at: datetime
    document: dict[str, Any] = field(default_factory=dict)
