"""Storage templates: into which repositories the backups and archives of SLA policies go."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from server.api.graphql.connections import Connection, connect, ordering
from server.api.graphql.context import Info, in_thread
from server.api.graphql.loaders import loaders
from server.api.graphql.node import IdInput, Node, RemovedPayload
from server.api.graphql.permissions import requires
from server.api.graphql.repositories import Repository
from server.api.graphql.scalars import global_id, local_id
from server.api.graphql.sla_templates import CloneTemplateInput, TemplateFilter, TemplateOrder
from server.domain import templates as domain
from server.domain.access import Role
from server.domain.errors import InvalidInput
from server.ports import Order
from server.services import storage_templates

if TYPE_CHECKING:
    from server.api.graphql.policies import Policy

LazyPolicy = Annotated["Policy", strawberry.lazy("server.api.graphql.policies")]


@requires(Role.VIEWER)
@strawberry.type
class RegionLocation:
    repository_id: strawberry.Private[UUID]
    region: str

    @strawberry.field
    async def repository(self, info: Info) -> Repository:
        return Repository.of(await loaders(info.context).repositories.load(self.repository_id))


@requires(Role.VIEWER)
@strawberry.type(description="A repository for each Region; the default for Regions not listed.")
class Location:
    record: strawberry.Private[domain.Location]

    @strawberry.field
    async def default(self, info: Info) -> Repository:
        return Repository.of(await loaders(info.context).repositories.load(self.record.default_id))

    @strawberry.field
    def regions(self) -> list[RegionLocation]:
        return [RegionLocation(region=region, repository_id=id) for region, id in sorted(self.record.by_region.items())]


@requires(Role.VIEWER)
@strawberry.type
class StorageTemplate(Node):
    record: strawberry.Private[domain.StorageTemplate]
    name: str
    description: str
    backup: Location
    archive: Location | None
    created_at: datetime
    updated_at: datetime
    revision: int

    @classmethod
    def of(cls, record: domain.StorageTemplate) -> StorageTemplate:
        return cls(
            record=record,
            id=global_id("StorageTemplate", record.id),
            name=record.name,
            description=record.description,
            backup=Location(record=record.backup),
            archive=None if record.archive is None else Location(record=record.archive),
            created_at=record.created_at,
            updated_at=record.updated_at,
            revision=record.revision,
        )

    @strawberry.field(description="Those that use it, by name.")
    async def policies(self, info: Info) -> list[LazyPolicy]:
        from server.api.graphql.policies import Policy

        found = await loaders(info.context).policies_of_storage.load(self.record.id)
        return [Policy.of(one) for one in found]


@strawberry.input
class RegionLocationInput:
    region: str
    repository_id: strawberry.ID


@strawberry.input
class LocationInput:
    default_id: strawberry.ID
    regions: list[RegionLocationInput] = strawberry.field(default_factory=list)

    def read(self, path: str) -> domain.Location:
        """InvalidInput when a Region is given twice."""
        named = [one.region for one in self.regions]
        twice = next((region for region in named if named.count(region) > 1), None)
        if twice is not None:
            text = f"{twice} is listed twice: give each Region one repository."
            raise InvalidInput(text, fields={f"{path}.regions": text})
        return domain.Location(
            default_id=local_id("Repository", self.default_id, f"{path}.default"),
            by_region={one.region: local_id("Repository", one.repository_id, f"{path}.regions") for one in self.regions},
        )


@strawberry.input
class StorageTemplateInput:
    name: str
    backup: LocationInput
    archive: LocationInput | None = None
    description: str = ""
    dry_run: bool = False
    client_mutation_id: str | None = None

    def read(self) -> storage_templates.StorageTemplateDraft:
        return storage_templates.StorageTemplateDraft(
            name=self.name,
            description=self.description,
            backup=self.backup.read("backup"),
            archive=None if self.archive is None else self.archive.read("archive"),
        )


@strawberry.input
class UpdateStorageTemplateInput:
    id: strawberry.ID
    revision: int
    template: StorageTemplateInput


@requires(Role.VIEWER)
@strawberry.type
class StorageTemplatePayload:
    storage_template: StorageTemplate
    client_mutation_id: str | None


@strawberry.type
class StorageTemplateQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    async def storage_templates(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        offset: int = 0,
        filter: TemplateFilter | None = None,
        order: list[TemplateOrder] | None = None,
    ) -> Connection[StorageTemplate]:
        return await connect(
            info,
            "storage_templates",
            StorageTemplate.of,
            first=first,
            after=after,
            offset=offset,
            where=filter.where() if filter else (),
            order=ordering(order, Order("name")),
        )


@strawberry.type
class StorageTemplateMutation:
    @strawberry.mutation
    @requires(Role.OPERATOR)
    async def create_storage_template(self, info: Info, input: StorageTemplateInput) -> StorageTemplatePayload:
        context, key = info.context, input.client_mutation_id
        made = await in_thread(
            storage_templates.create, context.app, context.who(), input.read(), dry_run=input.dry_run, key=key
        )
        return StorageTemplatePayload(storage_template=StorageTemplate.of(made), client_mutation_id=key)

    @strawberry.mutation(description="Replace a template. New repositories get a new chain; the old one ages where it is.")
    @requires(Role.OPERATOR)
    async def update_storage_template(self, info: Info, input: UpdateStorageTemplateInput) -> StorageTemplatePayload:
        context, draft = info.context, input.template
        changed = await in_thread(
            storage_templates.update,
            context.app,
            context.who(),
            local_id("StorageTemplate", input.id),
            input.revision,
            draft.read(),
            dry_run=draft.dry_run,
            key=draft.client_mutation_id,
        )
        shown = StorageTemplate.of(changed)
        return StorageTemplatePayload(storage_template=shown, client_mutation_id=draft.client_mutation_id)

    @strawberry.mutation(description="A copy under another name.")
    @requires(Role.OPERATOR)
    async def clone_storage_template(self, info: Info, input: CloneTemplateInput) -> StorageTemplatePayload:
        context, key = info.context, input.client_mutation_id
        id = local_id("StorageTemplate", input.id)
        made = await in_thread(
            storage_templates.clone, context.app, context.who(), id, input.name, dry_run=input.dry_run, key=key
        )
        return StorageTemplatePayload(storage_template=StorageTemplate.of(made), client_mutation_id=key)

    @strawberry.mutation(description="Refused while a policy uses it.")
    @requires(Role.OPERATOR)
    async def delete_storage_template(self, info: Info, input: IdInput) -> RemovedPayload:
        context, key = info.context, input.client_mutation_id
        id = local_id("StorageTemplate", input.id)
        await in_thread(storage_templates.delete, context.app, context.who(), id, dry_run=input.dry_run, key=key)
        return RemovedPayload(id=input.id, client_mutation_id=key)
