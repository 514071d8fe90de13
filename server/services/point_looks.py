"""A look at the snapshots of one Region: where, what is known of them here, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from server.domain.restore import IN_AWS, PointState, RestorePoint
from server.domain.workload import Account, Place, place
from server.ports import Order, Select, Tx, Where, Workload
from server.services.steps import Run
from server.services.wording import count

PAGE: Final = 500  # points read at a time


@dataclass(slots=True)
class Counts:
    """Points: there, imported, back, lost, no longer whole, marked anew; ignored: another appliance's, those never whole."""

    seen: int = 0
    new: int = 0
    back: int = 0
    lost: int = 0
    harmed: int = 0
    marked: int = 0
    foreign: int = 0
    partial: int = 0

    def changes(self) -> str:
        """ "" when there are none."""
        named = (
            (self.new, "imported"),
            (self.back, "back"),
            (self.lost, "lost"),
            (self.harmed, "no longer whole"),
            (self.marked, "marked again"),
        )
        parts = [f"{number} {what}" for number, what in named if number]
        return f"{count(self.seen, 'point')} in snapshots, {', '.join(parts)}" if parts else ""

    def ignored(self) -> str:
        """ "" when there are none."""
        parts = [f"{count(self.foreign, 'point')} of another appliance"] if self.foreign else []
        parts += [f"{count(self.partial, 'point')} not all of whose snapshots are there"] if self.partial else []
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Known:
    """An AVAILABLE point. ``disks``: snapshot id → disk id; ``harmed``: disks known to be gone."""

    disks: dict[str, str]
    harmed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Look:
    """At the snapshots of one workload."""

    run: Run
    account: Account
    region: str
    workload: Workload
    counts: Counts = field(default_factory=Counts)

    @property
    def place(self) -> Place:
        return place(self.account, self.region)

    def known(self) -> dict[UUID, Known]:
        """The AVAILABLE points whose snapshots lie here."""
        where = (
            Where("account_id", "eq", self.account.id),
            Where("region", "eq", self.region),
            Where("workload", "eq", self.workload.kind),
            Where("leg", "in", IN_AWS),
            Where("state", "eq", PointState.AVAILABLE),
        )
        with self.run.app.store.transaction() as tx:
            return {point.id: self._of(point) for point in _paged(tx, where)}

    def _of(self, point: RestorePoint) -> Known:
        disks = {disk.snapshot_id: disk.disk_id for disk in self.workload.disks(point.document)}
        return Known(disks, frozenset(each.disk_id for each in point.damage.ranges) if point.damage else frozenset())


def _paged(tx: Tx, where: tuple[Where, ...]) -> Iterator[RestorePoint]:
    after: tuple[Any, ...] | None = None
    while True:
        rows = tx.points.page(Select(where=where, order=(Order("id"),), after=after, limit=PAGE))
        yield from rows
        if len(rows) < PAGE:
            return
        after = (rows[-1].id,)
