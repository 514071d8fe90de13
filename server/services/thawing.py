"""Making an archived point readable: what retrievals and restores have in common. S3 takes minutes to days; no worker waits.

A task's document keeps ``thaw``: ``{"packs": base64 of 16-byte pack ids, "bytes", "arrived": packs known to be readable,
"until": when the first of their copies ends, "askedAt"}``.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from server.domain import archive, cost
from server.domain import repository as stored
from server.domain.errors import Archived
from server.domain.repository import RetrievalMode
from server.domain.restore import RestorePoint, Retrieval, RetrievalState
from server.domain.session import Level, SessionKind
from server.ports import Tx
from server.repository import layout
from server.repository.repository import Repository
from server.repository.retrieval import Survey, arrived, ask, needed, survey
from server.services import prices
from server.services.steps import Line, Next, Run
from server.services.wording import CLASS_NAMES, count, size

POLL_MIN, POLL_MAX = 5.0, 600.0  # seconds between looks: a tenth of the time waited so far, within these


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to become readable. ``disks``: of these only; empty: of all, which is noted with the point. ``least``: how long
    copies that are there already must last at least; shorter ones are prolonged."""

    point: RestorePoint
    row: stored.Repository
    repository: Repository
    mode: RetrievalMode
    days: int
    disks: tuple[str, ...] = ()
    least: timedelta = archive.MARGIN


def begin(run: Run, order: Order, *, stage: str) -> Next:
    """Ask the store for what is not readable yet, and go on at ``stage`` (which calls ``look``). Repeating it is harmless."""
    now = run.app.clock.now()
    manifest = order.repository.point(order.point.id)
    names = needed(order.repository, manifest, order.disks)
    found = survey(order.repository, names, halted=run.halted)
    ask(order.repository, names, mode=order.mode, days=order.days, least=now + order.least, halted=run.halted)
    thaw = {"packs": _packed(names), "bytes": found.size_bytes, "arrived": 0, "until": None, "askedAt": now.isoformat()}
    waits = bool(found.asleep or found.ongoing)
    requested = Retrieval(state=RetrievalState.REQUESTED, mode=order.mode, days=order.days, requested_at=now)

    def change(tx: Tx) -> None:
        if not waits or order.disks:
            return
        point = tx.points.get(order.point.id, lock=True)
        known = archive.current(point.retrieval, now)
        if run.session.kind is SessionKind.RETRIEVAL or known is None or known.state is RetrievalState.EXPIRED:
            tx.points.save(replace(point, retrieval=requested))  # else a retrieval people asked for is under way

    return Next(
        stage=stage,
        document={**run.task.document, "thaw": thaw},
        wait=POLL_MIN if waits else 0.0,
        message="Waiting for AWS to retrieve the data." if waits else "The data is readable.",
        lines=(Line(f"{run.task.name}: {_asked(run, order, found, now)}"),),
        change=change,
    )


def _asked(run: Run, order: Order, found: Survey, now: datetime) -> str:
    if not found.asleep and not found.ongoing:
        return f"{size(found.size_bytes)} of the archive are readable already."
    first, last = archive.expected(order.row.storage_class, order.mode, now)
    when = f"by {last:%Y-%m-%d %H:%M}" if first == last else f"between {first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M}"
    asleep = cost.Stored(found.asleep, found.asleep_bytes)
    listed = prices.of_region(run.app, order.row.region)
    price = cost.retrieval(listed, order.row.storage_class, order.mode, asleep, days=order.days)
    return (
        f"retrieving {size(found.asleep_bytes)} in {count(found.asleep, 'pack')} from {CLASS_NAMES[order.row.storage_class]}, "
        f"{order.mode.value}, for {count(order.days, 'day')}: expected {when} UTC, about {price.total:.2f} USD."
    )


@dataclass(frozen=True, slots=True)
class Readable:
    """Every pack is, until then (None: for good)."""

    until: datetime | None


def look(run: Run, order: Order, *, again: str) -> Next | Readable:
    """How far it is: another look later, back to the stage ``again`` (which calls ``begin``) when a copy was lost, or done."""
    thaw = run.task.document["thaw"]
    names = _names(thaw)
    until = datetime.fromisoformat(thaw["until"]) if thaw["until"] else None
    got = arrived(order.repository, names, start=thaw["arrived"], until=until, halted=run.halted)
    if got.lost:
        text = f"{run.task.name}: readable copies ended, or a request for them was lost; asking again."
        return Next(stage=again, document=_without(run.task.document), lines=(Line(text, Level.WARNING),))
    thaw = {**thaw, "arrived": got.packs, "until": got.until.isoformat() if got.until else None}
    document = {**run.task.document, "thaw": thaw}
    if got.packs == len(names):
        run.save(document)
        return Readable(got.until)
    waited = (run.app.clock.now() - datetime.fromisoformat(thaw["askedAt"])).total_seconds()
    return Next(
        stage=run.task.stage,
        document=document,
        wait=min(POLL_MAX, max(POLL_MIN, waited / 10)),
        message=f"Waiting for AWS to retrieve the data: {got.packs} of {count(len(names), 'pack')} are readable.",
    )


def note_readable(tx: Tx, order: Order, until: datetime | None, asked_at: datetime) -> None:
    """The whole point is readable: say so with it. ``until`` None: there was nothing to retrieve."""
    if order.disks:
        return
    requested = Retrieval(state=RetrievalState.REQUESTED, mode=order.mode, days=order.days, requested_at=asked_at)
    point = tx.points.get(order.point.id, lock=True)
    tx.points.save(replace(point, retrieval=archive.available(point.retrieval or requested, until) if until else None))


def withdraw(run: Run, point_id: UUID) -> None:
    """After a cancelled or failed task: its request is no longer waited for. S3 goes on with it all the same."""
    thaw = run.task.document.get("thaw")
    if thaw is None:
        return
    with run.app.store.transaction() as tx:
        point = tx.points.get(point_id, lock=True)
        mine = point.retrieval is not None and point.retrieval.requested_at.isoformat() == thaw["askedAt"]
        if mine and point.retrieval is not None and point.retrieval.state is RetrievalState.REQUESTED:
            tx.points.save(replace(point, retrieval=None))


def prolong(run: Run, order: Order, until: datetime) -> datetime | None:
    """Keep the readable copies until ``until`` at least; when the first of them ends then. None: some are not there any more,
    and were asked for anew."""
    now = run.app.clock.now()
    thaw = run.task.document.get("thaw")
    names = _names(thaw) if thaw else needed(order.repository, order.repository.point(order.point.id), order.disks)
    days = archive.days_to_ask(until, now)
    ask(order.repository, names, mode=order.mode, days=days, least=until, halted=run.halted)
    got = arrived(order.repository, names, halted=run.halted)
    return min(until, got.until or until) if got.packs == len(names) else None


class Keeper:
    """Sees to it, while somebody reads, that the readable copies do not end: near their end they get another day."""

    def __init__(self, run: Run, order: Order) -> None:
        self._run = run
        self._order = order
        thaw = run.task.document["thaw"]
        self._until = datetime.fromisoformat(thaw["until"]) if thaw["until"] else None

    def tick(self) -> None:
        """Cheap unless the end is near. Archived when a copy is gone already."""
        now = self._run.app.clock.now()
        if self._until is None or not archive.too_short(self._until, now):
            return
        until = prolong(self._run, self._order, max(self._until, now) + timedelta(days=1))
        if until is None:
            raise Archived("The readable copies of the archive ended.", remedy="They are retrieved again.")
        self._until = until
        run, order = self._run, self._order
        thaw = {**run.task.document["thaw"], "until": until.isoformat()}
        run.save({**run.task.document, "thaw": thaw})
        with run.app.store.transaction() as tx:
            point = tx.points.get(order.point.id, lock=True)
            if point.retrieval is not None and not order.disks:
                tx.points.save(replace(point, retrieval=archive.available(point.retrieval, until)))
        run.log(f"{run.task.name}: the readable copies would end soon; they are kept until {until:%Y-%m-%d %H:%M} UTC.")


def _without(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "thaw"}


def _packed(names: Sequence[str]) -> str:
    return base64.b64encode(b"".join(filter(None, map(layout.pack_id_of, names)))).decode()


def _names(thaw: dict[str, Any]) -> list[str]:
    ids = base64.b64decode(thaw["packs"])
    return [layout.data_pack(ids[at : at + 16]) for at in range(0, len(ids), 16)]
