"""What a policy will do next: each run with what it will make and delete, by the very functions that will do it. Pure.

A run is imagined as it should go: every leg of every covered resource succeeds at the slot's own moment, the change-tracking
base moves to the snapshot that was backed up. Retention looks at the chains when it really will: after each run of a schedule,
when an SLA policy's windows have closed everywhere, and once a day. Resources whose chains look alike are imagined once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import merge
from typing import Final
from uuid import UUID, uuid5

from server.domain import keeping
from server.domain.periods import Frequency
from server.domain.policy import Policy, PolicyKind
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.retention import DAILY_PASS, Decision, Rules, decide
from server.domain.schedule import Slot
from server.domain.sla import SlaTerms
from server.domain.windows import closings

RUNS_MAX: Final = 1500  # 14 days of four snapshots an hour
GROUPS_MAX: Final = 500  # kinds of chains in memory at once
ABOUT: Final = timedelta(hours=1)  # a point made within it after its slot counts as made at the slot
TEMPORARY: Final = timedelta(days=1)  # how long a backup stays that was made only to be archived
DAY: Final = timedelta(days=1)
ANY: Final = UUID(int=0)  # whose points look like this


@dataclass(frozen=True, slots=True)
class Event:
    """A run of the resources in ``regions``; without any leg, a pass of retention alone. ``prunes``: retention follows."""

    slot: Slot
    regions: frozenset[str]
    prunes: bool


@dataclass(frozen=True, slots=True)
class Removal:
    """Points of one leg that leave for the same reason, ``count`` of them; the moment of the data is the oldest one's."""

    leg: Leg
    at: datetime
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class ForecastRun:
    """``made``, ``kept``: points by leg, over all resources; ``kept`` after the event."""

    event: Event
    made: dict[Leg, int]
    removed: tuple[Removal, ...]
    kept: dict[Leg, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where points of a Region's resources go; None: none are made."""

    region: str
    replica: bool = False
    backup: UUID | None = None
    archive: UUID | None = None

    def makes(self, leg: Leg) -> bool:
        return {
            Leg.SNAPSHOT: True,
            Leg.REPLICA: self.replica,
            Leg.BACKUP: self.backup is not None,
            Leg.ARCHIVE: self.archive is not None,
        }[leg]


def events(policy: Policy, terms: SlaTerms | None, after: datetime, until: datetime) -> Iterator[Event]:
    """What happens to the policy's points in (after, until], ascending; what falls on one instant is one event."""
    after_run = policy.kind is PolicyKind.SCHEDULE
    tracks = keeping.tracks_changes(policy, terms)
    runs = (
        Event(run.slot, frozenset(run.regions), prunes=after_run or not (tracks or run.slot.flags[Leg.SNAPSHOT]))
        for run in keeping.planned(policy, terms, after, until)
    )
    instants = {datetime.combine(after + day * DAY, DAILY_PASS) for day in range((until - after).days + 2)}
    if not after_run and terms is not None:
        instants.update(closings(terms, policy.scope.regions, after, until))
    passes = (Event(Slot(at), frozenset(), prunes=True) for at in sorted(instants) if after < at <= until)
    yield from merge(runs, passes, key=lambda event: event.slot.at)


# ---- imagining --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Totals:
    made: Counter[Leg] = field(default_factory=Counter)
    kept: Counter[Leg] = field(default_factory=Counter)
    removed: dict[tuple[Leg, str], tuple[datetime, int]] = field(default_factory=dict)

    def remove(self, decision: Decision, size: int) -> None:
        key = decision.point.leg, decision.reason
        oldest, number = self.removed.get(key, (decision.point.at, 0))
        self.removed[key] = min(oldest, decision.point.at), number + size


@dataclass(slots=True)
class _Group:
    targets: Targets
    points: list[RestorePoint]
    size: int = 1


class Forecast:
    """Takes in chains one after the other and forgets them; the totals are all it keeps."""

    def __init__(
        self, events: Sequence[Event], rules: Rules, *, repositories: frozenset[UUID] = frozenset(), track: bool = True
    ) -> None:
        self._events = events
        self._rules = rules
        self._repositories = repositories
        self._track = track
        self._totals = [_Totals() for _ in events]
        self._groups: dict[object, _Group] = {}

    def add(self, targets: Targets, chain: Sequence[RestorePoint]) -> None:
        """A covered resource: all points it has now, none for a new one."""
        points = [point for point in chain if point.state is not PointState.DELETED]
        look = (targets, tuple(sorted(map(_look, points))))
        known = self._groups.get(look)
        if known is not None:
            known.size += 1
            return
        if len(self._groups) == GROUPS_MAX:
            self._imagine()
        self._groups[look] = _Group(targets, [_plain(point) for point in points])

    def runs(self) -> list[ForecastRun]:
        """Every run, and the passes between them that delete something."""
        self._imagine()
        found = [
            ForecastRun(event, dict(totals.made), _removals(totals), dict(totals.kept))
            for event, totals in zip(self._events, self._totals, strict=True)
        ]
        return [run for run in found if run.event.slot.legs or run.removed]

    def _imagine(self) -> None:
        for group in self._groups.values():
            points = group.points
            for event, totals in zip(self._events, self._totals, strict=True):
                points = self._after(event, totals, group, points)
        self._groups.clear()

    def _after(self, event: Event, totals: _Totals, group: _Group, points: list[RestorePoint]) -> list[RestorePoint]:
        slot = event.slot
        if group.targets.region in event.regions:
            made = list(_made(slot, group.targets))
            totals.made.update({point.leg: group.size for point in made})
            if self._track and any(point.leg is Leg.BACKUP for point in made):
                points = [replace(point, base=False) if point.base else point for point in points]
                made = [replace(point, base=point.leg is Leg.SNAPSHOT) for point in made]
            points = [*points, *made]
        if event.prunes:
            decisions = decide(points, self._rules, slot.at, repositories=self._repositories, track=self._track)
            for decision in decisions:
                if not decision.keep:
                    totals.remove(decision, group.size)
            points = [_left(decision) for decision in decisions if decision.keep]
        for point in points:
            totals.kept[point.leg] += group.size
        return points


def _moment(point: RestorePoint) -> datetime:
    """Of the data, as far as it matters: machines of one run differ by seconds."""
    slot = point.slot_at
    if slot is not None and timedelta() <= point.at - slot < ABOUT:
        return slot
    return point.at.replace(second=0, microsecond=0)


def _plain(point: RestorePoint) -> RestorePoint:
    """Without what differs between resources and does not matter here."""
    return replace(point, at=_moment(point), resource_id=ANY, resource_name="", document={}, content_roots={}, damage=None)


def _look(point: RestorePoint) -> tuple[object, ...]:
    return (
        point.leg.value,
        _moment(point),
        tuple(flag.value for flag in point.flags),
        point.base,
        point.manual,
        point.expires_at.isoformat(timespec="hours") if point.expires_at else "",
        point.state.value,
        str(point.repository_id),
        point.policy_id is None,
    )


def _made(slot: Slot, targets: Targets) -> Iterator[RestorePoint]:
    for leg in slot.legs:
        if leg is Leg.ARCHIVE and Leg.BACKUP not in slot.flags and targets.backup is not None:
            yield _point(slot, Leg.BACKUP, targets.backup, expires_at=slot.at + TEMPORARY)
        if targets.makes(leg):
            yield _point(slot, leg, {Leg.BACKUP: targets.backup, Leg.ARCHIVE: targets.archive}.get(leg))


def _point(slot: Slot, leg: Leg, repository_id: UUID | None, expires_at: datetime | None = None) -> RestorePoint:
    return RestorePoint(
        id=uuid5(ANY, f"{leg.value} {slot.at.isoformat()}"),
        resource_id=ANY,
        resource_name="",
        workload="",
        account_id=ANY,
        region="",
        leg=leg,
        at=slot.at,
        created_at=slot.at,
        policy_id=ANY,
        flags=tuple(frequency for frequency in Frequency if frequency in slot.flags.get(leg, ())),
        slot_at=slot.at,
        repository_id=repository_id,
        expires_at=expires_at,
    )


def _left(decision: Decision) -> RestorePoint:
    point, base = decision.point, decision.point.base and not decision.release_base
    if point.flags == decision.flags and point.base == base:
        return point
    return replace(point, flags=decision.flags, base=base)


def _removals(totals: _Totals) -> tuple[Removal, ...]:
    found = [Removal(leg, at, why, number) for (leg, why), (at, number) in totals.removed.items()]
    return tuple(sorted(found, key=lambda one: (list(Leg).index(one.leg), one.at, one.reason)))
