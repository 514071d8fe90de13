"""Policies: what, where to, when, how long."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from server.api.graphql.compliance import ComplianceEntry, compliance_of
from server.api.graphql.connections import Connection, Direction, connect, ordering
from server.api.graphql.context import Info, in_thread
from server.api.graphql.loaders import loaders
from server.api.graphql.node import IdInput, Node, RemovedPayload, Tag
from server.api.graphql.permissions import requires
from server.api.graphql.policy_inputs import (
    AddToPolicyInput,
    ClonePolicyInput,
    MovePolicyInput,
    PolicyInput,
    StartPolicyInput,
    UpdatePolicyInput,
)
from server.api.graphql.policy_types import Guest, HealthCheck, Notifications, ReplicaTarget, Retention, Scope
from server.api.graphql.repositories import Repository
from server.api.graphql.scalars import Frequency, Leg, PolicyKind, State, global_id, local_id
from server.api.graphql.schedule_types import Schedule
from server.domain import policy as domain
from server.domain.access import Role
from server.ports import Order, Where
from server.services import claims, policies
from server.services.compliance import Chart

if TYPE_CHECKING:
    from server.api.graphql.forecasts import Forecast
    from server.api.graphql.sessions import Session, SessionPayload
    from server.api.graphql.sla_templates import SlaTemplate
    from server.api.graphql.storage_templates import StorageTemplate

LazyForecast = Annotated["Forecast", strawberry.lazy("server.api.graphql.forecasts")]
LazySession = Annotated["Session", strawberry.lazy("server.api.graphql.sessions")]
LazySlaTemplate = Annotated["SlaTemplate", strawberry.lazy("server.api.graphql.sla_templates")]
LazyStorageTemplate = Annotated["StorageTemplate", strawberry.lazy("server.api.graphql.storage_templates")]
LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]


@requires(Role.VIEWER)
@strawberry.type
class Policy(Node):
    record: strawberry.Private[domain.Policy]
    name: str
    description: str
    workload: str
    kind: PolicyKind
    enabled: bool
    priority: int = strawberry.field(description="Among the policies of its workload and kind; 1 comes first.")
    scope: Scope
    schedule: Schedule | None
    replicas: list[ReplicaTarget]
    guest: Guest
    copy_tags: bool
    tags: list[Tag] = strawberry.field(description="Go onto every snapshot and replica.")
    retention: Retention
    retry_attempts: int
    notifications: Notifications | None
    verify: bool = strawberry.field(description="Every backup is read again and compared with what was read from the source.")
    health_check: HealthCheck | None
    next_run_at: datetime | None
    created_at: datetime
    updated_at: datetime
    edition: int = strawberry.field(description="Counts the changes people made; updatePolicy wants the newest.")
    revision: int = strawberry.field(description="Counts every change, also what a run notes.")

    @classmethod
    def of(cls, record: domain.Policy) -> Policy:
        return cls(
            record=record,
            id=global_id("Policy", record.id),
            name=record.name,
            description=record.description,
            workload=record.workload,
            kind=record.kind,
            enabled=record.enabled,
            priority=record.priority,
            scope=Scope.of(record.scope),
            schedule=None if record.schedule is None else Schedule.of(record.schedule),
            replicas=[ReplicaTarget.of(one) for one in record.replicas],
            guest=Guest.of(record.guest),
            copy_tags=record.copy_tags,
            tags=[Tag(key=one.key, value=one.value) for one in record.tags],
            retention=Retention.of(record.retention),
            retry_attempts=record.retries.attempts,
            notifications=Notifications.maybe(record.notifications),
            verify=record.verify,
            health_check=HealthCheck.maybe(record.health_check),
            next_run_at=record.next_run_at,
            created_at=record.created_at,
            updated_at=record.updated_at,
            edition=record.edition,
            revision=record.revision,
        )

    @strawberry.field(description="Where backups go; null: none, or as the storage template says.")
    async def repository(self, info: Info) -> Repository | None:
        return await _repository(info, self.record.repository_id)

    @strawberry.field
    async def archive_repository(self, info: Info) -> Repository | None:
        return await _repository(info, self.record.archive_repository_id)

    @strawberry.field(description="Of SLA policies: what they promise.")
    async def sla_template(self, info: Info) -> LazySlaTemplate | None:
        from server.api.graphql.sla_templates import SlaTemplate

        if self.record.sla_template_id is None:
            return None
        return SlaTemplate.of(await loaders(info.context).sla_templates.load(self.record.sla_template_id))

    @strawberry.field(description="Of SLA policies: where backups and archives go.")
    async def storage_template(self, info: Info) -> LazyStorageTemplate | None:
        from server.api.graphql.storage_templates import StorageTemplate

        if self.record.storage_template_id is None:
            return None
        return StorageTemplate.of(await loaders(info.context).storage_templates.load(self.record.storage_template_id))

    @strawberry.field
    async def last_session(self, info: Info) -> LazySession | None:
        from server.api.graphql.sessions import Session

        if self.record.last_session_id is None:
            return None
        found = await loaders(info.context).sessions.load(self.record.last_session_id)
        return None if found is None else Session.of(found)

    @strawberry.field(description="What its next days will make and delete; a disabled policy's, were it enabled.")
    async def forecast(self, info: Info, days: int = 14) -> LazyForecast:
        from server.api.graphql.forecasts import of_policy

        return await of_policy(info, self.record, days)

    @strawberry.field(
        description="Of SLA policies: what was kept of a leg's promises, oldest first; last: only the newest. asItWas: judged "
        "by the terms in force at each moment, instead of today's."
    )
    async def compliance(
        self, info: Info, leg: Leg, period: Frequency, as_it_was: bool = False, last: int | None = None
    ) -> list[ComplianceEntry]:
        return await compliance_of(info, self.record, Chart(leg, period, as_it_was), last)

    @strawberry.field(description="How many present resources the policy covers now.")
    async def resource_count(self, info: Info) -> int:
        return await loaders(info.context).coverage.load(self.record)


async def _repository(info: Info, id: UUID | None) -> Repository | None:
    if id is None:
        return None
    return Repository.of(await loaders(info.context).repositories.load(id))


@strawberry.input
class PolicyFilter:
    search: str | None = None
    enabled: bool | None = None
    workload: str | None = None
    kind: PolicyKind | None = None
    repository_id: strawberry.ID | None = None
    resource_id: strawberry.ID | None = strawberry.field(default=None, description="Covers this resource.")
    last_state: list[State] | None = strawberry.field(default=None, description="State of its newest session.")
    never_run: bool | None = strawberry.field(default=None, description="With lastState: those never run, too.")
    revision_after: int | None = None

    def where(self) -> tuple[Where, ...]:
        found = []
        if self.search:
            found.append(Where("name", "contains", self.search))
        if self.enabled is not None:
            found.append(Where("enabled", "eq", self.enabled))
        if self.workload is not None:
            found.append(Where("workload", "eq", self.workload))
        if self.kind is not None:
            found.append(Where("kind", "eq", self.kind))
        if self.repository_id is not None:
            id = local_id("Repository", self.repository_id, "filter.repositoryId")
            found.append(Where("repository_id", "eq", id))
        if self.revision_after is not None:
            found.append(Where("revision", "gt", self.revision_after))
        return tuple(found)


async def _derived(info: Info, filter: PolicyFilter) -> tuple[Where, ...]:
    """Conditions that are no columns: worked out to ids first."""
    app, caller = info.context.app, info.context.who()
    found: list[Where] = []
    if filter.resource_id is not None:
        resource = local_id("Resource", filter.resource_id, "filter.resourceId")
        found.append(Where("id", "in", await in_thread(claims.covering, app, caller, resource)))
    if filter.last_state is not None or filter.never_run is not None:
        states, never = filter.last_state or [], bool(filter.never_run)
        found.append(Where("id", "in", await in_thread(claims.by_last_state, app, caller, states, never=never)))
    return tuple(found)


@strawberry.enum
class PolicyOrderField(enum.Enum):
    PRIORITY = "priority"
    NAME = "name"
    UPDATED_AT = "updated_at"
    REVISION = "revision"


@strawberry.input
class PolicyOrder:
    field: PolicyOrderField
    direction: Direction = Direction.ASC


@requires(Role.VIEWER)
@strawberry.type
class PolicyPayload:
    policy: Policy | None
    client_mutation_id: str | None


@requires(Role.VIEWER)
@strawberry.type
class StopPolicyPayload:
    sessions: list[LazySession] = strawberry.field(description="Those that are being cancelled.")
    client_mutation_id: str | None


@strawberry.type
class PolicyQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    async def policies(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        offset: int = 0,
        filter: PolicyFilter | None = None,
        order: list[PolicyOrder] | None = None,
    ) -> Connection[Policy]:
        return await connect(
            info,
            "policies",
            Policy.of,
            first=first,
            after=after,
            offset=offset,
            where=() if filter is None else filter.where() + await _derived(info, filter),
            order=ordering(order, Order("priority")),
        )

    @strawberry.field(description="Policies all these resources can be added to: of their account and Regions.")
    @requires(Role.VIEWER)
    async def policies_for(self, info: Info, resource_ids: list[strawberry.ID]) -> list[Policy]:
        ids = [local_id("Resource", id, "resourceIds") for id in resource_ids]
        found = await in_thread(claims.reaching, info.context.app, info.context.who(), ids)
        return [Policy.of(one) for one in found]

    @strawberry.field(description="IANA time zones a schedule can use.")
    @requires(Role.VIEWER)
    async def timezones(self) -> list[str]:
        return await in_thread(policies.timezones)


@strawberry.type
class PolicyMutation:
    @strawberry.mutation
    @requires(Role.OPERATOR)
    async def create_policy(self, info: Info, input: PolicyInput) -> PolicyPayload:
        context = info.context
        made = await in_thread(
            policies.create,
            context.app,
            context.who(),
            input.read(),
            dry_run=input.dry_run,
            key=input.client_mutation_id,
        )
        return PolicyPayload(policy=Policy.of(made), client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Replace a policy. CONFLICT when its edition is no longer the one given.")
    @requires(Role.OPERATOR)
    async def update_policy(self, info: Info, input: UpdatePolicyInput) -> PolicyPayload:
        context = info.context
        changed = await in_thread(
            policies.update,
            context.app,
            context.who(),
            local_id("Policy", input.id),
            input.edition,
            input.policy.read(),
            dry_run=input.policy.dry_run,
            key=input.policy.client_mutation_id,
        )
        return PolicyPayload(policy=Policy.of(changed), client_mutation_id=input.policy.client_mutation_id)

    @strawberry.mutation(description="A copy under another name: disabled, after all others of its kind.")
    @requires(Role.OPERATOR)
    async def clone_policy(self, info: Info, input: ClonePolicyInput) -> PolicyPayload:
        context, id = info.context, local_id("Policy", input.id)
        made = await in_thread(
            policies.clone,
            context.app,
            context.who(),
            id,
            input.name,
            dry_run=input.dry_run,
            key=input.client_mutation_id,
        )
        return PolicyPayload(policy=Policy.of(made), client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Change who comes first among the policies of one kind; they are numbered from 1 again.")
    @requires(Role.OPERATOR)
    async def move_policy(self, info: Info, input: MovePolicyInput) -> PolicyPayload:
        context, id = info.context, local_id("Policy", input.id)
        moved = await in_thread(policies.move, context.app, context.who(), id, input.to, dry_run=input.dry_run)
        return PolicyPayload(policy=Policy.of(moved), client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Let a policy cover these resources, too.")
    @requires(Role.OPERATOR)
    async def add_to_policy(self, info: Info, input: AddToPolicyInput) -> PolicyPayload:
        context = info.context
        changed = await in_thread(
            policies.add_resources,
            context.app,
            context.who(),
            local_id("Policy", input.policy_id, "policyId"),
            [local_id("Resource", id, "resourceIds") for id in input.resource_ids],
            dry_run=input.dry_run,
            key=input.client_mutation_id,
        )
        return PolicyPayload(policy=Policy.of(changed), client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Delete a policy; its restore points stay. Refused while it runs.")
    @requires(Role.OPERATOR)
    async def delete_policy(self, info: Info, input: IdInput) -> RemovedPayload:
        context = info.context
        id = local_id("Policy", input.id)
        await in_thread(policies.delete, context.app, context.who(), id, dry_run=input.dry_run, key=input.client_mutation_id)
        return RemovedPayload(id=input.id, client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Let the schedule start the policy.")
    @requires(Role.OPERATOR)
    async def enable_policy(self, info: Info, input: IdInput) -> PolicyPayload:
        return await _set_enabled(info, input, enabled=True)

    @strawberry.mutation(description="Keep the schedule from starting the policy; it can still be started by hand.")
    @requires(Role.OPERATOR)
    async def disable_policy(self, info: Info, input: IdInput) -> PolicyPayload:
        return await _set_enabled(info, input, enabled=False)

    @strawberry.mutation(description="Run the policy now: snapshots; backups unless backup is false; archives if asked for.")
    @requires(Role.OPERATOR)
    async def start_policy(self, info: Info, input: StartPolicyInput) -> LazySessionPayload:
        from server.api.graphql.operations import start_policy

        return await start_policy(info, input)

    @strawberry.mutation(description="Cancel the running sessions of the policy.")
    @requires(Role.OPERATOR)
    async def stop_policy(self, info: Info, input: IdInput) -> StopPolicyPayload:
        from server.api.graphql.sessions import Session

        context, id = info.context, local_id("Policy", input.id)
        found = await in_thread(policies.stop, context.app, context.who(), id, dry_run=input.dry_run)
        return StopPolicyPayload(sessions=[Session.of(one) for one in found], client_mutation_id=input.client_mutation_id)


async def _set_enabled(info: Info, input: IdInput, *, enabled: bool) -> PolicyPayload:
    context = info.context
    id = local_id("Policy", input.id)
    changed = await in_thread(policies.set_enabled, context.app, context.who(), id, enabled=enabled, dry_run=input.dry_run)
    return PolicyPayload(policy=Policy.of(changed), client_mutation_id=input.client_mutation_id)
