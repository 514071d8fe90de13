"""Policies as one JSON document: exported with names instead of ids, imported under names that are free."""

from __future__ import annotations

import json

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.policies import Policy
from server.api.graphql.scalars import local_id
from server.domain.access import Role
from server.domain.errors import InvalidInput
from server.services import policy_documents

IDS_MAX = 1000


@strawberry.input(description="Under which name a policy of the document is created.")
class ImportedNameInput:
    name: str = strawberry.field(description="In the document.")
    new_name: str


@strawberry.input
class ImportPoliciesInput:
    document: str = strawberry.field(description="JSON, as exportPolicies gives it.")
    names: list[ImportedNameInput] = strawberry.field(default_factory=list)
    dry_run: bool = False


@requires(Role.OPERATOR)
@strawberry.type
class ImportPoliciesPayload:
    policies: list[Policy] = strawberry.field(description="Those created, or that would be.")


@strawberry.type
class PolicyDocumentQuery:
    @strawberry.field(description="Policies as a JSON document with names instead of ids; without ids, all of them.")
    @requires(Role.VIEWER)
    async def export_policies(self, info: Info, ids: list[strawberry.ID] | None = None) -> str:
        if ids is not None and len(ids) > IDS_MAX:
            raise InvalidInput(f"At most {IDS_MAX} policies.", fields={"ids": f"At most {IDS_MAX}."})
        chosen = None if ids is None else [local_id("Policy", id, "ids") for id in ids]
        found = await in_thread(policy_documents.export, info.context.app, info.context.who(), chosen)
        return json.dumps(found, indent=2, ensure_ascii=False)


@strawberry.type
class PolicyDocumentMutation:
    @strawberry.mutation(description="Create the policies of a document, all or none. CONFLICT when a name is taken.")
    @requires(Role.OPERATOR)
    async def import_policies(self, info: Info, input: ImportPoliciesInput) -> ImportPoliciesPayload:
        made = await in_thread(
            policy_documents.load,
            info.context.app,
            info.context.who(),
            input.document,
            names={one.name: one.new_name for one in input.names},
            dry_run=input.dry_run,
        )
        return ImportPoliciesPayload(policies=[Policy.of(one) for one in made])
