"""What can be protected, and why it is or is not."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from server.api.graphql.accounts import Account
from server.api.graphql.connections import Connection, Direction, connect, ordering
from server.api.graphql.context import Info, in_thread
from server.api.graphql.loaders import loaders
from server.api.graphql.node import Node, Tag, tags
from server.api.graphql.permissions import requires
from server.api.graphql.reasons import Protection
from server.api.graphql.scalars import JSON, Leg, Long, global_id, local_id
from server.domain import workload as domain
from server.domain.access import Role
from server.ports import Order, Where
from server.services import resources

if TYPE_CHECKING:
    from server.api.graphql.sessions import SessionPayload

LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]


@strawberry.enum
class ProtectionFilter(enum.Enum):
    PROTECTED = "protected"
    UNPROTECTED = "unprotected"


@requires(Role.VIEWER)
@strawberry.type
class Capability:
    name: str
    actions: list[str]


@requires(Role.VIEWER)
@strawberry.type(description="A kind of resource, and the IAM actions each capability needs.")
class WorkloadInfo:
    kind: str
    title: str
    permissions: list[Capability]


@requires(Role.VIEWER)
@strawberry.type(description="Something in AWS that can be protected; kept after it vanished while points of it exist.")
class Resource(Node):
    record: strawberry.Private[domain.Resource]
    workload: str
    region: str
    aws_id: str
    name: str
    state: str
    size_bytes: Long
    present: bool
    first_seen_at: datetime
    last_seen_at: datetime

    @classmethod
    def of(cls, record: domain.Resource) -> Resource:
        return cls(
            record=record,
            id=global_id("Resource", record.id),
            workload=record.workload,
            region=record.region,
            aws_id=record.aws_id,
            name=record.name,
            state=record.state,
            size_bytes=Long(record.size_bytes),
            present=record.present,
            first_seen_at=record.first_seen_at,
            last_seen_at=record.last_seen_at,
        )

    @strawberry.field
    def tags(self) -> list[Tag]:
        return tags(self.record.tags)

    @strawberry.field(description="The workload's own record: type, volumes, network.")
    def details(self) -> JSON:
        return JSON(self.record.document)

    @strawberry.field
    async def account(self, info: Info) -> Account:
        return Account.of(await loaders(info.context).accounts.load(self.record.account_id))

    @strawberry.field(description="Which policy protects it, and what every policy says about it.")
    async def protection(self, info: Info) -> Protection:
        return Protection.of(await loaders(info.context).protection.load(self.record))

    @strawberry.field
    async def point_count(self, info: Info) -> int:
        return (await loaders(info.context).points_of_resource.load(self.record.id)).count

    @strawberry.field(description="Where restore points of it exist.")
    async def legs(self, info: Info) -> list[Leg]:
        found = loaders(info.context)
        counts = [(leg, (await found.points_in(leg).load(self.record.id)).count) for leg in Leg]
        return [leg for leg, count in counts if count]

    @strawberry.field
    async def last_point_at(self, info: Info) -> datetime | None:
        return (await loaders(info.context).points_of_resource.load(self.record.id)).newest


@strawberry.input
class ResourceFilter:
    search: str | None = None
    account_id: strawberry.ID | None = None
    region: str | None = None
    workload: str | None = None
    present: bool | None = None
    protection: ProtectionFilter | None = None
    aws_account_id: str | None = strawberry.field(default=None, description="The account's number in AWS.")
    legs: list[Leg] | None = strawberry.field(default=None, description="Has a restore point in one of these places.")
    backed_up: bool | None = strawberry.field(default=None, description="Has restore points, or has none.")

    def where(self) -> tuple[Where, ...]:
        found = []
        if self.search:
            found.append(Where("name", "contains", self.search))
        if self.account_id is not None:
            found.append(Where("account_id", "eq", local_id("Account", self.account_id, "filter.accountId")))
        if self.region is not None:
            found.append(Where("region", "eq", self.region))
        if self.workload is not None:
            found.append(Where("workload", "eq", self.workload))
        if self.present is not None:
            found.append(Where("present", "eq", self.present))
        return tuple(found)


async def _derived(info: Info, filter: ResourceFilter) -> tuple[Where, ...]:
    """Conditions that are no columns: worked out to ids first."""
    app, caller = info.context.app, info.context.who()
    found: list[Where] = []
    if filter.aws_account_id is not None:
        owners = await in_thread(resources.accounts_numbered, app, caller, filter.aws_account_id)
        found.append(Where("account_id", "in", owners))
    if filter.protection is not None:
        covered = filter.protection is ProtectionFilter.PROTECTED
        ids = await in_thread(resources.by_protection, app, caller, filter.where(), covered=covered)
        found.append(Where("id", "in", ids))
    if filter.legs is not None:
        found.append(Where("id", "in", await in_thread(resources.by_points, app, caller, filter.legs, having=True)))
    if filter.backed_up is not None:
        found.append(Where("id", "in", await in_thread(resources.by_points, app, caller, None, having=filter.backed_up)))
    return tuple(found)


@strawberry.enum
class ResourceOrderField(enum.Enum):
    NAME = "name"
    REGION = "region"
    SIZE_BYTES = "size_bytes"
    LAST_SEEN_AT = "last_seen_at"


@strawberry.input
class ResourceOrder:
    field: ResourceOrderField
    direction: Direction = Direction.ASC


@strawberry.input
class RescanInput:
    account_id: strawberry.ID
    regions: list[str] | None = None
    client_mutation_id: str | None = None


@strawberry.type
class ResourceQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    def workloads(self, info: Info) -> list[WorkloadInfo]:
        return [
            WorkloadInfo(
                kind=one.kind,
                title=one.title,
                permissions=[Capability(name=name, actions=list(actions)) for name, actions in one.permissions.items()],
            )
            for one in info.context.app.workloads.values()
        ]

    @strawberry.field
    @requires(Role.VIEWER)
    async def resources(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        offset: int = 0,
        filter: ResourceFilter | None = None,
        order: list[ResourceOrder] | None = None,
    ) -> Connection[Resource]:
        where = () if filter is None else filter.where() + await _derived(info, filter)
        return await connect(
            info,
            "resources",
            Resource.of,
            first=first,
            after=after,
            offset=offset,
            where=where,
            order=ordering(order, Order("name")),
        )


@strawberry.type
class ResourceMutation:
    @strawberry.mutation(description="Look for resources in the account's Regions again; all its Regions when none is named.")
    @requires(Role.OPERATOR)
    async def rescan(self, info: Info, input: RescanInput) -> LazySessionPayload:
        from server.api.graphql.operations import rescan

        return await rescan(info, input)
