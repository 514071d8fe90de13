"""What people send about when a policy runs and how long its points are kept, and how it becomes the domain's words."""

from __future__ import annotations

from collections.abc import Iterable

import strawberry

from server.api.graphql.scalars import Ordinal, Unit, Weekday
from server.domain import periods
from server.domain import schedule as domain
from server.domain.periods import EVERY_DAY


@strawberry.input(description="A length of time; months and years are calendar ones.")
class PeriodInput:
    amount: int
    unit: Unit = Unit.DAYS

    def read(self) -> periods.Period:
        return periods.Period(self.amount, self.unit)


@strawberry.input(
    description="One leg of a schedule. Slots: hours 0 to 23 (daily), weekdays 0 to 6 with Monday 0 (weekly), months 1 to 12 "
    "(monthly, yearly). Snapshots and replicas are kept by count, backups and archives for a period."
)
class RuleInput:
    slots: list[int]
    count: int | None = None
    period: PeriodInput | None = None

    def read(self) -> domain.Rule:
        slots = tuple(sorted(set(self.slots)))
        return domain.Rule(slots=slots, count=self.count, period=None if self.period is None else self.period.read())


def _optional(rule: RuleInput | None) -> domain.Rule | None:
    """A rule that never applies is none."""
    return rule.read() if rule is not None and rule.slots else None


def _every_day() -> list[Weekday]:
    return list(EVERY_DAY)


def week(days: Iterable[Weekday]) -> tuple[Weekday, ...]:
    """Each once, Monday first."""
    return tuple(sorted(set(days), key=lambda day: day.value))


@strawberry.input
class DailyInput:
    snapshot: RuleInput
    replica: RuleInput | None = None
    backup: RuleInput | None = None
    enabled: bool = True
    days: list[Weekday] = strawberry.field(default_factory=_every_day)
    per_hour: int = strawberry.field(default=1, description="Snapshots in each snapshot hour, evenly spaced.")

    def read(self) -> domain.Daily:
        return domain.Daily(
            enabled=self.enabled,
            days=week(self.days),
            per_hour=self.per_hour,
            snapshot=self.snapshot.read(),
            replica=_optional(self.replica),
            backup=_optional(self.backup),
        )


@strawberry.input
class WeeklyInput:
    hour: int
    snapshot: RuleInput
    replica: RuleInput | None = None
    backup: RuleInput | None = None
    enabled: bool = True

    def read(self) -> domain.Weekly:
        return domain.Weekly(
            enabled=self.enabled,
            hour=self.hour,
            snapshot=self.snapshot.read(),
            replica=_optional(self.replica),
            backup=_optional(self.backup),
        )


@strawberry.input(description="One day of a month: a weekday and which of them, or a day's number; 31 is always the last day.")
class DayRuleInput:
    ordinal: Ordinal = Ordinal.FIRST
    weekday: Weekday | None = None
    day: int | None = None

    def read(self) -> periods.DayRule:
        return periods.DayRule(ordinal=self.ordinal, weekday=self.weekday, day=self.day)


@strawberry.input
class MonthlyInput:
    hour: int
    day: DayRuleInput
    snapshot: RuleInput
    replica: RuleInput | None = None
    backup: RuleInput | None = None
    archive: RuleInput | None = strawberry.field(default=None, description="In place of backup.")
    enabled: bool = True

    def read(self) -> domain.Monthly:
        return domain.Monthly(
            enabled=self.enabled,
            hour=self.hour,
            day=self.day.read(),
            snapshot=self.snapshot.read(),
            replica=_optional(self.replica),
            backup=_optional(self.backup),
            archive=_optional(self.archive),
        )


@strawberry.input(description="In one month of the year: a backup, or an archive in its place.")
class YearlyInput:
    hour: int
    day: DayRuleInput
    backup: RuleInput | None = None
    archive: RuleInput | None = None
    enabled: bool = True

    def read(self) -> domain.Yearly:
        return domain.Yearly(
            enabled=self.enabled,
            hour=self.hour,
            day=self.day.read(),
            backup=_optional(self.backup),
            archive=_optional(self.archive),
        )


@strawberry.input(description="Wall-clock times of the time zone (an IANA name).")
class ScheduleInput:
    timezone: str = "UTC"
    daily: DailyInput | None = None
    weekly: WeeklyInput | None = None
    monthly: MonthlyInput | None = None
    yearly: YearlyInput | None = None

    def read(self) -> domain.Schedule:
        return domain.Schedule(
            timezone=self.timezone,
            daily=None if self.daily is None else self.daily.read(),
            weekly=None if self.weekly is None else self.weekly.read(),
            monthly=None if self.monthly is None else self.monthly.read(),
            yearly=None if self.yearly is None else self.yearly.read(),
        )
