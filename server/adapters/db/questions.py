"""``ports.Select`` as SQL: conditions, order, keyset. One statement per page, whatever the number of rows.

Nulls sort as the largest value (PostgreSQL's own order, which its indexes serve in both directions): last ascending, first
descending. ``id`` ends the order in the direction of the last key, so that an index over (key, id) reads either way.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    Text,
    Uuid,
    and_,
    any_,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.sql import Select as Statement
from sqlalchemy.types import TypeEngine

from server.adapters.db.mapping import Entity
from server.domain.errors import InvalidInput
from server.ports import Order, Select, Where

ESCAPE = "\\"


def page(entity: Entity[Any], question: Select) -> Statement[Any]:
    """The statement for one page."""
    keys = _keys(entity, question.order)
    statement = select(entity.table).where(*conditions(entity, question.where))
    if question.after is not None:
        statement = statement.where(_beyond(keys, question.after))
    statement = statement.order_by(*(key.sort() for key in keys)).limit(max(0, question.limit))
    return statement.offset(question.offset) if question.offset > 0 else statement


def conditions(entity: Entity[Any], wheres: Sequence[Where]) -> list[ColumnElement[bool]]:
    return [_condition(entity, where) for where in wheres]


def equals(entity: Entity[Any], values: dict[str, Any]) -> list[ColumnElement[bool]]:
    return conditions(entity, [Where(name, "eq", value) for name, value in values.items()])


# ---- conditions -------------------------------------------------------------------------------------------------------


def field(entity: Entity[Any], name: str) -> Column[Any]:
    """The column behind a field a list may be filtered, sorted or grouped by."""
    column = entity.table.c.get(name)
    if column is None or name in entity.sealed or isinstance(column.type, JSONB):
        raise InvalidInput(f"A {entity.noun} cannot be selected by {name!r}.", fields={name: "Unknown or not searchable."})
    return column


def _condition(entity: Entity[Any], where: Where) -> ColumnElement[bool]:
    column = field(entity, where.field)
    if where.operator == "is_null":
        return column.is_(None) if where.value else column.is_not(None)
    if where.operator == "contains":
        return _contains(column, where)
    if where.operator == "in":
        return _one_of(column, where)
    value = coerced(column.type, where.value, where.field)
    if value is None:
        return _compare_null(column, where)
    if where.field in entity.folded and where.operator in ("eq", "ne"):
        return OPERATORS[where.operator](func.lower(column), func.lower(_bound(column, value)))
    return OPERATORS[where.operator](column, _bound(column, value))


OPERATORS: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left.is_distinct_from(right),
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
}


def _bound(column: Column[Any], value: Any) -> ColumnElement[Any]:
    return literal(value, column.type)


def _compare_null(column: Column[Any], where: Where) -> ColumnElement[bool]:
    if where.operator == "eq":
        return column.is_(None)
    if where.operator == "ne":
        return column.is_not(None)
    raise InvalidInput(f"{where.field!r} cannot be compared with nothing.", fields={where.field: "Give a value."})


def _contains(column: Column[Any], where: Where) -> ColumnElement[bool]:
    if not isinstance(column.type, Text) or not isinstance(where.value, str):
        raise InvalidInput(f"{where.field!r} is no text to search in.", fields={where.field: "Not searchable."})
    return column.icontains(where.value, autoescape=True, escape=ESCAPE)


def _one_of(column: Column[Any], where: Where) -> ColumnElement[bool]:
    values = [coerced(column.type, value, where.field) for value in where.value]
    found: ColumnElement[bool] = column == any_(literal([v for v in values if v is not None], ARRAY(column.type)))
    return or_(found, column.is_(None)) if None in values else found


def coerced(kind: TypeEngine[Any], value: Any, name: str) -> Any:
    """``value`` as the column's Python type; cursors bring times and ids as text. InvalidInput when it is none."""
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None:
        return None
    try:
        if isinstance(kind, Uuid):
            return value if isinstance(value, UUID) else UUID(value)
        if isinstance(kind, DateTime):
            return _moment(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(f"{value!r} does not fit {name!r}.", fields={name: "Not readable."}) from None
    wanted: type = bool if isinstance(kind, Boolean) else int if isinstance(kind, Integer) else str
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise InvalidInput(f"{value!r} does not fit {name!r}.", fields={name: f"Expected {wanted.__name__}."})
    return value


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a time without zone")
    return moment


# ---- order and keyset -------------------------------------------------------------------------------------------------


class _Key:
    """One order key: the expression rows are sorted by, and how a cursor's value is compared with it."""

    def __init__(self, entity: Entity[Any], name: str, descending: bool) -> None:
        self.column = field(entity, name)
        self.name = name
        self.descending = descending
        self.folded = name in entity.folded
        self.expression: ColumnElement[Any] = func.lower(self.column) if self.folded else self.column

    def sort(self) -> ColumnElement[Any]:
        return self.expression.desc() if self.descending else self.expression.asc()

    def value(self, raw: Any) -> ColumnElement[Any] | None:
        value = coerced(self.column.type, raw, self.name)
        if value is None:
            return None
        bound = literal(value, self.column.type)
        return func.lower(bound) if self.folded else bound

    def same(self, value: ColumnElement[Any] | None) -> ColumnElement[bool]:
        return self.expression.is_(None) if value is None else self.expression == value

    def beyond(self, value: ColumnElement[Any] | None) -> ColumnElement[bool]:
        """Rows after ``value`` in this key's direction; null is the largest."""
        if value is None:
            return self.expression.is_not(None) if self.descending else false()
        if self.descending:
            return self.expression < value
        larger = self.expression > value
        return or_(larger, self.expression.is_(None)) if self.column.nullable else larger


def _keys(entity: Entity[Any], order: Sequence[Order]) -> list[_Key]:
    keys = [_Key(entity, item.field, item.descending) for item in order]
    if not keys or keys[-1].name != "id":
        keys.append(_Key(entity, "id", bool(keys) and keys[-1].descending))
    return keys


def _beyond(keys: list[_Key], after: tuple[Any, ...]) -> ColumnElement[bool]:
    """Rows after the one whose key values ``after`` holds."""
    if len(after) == len(keys) + 1 and keys[-1].name == "id":
        after = after[:-1]  # ordered by id itself: the cursor names it twice
    if len(after) != len(keys):
        raise InvalidInput("The cursor belongs to another order.", fields={"after": "Start from the first page."})
    values = [key.value(raw) for key, raw in zip(keys, after, strict=True)]
    if len({key.descending for key in keys}) == 1 and not any(key.column.nullable for key in keys):
        return _row_comparison(keys, values)
    return _lexicographic(keys, values)


def _row_comparison(keys: list[_Key], values: list[ColumnElement[Any] | None]) -> ColumnElement[bool]:
    """``(a, id) > (…)``: one range of an index."""
    left, right = tuple_(*(key.expression for key in keys)), tuple_(*(value for value in values if value is not None))
    return left < right if keys[0].descending else left > right


def _lexicographic(keys: list[_Key], values: list[ColumnElement[Any] | None]) -> ColumnElement[bool]:
    alternatives = []
    prefix: ColumnElement[bool] = true()
    for key, value in zip(keys, values, strict=True):
        alternatives.append(and_(prefix, key.beyond(value)))
        prefix = and_(prefix, key.same(value))
    return or_(*alternatives)
