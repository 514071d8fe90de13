"""Deleting restore points: snapshots in AWS, backups in their repository. Used by people, and by retention.

A point goes AVAILABLE → DELETING (decided, durable) → DELETED (nothing of it is left). Deleting is repeated until it succeeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import Cancelled, Conflict, HoldfastError, InvalidInput
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.domain.workload import place
from server.ports import Select, Tx, Where
from server.services import runs
from server.services.context import Services
from server.services.steps import Done, Handler, Next, Run
from server.services.wording import count

AT_ONCE: Final = 100  # points one request may name
OPEN_RESTORES: Final = 500  # running restores and archives looked at for points in use


def delete_points(
    app: Services, caller: Caller, ids: Sequence[UUID], *, dry_run: bool = False, key: str | None = None
) -> Session | None:
    """Delete restore points, a change-tracking base among them too (the next backup then reads the whole disks).

    None when ``dry_run``. Errors: Forbidden, InvalidInput, NotFound, Conflict while a restore reads one of them.
    """
    caller.require(Role.OPERATOR)
    wanted = list(dict.fromkeys(ids))
    if not 1 <= len(wanted) <= AT_ONCE:
        raise InvalidInput("Name the restore points to delete.", fields={"ids": f"Between 1 and {AT_ONCE} points."})
    with app.store.transaction() as tx:
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        found = [tx.points.get(id, lock=True) for id in wanted]
        gone = [point for point in found if point.state is not PointState.AVAILABLE]
        if gone:
            raise Conflict(f"{describe(gone[0])} is being deleted already, or is deleted.")
        _refuse_in_use(tx, found)
        _refuse_locked(found, app.clock.now())
        if dry_run:
            return None
        mark_deleting(tx, found)
        names = sorted({point.resource_name for point in found})
        draft = runs.SessionDraft(
            kind=SessionKind.DELETE_POINTS,
            name=f"Delete {count(len(found), 'restore point')} of {names[0] if len(names) == 1 else f'{len(names)} resources'}",
            requested_by=caller.name,
            key=key,
        )
        document = {"points": [str(point.id) for point in found]}
        return runs.begin(tx, app, draft, [runs.TaskDraft(kind=TaskKind.DELETE_POINTS, name="Delete", document=document)])


def _refuse_in_use(tx: Tx, found: Sequence[RestorePoint]) -> None:
    used = points_in_use(tx)
    for point in found:
        if point.id in used:
            raise Conflict(
                f"{describe(point)} is being restored from, or archived.", remedy="Wait for that to end, or cancel it."
            )


def _refuse_locked(found: Sequence[RestorePoint], now: datetime) -> None:
    for point in found:
        if point.locked_until is not None and point.locked_until > now:
            raise Conflict(
                f"{describe(point)} is immutable: its data is locked until {point.locked_until:%Y-%m-%d %H:%M} UTC.",
                remedy="It goes by retention; nobody can free its space before the lock ends.",
            )


def points_in_use(tx: Tx) -> set[UUID]:
    """Points that running restores and archives read."""
    where = (
        Where("kind", "in", (SessionKind.VOLUME_RESTORE, SessionKind.INSTANCE_RESTORE, SessionKind.ARCHIVE)),
        Where("state", "in", (State.PENDING, State.RUNNING)),
    )
    found: set[UUID] = set()
    for session in tx.sessions.page(Select(where=where, limit=OPEN_RESTORES)):
        read = session.document["pointIds"] if session.kind is SessionKind.ARCHIVE else [session.document["pointId"]]
        found.update(map(UUID, read))
    return found


def describe(point: RestorePoint) -> str:
    """``The backup of web-1 of 2026-05-04 03:00 UTC``."""
    return f"The {point.leg.value} of {point.resource_name} of {point.at:%Y-%m-%d %H:%M} UTC"


def mark_deleting(tx: Tx, found: Iterable[RestorePoint]) -> None:
    for point in found:
        tx.points.save(replace(point, state=PointState.DELETING, base=False))


def destroy(run: Run, point: RestorePoint) -> None:
    """Remove a DELETING point for good and mark it DELETED. Repeating it is harmless. Errors: those of AWS or the store."""
    with run.app.store.transaction() as tx:
        account = tx.accounts.get(point.account_id)
        repository = tx.repositories.get(point.repository_id) if point.repository_id else None
    if point.leg is Leg.SNAPSHOT:
        where = place(account, point.region)
        run.app.workloads[point.workload].delete_snapshot(where, point.document)
    elif repository is not None:
        run.app.open_repository(repository).forget(point.id)
    with run.app.store.transaction() as tx:
        tx.points.save(replace(tx.points.get(point.id, lock=True), state=PointState.DELETED, base=False))
        message = f"{describe(point)} was deleted."
        now = run.app.clock.now()
        tx.activity.append(at=now, kind="restore_point", subject_id=point.id, change="removed", message=message)


@dataclass(slots=True)
class Tally:
    """What became of a batch."""

    deleted: int = 0
    failed: int = 0

    def state(self) -> State:
        return State.WARNING if self.failed else State.SUCCESS

    def sentence(self) -> str:
        text = f"{count(self.deleted, 'restore point')} deleted"
        return f"{text}, {self.failed} could not be deleted and will be tried again." if self.failed else f"{text}."


def destroy_all(run: Run, doomed: Iterable[tuple[RestorePoint, str]]) -> Tally:
    """Destroy each of ``(point, reason)``, telling the log. One that fails is told and left DELETING for the next pass.

    Transient errors are raised, so that the step is repeated.
    """
    tally = Tally()
    for point, reason in doomed:
        run.check()
        try:
            destroy(run, point)
        except Cancelled:
            raise
        except HoldfastError as error:
            if error.transient:
                raise
            tally.failed += 1
            run.log(f"{describe(point)} could not be deleted: {error.sentence()}", Level.WARNING, code=error.code)
        else:
            tally.deleted += 1
            run.log(f"{describe(point)} was deleted{': ' + reason if reason else '.'}", pointId=str(point.id))
    return tally


def _step(run: Run) -> Next | Done:
    with run.app.store.transaction() as tx:
        found = tx.points.many(UUID(text) for text in run.task.document["points"])
    doomed = [point for point in found.values() if point.state is PointState.DELETING]
    tally = destroy_all(run, ((point, "") for point in doomed))
    state = State.ERROR if tally.failed and not tally.deleted else tally.state()
    return Done(state=state, message=tally.sentence(), document={"result": {"deleted": tally.deleted, "failed": tally.failed}})


HANDLER: Final = Handler(step=_step)
