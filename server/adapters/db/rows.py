"""``ports.Collection`` over one table. Every method is one statement; writes that may be refused are under a savepoint, so a
caller that catches Conflict can go on in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Connection, any_, delete, func, insert, literal, null, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from server.adapters.db import questions
from server.adapters.db.failures import translated
from server.adapters.db.mapping import Entity
from server.adapters.db.sealing import Sealer
from server.domain.errors import Conflict, NotFound
from server.ports import Group, Select, Where

E = TypeVar("E")


class Rows(Generic[E]):
    """The entities of one table, inside one transaction."""

    def __init__(self, entity: Entity[E], connection: Connection, sealer: Sealer) -> None:
        self.entity = entity
        self.connection = connection
        self.sealer = sealer

    @property
    def table(self) -> Any:
        return self.entity.table

    # ---- reading

    def get(self, id: UUID, *, lock: bool = False) -> E:
        statement = select(self.table).where(self.table.c.id == id)
        if lock:
            statement = statement.with_for_update(key_share=True)  # rows that refer to this one may still be added
        found = self._one(statement)
        if found is None:
            raise self._gone()
        return found

    def find(self, **equals: Any) -> E | None:
        """The first by id whose fields equal these; names regardless of case."""
        conditions = questions.equals(self.entity, equals)
        return self._one(select(self.table).where(*conditions).order_by(self.table.c.id).limit(1))

    def page(self, select: Select) -> list[E]:
        return self._all(questions.page(self.entity, select))

    def count(self, select: Select) -> int:
        return self._count(select.where)

    def many(self, ids: Iterable[UUID], *, lock: bool = False) -> dict[UUID, E]:
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        statement = select(self.table).where(self.table.c.id == any_(literal(wanted, ARRAY(Uuid))))
        if lock:  # always in one order: two that want the same rows wait for each other instead of locking up
            statement = statement.order_by(self.table.c.id).with_for_update(key_share=True)
        with translated():
            rows = self.connection.execute(statement).mappings()
            return {row["id"]: self.entity.from_row(row, self.sealer) for row in rows}

    def groups(
        self, by: str, where: tuple[Where, ...] = (), *, total: str | None = None, newest: str | None = None
    ) -> dict[Any, Group]:
        key = questions.field(self.entity, by)
        statement = select(
            key.label("value"),
            func.count().label("count"),
            literal(0) if total is None else func.coalesce(func.sum(questions.field(self.entity, total)), 0).label("total"),
            null() if newest is None else func.max(questions.field(self.entity, newest)).label("newest"),
        )
        statement = statement.where(*questions.conditions(self.entity, where)).group_by(key)
        with translated():
            return {
                self.entity.value(by, value): Group(count=count, total=int(summed), newest=latest)
                for value, count, summed, latest in self.connection.execute(statement)
            }

    def _count(self, where: tuple[Where, ...]) -> int:
        statement = select(func.count()).select_from(self.table).where(*questions.conditions(self.entity, where))
        with translated():
            return int(self.connection.execute(statement).scalar_one())

    # ---- writing

    def add(self, entity: E) -> None:
        self._insert(self.entity.to_row(entity, self.sealer))

    def save(self, entity: E) -> None:
        row = self.entity.to_row(entity, self.sealer)
        if not self._update(row):
            self._refuse(row)

    def put(self, entities: Sequence[E]) -> None:
        rows = [self.entity.to_row(entity, self.sealer) for entity in entities]
        if not rows:
            return
        statement = postgresql.insert(self.table)
        kept = self.entity.counters | self.entity.sticky | {"id"}
        changes = {name: statement.excluded[name] for name in rows[0] if name not in kept}
        with translated(), self.connection.begin_nested():
            self.connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changes), rows)

    def remove(self, id: UUID) -> None:
        with translated(), self.connection.begin_nested():
            removed = self.connection.execute(delete(self.table).where(self.table.c.id == id)).rowcount
        if not removed:
            raise self._gone()

    def _insert(self, row: dict[str, Any]) -> None:
        with translated(), self.connection.begin_nested():
            self.connection.execute(insert(self.table).values(row))

    def _update(self, row: dict[str, Any]) -> bool:
        """True when the row was there, in the revision before this one if it has revisions."""
        kept = self.entity.counters | {"id"}
        values = {name: value for name, value in row.items() if name not in kept}
        for name in self.entity.sticky:
            values[name] = func.coalesce(self.table.c[name], literal(values[name], self.table.c[name].type))
        statement = update(self.table).where(self.table.c.id == row["id"]).values(values)
        if self.entity.revised:
            statement = statement.where(self.table.c.revision == row["revision"] - 1)
        with translated(), self.connection.begin_nested():
            return self.connection.execute(statement).rowcount == 1

    def _refuse(self, row: dict[str, Any]) -> None:
        if not self._count((Where("id", "eq", row["id"]),)):
            raise self._gone()
        raise Conflict(
            f"The {self.entity.noun} was changed by someone else in the meantime.",
            remedy="Load it again and repeat the change.",
            fields={"revision": f"Revision {row['revision'] - 1} is no longer the stored one."},
        )

    # ---- helpers of subclasses

    def _one(self, statement: Any) -> E | None:
        with translated():
            row = self.connection.execute(statement).mappings().one_or_none()
            return None if row is None else self.entity.from_row(row, self.sealer)

    def _all(self, statement: Any) -> list[E]:
        with translated():
            return [self.entity.from_row(row, self.sealer) for row in self.connection.execute(statement).mappings()]

    def _gone(self) -> NotFound:
        return NotFound(f"There is no such {self.entity.noun}.", remedy="It may have been removed; reload the list.")
