"""Restore points, and what a person asks to get back from one."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from server.domain.periods import Frequency
from server.domain.repository import RetrievalMode


class Leg(enum.Enum):
    """Where a point lives. Also called tier."""

    SNAPSHOT = "snapshot"
    REPLICA = "replica"
    BACKUP = "backup"
    ARCHIVE = "archive"


IN_AWS = (Leg.SNAPSHOT, Leg.REPLICA)  # whose data EBS holds; the others' lies in repositories


class PointState(enum.Enum):
    AVAILABLE = "available"
    DELETING = "deleting"  # decided; AWS or the repository may still hold parts
    DELETED = "deleted"  # kept as a row while a session log refers to it


class Health(enum.Enum):
    """INCOMPLETE: some of its blocks in the repository are damaged or missing, which the next backup may heal; or some of its
    snapshots were deleted in AWS by somebody else."""

    HEALTHY = "healthy"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRange:
    """Bytes [start, end) of a disk that cannot be read. ``disk_id`` "": nothing of the point can."""

    disk_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What a check found wrong with a point; ``ranges`` are the first ones, ``more`` how many there are besides."""

    found_at: datetime
    ranges: tuple[DamagedRange, ...]
    more: int = 0


class RetrievalState(enum.Enum):
    REQUESTED = "requested"  # AWS is at it, for minutes to days
    AVAILABLE = "available"  # readable until ``available_until``
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """An archived point's readable copy. ``days``: how long it is asked to stay once it is there."""

    state: RetrievalState
    mode: RetrievalMode
    days: int
    requested_at: datetime
    available_until: datetime | None = None


PROVEN_BY_VERIFICATION = "verification"
PROVEN_BY_RESTORE = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """One moment of one resource in one leg. ``at`` is the moment of the data, ``created_at`` when the point became whole.

    ``document``, written by the workload: what a restore needs (instance record, volumes; for snapshots the snapshot ids).
    ``base``: this snapshot is the change-tracking base of the newest backup and outlives retention. ``flags``: the schedules it
    counts for (``domain.flags``). ``manual``: a snapshot somebody made outside every policy and chain. ``slot_at``: the planned
    moment of the run that made it. A replica's account and Region are those it was copied to.

    ``damage`` of an INCOMPLETE point. ``proven_at``, ``proven_how``: when its content was last compared with
    what was read from the source, and by what (PROVEN_BY_*). ``locked_until``: nobody can delete its data before.
    ``expires_at``: a point's own retention, where no flag holds it. ``source_id``: the backup an archive, or the snapshot a
    replica was made from. ``content_roots``:
    disk id → hex digest over the disk's content, taken while the source was read and kept apart from the repository.
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
    flags: tuple[Frequency, ...] = ()
    manual: bool = False
    slot_at: datetime | None = None
    health: Health = Health.HEALTHY
    damage: Damage | None = None
    proven_at: datetime | None = None
    proven_how: str | None = None
    locked_until: datetime | None = None
    expires_at: datetime | None = None
    source_id: UUID | None = None
    retrieval: Retrieval | None = None
    content_roots: dict[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRestore:
    """Bring disks of a point back as standalone volumes in ``zone``. ``disks`` names source volume ids; empty: all.
    ``retrieval_*``: how what is archived and not readable is retrieved first, and for how many days."""

    account_id: UUID
    region: str
    zone: str
    disks: tuple[str, ...] = ()
    name_suffix: str = "-restored"
    volume_type: str | None = None  # None: as recorded
    retrieval_mode: RetrievalMode = RetrievalMode.STANDARD
    retrieval_days: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRestore:
    """Bring an instance back as a new one. None means: as recorded when the point was made. ``retrieval_*``: as for volumes."""

    account_id: UUID
    region: str
    name: str
    subnet_id: str | None = None
    security_group_ids: tuple[str, ...] = ()
    instance_type: str | None = None
    iam_instance_profile: str | None = None
    image_id: str | None = None
    power_on: bool = True
    retrieval_mode: RetrievalMode = RetrievalMode.STANDARD
    retrieval_days: int = 1
