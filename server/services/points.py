"""Deleting restore points: snapshots and replicas in AWS, backups and archives in their repository. By people and retention.

A point goes AVAILABLE → DELETING (decided, durable) → DELETED (nothing of it is left). What it consists of goes first, its row
last, so that nothing is ever left behind unknown; deleting is repeated until it succeeds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import Conflict, HoldfastError, InvalidInput
from server.domain.repository import Repository
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.domain.workload import Account, place
from server.ports import Order, Select, Tx, Where
from server.services import answering, runs
from server.services.context import Services
from server.services.steps import Done, Handler, Next, Run
from server.services.wording import count

AT_ONCE: Final = 100  # points one request may name, and a task deletes
RESOURCES_AT_ONCE: Final = 100  # resources one request may name
SET_MAX: Final = 10_000  # points one request may delete by set
OPEN_SESSIONS: Final = 100_000  # running sessions looked at for points in use: all there can be
NOTED_AT_ONCE: Final = 25  # deletions noted in one transaction
IN_AWS: Final = (Leg.SNAPSHOT, Leg.REPLICA)


class PointSet(enum.Enum):
    """Which points of a resource are to go."""

    ALL_SNAPSHOTS = "all_snapshots"  # with replicas and those made by hand
    MANUAL_SNAPSHOTS = "manual_snapshots"
    LOCAL_SNAPSHOTS = "local_snapshots"  # of policies, where the resource is
    REPLICAS = "replicas"  # of policies
    ALL_BACKUPS = "all_backups"
    STANDARD_BACKUPS = "standard_backups"
    ARCHIVES = "archives"
    EVERYTHING = "everything"

    def holds(self, point: RestorePoint) -> bool:
        legs, manual = _SETS[self]
        return point.leg in legs and (manual is None or point.manual is manual)


_SETS: Final[dict[PointSet, tuple[tuple[Leg, ...], bool | None]]] = {
    PointSet.ALL_SNAPSHOTS: (IN_AWS, None),
    PointSet.MANUAL_SNAPSHOTS: (IN_AWS, True),
    PointSet.LOCAL_SNAPSHOTS: ((Leg.SNAPSHOT,), False),
    PointSet.REPLICAS: ((Leg.REPLICA,), False),
    PointSet.ALL_BACKUPS: ((Leg.BACKUP, Leg.ARCHIVE), None),
    PointSet.STANDARD_BACKUPS: ((Leg.BACKUP,), None),
    PointSet.ARCHIVES: ((Leg.ARCHIVE,), None),
    PointSet.EVERYTHING: (tuple(Leg), None),
}


# ---- by people --------------------------------------------------------------------------------------------------------


def delete_points(
    app: Services, caller: Caller, ids: Sequence[UUID], *, dry_run: bool = False, key: str | None = None
) -> Session | None:
    """Delete restore points, a change-tracking base among them too (the next backup then reads the whole disks).

    None when ``dry_run``. Errors: Forbidden, InvalidInput, NotFound, Conflict while one of them is in use.
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
        return _begin(tx, app, caller, found, dry_run=dry_run, key=key)


@dataclass(frozen=True, slots=True)
class SetDeletion:
    """``session`` is None for a dry run, and when there is nothing to delete. ``count``: points that go."""

    session: Session | None
    count: int


def delete_set(
    app: Services,
    caller: Caller,
    resource_ids: Sequence[UUID],
    which: PointSet,
    *,
    dry_run: bool = False,
    key: str | None = None,
) -> SetDeletion:
    """Delete all points of these resources that belong to the set.

    Errors: Forbidden, InvalidInput, NotFound, Conflict while one of them is in use, or immutable.
    """
    caller.require(Role.OPERATOR)
    wanted = list(dict.fromkeys(resource_ids))
    if not 1 <= len(wanted) <= RESOURCES_AT_ONCE:
        wrong = f"Between 1 and {RESOURCES_AT_ONCE} resources."
        raise InvalidInput("Name the resources whose restore points are to go.", fields={"resourceIds": wrong})
    with app.store.transaction() as tx:
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return SetDeletion(earlier, int(earlier.document["count"]))
        for id in wanted:
            tx.resources.get(id)
        where = (
            Where("resource_id", "in", wanted),
            Where("state", "eq", PointState.AVAILABLE),
            Where("leg", "in", _SETS[which][0]),
        )
        page = tx.points.page(Select(where=where, order=(Order("at"),), limit=SET_MAX + 1))
        if len(page) > SET_MAX:
            raise InvalidInput(
                f"These are more than {SET_MAX} restore points.", fields={"resourceIds": "Name fewer resources."}
            )
        locked = tx.points.many((point.id for point in page if which.holds(point)), lock=True)
        found = [point for point in locked.values() if point.state is PointState.AVAILABLE]
        session = _begin(tx, app, caller, found, dry_run=dry_run, key=key) if found else None
        return SetDeletion(session, len(found))


def _begin(
    tx: Tx, app: Services, caller: Caller, found: Sequence[RestorePoint], *, dry_run: bool, key: str | None
) -> Session | None:
    """``found``: locked and available, at least one."""
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
        document={"count": len(found)},
    )
    return runs.begin(tx, app, draft, deletions([point.id for point in found]))


def deletions(ids: Sequence[UUID]) -> list[runs.TaskDraft]:
    """Tasks that destroy these DELETING points."""
    texts = [str(id) for id in ids]
    return [
        runs.TaskDraft(kind=TaskKind.DELETE_POINTS, name="Delete", document={"points": texts[at : at + AT_ONCE]})
        for at in range(0, len(texts), AT_ONCE)
    ]


def _refuse_in_use(tx: Tx, found: Sequence[RestorePoint]) -> None:
    use = in_use(tx)
    for point in found:
        if use.holds(point):
            raise Conflict(
                f"{describe(point)} is in use: it is being made, read, restored from or archived.",
                remedy="Wait for that to end, or cancel it.",
            )


def _refuse_locked(found: Sequence[RestorePoint], now: datetime) -> None:
    for point in found:
        if point.locked_until is not None and point.locked_until > now:
            raise Conflict(
                f"{describe(point)} is immutable: its data is locked until {point.locked_until:%Y-%m-%d %H:%M} UTC.",
                remedy="It goes by retention; nobody can free its space before the lock ends.",
            )


# ---- what must stay ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Use:
    """What running sessions need: ``points`` they read, and all points that ``runs`` (policy runs) make."""

    points: frozenset[UUID]
    runs: frozenset[UUID]

    def holds(self, point: RestorePoint) -> bool:
        return point.id in self.points or point.session_id in self.runs


_READERS: Final = (
    SessionKind.VOLUME_RESTORE,
    SessionKind.INSTANCE_RESTORE,
    SessionKind.ARCHIVE,
    SessionKind.VERIFICATION,
    SessionKind.RETRIEVAL,
)


def in_use(tx: Tx, *, but: UUID | None = None) -> Use:
    """``but``: a session that does not count."""
    where = (
        Where("kind", "in", (*_READERS, SessionKind.POLICY_RUN)),
        Where("state", "in", (State.PENDING, State.RUNNING)),
    )
    read: set[UUID] = set()
    making: set[UUID] = set()
    for session in tx.sessions.page(Select(where=where, limit=OPEN_SESSIONS)):
        if session.id == but:
            continue
        if session.kind is SessionKind.POLICY_RUN:
            making.add(session.id)
        elif "pointIds" in session.document:
            read.update(map(UUID, session.document["pointIds"]))
        else:
            read.add(UUID(session.document["pointId"]))
    return Use(frozenset(read), frozenset(making))


# ---- deleting ---------------------------------------------------------------------------------------------------------


def describe(point: RestorePoint) -> str:
    """``The backup of web-1 of 2026-05-04 03:00 UTC``."""
    return f"The {point.leg.value} of {point.resource_name} of {point.at:%Y-%m-%d %H:%M} UTC"


def mark_deleting(tx: Tx, found: Iterable[RestorePoint]) -> None:
    """``found``: locked by this transaction."""
    tx.points.put([replace(point, state=PointState.DELETING, base=False) for point in found])


@dataclass(slots=True)
class Tally:
    """What became of a batch."""

    deleted: int = 0
    failed: int = 0

    def add(self, other: Tally) -> None:
        self.deleted += other.deleted
        self.failed += other.failed

    def state(self) -> State:
        return State.WARNING if self.failed else State.SUCCESS

    def sentence(self) -> str:
        text = f"{count(self.deleted, 'restore point')} deleted"
        return f"{text}, {self.failed} could not be deleted and will be tried again." if self.failed else f"{text}."


@dataclass(slots=True)
class Shredder:
    """Destroys DELETING points for one task. Accounts and repositories are looked up once."""

    run: Run
    accounts: dict[UUID, Account] = field(default_factory=dict)
    repositories: dict[UUID, Repository] = field(default_factory=dict)
    refused: dict[UUID, HoldfastError] = field(default_factory=dict)  # accounts that another AWS account answers for
    gone: list[tuple[RestorePoint, str]] = field(default_factory=list)

    def destroy_all(self, doomed: Iterable[tuple[RestorePoint, str]]) -> Tally:
        """Destroy each of ``(point, reason)``, telling the log. One that fails is told and left DELETING for the next pass.

        Transient errors are raised, so that the step is repeated; what is gone by then is noted first.
        """
        tally = Tally()
        try:
            for point, reason in doomed:
                self.run.check()
                try:
                    self._destroy(point)
                except HoldfastError as error:
                    if error.transient:
                        raise
                    tally.failed += 1
                    text = f"{describe(point)} could not be deleted: {error.sentence()}"
                    self.run.log(text, Level.WARNING, code=error.code)
                else:
                    tally.deleted += 1
                    self.gone.append((point, reason))
                if len(self.gone) == NOTED_AT_ONCE:
                    self._note()
        finally:
            self._note()
        return tally

    def _destroy(self, point: RestorePoint) -> None:
        """Remove what a point consists of. Repeating it is harmless. Errors: those of AWS or the store."""
        app = self.run.app
        if point.leg in IN_AWS:
            account = self._account(point.account_id, point.region)
            app.workloads[point.workload].delete_snapshot(place(account, point.region), point.document)
        elif point.repository_id is not None:
            app.open_repository(self._repository(point.repository_id)).forget(point.id)

    def _account(self, id: UUID, region: str) -> Account:
        """Elsewhere its snapshots would not be found, and be taken for deleted."""
        if id in self.refused:
            raise self.refused[id]
        if id not in self.accounts:
            with self.run.app.store.transaction() as tx:
                account = tx.accounts.get(id)
            try:
                answering.require_same(self.run.app, account, region)
            except HoldfastError as error:
                if not error.transient:
                    self.refused[id] = error
                raise
            self.accounts[id] = account
        return self.accounts[id]

    def _repository(self, id: UUID) -> Repository:
        if id not in self.repositories:
            with self.run.app.store.transaction() as tx:
                self.repositories[id] = tx.repositories.get(id)
        return self.repositories[id]

    def _note(self) -> None:
        """The points of which nothing is left become DELETED rows, with a line each in the log and the activity."""
        if not self.gone:
            return
        run, now = self.run, self.run.app.clock.now()
        with run.app.store.transaction() as tx:
            tx.sessions.get(run.session.id, lock=True)  # its log is written below: always locked before points
            rows = tx.points.many((point.id for point, _ in self.gone), lock=True)
            tx.points.put([replace(row, state=PointState.DELETED, base=False) for row in rows.values()])
            for point, reason in self.gone:
                text = f"{describe(point)} was deleted"
                data = {"pointId": str(point.id)}
                line = f"{text}: {reason}" if reason else f"{text}."
                tx.events.append(run.session.id, Level.INFO, line, at=now, task_id=run.task.id, data=data)
                tx.activity.append(at=now, kind="restore_point", subject_id=point.id, change="removed", message=f"{text}.")
        self.gone.clear()


def _step(run: Run) -> Next | Done:
    with run.app.store.transaction() as tx:
        found = tx.points.many(UUID(text) for text in run.task.document["points"])
    doomed = [point for point in found.values() if point.state is PointState.DELETING]
    tally = Shredder(run).destroy_all((point, "") for point in doomed)
    state = State.ERROR if tally.failed and not tally.deleted else tally.state()
    return Done(state=state, message=tally.sentence(), document={"result": {"deleted": tally.deleted, "failed": tally.failed}})


HANDLER: Final = Handler(step=_step)
