"""Small things a service remembers between requests: given answers, failed sign-ins, sealed values of the appliance."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects import postgresql

from server.adapters.db.failures import translated
from server.adapters.db.keeping_tables import FailureRow, ReplyRow, SecretRow
from server.adapters.db.mapping import table_of
from server.adapters.db.sealing import Sealer

FAILURES_KEPT = timedelta(days=1)  # longer than any lock-out looks back
REPLIES_KEPT = timedelta(days=7)  # a client that repeats a mutation does so within minutes; a week is generous


class ReplyRows:
    """``ports.Replies``. ``put`` raises Conflict when the same mutation is being answered by another transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._table = table_of(ReplyRow)

    def get(self, user_id: UUID, mutation: str, key: str) -> dict[str, Any] | None:
        columns = self._table.c
        same = (columns.user_id == user_id) & (columns.mutation == mutation) & (columns.key == key)
        with translated():
            answer: dict[str, Any] | None = self._connection.scalar(select(columns.answer).where(same))
        return answer

    def put(self, user_id: UUID, mutation: str, key: str, answer: Mapping[str, Any], *, at: datetime) -> None:
        row = {"user_id": user_id, "mutation": mutation, "key": key, "answer": dict(answer), "at": at}
        with translated():
            self._connection.execute(delete(self._table).where(self._table.c.at < at - REPLIES_KEPT))
        with translated(), self._connection.begin_nested():
            self._connection.execute(insert(self._table).values(row))


class Failures:
    """``ports.Throttle``. Keys are stored hashed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._table = table_of(FailureRow)

    def failures(self, key: str, *, since: datetime) -> tuple[int, datetime | None]:
        columns = self._table.c
        recent = (columns.key == _hashed(key)) & (columns.at >= since)
        with translated():
            count, newest = self._connection.execute(select(func.count(), func.max(columns.at)).where(recent)).one()
        return int(count), newest

    def fail(self, key: str, *, at: datetime) -> None:
        with translated():
            self._connection.execute(delete(self._table).where(self._table.c.at < at - FAILURES_KEPT))
            self._connection.execute(insert(self._table).values(key=_hashed(key), at=at))

    def clear(self, key: str) -> None:
        with translated():
            self._connection.execute(delete(self._table).where(self._table.c.key == _hashed(key)))


def _hashed(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def secret(connection: Connection, sealer: Sealer, name: str, make: Callable[[], bytes]) -> bytes:
    """The value of this name, made and stored on first use; two makers at once agree on one value."""
    table = table_of(SecretRow)
    place = f"{table.name}/sealed/{name}"
    stored = select(table.c.sealed).where(table.c.name == name)
    with translated():
        sealed = connection.scalar(stored)
        if sealed is None:
            fresh = {"name": name, "sealed": sealer.seal(make(), place=place)}
            connection.execute(postgresql.insert(table).values(fresh).on_conflict_do_nothing())
            sealed = connection.execute(stored).scalar_one()
    return sealer.open(sealed, place=place)
