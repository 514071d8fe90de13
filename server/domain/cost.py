"""What S3 charges for keeping and for reading back, from a bundled table of list prices. Pure; an estimate, never a bill.

Prices are USD, before tax and discounts, of the first volume tier; a GiB is what S3's price list calls a GB. Sources: the
public S3 price list (storage, requests, data retrievals) and the S3 user guide (objects in archive classes carry 40 KiB of
overhead, 8 of it billed as STANDARD; those deleted before their class's minimum duration are billed for the rest of it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from server.domain.repository import RetrievalMode, StorageClass

PRICES_OF: Final = date(2025, 6, 1)  # the price list this table was taken from
GIB: Final = 2**30
MONTH: Final = timedelta(days=30)
OVERHEAD_STANDARD: Final = 8 * 1024  # bytes per archived object, billed as STANDARD
OVERHEAD_ARCHIVE: Final = 32 * 1024  # and in its own class

MINIMUM_DAYS: Final[Mapping[StorageClass, int]] = MappingProxyType(
    {StorageClass.STANDARD: 0, StorageClass.GLACIER: 90, StorageClass.DEEP_ARCHIVE: 180}
)


@dataclass(frozen=True, slots=True)
class RetrievalPrice:
    """Of one mode: per GiB, and per 1,000 objects asked for."""

    gib: float
    requests: float


@dataclass(frozen=True, slots=True)
class ClassPrices:
    """``month``: a GiB for a month. ``put``: 1,000 uploads. ``retrieval``: the modes this class has."""

    month: float
    put: float
    retrieval: Mapping[RetrievalMode, RetrievalPrice]


RegionPrices = Mapping[StorageClass, ClassPrices]


def _region(
    standard: tuple[float, float],
    glacier: tuple[float, float, RetrievalPrice, RetrievalPrice, RetrievalPrice],
    deep: tuple[float, float, RetrievalPrice, RetrievalPrice],
) -> RegionPrices:
    """Each: per GiB and month, per 1,000 uploads, then retrieval from the quickest mode to the slowest."""
    expedited, usual, bulk = RetrievalMode.EXPEDITED, RetrievalMode.STANDARD, RetrievalMode.BULK
    return MappingProxyType(
        {
            StorageClass.STANDARD: ClassPrices(*standard, MappingProxyType({})),
            StorageClass.GLACIER: ClassPrices(
                glacier[0], glacier[1], MappingProxyType({expedited: glacier[2], usual: glacier[3], bulk: glacier[4]})
            ),
            StorageClass.DEEP_ARCHIVE: ClassPrices(deep[0], deep[1], MappingProxyType({usual: deep[2], bulk: deep[3]})),
        }
    )


_FREE = RetrievalPrice(0.0, 0.0)
_NORTH_AMERICA = _region(
    (0.023, 0.005),
    (0.0036, 0.03, RetrievalPrice(0.03, 10.0), RetrievalPrice(0.01, 0.05), _FREE),
    (0.00099, 0.05, RetrievalPrice(0.02, 0.10), RetrievalPrice(0.0025, 0.025)),
)
_IRELAND = _region(
    (0.023, 0.005),
    (0.0036, 0.03, RetrievalPrice(0.03, 10.0), RetrievalPrice(0.01, 0.055), _FREE),
    (0.00099, 0.05, RetrievalPrice(0.02, 0.10), RetrievalPrice(0.0025, 0.025)),
)
_FRANKFURT = _region(
    (0.0245, 0.0054),
    (0.00405, 0.036, RetrievalPrice(0.036, 12.0), RetrievalPrice(0.012, 0.06), _FREE),
    (0.0018, 0.06, RetrievalPrice(0.024, 0.12), RetrievalPrice(0.003, 0.03)),
)
_REGIONS: Final[Mapping[str, RegionPrices]] = MappingProxyType(
    {
        "us-east-1": _NORTH_AMERICA,
        "us-east-2": _NORTH_AMERICA,
        "us-west-2": _NORTH_AMERICA,
        "eu-west-1": _IRELAND,
        "eu-central-1": _FRANKFURT,
    }
)
_ELSEWHERE: Final = _FRANKFURT  # the dearest we know: an estimate for another Region is rather too high


def prices(region: str | None) -> RegionPrices:
    return _REGIONS.get(region or "", _ELSEWHERE)


def known(region: str | None) -> bool:
    """Whether the table holds this Region's own prices."""
    return region in _REGIONS


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies in one storage class."""

    objects: int
    size_bytes: int


def monthly(region: str | None, stored: Mapping[StorageClass, Stored]) -> float:
    """USD a month for keeping all of it, the overhead of archived objects counted."""
    table = prices(region)
    total = 0.0
    for storage_class, what in stored.items():
        size = what.size_bytes
        if storage_class is not StorageClass.STANDARD:
            size += what.objects * OVERHEAD_ARCHIVE
            total += what.objects * OVERHEAD_STANDARD / GIB * table[StorageClass.STANDARD].month
        total += size / GIB * table[storage_class].month
    return total


@dataclass(frozen=True, slots=True)
class RetrievalCost:
    """USD. ``retrieval``: per GiB; ``requests``: per object; ``copies``: the readable copies, kept as STANDARD."""

    retrieval: float
    requests: float
    copies: float

    @property
    def total(self) -> float:
        return self.retrieval + self.requests + self.copies


def retrieval(
    region: str | None, storage_class: StorageClass, mode: RetrievalMode, asked: Stored, *, days: int
) -> RetrievalCost:
    """Of reading ``asked`` back for ``days``. KeyError for a mode the class does not have."""
    price = prices(region)[storage_class].retrieval[mode]
    return RetrievalCost(
        retrieval=asked.size_bytes / GIB * price.gib,
        requests=asked.objects / 1000 * price.requests,
        copies=copies(region, asked.size_bytes, days),
    )


def copies(region: str | None, size_bytes: int, days: int) -> float:
    """USD for keeping readable copies of this size for ``days`` (more)."""
    return size_bytes / GIB * prices(region)[StorageClass.STANDARD].month * (timedelta(days=days) / MONTH)


def early_deletion(region: str | None, storage_class: StorageClass, size_bytes: int, age: timedelta) -> float:
    """USD charged for the rest of the minimum duration when objects of this ``age`` are deleted now."""
    left = timedelta(days=MINIMUM_DAYS[storage_class]) - age
    if left <= timedelta():
        return 0.0
    return size_bytes / GIB * prices(region)[storage_class].month * (left / MONTH)
