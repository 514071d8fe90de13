"""What a policy will make and delete in the days to come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.policy_inputs import PolicyInput
from server.api.graphql.scalars import Frequency, Leg, local_id
from server.domain import forecast as domain
from server.domain import restore
from server.domain.access import Role
from server.domain.policy import Policy
from server.services import forecasts

DAYS = 14


@requires(Role.VIEWER)
@strawberry.type(description="Points of a leg that the run will make; no flag: they are temporary.")
class ForecastLeg:
    leg: Leg
    flags: list[Frequency]
    made: int


@requires(Role.VIEWER)
@strawberry.type(description="Points of a leg that will leave for one reason; oldestAt: the data of the oldest.")
class ForecastRemoval:
    leg: Leg
    oldest_at: datetime
    reason: str
    count: int


@requires(Role.VIEWER)
@strawberry.type(description="Points of a leg there will be then, of all resources.")
class ForecastKept:
    leg: Leg
    count: int


@requires(Role.VIEWER)
@strawberry.type(
    description="A run of the resources in these Regions; without legs, a pass of retention that deletes something."
)
class ForecastRun:
    at: datetime
    regions: list[str]
    legs: list[ForecastLeg]
    removed: list[ForecastRemoval]
    kept: list[ForecastKept]

    @classmethod
    def of(cls, record: domain.ForecastRun) -> ForecastRun:
        slot = record.event.slot
        return cls(
            at=slot.at,
            regions=sorted(record.event.regions),
            legs=[
                ForecastLeg(leg=leg, flags=[one for one in Frequency if one in slot.flags.get(leg, ())], made=made)
                for leg, made in _by_leg(record.made)
            ],
            removed=[
                ForecastRemoval(leg=one.leg, oldest_at=one.at, reason=one.reason, count=one.count) for one in record.removed
            ],
            kept=[ForecastKept(leg=leg, count=count) for leg, count in _by_leg(record.kept)],
        )


def _by_leg(counts: Mapping[restore.Leg, int]) -> list[tuple[restore.Leg, int]]:
    return [(leg, counts[leg]) for leg in restore.Leg if counts.get(leg)]


@requires(Role.VIEWER)
@strawberry.type
class Forecast:
    runs: list[ForecastRun]

    @classmethod
    def of(cls, record: list[domain.ForecastRun]) -> Forecast:
        return cls(runs=[ForecastRun.of(one) for one in record])


async def of_policy(info: Info, policy: Policy, days: int) -> Forecast:
    context = info.context
    return Forecast.of(await in_thread(forecasts.of_policy, context.app, context.who(), policy, days=days))


@strawberry.type
class ForecastQuery:
    @strawberry.field(
        description="The next days of a policy as it is typed in; id: of the policy it would replace. InvalidInput while it "
        "could not be saved."
    )
    @requires(Role.VIEWER)
    async def forecast_policy(
        self, info: Info, input: PolicyInput, id: strawberry.ID | None = None, days: int = DAYS
    ) -> Forecast:
        context = info.context
        policy_id = None if id is None else local_id("Policy", id)
        found = await in_thread(forecasts.of_draft, context.app, context.who(), input.read(), policy_id, days=days)
        return Forecast.of(found)
