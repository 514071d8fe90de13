"""Where backups go."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from server.api.graphql.accounts import Account
from server.api.graphql.connections import Connection, Direction, connect, ordering
from server.api.graphql.context import Info, in_thread
from server.api.graphql.loaders import loaders
from server.api.graphql.node import IdInput, Node, RemovedPayload
from server.api.graphql.permissions import requires
from server.api.graphql.scalars import Long, RepositoryState, StorageKind, global_id, local_id
from server.domain import repository as domain
from server.domain.access import Role
from server.ports import Order, Where
from server.services import repositories

if TYPE_CHECKING:
    from server.api.graphql.sessions import SessionPayload

LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]


@requires(Role.VIEWER)
@strawberry.type(description="A folder in a bucket, or on a disk, in the Holdfast format.")
class Repository(Node):
    record: strawberry.Private[domain.Repository]
    name: str
    description: str
    kind: StorageKind
    region: str | None
    location: str
    prefix: str
    url: str
    state: RepositoryState
    problem: str | None
    stored_bytes: Long
    created_at: datetime

    @classmethod
    def of(cls, record: domain.Repository) -> Repository:
        return cls(
            record=record,
            id=global_id("Repository", record.id),
            name=record.name,
            description=record.description,
            kind=record.kind,
            region=record.region,
            location=record.location,
            prefix=record.prefix,
            url=repositories.url(record),
            state=record.state,
            problem=record.problem,
            stored_bytes=Long(record.stored_bytes),
            created_at=record.created_at,
        )

    @strawberry.field
    async def account(self, info: Info) -> Account | None:
        if self.record.account_id is None:
            return None
        return Account.of(await loaders(info.context).accounts.load(self.record.account_id))

    @strawberry.field
    async def point_count(self, info: Info) -> int:
        return (await loaders(info.context).points_of_repository.load(self.record.id)).count


@strawberry.input
class RepositoryFilter:
    search: str | None = None
    kind: StorageKind | None = None

    def where(self) -> tuple[Where, ...]:
        found = []
        if self.search:
            found.append(Where("name", "contains", self.search))
        if self.kind is not None:
            found.append(Where("kind", "eq", self.kind))
        return tuple(found)


@strawberry.enum
class RepositoryOrderField(enum.Enum):
    NAME = "name"
    CREATED_AT = "created_at"


@strawberry.input
class RepositoryOrder:
    field: RepositoryOrderField
    direction: Direction = Direction.ASC


@strawberry.input
class AddRepositoryInput:
    name: str
    kind: StorageKind
    location: str
    password: str
    description: str = ""
    account_id: strawberry.ID | None = None
    region: str | None = None
    prefix: str = ""
    dry_run: bool = False
    client_mutation_id: str | None = None


@requires(Role.VIEWER)
@strawberry.type
class RepositoryPayload:
    repository: Repository | None
    client_mutation_id: str | None


@strawberry.type
class RepositoryQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    async def repositories(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        offset: int = 0,
        filter: RepositoryFilter | None = None,
        order: list[RepositoryOrder] | None = None,
    ) -> Connection[Repository]:
        return await connect(
            info,
            "repositories",
            Repository.of,
            first=first,
            after=after,
            offset=offset,
            where=filter.where() if filter else (),
            order=ordering(order, Order("name")),
        )


@strawberry.type
class RepositoryMutation:
    @strawberry.mutation(description="Create a repository, or open one that is there already with its password.")
    @requires(Role.ADMINISTRATOR)
    async def add_repository(self, info: Info, input: AddRepositoryInput) -> RepositoryPayload:
        context = info.context
        account = None if input.account_id is None else local_id("Account", input.account_id, "accountId")
        draft = repositories.NewRepository(
            name=input.name,
            description=input.description,
            kind=input.kind,
            account_id=account,
            region=input.region,
            location=input.location,
            prefix=input.prefix,
            password=input.password,
        )
        made = await in_thread(
            repositories.add,
            context.app,
            context.who(),
            draft,
            local_root=context.local_root,
            dry_run=input.dry_run,
            key=input.client_mutation_id,
        )
        return RepositoryPayload(repository=Repository.of(made), client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Forget a repository; its files stay. Refused while a policy uses it.")
    @requires(Role.ADMINISTRATOR)
    async def remove_repository(self, info: Info, input: IdInput) -> RemovedPayload:
        context = info.context
        id = local_id("Repository", input.id)
        await in_thread(
            repositories.remove, context.app, context.who(), id, dry_run=input.dry_run, key=input.client_mutation_id
        )
        return RemovedPayload(id=input.id, client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Free the space of forgotten points.")
    @requires(Role.OPERATOR)
    async def collect_garbage(self, info: Info, input: IdInput) -> LazySessionPayload:
        from server.api.graphql.operations import collect_garbage

        return await collect_garbage(info, input)
