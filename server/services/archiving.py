"""Copying a backup into an archive repository: the task of a request, and a leg of a policy's run. No source disk is touched.

Each archive point is complete by itself and an increment on the resource's newest one there: what did not change is neither
read nor stored. A copy keeps its place as a backup does: ``parent`` and ``blocks`` decided once, ``results``, ``checkpoint``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from server.domain import cost
from server.domain import repository as stored
from server.domain.errors import Conflict, Damaged, NotFound
from server.domain.immutability import LockRequest
from server.domain.periods import Frequency
from server.domain.repository import StorageClass
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import Level, Task
from server.ports import BLOCK_SIZE, Order, Select, Tx, Where
from server.repository.archive import DiskCopy, archive_disk, copies, make_origin
from server.repository.control import Control, Progress
from server.repository.manifest import Manifest
from server.repository.repository import Repository
from server.repository.run import BackupRun, DiskResult
from server.services import prices
from server.services.points import describe
from server.services.slots import wait_for_slot
from server.services.steps import Done, Line, Next, Run
from server.services.wording import rate, size, span

SCHEDULE: Final = "archive"  # the schedule type of locks and recorded retention of archives made by hand
_WORKING: Final = ("parent", "started", "results", "earlier", "blocks", "checkpoint", "tenths")  # what a copy keeps for itself


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """``point`` of ``source`` goes into ``archive``; ``row`` is the archive as the appliance knows it."""

    point: RestorePoint
    manifest: Manifest
    source: Repository
    row: stored.Repository
    archive: Repository


def archive_id(task: Task) -> UUID:
    """Of the archive point, in the database and in the repository: derived, so that a repeated step makes no second one, and
    another attempt goes on with what the one before has stored."""
    return uuid5(task.id, "archive")


def step(run: Run, stage: str) -> Next | Done:
    """All of it, named ``stage``. The task's document holds ``pointId``, ``repositoryId``, ``keepDays`` and, in a policy's run,
    ``retention`` (``run_terms.kept``)."""
    if not run.app.data_slots.acquire(blocking=False):
        return wait_for_slot(run, stage)
    try:
        return _copy(run, _load(run), stage)
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


def _copy(run: Run, job: _Job, stage: str) -> Next | Done:
    if "parent" not in run.task.document:
        started = run.app.clock.now().isoformat()
        earlier = {"read": run.task.bytes_read, "stored": run.task.bytes_stored}
        fresh = {"parent": _previous(run, job), "started": started, "results": {}, "earlier": earlier}
        run.save({**run.task.document, **fresh})
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
        return _from_the_start(run, error, stage)
    return _registered(run, job, manifest)


def _schedule(run: Run) -> str:
    """The schedule type that keeps it longest; archives made by hand are a type of their own."""
    schedule: str = run.task.document.get("retention", {}).get("schedule", SCHEDULE)
    return schedule


def _begin(run: Run, job: _Job) -> BackupRun:
    lock = LockRequest(_schedule(run), run.task.document["keepDays"]) if job.row.immutable else None
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
        self._earlier = run.task.document["earlier"]
        self._total = _total(run)
        self._tenths = int(run.task.document.get("tenths", 0))

    def control(self) -> Control:
        return Control(cancelled=self._run.halted, progress=self._progress, save=self._save)

    def _progress(self, now: Progress) -> None:
        read, kept = self._read + now.bytes_read, self._stored + now.bytes_stored
        in_all = {"read": self._earlier["read"] + read, "stored": self._earlier["stored"] + kept}
        self._run.progress(done=read, total=self._total, message="Archiving.", **in_all)
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
        retention=_retention(run, job),
        archive=make_origin(job.source, job.manifest).to_json(),
        control=Control(cancelled=run.halted),
    )


def _retention(run: Run, job: _Job) -> dict[str, Any]:
    """What the archive's manifest says of how long it is kept."""
    asked = run.task.document.get("retention", {"days": run.task.document["keepDays"], "schedule": SCHEDULE})
    return {**asked, "policy": job.manifest.resource.get("policy", "")}


def _from_the_start(run: Run, error: NotFound, stage: str) -> Next:
    """The archive no longer holds what this run wrote (it rested too long): copy again."""
    text = f"{run.task.name}: the interrupted archive is too old to go on with; starting it again. {error.message}"
    kept = {key: value for key, value in run.task.document.items() if key not in _WORKING}
    return Next(stage=stage, document=kept, lines=(Line(text, Level.WARNING),))


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
    earlier = run.task.document["earlier"]
    stored_in_all = earlier["stored"] + manifest.stored_bytes
    run.progress(done=read, total=read, read=earlier["read"] + read, stored=stored_in_all)
    line = Line(_closing(run, job, manifest, now), Level.SUCCESS, _figures(run, job, manifest, read))
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
        flags=_flags(run),
        slot_at=_slot(run),
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


def _flags(run: Run) -> tuple[Frequency, ...]:
    """Archives made by hand carry none: they are kept for the days asked."""
    return tuple(Frequency(name) for name in run.task.document.get("retention", {}).get("flags", ()))


def _slot(run: Run) -> datetime | None:
    text = run.task.document.get("slots", {}).get(Leg.ARCHIVE.value)
    return datetime.fromisoformat(text) if text else None


def _figures(run: Run, job: _Job, manifest: Manifest, read: int) -> dict[str, Any]:
    metadata = sum(disk.metadata_bytes for disk in manifest.disks)
    kept = {
        job.row.storage_class: cost.Stored(1, manifest.stored_bytes - metadata),
        StorageClass.STANDARD: cost.Stored(1, metadata),
    }
    month = round(cost.monthly(prices.of_region(run.app, job.row.region), kept), 6)
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


def abandon(run: Run) -> None:
    """What a failed or cancelled archive wrote becomes garbage."""
    if "parent" not in run.task.document:
        return  # nothing was written yet
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(UUID(run.task.document["repositoryId"]))
    archive = run.app.open_repository(row)
    archive.begin(archive_id(run.task), parent=None).abandon()
    archive.forget(archive_id(run.task))  # if it was committed but never told
