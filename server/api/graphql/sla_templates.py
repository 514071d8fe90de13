"""SLA templates: what is promised. Policies of the kind SLA follow one."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from server.api.graphql.connections import Connection, Direction, connect, ordering
from server.api.graphql.context import Info, in_thread
from server.api.graphql.loaders import loaders
from server.api.graphql.node import IdInput, Node, RemovedPayload
from server.api.graphql.permissions import requires
from server.api.graphql.scalars import global_id, local_id
from server.api.graphql.sla_terms import SlaTermsInput, SlaTermsType
from server.domain import templates as domain
from server.domain.access import Role
from server.ports import Order, Where
from server.services import sla_templates

if TYPE_CHECKING:
    from server.api.graphql.policies import Policy

LazyPolicy = Annotated["Policy", strawberry.lazy("server.api.graphql.policies")]


@requires(Role.VIEWER)
@strawberry.type(description="Terms a template has had, in force since then until the next version's.")
class SlaTemplateVersion:
    version: int
    since: datetime
    terms: SlaTermsType

    @classmethod
    def of(cls, record: domain.SlaTemplateVersion) -> SlaTemplateVersion:
        return cls(version=record.version, since=record.since, terms=SlaTermsType.of(record.terms))


@requires(Role.VIEWER)
@strawberry.type
class SlaTemplate(Node):
    record: strawberry.Private[domain.SlaTemplate]
    name: str
    description: str
    version: int = strawberry.field(description="Of its terms.")
    terms: SlaTermsType
    created_at: datetime
    updated_at: datetime
    revision: int

    @classmethod
    def of(cls, record: domain.SlaTemplate) -> SlaTemplate:
        return cls(
            record=record,
            id=global_id("SlaTemplate", record.id),
            name=record.name,
            description=record.description,
            version=record.version,
            terms=SlaTermsType.of(record.terms),
            created_at=record.created_at,
            updated_at=record.updated_at,
            revision=record.revision,
        )

    @strawberry.field(description="Newest first.")
    async def versions(self, info: Info) -> list[SlaTemplateVersion]:
        found = await loaders(info.context).sla_versions.load(self.record.id)
        return [SlaTemplateVersion.of(one) for one in found]

    @strawberry.field(description="Those that follow it, by name.")
    async def policies(self, info: Info) -> list[LazyPolicy]:
        from server.api.graphql.policies import Policy

        found = await loaders(info.context).policies_of_sla.load(self.record.id)
        return [Policy.of(one) for one in found]


@strawberry.input
class TemplateFilter:
    search: str | None = None

    def where(self) -> tuple[Where, ...]:
        return (Where("name", "contains", self.search),) if self.search else ()


@strawberry.enum
class TemplateOrderField(enum.Enum):
    NAME = "name"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


@strawberry.input
class TemplateOrder:
    field: TemplateOrderField
    direction: Direction = Direction.ASC


@strawberry.input
class CloneTemplateInput:
    id: strawberry.ID
    name: str
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.input
class SlaTemplateInput:
    name: str
    terms: SlaTermsInput
    description: str = ""
    dry_run: bool = False
    client_mutation_id: str | None = None

    def read(self) -> sla_templates.SlaTemplateDraft:
        return sla_templates.SlaTemplateDraft(name=self.name, description=self.description, terms=self.terms.read())


@strawberry.input
class UpdateSlaTemplateInput:
    id: strawberry.ID
    revision: int
    template: SlaTemplateInput


@requires(Role.VIEWER)
@strawberry.type
class SlaTemplatePayload:
    sla_template: SlaTemplate
    client_mutation_id: str | None


@strawberry.type
class SlaTemplateQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    async def sla_templates(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        offset: int = 0,
        filter: TemplateFilter | None = None,
        order: list[TemplateOrder] | None = None,
    ) -> Connection[SlaTemplate]:
        return await connect(
            info,
            "sla_templates",
            SlaTemplate.of,
            first=first,
            after=after,
            offset=offset,
            where=filter.where() if filter else (),
            order=ordering(order, Order("name")),
        )


@strawberry.type
class SlaTemplateMutation:
    @strawberry.mutation
    @requires(Role.OPERATOR)
    async def create_sla_template(self, info: Info, input: SlaTemplateInput) -> SlaTemplatePayload:
        context, key = info.context, input.client_mutation_id
        made = await in_thread(sla_templates.create, context.app, context.who(), input.read(), dry_run=input.dry_run, key=key)
        return SlaTemplatePayload(sla_template=SlaTemplate.of(made), client_mutation_id=key)

    @strawberry.mutation(description="Replace a template; other terms are a new version. CONFLICT when its revision is older.")
    @requires(Role.OPERATOR)
    async def update_sla_template(self, info: Info, input: UpdateSlaTemplateInput) -> SlaTemplatePayload:
        context, draft = info.context, input.template
        changed = await in_thread(
            sla_templates.update,
            context.app,
            context.who(),
            local_id("SlaTemplate", input.id),
            input.revision,
            draft.read(),
            dry_run=draft.dry_run,
            key=draft.client_mutation_id,
        )
        return SlaTemplatePayload(sla_template=SlaTemplate.of(changed), client_mutation_id=draft.client_mutation_id)

    @strawberry.mutation(description="A copy of its present terms under another name.")
    @requires(Role.OPERATOR)
    async def clone_sla_template(self, info: Info, input: CloneTemplateInput) -> SlaTemplatePayload:
        context, key = info.context, input.client_mutation_id
        id = local_id("SlaTemplate", input.id)
        made = await in_thread(sla_templates.clone, context.app, context.who(), id, input.name, dry_run=input.dry_run, key=key)
        return SlaTemplatePayload(sla_template=SlaTemplate.of(made), client_mutation_id=key)

    @strawberry.mutation(description="Refused while a policy follows it.")
    @requires(Role.OPERATOR)
    async def delete_sla_template(self, info: Info, input: IdInput) -> RemovedPayload:
        context, key = info.context, input.client_mutation_id
        id = local_id("SlaTemplate", input.id)
        await in_thread(sla_templates.delete, context.app, context.who(), id, dry_run=input.dry_run, key=key)
        return RemovedPayload(id=input.id, client_mutation_id=key)
