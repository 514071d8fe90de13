"""What protecting a resource will cost a month, once every retention has filled: per leg, from list prices. Pure.

The model
1. A disk's data changes at a constant share a day, any block as likely as any other: after ``d`` days ``1 - (1 - share) ** d``
   of it differ. So the first kept point of a chain takes what the disks hold, each later one what changed since the one before,
   as EBS and our repositories bill it: a block is paid for once however many points share it.
2. What is read, sent and written a month follows from the runs of the last year, were the policy that old.
3. The appliance is taken to run in the repository's Region: what is read in another one crosses, not compressed yet.

Shares nobody has measured yet are assumptions, named in the answer. A GiB is what AWS calls a GB.
"""

from __future__ import annotations

import enum
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from server.domain import cost
from server.domain.cost import GIB, MONTH, Prices, Stored
from server.domain.repository import StorageClass
from server.domain.restore import Leg

YEAR = timedelta(days=365)
DAY = timedelta(days=1)
BLOCK = 512 * 1024  # bytes one EBS direct API call reads
LISTED = 10_000  # blocks one page of a list names
PACK = 16 * 2**20  # bytes of an object in a backup repository, and of a part of one in an archive
ARCHIVE_PACK = 512 * 2**20
# Counted while an instance of two disks was backed up: what is put besides data (trees, manifest, marks) and listed, which
# costs the same; and what is read or looked at.
OBJECTS_PER_POINT = 7
READS_PER_POINT = 12
KMS_PER_COPY = 2  # a data key made, and one opened, for each encrypted copy


class Component(enum.Enum):
    STORAGE = "storage"
    BASE = "base"  # the change-tracking base, where retention alone would have removed it
    TRANSFER = "transfer"
    REQUESTS = "requests"
    EARLY_DELETION = "early_deletion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Percent, for what was not measured: of a disk's data changing a day, of a disk holding data at all, and left of what is
    read when it is stored (compressed, and shared blocks once)."""

    change: float = 5.0
    used: float = 100.0
    stored: float = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """From a resource's own backups, None while there are none: bytes its disks hold, the share of them that changes a day, the
    share of what was read that was stored."""

    used_bytes: int | None = None
    change: float | None = None
    stored: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A resource to protect; its disks are those no exclusion leaves out."""

    id: UUID
    name: str
    aws_id: str
    region: str
    disks: int
    encrypted_disks: int
    size_bytes: int
    measured: Measured = field(default_factory=Measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Points of one leg if the policy had always run: those kept now, ascending, and the runs of the last year that made any.
    ``lifetime``: how old points get, where ages decide."""

    kept: tuple[datetime, ...] = ()
    runs: tuple[datetime, ...] = ()
    lifetime: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A repository. ``kms``: a KMS key opens it. ``local``: on a disk of our own, for which AWS charges nothing; ``region`` is
    then its source's."""

    region: str
    storage_class: StorageClass = StorageClass.STANDARD
    kms: bool = False
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a policy does with resources of one Region. Legs without a chain make nothing. ``replica``: the Region copies go to,
    ``encrypts`` whether all of them are encrypted there."""

    region: str
    chains: Mapping[Leg, Chain]
    tracks_changes: bool = True
    verify: bool = False
    backup: Shelf | None = None
    archive: Shelf | None = None
    replica: str | None = None
    encrypts: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """``what`` in words; ``unit`` of ``quantity``; ``usd`` a month. ``region``: whose prices."""

    leg: Leg
    component: Component
    what: str
    region: str
    quantity: float
    unit: str
    usd: float


@dataclass(frozen=True, slots=True)
class Row:
    """One resource."""

    subject: Subject
    lines: tuple[Line, ...]

    @property
    def usd(self) -> float:
        return sum(line.usd for line in self.lines)


# ---- data that changes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shape:
    """A chain without its dates: how many points are kept, the days between neighbours (days → how often), and the same of the
    runs of a year."""

    kept: int
    kept_gaps: Mapping[float, int]
    runs: int
    run_gaps: Mapping[float, int]


def shape(chain: Chain) -> Shape:
    runs = _gaps(chain.runs)
    if chain.runs:
        runs[YEAR / DAY / len(chain.runs)] += 1  # between the first one and the one before it, a year ago or so
    return Shape(len(chain.kept), _gaps(chain.kept), len(chain.runs), runs)


def _gaps(moments: Sequence[datetime]) -> Counter[float]:
    return Counter((later - earlier) / DAY for earlier, later in pairwise(moments))


@dataclass(frozen=True, slots=True)
class Data:
    """What the disks of a resource hold, with the shares that apply to it."""

    used: float  # bytes
    change: float  # share a day
    stored: float  # share

    def changed(self, days: float) -> float:
        """Bytes that differ after that many days."""
        return self.used * (1.0 - math.pow(1.0 - self.change, days))

    def unique(self, points: Shape) -> float:
        """Bytes all kept points take together."""
        if not points.kept:
            return 0.0
        return self.used + sum(self.changed(days) * often for days, often in points.kept_gaps.items())

    def flow(self, points: Shape) -> float:
        """Bytes the runs of a month find changed."""
        year = sum(self.changed(days) * often for days, often in points.run_gaps.items())
        return year * (MONTH / YEAR)


def data(subject: Subject, assumed: Assumptions) -> Data:
    measured = subject.measured
    used = measured.used_bytes if measured.used_bytes is not None else subject.size_bytes * assumed.used / 100
    return Data(
        used=min(float(used), float(subject.size_bytes)),
        change=min(measured.change if measured.change is not None else assumed.change / 100, 1.0),
        stored=min(measured.stored if measured.stored is not None else assumed.stored / 100, 1.0),
    )


# ---- what it costs ----------------------------------------------------------------------------------------------------


def estimate(
    subjects: Iterable[Subject], plans: Mapping[str, Plan], prices: Mapping[str, Prices], assumed: Assumptions
) -> list[Row]:
    """A row per subject. ``plans``: by source Region; ``prices``: of every Region a plan names. Lines that cost nothing because
    nothing is done are left out."""
    shapes = {region: {leg: shape(chain) for leg, chain in plan.chains.items()} for region, plan in plans.items()}
    held = {region: _with_base(plan) for region, plan in plans.items()}
    rows = []
    for subject in subjects:
        region = subject.region
        work = _Work(subject, data(subject, assumed), plans[region], shapes[region], held[region], prices)
        rows.append(Row(subject, tuple(line for line in work.lines() if line.quantity > 0)))
    return rows


def _with_base(plan: Plan) -> Shape | None:
    """The snapshots kept, and the change-tracking base; None when no base is held besides."""
    kept = plan.chains.get(Leg.SNAPSHOT, Chain()).kept
    backups = plan.chains.get(Leg.BACKUP, Chain()).runs
    if not plan.tracks_changes or plan.backup is None or not backups or backups[-1] in kept:
        return None
    return shape(Chain(kept=tuple(sorted((*kept, backups[-1])))))


@dataclass(frozen=True, slots=True)
class _Work:
    """One subject's part of the sums. ``held``: the snapshots with the change-tracking base, where it is one more."""

    subject: Subject
    data: Data
    plan: Plan
    shapes: Mapping[Leg, Shape]
    held: Shape | None
    prices: Mapping[str, Prices]

    def lines(self) -> Iterator[Line]:
        yield from self._snapshots()
        if self.plan.replica is not None and Leg.REPLICA in self.shapes:
            yield from self._replicas(self.plan.replica, self.shapes[Leg.REPLICA])
        if self.plan.backup is not None and Leg.BACKUP in self.shapes:
            yield from self._backups(self.plan.backup, self.shapes[Leg.BACKUP])
            if self.plan.archive is not None and Leg.ARCHIVE in self.shapes:
                yield from self._archives(self.plan.backup, self.plan.archive, self.shapes[Leg.ARCHIVE])

    def _monthly(self, points: Shape) -> float:
        return points.runs * (MONTH / YEAR)

    def _snapshots(self) -> Iterator[Line]:
        region = self.plan.region
        price = self.prices[region].snapshot
        gib = self.data.unique(self.shapes.get(Leg.SNAPSHOT, shape(Chain()))) / GIB
        yield Line(Leg.SNAPSHOT, Component.STORAGE, "Snapshots", region, gib, "GiB-months", gib * price)
        if self.held is not None:
            more = self.data.unique(self.held) / GIB - gib
            yield Line(Leg.SNAPSHOT, Component.BASE, "Change-tracking base", region, more, "GiB-months", more * price)

    def _replicas(self, target: str, points: Shape) -> Iterator[Line]:
        source, there = self.prices[self.plan.region], self.prices[target]
        gib, sent = self.data.unique(points) / GIB, self.data.flow(points) / GIB
        yield Line(Leg.REPLICA, Component.STORAGE, "Replicas", target, gib, "GiB-months", gib * there.snapshot)
        if target != self.plan.region:
            usd = sent * source.to_region(target)
            yield Line(Leg.REPLICA, Component.TRANSFER, f"Sent to {target}", self.plan.region, sent, "GiB", usd)
        disks = self.subject.disks if self.plan.encrypts else self.subject.encrypted_disks
        asked = disks * KMS_PER_COPY * self._monthly(points)
        yield _requests(Leg.REPLICA, "KMS requests", there, asked, there.kms)

    def _backups(self, shelf: Shelf, points: Shape) -> Iterator[Line]:
        source, runs = self.prices[self.plan.region], self._monthly(points)
        read = self.data.flow(points) if self.plan.tracks_changes else self.data.used * runs
        if shelf.region != self.plan.region:
            gib = read / GIB
            usd = gib * source.to_region(shelf.region)
            yield Line(Leg.BACKUP, Component.TRANSFER, f"Sent to {shelf.region}", self.plan.region, gib, "GiB", usd)
        lists = max(read / BLOCK / LISTED, runs * self.subject.disks)
        yield _requests(Leg.BACKUP, "Snapshot blocks read", source, read / BLOCK, source.direct.reads)
        yield _requests(Leg.BACKUP, "Lists of snapshot blocks", source, lists, source.direct.lists)
        asked = runs * (self.subject.encrypted_disks + (1 if shelf.kms else 0))
        yield _requests(Leg.BACKUP, "KMS requests", source, asked, source.kms)
        if not shelf.local:
            yield from self._in_bucket(shelf, points, runs)

    def _in_bucket(self, shelf: Shelf, points: Shape, runs: float) -> Iterator[Line]:
        there = self.prices[shelf.region]
        stored = self.data.unique(points) * self.data.stored
        written = self.data.flow(points) * self.data.stored
        usd = cost.monthly(there, {StorageClass.STANDARD: Stored(0, round(stored))})
        yield Line(Leg.BACKUP, Component.STORAGE, "Backups", shelf.region, stored / GIB, "GiB-months", usd)
        puts = written / PACK + runs * OBJECTS_PER_POINT
        yield _requests(Leg.BACKUP, "Uploads", there, puts, there.storage[StorageClass.STANDARD].put)
        gets = runs * READS_PER_POINT + (written / PACK if self.plan.verify else 0.0)
        yield _requests(Leg.BACKUP, "Downloads", there, gets, there.get)

    def _archives(self, backup: Shelf, shelf: Shelf, points: Shape) -> Iterator[Line]:
        here, there = self.prices[backup.region], self.prices[shelf.region]
        runs = self._monthly(points)
        stored = self.data.unique(points) * self.data.stored
        written = self.data.flow(points) * self.data.stored
        objects = round(stored / ARCHIVE_PACK) + points.kept
        usd = cost.monthly(there, {shelf.storage_class: Stored(objects, round(stored))})
        yield Line(Leg.ARCHIVE, Component.STORAGE, "Archives", shelf.region, stored / GIB, "GiB-months", usd)
        if backup.region != shelf.region:
            usd = written / GIB * here.to_region(shelf.region)
            what = f"Sent to {shelf.region}"
            yield Line(Leg.ARCHIVE, Component.TRANSFER, what, backup.region, written / GIB, "GiB", usd)
        yield _requests(Leg.ARCHIVE, "Downloads", here, written / PACK + runs * READS_PER_POINT, here.get)
        # parts and small objects are billed as STANDARD, only the completion of an archived object in its class
        puts = written / PACK + runs * OBJECTS_PER_POINT
        yield _requests(Leg.ARCHIVE, "Uploads", there, puts, there.storage[StorageClass.STANDARD].put)
        packs = written / ARCHIVE_PACK + runs
        yield _requests(Leg.ARCHIVE, "Archived objects", there, packs, there.storage[shelf.storage_class].put)
        yield from self._early(shelf, written)

    def _early(self, shelf: Shelf, written: float) -> Iterator[Line]:
        """What leaves a month is what comes; leaving young, it is charged for the rest of the class's minimum."""
        lifetime = self.plan.chains[Leg.ARCHIVE].lifetime
        if lifetime is None:
            return
        usd = cost.early_deletion(self.prices[shelf.region], shelf.storage_class, round(written), lifetime)
        if usd > 0:
            what = f"Deleted before {cost.MINIMUM_DAYS[shelf.storage_class]} days"
            yield Line(Leg.ARCHIVE, Component.EARLY_DELETION, what, shelf.region, written / GIB, "GiB", usd)


def _requests(leg: Leg, what: str, prices: Prices, number: float, price: float) -> Line:
    return Line(leg, Component.REQUESTS, what, prices.region, number, "requests", number / 1000 * price)


def totals(rows: Iterable[Row]) -> dict[tuple[Leg, Component], float]:
    """USD a month by leg and component, legs in their order."""
    found: defaultdict[tuple[Leg, Component], float] = defaultdict(float)
    for row in rows:
        for line in row.lines:
            found[line.leg, line.component] += line.usd
    return {(leg, component): found[leg, component] for leg in Leg for component in Component if (leg, component) in found}
