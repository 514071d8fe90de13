"""What people send about policies, and how it becomes the domain's words."""

from __future__ import annotations

from uuid import UUID

import strawberry

from server.api.graphql.scalars import KeyUsage, Ordinal, PolicyKind, SelectionMode, Weekday, local_id
from server.api.graphql.schedule_inputs import PeriodInput, ScheduleInput
from server.domain import guest as guests
from server.domain import policy as domain
from server.domain import replicas
from server.domain import scope as scopes
from server.domain.periods import Unit
from server.services import policies
from server.services.policies import Move

DEFAULTS = domain.Retention()
strawberry.enum(Move, name="MoveTo", description="Where in the order of its kind; the first one claims a resource.")


@strawberry.input
class TagMatchInput:
    key: str
    value: str | None = None


def _matches(tags: list[TagMatchInput]) -> tuple[scopes.TagMatch, ...]:
    return tuple(scopes.TagMatch(key=one.key, value=one.value) for one in tags)


@strawberry.input(description="Volumes of covered instances that are left out.")
class VolumeExclusionsInput:
    system: bool = strawberry.field(default=False, description="The root device's.")
    volume_ids: list[str] = strawberry.field(default_factory=list)
    tags: list[TagMatchInput] = strawberry.field(default_factory=list)

    def read(self) -> scopes.VolumeExclusions:
        return scopes.VolumeExclusions(
            system=self.system,
            volume_ids=tuple(dict.fromkeys(id.strip() for id in self.volume_ids)),
            tags=_matches(self.tags),
        )


@strawberry.input
class ScopeInput:
    account_id: strawberry.ID
    regions: list[str]
    mode: SelectionMode
    resource_ids: list[strawberry.ID] = strawberry.field(default_factory=list)
    tags: list[TagMatchInput] = strawberry.field(default_factory=list)
    excluded_resource_ids: list[strawberry.ID] = strawberry.field(default_factory=list)
    excluded_tags: list[TagMatchInput] = strawberry.field(default_factory=list)
    excluded_volumes: VolumeExclusionsInput | None = None

    def read(self) -> scopes.Scope:
        volumes = self.excluded_volumes
        return scopes.Scope(
            account_id=local_id("Account", self.account_id, "scope.accountId"),
            regions=tuple(dict.fromkeys(self.regions)),
            mode=self.mode,
            resource_ids=tuple(local_id("Resource", id, "scope.resourceIds") for id in self.resource_ids),
            tags=_matches(self.tags),
            excluded_resource_ids=tuple(
                local_id("Resource", id, "scope.excludedResourceIds") for id in self.excluded_resource_ids
            ),
            excluded_tags=_matches(self.excluded_tags),
            excluded_volumes=scopes.VolumeExclusions() if volumes is None else volumes.read(),
        )


@strawberry.input(description="Where copies of some Regions' snapshots go; without Regions, of all that no other one names.")
class ReplicaTargetInput:
    account_id: strawberry.ID
    region: str
    regions: list[str] = strawberry.field(default_factory=list)
    encrypt: bool = False
    kms_key: str | None = strawberry.field(default=None, description="Key id, alias or ARN; null: the default EBS key.")
    key_usage: KeyUsage = KeyUsage.ALL

    def read(self, path: str) -> replicas.ReplicaTarget:
        return replicas.ReplicaTarget(
            regions=tuple(dict.fromkeys(self.regions)),
            account_id=local_id("Account", self.account_id, f"{path}.accountId"),
            region=self.region,
            encrypt=self.encrypt,
            kms_key=(self.kms_key or "").strip() or None,
            key_usage=self.key_usage,
        )


@strawberry.input(description="A file in the guest; %policy%, %instance% and other variables are replaced in its arguments.")
class ScriptInput:
    path: str
    arguments: str = ""

    def read(self) -> guests.Script:
        return guests.Script(path=self.path.strip(), arguments=self.arguments)


@strawberry.input
class ScriptsInput:
    pre: ScriptInput | None = None
    post: ScriptInput | None = None
    timeout_seconds: int = guests.SCRIPT_SECONDS
    only_for_backups: bool = False
    ignore_missing: bool = False
    ignore_exit_codes: bool = False

    def read(self) -> guests.Scripts:
        return guests.Scripts(
            pre=None if self.pre is None else self.pre.read(),
            post=None if self.post is None else self.post.read(),
            timeout_seconds=self.timeout_seconds,
            only_for_backups=self.only_for_backups,
            ignore_missing=self.ignore_missing,
            ignore_exit_codes=self.ignore_exit_codes,
        )


@strawberry.input
class GuestInput:
    application_aware: bool = strawberry.field(default=False, description="Windows guests are snapshotted through VSS.")
    linux: ScriptsInput | None = None
    windows: ScriptsInput | None = None

    def read(self) -> guests.Guest:
        return guests.Guest(
            application_aware=self.application_aware,
            linux=None if self.linux is None else self.linux.read(),
            windows=None if self.windows is None else self.windows.read(),
        )


@strawberry.input
class TagInput:
    key: str
    value: str = ""


@strawberry.input(description="What is kept of points no schedule makes: of runs by hand where no schedule makes the leg.")
class RetentionInput:
    snapshots: int = DEFAULTS.snapshots
    replicas: int = DEFAULTS.replicas
    backups: PeriodInput = strawberry.field(default_factory=lambda: PeriodInput(amount=30))
    archives: PeriodInput = strawberry.field(default_factory=lambda: PeriodInput(amount=12, unit=Unit.MONTHS))

    def read(self) -> domain.Retention:
        return domain.Retention(
            snapshots=self.snapshots, replicas=self.replicas, backups=self.backups.read(), archives=self.archives.read()
        )


@strawberry.input(
    description="Mail about the policy's sessions. Outcomes and lastAttemptOnly are for scheduled policies; onlyMissed and "
    "atMinute (of the next day, UTC; null: at once) for SLA policies."
)
class NotificationsInput:
    recipients: list[str]
    on_success: bool = True
    on_warning: bool = True
    on_failure: bool = True
    last_attempt_only: bool = True
    only_missed: bool = False
    at_minute: int | None = None

    def read(self) -> domain.Notifications:
        return domain.Notifications(
            recipients=tuple(each.strip() for each in self.recipients),
            on_success=self.on_success,
            on_warning=self.on_warning,
            on_failure=self.on_failure,
            last_attempt_only=self.last_attempt_only,
            only_missed=self.only_missed,
            at_minute=self.at_minute,
        )


@strawberry.input
class HealthCheckInput:
    ordinal: Ordinal
    weekday: Weekday

    def read(self) -> domain.HealthCheck:
        return domain.HealthCheck(ordinal=self.ordinal, weekday=self.weekday)


@strawberry.input(
    description="SCHEDULE policies use schedule, repositoryId and archiveRepositoryId; SLA policies slaTemplateId and "
    "storageTemplateId in their place."
)
class PolicyInput:
    name: str
    scope: ScopeInput
    description: str = ""
    workload: str = "ec2"
    kind: PolicyKind = PolicyKind.SCHEDULE
    enabled: bool = True
    priority: int | None = strawberry.field(default=None, description="Null: after all others, or as it is.")
    schedule: ScheduleInput | None = strawberry.field(default=None, description="Null: started by hand only.")
    sla_template_id: strawberry.ID | None = None
    storage_template_id: strawberry.ID | None = None
    repository_id: strawberry.ID | None = strawberry.field(default=None, description="Null: no backups.")
    archive_repository_id: strawberry.ID | None = None
    replicas: list[ReplicaTargetInput] = strawberry.field(default_factory=list)
    guest: GuestInput | None = None
    copy_tags: bool = strawberry.field(default=True, description="The volumes' tags go onto their snapshots.")
    tags: list[TagInput] = strawberry.field(default_factory=list, description="Go onto every snapshot and replica.")
    retention: RetentionInput | None = None
    retry_attempts: int = 3
    notifications: NotificationsInput | None = None
    verify: bool = False
    health_check: HealthCheckInput | None = None
    dry_run: bool = False
    client_mutation_id: str | None = None

    def read(self) -> policies.PolicyDraft:
        """InvalidInput for ids that are none."""
        return policies.PolicyDraft(
            name=self.name.strip(),
            description=self.description.strip(),
            workload=self.workload,
            kind=self.kind,
            enabled=self.enabled,
            priority=self.priority,
            scope=self.scope.read(),
            schedule=None if self.schedule is None else self.schedule.read(),
            sla_template_id=_optional_id("SlaTemplate", self.sla_template_id, "slaTemplateId"),
            storage_template_id=_optional_id("StorageTemplate", self.storage_template_id, "storageTemplateId"),
            repository_id=_optional_id("Repository", self.repository_id, "repositoryId"),
            archive_repository_id=_optional_id("Repository", self.archive_repository_id, "archiveRepositoryId"),
            replicas=tuple(one.read(f"replicas.{at}") for at, one in enumerate(self.replicas)),
            guest=guests.Guest() if self.guest is None else self.guest.read(),
            copy_tags=self.copy_tags,
            tags=tuple(domain.Tag(key=one.key, value=one.value) for one in self.tags),
            retention=domain.Retention() if self.retention is None else self.retention.read(),
            retries=domain.Retries(attempts=self.retry_attempts),
            notifications=None if self.notifications is None else self.notifications.read(),
            verify=self.verify,
            health_check=None if self.health_check is None else self.health_check.read(),
        )


def _optional_id(kind: str, value: str | None, path: str) -> UUID | None:
    return None if value is None else local_id(kind, value, path)


@strawberry.input
class UpdatePolicyInput:
    id: strawberry.ID
    edition: int
    policy: PolicyInput


@strawberry.input
class ClonePolicyInput:
    id: strawberry.ID
    name: str
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.input
class MovePolicyInput:
    id: strawberry.ID
    to: Move
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.input
class AddToPolicyInput:
    policy_id: strawberry.ID
    resource_ids: list[strawberry.ID]
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.input
class StartPolicyInput:
    id: strawberry.ID
    backup: bool = True
    archive: bool = strawberry.field(default=False, description="Archive the backup, too.")
    dry_run: bool = False
    client_mutation_id: str | None = None
