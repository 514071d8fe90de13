"""The schema, put together; and the gate every document passes: parse, validate, limits, roles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import strawberry
from graphql import DocumentNode, GraphQLError, parse
from graphql.language import OperationDefinitionNode
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import validate_document
from strawberry.types import ExecutionContext

from server.api.graphql.access import AccessMutation, AccessQuery, User
from server.api.graphql.accounts import Account, AccountMutation, AccountQuery
from server.api.graphql.archives import ArchiveMutation, ArchiveQuery
from server.api.graphql.compliance import ComplianceQuery
from server.api.graphql.configuration import ConfigurationMutation
from server.api.graphql.context import Context, Info
from server.api.graphql.errors import Errors
from server.api.graphql.estimates import EstimateMutation, EstimateQuery
from server.api.graphql.executor import FastExecutor
from server.api.graphql.forecasts import ForecastQuery
from server.api.graphql.limits import TOKENS_MAX, Figures, Measure, check_figures, check_size
from server.api.graphql.manual_snapshots import ManualSnapshotMutation
from server.api.graphql.node import Node
from server.api.graphql.overview import OverviewQuery
from server.api.graphql.permissions import Public, needed, requires
from server.api.graphql.points import PointMutation, PointQuery, RestorePoint
from server.api.graphql.policies import Policy, PolicyMutation, PolicyQuery
from server.api.graphql.policy_documents import PolicyDocumentMutation, PolicyDocumentQuery
from server.api.graphql.policy_preview import PolicyPreviewQuery
from server.api.graphql.preferences import PreferencesMutation, PreferencesQuery
from server.api.graphql.repositories import Repository, RepositoryMutation, RepositoryQuery
from server.api.graphql.resources import Resource, ResourceMutation, ResourceQuery
from server.api.graphql.scalars import SCALARS
from server.api.graphql.sessions import Session, SessionMutation, SessionQuery, Task
from server.api.graphql.sla_templates import SlaTemplate, SlaTemplateMutation, SlaTemplateQuery
from server.api.graphql.storage_templates import StorageTemplate, StorageTemplateMutation, StorageTemplateQuery
from server.api.graphql.subscriptions import Subscription
from server.api.graphql.upkeep import UpkeepMutation
from server.domain.access import Role
from server.domain.errors import Forbidden, HoldfastError

DOCUMENTS_KEPT = 256  # distinct documents; each at most DOCUMENT_MAX characters


@strawberry.type
class Query(
    AccessQuery,
    OverviewQuery,
    ResourceQuery,
    AccountQuery,
    PolicyQuery,
    PolicyPreviewQuery,
    ForecastQuery,
    PreferencesQuery,
    RepositoryQuery,
    SlaTemplateQuery,
    StorageTemplateQuery,
    ComplianceQuery,
    PointQuery,
    ArchiveQuery,
    EstimateQuery,
    PolicyDocumentQuery,
    SessionQuery,
):
    @strawberry.field(description="Anything by its id; null when it is gone.")
    @requires(Role.VIEWER)
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        from server.api.graphql.operations import find

        return await find(info, id)


@strawberry.type
class Mutation(
    AccessMutation,
    AccountMutation,
    ResourceMutation,
    RepositoryMutation,
    UpkeepMutation,
    PolicyMutation,
    PreferencesMutation,
    SlaTemplateMutation,
    StorageTemplateMutation,
    PointMutation,
    ManualSnapshotMutation,
    ArchiveMutation,
    EstimateMutation,
    PolicyDocumentMutation,
    ConfigurationMutation,
    SessionMutation,
):
    pass


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document, parsed and validated once. ``errors`` of validation; empty when it may run."""

    document: DocumentNode
    errors: tuple[GraphQLError, ...]


class Documents:
    """The newest documents seen, by their text. Shared by all requests."""

    def __init__(self, limit: int = DOCUMENTS_KEPT) -> None:
        self._limit = limit
        self._known: OrderedDict[str, Prepared] = OrderedDict()
        self._lock = Lock()

    def get(self, text: str) -> Prepared | None:
        with self._lock:
            found = self._known.get(text)
            if found is not None:
                self._known.move_to_end(text)
            return found

    def put(self, text: str, prepared: Prepared) -> None:
        with self._lock:
            self._known[text] = prepared
            while len(self._known) > self._limit:
                self._known.popitem(last=False)


class Gate(SchemaExtension):
    """Parse and validation caches, limits, and the role check of every selected field, before anything runs."""

    documents = Documents()

    def __init__(self) -> None:
        super().__init__()
        self._refused: HoldfastError | None = None

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        text = context.query or ""
        context.parse_options["max_tokens"] = TOKENS_MAX
        try:
            check_size(text)
        except HoldfastError as problem:  # told in on_validate: an error raised here would skip the translation
            self._refused = problem
            context.graphql_document = _nothing(context.operation_name)
        else:
            prepared = self.documents.get(text)
            if prepared is not None:
                context.graphql_document = prepared.document
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        document = context.graphql_document
        assert document is not None, "on_parse has run"
        if self._refused is not None:
            context.pre_execution_errors = [GraphQLError(self._refused.message, original_error=self._refused)]
            yield
            return
        text = context.query or ""
        prepared = self.documents.get(text)
        if prepared is None:
            errors = validate_document(context.schema._schema, document, context.validation_rules)
            prepared = Prepared(document, tuple(errors))
            self.documents.put(text, prepared)
        context.pre_execution_errors = list(prepared.errors) or self._refusals(document)
        yield

    def _refusals(self, document: DocumentNode) -> list[GraphQLError]:
        context = self.execution_context
        schema = context.schema._schema
        try:
            operation = self._operation(document, context.operation_name)
            figures = Measure(schema, document, context.variables or {}).operation(operation)
            check_figures(figures)
            check_roles(figures, context.context)
        except HoldfastError as problem:
            return [GraphQLError(problem.message, original_error=problem)]
        return []

    @staticmethod
    def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
        found = [n for n in document.definitions if isinstance(n, OperationDefinitionNode)]
        chosen = [n for n in found if name is None or (n.name and n.name.value == name)]
        assert chosen, "the operation's kind was found before validation"
        return chosen[0]


def _nothing(operation: str | None) -> DocumentNode:
    """An empty document in place of one that is too large to parse."""
    name = operation if operation and operation.isidentifier() else ""
    return parse(f"query {name} {{ __typename }}")


def check_roles(figures: Figures, context: Context) -> None:
    """Unauthenticated or Forbidden unless the caller's role covers every selected field. Undeclared fields are refused."""
    for (kind, name), (parent, definition) in figures.touched.items():
        role: Any = Role.VIEWER if kind.startswith("__") or name.startswith("__") else needed(parent, definition)
        if role is Public:
            continue
        caller = context.who()
        if role is None:
            raise Forbidden(f"{kind}.{name} declares no role; nobody may read it.")
        if not caller.role.covers(role):
            raise Forbidden(
                f"{kind}.{name} needs the role {role.value}; {caller.name} has {caller.role.value}.",
                remedy="Ask an administrator for the role.",
            )


class Schema(strawberry.Schema):
    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing here: ``errors.shown`` logs what is unexpected, once, with the reference the client gets."""


def make_schema() -> Schema:
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Account, Resource, Policy, Repository, RestorePoint, Session, SlaTemplate, StorageTemplate, Task, User],
        extensions=[Errors, Gate],
        execution_context_class=FastExecutor,
        config=StrawberryConfig(scalar_map=SCALARS),
    )


schema = make_schema()
