"""Sessions as people follow them: state, log, and what happens across them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import NotFound
from server.domain.session import Activity, Event, Session
from server.ports import Order, Select, Where
from server.services.context import Services

TOUCHING_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """The next lines of a log; ``over`` when no line will come after them."""

    events: tuple[Event, ...]
    over: bool


def get(app: Services, caller: Caller, id: UUID) -> Session:
    """Errors: Forbidden, NotFound."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return tx.sessions.get(id)


def log(app: Services, caller: Caller, id: UUID, after: int, limit: int) -> list[Event]:
    """Lines after number ``after``, oldest first."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return tx.events.after(id, after, limit)


def follow(app: Services, caller: Caller, id: UUID, after: int, limit: int) -> Follow:
    """The next lines, and whether they are the last: the session has ended and its newest line is among or before them.

    The session is read first: a line that appears in between is then simply the next call's.
    """
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        session = tx.sessions.many([id]).get(id)
        if session is None:
            raise NotFound("The session has been deleted.")
        events = tx.events.after(id, after, limit)
    newest = events[-1].number if events else after
    return Follow(events=tuple(events), over=session.state.final and newest >= session.last_event)


def touching(app: Services, caller: Caller, resource_id: UUID) -> list[UUID]:
    """Ids of the sessions that had a task for the resource, newest first."""
    caller.require(Role.VIEWER)
    select = Select(
        where=(Where("resource_id", "eq", resource_id),), order=(Order("created_at", descending=True),), limit=TOUCHING_MAX
    )
    with app.store.transaction() as tx:
        return list(dict.fromkeys(task.session_id for task in tx.tasks.page(select)))


def activity(app: Services, caller: Caller, cursor: str | None, limit: int) -> list[Activity]:
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return tx.activity.after(cursor, limit)


def newest_activity(app: Services, caller: Caller) -> str | None:
    """Where a reader that wants only news begins."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return tx.activity.newest()
