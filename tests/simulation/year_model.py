"""What a year of one policy should leave behind: an independent model, by brute force, hour by hour.

It is written from the rules as people are told them and shares nothing with the product: not its schedules, its flags or its
retention. Its rules:
- At each hour that any schedule names (wall clock of the zone), a run makes a snapshot, and of the other legs those that any
  schedule wants then. Each point carries the letter of every schedule that wanted it: D, W, M, Y.
- After a run, and every day at 04:00 UTC: each letter is taken from its oldest holders while more hold it than are to be kept,
  or from those that have reached its age. A point without letters goes, unless it is the snapshot behind the newest backup.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SUNDAY = 6


@dataclass(frozen=True)
class Keep:
    """Exactly one of the three."""

    count: int | None = None
    days: int | None = None
    months: int | None = None

    def holds(self, rank: int, made: datetime, now: datetime) -> bool:
        if self.count is not None:
            return rank <= self.count
        return now < (made + timedelta(days=self.days) if self.days is not None else months_after(made, self.months or 0))


def months_after(moment: datetime, months: int) -> datetime:
    year, month = moment.year, moment.month
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


@dataclass(frozen=True)
class Plan:
    """Daily at ``hours``, the other legs at ``main`` only; weekly on Sundays, monthly on first Sundays, yearly on that of
    ``year_month``, all at ``main``. ``keep``: leg and letter → how long. ``copied_months``: whose first Sunday is replicated
    for the month; ``archive_months``: whose first Sunday is archived."""

    zone: str
    hours: tuple[int, ...]
    main: int
    copied_months: frozenset[int]
    archive_months: frozenset[int]
    year_month: int
    keep: dict[tuple[str, str], Keep]

    def wants(self, moment: datetime) -> dict[str, set[str]]:
        """Leg → letters of what is due at this full hour; empty when nothing is."""
        wall = moment.astimezone(ZoneInfo(self.zone))
        found: dict[str, set[str]] = {}

        def want(leg: str, letter: str) -> None:
            found.setdefault(leg, set()).add(letter)

        if wall.hour in self.hours:
            want("snapshot", "D")
        if wall.hour != self.main:
            return found
        want("replica", "D")
        want("backup", "D")
        if wall.weekday() != SUNDAY:
            return found
        for leg in ("snapshot", "replica", "backup"):
            want(leg, "W")
        if wall.day > 7:
            return found
        want("snapshot", "M")
        if wall.month in self.copied_months:
            want("replica", "M")
        if wall.month in self.archive_months:
            want("archive", "M")
        if wall.month == self.year_month:
            want("backup", "Y")
        return found


@dataclass
class Point:
    leg: str
    made: datetime
    letters: set[str]
    base: bool = False


@dataclass
class Model:
    plan: Plan
    points: list[Point] = field(default_factory=list)
    made: int = 0
    runs: int = 0

    def hour(self, moment: datetime) -> None:
        """``moment``: a full hour, in UTC."""
        wanted = self.plan.wants(moment)
        if wanted:
            self.runs += 1
            for leg, letters in wanted.items():
                self.made += 1
                self.points.append(Point(leg, moment, set(letters)))
            if "backup" in wanted:
                for point in self.points:
                    point.base = point.leg == "snapshot" and point.made == moment
        if wanted or moment.hour == 4:
            self._prune(moment)

    def _prune(self, now: datetime) -> None:
        for leg in ("snapshot", "replica", "backup", "archive"):
            for letter in "DWMY":
                holders = [point for point in self.points if point.leg == leg and letter in point.letters]
                holders.sort(key=lambda point: point.made, reverse=True)
                for rank, point in enumerate(holders, start=1):
                    if not self.plan.keep[leg, letter].holds(rank, point.made, now):
                        point.letters.discard(letter)
        self.points = [point for point in self.points if point.letters or point.base]

    def left(self) -> set[tuple[str, datetime, str, bool]]:
        """Leg, moment, letters, whether it is the base."""
        return {(p.leg, p.made, "".join(one for one in "DWMY" if one in p.letters), p.base) for p in self.points}


def hours_from(start: date, days: int) -> list[datetime]:
    begin = datetime(start.year, start.month, start.day, tzinfo=UTC)
    return [begin + timedelta(hours=n) for n in range(24 * days)]
