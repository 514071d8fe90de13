"""Archiving on request: backups in a standard repository are copied into an archive repository (``archiving``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from server.domain import cost
from server.domain import repository as stored
from server.domain.access import Caller, Role
from server.domain.archive import check_keep_days
from server.domain.errors import Conflict, InvalidInput
from server.domain.repository import StorageClass
from server.domain.restore import Health, Leg, PointState, RestorePoint
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.ports import Select, Tx, Where
from server.services import archiving, runs
from server.services.context import Services
from server.services.points import describe
from server.services.steps import Done, Handler, Next, Run
from server.services.wording import CLASS_NAMES, count

AT_ONCE: Final = 100  # points one request may name
OPEN_MAX: Final = 500  # running archive sessions looked at


# ---- starting ---------------------------------------------------------------------------------------------------------


def archive_points(
    app: Services,
    caller: Caller,
    ids: Sequence[UUID],
    repository_id: UUID,
    *,
    keep_days: int,
    dry_run: bool = False,
    key: str | None = None,
) -> Session | None:
    """Copy backups into an archive repository, each to be kept until its data is ``keep_days`` old. None when ``dry_run``.

    Errors: Forbidden, InvalidInput (``fields``), NotFound, Conflict (deleted, incomplete, archived already or just now).
    """
    caller.require(Role.OPERATOR)
    check_keep_days(keep_days)
    wanted = list(dict.fromkeys(ids))
    if not 1 <= len(wanted) <= AT_ONCE:
        raise InvalidInput("Name the backups to archive.", fields={"pointIds": f"Between 1 and {AT_ONCE} points."})
    with app.store.transaction() as tx:
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        row = tx.repositories.get(repository_id, lock=True)  # one request at a time: two could archive the same point
        if row.storage_class is StorageClass.STANDARD:
            wrong = f"{row.name} is no archive: its data lies in {CLASS_NAMES[row.storage_class]}."
            raise InvalidInput(wrong, fields={"repositoryId": wrong})
        found = [tx.points.get(id, lock=True) for id in wanted]
        for point in found:
            _check_point(app, tx, point, row, keep_days)
        if dry_run:
            return None
        return runs.begin(tx, app, _draft(caller, row, found, keep_days, key), _tasks(row, found, keep_days))


def _check_point(app: Services, tx: Tx, point: RestorePoint, row: stored.Repository, keep_days: int) -> None:
    text = describe(point)
    if point.leg is not Leg.BACKUP:
        raise InvalidInput(f"{text} cannot be archived: only backups can.", fields={"pointIds": "Must be backups."})
    if point.state is not PointState.AVAILABLE:
        raise Conflict(f"{text} has been deleted.", remedy="Choose another restore point.")
    if point.health is Health.INCOMPLETE:
        raise Conflict(f"{text} is incomplete: it would be archived with its damage.", remedy="Choose another restore point.")
    if point.at + timedelta(days=keep_days) <= app.clock.now():
        wrong = f"{text} is older than {count(keep_days, 'day')} already."
        raise InvalidInput(wrong, fields={"keepDays": wrong})
    if _archived(tx, point.id, row.id):
        raise Conflict(f"{text} is in {row.name} already.")
    if point.id in _under_way(tx, row.id):
        raise Conflict(f"{text} is being archived into {row.name} just now.")


def _archived(tx: Tx, source_id: UUID, repository_id: UUID) -> bool:
    where = (
        Where("source_id", "eq", source_id),
        Where("repository_id", "eq", repository_id),
        Where("state", "eq", PointState.AVAILABLE),
    )
    return tx.points.count(Select(where=where, limit=1)) > 0


def _under_way(tx: Tx, repository_id: UUID) -> set[UUID]:
    where = (Where("kind", "eq", SessionKind.ARCHIVE), Where("state", "in", (State.PENDING, State.RUNNING)))
    sessions = tx.sessions.page(Select(where=where, limit=OPEN_MAX))
    mine = (session.document for session in sessions if session.document["repositoryId"] == str(repository_id))
    return {UUID(text) for document in mine for text in document["pointIds"]}


def _draft(
    caller: Caller, row: stored.Repository, found: Sequence[RestorePoint], keep_days: int, key: str | None
) -> runs.SessionDraft:
    names = sorted({point.resource_name for point in found})
    what = names[0] if len(names) == 1 else f"{len(names)} resources"
    title = f"Archive {count(len(found), 'backup')} of {what}"
    opening = [(Level.INFO, f"{title} into {row.name}, kept {count(keep_days, 'day')}.")]
    minimum = cost.MINIMUM_DAYS[row.storage_class]
    if keep_days < minimum:
        text = f"{CLASS_NAMES[row.storage_class]} is billed for at least {minimum} days: deleted earlier, the rest is charged."
        opening.append((Level.WARNING, text))
    return runs.SessionDraft(
        kind=SessionKind.ARCHIVE,
        name=title,
        requested_by=caller.name,
        key=key,
        document={"pointIds": [str(point.id) for point in found], "repositoryId": str(row.id)},
        opening=tuple(opening),
    )


def _tasks(row: stored.Repository, found: Sequence[RestorePoint], keep_days: int) -> list[runs.TaskDraft]:
    """Points of one resource follow each other, the oldest first, so that each is an increment on the one before."""
    rank: Counter[UUID] = Counter()
    ranked = []
    for point in sorted(found, key=lambda point: point.at):
        ranked.append((rank[point.resource_id], point))
        rank[point.resource_id] += 1
    ranked.sort(key=lambda each: each[0])
    return [
        runs.TaskDraft(
            kind=TaskKind.ARCHIVE_POINT,
            name=point.resource_name,
            resource_id=point.resource_id,
            document={"pointId": str(point.id), "repositoryId": str(row.id), "keepDays": keep_days},
            waits=turn > 0,
        )
        for turn, point in ranked
    ]


def _step(run: Run) -> Next | Done:
    return archiving.step(run, "copy")


HANDLER: Final = Handler(step=_step, cleanup=archiving.abandon)
