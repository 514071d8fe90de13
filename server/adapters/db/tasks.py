"""``ports.Tasks``: leases and fences, each one UPDATE … RETURNING, so that two workers can never both hold a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, func, or_, select, update

from server.adapters.db.columns import OPEN_STATES
from server.adapters.db.failures import translated
from server.adapters.db.mapping import TASKS
from server.adapters.db.rows import Rows
from server.adapters.db.sealing import Sealer
from server.domain.session import State, Task

EARLY = timedelta(seconds=1)  # couriers round: a message this much before its time is not early

# What a worker may not change: where the task belongs, and the engine's own guard.
GIVEN = frozenset({"id", "session_id", "kind", "name", "resource_id", "position", "created_at", "fence"})

Due = Callable[[UUID, datetime | None], None]


class TaskRows(Rows[Task]):
    """``due`` is told of every open task that waits for a message, and with None of one that no longer does."""

    def __init__(self, connection: Connection, sealer: Sealer, due: Due) -> None:
        super().__init__(TASKS, connection, sealer)
        self._due = due

    def add(self, entity: Task) -> None:
        super().add(_settled(entity))
        self._announce(entity)

    def save(self, entity: Task) -> None:
        super().save(_settled(entity))
        self._announce(entity)

    def put(self, entities: Sequence[Task]) -> None:
        super().put([_settled(entity) for entity in entities])
        for entity in entities:
            self._announce(entity)

    def claim(self, id: UUID, *, now: datetime, lease: timedelta) -> Task | None:
        table = self.table
        free = or_(table.c.lease_until.is_(None), table.c.lease_until <= now)
        return self._one(
            update(table)
            .where(table.c.id == id, self._open(), free, table.c.due_at <= now + EARLY)
            .values(
                claims=table.c.claims + 1,
                fence=table.c.fence + 1,
                lease_until=now + lease,
                state=State.RUNNING.value,
                started_at=func.coalesce(table.c.started_at, now),
            )
            .returning(*table.c)
        )

    def renew(self, id: UUID, fence: int, *, until: datetime) -> bool:
        table = self.table
        held = and_(table.c.id == id, table.c.fence == fence, self._open(), table.c.lease_until.is_not(None))
        return self._changed(update(table).where(held).values(lease_until=until))

    def record(self, task: Task) -> bool:
        row = self.entity.to_row(_settled(task), self.sealer)
        table = self.table
        values = {name: value for name, value in row.items() if name not in GIVEN}
        held = and_(table.c.id == task.id, table.c.fence == task.fence, self._open())
        written = self._changed(update(table).where(held).values(values))
        if written:
            self._announce(task)
        return written

    def overdue(self, *, now: datetime, grace: timedelta, limit: int) -> list[UUID]:
        table = self.table
        free = or_(table.c.lease_until.is_(None), table.c.lease_until <= now)
        statement = select(table.c.id).where(self._open(), table.c.due_at < now - grace, free)
        with translated():
            return list(self.connection.scalars(statement.order_by(table.c.due_at, table.c.id).limit(limit)))

    def states(self, session_id: UUID) -> list[Task]:
        table = self.table
        return self._all(select(table).where(table.c.session_id == session_id).order_by(table.c.position, table.c.id))

    def _open(self) -> Any:
        return self.table.c.state.in_(OPEN_STATES)

    def _changed(self, statement: Any) -> bool:
        with translated(), self.connection.begin_nested():
            return self.connection.execute(statement).rowcount == 1

    def _announce(self, task: Task) -> None:
        waits = not task.state.final and task.lease_until is None
        self._due(task.id, task.due_at if waits else None)


def _settled(task: Task) -> Task:
    """A final task is neither due nor held, whatever its worker left in those fields."""
    if not task.state.final or (task.due_at is None and task.lease_until is None):
        return task
    return replace(task, due_at=None, lease_until=None)
