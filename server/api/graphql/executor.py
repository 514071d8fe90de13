"""A shorter way through graphql-core for plain fields: most of an answer is attributes of objects, and those need no
resolver machinery.

A field takes the short way when it has no arguments, no resolver of its own and a scalar or enum type. Whatever is unusual
(null in a non-null field, a value that does not serialise) goes the normal way for that one field, which reports it properly.
It reaches into graphql-core's executor: the version is bounded in pyproject.toml, and a test compares answers with the
original's over many queries.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLID,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLString,
)
from graphql.pyutils import Path, Undefined, gather_with_cancel
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter

_EXACT: dict[Any, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}


@dataclass(frozen=True, slots=True)
class Plain:
    """How to answer one field from an attribute: as it is when its type is ``exact``, else through ``serialize``."""

    attribute: str
    exact: type | None
    serialize: Callable[[Any], Any]
    nullable: bool


class FastExecutor(StrawberryGraphQLCoreExecutionContext):
    def execute_fields(  # type: ignore[override,unused-ignore]  # graphql-core types these parameters with its own generics
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: dict[str, Any],
        position_context: Any,
    ) -> Any:
        if self.middleware_manager and self.middleware_manager.middlewares:
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        results: dict[str, Any] = {}
        waiting: list[str] = []
        try:
            for name, details, plain in self._plan(parent_type, grouped_field_set):
                if plain is not None:
                    value = _shortcut(plain, source_value)
                    if value is not Undefined:
                        results[name] = value
                        continue
                field_path = Path(path, name, parent_type.name)
                result = self.execute_field(parent_type, source_value, details, field_path, position_context)
                if result is not Undefined:
                    results[name] = result
                    if self.is_awaitable(result):
                        waiting.append(name)
        except Exception:
            if waiting:
                self.settle_in_background([results[name] for name in waiting])
            raise
        return _gathered(results, waiting) if waiting else results

    def _plan(self, parent: GraphQLObjectType, fields: Mapping[str, Any]) -> list[tuple[str, Any, Plain | None]]:
        """Which fields of this selection are plain; worked out once per selection and execution."""
        plans: dict[tuple[int, str], Any] = self.__dict__.setdefault("_plans", {})
        known = plans.get((id(fields), parent.name))
        if known is None:
            plan = [(name, details, self._plain(parent, details[0].node.name.value)) for name, details in fields.items()]
            known = plans[id(fields), parent.name] = (plan, fields)  # kept with its key, whose id must not be reused
        return cast("list[tuple[str, Any, Plain | None]]", known[0])

    def _plain(self, parent: GraphQLObjectType, name: str) -> Plain | None:
        definition = self.schema.get_field(parent, name)
        origin: Any = definition and definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        if origin is None or definition is None or definition.args or not getattr(origin, "is_basic_field", False):
            return None
        if not getattr(definition.resolve, "_is_default", False):
            return None
        kind: Any = definition.type
        nullable = not isinstance(kind, GraphQLNonNull)
        kind = kind if nullable else kind.of_type
        if not isinstance(kind, GraphQLScalarType | GraphQLEnumType):
            return None
        serialize = getattr(kind, "coerce_output_value", None) or kind.serialize
        return Plain(origin.python_name, _EXACT.get(kind), serialize, nullable)


def _shortcut(plain: Plain, source: Any) -> Any:
    """The field's value in the answer; Undefined when the normal way must be taken."""
    try:
        value = getattr(source, plain.attribute)
        if value is None:
            return None if plain.nullable else Undefined
        if type(value) is plain.exact:
            return value
        shown = plain.serialize(value)
    except Exception:  # whatever it is, the normal way meets it again and reports it with its path
        return Undefined
    return Undefined if shown is None or shown is Undefined else shown


async def _gathered(results: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
    if len(waiting) == 1:
        results[waiting[0]] = await cast("Awaitable[Any]", results[waiting[0]])
    else:
        values = await gather_with_cancel(*(results[name] for name in waiting))
        results.update(zip(waiting, values, strict=True))
    return results
