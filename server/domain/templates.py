"""Templates SLA policies are made of: what is promised, and where it is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from server.domain.sla import SlaTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaTemplate:
    """``version`` counts the terms it has had; each is kept as an SlaTemplateVersion."""

    id: UUID
    name: str
    description: str = ""
    terms: SlaTerms
    version: int = 1
    created_at: datetime
    updated_at: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaTemplateVersion:
    """Terms in force from ``since`` until the next version's."""

    id: UUID
    template_id: UUID
    version: int
    since: datetime
    terms: SlaTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Repositories by Region; ``default_id`` for those not listed."""

    default_id: UUID
    by_region: dict[str, UUID] = field(default_factory=dict)

    def of(self, region: str) -> UUID:
        return self.by_region.get(region, self.default_id)

    def all(self) -> frozenset[UUID]:
        return frozenset((self.default_id, *self.by_region.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageTemplate:
    """Where backups and archives of SLA policies go."""

    id: UUID
    name: str
    description: str = ""
    backup: Location
    archive: Location | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 1
