"""What a policy's points cost now, beside what the estimate says of exactly those points with nothing measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.cost import GIB, Prices, Stored, monthly
from server.domain.estimate import DAY, Assumptions, Data, Subject, data
from server.domain.repository import Repository, StorageClass
from server.domain.restore import Leg, PointState, RestorePoint
from server.ports import Order, Select, Where
from server.services import learning, prices
from server.services.context import Services

POINTS_MAX: Final = 50_000
RECENT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegCost:
    """Of one leg of a policy. ``gib``, ``usd``: stored now, and what that costs a month; ``estimated_*``: what the assumptions
    say of the same points. ``read_gib``: read from the sources in the last 30 days. ``exact``: the bytes are known, not derived
    from a change rate."""

    leg: Leg
    points: int
    gib: float
    usd: float
    estimated_gib: float
    estimated_usd: float
    read_gib: float = 0.0
    exact: bool = True


def of_policy(app: Services, caller: Caller, id: UUID, assumed: Assumptions) -> list[LegCost]:
    """Legs that have points, in their order. Errors: Forbidden, NotFound."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        policy = tx.policies.get(id)
        where = (Where("policy_id", "eq", policy.id), Where("state", "eq", PointState.AVAILABLE))
        points = tx.points.page(Select(where=where, order=(Order("at"),), limit=POINTS_MAX))
        rows = tx.repositories.many({point.repository_id for point in points if point.repository_id is not None})
        regions = {point.region for point in points} | {row.region for row in rows.values() if row.region is not None}
        work = _Work(app, points, rows, prices.of(tx, regions), assumed)
    return [found for leg in Leg if (found := work.leg(leg, app.clock.now())) is not None]


class _Work:
    """The points of a policy, and what is known of their resources."""

    def __init__(
        self,
        app: Services,
        points: Sequence[RestorePoint],
        rows: Mapping[UUID, Repository],
        listed: Mapping[str, Prices],
        assumed: Assumptions,
    ) -> None:
        self._noted = learning.figures(points)
        self._held = {point.id: size for point in points if (size := learning.data_bytes(app, point)) is not None}
        self._measured = learning.by_resource(
            (point for point in points if point.leg in (Leg.SNAPSHOT, Leg.BACKUP)), self._noted, self._held
        )
        self._points, self._rows, self._prices, self._assumed = points, rows, listed, assumed

    def leg(self, leg: Leg, now: datetime) -> LegCost | None:
        chains = self._chains(leg)
        if not chains:
            return None
        stored = leg in (Leg.BACKUP, Leg.ARCHIVE)
        gib = usd = estimated_gib = estimated_usd = 0.0
        for chain in chains:
            assumed = self._data(chain[-1], measured=False)
            held = sum(point.stored_bytes for point in chain) if stored else _unique(chain, self._data(chain[-1]))
            guess = _unique(chain, assumed) * (assumed.stored if stored else 1.0)
            gib, estimated_gib = gib + held / GIB, estimated_gib + guess / GIB
            usd, estimated_usd = usd + self._usd(chain, held), estimated_usd + self._usd(chain, guess)
        return LegCost(
            leg=leg,
            points=sum(len(chain) for chain in chains),
            gib=gib,
            usd=usd,
            estimated_gib=estimated_gib,
            estimated_usd=estimated_usd,
            read_gib=sum(self._read(chains, now)) / GIB if leg is Leg.BACKUP else 0.0,
            exact=stored,
        )

    def _chains(self, leg: Leg) -> list[list[RestorePoint]]:
        """Points that share blocks: of one resource in one place."""
        found: defaultdict[tuple[UUID, str, UUID | None], list[RestorePoint]] = defaultdict(list)
        for point in self._points:
            if point.leg is leg:
                found[point.resource_id, point.region, point.repository_id].append(point)
        return list(found.values())

    def _data(self, point: RestorePoint, *, measured: bool = True) -> Data:
        subject = Subject(
            id=point.resource_id,
            name=point.resource_name,
            aws_id="",
            region=point.region,
            disks=1,
            encrypted_disks=0,
            size_bytes=point.size_bytes,
            measured=self._measured.get(point.resource_id, learning.NOTHING) if measured else learning.NOTHING,
        )
        return data(subject, self._assumed)

    def _usd(self, chain: Sequence[RestorePoint], size_bytes: float) -> float:
        row = self._rows.get(chain[0].repository_id) if chain[0].repository_id is not None else None
        if row is None:
            return size_bytes / GIB * self._prices[chain[0].region].snapshot
        listed = self._prices.get(row.region or chain[0].region)
        if listed is None:
            return 0.0  # on a disk of our own
        objects = len(chain) if row.storage_class is not StorageClass.STANDARD else 0
        return monthly(listed, {row.storage_class: Stored(objects, round(size_bytes))})

    def _read(self, chains: Sequence[Sequence[RestorePoint]], now: datetime) -> Iterator[int]:
        for chain in chains:
            for point in chain:
                if now - point.at <= RECENT and point.id in self._noted:
                    yield int(self._noted[point.id]["readBytes"])


def _unique(chain: Sequence[RestorePoint], of: Data) -> float:
    """Bytes the points take together: the oldest whole, each later one what changed since."""
    return of.used + sum(of.changed((later.at - earlier.at) / DAY) for earlier, later in pairwise(chain))
