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
from server.api.graphql.scalars import (
    Encryption,
    Long,
    RepositoryState,
    StorageClass,
    StorageKind,
    global_id,
    local_id,
    optional_id,
)
from server.domain import repository as domain
from server.domain.access import Role
from server.ports import Order, Where
from server.services import repositories, repository_folders

if TYPE_CHECKING:
    from server.api.graphql.sessions import Session, SessionPayload

LazySession = Annotated["Session", strawberry.lazy("server.api.graphql.sessions")]
LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]


@requires(Role.ADMINISTRATOR)
@strawberry.type
class FolderProblem:
    message: str
    remedy: str


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
    storage_class: StorageClass
    immutable: bool = strawberry.field(description="What is written is locked: nobody can delete it before its time.")
    encryption: Encryption
    kms_key: str | None = strawberry.field(description="ARN of the key that opens it.")
    hint: str = strawberry.field(description="Reminds people of the password.")
    rescanned_at: datetime | None
    collected_at: datetime | None
    checked_at: datetime | None
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
            storage_class=record.storage_class,
            immutable=record.immutable,
            encryption=record.encryption,
            kms_key=record.kms_key,
            hint=record.hint,
            rescanned_at=record.rescanned_at,
            collected_at=record.collected_at,
            checked_at=record.checked_at,
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

    @strawberry.field(description="Points a check found damaged.")
    async def incomplete_point_count(self, info: Info) -> int:
        return (await loaders(info.context).incomplete_of_repository.load(self.record.id)).count


@requires(Role.ADMINISTRATOR)
@strawberry.type(description="What lies in a folder, as far as can be seen without its password or key.")
class RepositoryFolder:
    url: str
    exists: bool = strawberry.field(description="A repository is there: adding it imports its points.")
    version: int | None = strawberry.field(description="Of its format.")
    storage_class: StorageClass | None
    encryption: Encryption | None
    kms_key: str | None
    hint: str
    owner_id: str | None = strawberry.field(description="The appliance that writes to it.")
    owned_since: datetime | None
    foreign: bool = strawberry.field(description="Another appliance owns it: adding it needs takeOver.")
    added_as: strawberry.ID | None = strawberry.field(description="The repository of this appliance that it is already.")
    immutable: bool
    problems: list[FolderProblem] = strawberry.field(description="Why it cannot be added; empty when it can.")
    warnings: list[str]

    @classmethod
    def of(cls, found: repository_folders.Folder) -> RepositoryFolder:
        return cls(
            url=found.url,
            exists=found.exists,
            version=found.version,
            storage_class=found.storage_class,
            encryption=found.encryption,
            kms_key=found.kms_key,
            hint=found.hint,
            owner_id=None if found.owner is None else str(found.owner),
            owned_since=found.owned_since,
            foreign=found.foreign,
            added_as=optional_id("Repository", found.added_as),
            immutable=found.immutable,
            problems=[FolderProblem(message=one.message, remedy=one.remedy) for one in found.problems],
            warnings=list(found.warnings),
        )


@strawberry.input
class RepositoryFilter:
    search: str | None = None
    kind: StorageKind | None = None
    storage_class: list[StorageClass] | None = None
    state: RepositoryState | None = None

    def where(self) -> tuple[Where, ...]:
        found = []
        if self.search:
            found.append(Where("name", "contains", self.search))
        if self.kind is not None:
            found.append(Where("kind", "eq", self.kind))
        if self.storage_class is not None:
            found.append(Where("storage_class", "in", list(self.storage_class)))
        if self.state is not None:
            found.append(Where("state", "eq", self.state))
        return tuple(found)


@strawberry.enum
class RepositoryOrderField(enum.Enum):
    NAME = "name"
    CREATED_AT = "created_at"
    STORED_BYTES = "stored_bytes"


@strawberry.input
class RepositoryOrder:
    field: RepositoryOrderField
    direction: Direction = Direction.ASC


@strawberry.input
class AddRepositoryInput:
    name: str
    kind: StorageKind
    location: str
    password: str | None = None
    kms_key: str | None = strawberry.field(default=None, description="ARN of a KMS key, instead of a password.")
    hint: str = ""
    description: str = ""
    account_id: strawberry.ID | None = None
    region: str | None = None
    prefix: str = ""
    storage_class: StorageClass = strawberry.field(
        default=domain.StorageClass.STANDARD, description="Of a new repository; one that is there keeps its own."
    )
    take_over: bool = strawberry.field(default=False, description="Also when another appliance owns it: that one's backups fail then.")
    dry_run: bool = False
    client_mutation_id: str | None = None

    def read(self) -> repositories.NewRepository:
        account = None if self.account_id is None else local_id("Account", self.account_id, "accountId")
        return repositories.NewRepository(
            name=self.name,
            description=self.description,
            kind=self.kind,
            account_id=account,
            region=self.region,
            location=self.location,
            prefix=self.prefix,
            password=self.password or "",
            kms_key=self.kms_key,
            hint=self.hint,
            storage_class=self.storage_class,
            take_over=self.take_over,
        )


@strawberry.input
class RepositoryFolderInput:
    kind: StorageKind
    location: str
    account_id: strawberry.ID | None = None
    region: str | None = None
    prefix: str = ""

    def read(self) -> repositories.NewRepository:
        account = None if self.account_id is None else local_id("Account", self.account_id, "accountId")
        return repositories.NewRepository(
            name="",
            kind=self.kind,
            account_id=account,
            region=self.region,
            location=self.location,
            prefix=self.prefix,
        )


@strawberry.input
class UpdateRepositoryInput:
    """What is left out stays as it is. A new password or key counts from now on, and no other; no data is rewritten. If the
    repository opens with it already, because it was changed elsewhere, it is noted here."""

    id: strawberry.ID
    name: str | None = None
    description: str | None = None
    hint: str | None = None
    password: str | None = None
    kms_key: str | None = None
    take_over: bool = strawberry.field(default=False, description="Make this appliance the owner again.")
    dry_run: bool = False
    client_mutation_id: str | None = None

    def read(self) -> repositories.RepositoryChange:
        return repositories.RepositoryChange(
            name=self.name,
            description=self.description,
            hint=self.hint,
            password=self.password,
            kms_key=self.kms_key,
            take_over=self.take_over,
        )


@requires(Role.VIEWER)
@strawberry.type(description="session: the import of the points that were there already.")
class RepositoryPayload:
    repository: Repository | None
    session: LazySession | None
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

    @strawberry.field(description="Look into a folder before adding it: what is there, whose it is, whether the bucket will do.")
    @requires(Role.ADMINISTRATOR)
    async def repository_folder(self, info: Info, input: RepositoryFolderInput) -> RepositoryFolder:
        context = info.context
        found = await in_thread(
            repositories.inspect, context.app, context.who(), input.read(), local_root=context.local_root
        )
        return RepositoryFolder.of(found)


@strawberry.type
class RepositoryMutation:
    @strawberry.mutation(description="Create a repository, or import one that is there already, with its password or key.")
    @requires(Role.ADMINISTRATOR)
    async def add_repository(self, info: Info, input: AddRepositoryInput) -> RepositoryPayload:
        from server.api.graphql.operations import add_repository

        return await add_repository(info, input)

    @strawberry.mutation(description="Change a repository's name, description, hint, password, key or owner.")
    @requires(Role.ADMINISTRATOR)
    async def update_repository(self, info: Info, input: UpdateRepositoryInput) -> RepositoryPayload:
        context = info.context
        changed = await in_thread(
            repositories.update,
            context.app,
            context.who(),
            local_id("Repository", input.id),
            input.read(),
            dry_run=input.dry_run,
            key=input.client_mutation_id,
        )
        return RepositoryPayload(
            repository=Repository.of(changed), session=None, client_mutation_id=input.client_mutation_id
        )

    @strawberry.mutation(description="Forget a repository; its files stay. Refused while a policy uses it.")
    @requires(Role.ADMINISTRATOR)
    async def remove_repository(self, info: Info, input: IdInput) -> RemovedPayload:
        context = info.context
        id = local_id("Repository", input.id)
        await in_thread(
            repositories.remove, context.app, context.who(), id, dry_run=input.dry_run, key=input.client_mutation_id
        )
        return RemovedPayload(id=input.id, client_mutation_id=input.client_mutation_id)

