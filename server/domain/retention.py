"""Which restore points stay and which go, each with its reason. Pure: ``now`` is an argument.

Rules
1. Each leg of a resource in each place is one chain; what keeps its points are the flags they carry (``domain.flags``). A point
   without any flag was temporary: it goes with the next pass.
2. A snapshot a backup was compared with last (the change-tracking *base*) stays beyond that, so that the next backup reads only
   what changed. It is released when the last backup of its resource goes: there is nothing left to compare with.
3. Ages count full time, from the moment of the data: a point is never kept shorter than promised, and a pass that follows a run
   at the same hour of the last day removes it. The newest is no exception; keeping it for ever would break a promise to delete.
4. Snapshots made by hand stand outside every chain: they go when their own time has come, or never.
5. A point whose deletion began earlier goes, so that an interrupted deletion is finished. Deleted points are not mentioned.
6. A point in a repository carries the retention it was made with (``expires_at``). It counts for points without flags (archives
   made by hand), for imported ones in another repository than the policy's, and for flags nobody has a rule for any more: a
   schedule that was removed, or a resource that moved to another policy, takes nothing back. A policy with a rule overrides it.
7. An incomplete point goes by the same rules as a whole one: part of it can still be restored until then.
8. What no policy looks after: snapshots and replicas are *obsolete* and go at the age the appliance sets for them, or never;
   what lies in a repository goes by the retention it was made with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from uuid import UUID

from server.domain.flags import Flagged, Kept, harmonise
from server.domain.periods import Frequency, Period
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.schedule import Rule

Rules = Mapping[Leg, Mapping[Frequency, Rule]]
Place = tuple[UUID, Leg, UUID | None]
IN_REPOSITORIES = (Leg.BACKUP, Leg.ARCHIVE)
DAILY_PASS = time(4, tzinfo=UTC)  # when retention looks at everything, once a day
UNLIMITED = "It records no retention: kept until somebody deletes it."
BASE = "Change-tracking base: the next backup is compared with it."


@dataclass(frozen=True, slots=True)
class Decision:
    """``keep`` False: delete it. ``flags``: what is left of the point's. ``release_base``: it is no longer needed as
    change-tracking base; clear the mark."""

    point: RestorePoint
    keep: bool
    reason: str
    flags: tuple[Frequency, ...] = ()
    release_base: bool = False


def decide(
    points: Sequence[RestorePoint],
    rules: Rules,
    now: datetime,
    *,
    repositories: Collection[UUID] = (),
    track: bool = True,
    obsolete: Period | None = None,
) -> list[Decision]:
    """A decision for every point that is not deleted yet, in the order given. ``points``: all of each resource concerned, of
    every leg. ``repositories``: which the policy writes into. ``track`` False: a base is not held, but stays marked while its
    flags keep it. ``obsolete``: what holds for snapshots and replicas when the policy has no rule for them any more."""
    chains: dict[Place, list[RestorePoint]] = defaultdict(list)
    for point in points:
        if point.state is PointState.AVAILABLE and not point.manual and not _own_retention(point, repositories):
            chains[_place(point)].append(point)
    kept: dict[UUID, Kept] = {}
    for (_, leg, _), chain in chains.items():
        kept |= harmonise([_flagged(point) for point in chain], rules.get(leg, {}), now)
    live = [point for point in points if point.state is not PointState.DELETED]
    untracked = _untracked(live, kept, now)
    return [
        _unattended(point, obsolete, now)
        if _without_rules(point, rules)
        else _decision(point, kept.get(point.id), untracked, now, track=track)
        for point in live
    ]


def _without_rules(point: RestorePoint, rules: Rules) -> bool:
    """A leg the policy makes no more; what was only temporary is still that."""
    return point.leg not in IN_REPOSITORIES and bool(point.flags) and not point.base and not rules.get(point.leg)


def decide_unattended(points: Sequence[RestorePoint], obsolete: Period | None, now: datetime) -> list[Decision]:
    """The same for points of resources no policy looks after. ``obsolete``: how old their snapshots get, None: they stay."""
    return [_unattended(point, obsolete, now) for point in points if point.state is not PointState.DELETED]


def _unattended(point: RestorePoint, obsolete: Period | None, now: datetime) -> Decision:
    if point.state is PointState.DELETING:
        return _begun(point)
    if point.manual:
        return _manual(point, now)
    if point.leg in IN_REPOSITORIES:
        return _by_itself(point, now)
    if obsolete is None:
        return Decision(point, keep=True, reason="No policy looks after it; obsolete ones are kept.", flags=point.flags)
    end = obsolete.after(point.at)
    if now < end:
        reason = f"No policy looks after it: obsolete, kept until {end:%Y-%m-%d %H:%M} UTC ({obsolete})."
        return Decision(point, keep=True, reason=reason, flags=point.flags)
    return Decision(point, keep=False, reason=f"No policy looks after it, and it is {obsolete} old.")


def _place(point: RestorePoint) -> Place:
    """Snapshots and replicas are one chain each wherever they lie; what lies in another repository is another chain."""
    return point.resource_id, point.leg, point.repository_id if point.leg in IN_REPOSITORIES else None


def _flagged(point: RestorePoint) -> Flagged:
    until = point.expires_at if point.leg in IN_REPOSITORIES else None
    return Flagged(point.id, point.at, frozenset(point.flags), until)


def _untracked(live: Sequence[RestorePoint], kept: Mapping[UUID, Kept], now: datetime) -> set[UUID]:
    """Resources without a backup after this pass: no snapshot of theirs is a base any more."""
    stays: dict[UUID, bool] = {point.resource_id: False for point in live if point.base}
    for point in live:
        if point.leg is not Leg.BACKUP:
            continue
        by_flags = kept.get(point.id)
        by_itself = by_flags is None and point.state is PointState.AVAILABLE and _by_itself(point, now).keep
        keeps = by_itself or (by_flags is not None and bool(by_flags.flags))
        stays[point.resource_id] = stays.get(point.resource_id, False) or keeps
    return {resource for resource, any_left in stays.items() if not any_left}


def _decision(point: RestorePoint, left: Kept | None, untracked: set[UUID], now: datetime, *, track: bool) -> Decision:
    if point.state is PointState.DELETING:
        return _begun(point)
    if left is None:
        return _manual(point, now) if point.manual else _by_itself(point, now)
    flags = tuple(frequency for frequency in Frequency if frequency in left.flags)
    release = point.base and point.resource_id in untracked
    why = " ".join(left.reasons)
    if flags:
        return Decision(point, keep=True, reason=why, flags=flags, release_base=release)
    if point.base and track and not release:
        return Decision(point, keep=True, reason=BASE)
    why = why or "It was temporary: no schedule keeps it."
    if release:
        why += " No backup is left to compare with it."
    return Decision(point, keep=False, reason=why, release_base=release)


def _begun(point: RestorePoint) -> Decision:
    return Decision(point, keep=False, reason="Its deletion had begun.")


def _own_retention(point: RestorePoint, repositories: Collection[UUID]) -> bool:
    if point.leg not in IN_REPOSITORIES:
        return False
    foreign = point.policy_id is None and point.repository_id not in repositories
    return not point.flags or (foreign and point.expires_at is not None)


def _by_itself(point: RestorePoint, now: datetime) -> Decision:
    if point.expires_at is None:
        return Decision(point, keep=True, reason=UNLIMITED, flags=point.flags)
    gone = now >= point.expires_at
    when = "is over" if gone else f"lasts until {point.expires_at:%Y-%m-%d %H:%M} UTC"
    return Decision(point, keep=not gone, reason=f"The retention it was made with {when}.", flags=point.flags)


def _manual(point: RestorePoint, now: datetime) -> Decision:
    if point.expires_at is None:
        return Decision(point, keep=True, reason="Made by hand: kept until somebody deletes it.")
    when = f"{point.expires_at:%Y-%m-%d %H:%M} UTC"
    if now < point.expires_at:
        return Decision(point, keep=True, reason=f"Made by hand: kept until {when}.")
    return Decision(point, keep=False, reason=f"Made by hand to be kept until {when}.")
