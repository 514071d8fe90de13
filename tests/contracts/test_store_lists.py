"""Lists of the Store contract: conditions, order, paging by key, groups; one statement each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event

from server.adapters.db import Database
from server.domain.errors import InvalidInput
from server.domain.session import Session, SessionKind, State
from server.domain.workload import Resource
from server.ports import Group, Operator, Order, Select, Tx, Where
from tests.contracts import entities
from tests.contracts.entities import NOW


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent to the database meanwhile, without BEGIN and COMMIT."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def many_sessions(tx: Tx) -> list[Session]:
    """Forty sessions with ties, nulls and names that differ only in case."""
    rng = random.Random(7)
    made = []
    for number in range(40):
        ended = rng.random() < 0.5
        moment = NOW + timedelta(minutes=rng.randrange(4))
        made.append(
            entities.session(
                id=UUID(int=rng.getrandbits(128)),
                name=rng.choice(["alpha", "Alpha", "beta", "Gamma", "gamma 100%", "under_score", "back\\slash"]),
                kind=rng.choice([SessionKind.RESCAN, SessionKind.POLICY_RUN]),
                state=State.SUCCESS if ended else State.PENDING,
                created_at=NOW - timedelta(hours=number % 9),
                started_at=moment if ended and rng.random() < 0.7 else None,
                ended_at=moment if ended else None,
                key=f"key-{number}" if number % 3 else None,
            )
        )
    for session in made:
        tx.sessions.add(session)
    return made


@pytest.fixture
def rows(store: Database) -> list[Session]:
    with store.transaction() as tx:
        return many_sessions(tx)


# ---- order and paging ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Descending:
    """A value that sorts the other way round."""

    value: Any

    def __lt__(self, other: Descending) -> bool:
        return bool(other.value < self.value)


def sort_key(order: tuple[Order, ...]) -> Callable[[Session], tuple[Any, ...]]:
    """The contract's order in Python: nulls are the largest, names fold case, id goes with the last key."""
    keys = (*order, Order("id", order[-1].descending if order else False))

    def key(session: Session) -> tuple[Any, ...]:
        found: list[Any] = []
        for item in keys:
            value = getattr(session, item.field)
            if hasattr(value, "value"):
                value = value.value
            if item.field == "name":
                value = value.lower()
            comparable = (value is None, "" if value is None and item.field == "key" else NOW if value is None else value)
            found.append(Descending(comparable) if item.descending else comparable)
        return tuple(found)

    return key


ORDERS: list[tuple[Order, ...]] = [
    (),
    (Order("name"),),
    (Order("name", descending=True),),
    (Order("created_at", descending=True),),
    (Order("started_at"),),
    (Order("started_at", descending=True),),
    (Order("state"), Order("ended_at", descending=True)),
    (Order("kind", descending=True), Order("name"), Order("created_at")),
    (Order("key"), Order("name")),
    (Order("id"),),
    (Order("id", descending=True),),
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: " ".join(f"{o.field}{'-' if o.descending else ''}" for o in order))
def test_pages_joined_are_the_whole_list_in_order(store: Database, rows: list[Session], order: tuple[Order, ...]) -> None:
    expected = sorted(rows, key=sort_key(order))
    found: list[Session] = []
    after: tuple[Any, ...] | None = None
    with store.transaction() as tx:
        while page := tx.sessions.page(Select(order=order, after=after, limit=7)):
            found += page
            last = page[-1]
            after = (*(getattr(last, item.field) for item in order), last.id)
        assert tx.sessions.page(Select(order=order, limit=1000)) == expected
        assert tx.sessions.page(Select(order=order, offset=11, limit=5)) == expected[11:16]
    assert found == expected


def test_a_page_goes_on_where_it_was_although_rows_came_and_went(store: Database, rows: list[Session]) -> None:
    order = (Order("created_at", descending=True),)
    with store.transaction() as tx:
        first = tx.sessions.page(Select(order=order, limit=10))
        rest = tx.sessions.page(Select(order=order, offset=10, limit=100))
        tx.sessions.add(entities.session(created_at=NOW + timedelta(days=1)))
        tx.sessions.remove(first[-1].id)
        after = (first[-1].created_at, first[-1].id)
        assert tx.sessions.page(Select(order=order, after=after, limit=100)) == rest
    assert len(rows) == len(first) + len(rest)


def test_a_cursor_may_come_as_text(store: Database, rows: list[Session]) -> None:
    order = (Order("created_at"), Order("state"))
    with store.transaction() as tx:
        page = tx.sessions.page(Select(order=order, limit=40))
        last = page[9]
        after = (last.created_at.isoformat(), last.state.value, str(last.id))
        assert tx.sessions.page(Select(order=order, after=after, limit=40)) == page[10:]
    assert len(page) == len(rows)


@pytest.mark.parametrize(
    ("order", "after"),
    [
        ((Order("created_at"),), ("yesterday", str(UUID(int=1)))),
        ((Order("created_at"),), ("2026-11-22T00:00:00", str(UUID(int=1)))),
        ((Order("created_at"),), (NOW, "not an id")),
        ((Order("created_at"),), (NOW,)),
        ((), (NOW, UUID(int=1), "more")),
        ((Order("last_event"),), (True, UUID(int=1))),
        ((Order("name"),), (5, UUID(int=1))),
    ],
)
def test_a_cursor_that_does_not_fit_is_bad_input(store: Database, order: tuple[Order, ...], after: tuple[Any, ...]) -> None:
    with store.transaction() as tx, pytest.raises(InvalidInput):
        tx.sessions.page(Select(order=order, after=after))


@pytest.mark.parametrize("name", ["nonsense", "document", "__class__", "id; DROP TABLE sessions"])
def test_an_unknown_field_is_bad_input(store: Database, name: str) -> None:
    with store.transaction() as tx:
        for select in (Select(order=(Order(name),)), Select(where=(Where(name, "eq", 1),))):
            with pytest.raises(InvalidInput):
                tx.sessions.page(select)
        with pytest.raises(InvalidInput):
            tx.sessions.groups(name)


def test_nothing_can_be_found_out_about_sealed_values(store: Database) -> None:
    with store.transaction() as tx, pytest.raises(InvalidInput):
        tx.repositories.page(Select(where=(Where("password", "eq", "correct horse"),)))


# ---- conditions ---------------------------------------------------------------------------------------------------------

MIDDLE = NOW - timedelta(hours=4)
CONDITIONS: list[tuple[str, Operator, Any, Callable[[Session], bool]]] = [
    ("state", "eq", State.PENDING, lambda s: s.state is State.PENDING),
    ("state", "eq", "pending", lambda s: s.state is State.PENDING),
    ("state", "ne", State.PENDING, lambda s: s.state is not State.PENDING),
    ("kind", "in", [SessionKind.RESCAN], lambda s: s.kind is SessionKind.RESCAN),
    ("kind", "in", (), lambda _: False),
    ("key", "in", ["key-1", "key-4", None], lambda s: s.key in ("key-1", "key-4", None)),
    ("key", "eq", None, lambda s: s.key is None),
    ("key", "ne", None, lambda s: s.key is not None),
    ("key", "ne", "key-1", lambda s: s.key != "key-1"),
    ("started_at", "is_null", True, lambda s: s.started_at is None),
    ("started_at", "is_null", False, lambda s: s.started_at is not None),
    ("created_at", "lt", MIDDLE, lambda s: s.created_at < MIDDLE),
    ("created_at", "le", MIDDLE, lambda s: s.created_at <= MIDDLE),
    ("created_at", "gt", MIDDLE, lambda s: s.created_at > MIDDLE),
    ("created_at", "ge", MIDDLE, lambda s: s.created_at >= MIDDLE),
    ("ended_at", "gt", NOW, lambda s: s.ended_at is not None and s.ended_at > NOW),
    ("name", "eq", "ALPHA", lambda s: s.name.lower() == "alpha"),
    ("name", "ne", "ALPHA", lambda s: s.name.lower() != "alpha"),
    ("name", "contains", "ALPH", lambda s: "alph" in s.name.lower()),
    ("name", "contains", "", lambda _: True),
    ("name", "contains", "100%", lambda s: "100%" in s.name),
    ("name", "contains", "a%a", lambda s: "a%a" in s.name),
    ("name", "contains", "r_s", lambda s: "r_s" in s.name),
    ("name", "contains", "_", lambda s: "_" in s.name),
    ("name", "contains", "k\\s", lambda s: "k\\s" in s.name),
    ("name", "contains", "'; --", lambda s: "'; --" in s.name),
    ("key", "contains", "KEY-1", lambda s: s.key is not None and "key-1" in s.key),
]


@pytest.mark.parametrize(("field", "operator", "value", "matches"), CONDITIONS)
def test_a_condition_selects_what_it_says(
    store: Database, rows: list[Session], field: str, operator: Operator, value: Any, matches: Callable[[Session], bool]
) -> None:
    select = Select(where=(Where(field, operator, value),))
    expected = sorted((row.id for row in rows if matches(row)), key=lambda id: id.bytes)
    with store.transaction() as tx:
        assert [row.id for row in tx.sessions.page(select)] == expected
        assert tx.sessions.count(select) == len(expected)


def test_all_conditions_must_hold(store: Database, rows: list[Session]) -> None:
    where = (Where("state", "eq", State.SUCCESS), Where("name", "contains", "a"), Where("created_at", "ge", MIDDLE))
    expected = {r.id for r in rows if r.state is State.SUCCESS and "a" in r.name.lower() and r.created_at >= MIDDLE}
    with store.transaction() as tx:
        assert {row.id for row in tx.sessions.page(Select(where=where))} == expected
        assert tx.sessions.count(Select(where=where, limit=1, offset=5)) == len(expected)


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("created_at", "contains", "2026"),
        ("created_at", "gt", "soon"),
        ("created_at", "gt", datetime(2026, 11, 22)),  # noqa: DTZ001  the mistake being refused
        ("created_at", "gt", None),
        ("id", "eq", "not-an-id"),
        ("id", "in", ["not-an-id"]),
        ("name", "eq", 5),
        ("name", "contains", None),
        ("last_event", "gt", "many"),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_bad_input(store: Database, field: str, operator: Operator, value: Any) -> None:
    with store.transaction() as tx, pytest.raises(InvalidInput) as caught:
        tx.sessions.page(Select(where=(Where(field, operator, value),)))
    assert list(caught.value.fields) == [field]


# ---- groups -------------------------------------------------------------------------------------------------------------


def inventory(tx: Tx) -> list[Resource]:
    owner = entities.account()
    tx.accounts.add(owner)
    made = [
        entities.resource(
            owner, region=region, size_bytes=size << 40, last_seen_at=NOW + timedelta(hours=size), present=size != 3
        )
        for region, size in (("us-east-1", 1), ("us-east-1", 2), ("eu-central-1", 3), ("eu-central-1", 4))
    ]
    tx.resources.put(made)
    return made


def test_groups_count_sum_and_date(store: Database) -> None:
    with store.transaction() as tx:
        inventory(tx)
        assert tx.resources.groups("region", total="size_bytes", newest="last_seen_at") == {
            "us-east-1": Group(count=2, total=3 << 40, newest=NOW + timedelta(hours=2)),
            "eu-central-1": Group(count=2, total=7 << 40, newest=NOW + timedelta(hours=4)),
        }
        assert tx.resources.groups("region", (Where("present", "eq", False),)) == {"eu-central-1": Group(count=1)}
        assert tx.resources.groups("region", (Where("region", "eq", "nowhere"),)) == {}
        assert tx.resources.groups("present", total="size_bytes") == {
            True: Group(count=3, total=7 << 40),
            False: Group(count=1, total=3 << 40),
        }


def test_groups_have_the_values_the_entities_have(store: Database, rows: list[Session]) -> None:
    with store.transaction() as tx:
        states = tx.sessions.groups("state")
        policies = tx.sessions.groups("policy_id")
    assert {state: group.count for state, group in states.items()} == {
        state: sum(row.state is state for row in rows) for state in (State.PENDING, State.SUCCESS)
    }
    assert policies == {None: Group(count=len(rows))}


# ---- cost ---------------------------------------------------------------------------------------------------------------

QUESTIONS: dict[str, Callable[[Tx], object]] = {
    "page": lambda tx: tx.resources.page(Select(order=(Order("name"), Order("size_bytes", descending=True)), limit=100)),
    "next page": lambda tx: tx.resources.page(Select(order=(Order("name"),), after=("x", UUID(int=1)), limit=100)),
    "count": lambda tx: tx.resources.count(Select()),
    "groups": lambda tx: tx.resources.groups("region", total="size_bytes", newest="last_seen_at"),
    "many": lambda tx: tx.resources.many([UUID(int=number) for number in range(500)]),
    "get": lambda tx: tx.resources.find(region="us-east-1"),
    "put": lambda tx: tx.tasks.claim(UUID(int=1), now=NOW, lease=timedelta(seconds=30)),
    "states": lambda tx: tx.tasks.states(UUID(int=1)),
    "overdue": lambda tx: tx.tasks.overdue(now=NOW, grace=timedelta(0), limit=10),
    "log": lambda tx: tx.events.after(UUID(int=1), 0, 100),
    "activity": lambda tx: tx.activity.after(None, 100),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_one_statement(store: Database, question: str) -> None:
    with store.transaction() as tx:
        inventory(tx)
        with statements() as seen:
            QUESTIONS[question](tx)
    assert len(seen) == 1
