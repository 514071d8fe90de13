"""A policy: what, where to, when, how long. Plus the questions asked of it: what is wrong, whom does it cover and why."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from server.domain.workload import Resource

NAME_MAX = 127
DESCRIPTION_MAX = 255
REGIONS_MAX = 64
SELECTION_MAX = 1000
TAGS_MAX = 50


class SelectionMode(enum.Enum):
    ALL = "all"
    LISTED = "listed"  # resources and tags named


@dataclass(frozen=True, slots=True, kw_only=True)
class TagMatch:
    """A tag condition; ``value`` None matches any value of the key."""

    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whom a policy covers: in the account and Regions, all or the listed, minus exclusions, which always win."""

    account_id: UUID
    regions: tuple[str, ...]
    mode: SelectionMode = SelectionMode.ALL
    resource_ids: tuple[UUID, ...] = ()
    tags: tuple[TagMatch, ...] = ()
    excluded_resource_ids: tuple[UUID, ...] = ()
    excluded_tags: tuple[TagMatch, ...] = ()


class Weekday(enum.Enum):
    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


EVERY_DAY = tuple(Weekday)


@dataclass(frozen=True, slots=True, kw_only=True)
class DailySchedule:
    """Runs on ``days`` at each hour of ``snapshot_hours`` (0–23); a backup is made at those in ``backup_hours`` (a subset).

    Times are wall-clock times of ``timezone`` (IANA name).
    """

    snapshot_hours: tuple[int, ...]
    backup_hours: tuple[int, ...] = ()
    days: tuple[Weekday, ...] = EVERY_DAY
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """``snapshots`` newest snapshots are kept (0: only the change-tracking base); backups until ``backup_days`` old."""

    snapshots: int = 7
    backup_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Failed resources of a scheduled run are tried again up to ``attempts`` times."""

    attempts: int = 3


class Ordinal(enum.Enum):
    """Which of a month's weekdays of one name."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"
    LAST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Once a month, on that weekday, after the policy's first session of the day: are the backups still whole?"""

    ordinal: Ordinal = Ordinal.LAST
    weekday: Weekday = Weekday.SUNDAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    id: UUID
    name: str
    description: str = ""
    workload: str = "ec2"
    enabled: bool = True
    priority: int = 1
    scope: Scope
    schedule: DailySchedule | None = None  # None: started by hand only
    retention: Retention = field(default_factory=Retention)
    retries: Retries = field(default_factory=Retries)
    repository_id: UUID | None = None  # None: snapshots only
    copy_tags: bool = True  # the volumes' tags go onto their snapshots
    verify: bool = False  # every backup is read again and compared with the source
    health_check: HealthCheck | None = None
    next_run_at: datetime | None = None
    last_session_id: UUID | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Is the resource covered, and why: one sentence."""

    covered: bool
    reason: str


def _matches(tag: TagMatch, tags: dict[str, str]) -> bool:
    return tag.key in tags and (tag.value is None or tags[tag.key] == tag.value)


def _tag_text(tag: TagMatch) -> str:
    return tag.key if tag.value is None else f"{tag.key}={tag.value}"


def verdict(scope: Scope, resource: Resource) -> Verdict:
    """Whether ``scope`` covers ``resource``; exclusion beats inclusion."""
    no = _outside(scope, resource)
    if no is not None:
        return Verdict(covered=False, reason=no)
    if scope.mode is SelectionMode.ALL:
        return Verdict(covered=True, reason=f"All instances in {resource.region} are selected.")
    if resource.id in scope.resource_ids:
        return Verdict(covered=True, reason="Selected by name.")
    for tag in scope.tags:
        if _matches(tag, resource.tags):
            return Verdict(covered=True, reason=f"Selected by tag {_tag_text(tag)}.")
    return Verdict(covered=False, reason="Neither named nor matched by a tag of the policy.")


def _outside(scope: Scope, resource: Resource) -> str | None:
    if not resource.present:
        return "No longer in AWS."
    if resource.account_id != scope.account_id:
        return "In another account."
    if resource.region not in scope.regions:
        return f"Region {resource.region} is not selected."
    if resource.id in scope.excluded_resource_ids:
        return "Excluded by name."
    for tag in scope.excluded_tags:
        if _matches(tag, resource.tags):
            return f"Excluded by tag {_tag_text(tag)}."
    return None


def problems(policy: Policy) -> dict[str, str]:
    """What is wrong with a policy by itself, as input path → sentence; empty when it may be stored."""
    return dict(_problems(policy))


def _problems(policy: Policy) -> Iterator[tuple[str, str]]:
    if not policy.name.strip():
        yield "name", "Give the policy a name."
    elif len(policy.name) > NAME_MAX:
        yield "name", f"A name has at most {NAME_MAX} characters; this one has {len(policy.name)}."
    if len(policy.description) > DESCRIPTION_MAX:
        yield "description", f"A description has at most {DESCRIPTION_MAX} characters."
    yield from _scope_problems(policy.scope)
    if policy.schedule is not None:
        yield from _schedule_problems(policy.schedule, policy.repository_id)
    if not 0 <= policy.retention.snapshots <= 1000:
        yield "retention.snapshots", "Keep between 0 and 1000 snapshots."
    if not 1 <= policy.retention.backup_days <= 36135:
        yield "retention.backupDays", "Keep backups between 1 and 36135 days."
    if not 0 <= policy.retries.attempts <= 9:
        yield "retries.attempts", "Retry between 0 and 9 times."


def _scope_problems(scope: Scope) -> Iterator[tuple[str, str]]:
    if not scope.regions:
        yield "scope.regions", "Choose at least one Region."
    elif len(scope.regions) > REGIONS_MAX:
        yield "scope.regions", f"At most {REGIONS_MAX} Regions."
    if scope.mode is SelectionMode.LISTED and not scope.resource_ids and not scope.tags:
        yield "scope.resourceIds", "Name at least one resource or tag, or select all."
    for path, ids in (("scope.resourceIds", scope.resource_ids), ("scope.excludedResourceIds", scope.excluded_resource_ids)):
        if len(ids) > SELECTION_MAX:
            yield path, f"At most {SELECTION_MAX} resources; use a tag instead."
    for path, tags in (("scope.tags", scope.tags), ("scope.excludedTags", scope.excluded_tags)):
        if len(tags) > TAGS_MAX:
            yield path, f"At most {TAGS_MAX} tags."
        if any(not 1 <= len(t.key) <= 128 or len(t.value or "") > 256 for t in tags):
            yield path, "A tag key has 1 to 128 characters, a value at most 256."


def _schedule_problems(schedule: DailySchedule, repository_id: UUID | None) -> Iterator[tuple[str, str]]:
    import zoneinfo  # here: only reached for scheduled policies, and the table is read from disk

    if not schedule.snapshot_hours:
        yield "schedule.snapshotHours", "Choose at least one hour, or remove the schedule."
    if any(not 0 <= hour <= 23 for hour in (*schedule.snapshot_hours, *schedule.backup_hours)):
        yield "schedule.snapshotHours", "Hours are 0 to 23."
    if not set(schedule.backup_hours) <= set(schedule.snapshot_hours):
        yield "schedule.backupHours", "A backup needs a snapshot at the same hour: select the hour for snapshots too."
    if schedule.backup_hours and repository_id is None:
        yield "repositoryId", "Backups need a repository: choose one, or clear the backup hours."
    if not schedule.days:
        yield "schedule.days", "Choose at least one day."
    if schedule.timezone not in zoneinfo.available_timezones():
        yield "schedule.timezone", f"Unknown time zone {schedule.timezone!r}: use an IANA name such as Europe/Berlin."
