"""How much of their promises SLA policies kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.loaders import loaders
from server.api.graphql.permissions import requires
from server.api.graphql.resources import Resource
from server.api.graphql.scalars import Frequency, Leg, local_id
from server.domain import compliance as domain
from server.domain.access import Role
from server.domain.compliance import SlaState
from server.domain.policy import Policy
from server.services import compliance
from server.services.compliance import Chart

if TYPE_CHECKING:
    from server.api.graphql.sessions import Session

LazySession = Annotated["Session", strawberry.lazy("server.api.graphql.sessions")]

strawberry.enum(SlaState, name="ComplianceState")


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@requires(Role.VIEWER)
@strawberry.type(
    description="One day, week or month of a chart, read in each Region's own calendar. met, missed, removed: instances."
)
class ComplianceEntry:
    start: datetime = strawberry.field(description="Its first day, as 00:00 UTC of that date.")
    end: datetime = strawberry.field(description="The day after its last, as 00:00 UTC of that date.")
    state: SlaState
    percent: float | None = strawberry.field(description="The mean over the instances; null when there was none to judge.")
    target: int
    met: int
    missed: int
    removed: int

    @classmethod
    def of(cls, record: domain.Entry) -> ComplianceEntry:
        return cls(
            start=_midnight(record.span.first),
            end=_midnight(record.span.last + timedelta(days=1)),
            state=record.state,
            percent=None if record.percent is None else float(record.percent),
            target=record.target,
            met=record.met,
            missed=record.missed,
            removed=record.removed,
        )


@requires(Role.VIEWER)
@strawberry.type(
    description="One instance in one entry. made: points made, and points due before it joined, which count as made."
)
class ResourceCompliance:
    resource_id: strawberry.Private[UUID]
    session_ids: strawberry.Private[tuple[UUID, ...]]
    state: SlaState
    percent: float | None
    made: int
    expected: int
    removed: bool = strawberry.field(description="It left the policy while the windows were open, and is not judged.")

    @classmethod
    def of(cls, record: compliance.Judged) -> ResourceCompliance:
        standing = record.standing
        return cls(
            resource_id=standing.resource_id,
            session_ids=record.sessions,
            state=record.state,
            percent=None if standing.removed else float(standing.percent),
            made=standing.made,
            expected=standing.expected,
            removed=standing.removed,
        )

    @strawberry.field
    async def resource(self, info: Info) -> Resource:
        return Resource.of(await loaders(info.context).resources.load(self.resource_id))

    @strawberry.field(description="The newest that tried; those gone from the log are missing.")
    async def sessions(self, info: Info) -> list[LazySession]:
        from server.api.graphql.sessions import Session

        found = await loaders(info.context).sessions.load_many(self.session_ids)
        return [Session.of(one) for one in found if one is not None]


async def compliance_of(info: Info, policy: Policy, chart: Chart, last: int | None) -> list[ComplianceEntry]:
    """All policies of a list that are asked the same are answered together."""
    found = await loaders(info.context).compliance(chart, last).load(policy)
    return [ComplianceEntry.of(one) for one in found]


@strawberry.type
class ComplianceQuery:
    @strawberry.field(description="The instances behind an entry of a chart: missed, removed, then kept promises.")
    @requires(Role.VIEWER)
    async def compliance_entry(
        self,
        info: Info,
        policy_id: strawberry.ID,
        leg: Leg,
        period: Frequency,
        start: datetime,
        as_it_was: bool = False,
        first: int = compliance.FIRST_MAX,
        offset: int = 0,
    ) -> list[ResourceCompliance]:
        context = info.context
        found = await in_thread(
            compliance.instances,
            context.app,
            context.who(),
            local_id("Policy", policy_id, "policyId"),
            Chart(leg, period, as_it_was),
            start.date(),
            first=first,
            offset=offset,
        )
        return [ResourceCompliance.of(one) for one in found]
