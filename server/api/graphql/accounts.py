"""AWS accounts, their Regions, and what a restore can aim at in them."""

from __future__ import annotations

import enum
from datetime import datetime

import strawberry

from server.api.graphql.connections import Connection, Direction, connect, ordering
from server.api.graphql.context import Info, in_thread
from server.api.graphql.node import IdInput, Node, RemovedPayload
from server.api.graphql.permissions import requires
from server.api.graphql.scalars import AccountState, global_id, local_id
from server.domain import workload as domain
from server.domain.access import Role
from server.ports import Order, Where
from server.services import accounts, resources


@requires(Role.VIEWER)
@strawberry.type(
    description="An AWS account, reached through an IAM role; the home account through the appliance's own credentials."
)
class Account(Node):
    name: str
    role_arn: str | None
    is_home: bool
    aws_account_id: str | None
    state: AccountState
    problem: str | None
    checked_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, record: domain.Account) -> Account:
        return cls(
            id=global_id("Account", record.id),
            name=record.name,
            role_arn=record.role_arn,
            is_home=record.is_home,
            aws_account_id=record.aws_account_id,
            state=record.state,
            problem=record.problem,
            checked_at=record.checked_at,
            created_at=record.created_at,
        )


@requires(Role.VIEWER)
@strawberry.type
class Region:
    name: str
    title: str
    resource_count: int


@requires(Role.VIEWER)
@strawberry.type
class Subnet:
    id: str
    name: str
    vpc_id: str
    zone: str
    cidr: str


@requires(Role.VIEWER)
@strawberry.type
class SecurityGroup:
    id: str
    name: str
    vpc_id: str


@requires(Role.VIEWER)
@strawberry.type(description="What a restore in this account and Region can use.")
class RestoreTargets:
    zones: list[str]
    subnets: list[Subnet]
    security_groups: list[SecurityGroup]
    instance_types: list[str]
    instance_profiles: list[str]


@strawberry.input
class AccountFilter:
    search: str | None = None
    state: AccountState | None = None

    def where(self) -> tuple[Where, ...]:
        found = []
        if self.search:
            found.append(Where("name", "contains", self.search))
        if self.state is not None:
            found.append(Where("state", "eq", self.state))
        return tuple(found)


@strawberry.enum
class AccountOrderField(enum.Enum):
    NAME = "name"
    CREATED_AT = "created_at"


@strawberry.input
class AccountOrder:
    field: AccountOrderField
    direction: Direction = Direction.ASC


@strawberry.input
class AddAccountInput:
    name: str
    role_arn: str
    external_id: str | None = None
    dry_run: bool = False
    client_mutation_id: str | None = None


@requires(Role.VIEWER)
@strawberry.type
class AccountPayload:
    account: Account | None
    client_mutation_id: str | None


@strawberry.type
class AccountQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    async def accounts(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        offset: int = 0,
        filter: AccountFilter | None = None,
        order: list[AccountOrder] | None = None,
    ) -> Connection[Account]:
        return await connect(
            info,
            "accounts",
            Account.of,
            first=first,
            after=after,
            offset=offset,
            where=filter.where() if filter else (),
            order=ordering(order, Order("name")),
        )

    @strawberry.field(
        description="The Regions the account can use, or all there are; with how many resources are known in each."
    )
    @requires(Role.VIEWER)
    async def regions(self, info: Info, account_id: strawberry.ID | None = None) -> list[Region]:
        context = info.context
        id = None if account_id is None else local_id("Account", account_id, "accountId")
        found = await in_thread(accounts.regions, context.app, context.who(), id)
        return [Region(name=one.name, title=one.title, resource_count=one.resources) for one in found]

    @strawberry.field
    @requires(Role.RESTORE_OPERATOR)
    async def restore_targets(self, info: Info, account_id: strawberry.ID, region: str) -> RestoreTargets:
        context = info.context
        id = local_id("Account", account_id, "accountId")
        found = await in_thread(resources.restore_targets, context.app, context.who(), id, region)
        return RestoreTargets(
            zones=list(found.zones),
            subnets=[Subnet(id=s.id, name=s.name, vpc_id=s.vpc_id, zone=s.zone, cidr=s.cidr) for s in found.subnets],
            security_groups=[SecurityGroup(id=g.id, name=g.name, vpc_id=g.vpc_id) for g in found.security_groups],
            instance_types=list(found.instance_types),
            instance_profiles=list(found.instance_profiles),
        )


@strawberry.type
class AccountMutation:
    @strawberry.mutation(description="Add an account after proving that its role can be assumed.")
    @requires(Role.ADMINISTRATOR)
    async def add_account(self, info: Info, input: AddAccountInput) -> AccountPayload:
        draft = accounts.NewAccount(name=input.name, role_arn=input.role_arn, external_id=input.external_id)
        made = await in_thread(
            accounts.add,
            info.context.app,
            info.context.who(),
            draft,
            dry_run=input.dry_run,
            key=input.client_mutation_id,
        )
        return AccountPayload(account=Account.of(made), client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Ask AWS again whether the account answers.")
    @requires(Role.OPERATOR)
    async def check_account(self, info: Info, input: IdInput) -> AccountPayload:
        id = local_id("Account", input.id)
        found = await in_thread(accounts.check, info.context.app, info.context.who(), id)
        return AccountPayload(account=Account.of(found), client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Forget an account. Refused while a policy, repository or restore point needs it.")
    @requires(Role.ADMINISTRATOR)
    async def remove_account(self, info: Info, input: IdInput) -> RemovedPayload:
        id = local_id("Account", input.id)
        await in_thread(
            accounts.remove,
            info.context.app,
            info.context.who(),
            id,
            dry_run=input.dry_run,
            key=input.client_mutation_id,
        )
        return RemovedPayload(id=input.id, client_mutation_id=input.client_mutation_id)
