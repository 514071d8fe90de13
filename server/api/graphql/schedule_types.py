"""When a policy runs and how long its points are kept, as the schema shows it."""

from __future__ import annotations

import strawberry

from server.api.graphql.permissions import requires
from server.api.graphql.scalars import Ordinal, Unit, Weekday
from server.domain import periods
from server.domain import schedule as domain
from server.domain.access import Role


@requires(Role.VIEWER)
@strawberry.type(description="A length of time; months and years are calendar ones.")
class Period:
    amount: int
    unit: Unit

    @classmethod
    def of(cls, record: periods.Period) -> Period:
        return cls(amount=record.amount, unit=record.unit)


@requires(Role.VIEWER)
@strawberry.type(
    description="One leg of a schedule. Slots: hours 0 to 23 (daily), weekdays 0 to 6 with Monday 0 (weekly), months 1 to 12 "
    "(monthly, yearly). Snapshots and replicas are kept by count, backups and archives for a period."
)
class Rule:
    slots: list[int]
    count: int | None
    period: Period | None

    @classmethod
    def of(cls, record: domain.Rule) -> Rule:
        return cls(
            slots=list(record.slots),
            count=record.count,
            period=None if record.period is None else Period.of(record.period),
        )

    @classmethod
    def maybe(cls, record: domain.Rule | None) -> Rule | None:
        return None if record is None else cls.of(record)


@requires(Role.VIEWER)
@strawberry.type
class DailySchedule:
    enabled: bool
    days: list[Weekday]
    per_hour: int = strawberry.field(description="Snapshots in each snapshot hour, evenly spaced.")
    snapshot: Rule
    replica: Rule | None
    backup: Rule | None

    @classmethod
    def of(cls, record: domain.Daily) -> DailySchedule:
        return cls(
            enabled=record.enabled,
            days=list(record.days),
            per_hour=record.per_hour,
            snapshot=Rule.of(record.snapshot),
            replica=Rule.maybe(record.replica),
            backup=Rule.maybe(record.backup),
        )


@requires(Role.VIEWER)
@strawberry.type
class WeeklySchedule:
    enabled: bool
    hour: int
    snapshot: Rule
    replica: Rule | None
    backup: Rule | None

    @classmethod
    def of(cls, record: domain.Weekly) -> WeeklySchedule:
        return cls(
            enabled=record.enabled,
            hour=record.hour,
            snapshot=Rule.of(record.snapshot),
            replica=Rule.maybe(record.replica),
            backup=Rule.maybe(record.backup),
        )


@requires(Role.VIEWER)
@strawberry.type(description="One day of a month: a weekday and which of them, or a day's number; 31 is always the last day.")
class DayRule:
    ordinal: Ordinal
    weekday: Weekday | None
    day: int | None

    @classmethod
    def of(cls, record: periods.DayRule) -> DayRule:
        return cls(ordinal=record.ordinal, weekday=record.weekday, day=record.day)


@requires(Role.VIEWER)
@strawberry.type
class MonthlySchedule:
    enabled: bool
    hour: int
    day: DayRule
    snapshot: Rule
    replica: Rule | None
    backup: Rule | None
    archive: Rule | None

    @classmethod
    def of(cls, record: domain.Monthly) -> MonthlySchedule:
        return cls(
            enabled=record.enabled,
            hour=record.hour,
            day=DayRule.of(record.day),
            snapshot=Rule.of(record.snapshot),
            replica=Rule.maybe(record.replica),
            backup=Rule.maybe(record.backup),
            archive=Rule.maybe(record.archive),
        )


@requires(Role.VIEWER)
@strawberry.type(description="In one month of the year: a backup, or an archive in its place.")
class YearlySchedule:
    enabled: bool
    hour: int
    day: DayRule
    backup: Rule | None
    archive: Rule | None

    @classmethod
    def of(cls, record: domain.Yearly) -> YearlySchedule:
        return cls(
            enabled=record.enabled,
            hour=record.hour,
            day=DayRule.of(record.day),
            backup=Rule.maybe(record.backup),
            archive=Rule.maybe(record.archive),
        )


@requires(Role.VIEWER)
@strawberry.type(description="Wall-clock times of the time zone.")
class Schedule:
    timezone: str
    daily: DailySchedule | None
    weekly: WeeklySchedule | None
    monthly: MonthlySchedule | None
    yearly: YearlySchedule | None

    @classmethod
    def of(cls, record: domain.Schedule) -> Schedule:
        return cls(
            timezone=record.timezone,
            daily=None if record.daily is None else DailySchedule.of(record.daily),
            weekly=None if record.weekly is None else WeeklySchedule.of(record.weekly),
            monthly=None if record.monthly is None else MonthlySchedule.of(record.monthly),
            yearly=None if record.yearly is None else YearlySchedule.of(record.yearly),
        )
