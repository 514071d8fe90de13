"""Retrievals people ask for: archived points made readable for some days, kept so for longer, and what it would cost.

A task goes ``start`` → ``wait`` (again and again, without holding a worker); an extension is done in its first step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from server.domain import archive, cost
from server.domain import repository as stored
from server.domain.access import Caller, Role
from server.domain.errors import Conflict, InvalidInput
from server.domain.repository import RetrievalMode, StorageClass
from server.domain.restore import Leg, PointState, RestorePoint, RetrievalState
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.ports import Select, Tx, Where
from server.repository.retrieval import needed, survey
from server.services import prices, runs, thawing
from server.services.context import Services
from server.services.points import describe
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count

AT_ONCE: Final = 100  # points one request may name
OPEN_MAX: Final = 500  # running retrievals looked at


# ---- starting ---------------------------------------------------------------------------------------------------------


def retrieve_points(
    app: Services,
    caller: Caller,
    ids: Sequence[UUID],
    *,
    mode: RetrievalMode,
    days: int,
    dry_run: bool = False,
    key: str | None = None,
) -> Session | None:
    """Make archived points readable for ``days``. None when ``dry_run``.

    Errors: Forbidden, InvalidInput (``fields``), NotFound, Conflict (deleted, being retrieved, readable already).
    """
    caller.require(Role.RESTORE_OPERATOR)
    wanted = list(dict.fromkeys(ids))
    if not 1 <= len(wanted) <= AT_ONCE:
        raise InvalidInput("Name the points to retrieve.", fields={"pointIds": f"Between 1 and {AT_ONCE} points."})
    with app.store.transaction() as tx:
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        found = [_archived(tx, id, lock=True) for id in wanted]
        busy = _under_way(tx)
        for point, row in found:
            archive.check_order(row.storage_class, mode, days)
            if point.id in busy:
                raise Conflict(f"{describe(point)} is being retrieved already.", remedy="Wait for it, or cancel its session.")
            stale = point.retrieval is not None and point.retrieval.state is RetrievalState.REQUESTED
            archive.asked(None if stale else point.retrieval, mode, days, app.clock.now())
        if dry_run:
            return None
        points = [point for point, _ in found]
        order = {"mode": mode.value, "days": days}
        draft = _draft(f"Retrieve {count(len(points), 'archive')}", caller, points, key)
        return runs.begin(tx, app, draft, [_task(point, order) for point in points])


def extend_retrieval(
    app: Services, caller: Caller, point_id: UUID, *, days: int, dry_run: bool = False, key: str | None = None
) -> Session | None:
    """Keep a readable copy ``days`` longer than it would be kept now. None when ``dry_run``. Errors: as ``retrieve_points``."""
    caller.require(Role.RESTORE_OPERATOR)
    with app.store.transaction() as tx:
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        point, row = _archived(tx, point_id, lock=True)
        now = app.clock.now()
        until = archive.extended_until(point.retrieval, days, now)
        assert point.retrieval is not None  # else there was nothing to extend
        archive.check_order(row.storage_class, point.retrieval.mode, days)
        if point.id in _under_way(tx):
            raise Conflict(f"{describe(point)} is being retrieved or extended already.", remedy="Wait for its session to end.")
        if archive.days_to_ask(until, now) > archive.DAYS_MAX:
            wrong = f"A readable copy is kept at most {archive.DAYS_MAX} days from now."
            raise InvalidInput(wrong, fields={"days": wrong})
        if dry_run:
            return None
        order = {"mode": point.retrieval.mode.value, "days": days, "until": until.isoformat()}
        return runs.begin(tx, app, _draft("Extend the retrieval", caller, [point], key), [_task(point, order)])


def _archived(tx: Tx, point_id: UUID, *, lock: bool = False) -> tuple[RestorePoint, stored.Repository]:
    point = tx.points.get(point_id, lock=lock)
    if point.leg is not Leg.ARCHIVE or point.repository_id is None:
        wrong = f"{describe(point)} needs no retrieval: only archives do."
        raise InvalidInput(wrong, fields={"pointIds": wrong})
    if point.state is not PointState.AVAILABLE:
        raise Conflict(f"{describe(point)} has been deleted.", remedy="Choose another restore point.")
    return point, tx.repositories.get(point.repository_id)


def _under_way(tx: Tx) -> set[UUID]:
    where = (Where("kind", "eq", SessionKind.RETRIEVAL), Where("state", "in", (State.PENDING, State.RUNNING)))
    sessions = tx.sessions.page(Select(where=where, limit=OPEN_MAX))
    return {UUID(text) for session in sessions for text in session.document["pointIds"]}


def _draft(what: str, caller: Caller, points: Sequence[RestorePoint], key: str | None) -> runs.SessionDraft:
    names = sorted({point.resource_name for point in points})
    whose = names[0] if len(names) == 1 else f"{len(names)} resources"
    return runs.SessionDraft(
        kind=SessionKind.RETRIEVAL,
        name=f"{what} of {whose}",
        requested_by=caller.name,
        key=key,
        document={"pointIds": [str(point.id) for point in points]},
    )


def _task(point: RestorePoint, order: Mapping[str, object]) -> runs.TaskDraft:
    return runs.TaskDraft(
        kind=TaskKind.RETRIEVE_POINT,
        name=point.resource_name,
        resource_id=point.resource_id,
        document={"pointId": str(point.id), **order},
    )


# ---- what it would cost -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of a retrieval not begun yet. ``packs`` and ``size_bytes``: what would be asked for; ``readable_bytes`` need not be.
    ``ready_from``, ``ready_by``: when the data would be there. ``exact_region`` False: the Region's own prices are unknown."""

    storage_class: StorageClass
    packs: int
    size_bytes: int
    readable_bytes: int
    cost: cost.RetrievalCost
    ready_from: datetime
    ready_by: datetime
    prices_of: date
    exact_region: bool


def estimate(
    app: Services, caller: Caller, point_id: UUID, *, mode: RetrievalMode, days: int, disks: Sequence[str] = ()
) -> Estimate:
    """What retrieving the point, or some disks of it, would take and cost. Reads the repository; changes nothing.

    Errors: Forbidden, InvalidInput, NotFound, Conflict, those of the repository.
    """
    caller.require(Role.RESTORE_OPERATOR)
    with app.store.transaction() as tx:
        point, row = _archived(tx, point_id)
    archive.check_order(row.storage_class, mode, days)
    repository = app.open_repository(row)
    found = survey(repository, needed(repository, repository.point(point.id), disks))
    asleep = cost.Stored(found.asleep, found.asleep_bytes)
    ready_from, ready_by = archive.expected(row.storage_class, mode, app.clock.now())
    price = prices.of_region(app, row.region)
    return Estimate(
        storage_class=row.storage_class,
        packs=found.asleep,
        size_bytes=found.asleep_bytes,
        readable_bytes=found.size_bytes - found.asleep_bytes,
        cost=cost.retrieval(price, row.storage_class, mode, asleep, days=days),
        ready_from=ready_from,
        ready_by=ready_by,
        prices_of=price.published,
        exact_region=price.exact,
    )


# ---- the task ---------------------------------------------------------------------------------------------------------


def _order(run: Run) -> thawing.Order:
    document = run.task.document
    with run.app.store.transaction() as tx:
        point, row = _archived(tx, UUID(document["pointId"]))
    days = int(document["days"])
    return thawing.Order(
        point=point,
        row=row,
        repository=run.app.open_repository(row),
        mode=RetrievalMode(document["mode"]),
        days=days,
        least=timedelta(days=days),
    )


def _step(run: Run) -> Next | Done:
    order = _order(run)
    if run.task.stage == "start":
        if "until" in run.task.document:
            return _extend(run, order)
        return thawing.begin(run, order, stage="wait")
    seen = thawing.look(run, order, again="start")
    if isinstance(seen, Next):
        return seen
    return _readable(run, order, seen.until, datetime.fromisoformat(run.task.document["thaw"]["askedAt"]))


def _extend(run: Run, order: thawing.Order) -> Next | Done:
    until = thawing.prolong(run, order, datetime.fromisoformat(run.task.document["until"]))
    if until is None:
        run.log(f"{run.task.name}: a readable copy had ended meanwhile and is retrieved again.", Level.WARNING)
        return thawing.begin(run, order, stage="wait")
    asked_at = order.point.retrieval.requested_at if order.point.retrieval else run.app.clock.now()
    return _readable(run, order, until, asked_at)


def _readable(run: Run, order: thawing.Order, until: datetime | None, asked_at: datetime) -> Done:
    text = f"{run.task.name}: readable until {until:%Y-%m-%d %H:%M} UTC." if until else f"{run.task.name}: readable."
    return Done(
        message=text,
        document={"result": {"pointId": str(order.point.id), "availableUntil": until.isoformat() if until else None}},
        lines=(Line(text, Level.SUCCESS),),
        change=lambda tx: thawing.note_readable(tx, order, until, asked_at),
    )


def _withdraw(run: Run) -> None:
    thawing.withdraw(run, UUID(run.task.document["pointId"]))


HANDLER: Final = Handler(step=_step, cleanup=_withdraw)
