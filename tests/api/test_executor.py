"""The short way through the executor gives what the long way gives: data, order, nulls, errors."""

from __future__ import annotations

import asyncio
import enum
from datetime import UTC, datetime
from typing import Any, NewType

import pytest
import strawberry
from graphql import ExecutionResult
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionResult as StrawberryResult

from server.api.graphql.executor import FastExecutor

Size = NewType("Size", int)
AT = datetime(2026, 1, 31, 4, 0, tzinfo=UTC)


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Leaf(Named):
    at: datetime
    size: Size
    ratio: float
    number: int
    colour: Colour
    maybe: str | None
    shades: list[Colour]

    @strawberry.field
    def twice(self, times: int = 2) -> str:
        return self.name * times

    @strawberry.field
    async def slow(self) -> str:
        await asyncio.sleep(0)
        return f"slow {self.name}"

    @strawberry.field
    async def slow_maybe(self) -> str | None:
        await asyncio.sleep(0)
        raise ValueError(f"no {self.name}")


@strawberry.type
class Branch(Named):
    leaves: list[Leaf]
    first: Leaf | None
    id: strawberry.ID

    @strawberry.field
    async def later(self) -> list[Leaf | None]:
        await asyncio.sleep(0)
        return [*self.leaves, None]


def leaf(number: int, **changes: Any) -> Leaf:
    values: dict[str, Any] = {
        "name": f"leaf-{number}",
        "at": AT,
        "size": Size(1 << 40),
        "ratio": number / 3,
        "number": number,
        "colour": Colour.RED if number % 2 else Colour.BLUE,
        "maybe": None if number % 3 else "some",
        "shades": [Colour.RED, Colour.BLUE][: number % 3],
    }
    return Leaf(**{**values, **changes})


@strawberry.type
class Query:
    @strawberry.field
    def branch(self, count: int = 5) -> Branch:
        leaves = [leaf(number) for number in range(count)]
        return Branch(name="branch", leaves=leaves, first=leaves[0] if leaves else None, id=strawberry.ID("b1"))

    @strawberry.field
    def broken(self) -> list[Leaf | None]:
        """Leaves with values that do not fit their types."""
        wrong: list[dict[str, Any]] = [
            {"name": None},
            {"number": "many"},
            {"number": 2**40},
            {"colour": "green"},
            {"at": "soon"},
            {},
        ]
        return [leaf(number, **changes) for number, changes in enumerate(wrong)]

    @strawberry.field
    def named(self) -> list[Named]:
        return [leaf(1), Branch(name="b", leaves=[], first=None, id=strawberry.ID("b2"))]


SCALARS: dict[object, Any] = {Size: strawberry.scalar(name="Size", serialize=int, parse_value=int)}


def schema(executor: Any) -> strawberry.Schema:
    return strawberry.Schema(
        Query, types=[Leaf, Branch], config=StrawberryConfig(scalar_map=SCALARS), execution_context_class=executor
    )


FAST, PLAIN = schema(FastExecutor), schema(None)
ALL = "name at size ratio number colour maybe shades twice slow"
DOCUMENTS = [
    "{ branch { name } }",
    f"{{ branch {{ id name leaves {{ {ALL} }} }} }}",
    "{ branch { leaves { n: name m: name name colour c: colour } } }",
    "{ branch(count: 0) { name first { name } leaves { name } } }",
    "{ a: branch(count: 1) { first { name } } b: branch(count: 2) { leaves { number } } }",
    "{ branch { leaves { twice(times: 3) other: twice(times: 1) twice } } }",
    "{ branch { later { name slow } } }",
    "{ branch { leaves { slowMaybe name } } }",
    """{ branch { ...B } } fragment B on Branch { name leaves { ...L } }
       fragment L on Leaf { number name ...M } fragment M on Leaf { maybe }""",
    "{ branch { ... on Branch { name } ... on Named { name } ... { id } } }",
    "{ named { __typename name ... on Leaf { number } ... on Branch { id leaves { name } } } }",
    "{ broken { number } }",
    "{ broken { name } }",
    "{ broken { colour at } }",
    f"{{ broken {{ {ALL} }} }}",
    "{ broken { number slow name } }",
    "{ branch { __typename leaves { __typename name } } }",
    """query($no: Boolean = false, $yes: Boolean = true) {
       branch { name @skip(if: $yes) id @include(if: $no) first { number @include(if: $yes) } } }""",
    "query($count: Int) { branch(count: $count) { leaves { name } } }",
    "{ branch { name unknown } }",
    "{ branch { leaves { name } leaves { number } first { name } first { colour maybe } } }",
]


def normal(result: Any) -> tuple[Any, list[Any]]:
    assert isinstance(result, ExecutionResult | StrawberryResult)
    errors = [(error.message, error.path, str(error.locations)) for error in result.errors or ()]
    return result.data, sorted(errors, key=str)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_both_ways_agree(document: str) -> None:
    async def run() -> None:
        variables = {"count": 3}
        fast = normal(await FAST.execute(document, variable_values=variables))
        plain = normal(await PLAIN.execute(document, variable_values=variables))
        assert fast == plain
        assert _order(fast[0]) == _order(plain[0])

    asyncio.run(run())


def _order(data: Any) -> Any:
    """Names in the order of the answer, which equality of dicts does not look at."""
    if isinstance(data, dict):
        return [(name, _order(value)) for name, value in data.items()]
    return [_order(value) for value in data] if isinstance(data, list) else None


def test_plain_fields_do_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    long_way = FastExecutor.execute_field

    def counting(self: FastExecutor, parent: Any, source: Any, details: Any, path: Any, position: Any) -> Any:
        taken.append(path.key)
        return long_way(self, parent, source, details, path, position)

    monkeypatch.setattr(FastExecutor, "execute_field", counting)
    result = asyncio.run(FAST.execute("{ branch { name leaves { name number at colour twice } } }"))
    assert result.errors is None
    assert set(taken) == {"branch", "leaves", "twice"}
