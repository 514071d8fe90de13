"""What a later point of an SLA policy stands in for. Pure.

The first *successful* point of a day due for a less frequent plan counts as the weekly or monthly one too, the first successful
snapshot of a stretch is replicated, the first successful backup of a month is archived.

The slots' own flags (``domain.sla``) say so of the first *promised* point. Where nothing came of that for a resource, the next
one takes its place. ``domain.compliance`` counts in the same stretches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from server.domain import compliance, sla
from server.domain.compliance import Due, Span
from server.domain.periods import Frequency
from server.domain.region_zones import zone_name
from server.domain.restore import Leg
from server.domain.schedule import Flags
from server.domain.sla import LegPlan, SlaTerms, Window
from server.domain.wall_clock import local_date, zone

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Owed:
    """Resources for which no point of ``leg`` was made for a moment in [``since``, ``slot``) get one at ``slot`` that carries
    ``flags`` besides its own. ``joined_by``: only those that belonged to the policy by then; None: all."""

    leg: Leg
    flags: frozenset[Frequency]
    since: datetime
    slot: datetime
    joined_by: datetime | None = None


def owed(terms: SlaTerms, region: str, flags: Flags, slots: Mapping[Leg, datetime]) -> Iterator[Owed]:
    """``flags``, ``slots``: what a run in ``region`` makes of itself, and the promised moments it fulfils."""
    for leg, plan in ((Leg.SNAPSHOT, terms.snapshot), (Leg.BACKUP, terms.backup)):
        if plan is not None and leg in slots:
            yield from _of_day(terms, leg, plan, region, flags.get(leg, frozenset()), slots[leg])
    if terms.replica is not None and Leg.REPLICA not in flags and Leg.SNAPSHOT in slots:
        yield from _of_stretch(terms, Leg.REPLICA, terms.replica.first_of, terms.snapshot, region, slots[Leg.SNAPSHOT])
    if terms.archive is not None and terms.backup is not None and Leg.ARCHIVE not in flags and Leg.BACKUP in slots:
        yield from _of_stretch(terms, Leg.ARCHIVE, Frequency.MONTHLY, terms.backup, region, slots[Leg.BACKUP])


def _of_day(terms: SlaTerms, leg: Leg, plan: LegPlan, region: str, own: frozenset[Frequency], slot: datetime) -> Iterator[Owed]:
    day = _day(plan.window, region, slot)
    missing = sla.flags_of_day(plan, day) - own
    due = _due(terms, leg, min(missing, key=list(Frequency).index), region, Span(day, day), slot) if missing else None
    if due is not None:
        yield Owed(leg, missing, due.since, slot)


def _of_stretch(terms: SlaTerms, leg: Leg, frequency: Frequency, plan: LegPlan, region: str, slot: datetime) -> Iterator[Owed]:
    """A resource that joined after the stretch's own replica or archive was due gets its first in the next stretch."""
    span = compliance.span_of(frequency, _day(plan.window, region, slot))
    due = _due(terms, leg, frequency, region, span, slot)
    if due is not None:
        yield Owed(leg, frozenset({frequency}), due.since, slot, joined_by=due.slots[0])


def _due(terms: SlaTerms, leg: Leg, frequency: Frequency, region: str, span: Span, slot: datetime) -> Due | None:
    """What was promised of ``span`` before ``slot``."""
    found = compliance.dues(terms, leg, frequency, region, span)
    return next((due for due in found if due.slots[0] < slot < due.until), None)


def _day(window: Window, region: str, slot: datetime) -> date:
    """On which local day the window of ``slot`` opened."""
    today = local_date(slot, zone(zone_name(region)))
    opens, _ = sla.opening(window, today, region)
    return today if opens <= slot else today - DAY
