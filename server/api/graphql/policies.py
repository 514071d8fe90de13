"""Policies: what, where to, when, how long."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from server.api.graphql.accounts import Account
from server.api.graphql.connections import Connection, Direction, connect, ordering
from server.api.graphql.context import Info, in_thread
from server.api.graphql.loaders import loaders
from server.api.graphql.node import IdInput, Node, RemovedPayload
from server.api.graphql.permissions import requires
from server.api.graphql.policy_inputs import PolicyInput, StartPolicyInput, UpdatePolicyInput
from server.api.graphql.repositories import Repository
from server.api.graphql.resources import Resource
from server.api.graphql.scalars import Ordinal, SelectionMode, State, Weekday, global_id, local_id
from server.domain import policy as domain
from server.domain import scope as scopes
from server.domain.access import Role
from server.ports import Order, Where
from server.services import policies

if TYPE_CHECKING:
    from server.api.graphql.sessions import Session, SessionPayload

LazySession = Annotated["Session", strawberry.lazy("server.api.graphql.sessions")]
LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]


@requires(Role.VIEWER)
@strawberry.type(description="A tag condition; without a value, any value of the key.")
class TagMatch:
    key: str
    value: str | None


@requires(Role.VIEWER)
@strawberry.type
class Scope:
    record: strawberry.Private[scopes.Scope]
    regions: list[str]
    mode: SelectionMode
    tags: list[TagMatch]
    excluded_tags: list[TagMatch]

    @classmethod
    def of(cls, record: scopes.Scope) -> Scope:
        return cls(
            record=record,
            regions=list(record.regions),
            mode=record.mode,
            tags=[TagMatch(key=one.key, value=one.value) for one in record.tags],
            excluded_tags=[TagMatch(key=one.key, value=one.value) for one in record.excluded_tags],
        )

    @strawberry.field
    async def account(self, info: Info) -> Account:
        return Account.of(await loaders(info.context).accounts.load(self.record.account_id))

    @strawberry.field
    async def resources(self, info: Info) -> list[Resource]:
        return await _resources(info, self.record.resource_ids)

    @strawberry.field
    async def excluded_resources(self, info: Info) -> list[Resource]:
        return await _resources(info, self.record.excluded_resource_ids)


async def _resources(info: Info, ids: tuple[UUID, ...]) -> list[Resource]:
    found = await loaders(info.context).resources.load_many(ids)
    return [Resource.of(one) for one in found if one is not None]


@requires(Role.VIEWER)
@strawberry.type(description="On the days, at the hours of the time zone; a backup is made at the backup hours, a subset.")
class DailySchedule:
    snapshot_hours: list[int]
    backup_hours: list[int]
    days: list[Weekday]
    timezone: str


@requires(Role.VIEWER)
@strawberry.type(description="The newest snapshots are kept by count, backups by age in days.")
class Retention:
    snapshots: int
    backup_days: int


@requires(Role.VIEWER)
@strawberry.type(description="Once a month on that weekday: are the backups whole? A twelfth of the blocks is read each time.")
class HealthCheck:
    ordinal: Ordinal
    weekday: Weekday


@requires(Role.VIEWER)
@strawberry.type
class Policy(Node):
    record: strawberry.Private[domain.Policy]
    name: str
    description: str
    workload: str
    enabled: bool
    priority: int
    scope: Scope
    schedule: DailySchedule | None
    retention: Retention
    retry_attempts: int
    copy_tags: bool
    verify: bool = strawberry.field(description="Every backup is read again and compared with what was read from the source.")
    health_check: HealthCheck | None
    next_run_at: datetime | None
    created_at: datetime
    updated_at: datetime
    revision: int

    @classmethod
    def of(cls, record: domain.Policy) -> Policy:
        schedule = record.schedule
        plan = schedule.daily if schedule is not None else None
        return cls(
            record=record,
            id=global_id("Policy", record.id),
            name=record.name,
            description=record.description,
            workload=record.workload,
            enabled=record.enabled,
            priority=record.priority,
            scope=Scope.of(record.scope),
            schedule=None
            if plan is None or schedule is None
            else DailySchedule(
                snapshot_hours=list(plan.snapshot.slots),
                backup_hours=list(plan.backup.slots) if plan.backup else [],
                days=list(plan.days),
                timezone=schedule.timezone,
            ),
            retention=Retention(snapshots=record.retention.snapshots, backup_days=record.retention.backups.amount),
            retry_attempts=record.retries.attempts,
            copy_tags=record.copy_tags,
            verify=record.verify,
            health_check=None
            if record.health_check is None
            else HealthCheck(ordinal=record.health_check.ordinal, weekday=record.health_check.weekday),
            next_run_at=record.next_run_at,
            created_at=record.created_at,
            updated_at=record.updated_at,
            revision=record.revision,
        )

    @strawberry.field
    async def repository(self, info: Info) -> Repository | None:
        if self.record.repository_id is None:
            return None
        return Repository.of(await loaders(info.context).repositories.load(self.record.repository_id))

    @strawberry.field
    async def last_session(self, info: Info) -> LazySession | None:
        from server.api.graphql.sessions import Session

        if self.record.last_session_id is None:
            return None
        found = await loaders(info.context).sessions.load(self.record.last_session_id)
        return None if found is None else Session.of(found)

    @strawberry.field(description="How many present resources the policy covers now.")
    async def resource_count(self, info: Info) -> int:
        return await loaders(info.context).coverage.load(self.record)


@strawberry.input
class PolicyFilter:
    search: str | None = None
    enabled: bool | None = None
    workload: str | None = None
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
        found.append(Where("id", "in", await in_thread(policies.covering, app, caller, resource)))
    if filter.last_state is not None or filter.never_run is not None:
        states, never = filter.last_state or [], bool(filter.never_run)
        found.append(Where("id", "in", await in_thread(policies.by_last_state, app, caller, states, never=never)))
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

    @strawberry.mutation(description="Replace a policy. CONFLICT when its revision is no longer the one given.")
    @requires(Role.OPERATOR)
    async def update_policy(self, info: Info, input: UpdatePolicyInput) -> PolicyPayload:
        context = info.context
        changed = await in_thread(
            policies.update,
            context.app,
            context.who(),
            local_id("Policy", input.id),
            input.revision,
            input.policy.read(),
            dry_run=input.policy.dry_run,
            key=input.policy.client_mutation_id,
        )
        return PolicyPayload(policy=Policy.of(changed), client_mutation_id=input.policy.client_mutation_id)

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

    @strawberry.mutation(description="Run the policy now: snapshots, and backups unless backup is false.")
    @requires(Role.OPERATOR)
    async def start_policy(self, info: Info, input: StartPolicyInput) -> LazySessionPayload:
        from server.api.graphql.operations import start_policy

        return await start_policy(info, input)


async def _set_enabled(info: Info, input: IdInput, *, enabled: bool) -> PolicyPayload:
    context = info.context
    id = local_id("Policy", input.id)
    changed = await in_thread(policies.set_enabled, context.app, context.who(), id, enabled=enabled, dry_run=input.dry_run)
    return PolicyPayload(policy=Policy.of(changed), client_mutation_id=input.client_mutation_id)
