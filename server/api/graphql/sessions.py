"""Sessions: one run of anything, its tasks and its log."""

from __future__ import annotations

import enum
from datetime import datetime

import strawberry

from server.api.graphql.connections import Connection, Direction, check_page, connect, ordering
from server.api.graphql.context import Info, in_thread
from server.api.graphql.loaders import loaders
from server.api.graphql.node import IdInput, Node
from server.api.graphql.permissions import requires
from server.api.graphql.policies import Policy
from server.api.graphql.resources import Resource
from server.api.graphql.scalars import JSON, Level, Long, SessionKind, State, global_id, local_id, optional_id
from server.domain import legs
from server.domain import session as domain
from server.domain.access import Role
from server.ports import Order, Where
from server.services import sessions


@requires(Role.VIEWER)
@strawberry.type(description="One line of a session's log. Numbers run from 1 without gaps.")
class SessionEvent:
    number: int
    at: datetime
    level: Level
    message: str
    task_id: strawberry.ID | None
    data: JSON

    @classmethod
    def of(cls, record: domain.Event) -> SessionEvent:
        return cls(
            number=record.number,
            at=record.at,
            level=record.level,
            message=record.message,
            task_id=optional_id("Task", record.task_id),
            data=JSON(record.data),
        )


@requires(Role.VIEWER)
@strawberry.type(description="One leg of protecting a resource. SKIPPED: left out, and why.")
class TaskLeg:
    leg: legs.TaskLeg
    state: legs.LegState
    message: str

    @classmethod
    def all_of(cls, task: domain.Task) -> list[TaskLeg]:
        found = legs.from_json(task.document.get("legs", {}))
        return [cls(leg=leg, state=record.state, message=record.message) for leg, record in found.items()]


@requires(Role.VIEWER)
@strawberry.type(description="One part of a session. Progress is in bytes; a total of 0 is unknown.")
class Task(Node):
    record: strawberry.Private[domain.Task]
    kind: str
    name: str
    state: State
    stage: str
    message: str
    error_code: str | None
    attempt: int
    progress_done: Long
    progress_total: Long
    bytes_read: Long
    bytes_stored: Long
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, record: domain.Task) -> Task:
        return cls(
            record=record,
            id=global_id("Task", record.id),
            kind=record.kind.name,
            name=record.name,
            state=record.state,
            stage=record.stage,
            message=record.message,
            error_code=record.error_code,
            attempt=record.attempt,
            progress_done=Long(record.progress_done),
            progress_total=Long(record.progress_total),
            bytes_read=Long(record.bytes_read),
            bytes_stored=Long(record.bytes_stored),
            started_at=record.started_at,
            ended_at=record.ended_at,
        )

    @strawberry.field
    async def resource(self, info: Info) -> Resource | None:
        if self.record.resource_id is None:
            return None
        found = await loaders(info.context).resources.load(self.record.resource_id)
        return None if found is None else Resource.of(found)

    @strawberry.field(description="What becomes of each leg of protecting a resource, in order; empty for other tasks.")
    def legs(self) -> list[TaskLeg]:
        return TaskLeg.all_of(self.record)

    @strawberry.field(description="What the task made: restored volumes, an instance; empty before it ends.")
    def result(self) -> JSON:
        return JSON(self.record.document.get("result", {}))


@requires(Role.VIEWER)
@strawberry.type(description="One run of anything: a policy, a restore, a rescan ...")
class Session(Node):
    record: strawberry.Private[domain.Session]
    kind: SessionKind
    name: str
    state: State
    requested_by: str
    reason: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested: bool
    last_event: int

    @classmethod
    def of(cls, record: domain.Session) -> Session:
        return cls(
            record=record,
            id=global_id("Session", record.id),
            kind=record.kind,
            name=record.name,
            state=record.state,
            requested_by=record.requested_by,
            reason=record.reason,
            created_at=record.created_at,
            started_at=record.started_at,
            ended_at=record.ended_at,
            cancel_requested=record.cancel_requested_at is not None,
            last_event=record.last_event,
        )

    @strawberry.field
    async def policy(self, info: Info) -> Policy | None:
        if self.record.policy_id is None:
            return None
        found = await loaders(info.context).policies.load(self.record.policy_id)
        return None if found is None else Policy.of(found)

    @strawberry.field
    async def tasks(self, info: Info) -> list[Task]:
        return [Task.of(task) for task in await loaders(info.context).tasks.load(self.record.id)]

    @strawberry.field
    async def progress_done(self, info: Info) -> Long:
        return Long((await loaders(info.context).done.load(self.record.id)).total)

    @strawberry.field
    async def progress_total(self, info: Info) -> Long:
        return Long((await loaders(info.context).size.load(self.record.id)).total)

    @strawberry.field
    async def bytes_read(self, info: Info) -> Long:
        return Long((await loaders(info.context).read.load(self.record.id)).total)

    @strawberry.field
    async def bytes_stored(self, info: Info) -> Long:
        return Long((await loaders(info.context).stored.load(self.record.id)).total)

    @strawberry.field(description="Lines after the one numbered after, oldest first.")
    async def log(self, info: Info, first: int, after: int | None = None) -> list[SessionEvent]:
        check_page(first, 0)
        context = info.context
        found = await in_thread(sessions.log, context.app, context.who(), self.record.id, after or 0, first)
        return [SessionEvent.of(one) for one in found]


@strawberry.input
class SessionFilter:
    search: str | None = None
    kind: list[SessionKind] | None = None
    state: list[State] | None = None
    policy_id: strawberry.ID | None = None
    resource_id: strawberry.ID | None = None
    from_: datetime | None = strawberry.field(name="from", default=None)
    to: datetime | None = None
    last_event_after: int | None = None

    def where(self) -> tuple[Where, ...]:
        found = []
        if self.search:
            found.append(Where("name", "contains", self.search))
        if self.kind is not None:
            found.append(Where("kind", "in", list(self.kind)))
        if self.state is not None:
            found.append(Where("state", "in", list(self.state)))
        if self.policy_id is not None:
            found.append(Where("policy_id", "eq", local_id("Policy", self.policy_id, "filter.policyId")))
        if self.from_ is not None:
            found.append(Where("created_at", "ge", self.from_))
        if self.to is not None:
            found.append(Where("created_at", "lt", self.to))
        if self.last_event_after is not None:
            found.append(Where("last_event", "gt", self.last_event_after))
        return tuple(found)


@strawberry.enum
class SessionOrderField(enum.Enum):
    CREATED_AT = "created_at"
    NAME = "name"
    STARTED_AT = "started_at"
    ENDED_AT = "ended_at"
    KIND = "kind"
    REASON = "reason"
    LAST_EVENT = "last_event"


@strawberry.input
class SessionOrder:
    field: SessionOrderField
    direction: Direction = Direction.ASC


@requires(Role.VIEWER)
@strawberry.type(description="The session started; none for a dry run.")
class SessionPayload:
    session: Session | None
    client_mutation_id: str | None


@strawberry.type
class SessionQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    async def sessions(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        offset: int = 0,
        filter: SessionFilter | None = None,
        order: list[SessionOrder] | None = None,
    ) -> Connection[Session]:
        where = filter.where() if filter else ()
        if filter and filter.resource_id is not None:
            context = info.context
            resource = local_id("Resource", filter.resource_id, "filter.resourceId")
            ids = await in_thread(sessions.touching, context.app, context.who(), resource)
            where += (Where("id", "in", ids),)
        return await connect(
            info,
            "sessions",
            Session.of,
            first=first,
            after=after,
            offset=offset,
            where=where,
            order=ordering(order, Order("created_at", descending=True)),
        )


@strawberry.type
class SessionMutation:
    @strawberry.mutation(description="Ask a running session to stop; it does within seconds and cleans up.")
    @requires(Role.RESTORE_OPERATOR)
    async def cancel_session(self, info: Info, input: IdInput) -> SessionPayload:
        from server.api.graphql.operations import cancel_session

        return await cancel_session(info, input)
