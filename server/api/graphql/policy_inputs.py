"""What people send about policies, and how it becomes the domain's words."""

from __future__ import annotations

import strawberry

from server.api.graphql.scalars import Ordinal, SelectionMode, Weekday, local_id
from server.domain import policy as domain
from server.domain import scope as scopes
from server.domain.periods import EVERY_DAY, Period
from server.domain.schedule import Daily, Rule, Schedule
from server.services import policies


@strawberry.input
class TagMatchInput:
    key: str
    value: str | None = None


@strawberry.input
class ScopeInput:
    account_id: strawberry.ID
    regions: list[str]
    mode: SelectionMode
    resource_ids: list[strawberry.ID] = strawberry.field(default_factory=list)
    tags: list[TagMatchInput] = strawberry.field(default_factory=list)
    excluded_resource_ids: list[strawberry.ID] = strawberry.field(default_factory=list)
    excluded_tags: list[TagMatchInput] = strawberry.field(default_factory=list)

    def read(self) -> scopes.Scope:
        return scopes.Scope(
            account_id=local_id("Account", self.account_id, "scope.accountId"),
            regions=tuple(self.regions),
            mode=self.mode,
            resource_ids=tuple(local_id("Resource", id, "scope.resourceIds") for id in self.resource_ids),
            tags=tuple(scopes.TagMatch(key=one.key, value=one.value) for one in self.tags),
            excluded_resource_ids=tuple(
                local_id("Resource", id, "scope.excludedResourceIds") for id in self.excluded_resource_ids
            ),
            excluded_tags=tuple(scopes.TagMatch(key=one.key, value=one.value) for one in self.excluded_tags),
        )


def _every_day() -> list[Weekday]:
    return list(EVERY_DAY)


@strawberry.input
class DailyScheduleInput:
    snapshot_hours: list[int]
    backup_hours: list[int] = strawberry.field(default_factory=list)
    days: list[Weekday] = strawberry.field(default_factory=_every_day)
    timezone: str = "UTC"

    def read(self, kept: domain.Retention) -> Schedule:
        backup = tuple(sorted(set(self.backup_hours)))
        daily = Daily(
            days=tuple(sorted(set(self.days), key=lambda day: day.value)),
            snapshot=Rule(slots=tuple(sorted(set(self.snapshot_hours))), count=kept.snapshots),
            backup=Rule(slots=backup, period=kept.backups) if backup else None,
        )
        return Schedule(timezone=self.timezone, daily=daily)


@strawberry.input
class RetentionInput:
    snapshots: int
    backup_days: int


@strawberry.input
class HealthCheckInput:
    ordinal: Ordinal
    weekday: Weekday


@strawberry.input
class PolicyInput:
    name: str
    scope: ScopeInput
    retention: RetentionInput
    description: str = ""
    workload: str = "ec2"
    enabled: bool = True
    priority: int | None = None
    schedule: DailyScheduleInput | None = None
    retry_attempts: int = 3
    repository_id: strawberry.ID | None = None
    copy_tags: bool = True
    verify: bool = False
    health_check: HealthCheckInput | None = None
    dry_run: bool = False
    client_mutation_id: str | None = None

    def read(self) -> policies.PolicyDraft:
        repository, check = self.repository_id, self.health_check
        kept = domain.Retention(snapshots=self.retention.snapshots, backups=Period(self.retention.backup_days))
        return policies.PolicyDraft(
            name=self.name,
            description=self.description,
            workload=self.workload,
            enabled=self.enabled,
            priority=self.priority,
            scope=self.scope.read(),
            schedule=None if self.schedule is None else self.schedule.read(kept),
            retention=kept,
            retries=domain.Retries(attempts=self.retry_attempts),
            repository_id=None if repository is None else local_id("Repository", repository, "repositoryId"),
            copy_tags=self.copy_tags,
            verify=self.verify,
            health_check=None if check is None else domain.HealthCheck(ordinal=check.ordinal, weekday=check.weekday),
        )


@strawberry.input
class UpdatePolicyInput:
    id: strawberry.ID
    revision: int
    policy: PolicyInput


@strawberry.input
class StartPolicyInput:
    id: strawberry.ID
    backup: bool = True
    dry_run: bool = False
    client_mutation_id: str | None = None
