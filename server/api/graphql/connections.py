"""Relay connections over any list of the store: opaque cursors, ``first`` 1–100, a total only when somebody asks."""

from __future__ import annotations

import base64
import binascii
import enum
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import orjson
import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.domain.access import Role
from server.domain.errors import InvalidInput
from server.ports import Order, Select, Where
from server.services import lists

FIRST_MAX = 100
OFFSET_MAX = 1_000_000  # numbered paging is for doors that need it; beyond this a cursor is the way

T = TypeVar("T")


@strawberry.enum
class Direction(enum.Enum):
    ASC = "asc"
    DESC = "desc"


class OrderInput(Protocol):
    @property
    def field(self) -> enum.Enum: ...

    @property
    def direction(self) -> Direction: ...


@requires(Role.VIEWER)
@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@requires(Role.VIEWER)
@strawberry.type
class Edge(Generic[T]):
    node: T
    cursor: str


@requires(Role.VIEWER)
@strawberry.type
class Connection(Generic[T]):
    edges: list[Edge[T]]
    page_info: PageInfo
    counter: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field
    async def total_count(self) -> int:
        return await self.counter()


def ordering(chosen: Sequence[OrderInput] | None, default: Order) -> tuple[Order, ...]:
    """Order inputs as the store wants them; ``default`` when none was given."""
    if not chosen:
        return (default,)
    return tuple(Order(str(one.field.value), one.direction is Direction.DESC) for one in chosen)


def _signature(order: tuple[Order, ...]) -> str:
    return ",".join(f"{'-' if key.descending else ''}{key.field}" for key in order)


def _flat(value: Any) -> Any:
    if isinstance(value, datetime):
        return ["t", value.isoformat()]
    return value.value if isinstance(value, enum.Enum) else value


def encode_cursor(order: tuple[Order, ...], record: Any) -> str:
    """Where ``record`` stands in ``order``."""
    values = [_flat(getattr(record, key.field)) for key in order]
    return base64.urlsafe_b64encode(orjson.dumps([_signature(order), *values, str(record.id)])).decode().rstrip("=")


def decode_cursor(order: tuple[Order, ...], cursor: str) -> tuple[Any, ...]:
    """The values ``encode_cursor`` put in. InvalidInput for anything else, also a cursor of another order."""
    try:
        signature, *values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if signature != _signature(order) or len(values) != len(order) + 1:
            raise InvalidInput("This cursor belongs to a list in another order.", fields={"after": "Start from the top."})
        return tuple(datetime.fromisoformat(v[1]) if isinstance(v, list) else v for v in values)
    except (binascii.Error, ValueError, TypeError, IndexError):
        raise InvalidInput("This is not a cursor of this list.", fields={"after": "Not a cursor."}) from None


def check_page(first: int, offset: int) -> None:
    if not 1 <= first <= FIRST_MAX:
        raise InvalidInput(f"first must be 1 to {FIRST_MAX}, not {first}.", fields={"first": f"1 to {FIRST_MAX}."})
    if not 0 <= offset <= OFFSET_MAX:
        raise InvalidInput(f"offset must be 0 to {OFFSET_MAX}, not {offset}.", fields={"offset": f"0 to {OFFSET_MAX}."})


async def connect(
    info: Info,
    noun: lists.Noun,
    show: Callable[[Any], T],
    *,
    first: int,
    after: str | None,
    offset: int,
    where: tuple[Where, ...],
    order: tuple[Order, ...],
) -> Connection[T]:
    """One page of a list: one statement, plus one for the total if selected."""
    check_page(first, offset)
    app, caller = info.context.app, info.context.who()
    position = None if after is None else decode_cursor(order, after)
    select = Select(where=where, order=order, after=position, offset=offset, limit=first + 1)
    rows = await in_thread(lists.page, app, caller, noun, select)
    edges = [Edge(node=show(row), cursor=encode_cursor(order, row)) for row in rows[:first]]

    async def count() -> int:
        return await in_thread(lists.count, app, caller, noun, Select(where=where))

    page = PageInfo(has_next_page=len(rows) > first, end_cursor=edges[-1].cursor if edges else None)
    return Connection(edges=edges, page_info=page, counter=count)
