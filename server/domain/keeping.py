"""What follows from a policy: when it runs, which points it keeps how long, and where they go. Pure; one place for the
scheduler, retention, forecasts and the console."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from server.domain import schedule as calendar
from server.domain import sla
from server.domain.periods import Frequency
from server.domain.policy import Policy, PolicyKind
from server.domain.replicas import ReplicaTarget
from server.domain.restore import Leg
from server.domain.retention import Rules
from server.domain.schedule import Rule, Slot
from server.domain.sla import SlaTerms
from server.domain.templates import StorageTemplate


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run to come. ``regions``: whose resources it covers."""

    slot: Slot
    regions: tuple[str, ...]


def rules(policy: Policy, terms: SlaTerms | None) -> Rules:
    """How long points are kept, by leg and flag. ``terms``: of an SLA policy's template."""
    if policy.kind is PolicyKind.SLA:
        if terms is None:  # no rules would mean that nothing is kept
            raise ValueError(f"the terms of the template of {policy.name} are needed")
        return _promised(terms)
    return {leg: _scheduled(policy, leg) for leg in Leg}


def _scheduled(policy: Policy, leg: Leg) -> dict[Frequency, Rule]:
    own = policy.retention
    otherwise = {
        Leg.SNAPSHOT: Rule(count=own.snapshots),
        Leg.REPLICA: Rule(count=own.replicas),
        Leg.BACKUP: Rule(period=own.backups),
        Leg.ARCHIVE: Rule(period=own.archives),
    }
    found = {Frequency.DAILY: otherwise[leg]}  # what a run by hand makes where no schedule does
    for frequency in Frequency:
        rule = policy.schedule.rule(frequency, leg) if policy.schedule else None
        if rule is not None:
            found[frequency] = rule
    return found


def _promised(terms: SlaTerms) -> Rules:
    found: dict[Leg, dict[Frequency, Rule]] = {leg: {} for leg in Leg}
    for leg, plan in ((Leg.SNAPSHOT, terms.snapshot), (Leg.BACKUP, terms.backup)):
        for frequency in Frequency:
            keep = plan.keep(frequency) if plan is not None else None
            if keep is not None:
                found[leg][frequency] = Rule(period=keep)
    if terms.replica is not None:
        found[Leg.REPLICA][terms.replica.first_of] = Rule(period=terms.replica.keep)
    if terms.archive is not None:
        found[Leg.ARCHIVE][Frequency.MONTHLY] = Rule(period=terms.archive.keep)
    return found


def tracks_changes(policy: Policy, terms: SlaTerms | None) -> bool:
    """Whether the snapshot behind the last backup is held, so that the next backup reads only what changed. A schedule that
    keeps no snapshot at all holds none."""
    if policy.kind is PolicyKind.SLA:
        return terms is None or terms.track_changes
    return any(rule.count for rule in rules(policy, None)[Leg.SNAPSHOT].values())


def planned(policy: Policy, terms: SlaTerms | None, after: datetime, until: datetime) -> Iterator[PlannedRun]:
    """Runs in (after, until], ascending. SLA: Regions whose windows ask for the same at one instant share a run."""
    if policy.kind is PolicyKind.SCHEDULE:
        for slot in calendar.slots(policy.schedule, after, until) if policy.schedule else ():
            yield PlannedRun(slot, policy.scope.regions)
        return
    if terms is None:
        return
    streams = [_of_region(terms, region, after, until) for region in policy.scope.regions]
    for _, group in groupby(heapq.merge(*streams, key=_instant), key=_instant):
        yield from _shared(list(group))


def _of_region(terms: SlaTerms, region: str, after: datetime, until: datetime) -> Iterator[tuple[Slot, str]]:
    for slot in sla.runs(terms, region, after, until):
        yield slot, region


def _instant(wanted: tuple[Slot, str]) -> datetime:
    return wanted[0].at


def _shared(wanted: list[tuple[Slot, str]]) -> Iterator[PlannedRun]:
    left = wanted
    while left:
        first = left[0][0]
        yield PlannedRun(first, tuple(region for slot, region in left if dict(slot.flags) == dict(first.flags)))
        left = [(slot, region) for slot, region in left if dict(slot.flags) != dict(first.flags)]


HORIZONS = tuple(timedelta(days=days) for days in (2, 9, 63, 370))  # most runs are near; the farthest is a yearly one


def next_run(policy: Policy, terms: SlaTerms | None, after: datetime) -> PlannedRun | None:
    """The first run later than ``after``; None when nothing is planned. Enabled or not."""
    for horizon in HORIZONS:
        found = next(planned(policy, terms, after, after + horizon), None)
        if found is not None:
            return found
    return None


def backup_repository(policy: Policy, storage: StorageTemplate | None, region: str) -> UUID | None:
    if policy.kind is PolicyKind.SLA:
        return storage.backup.of(region) if storage else None
    return policy.repository_id


def archive_repository(policy: Policy, storage: StorageTemplate | None, region: str) -> UUID | None:
    if policy.kind is PolicyKind.SLA:
        return storage.archive.of(region) if storage and storage.archive else None
    return policy.archive_repository_id


def replica_target(policy: Policy, region: str) -> ReplicaTarget | None:
    """Where snapshots of ``region`` are copied: what names the Region, else what is for all others."""
    named = (target for target in policy.replicas if region in target.regions)
    return next(named, None) or next((target for target in policy.replicas if not target.regions), None)
