"""The appliance at a glance."""

from __future__ import annotations

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.scalars import Long, State
from server.api.graphql.sessions import Session
from server.domain.access import Role
from server.services import overview


@requires(Role.VIEWER)
@strawberry.type
class StateCount:
    state: State
    count: int


@requires(Role.VIEWER)
@strawberry.type(description="The whole appliance. sourceBytes: of protected resources; storedBytes: in repositories.")
class Overview:
    resource_count: int
    protected_count: int
    policy_count: int
    repository_count: int
    point_count: int
    stored_bytes: Long
    source_bytes: Long
    sessions_last_day: list[StateCount]
    running_sessions: list[Session]
    last_sessions: list[Session]


@strawberry.type
class OverviewQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    async def overview(self, info: Info) -> Overview:
        context = info.context
        found = await in_thread(overview.overview, context.app, context.who())
        return Overview(
            resource_count=found.resources,
            protected_count=found.protected,
            policy_count=found.policies,
            repository_count=found.repositories,
            point_count=found.points,
            stored_bytes=Long(found.stored_bytes),
            source_bytes=Long(found.source_bytes),
            sessions_last_day=[StateCount(state=state, count=count) for state, count in found.last_day.items()],
            running_sessions=[Session.of(one) for one in found.running],
            last_sessions=[Session.of(one) for one in found.latest],
        )
