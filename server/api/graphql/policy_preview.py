"""What a policy would do if it were saved as it is typed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.policies import Policy
from server.api.graphql.policy_inputs import PolicyInput
from server.api.graphql.resources import Resource
from server.api.graphql.scalars import Frequency, Leg, Long, local_id
from server.api.graphql.schedule_types import DayRule
from server.domain import keeping, policy_hints
from server.domain.access import Role
from server.domain.errors import InvalidInput
from server.domain.schedule import Slot
from server.services import policy_preview


@requires(Role.VIEWER)
@strawberry.type(description="What is wrong with one part of an input.")
class FieldProblem:
    path: str
    message: str


@requires(Role.VIEWER)
@strawberry.type(description="A leg of a run, and the schedules its points count for; no flag: the snapshot is temporary.")
class PlannedLeg:
    leg: Leg
    flags: list[Frequency]


def planned_legs(slot: Slot) -> list[PlannedLeg]:
    return [PlannedLeg(leg=leg, flags=[one for one in Frequency if one in slot.flags[leg]]) for leg in slot.legs]


@requires(Role.VIEWER)
@strawberry.type(description="A run to come, of the resources in these Regions.")
class PlannedRun:
    at: datetime
    regions: list[str]
    legs: list[PlannedLeg]

    @classmethod
    def of(cls, record: keeping.PlannedRun) -> PlannedRun:
        return cls(at=record.slot.at, regions=list(record.regions), legs=planned_legs(record.slot))


@requires(Role.VIEWER)
@strawberry.type
class KeepLine:
    leg: Leg
    frequency: Frequency
    text: str


@requires(Role.VIEWER)
@strawberry.type(description="This input is given by a more frequent schedule, so that one run serves both.")
class InheritedTime:
    path: str
    source: Frequency
    hour: int | None
    day: DayRule | None

    @classmethod
    def of(cls, record: policy_hints.Inherited) -> InheritedTime:
        day = None if record.day is None else DayRule.of(record.day)
        return cls(path=record.path, source=record.source, hour=record.hour, day=day)


@requires(Role.VIEWER)
@strawberry.type(description="Snapshot slots with those added that replicas and backups need.")
class SlotAddition:
    path: str
    slots: list[int]


@requires(Role.VIEWER)
@strawberry.type(description="A resource the policy selects; not covered when another policy comes first, or it is excluded.")
class CoveredResource:
    resource: Resource
    covered: bool
    reason: str
    claimed_by: Policy | None


@requires(Role.VIEWER)
@strawberry.type
class PolicyPreview:
    problems: list[FieldProblem] = strawberry.field(description="All that stands against saving it.")
    warnings: list[str]
    schedule_text: str
    next_runs: list[PlannedRun] = strawberry.field(description="The first 50, enabled or not.")
    keeps: list[KeepLine]
    inherited: list[InheritedTime]
    additions: list[SlotAddition]
    covered: list[CoveredResource] = strawberry.field(description="The first 100: covered ones, claimed ones, excluded ones.")
    covered_count: int
    total_bytes: Long


def _problems(fields: Mapping[str, str]) -> list[FieldProblem]:
    return [FieldProblem(path=path, message=message) for path, message in fields.items()]


def _shown(found: policy_preview.Preview) -> PolicyPreview:
    return PolicyPreview(
        problems=_problems(found.problems),
        warnings=list(found.warnings),
        schedule_text=found.schedule_text,
        next_runs=[PlannedRun.of(one) for one in found.runs],
        keeps=[KeepLine(leg=one.leg, frequency=one.frequency, text=one.text) for one in found.keeps],
        inherited=[InheritedTime.of(one) for one in found.inherited],
        additions=[SlotAddition(path=path, slots=list(slots)) for path, slots in found.additions.items()],
        covered=[
            CoveredResource(
                resource=Resource.of(one.resource),
                covered=one.covered,
                reason=one.reason,
                claimed_by=None if one.claimed_by is None else Policy.of(one.claimed_by),
            )
            for one in found.covered
        ],
        covered_count=found.covered_count,
        total_bytes=Long(found.total_bytes),
    )


@strawberry.type
class PolicyPreviewQuery:
    @strawberry.field(description="What a policy would do, saved like this; id: of the one it would replace.")
    @requires(Role.VIEWER)
    async def preview_policy(self, info: Info, input: PolicyInput, id: strawberry.ID | None = None) -> PolicyPreview:
        replaced = None if id is None else local_id("Policy", id)
        try:
            draft = input.read()
        except InvalidInput as problem:
            return _shown(policy_preview.Preview(problems=problem.fields or {"": problem.message}, additions={}))
        found = await in_thread(policy_preview.preview, info.context.app, info.context.who(), draft, replaced)
        return _shown(found)
