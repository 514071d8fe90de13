"""Instances of which some promised points were made, and how an entry of a chart judges them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from server.domain import compliance
from server.domain.compliance import Due, Entry, Era, Span, Standing
from server.domain.periods import Frequency, Period
from server.domain.promises import Kept
from server.domain.restore import Leg
from server.domain.sla import (
    DailyPlan,
    LegPlan,
    SlaTerms,
    Window,
)
from server.domain.templates import SlaTemplateVersion

WEEK = Period(7)
HOUR = 60
UTC_REGION = "us-gov-unknown"  # a Region this program does not know counts as UTC
SUNDAY = date(2026, 11, 22)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(start: int, end: int, step: int) -> LegPlan:
    return LegPlan(window=Window(start=start * HOUR, end=end * HOUR), daily=DailyPlan(every_minutes=step, keep=WEEK))


def hourly() -> SlaTerms:
    return SlaTerms(snapshot=daily(10, 18, HOUR))


class Instance:
    """What the database would answer about one instance: when it belonged to the policy, which points were made."""

    def __init__(
        self, made: Iterable[datetime], *stretches: tuple[datetime, datetime | None], region: str = UTC_REGION
    ) -> None:
        self.id = uuid4()
        self.made = list(made)
        self.stretches = stretches or ((LONG_AGO, None),)
        self.region = region

    def answers(self, due: Sequence[Due]) -> Iterable[Kept]:
        for number, one in enumerate(due):
            for joined, left in self.stretches:
                if one.region == self.region and joined < one.closes and (left is None or left > one.since):
                    made = sum(1 for when in self.made if max(one.since, joined) <= when < one.until)
                    yield Kept(number, self.id, joined, left, made)


def judged(
    history: Sequence[Era],
    instances: Sequence[Instance],
    span: Span | None = None,
    leg: Leg = Leg.SNAPSHOT,
    frequency: Frequency = Frequency.DAILY,
) -> tuple[Entry, list[Standing]]:
    span = span or Span(SUNDAY, SUNDAY)
    regions = sorted({one.region for one in instances}) or [UTC_REGION]
    due = compliance.promised(history, leg, frequency, regions, span)
    found = compliance.standings(dict(enumerate(due)), [row for one in instances for row in one.answers(due)])
    return compliance.entry(span, due, found, compliance.target_of(history, due)), found


def percent(one: Entry | Standing) -> float | None:
    return None if one.percent is None else float(one.percent)


def hours(*numbers: int) -> list[datetime]:
    return [at("2026-11-22") + timedelta(hours=number) for number in numbers]


def version(template: UUID, number: int, since: str, terms: SlaTerms) -> SlaTemplateVersion:
    return SlaTemplateVersion(id=uuid4(), template_id=template, version=number, since=at(since), terms=terms)
