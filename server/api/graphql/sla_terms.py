"""What SLA templates promise, as the schema shows it and as people send it."""

from __future__ import annotations

import strawberry

from server.api.graphql.permissions import requires
from server.api.graphql.policy_inputs import HealthCheckInput
from server.api.graphql.policy_types import HealthCheck
from server.api.graphql.scalars import Frequency, Weekday
from server.api.graphql.schedule_inputs import DayRuleInput, PeriodInput, week
from server.api.graphql.schedule_types import DayRule, Period
from server.domain import sla as domain
from server.domain.access import Role

# ---- shown ------------------------------------------------------------------------------------------------------------


@requires(Role.VIEWER)
@strawberry.type(
    description="Open every day from start up to end, in minutes after midnight of each Region; the same: all day."
)
class SlaWindow:
    start: int
    end: int


@requires(Role.VIEWER)
@strawberry.type
class DailyPlan:
    every_minutes: int
    keep: Period


@requires(Role.VIEWER)
@strawberry.type
class WeeklyPlan:
    days: list[Weekday]
    keep: Period


@requires(Role.VIEWER)
@strawberry.type
class MonthlyPlan:
    months: list[int]
    day: DayRule
    keep: Period


@requires(Role.VIEWER)
@strawberry.type(description="What one leg is promised inside its window.")
class LegPlan:
    window: SlaWindow
    daily: DailyPlan | None
    weekly: WeeklyPlan | None
    monthly: MonthlyPlan | None

    @classmethod
    def of(cls, record: domain.LegPlan) -> LegPlan:
        daily, weekly, monthly = record.daily, record.weekly, record.monthly
        return cls(
            window=SlaWindow(start=record.window.start, end=record.window.end),
            daily=None if daily is None else DailyPlan(every_minutes=daily.every_minutes, keep=Period.of(daily.keep)),
            weekly=None if weekly is None else WeeklyPlan(days=list(weekly.days), keep=Period.of(weekly.keep)),
            monthly=None
            if monthly is None
            else MonthlyPlan(months=list(monthly.months), day=DayRule.of(monthly.day), keep=Period.of(monthly.keep)),
        )


@requires(Role.VIEWER)
@strawberry.type(description="The first snapshot of each day, week or month is replicated.")
class ReplicaPlan:
    first_of: Frequency
    keep: Period


@requires(Role.VIEWER)
@strawberry.type(description="The first backup of each of these months is archived.")
class ArchivePlan:
    months: list[int]
    keep: Period


@requires(Role.VIEWER)
@strawberry.type
class SlaTermsType:
    snapshot: LegPlan
    replica: ReplicaPlan | None
    backup: LegPlan | None
    archive: ArchivePlan | None
    track_changes: bool = strawberry.field(
        description="The snapshot behind the last backup is held, so that the next backup reads only what changed."
    )
    target: int = strawberry.field(description="Percent of the promised points from which on the promise counts as kept.")
    health_check: HealthCheck | None

    @classmethod
    def of(cls, record: domain.SlaTerms) -> SlaTermsType:
        replica, archive = record.replica, record.archive
        return cls(
            snapshot=LegPlan.of(record.snapshot),
            replica=None if replica is None else ReplicaPlan(first_of=replica.first_of, keep=Period.of(replica.keep)),
            backup=None if record.backup is None else LegPlan.of(record.backup),
            archive=None if archive is None else ArchivePlan(months=list(archive.months), keep=Period.of(archive.keep)),
            track_changes=record.track_changes,
            target=record.target,
            health_check=HealthCheck.maybe(record.health_check),
        )


# ---- sent -------------------------------------------------------------------------------------------------------------


@strawberry.input
class SlaWindowInput:
    start: int = 0
    end: int = 0

    def read(self) -> domain.Window:
        return domain.Window(start=self.start, end=self.end)


@strawberry.input
class DailyPlanInput:
    every_minutes: int
    keep: PeriodInput

    def read(self) -> domain.DailyPlan:
        return domain.DailyPlan(every_minutes=self.every_minutes, keep=self.keep.read())


@strawberry.input
class WeeklyPlanInput:
    days: list[Weekday]
    keep: PeriodInput

    def read(self) -> domain.WeeklyPlan:
        return domain.WeeklyPlan(days=week(self.days), keep=self.keep.read())


@strawberry.input
class MonthlyPlanInput:
    months: list[int]
    day: DayRuleInput
    keep: PeriodInput

    def read(self) -> domain.MonthlyPlan:
        return domain.MonthlyPlan(months=_months(self.months), day=self.day.read(), keep=self.keep.read())


def _months(months: list[int]) -> tuple[int, ...]:
    return tuple(sorted(set(months)))


@strawberry.input(description="What one leg is promised inside its window; without a window, all day.")
class LegPlanInput:
    window: SlaWindowInput = strawberry.field(default_factory=SlaWindowInput)
    daily: DailyPlanInput | None = None
    weekly: WeeklyPlanInput | None = None
    monthly: MonthlyPlanInput | None = None

    def read(self) -> domain.LegPlan:
        return domain.LegPlan(
            window=self.window.read(),
            daily=None if self.daily is None else self.daily.read(),
            weekly=None if self.weekly is None else self.weekly.read(),
            monthly=None if self.monthly is None else self.monthly.read(),
        )


@strawberry.input
class ReplicaPlanInput:
    first_of: Frequency
    keep: PeriodInput

    def read(self) -> domain.ReplicaPlan:
        return domain.ReplicaPlan(first_of=self.first_of, keep=self.keep.read())


@strawberry.input
class ArchivePlanInput:
    months: list[int]
    keep: PeriodInput

    def read(self) -> domain.ArchivePlan:
        return domain.ArchivePlan(months=_months(self.months), keep=self.keep.read())


@strawberry.input
class SlaTermsInput:
    snapshot: LegPlanInput = strawberry.field(default_factory=LegPlanInput)
    replica: ReplicaPlanInput | None = None
    backup: LegPlanInput | None = None
    archive: ArchivePlanInput | None = None
    track_changes: bool = True
    target: int = 97
    health_check: HealthCheckInput | None = None

    def read(self) -> domain.SlaTerms:
        return domain.SlaTerms(
            snapshot=self.snapshot.read(),
            replica=None if self.replica is None else self.replica.read(),
            backup=None if self.backup is None else self.backup.read(),
            archive=None if self.archive is None else self.archive.read(),
            track_changes=self.track_changes,
            target=self.target,
            health_check=None if self.health_check is None else self.health_check.read(),
        )
