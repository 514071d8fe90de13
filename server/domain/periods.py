"""Lengths of time as people give them (days, weeks, months, years), and calendar rules for days of a month. Pure."""

from __future__ import annotations

import calendar
import enum
from dataclasses import dataclass
from datetime import date, datetime, timedelta


class Frequency(enum.Enum):
    """Of a schedule, and the flag its points carry. Most frequent first."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


class Unit(enum.Enum):
    DAYS = "days"
    MONTHS = "months"
    YEARS = "years"


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """``amount`` of ``unit``. Months and years are calendar ones: 31 January and one month is 28 or 29 February."""

    amount: int
    unit: Unit = Unit.DAYS

    def after(self, moment: datetime) -> datetime:
        """When something of ``moment`` has reached this age."""
        if self.unit is Unit.DAYS:
            return moment + timedelta(days=self.amount)
        return _months_later(moment, self.amount * (12 if self.unit is Unit.YEARS else 1))

    def __str__(self) -> str:
        name = self.unit.value if self.amount != 1 else self.unit.value[:-1]
        return f"{self.amount} {name}"


def _months_later(moment: datetime, months: int) -> datetime:
    index = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(index, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


class Weekday(enum.Enum):
    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


EVERY_DAY = tuple(Weekday)
WORK_DAYS = EVERY_DAY[:5]


class Ordinal(enum.Enum):
    """Which of a month's weekdays of one name."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"
    LAST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRule:
    """One day of a month: the ``ordinal`` ``weekday`` of it, or day ``day`` (the last one in shorter months; so 31 is always
    the last day). Exactly one of ``weekday`` and ``day`` is set."""

    ordinal: Ordinal = Ordinal.FIRST
    weekday: Weekday | None = None
    day: int | None = None

    def of(self, year: int, month: int) -> date:
        first_weekday, length = calendar.monthrange(year, month)
        if self.weekday is None:
            return date(year, month, min(self.day or 1, length))
        first = 1 + (self.weekday.value - first_weekday) % 7
        if self.ordinal is Ordinal.LAST:
            return date(year, month, first + 7 * ((length - first) // 7))
        return date(year, month, first + 7 * list(Ordinal).index(self.ordinal))

    def __str__(self) -> str:
        if self.weekday is not None:
            return f"{self.ordinal.value} {self.weekday.name.capitalize()}"
        return "last day" if self.day == 31 else f"day {self.day}"
