"""Before a document runs: how large it may be, and what it may cost.

Size and tokens are checked before parsing, the rest after validation: depth, aliases, and a cost that multiplies by
``first``. All limits are far above what the console asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

from server.domain.errors import LimitExceeded

DOCUMENT_MAX = 64 * 1024  # characters
TOKENS_MAX = 4000
DEPTH_MAX = 15
INTROSPECTION_DEPTH_MAX = 25  # the standard introspection query nests ofType deeply
ALIASES_MAX = 50
COST_MAX = 50_000  # about: fields in the answer
LIST_ASSUMED = 10  # length of a list that takes no ``first``
FIRST_ASSUMED = 100

Composite = GraphQLObjectType | GraphQLInterfaceType


@dataclass(slots=True)
class Figures:
    """What a selection adds up to. ``touched``: every field of every type selected, once."""

    depth: int = 0
    aliases: int = 0
    cost: int = 0
    touched: dict[tuple[str, str], tuple[Composite, GraphQLField]] = field(default_factory=dict)


class Measure:
    """Walks one operation. Fragments are measured once per type, so a document cannot grow exponentially here."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = variables
        self._fragments = {n.name.value: n for n in document.definitions if isinstance(n, FragmentDefinitionNode)}
        self._known: dict[tuple[str, str], Figures] = {}
        self.figures = Figures()

    def operation(self, node: OperationDefinitionNode) -> Figures:
        root = self._schema.get_root_type(node.operation)
        if root is None:
            return self.figures
        found = self._selections(node.selection_set, root)
        found.touched = self.figures.touched
        return found

    def _selections(self, selections: SelectionSetNode, parent: Composite) -> Figures:
        total = Figures()
        for node in selections.selections:
            if isinstance(node, FieldNode):
                found = self._field(node, parent)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = parent if condition is None else self._schema.get_type(condition.name.value)
                found = self._inside(node.selection_set, inner)
            elif isinstance(node, FragmentSpreadNode):
                found = self._fragment(node.name.value)
            else:
                continue
            total.depth = max(total.depth, found.depth)
            total.aliases += found.aliases
            total.cost += found.cost
        return total

    def _inside(self, selections: SelectionSetNode, kind: object) -> Figures:
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            return self._selections(selections, kind)
        return Figures()

    def _fragment(self, name: str) -> Figures:
        node = self._fragments.get(name)
        if node is None:
            return Figures()
        kind = node.type_condition.name.value
        if (name, kind) not in self._known:
            inner = self._schema.get_type(kind)
            self._known[name, kind] = self._inside(node.selection_set, inner)
        return self._known[name, kind]

    def _field(self, node: FieldNode, parent: Composite) -> Figures:
        name = node.name.value
        found = Figures(depth=1, aliases=1 if node.alias else 0, cost=1)
        definition = self._schema.get_field(parent, name)
        if definition is None or name == "__typename":
            return found
        self.figures.touched.setdefault((parent.name, name), (parent, definition))
        inner = get_named_type(definition.type)
        if node.selection_set is not None:
            below = self._inside(node.selection_set, inner)
            found.depth += below.depth
            found.aliases += below.aliases
            # Introspection is bounded by the schema's size and by graphql-core's own rule against nesting it.
            found.cost += below.cost * (1 if parent.name.startswith("__") else self._length(node, definition))
        return found

    def _length(self, node: FieldNode, definition: GraphQLField) -> int:
        if "first" in definition.args:
            return self._first(node)
        kind = definition.type.of_type if isinstance(definition.type, GraphQLNonNull) else definition.type
        if not isinstance(kind, GraphQLList):
            return 1
        # The edges of a connection are as many as its ``first`` said: counted there already.
        return 1 if node.name.value == "edges" else LIST_ASSUMED

    def _first(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value != "first":
                continue
            if isinstance(argument.value, IntValueNode):
                return max(1, min(int(argument.value.value), FIRST_ASSUMED))
            if isinstance(argument.value, VariableNode):
                given = self._variables.get(argument.value.name.value)
                return max(1, min(given, FIRST_ASSUMED)) if isinstance(given, int) else FIRST_ASSUMED
        return FIRST_ASSUMED


def check_size(document: str) -> None:
    """LimitExceeded for a document too large to be parsed."""
    if len(document) > DOCUMENT_MAX:
        raise LimitExceeded(
            f"The document has {len(document)} characters; at most {DOCUMENT_MAX} are accepted.",
            remedy="Send values as variables, and less at once.",
        )


def check_figures(figures: Figures) -> None:
    """LimitExceeded for a document that asks for too much."""
    introspection = any(name in ("__schema", "__type") for _, name in figures.touched)
    deepest = INTROSPECTION_DEPTH_MAX if introspection else DEPTH_MAX
    if figures.depth > deepest:
        raise LimitExceeded(f"The query nests {figures.depth} deep; at most {deepest} is accepted.")
    if figures.aliases > ALIASES_MAX:
        raise LimitExceeded(f"The query has {figures.aliases} aliases; at most {ALIASES_MAX} are accepted.")
    if figures.cost > COST_MAX:
        raise LimitExceeded(
            f"The query may return {figures.cost} fields; at most {COST_MAX} are accepted.",
            remedy="Lower first, or select fewer nested lists.",
        )
