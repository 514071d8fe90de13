"""Archiving: points of an archive repository, made from backups in a standard one. The source disks are not touched.

Each is complete by itself and an increment on the resource's newest archive point there: what did not change is neither read
nor stored. A task keeps its place as a backup does: ``parent`` and ``blocks`` decided once, ``results``, ``checkpoint``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from server.domain import cost
from server.domain import repository as stored
from server.domain.access import Caller, Role
from server.domain.archive import check_keep_days
from server.domain.errors import Conflict, Damaged, InvalidInput, NotFound
from server.domain.immutability import LockRequest
from server.domain.repository import StorageClass
from server.domain.restore import Health, Leg, PointState, RestorePoint
from server.domain.session import Level, Session, SessionKind, State, Task, TaskKind
from server.ports import BLOCK_SIZE, Order, Select, Tx, Where
from server.repository.archive import DiskCopy, archive_disk, copies, make_origin
from server.repository.control import Control, Progress
from server.repository.manifest import Manifest
from server.repository.repository import Repository
from server.repository.run import BackupRun, DiskResult
from server.services import runs
from server.services.context import Services
from server.services.points import describe
from server.services.slots import wait_for_slot
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import CLASS_NAMES, count, rate, size, span

AT_ONCE: Final = 100  # points one request may name
OPEN_MAX: Final = 500  # running archive sessions looked at
SCHEDULE: Final = "archive"  # the schedule type of archives' locks and recorded retention


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


# ---- the task ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """``point`` of ``source`` goes into ``archive``; ``row`` is the archive as the appliance knows it."""

    point: RestorePoint
    manifest: Manifest
    source: Repository
    row: stored.Repository
    archive: Repository


def archive_id(task: Task) -> UUID:
    """Of the archive point, in the database and in the repository: derived, so that a repeated step makes no second one."""
    return uuid5(task.id, "archive")


def _step(run: Run) -> Next | Done:
    if not run.app.data_slots.acquire(blocking=False):
        return wait_for_slot(run, "copy")
    try:
        return _copy(run, _load(run))
    finally:
        run.app.data_slots.release()


def _load(run: Run) -> _Job:
    document = run.task.document
    with run.app.store.transaction() as tx:
        point = tx.points.get(UUID(document["pointId"]))
        row = tx.repositories.get(UUID(document["repositoryId"]))
        if point.state is not PointState.AVAILABLE:
            raise Conflict(f"{describe(point)} was deleted before it was archived.", remedy="Choose another restore point.")
        assert point.repository_id is not None  # backups have one
        home = tx.repositories.get(point.repository_id)
    source = run.app.open_repository(home)
    return _Job(point=point, manifest=source.point(point.id), source=source, row=row, archive=run.app.open_repository(row))


def _previous(run: Run, job: _Job) -> str | None:
    """The resource's newest point in the archive."""
    where = (
        Where("resource_id", "eq", job.point.resource_id),
        Where("repository_id", "eq", job.row.id),
        Where("state", "eq", PointState.AVAILABLE),
    )
    with run.app.store.transaction() as tx:
        rows = tx.points.page(Select(where=where, order=(Order("at", descending=True),), limit=1))
    return str(rows[0].id) if rows else None


def _copy(run: Run, job: _Job) -> Next | Done:
    if "parent" not in run.task.document:
        started = run.app.clock.now().isoformat()
        run.save({**run.task.document, "parent": _previous(run, job), "started": started, "results": {}})
    backup = _begin(run, job)
    if backup.committed is not None:  # an earlier attempt came this far and was killed before it could say so
        return _registered(run, job, backup.committed)
    disks = copies(job.source, job.manifest, backup)
    if "blocks" not in run.task.document:
        run.save({**run.task.document, "blocks": {each.disk.disk_id: each.blocks_to_read() for each in disks}})
        run.log(_opening(run))
    for each in disks:
        if each.disk.disk_id not in run.task.document["results"]:
            run.check()
            _disk(run, backup, each)
    try:
        manifest = _commit(run, job, backup)
    except NotFound as error:
        return _from_the_start(run, error)
    return _registered(run, job, manifest)


def _begin(run: Run, job: _Job) -> BackupRun:
    lock = LockRequest(SCHEDULE, run.task.document["keepDays"]) if job.row.immutable else None
    parent = run.task.document["parent"]
    try:
        return job.archive.begin(archive_id(run.task), parent=UUID(parent) if parent else None, lock=lock)
    except (NotFound, Damaged) as error:
        if parent is None:
            raise
        run.log(f"{run.task.name}: the previous archive point cannot be built upon. {error.message}", Level.WARNING)
    kept = {key: value for key, value in run.task.document.items() if key not in ("checkpoint", "blocks")}
    run.save({**kept, "parent": None, "results": {}})
    return job.archive.begin(archive_id(run.task), parent=None, lock=lock)


def _opening(run: Run) -> str:
    what = "archiving what changed since the last archive" if run.task.document["parent"] else "archiving all of it"
    return f"{run.task.name}: {what}, {size(_total(run))} to read from the backup."


def _total(run: Run) -> int:
    blocks: int = sum(run.task.document["blocks"].values())
    return blocks * BLOCK_SIZE


def _disk(run: Run, backup: BackupRun, copy: DiskCopy) -> None:
    checkpoint = run.task.document.get("checkpoint")
    if checkpoint is not None and not backup.accepts(checkpoint):
        checkpoint = None
    result = archive_disk(copy, backup, control=_Reporter(run).control(), checkpoint=checkpoint)
    kept = {key: value for key, value in run.task.document.items() if key != "checkpoint"}
    run.save({**kept, "results": {**kept["results"], copy.disk.disk_id: result.to_json()}})


class _Reporter:
    """Turns one disk's progress into the task's."""

    def __init__(self, run: Run) -> None:
        self._run = run
        finished = [DiskResult.from_json(data).record for data in run.task.document["results"].values()]
        self._read = sum(record.blocks_read for record in finished) * BLOCK_SIZE
        self._stored = sum(record.stored_bytes for record in finished)
        self._total = _total(run)
        self._tenths = int(run.task.document.get("tenths", 0))

    def control(self) -> Control:
        return Control(cancelled=self._run.halted, progress=self._progress, save=self._save)

    def _progress(self, now: Progress) -> None:
        read, kept = self._read + now.bytes_read, self._stored + now.bytes_stored
        self._run.progress(done=read, total=self._total, read=read, stored=kept, message="Archiving.")
        tenths = 10 * read // self._total if self._total else 10
        if self._tenths < tenths < 10:
            self._tenths = tenths
            text = f"Archive: Processing {self._run.task.name} - {tenths * 10}%, {size(read)} transferred."
            self._run.log(text, percent=tenths * 10, bytes=read)

    def _save(self, checkpoint: str) -> None:
        self._run.save({**self._run.task.document, "checkpoint": checkpoint, "tenths": self._tenths})


def _commit(run: Run, job: _Job, backup: BackupRun) -> Manifest:
    run.check()
    document = run.task.document
    results = [DiskResult.from_json(document["results"][disk.disk_id]) for disk in job.manifest.disks]
    return backup.commit(
        at=job.manifest.at,
        resource=job.manifest.resource,
        document=job.manifest.document,
        disks=results,
        retention={"days": document["keepDays"], "schedule": SCHEDULE, "policy": job.manifest.resource.get("policy", "")},
        archive=make_origin(job.source, job.manifest).to_json(),
        control=Control(cancelled=run.halted),
    )


def _from_the_start(run: Run, error: NotFound) -> Next:
    """The archive no longer holds what this run wrote (it rested too long): copy again."""
    text = f"{run.task.name}: the interrupted archive is too old to go on with; starting it again. {error.message}"
    kept = {key: run.task.document[key] for key in ("pointId", "repositoryId", "keepDays")}
    return Next(stage="copy", document=kept, lines=(Line(text, Level.WARNING),))


# ---- the point --------------------------------------------------------------------------------------------------------


def _registered(run: Run, job: _Job, manifest: Manifest) -> Done:
    now = run.app.clock.now()
    point = _point(run, job, manifest, now)

    def change(tx: Tx) -> None:
        if point.id in tx.points.many([point.id]):  # a rescan of the archive was faster
            tx.points.save(point)
        else:
            tx.points.add(point)
        row = tx.repositories.get(job.row.id, lock=True)
        total = row.stored_bytes + manifest.stored_bytes
        tx.repositories.save(replace(row, stored_bytes=total, revision=row.revision + 1))
        message = f"{point.resource_name}: archive created."
        tx.activity.append(at=now, kind="restore_point", subject_id=point.id, change="created", message=message)

    read = sum(disk.blocks_read for disk in manifest.disks) * BLOCK_SIZE
    run.progress(done=read, total=read, read=read, stored=manifest.stored_bytes)
    line = Line(_closing(run, job, manifest, now), Level.SUCCESS, _figures(job, manifest, read))
    result: dict[str, Any] = {"archivePointId": str(point.id)}
    return Done(message="Archive created.", document={"result": result}, lines=(line,), change=change)


def _point(run: Run, job: _Job, manifest: Manifest, now: datetime) -> RestorePoint:
    return replace(
        job.point,
        id=manifest.id,
        leg=Leg.ARCHIVE,
        created_at=now,
        session_id=run.session.id,
        task_id=run.task.id,
        repository_id=job.row.id,
        stored_bytes=manifest.stored_bytes,
        size_bytes=manifest.size_bytes,
        proven_at=None,
        proven_how=None,
        locked_until=manifest.lock.until if manifest.lock else None,
        expires_at=job.point.at + timedelta(days=run.task.document["keepDays"]),
        source_id=job.point.id,
        retrieval=None,
        content_roots={disk.disk_id: disk.content_root for disk in manifest.disks},
    )


def _figures(job: _Job, manifest: Manifest, read: int) -> dict[str, Any]:
    metadata = sum(disk.metadata_bytes for disk in manifest.disks)
    kept = {
        job.row.storage_class: cost.Stored(1, manifest.stored_bytes - metadata),
        StorageClass.STANDARD: cost.Stored(1, metadata),
    }
    month = round(cost.monthly(cost.bundled(job.row.region), kept), 6)
    return {"bytesRead": read, "bytesStored": manifest.stored_bytes, "usdPerMonth": month}


def _closing(run: Run, job: _Job, manifest: Manifest, now: datetime) -> str:
    read = sum(disk.blocks_read for disk in manifest.disks) * BLOCK_SIZE
    document = run.task.document
    kind = "incremental" if document.get("parent") else "full"
    took = now - datetime.fromisoformat(document["started"])
    speed = rate(read, took)
    pace = f"{span(took)} at {speed}" if speed else span(took)
    until = job.point.at + timedelta(days=document["keepDays"])
    figures = f"{size(read)} read, {size(manifest.stored_bytes)} stored, {pace}"
    return f"{run.task.name}: {kind} archive created: {figures}. It is kept until {until:%Y-%m-%d}."


def _abandon(run: Run) -> None:
    """What a failed or cancelled archive wrote becomes garbage."""
    if "parent" not in run.task.document:
        return  # nothing was written yet
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(UUID(run.task.document["repositoryId"]))
    archive = run.app.open_repository(row)
    archive.begin(archive_id(run.task), parent=None).abandon()
    archive.forget(archive_id(run.task))  # if it was committed but never told


HANDLER: Final = Handler(step=_step, cleanup=_abandon)
