"""Which role a field needs. Declared beside the field, enforced before anything runs.

``requires`` marks a resolver or a whole type; ``schema.Gate`` reads the marks of every field a document selects and refuses
the document if the caller's role falls short. Services check again: this is the first of two locks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from graphql import GraphQLField, GraphQLInterfaceType, GraphQLObjectType
from strawberry.schema.schema_converter import GraphQLCoreConverter

from server.domain.access import Role

MARK = "__holdfast_role__"
T = TypeVar("T")


class Public:
    """The mark of what a caller without a token may ask."""


Needed = Role | type[Public]


def requires(role: Needed) -> Callable[[T], T]:
    """Declare what a resolver, or every field of a type, needs. A field's own mark outranks its type's."""

    def mark(target: T) -> T:
        setattr(target, MARK, role)
        return target

    return mark


def needed(parent: GraphQLObjectType | GraphQLInterfaceType, field: GraphQLField) -> Needed | None:
    """The declared requirement of ``parent``'s ``field``; None when nobody declared one (a fault the schema test finds)."""
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    resolver = getattr(definition, "base_resolver", None)
    own: Needed | None = getattr(getattr(resolver, "wrapped_func", None), MARK, None)
    if own is not None:
        return own
    owner = parent.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    of_type: Needed | None = getattr(getattr(owner, "origin", None), MARK, None)
    return of_type
