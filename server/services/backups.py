"""The image-level leg: blocks of a fresh snapshot go into the repository, all allocated ones first, only changed ones after.

What is read is decided once and kept in the task (``plan``), so that a resumed task goes on with the same comparison. A disk's
``checkpoint`` says how far it came. The point appears in the appliance only after its manifest is in the repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from server.domain import repository as stored
from server.domain.errors import AwsNotFound, AwsRejected, InvalidInput, NotFound
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import Level, Task
from server.domain.workload import Place, place
from server.ports import BLOCK_SIZE, BlockRef, DiskSnapshot, Order, Select, Tx, Where
from server.repository.control import Control, DiskInput, Progress, resume_index
from server.repository.manifest import Manifest
from server.repository.repository import Repository
from server.repository.run import BackupRun, DiskResult
from server.services.context import Services
from server.services.slots import wait_for_slot
from server.services.steps import Done, Line, Next, Run
from server.services.wording import rate, size, span

_CHECK_EVERY: Final = 5_000  # blocks counted between looks at the cancel flag


def point_id(task: Task) -> UUID:
    """Of the backup point, in the database and in the repository: derived, so that a repeated step makes no second one."""
    return uuid5(task.id, "backup")


def step(run: Run, snapshot_point: UUID) -> Next | Done:
    """The stage ``backup`` of a PROTECT task."""
    if not run.app.data_slots.acquire(blocking=False):
        return wait_for_slot(run, "backup")
    try:
        return _back_up(run, _load(run, snapshot_point))
    finally:
        run.app.data_slots.release()


# ---- what to read -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What the leg works on. ``previous``: this resource's newest backup in this repository."""

    snapshot: RestorePoint
    previous: RestorePoint | None
    row: stored.Repository
    repository: Repository
    place: Place
    disks: tuple[DiskSnapshot, ...]


def _load(run: Run, snapshot_point: UUID) -> _Job:
    repository_id = UUID(run.task.document["repository"])
    with run.app.store.transaction() as tx:
        snapshot = tx.points.get(snapshot_point)
        if snapshot.state is not PointState.AVAILABLE:
            raise NotFound("The snapshot was deleted before it was backed up.", remedy="Run the policy again.")
        row = tx.repositories.get(repository_id)
        account = tx.accounts.get(snapshot.account_id)
        previous = _previous(tx, snapshot.resource_id, repository_id)
    return _Job(
        snapshot=snapshot,
        previous=previous,
        row=row,
        repository=run.app.open_repository(row),
        place=place(account, snapshot.region),
        disks=run.app.workloads[snapshot.workload].disks(snapshot.document),
    )


def _previous(tx: Tx, resource_id: UUID, repository_id: UUID) -> RestorePoint | None:
    where = (
        Where("resource_id", "eq", resource_id),
        Where("repository_id", "eq", repository_id),
        Where("leg", "eq", Leg.BACKUP),
        Where("state", "eq", PointState.AVAILABLE),
    )
    rows = tx.points.page(Select(where=where, order=(Order("at", descending=True),), limit=1))
    return rows[0] if rows else None


def _plan(run: Run, job: _Job, *, parent: RestorePoint | None) -> dict[str, Any]:
    """``{"parent": id | None, "disks": {disk id: {"base": snapshot id | None, "blocks": number to handle}}}``."""
    bases: dict[str, str] = {}
    if parent is not None:
        past = run.app.workloads[parent.workload].disks(parent.document)
        bases = {disk.disk_id: disk.snapshot_id for disk in past}
    disks = {}
    for disk in job.disks:
        base = bases.get(disk.disk_id)
        try:
            blocks = _counted(run, _listed(run.app, job.place, disk, base, 0))
        except (AwsNotFound, AwsRejected) as error:
            if base is None:
                raise
            run.log(_no_base(run, disk, error.message), Level.WARNING)
            base, blocks = None, _counted(run, _listed(run.app, job.place, disk, None, 0))
        disks[disk.disk_id] = {"base": base, "blocks": blocks}
    started = run.app.clock.now().isoformat()
    return {"parent": str(parent.id) if parent else None, "disks": disks, "started": started}


def _no_base(run: Run, disk: DiskSnapshot, why: str) -> str:
    return f"{run.task.name}: {disk.disk_id} cannot be compared with its previous snapshot, so all of it is read. {why}"


def _listed(app: Services, where: Place, disk: DiskSnapshot, base: str | None, start: int) -> Iterator[BlockRef]:
    if base is None:
        return app.blocks.allocated(where, disk.snapshot_id, start_index=start)
    return app.blocks.changed(where, base, disk.snapshot_id, start_index=start)


def _counted(run: Run, refs: Iterator[BlockRef]) -> int:
    number = 0
    for number, _ in enumerate(refs, start=1):
        if number % _CHECK_EVERY == 0:
            run.check()
    return number


# ---- the work ---------------------------------------------------------------------------------------------------------


def _back_up(run: Run, job: _Job) -> Next | Done:
    if "plan" not in run.task.document:
        plan = _plan(run, job, parent=job.previous)
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


def _opening(run: Run, job: _Job) -> str:
    disks = run.task.document["plan"]["disks"]
    total = size(_total(run))
    if all(disk["base"] for disk in disks.values()) and job.previous is not None:
        return f"{run.task.name}: backing up what changed since {job.previous.at:%Y-%m-%d %H:%M} UTC, {total}."
    return f"{run.task.name}: backing up all allocated blocks, {total}."


def _total(run: Run) -> int:
    blocks: int = sum(disk["blocks"] for disk in run.task.document["plan"]["disks"].values())
    return blocks * BLOCK_SIZE


def _begin(run: Run, job: _Job) -> BackupRun:
    parent = run.task.document["plan"]["parent"]
    try:
        return job.repository.begin(point_id(run.task), parent=UUID(parent) if parent else None)
    except NotFound as error:
        if parent is None:
            raise
        run.log(f"{run.task.name}: the previous backup is not in the repository any more. {error.message}", Level.WARNING)
    kept = {key: value for key, value in run.task.document.items() if key not in ("checkpoint", "results")}
    run.save({**kept, "plan": _plan(run, job, parent=None), "results": {}})
    return job.repository.begin(point_id(run.task), parent=None)


def _disk(run: Run, job: _Job, backup: BackupRun, disk: DiskSnapshot) -> None:
    """Back one disk up and keep its result. Falls back to reading all of it when its base vanished meanwhile."""
    base = run.task.document["plan"]["disks"][disk.disk_id]["base"]
    try:
        result = _read(run, job, backup, disk, base)
    except (AwsNotFound, AwsRejected, InvalidInput) as error:
        if base is None:
            raise
        run.log(_no_base(run, disk, error.message), Level.WARNING)
        blocks = _counted(run, _listed(run.app, job.place, disk, None, 0))
        plan = run.task.document["plan"]
        disks = {**plan["disks"], disk.disk_id: {"base": None, "blocks": blocks}}
        kept = {key: value for key, value in run.task.document.items() if key != "checkpoint"}
        run.save({**kept, "plan": {**plan, "disks": disks}})
        result = _read(run, job, backup, disk, None)
    kept = {key: value for key, value in run.task.document.items() if key != "checkpoint"}
    run.save({**kept, "results": {**kept["results"], disk.disk_id: result.to_json()}})


def _read(run: Run, job: _Job, backup: BackupRun, disk: DiskSnapshot, base: str | None) -> DiskResult:
    blocks, where = run.app.blocks, job.place
    checkpoint = run.task.document.get("checkpoint")
    if checkpoint is not None and not backup.accepts(checkpoint):
        checkpoint = None
    return backup.disk(
        DiskInput(disk_id=disk.disk_id, size_bytes=disk.size_bytes, document=disk.document),
        blocks=_listed(run.app, where, disk, base, resume_index(checkpoint)),
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


def _commit(run: Run, job: _Job, backup: BackupRun) -> Manifest:
    run.check()
    snapshot = job.snapshot
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
        "policy": run.task.document["policy"],
    }
    results = [DiskResult.from_json(run.task.document["results"][disk.disk_id]) for disk in job.disks]
    return backup.commit(at=snapshot.at, resource=record, document=snapshot.document, disks=results)


def _from_the_start(run: Run, error: NotFound) -> Next:
    """The repository no longer holds what this run wrote (it rested too long): read again."""
    text = f"{run.task.name}: the interrupted backup is too old to go on with; starting it again. {error.message}"
    kept = {key: value for key, value in run.task.document.items() if key not in ("plan", "results", "checkpoint", "tenths")}
    return Next(stage="backup", document=kept, lines=(Line(text, Level.WARNING),))


# ---- the point --------------------------------------------------------------------------------------------------------


def _registered(run: Run, job: _Job, manifest: Manifest) -> Done:
    now = run.app.clock.now()
    point = replace(
        job.snapshot,
        id=manifest.id,
        leg=Leg.BACKUP,
        created_at=now,
        repository_id=job.row.id,
        stored_bytes=manifest.stored_bytes,
        size_bytes=manifest.size_bytes,
        base=False,
    )

    def change(tx: Tx) -> None:
        tx.points.add(point)
        _move_base(tx, job.snapshot)
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
    result = {**run.task.document["result"], "backupPointId": str(point.id)}
    return Done(message="Snapshot and backup created.", document={"result": result}, lines=lines, change=change)


def _closing(run: Run, now: datetime, read: int, written: int) -> str:
    plan = run.task.document["plan"]
    kind = "incremental" if all(disk["base"] for disk in plan["disks"].values()) else "full"
    took: timedelta = now - datetime.fromisoformat(plan["started"])
    speed = rate(read, took)
    pace = f"{span(took)} at {speed}" if speed else span(took)
    return f"{run.task.name}: {kind} backup created: {size(read)} read, {size(written)} stored, {pace}."


def _move_base(tx: Tx, snapshot: RestorePoint) -> None:
    """The snapshot just backed up becomes what the next one is compared with; the former base is free to go."""
    where = (
        Where("resource_id", "eq", snapshot.resource_id),
        Where("leg", "eq", Leg.SNAPSHOT),
        Where("base", "eq", True),
    )
    for former in tx.points.page(Select(where=where, limit=100)):
        if former.id != snapshot.id:
            tx.points.save(replace(former, base=False))
    current = tx.points.get(snapshot.id, lock=True)
    if current.state is PointState.AVAILABLE:
        tx.points.save(replace(current, base=True))


def abandon(run: Run) -> None:
    """Give up a backup that will not be finished: what it wrote becomes garbage. Its snapshot stays, a point by itself."""
    if "plan" not in run.task.document:
        return  # nothing was written yet
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(UUID(run.task.document["repository"]))
    repository = run.app.open_repository(row)
    repository.begin(point_id(run.task), parent=None).abandon()
    repository.forget(point_id(run.task))  # if it was committed but never told
