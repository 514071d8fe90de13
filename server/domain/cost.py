"""What AWS charges for what Holdfast keeps, moves and asks: list prices of a Region, and the sums made from them. Pure.

Prices are USD, before tax, discounts and free tiers, of the first volume tier; a GiB is what AWS's price lists call a GB. They
come from AWS's price list (``domain.price_list``) or, until it was read, from the bundled table below, taken from the public
lists of ``PRICES_OF``. Rules not found in a price list are from the S3 user guide: objects in archive classes carry 40 KiB of
overhead, 8 of it billed as STANDARD; those deleted before their class's minimum duration are billed for the rest of it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from server.domain.repository import RetrievalMode, StorageClass

PRICES_OF: Final = date(2025, 6, 1)  # the price lists the bundled table was taken from
GIB: Final = 2**30
MONTH: Final = timedelta(days=30)
OVERHEAD_STANDARD: Final = 8 * 1024  # bytes per archived object, billed as STANDARD
OVERHEAD_ARCHIVE: Final = 32 * 1024  # and in its own class

MINIMUM_DAYS: Final[Mapping[StorageClass, int]] = MappingProxyType(
    {StorageClass.STANDARD: 0, StorageClass.GLACIER: 90, StorageClass.DEEP_ARCHIVE: 180}
)


class PriceSource(enum.Enum):
    BUNDLED = "bundled"  # the table of this version
    PRICE_LIST = "price_list"  # AWS's, of the day it says


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


@dataclass(frozen=True, slots=True)
class DirectPrices:
    """EBS direct APIs, per 1,000: lists asked for, blocks of 512 KiB read and written."""

    lists: float
    reads: float
    writes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Of one Region. ``snapshot``: a GiB of snapshot for a month. ``get``: 1,000 downloads from S3. ``kms``: 1,000 requests.
    ``transfer``: a GiB to each other Region; to those not named, ``transfer_elsewhere``. ``exact`` False: they are not this
    Region's own but a dear one's. ``missing``: rates AWS's list did not have; they are the bundled ones."""

    region: str
    source: PriceSource
    published: date
    exact: bool
    snapshot: float
    direct: DirectPrices
    storage: Mapping[StorageClass, ClassPrices]
    get: float
    kms: float
    transfer: Mapping[str, float]
    transfer_elsewhere: float
    missing: tuple[str, ...] = ()

    def to_region(self, other: str) -> float:
        """A GiB sent from here to ``other``; nothing within the Region."""
        return 0.0 if other == self.region else self.transfer.get(other, self.transfer_elsewhere)


# ---- the bundled table ------------------------------------------------------------------------------------------------


def _storage(
    standard: tuple[float, float],
    glacier: tuple[float, float, RetrievalPrice, RetrievalPrice, RetrievalPrice],
    deep: tuple[float, float, RetrievalPrice, RetrievalPrice],
) -> Mapping[StorageClass, ClassPrices]:
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
_NORTH_AMERICA = _storage(
    (0.023, 0.005),
    (0.0036, 0.03, RetrievalPrice(0.03, 10.0), RetrievalPrice(0.01, 0.05), _FREE),
    (0.00099, 0.05, RetrievalPrice(0.02, 0.10), RetrievalPrice(0.0025, 0.025)),
)
_IRELAND = _storage(
    (0.023, 0.005),
    (0.0036, 0.03, RetrievalPrice(0.03, 10.0), RetrievalPrice(0.01, 0.055), _FREE),
    (0.00099, 0.05, RetrievalPrice(0.02, 0.10), RetrievalPrice(0.0025, 0.025)),
)
_FRANKFURT = _storage(
    (0.0245, 0.0054),
    (0.00405, 0.036, RetrievalPrice(0.036, 12.0), RetrievalPrice(0.012, 0.06), _FREE),
    (0.0018, 0.06, RetrievalPrice(0.024, 0.12), RetrievalPrice(0.003, 0.03)),
)
_DIRECT = DirectPrices(lists=0.0006, reads=0.003, writes=0.006)
# Virginia's and a fifth: what Frankfurt takes more for S3 requests. An estimate is rather too high.
_DIRECT_DEAR = DirectPrices(lists=0.00072, reads=0.0036, writes=0.0072)
_KMS = 0.003
_NEAR: Final = 0.02  # a GiB between Regions of North America and Europe
_FAR: Final = 0.147  # out of the Region AWS charges most for
_OHIO_TO_VIRGINIA: Final = MappingProxyType({"us-east-1": 0.01})
_VIRGINIA_TO_OHIO: Final = MappingProxyType({"us-east-2": 0.01})
_NO_EXCEPTION: Final[Mapping[str, float]] = MappingProxyType({})

# snapshot, EBS direct APIs, storage, 1,000 downloads, transfer that differs from _NEAR
_Row = tuple[float, DirectPrices, Mapping[StorageClass, ClassPrices], float, Mapping[str, float]]
_TABLE: Final[Mapping[str, _Row]] = MappingProxyType(
    {
        "us-east-1": (0.05, _DIRECT, _NORTH_AMERICA, 0.0004, _VIRGINIA_TO_OHIO),
        "us-east-2": (0.05, _DIRECT, _NORTH_AMERICA, 0.0004, _OHIO_TO_VIRGINIA),
        "us-west-2": (0.05, _DIRECT, _NORTH_AMERICA, 0.0004, _NO_EXCEPTION),
        "eu-west-1": (0.05, _DIRECT_DEAR, _IRELAND, 0.0004, _NO_EXCEPTION),
        "eu-central-1": (0.054, _DIRECT_DEAR, _FRANKFURT, 0.00043, _NO_EXCEPTION),
    }
)
_ELSEWHERE: Final[_Row] = (0.068, _DIRECT_DEAR, _FRANKFURT, 0.00043, _NO_EXCEPTION)  # the dearest we know


def bundled(region: str | None) -> Prices:
    """The table's prices of a Region; of one it does not have, the dearest it knows, and ``exact`` is False."""
    exact = region in _TABLE
    snapshot, direct, storage, get, transfer = _TABLE.get(region or "", _ELSEWHERE)
    return Prices(
        region=region or "",
        source=PriceSource.BUNDLED,
        published=PRICES_OF,
        exact=exact,
        snapshot=snapshot,
        direct=direct,
        storage=storage,
        get=get,
        kms=_KMS,
        transfer=transfer,
        transfer_elsewhere=_NEAR if exact else _FAR,
    )


# ---- sums -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies in one storage class."""

    objects: int
    size_bytes: int


def monthly(prices: Prices, stored: Mapping[StorageClass, Stored]) -> float:
    """USD a month for keeping all of it in S3, the overhead of archived objects counted."""
    total = 0.0
    for storage_class, what in stored.items():
        size = what.size_bytes
        if storage_class is not StorageClass.STANDARD:
            size += what.objects * OVERHEAD_ARCHIVE
            total += what.objects * OVERHEAD_STANDARD / GIB * prices.storage[StorageClass.STANDARD].month
        total += size / GIB * prices.storage[storage_class].month
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


def retrieval(prices: Prices, storage_class: StorageClass, mode: RetrievalMode, asked: Stored, *, days: int) -> RetrievalCost:
    """Of reading ``asked`` back for ``days``. KeyError for a mode the class does not have."""
    price = prices.storage[storage_class].retrieval[mode]
    return RetrievalCost(
        retrieval=asked.size_bytes / GIB * price.gib,
        requests=asked.objects / 1000 * price.requests,
        copies=copies(prices, asked.size_bytes, days),
    )


def copies(prices: Prices, size_bytes: int, days: int) -> float:
    """USD for keeping readable copies of this size for ``days`` (more)."""
    return size_bytes / GIB * prices.storage[StorageClass.STANDARD].month * (timedelta(days=days) / MONTH)


def early_deletion(prices: Prices, storage_class: StorageClass, size_bytes: int, age: timedelta) -> float:
    """USD charged for the rest of the minimum duration when objects of this ``age`` are deleted now."""
    left = timedelta(days=MINIMUM_DAYS[storage_class]) - age
    if left <= timedelta():
        return 0.0
    return size_bytes / GIB * prices.storage[storage_class].month * (left / MONTH)
