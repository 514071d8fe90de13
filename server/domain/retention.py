"""Which restore points stay and which go, each with its reason. Pure: ``now`` is an argument.

Rules
1. Snapshots, per resource: the newest ``retention.snapshots`` stay, whichever policy made them; the points of a resource are
   one chain. The change-tracking base stays beyond that, so that the next backup reads only what changed.
2. Backups: each stays until its age, from the moment of its data to ``now``, has reached ``retention.backup_days`` times 24
   hours. Full times count, not calendar days: a backup is never kept shorter than promised, and a pass that follows a run at
   the same hour of the last day removes it. The newest is no exception; keeping it for ever would break a promise to delete.
3. The base is released when the last backup of its resource expires: there is nothing left to compare with.
4. A point whose deletion began earlier goes, so that an interrupted deletion is finished. Deleted points are not mentioned.
5. Replicas and archives have retentions of their own; here they stay.
6. A point carries the retention it was made with (``expires_at``). It counts for points no policy looks after, and for imported
   ones in another repository than the policy's; a policy that backs the resource up into their repository overrides it.
7. An incomplete point goes by the same rules as a whole one: part of it can still be restored until then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from server.domain.policy import Retention
from server.domain.restore import Leg, PointState, RestorePoint


@dataclass(frozen=True, slots=True)
class Decision:
    """``keep`` False: delete it. ``release_base``: the point is no longer needed as change-tracking base; clear the flag."""

    point: RestorePoint
    keep: bool
    reason: str
    release_base: bool = False


def decide(
    points: Sequence[RestorePoint], retention: Retention, now: datetime, *, repository_id: UUID | None = None
) -> list[Decision]:
    """A decision for every point that is not deleted yet, in the order given. ``points``: all of each resource concerned,
    of every leg; with backups left out, a base is kept. ``repository_id``: where the policy backs up into."""
    snapshots: dict[UUID, list[RestorePoint]] = defaultdict(list)
    backups: dict[UUID, list[RestorePoint]] = defaultdict(list)
    chains = {Leg.SNAPSHOT: snapshots, Leg.BACKUP: backups}
    for point in points:
        if point.state is PointState.AVAILABLE and point.leg in chains:
            chains[point.leg][point.resource_id].append(point)
    newest = {point.id for chain in snapshots.values() for point in _newest(chain, retention.snapshots)}
    expired = {point.id for chain in backups.values() for point in chain if _expired(point, retention, now, repository_id)}
    untracked = {resource for resource, chain in backups.items() if all(point.id in expired for point in chain)}
    return [
        _decision(point, retention, now, newest, untracked, repository_id)
        for point in points
        if point.state is not PointState.DELETED
    ]


def _decision(
    point: RestorePoint,
    retention: Retention,
    now: datetime,
    newest: set[UUID],
    untracked: set[UUID],
    repository_id: UUID | None,
) -> Decision:
    if point.state is PointState.DELETING:
        return Decision(point, keep=False, reason="Its deletion had begun.")
    if point.leg is Leg.SNAPSHOT:
        return _snapshot_decision(point, retention, point.id in newest, point.resource_id in untracked)
    if point.leg is Leg.BACKUP and _own_retention(point, repository_id):
        gone = _expired(point, retention, now, repository_id)
        when = "is over" if gone else f"lasts until {point.expires_at:%Y-%m-%d %H:%M} UTC"
        return Decision(point, keep=not gone, reason=f"The retention it was imported with {when}.")
    if point.leg is Leg.BACKUP:
        return _backup_decision(point, retention, now)
    return Decision(point, keep=True, reason=f"This retention does not cover a {point.leg.value}.")


def _snapshot_decision(point: RestorePoint, retention: Retention, recent: bool, untracked: bool) -> Decision:
    release = point.base and untracked
    if recent:
        among = "The" if retention.snapshots == 1 else "One of the"
        return Decision(point, keep=True, reason=f"{among} {_count(retention.snapshots)}.", release_base=release)
    if point.base and not untracked:
        return Decision(point, keep=True, reason="Change-tracking base: the next backup is compared with it.")
    why = "No snapshots are kept" if retention.snapshots == 0 else f"Beyond the {_count(retention.snapshots)}"
    if release:
        why += ", and no backup is left to compare with it"
    return Decision(point, keep=False, reason=f"{why}.", release_base=release)


def _backup_decision(point: RestorePoint, retention: Retention, now: datetime) -> Decision:
    age = _days(max(0, (now - point.at).days))
    expired = _too_old(point, retention, now)
    limit = _days(retention.backup_days)
    reason = f"{age} old: backups are kept {limit}." if expired else f"{age} old, less than {limit}."
    return Decision(point, keep=not expired, reason=reason)


def _newest(chain: Iterable[RestorePoint], count: int) -> list[RestorePoint]:
    """Newest first by the moment of the data; equal moments by when they became whole, then by id, so that it is definite."""
    return sorted(chain, key=lambda point: (point.at, point.created_at, point.id), reverse=True)[:count]


def _expired(point: RestorePoint, retention: Retention, now: datetime, repository_id: UUID | None) -> bool:
    if _own_retention(point, repository_id):
        return point.expires_at is not None and now >= point.expires_at
    return _too_old(point, retention, now)


def _own_retention(point: RestorePoint, repository_id: UUID | None) -> bool:
    """Made by no policy there is (imported, for instance), and in a repository the policy does not back up into."""
    return point.repository_id != repository_id and point.policy_id is None and point.expires_at is not None


def _too_old(point: RestorePoint, retention: Retention, now: datetime) -> bool:
    return now - point.at >= timedelta(days=retention.backup_days)


def _count(snapshots: int) -> str:
    return "newest snapshot" if snapshots == 1 else f"{snapshots} newest snapshots"


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
