"""What a resource's own backups say about its data: how much there is, how fast it changes, how small it gets when stored."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from server.domain.estimate import DAY, Measured
from server.domain.restore import Leg, PointState, RestorePoint
from server.ports import Order, Select, Tx, Where
from server.services.context import Services

NOTHING: Final = Measured()
# In the document of a backup point: {"usedBytes" its disks held, "readBytes" from the source, "storedBytes" in the repository,
# "incremental": only changes were read}
FIGURES: Final = "figures"
POINTS_EACH: Final = 30  # newest backups of a resource looked at, on average
POINTS_MAX: Final = 20_000
GAP_MIN: Final = timedelta(minutes=10)  # backups closer together say nothing about a day
SHARE_MAX: Final = 0.999  # of a disk, changed within one gap; all of it would mean any rate


def measured(app: Services, tx: Tx, ids: Sequence[UUID]) -> dict[UUID, Measured]:
    """By resource, those only of which something is known. One statement."""
    if not ids:
        return {}
    where = (
        Where("resource_id", "in", list(ids)),
        Where("leg", "in", (Leg.SNAPSHOT, Leg.BACKUP)),
        Where("state", "eq", PointState.AVAILABLE),
    )
    limit = min(POINTS_MAX, POINTS_EACH * len(ids))
    points = tx.points.page(Select(where=where, order=(Order("at", descending=True),), limit=limit))
    noted = figures(points)
    held = {point.id: size for point in points if (size := data_bytes(app, point)) is not None}
    return {id: found for id, found in by_resource(points, noted, held).items() if found != NOTHING}


def data_bytes(app: Services, point: RestorePoint) -> int | None:
    """What the point's snapshots hold, if AWS said it of all of them."""
    workload = app.workloads.get(point.workload)
    disks = workload.disks(point.document) if workload and point.document else ()
    sizes = [size for disk in disks if isinstance(size := disk.document.get("dataBytes"), int)]
    return sum(sizes) if disks and len(sizes) == len(disks) else None


def figures(points: Iterable[RestorePoint]) -> dict[UUID, Mapping[str, Any]]:
    """By backup: what was noted when it was made. Imported ones have nothing noted."""
    return {point.id: point.document[FIGURES] for point in points if point.leg is Leg.BACKUP and FIGURES in point.document}


def by_resource(
    points: Iterable[RestorePoint], noted: Mapping[UUID, Mapping[str, Any]], held: Mapping[UUID, int]
) -> dict[UUID, Measured]:
    """``noted``: by backup; ``held``: bytes of data by snapshot."""
    chains: defaultdict[UUID, list[RestorePoint]] = defaultdict(list)
    for point in points:
        chains[point.resource_id].append(point)
    return {id: _measured(sorted(chain, key=lambda point: point.at), noted, held) for id, chain in chains.items()}


def _measured(chain: Sequence[RestorePoint], noted: Mapping[UUID, Mapping[str, Any]], held: Mapping[UUID, int]) -> Measured:
    """``chain``: oldest first. A rate needs two backups, the later one of changes only."""
    used, read, stored, decay, days = None, 0, 0, 0.0, 0.0
    before: datetime | None = None
    for point in chain:
        used = held.get(point.id, used)
        if point.leg is not Leg.BACKUP:
            continue
        found = noted.get(point.id)
        if found is not None:
            used = int(found["usedBytes"])
            read += int(found["readBytes"])
            stored += int(found["storedBytes"])
            if found["incremental"] and before is not None and point.at - before >= GAP_MIN and used:
                decay -= math.log1p(-min(found["readBytes"] / used, SHARE_MAX))
                days += (point.at - before) / DAY
        before = point.at
    return Measured(
        used_bytes=used,
        change=-math.expm1(-decay / days) if days else None,
        stored=min(stored / read, 1.0) if read else None,
    )
