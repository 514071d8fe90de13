"""What the appliance notes about policies' resources: who belonged to which when, and which promised points were made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.domain.restore import Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A stretch of time in which a policy protected a resource. ``left_at`` None: it still does."""

    id: UUID
    policy_id: UUID
    resource_id: UUID
    joined_at: datetime
    left_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """The point of ``leg`` due at ``slot_at`` was tried; ``made`` when it exists. One per policy, resource, leg and slot."""

    id: UUID
    policy_id: UUID
    resource_id: UUID
    region: str
    leg: Leg
    slot_at: datetime
    made: bool
    session_id: UUID | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about promised points of one leg, due in [since, until): how many were made of a policy's resources in a
    Region that belonged to it at any time in [since, closes)?"""

    policy_id: UUID
    region: str
    since: datetime
    until: datetime
    closes: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer for one stretch of one resource's membership: ``asked`` is the question's number, ``made`` how many of the
    points due since it joined were made."""

    asked: int
    resource_id: UUID
    joined_at: datetime
    left_at: datetime | None
    made: int
