"""The verification leg: a backup is read again and compared with what was read from its source.

In a policy run it follows every backup (stage ``verify`` of a PROTECT task): the content roots taken while the source was read,
every new block, and a rotating share of the old ones. On request all of a point is read (VERIFY_POINT). A slot for moving data
is held for one slice at a time, so that backups are not kept waiting, and the place is kept between slices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import Conflict, Damaged, InvalidInput, NotFound
from server.domain.health import VERIFY_SHARES, verify_share
from server.domain.repository import StorageClass
from server.domain.restore import PROVEN_BY_VERIFICATION, Health, Leg, PointState, RestorePoint
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.ports import BLOCK_SIZE, Tx
from server.repository.control import Control
from server.repository.findings import Problem
from server.repository.manifest import Manifest
from server.repository.repository import Repository as Engine
from server.repository.verify import Cursor, Report, Share, root_problems, verify
from server.services import checks, points, runs
from server.services.context import Services
from server.services.slots import wait_for_slot
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count, size

STAGE: Final = "verify"
SLICE_BYTES: Final = 2 << 30  # read while a slot is held: some seconds
AT_ONCE: Final = points.AT_ONCE
TOLD_MAX: Final = 20  # damaged ranges named in the log


# ---- starting ---------------------------------------------------------------------------------------------------------


def start_verification(
    app: Services, caller: Caller, ids: Sequence[UUID], *, dry_run: bool = False, key: str | None = None
) -> Session | None:
    """Read all of these backups and compare them. None when ``dry_run``.

    Errors: Forbidden, NotFound, InvalidInput (number; snapshots; archives that were not retrieved), Conflict (being deleted).
    """
    caller.require(Role.OPERATOR)
    wanted = list(dict.fromkeys(ids))
    if not 1 <= len(wanted) <= AT_ONCE:
        raise InvalidInput("Name the restore points to verify.", fields={"ids": f"Between 1 and {AT_ONCE} points."})
    with app.store.transaction() as tx:
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        found = [tx.points.get(id, lock=True) for id in wanted]  # retention deletes none of them from here on
        for point in found:
            _refuse_unreadable(tx, point)
        if dry_run:
            return None
        return _begin(tx, app, caller, found, key)


def _refuse_unreadable(tx: Tx, point: RestorePoint) -> None:
    if point.state is not PointState.AVAILABLE:
        raise Conflict(f"{points.describe(point)} is being deleted already, or is deleted.")
    if point.leg is not Leg.BACKUP or point.repository_id is None:
        wrong = f"{points.describe(point)} is no backup: only backups in a repository are verified."
        raise InvalidInput(wrong, fields={"ids": wrong})
    if tx.repositories.get(point.repository_id).storage_class is not StorageClass.STANDARD:
        wrong = f"{points.describe(point)} is archived: its restore proves it."
        raise InvalidInput(wrong, fields={"ids": wrong})


def _begin(tx: Tx, app: Services, caller: Caller, found: Sequence[RestorePoint], key: str | None) -> Session:
    names = sorted({point.resource_name for point in found})
    draft = runs.SessionDraft(
        kind=SessionKind.VERIFICATION,
        name=f"Verify {count(len(found), 'backup')} of {names[0] if len(names) == 1 else f'{len(names)} resources'}",
        requested_by=caller.name,
        key=key,
        document={"pointIds": [str(point.id) for point in found]},
    )
    tasks = [
        runs.TaskDraft(
            kind=TaskKind.VERIFY_POINT,
            name=point.resource_name,
            resource_id=point.resource_id,
            progress_total=point.size_bytes,
            document={"verify": order(point.id, parent=None, share=Share())},
        )
        for point in found
    ]
    return runs.begin(tx, app, draft, tasks)


def order(point_id: UUID, *, parent: UUID | None, share: Share) -> dict[str, Any]:
    """What a task's document holds under ``verify``. ``parent``: blocks it has in the same place were proven with it."""
    return {
        "point": str(point_id),
        "parent": str(parent) if parent else None,
        "part": share.part,
        "of": share.of,
        "disk": 0,
        "leaf": 0,
        "blocks": 0,
        "problems": 0,
    }


def proven(tx: Tx, id: UUID | None) -> UUID | None:
    """``id`` when that point is proven and whole, so that what a new one shares with it need not be read; else None."""
    point = tx.points.many([id]).get(id) if id is not None else None
    return id if point is not None and point.proven_at is not None and point.health is Health.HEALTHY else None


def rotating(now: datetime) -> Share:
    """The share of the old blocks that a backup's verification reads today."""
    return Share(verify_share(now), VERIFY_SHARES)


# ---- the stage --------------------------------------------------------------------------------------------------------


def step(run: Run) -> Next | Done:
    """One slice; the task ends after the last. Its ``result`` so far is kept."""
    if not run.app.data_slots.acquire(blocking=False):
        return wait_for_slot(run, run.task.stage)
    try:
        point, report = _slice(run)
    finally:
        run.app.data_slots.release()
    kept = run.task.document["verify"]
    blocks, problems = kept["blocks"] + report.blocks, kept["problems"] + len(report.problems)
    if report.following is None:
        return _told(run, point, blocks * BLOCK_SIZE, problems)
    place = {"disk": report.following.disk, "leaf": report.following.leaf, "blocks": blocks, "problems": problems}
    document = {**run.task.document, "verify": {**kept, **place}}
    return Next(stage=run.task.stage, document=document, message=f"Verifying: {size(blocks * BLOCK_SIZE)} read.")


def _slice(run: Run) -> tuple[RestorePoint, Report]:
    kept = run.task.document["verify"]
    with run.app.store.transaction() as tx:
        point = tx.points.get(UUID(kept["point"]))
        if point.state is not PointState.AVAILABLE or point.repository_id is None:
            raise NotFound(f"{points.describe(point)} was deleted before it was verified.")
        row = tx.repositories.get(point.repository_id)
    repository = run.app.open_repository(row)
    start = Cursor(kept["disk"], kept["leaf"])
    report = _compared(run, repository, point, start)
    _note(run, repository, point, report.problems)
    return point, report


def _compared(run: Run, repository: Engine, point: RestorePoint, start: Cursor) -> Report:
    kept = run.task.document["verify"]
    try:
        manifest = repository.point(point.id)
    except Damaged as damaged:
        return Report(problems=[checks.of_manifest(point.id, damaged)])
    report = verify(
        repository,
        manifest,
        parent=_parent(repository, kept["parent"]),
        share=Share(kept["part"], kept["of"]),
        start=start,
        budget=SLICE_BYTES,
        control=Control(cancelled=run.halted),
    )
    if start == Cursor():
        report.problems[:0] = root_problems(repository, manifest, point.content_roots)
    return report


def _parent(repository: Engine, id: str | None) -> Manifest | None:
    """None when it is gone or damaged: then all blocks are new to us."""
    try:
        return repository.point(UUID(id)) if id else None
    except (NotFound, Damaged):
        return None


def _note(run: Run, repository: Engine, point: RestorePoint, problems: Sequence[Problem]) -> None:
    if not problems:
        return
    checks.remember(repository, problems)
    checks.note(run, {point.id: [harm for problem in problems for harm in problem.harm]})
    already = run.task.document["verify"]["problems"]
    for problem in problems[: max(0, TOLD_MAX - already)]:
        harm = problem.harm[0]
        where = f"disk {harm.disk_id}, bytes {harm.start} to {harm.end}" if harm.disk_id else "all of it"
        text = f"{run.task.name}: verification: {problem.message} Not restorable: {where}."
        run.log(text, Level.ERROR, object=problem.object)


def _told(run: Run, point: RestorePoint, read: int, problems: int) -> Done:
    kept, now = run.task.document["verify"], run.app.clock.now()

    def change(tx: Tx) -> None:
        if problems:
            return
        if kept["of"] == 1 and kept["parent"] is None:
            checks.heal(tx, [point.id])
        if point.content_roots:  # else nobody here saw the source
            prove(tx, point.id, PROVEN_BY_VERIFICATION, now)

    result = {**run.task.document.get("result", {}), "verifiedBytes": read, "problems": problems}
    if problems:
        text = (
            f"{run.task.name}: verification: {count(problems, 'difference')} found in {size(read)} read. "
            "The backup is incomplete; the next one reads what is damaged from the source again."
        )
        line = Line(text, Level.ERROR, {"code": Damaged.code})
        return Done(state=State.ERROR, message=text, document={"result": result}, lines=(line,))
    how = "all as it was at the source" if point.content_roots else "all as the backup says; what the source held is not known"
    text = f"{run.task.name}: verification: {size(read)} read, {how}."
    line = Line(text, Level.SUCCESS, {"bytes": read})
    return Done(message=_message(run.task.document), document={"result": result}, lines=(line,), change=change)


def _message(document: Mapping[str, Any]) -> str:
    return "Snapshot and backup created, backup verified." if "result" in document else "Verified."


def prove(tx: Tx, point_id: UUID, how: str, at: datetime) -> None:
    """Note that a point's content was compared with what was read from its source, and is the same."""
    point = tx.points.get(point_id, lock=True)
    if point.proven_at is None or point.proven_at < at:
        tx.points.save(replace(point, proven_at=at, proven_how=how))


HANDLER: Final = Handler(step=step)
