"""What a policy will do next: each run with what it will make and delete, by the very functions that will do it. Pure.

A run is imagined as it should go: every leg of every covered resource succeeds at the slot's own moment, the change-tracking base moves to
the snapshot that was backed up, then retention looks at the chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid5

from server.domain.periods import Frequency
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.retention import Decision, Rules, decide
from server.domain.schedule import Slot

RUNS_MAX = 1500  # 14 days of four snapshots an hour


@dataclass(frozen=True, slots=True)
class Removal:
    """Points of one leg that leave for the same reason, ``count`` of them; the moment of the data is the oldest one's."""

    leg: Leg
    at: datetime
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class ForecastRun:
    """``made``, ``kept``: points by leg, over all resources; ``kept`` after the run."""

    slot: Slot
    made: Mapping[Leg, int]
    removed: tuple[Removal, ...]
    kept: Mapping[Leg, int]


@dataclass(slots=True)
class _Group:
    """Resources whose chains look alike are imagined once."""

    points: list[RestorePoint]
    resource: UUID
    size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where the policy's backups and archives go; None: it makes none."""

    backup: UUID | None = None
    archive: UUID | None = None
    track_changes: bool = True

    def of(self, leg: Leg) -> UUID | None:
        return {Leg.BACKUP: self.backup, Leg.ARCHIVE: self.archive}.get(leg)


def forecast(
    runs: Iterable[Slot], rules: Rules, chains: Mapping[UUID, Sequence[RestorePoint]], targets: Targets
) -> list[ForecastRun]:
    """``chains``: the points each covered resource has now (an empty sequence for a new one). At most RUNS_MAX runs."""
    groups = _groups(chains)
    found: list[ForecastRun] = []
    for slot in runs:
        if len(found) == RUNS_MAX:
            break
        made: Counter[Leg] = Counter()
        kept: Counter[Leg] = Counter()
        removed: dict[tuple[Leg, str], list[tuple[datetime, int]]] = {}
        for group in groups:
            group.points += _made(slot, targets, group.resource)
            if targets.track_changes and Leg.BACKUP in slot.flags:
                group.points = [
                    replace(point, base=point.leg is Leg.SNAPSHOT and point.at == slot.at) for point in group.points
                ]
            made.update(dict.fromkeys(slot.legs, group.size))
            decisions = decide(group.points, rules, slot.at)
            group.points = [_after(decision) for decision in decisions if decision.keep]
            for decision in decisions:
                if decision.keep:
                    kept[decision.point.leg] += group.size
                else:
                    where = removed.setdefault((decision.point.leg, decision.reason), [])
                    where.append((decision.point.at, group.size))
        found.append(ForecastRun(slot, dict(made), _removals(removed), dict(kept)))
    return found


def _groups(chains: Mapping[UUID, Sequence[RestorePoint]]) -> list[_Group]:
    groups: dict[object, _Group] = {}
    for points in chains.values():
        live = [point for point in points if point.state is not PointState.DELETED]
        look = tuple(
            sorted(
                (
                    p.leg.value,
                    p.at,
                    tuple(f.value for f in p.flags),
                    p.base,
                    p.manual,
                    str(p.expires_at),
                    p.state.value,
                    str(p.repository_id),
                )
                for p in live
            )
        )
        if look in groups:
            groups[look].size += 1
        else:
            one = UUID(int=len(groups) + 1)
            groups[look] = _Group([replace(point, resource_id=one) for point in live], one)
    return list(groups.values())


def _made(slot: Slot, targets: Targets, resource: UUID) -> Iterable[RestorePoint]:
    for leg in slot.legs:
        yield RestorePoint(
            id=uuid5(resource, f"{leg.value} {slot.at.isoformat()}"),
            resource_id=resource,
            resource_name="",
            workload="",
            account_id=resource,
            region="",
            leg=leg,
            at=slot.at,
            created_at=slot.at,
            flags=tuple(frequency for frequency in Frequency if frequency in slot.flags[leg]),
            repository_id=targets.of(leg),
        )


def _after(decision: Decision) -> RestorePoint:
    return replace(decision.point, flags=decision.flags, base=decision.point.base and not decision.release_base)


def _removals(removed: Mapping[tuple[Leg, str], Sequence[tuple[datetime, int]]]) -> tuple[Removal, ...]:
    found = [
        Removal(leg, min(at for at, _ in items), why, sum(size for _, size in items)) for (leg, why), items in removed.items()
    ]
    return tuple(sorted(found, key=lambda one: (list(Leg).index(one.leg), one.at, one.reason)))
