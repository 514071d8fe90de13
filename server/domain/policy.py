"""A policy: what is protected, where to, when, and how long it is kept. What may be stored: ``domain.policy_rules``; what
follows from it: ``domain.keeping``."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from server.domain.guest import Guest
from server.domain.periods import Ordinal, Period, Unit, Weekday
from server.domain.replicas import ReplicaTarget
from server.domain.schedule import Schedule
from server.domain.scope import Scope

NAME_MAX = 127
DESCRIPTION_MAX = 255
BACKUPS_KEPT = Period(30, Unit.DAYS)
ARCHIVES_KEPT = Period(12, Unit.MONTHS)


class PolicyKind(enum.Enum):
    """SCHEDULE: at fixed clock times of one zone. SLA: as its templates promise, inside windows of each Region's own time."""

    SCHEDULE = "schedule"
    SLA = "sla"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept of points that no schedule's rule covers: those of runs started by hand where no schedule makes the leg."""

    snapshots: int = 7
    replicas: int = 7
    backups: Period = BACKUPS_KEPT
    archives: Period = ARCHIVES_KEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Failed resources of a scheduled run are tried again up to ``attempts`` times."""

    attempts: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Once a month, on that weekday, after the policy's first session of the day: are the backups still whole?"""

    ordinal: Ordinal = Ordinal.LAST
    weekday: Weekday = Weekday.SUNDAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag put onto every snapshot and replica."""

    key: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifications:
    """Mail about this policy's sessions, in place of the appliance's own settings.

    SCHEDULE policies: which outcomes are told, and whether only the last attempt's. SLA policies: whether only missed and
    removed instances are told, and the minute of the next day (0 to 1439, UTC) it is sent; None: as soon as it is known.
    """

    recipients: tuple[str, ...]
    on_success: bool = True
    on_warning: bool = True
    on_failure: bool = True
    last_attempt_only: bool = True
    only_missed: bool = False
    at_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUse:
    """Since when the policy follows an SLA template."""

    template_id: UUID
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What the appliance notes about a policy's runs. ``handled``: for SLA policies, Region → the moment up to which its
    promises were dealt with. ``templates``: the SLA templates it followed, oldest first."""

    handled: dict[str, datetime] = field(default_factory=dict)
    templates: tuple[TemplateUse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """``edition`` counts the changes people made, ``revision`` every write.

    SCHEDULE policies use ``schedule``, ``repository_id`` (None: no backups) and ``archive_repository_id``; SLA policies
    ``sla_template_id`` and ``storage_template_id`` in their place.
    """

    id: UUID
    name: str
    description: str = ""
    workload: str = "ec2"
    kind: PolicyKind = PolicyKind.SCHEDULE
    enabled: bool = True
    priority: int = 1
    scope: Scope
    schedule: Schedule | None = None  # None: started by hand only
    sla_template_id: UUID | None = None
    storage_template_id: UUID | None = None
    repository_id: UUID | None = None
    archive_repository_id: UUID | None = None
    replicas: tuple[ReplicaTarget, ...] = ()
    guest: Guest = field(default_factory=Guest)
    copy_tags: bool = True  # the volumes' tags go onto their snapshots
    tags: tuple[Tag, ...] = ()
    retention: Retention = field(default_factory=Retention)
    retries: Retries = field(default_factory=Retries)
    notifications: Notifications | None = None
    verify: bool = False  # every backup is read again and compared with the source
    health_check: HealthCheck | None = None
    runs: RunState = field(default_factory=RunState)
    next_run_at: datetime | None = None
    last_session_id: UUID | None = None
    created_at: datetime
    updated_at: datetime
    edition: int = 1
    revision: int = 1


def rank(policy: Policy) -> tuple[bool, int, datetime, UUID]:
    """Who comes first claims a resource: SLA policies, then the smaller priority number, then the older."""
    return policy.kind is PolicyKind.SCHEDULE, policy.priority, policy.created_at, policy.id
