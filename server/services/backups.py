"""The image-level leg: blocks of a fresh snapshot go into the repository, all allocated ones first, only changed ones after.

What is read is decided once and kept in the task (``plan``), so that a resumed task goes on with the same comparison. A disk's
``checkpoint`` says how far it came. The point appears in the appliance only after its manifest is in the repository.

Blocks of the previous backup that a check found damaged are read again besides the changed ones, which heals it where the
source still holds the same; a previous backup whose manifest is damaged is not built upon.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from server.domain.errors import Damaged, InvalidInput, NotFound
from server.domain.immutability import LockRequest
from server.domain.legs import TaskLeg
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import Level, Task
from server.ports import BLOCK_SIZE, DiskSnapshot, Select, Tx, Where
from server.repository.control import Control, DiskInput, Progress, resume_index
from server.repository.manifest import Manifest
from server.repository.run import BackupRun, DiskResult
from server.services import checks, learning, legs, run_terms, verification
from server.services.backup_sources import INCOMPARABLE, Job, counted, listed, load, no_base, plan_for, with_suspects
from server.services.slots import wait_for_slot
from server.services.steps import Change, Done, Line, Next, Run
from server.services.wording import count, rate, size, span

LOST_TOLD: Final = 20  # objects named with a log line
WORKING: Final = ("plan", "results", "checkpoint", "tenths", "healing")  # what the leg keeps for itself


def point_id(task: Task) -> UUID:
    """Of the backup point, in the database and in the repository: derived, so that a repeated step makes no second one, and
    another attempt goes on with what the one before has stored."""
    return uuid5(task.id, "backup")


def step(run: Run) -> Next | Done:
    """The stage ``backup`` of a PROTECT task."""
    if not run.app.data_slots.acquire(blocking=False):
        return wait_for_slot(run, legs.BACKUP)
    try:
        return _back_up(run, load(run, legs.snapshot_id(run.task)))
    finally:
        run.app.data_slots.release()


# ---- the work ---------------------------------------------------------------------------------------------------------


def _back_up(run: Run, job: Job) -> Next | Done:
    if "plan" not in run.task.document:
        plan = plan_for(run, job, parent=job.previous)
        run.save({**run.task.document, "plan": plan, "results": {}})
        run.log(_opening(run, job))
    backup = _begin(run, job)
    if backup.committed is not None:  # an earlier attempt came this far and was killed before it could say so
        return _registered(run, job, backup.committed)
    for disk in job.disks:
        if disk.disk_id not in run.task.document["results"]:
            run.check()
            _disk(run, job, backup, disk)
    try:
        manifest = _commit(run, job, backup)
    except NotFound as error:
        return _from_the_start(run, error)
    return _registered(run, job, manifest)


def _opening(run: Run, job: Job) -> str:
    disks = run.task.document["plan"]["disks"]
    total = size(_total(run))
    if all(disk["base"] for disk in disks.values()) and job.previous is not None:
        return f"{run.task.name}: backing up what changed since {job.previous.at:%Y-%m-%d %H:%M} UTC, {total}."
    return f"{run.task.name}: backing up all allocated blocks, {total}."


def _total(run: Run) -> int:
    blocks: int = sum(disk["blocks"] for disk in run.task.document["plan"]["disks"].values())
    return blocks * BLOCK_SIZE


def _begin(run: Run, job: Job) -> BackupRun:
    parent = run.task.document["plan"]["parent"]
    lock = _lock(run, job)
    try:
        return job.repository.begin(point_id(run.task), parent=UUID(parent) if parent else None, lock=lock)
    except NotFound as error:
        if parent is None:
            raise
        run.log(f"{run.task.name}: the previous backup is not in the repository any more. {error.message}", Level.WARNING)
    except Damaged as error:
        if parent is None:
            raise
        text = f"{run.task.name}: the previous backup is damaged, so all of the source is read. {error.message}"
        run.log(text, Level.WARNING, code=error.code)
        _mark_healing(run)
    kept = {key: value for key, value in run.task.document.items() if key not in ("checkpoint", "results")}
    run.save({**kept, "plan": plan_for(run, job, parent=None), "results": {}})
    return job.repository.begin(point_id(run.task), parent=None, lock=lock)


def _mark_healing(run: Run) -> None:
    """What is damaged is being stored anew: afterwards the damaged points are looked at again."""
    if not run.task.document.get("healing"):
        run.save({**run.task.document, "healing": True})


def _days(task: Task) -> int:
    """How long the backup is to be kept: by the flag that keeps it longest."""
    days: int = task.document["kept"]["days"]
    return days


def _lock(run: Run, job: Job) -> LockRequest | None:
    """Where what is written is locked: for how long. A run started by hand counts as one of the schedule."""
    return LockRequest(run.task.document["kept"]["schedule"], _days(run.task)) if job.row.immutable else None


def _disk(run: Run, job: Job, backup: BackupRun, disk: DiskSnapshot) -> None:
    """Back one disk up and keep its result. Falls back to reading all of it when its base vanished meanwhile, or when what the
    previous backup knows of the disk cannot be read."""
    base = run.task.document["plan"]["disks"][disk.disk_id]["base"]
    try:
        result = _read(run, job, backup, disk, base)
    except (*INCOMPARABLE, InvalidInput, Damaged) as error:
        if base is None:
            raise
        run.log(no_base(run, disk, error.message), Level.WARNING)
        if isinstance(error, Damaged):
            _mark_healing(run)
        blocks = counted(run, listed(run.app, job.place, disk, None, 0))
        plan = run.task.document["plan"]
        disks = {**plan["disks"], disk.disk_id: {"base": None, "blocks": blocks}}
        kept = {key: value for key, value in run.task.document.items() if key != "checkpoint"}
        run.save({**kept, "plan": {**plan, "disks": disks}})
        result = _read(run, job, backup, disk, None)
    kept = {key: value for key, value in run.task.document.items() if key != "checkpoint"}
    run.save({**kept, "results": {**kept["results"], disk.disk_id: result.to_json()}})


def _read(run: Run, job: Job, backup: BackupRun, disk: DiskSnapshot, base: str | None) -> DiskResult:
    blocks, where = run.app.blocks, job.place
    checkpoint = run.task.document.get("checkpoint")
    if checkpoint is not None and not backup.accepts(checkpoint):
        checkpoint = None
    start = resume_index(checkpoint)
    refs = listed(run.app, where, disk, base, start)
    suspects = backup.suspects(disk.disk_id) if base is not None else []
    if suspects:
        _mark_healing(run)
        refs = with_suspects(run, job, disk, refs, suspects, start)
    return backup.disk(
        DiskInput(disk_id=disk.disk_id, size_bytes=disk.size_bytes, document=disk.document),
        blocks=refs,
        read=lambda ref: blocks.read(where, disk.snapshot_id, ref),
        mode="full" if base is None else "changed",
        control=_Reporter(run, disk.disk_id).control(),
        checkpoint=checkpoint,
    )


class _Reporter:
    """Turns one disk's progress into the task's: bytes always, a log line at every tenth of the whole."""

    def __init__(self, run: Run, disk_id: str) -> None:
        self._run = run
        finished = [DiskResult.from_json(data) for data in run.task.document["results"].values()]
        plan = run.task.document["plan"]["disks"]
        self._done = sum(plan[result.record.disk_id]["blocks"] for result in finished) * BLOCK_SIZE
        self._read = sum(result.record.blocks_read for result in finished) * BLOCK_SIZE
        self._stored = sum(result.record.stored_bytes for result in finished)
        self._total = _total(run)
        self._tenths = int(run.task.document.get("tenths", 0))
        self._disk_id = disk_id

    def control(self) -> Control:
        return Control(cancelled=self._run.halted, progress=self._progress, save=self._save)

    def _progress(self, now: Progress) -> None:
        done, read = self._done + now.bytes_done, self._read + now.bytes_read
        stored = self._stored + now.bytes_stored
        self._run.progress(done=done, total=self._total, read=read, stored=stored, message="Backing up.")
        tenths = 10 * done // self._total if self._total else 10
        if tenths > self._tenths and tenths < 10:
            self._tenths = tenths
            text = f"Backup: Processing {self._run.task.name} - {tenths * 10}%, {size(read)} transferred."
            self._run.log(text, percent=tenths * 10, bytes=read, disk=self._disk_id)

    def _save(self, checkpoint: str) -> None:
        self._run.save({**self._run.task.document, "checkpoint": checkpoint, "tenths": self._tenths})


def _commit(run: Run, job: Job, backup: BackupRun) -> Manifest:
    run.check()
    snapshot, policy = job.snapshot, run_terms.of(run.session).policy
    with run.app.store.transaction() as tx:
        resource = tx.resources.get(snapshot.resource_id)
        account = tx.accounts.get(snapshot.account_id)
    record = {
        "id": str(resource.id),
        "awsId": resource.aws_id,
        "name": resource.name,
        "workload": resource.workload,
        "region": resource.region,
        "awsAccountId": account.aws_account_id,
        "policy": policy,
    }
    results = [DiskResult.from_json(run.task.document["results"][disk.disk_id]) for disk in job.disks]
    retention = {**run.task.document["kept"], "policy": policy}
    manifest = backup.commit(
        at=snapshot.at,
        resource=record,
        document=snapshot.document,
        disks=results,
        retention=retention,
        control=Control(cancelled=run.halted),
    )
    if backup.lost:
        text = f"{run.task.name}: {count(len(backup.lost), 'object')} that older backups need are gone; check the repository."
        run.log(text, Level.WARNING, objects=backup.lost[:LOST_TOLD])
    return manifest


def _from_the_start(run: Run, error: NotFound) -> Next:
    """The repository no longer holds what this run wrote (it rested too long): read again."""
    text = f"{run.task.name}: the interrupted backup is too old to go on with; starting it again. {error.message}"
    kept = {key: value for key, value in run.task.document.items() if key not in WORKING}
    return Next(stage=legs.BACKUP, document=kept, lines=(Line(text, Level.WARNING),))


# ---- the point --------------------------------------------------------------------------------------------------------


def _registered(run: Run, job: Job, manifest: Manifest) -> Next | Done:
    """The backup becomes known. Its content roots are kept here, apart from the repository, to compare with later."""
    now = run.app.clock.now()
    point = replace(
        legs.marked(run, job.snapshot, Leg.BACKUP),
        id=manifest.id,
        created_at=now,
        repository_id=job.row.id,
        stored_bytes=manifest.stored_bytes,
        size_bytes=manifest.size_bytes,
        base=False,
        locked_until=manifest.lock.until if manifest.lock else None,
        expires_at=manifest.at + timedelta(days=_days(run.task)),
        content_roots={disk.disk_id: disk.content_root for disk in manifest.disks},
        document={**job.snapshot.document, learning.FIGURES: _measured(run, manifest)},
    )

    def change(tx: Tx) -> None:
        if point.id in tx.points.many([point.id]):  # a rescan of the repository was faster
            tx.points.save(point)
        else:
            tx.points.add(point)
        _move_base(tx, job.snapshot, track=run_terms.of(run.session).track)
        row = tx.repositories.get(job.row.id, lock=True)
        total = row.stored_bytes + manifest.stored_bytes
        tx.repositories.save(replace(row, stored_bytes=total, revision=row.revision + 1))
        message = f"{point.resource_name}: backup created."
        tx.activity.append(at=now, kind="restore_point", subject_id=point.id, change="created", message=message)

    read = sum(disk.blocks_read for disk in manifest.disks) * BLOCK_SIZE
    run.progress(done=_total(run), total=_total(run), read=read, stored=manifest.stored_bytes)
    lines = (
        Line(f"Backup: Processing {run.task.name} - 100%, {size(read)} transferred.", data={"percent": 100, "bytes": read}),
        Line(_closing(run, now, read, manifest.stored_bytes), Level.SUCCESS),
    )
    return _next(run, job, manifest, lines, change)


def _next(run: Run, job: Job, manifest: Manifest, lines: tuple[Line, ...], change: Change) -> Next | Done:
    """What follows a backup: healed points are looked at again, then the backup is verified, where that is asked for."""
    with run.app.store.transaction() as tx:
        hurt = bool(run.task.document.get("healing")) and bool(checks.incomplete(tx, job.row.id))
        proven = verification.proven(tx, manifest.parent)
    order = verification.order(manifest.id, parent=proven, share=verification.rotating(run.app.clock.now()))
    return legs.close(
        run,
        TaskLeg.BACKUP,
        result={"backupPointId": str(manifest.id)},
        lines=lines,
        change=change,
        first=legs.HEAL if hurt else None,
        verify=order,
    )


def heal(run: Run) -> Next | Done:
    """The stage ``heal``: which of the damaged points of the repository can be restored again, now that what was damaged has
    been stored anew?"""
    if not run.app.data_slots.acquire(blocking=False):
        return wait_for_slot(run, legs.HEAL)
    try:
        healed, left = checks.look_again(run, UUID(run.task.document["repository"]))
    finally:
        run.app.data_slots.release()
    lines = []
    if healed:
        lines.append(Line(f"{run.task.name}: {count(healed, 'damaged restore point')} healthy again.", Level.SUCCESS))
    if left:
        text = f"{run.task.name}: {count(left, 'restore point')} in the repository still damaged: the source has changed since."
        lines.append(Line(text, Level.WARNING))
    result = {**run.task.document["result"], "healedPoints": healed}
    return legs.onward(run, {**run.task.document, "result": result}, lines=tuple(lines))


def _measured(run: Run, manifest: Manifest) -> dict[str, object]:
    """What estimates learn from (``learning.FIGURES``)."""
    return {
        "usedBytes": sum(disk.blocks for disk in manifest.disks) * BLOCK_SIZE,
        "readBytes": sum(disk.blocks_read for disk in manifest.disks) * BLOCK_SIZE,
        "storedBytes": manifest.stored_bytes,
        "incremental": all(disk["base"] for disk in run.task.document["plan"]["disks"].values()),
    }


def _closing(run: Run, now: datetime, read: int, written: int) -> str:
    plan = run.task.document["plan"]
    kind = "incremental" if all(disk["base"] for disk in plan["disks"].values()) else "full"
    took: timedelta = now - datetime.fromisoformat(plan["started"])
    speed = rate(read, took)
    pace = f"{span(took)} at {speed}" if speed else span(took)
    return f"{run.task.name}: {kind} backup created: {size(read)} read, {size(written)} stored, {pace}."


def _move_base(tx: Tx, snapshot: RestorePoint, *, track: bool) -> None:
    """The snapshot just backed up becomes what the next one is compared with, where changes are tracked; the former base is
    free to go."""
    tx.resources.get(snapshot.resource_id, lock=True)  # two policies' backups at once: one after the other
    where = (
        Where("resource_id", "eq", snapshot.resource_id),
        Where("leg", "eq", Leg.SNAPSHOT),
        Where("base", "eq", True),
    )
    ids = {former.id for former in tx.points.page(Select(where=where, limit=100))}
    rows = tx.points.many({*ids, snapshot.id}, lock=True)  # as they are now: one may have been deleted in between
    tx.points.put([replace(row, base=False) for row in rows.values()])  # first: a resource has one base
    current = rows[snapshot.id]
    if track and current.state is PointState.AVAILABLE:
        tx.points.save(replace(current, base=True))


def abandon(run: Run) -> None:
    """Give up a backup that will not be finished: what it wrote becomes garbage. Its snapshot stays, a point by itself."""
    if "plan" not in run.task.document:
        return  # nothing was written yet, or the backup is a point already
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(UUID(run.task.document["repository"]))
    repository = run.app.open_repository(row)
    repository.begin(point_id(run.task), parent=None).abandon()
    repository.forget(point_id(run.task))  # if it was committed but never told
