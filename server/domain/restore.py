"""Restore points, and what a person asks to get back from one."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


class Leg(enum.Enum):
    """Where a point lives. Also called tier."""

    SNAPSHOT = "snapshot"
    REPLICA = "replica"
    BACKUP = "backup"
    ARCHIVE = "archive"


class PointState(enum.Enum):
    AVAILABLE = "available"
    DELETING = "deleting"  # decided; AWS or the repository may still hold parts
    DELETED = "deleted"  # kept as a row while a session log refers to it


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """One moment of one resource in one leg. ``at`` is the moment of the data, ``created_at`` when the point became whole.

    ``document``, written by the workload: what a restore needs (instance record, volumes; for snapshots the snapshot ids).
    ``base``: this snapshot is the change-tracking base of the newest backup and outlives retention.
    """

    id: UUID
    resource_id: UUID
    resource_name: str
    workload: str
    account_id: UUID
    region: str
    leg: Leg
    at: datetime
    created_at: datetime
    state: PointState = PointState.AVAILABLE
    policy_id: UUID | None = None
    session_id: UUID | None = None
    task_id: UUID | None = None
    repository_id: UUID | None = None
    size_bytes: int = 0  # of the source disks
    stored_bytes: int = 0  # added to the repository by this point
    base: bool = False
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRestore:
    """Bring disks of a point back as standalone volumes in ``zone``. ``disks`` names source volume ids; empty: all."""

    account_id: UUID
    region: str
    zone: str
    disks: tuple[str, ...] = ()
    name_suffix: str = "-restored"
    volume_type: str | None = None  # None: as recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRestore:
    """Bring an instance back as a new one. None means: as recorded when the point was made."""

    account_id: UUID
    region: str
    name: str
    subnet_id: str | None = None
    security_group_ids: tuple[str, ...] = ()
    instance_type: str | None = None
    iam_instance_profile: str | None = None
    image_id: str | None = None
    power_on: bool = True
