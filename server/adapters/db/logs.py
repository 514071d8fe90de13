"""Two append-only logs: a session's numbered events, and the activity of the whole appliance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, literal, select, text, update

from server.adapters.db.failures import translated
from server.adapters.db.mapping import EVENTS, SESSIONS, table_of
from server.adapters.db.sealing import Sealer
from server.adapters.db.tables import ActivityRow
from server.domain.errors import InvalidInput, NotFound
from server.domain.session import Activity, Event, Level

Wake = Callable[[str], None]


class SessionEvents:
    """Numbers come from the session's own counter. Raising it locks the session's row until the transaction ends, so the
    numbers a reader sees are without gap, and become visible in their order."""

    def __init__(self, connection: Connection, sealer: Sealer, wake: Wake) -> None:
        self._connection = connection
        self._sealer = sealer
        self._wake = wake

    def append(
        self,
        session_id: UUID,
        level: Level,
        message: str,
        *,
        at: datetime,
        task_id: UUID | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        sessions = SESSIONS.table
        event = Event(
            session_id=session_id, number=0, at=at, level=level, message=message, task_id=task_id, data=dict(data or {})
        )
        row = EVENTS.to_row(event, self._sealer)
        raised = (
            update(sessions)
            .where(sessions.c.id == session_id)
            .values(last_event=sessions.c.last_event + 1)
            .returning(sessions.c.last_event)
            .cte("raised")
        )
        names = [name for name in row if name != "number"]
        source = select(raised.c.last_event, *(literal(row[name], EVENTS.column(name).type) for name in names))
        statement = insert(EVENTS.table).from_select(["number", *names], source).returning(EVENTS.table)
        with translated():
            stored = self._connection.execute(statement).mappings().one_or_none()
        if stored is None:
            raise NotFound("There is no such session.", remedy="It may have been removed; reload the list.")
        self._wake(f"session:{session_id}")
        return EVENTS.from_row(stored, self._sealer)

    def after(self, session_id: UUID, number: int, limit: int) -> list[Event]:
        table = EVENTS.table
        newer = (table.c.session_id == session_id) & (table.c.number > number)
        with translated():
            rows = self._connection.execute(select(table).where(newer).order_by(table.c.number).limit(limit)).mappings()
            return [EVENTS.from_row(row, self._sealer) for row in rows]


# A line is settled once every transaction that began before its own has ended: then nothing can appear in front of it.
# A cursor from before the database was restored elsewhere names transactions still to come here; it goes on by line id.
SETTLED_AFTER = text(
    """
    WITH here AS (
      SELECT (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint AS oldest,
             (pg_snapshot_xmax(pg_current_snapshot())::text)::bigint AS next
    )
    SELECT xid, id, at, kind, subject_id, change, message
    FROM activities, here
    WHERE xid < here.oldest
      AND (xid, id) > (CASE WHEN CAST(:xid AS bigint) >= here.next THEN 0 ELSE CAST(:xid AS bigint) END, CAST(:id AS bigint))
    ORDER BY xid, id
    LIMIT :limit
    """
)
NEWEST_SETTLED = text(
    """
    SELECT xid, id FROM activities
    WHERE xid < (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint
    ORDER BY xid DESC, id DESC LIMIT 1
    """
)
LARGEST = 2**63 - 1


class ActivityLines:
    """Cursors are ``<transaction>.<line>``: lines are read in the order their transactions were numbered."""

    def __init__(self, connection: Connection, wake: Wake) -> None:
        self._connection = connection
        self._wake = wake

    def append(self, *, at: datetime, kind: str, subject_id: UUID | None, change: str, message: str) -> None:
        row = {"at": at, "kind": kind, "subject_id": subject_id, "change": change, "message": message}
        with translated():
            self._connection.execute(insert(table_of(ActivityRow)).values(row))
        self._wake("activity")

    def after(self, cursor: str | None, limit: int) -> list[Activity]:
        xid, line = parse_cursor(cursor)
        with translated():
            rows = self._connection.execute(SETTLED_AFTER, {"xid": xid, "id": line, "limit": limit}).mappings().all()
        return [
            Activity(
                cursor=f"{row['xid']}.{row['id']}",
                at=row["at"],
                kind=row["kind"],
                subject_id=row["subject_id"],
                change=row["change"],
                message=row["message"],
            )
            for row in rows
        ]

    def newest(self) -> str | None:
        with translated():
            row = self._connection.execute(NEWEST_SETTLED).one_or_none()
        return None if row is None else f"{row.xid}.{row.id}"


def parse_cursor(cursor: str | None) -> tuple[int, int]:
    """Transaction and line of a cursor; None begins at the first line. InvalidInput for anything else."""
    if cursor is None:
        return 0, 0
    xid, dot, line = cursor.partition(".")
    plain = dot and all(part.isascii() and part.isdigit() and len(part) <= 19 for part in (xid, line))
    if not plain or int(xid) > LARGEST or int(line) > LARGEST:
        raise InvalidInput("This is no cursor of the activity log.", fields={"after": "Use a cursor you were given."})
    return int(xid), int(line)
