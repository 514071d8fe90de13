"""The PROTECT task: one resource of a policy run, leg after leg.

guest scripts → snapshot → (as soon as AWS has fixed the moment) guest scripts → replica → backup (→ what was damaged is looked
at again) → verification → archive. How legs end and follow each other: ``legs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from server.domain import legs as domain
from server.domain.errors import Conflict, HoldfastError
from server.domain.legs import LegState, TaskLeg
from server.domain.restore import Leg, RestorePoint
from server.domain.session import Level, State, Task
from server.domain.workload import Account, Place, Resource, place
from server.ports import SnapshotJob, Step, Tx
from server.services import archiving, backups, guests, legs, point_marks, replicas, run_terms, verification
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count, size


def _step(run: Run) -> Next | Done:
    if _older(run.task):
        raise Conflict("The appliance was upgraded while this ran.", remedy="Run the policy again.")
    return _STAGES[run.task.stage](run)


def _onward(run: Run) -> Next | Done:
    return legs.onward(run, dict(run.task.document))


def _subject(run: Run) -> tuple[Resource, Place]:
    with run.app.store.transaction() as tx:
        resource = tx.resources.get(_resource_id(run.task))
        account: Account = tx.accounts.get(resource.account_id)
    return resource, place(account, resource.region)


def _resource_id(task: Task) -> UUID:
    assert task.resource_id is not None  # every PROTECT task is made for a resource
    return task.resource_id


def _guest_pre(run: Run) -> Next | Done:
    return guests.pre(run, *_subject(run))


def _guest_post(run: Run) -> Next | Done:
    return guests.post(run, *_subject(run))


# ---- snapshot ---------------------------------------------------------------------------------------------------------


def _snapshot(run: Run) -> Next | Done:
    document = run.task.document
    resource, where = _subject(run)
    workload = run.app.workloads[resource.workload]
    step = workload.snapshot(_snapshot_job(run, resource, where), dict(document.get("memo", {})))
    if not step.done:
        thaw = step.taken and document.get("guest") == legs.GUEST_OPEN
        return Next(
            stage=legs.GUEST_POST if thaw else legs.SNAPSHOT,
            document={**document, "memo": step.memo},
            wait=0.0 if thaw else step.wait,
            message=step.message or "Creating snapshot.",
        )
    return _registered(run, _point(run, resource, step), step)


def _snapshot_job(run: Run, resource: Resource, where: Place) -> SnapshotJob:
    terms = run_terms.of(run.session)
    return SnapshotJob(
        place=where,
        resource=resource,
        token=legs.token(run.task),
        policy_name=terms.policy,
        copy_tags=terms.copy_tags,
        tags=terms.labels(),
        excluded=terms.excluded,
        consistency="application" if terms.guest.application_aware else "crash",
    )


def _point(run: Run, resource: Resource, step: Step) -> RestorePoint:
    point = RestorePoint(
        id=legs.snapshot_id(run.task),
        resource_id=resource.id,
        resource_name=resource.name or resource.aws_id,
        workload=resource.workload,
        account_id=resource.account_id,
        region=resource.region,
        leg=Leg.SNAPSHOT,
        at=datetime.fromisoformat(run.task.document["at"]),
        created_at=run.app.clock.now(),
        size_bytes=sum(disk.size_bytes for disk in run.app.workloads[resource.workload].disks(step.memo)),
        document=step.memo,
    )
    return legs.marked(run, point, Leg.SNAPSHOT)


def _registered(run: Run, point: RestorePoint, step: Step) -> Next | Done:
    warnings = (*step.warnings, *point_marks.put(run.app, point, run_terms.of(run.session).policy))

    def change(tx: Tx) -> None:
        tx.points.add(point)
        message = f"{point.resource_name}: snapshot created."
        tx.activity.append(at=point.created_at, kind="restore_point", subject_id=point.id, change="created", message=message)

    disks = len(run.app.workloads[point.workload].disks(step.memo))
    text = f"{run.task.name}: snapshot of {count(disks, 'volume')} created ({size(point.size_bytes)})."
    lines = [Line(text, Level.SUCCESS), *(Line(f"{run.task.name}: {each}", Level.WARNING) for each in warnings)]
    state = LegState.WARNING if warnings else LegState.SUCCESS
    result = {"snapshotPointId": str(point.id)}
    return legs.close(run, TaskLeg.SNAPSHOT, state=state, message=" ".join(warnings), result=result, lines=lines, change=change)


# ---- verification and archive -----------------------------------------------------------------------------------------


def _verify(run: Run) -> Next | Done:
    step = verification.step(run)
    if isinstance(step, Next):
        return step
    if step.state is not State.SUCCESS:
        return legs.close_harmed(run, step)
    return legs.close(run, TaskLeg.VERIFICATION, result=step.document["result"], lines=step.lines, change=step.change)


def _archive(run: Run) -> Next | Done:
    step = archiving.step(run, legs.ARCHIVE)
    if isinstance(step, Next):
        return step
    return legs.close(run, TaskLeg.ARCHIVE, result=step.document["result"], lines=step.lines, change=step.change)


# ---- giving up --------------------------------------------------------------------------------------------------------


def _clean(run: Run) -> Next | Done:
    """The stage ``clean``: a leg failed."""
    _sweep(run, TaskLeg(run.task.document["cleaning"]))
    return legs.onward(run, {key: value for key, value in run.task.document.items() if key != "cleaning"})


def _sweep(run: Run, leg: TaskLeg) -> None:
    """Remove what the leg left in AWS and in repositories."""
    if leg in (TaskLeg.GUEST, TaskLeg.SNAPSHOT):
        resource, where = _subject(run)
        workload = run.app.workloads[resource.workload]
        mark = legs.token(run.task) if leg is TaskLeg.SNAPSHOT else guests.token(run)
        workload.abandon(where, mark)
    elif leg is TaskLeg.REPLICA:
        replicas.abandon(run)
    elif leg is TaskLeg.BACKUP:
        backups.abandon(run)
    elif leg is TaskLeg.ARCHIVE:
        archiving.abandon(run)


def _cleanup(run: Run) -> None:
    """The task was cancelled, or killed its workers: the leg at work ends here; points that were made stay."""
    if _older(run.task):
        _sweep_older(run)
        return
    document = run.task.document
    current = legs.of(run.task)
    leg = TaskLeg(document["cleaning"]) if "cleaning" in document else domain.running(current)
    try:
        if leg is TaskLeg.GUEST and current[TaskLeg.SNAPSHOT].state is LegState.PENDING:
            _sweep(run, leg)  # or it would freeze the guest after it was thawed
    finally:  # whatever else cannot be removed, no guest is left frozen
        if document.get("guest") == legs.GUEST_OPEN:
            guests.thaw(run, *_subject(run))
    if leg is not None and leg is not TaskLeg.GUEST:
        _sweep(run, leg)
    for name, kept in document.get("resume", {}).items():  # failed legs that were to be tried again
        run.save({**run.task.document, **kept})
        _sweep(run, TaskLeg(name))
    ended = {each: current[each] for each in current if not current[each].state.open}
    stopped = {each: domain.LegRecord(LegState.SKIPPED, "Not done: the run ended early.") for each in current}
    run.save({**document, "legs": domain.to_json({**stopped, **ended})})


# ---- tasks of before there were legs ----------------------------------------------------------------------------------


def _older(task: Task) -> bool:
    """Begun by a version that knew no legs: the appliance was upgraded while it ran."""
    return "legs" not in task.document


def _sweep_older(run: Run) -> None:
    """Remove what it has begun, unless it became a point."""
    document = run.task.document
    if "result" not in document:
        resource, where = _subject(run)
        run.app.workloads[resource.workload].abandon(where, legs.token(run.task))
    elif not document.get("registered"):
        backups.abandon(run)


def _second_chance(run: Run, error: HoldfastError) -> Next | None:
    return None if _older(run.task) else legs.second_chance(run, error)


_STAGES: Final[Mapping[str, Callable[[Run], Next | Done]]] = MappingProxyType(
    {
        "start": _onward,
        legs.ONWARD: _onward,
        legs.GUEST_PRE: _guest_pre,
        legs.SNAPSHOT: _snapshot,
        legs.GUEST_POST: _guest_post,
        legs.REPLICA: replicas.step,
        legs.BACKUP: backups.step,
        legs.HEAL: backups.heal,
        legs.VERIFY: _verify,
        legs.ARCHIVE: _archive,
        legs.CLEAN: _clean,
    }
)

HANDLER: Final = Handler(step=_step, cleanup=_cleanup, second_chance=_second_chance)
