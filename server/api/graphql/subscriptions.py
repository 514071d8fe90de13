"""Live lists that resume: a cursor in, everything after it out, then whatever comes. No gap, no duplicate.

The database holds every line under a number; Redis only says "look again". A reader therefore always reads
*after the last number it sent*: a lost wake-up delays it by a few seconds, a repeated one finds nothing new.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar, cast

import strawberry

from server.api.auth import recheck
from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.scalars import global_id, local_id
from server.api.graphql.sessions import SessionEvent
from server.domain import session as domain
from server.domain.access import Role
from server.domain.errors import InvalidInput
from server.services import sessions

CHUNK = 200  # lines read per statement

T = TypeVar("T")

KINDS = {
    "session": "Session",
    "policy": "Policy",
    "repository": "Repository",
    "account": "Account",
    "resource": "Resource",
    "restore_point": "RestorePoint",
}


@requires(Role.VIEWER)
@strawberry.type(description="One line of what happens on the appliance. Resume after its cursor.")
class Activity:
    cursor: str
    at: datetime
    kind: str
    subject_id: strawberry.ID | None
    change: str
    message: str

    @classmethod
    def of(cls, record: domain.Activity) -> Activity:
        subject = record.subject_id
        return cls(
            cursor=record.cursor,
            at=record.at,
            kind=record.kind,
            subject_id=None if subject is None else global_id(KINDS.get(record.kind, record.kind), subject),
            change=record.change,
            message=record.message,
        )


@asynccontextmanager
async def closing(source: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """End a generator when its reader leaves, so its connection is not held until garbage collection."""
    try:
        yield source
    finally:
        if isinstance(source, AsyncGenerator):
            await cast("AsyncGenerator[T, None]", source).aclose()


@strawberry.type
class Subscription:
    @strawberry.subscription(description="A session's log: the lines after the one numbered after, then live, to its end.")
    @requires(Role.VIEWER)
    async def session_events(self, info: Info, id: strawberry.ID, after: int = 0) -> AsyncGenerator[SessionEvent, None]:
        context = info.context
        app, caller, session_id = context.app, context.who(), local_id("Session", id)
        if after < 0:
            raise InvalidInput("after is the number of a line, 0 for all.", fields={"after": "0 or more."})
        number = after
        await in_thread(sessions.get, app, caller, session_id)  # NotFound before the first wait
        async with closing(app.wakeups.listen(f"session:{session_id}")) as wakes:
            async for _ in wakes:
                await recheck(context)
                while True:
                    step = await in_thread(sessions.follow, app, caller, session_id, number, CHUNK)
                    for event in step.events:
                        yield SessionEvent.of(event)
                        number = event.number
                    if step.over:
                        return
                    if len(step.events) < CHUNK:
                        break

    @strawberry.subscription(description="What happens on the appliance: after a cursor, or from now on without one.")
    @requires(Role.VIEWER)
    async def activity(self, info: Info, after: str | None = None) -> AsyncGenerator[Activity, None]:
        context = info.context
        app, caller = context.app, context.who()
        cursor = after if after is not None else await in_thread(sessions.newest_activity, app, caller)
        async with closing(app.wakeups.listen("activity")) as wakes:
            async for _ in wakes:
                await recheck(context)
                while True:
                    lines = await in_thread(sessions.activity, app, caller, cursor, CHUNK)
                    for line in lines:
                        yield Activity.of(line)
                        cursor = line.cursor
                    if len(lines) < CHUNK:
                        break
