"""The parts of a restore point."""

from __future__ import annotations

from datetime import datetime

import strawberry

from server.api.graphql.permissions import requires
from server.api.graphql.scalars import Long, PriceSource
from server.domain import cost
from server.domain import restore as domain
from server.domain.access import Role


@requires(Role.VIEWER)
@strawberry.type
class PointDisk:
    disk_id: str
    device: str
    size_bytes: Long
    snapshot_id: str | None


@requires(Role.VIEWER)
@strawberry.type(description="Bytes from start to before end. Without a disk: nothing of the point can be read.")
class DamagedRange:
    disk_id: str | None
    start: Long
    end: Long


@requires(Role.VIEWER)
@strawberry.type(description="What a check found wrong; more: ranges besides the listed ones.")
class Damage:
    found_at: datetime
    ranges: list[DamagedRange]
    more: int

    @classmethod
    def of(cls, record: domain.Damage) -> Damage:
        ranges = [DamagedRange(disk_id=one.disk_id or None, start=Long(one.start), end=Long(one.end)) for one in record.ranges]
        return cls(found_at=record.found_at, ranges=ranges, more=record.more)


@requires(Role.VIEWER)
@strawberry.type(
    description="What holding a snapshot as change-tracking base costs at most: EBS bills it less while other snapshots of the "
    "disks share its blocks. baseOnly: nothing else keeps it."
)
class BaseCost:
    base_only: bool
    usd_per_month: float
    price_date: str
    price_source: PriceSource
    exact_region: bool = strawberry.field(description="False: the Region's own prices are unknown; a dear one's are used.")

    @classmethod
    def of(cls, record: domain.RestorePoint, prices: cost.Prices) -> BaseCost:
        return cls(
            base_only=not record.flags,
            usd_per_month=record.size_bytes / cost.GIB * prices.snapshot,
            price_date=prices.published.isoformat(),
            price_source=prices.source,
            exact_region=prices.exact,
        )
