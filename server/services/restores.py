"""Getting things back: volumes or a whole instance, at a new place, from a snapshot, a backup or an archive.

A restore task goes ``start`` → (archives: ``retrieve`` → ``await`` →) (what lies in a repository: ``write`` → ``seal``) →
``create`` → ``tidy``. ``await`` looks now and then whether the data is readable; ``write`` puts the blocks of each disk into a
new EBS snapshot, with a checkpoint every few seconds; ``seal`` waits for EC2 to complete it; ``create`` is the workload's;
``tidy`` removes the temporary snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from server.domain import archive, codec
from server.domain.access import Caller, Role
from server.domain.errors import AwsNotFound, Conflict, HoldfastError, InvalidInput
from server.domain.repository import StorageClass
from server.domain.restore import IN_AWS, PROVEN_BY_RESTORE, InstanceRestore, Leg, PointState, RestorePoint, VolumeRestore
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.domain.workload import Place, place
from server.ports import DiskSnapshot, RestoreJob, Step, Tx, Workload
from server.services import restore_data, runs, thawing, verification
from server.services.context import Services
from server.services.points import describe
from server.services.slots import wait_for_slot
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count

NAME_MAX: Final = 255  # characters of a Name tag
VOLUME_TYPES: Final = ("gp2", "gp3", "io1", "io2", "sc1", "st1", "standard")

# IAM actions this module needs beside the workload's own, in the target Region
PERMISSIONS: Final = (
    "ec2:DescribeRegions",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeSnapshots",
    "ec2:DeleteSnapshot",
    "ec2:CreateTags",
    "ebs:StartSnapshot",
    "ebs:PutSnapshotBlock",
    "ebs:CompleteSnapshot",
)

IN_REPOSITORY: Final = (Leg.BACKUP, Leg.ARCHIVE)

Options = VolumeRestore | InstanceRestore


# ---- starting ---------------------------------------------------------------------------------------------------------


def start_volume_restore(
    app: Services,
    caller: Caller,
    point_id: UUID,
    options: VolumeRestore,
    *,
    reason: str = "",
    dry_run: bool = False,
    key: str | None = None,
) -> Session | None:
    """Bring disks of a point back as standalone volumes. None when ``dry_run``: everything was checked, nothing started.

    Errors: Forbidden, NotFound, Conflict, InvalidInput (with ``fields``), and those of AWS.
    """
    caller.require(Role.RESTORE_OPERATOR)
    point, where = _target(app, point_id, options)
    disks = _chosen(app, point, options)
    _check_zone(app, where, options.zone)
    if options.volume_type is not None and options.volume_type not in VOLUME_TYPES:
        wrong = f"Unknown volume type {options.volume_type}: choose one of {', '.join(VOLUME_TYPES)}."
        raise InvalidInput(wrong, fields={"volumeType": wrong})
    if dry_run:
        return None
    name = f"Restore {count(len(disks), 'volume')} of {point.resource_name}"
    draft = _draft(SessionKind.VOLUME_RESTORE, name, caller, reason, key, point)
    return _start(app, draft, TaskKind.RESTORE_VOLUMES, point, options, disks)


def start_instance_restore(
    app: Services,
    caller: Caller,
    point_id: UUID,
    options: InstanceRestore,
    *,
    reason: str = "",
    dry_run: bool = False,
    key: str | None = None,
) -> Session | None:
    """Bring an instance back as a new one. None when ``dry_run``. Errors: as ``start_volume_restore``."""
    caller.require(Role.RESTORE_OPERATOR)
    if not 1 <= len(options.name.strip()) <= NAME_MAX:
        wrong = f"Give the new instance a name of 1 to {NAME_MAX} characters."
        raise InvalidInput(wrong, fields={"name": wrong})
    point, _ = _target(app, point_id, options)
    disks = _chosen(app, point, options)
    if dry_run:
        return None
    draft = _draft(SessionKind.INSTANCE_RESTORE, f"Restore {point.resource_name}", caller, reason, key, point)
    return _start(app, draft, TaskKind.RESTORE_INSTANCE, point, options, disks)


def _draft(
    kind: SessionKind, name: str, caller: Caller, reason: str, key: str | None, point: RestorePoint
) -> runs.SessionDraft:
    return runs.SessionDraft(
        kind=kind,
        name=name,
        requested_by=caller.name,
        reason=reason,
        policy_id=point.policy_id,
        key=key,
        document={"pointId": str(point.id)},
    )


def _start(
    app: Services,
    draft: runs.SessionDraft,
    kind: TaskKind,
    point: RestorePoint,
    options: Options,
    disks: Sequence[DiskSnapshot],
) -> Session:
    source = {
        "pointId": str(point.id),
        "options": codec.to_json(options),
        "disks": [disk.disk_id for disk in disks],
    }
    total = sum(disk.size_bytes for disk in disks) if point.leg in IN_REPOSITORY else 0
    task = runs.TaskDraft(
        kind=kind, name=point.resource_name, resource_id=point.resource_id, progress_total=total, document=source
    )
    origin = describe(point)
    opening = ((Level.INFO, f"Restoring from {origin[0].lower()}{origin[1:]} to {options.region}."),)
    with app.store.transaction() as tx:
        if draft.key is None or tx.sessions.find(key=draft.key) is None:
            _available(tx.points.get(point.id, lock=True))  # again, now that nothing can delete it in between
        return runs.begin(tx, app, replace(draft, opening=opening), [task])


def _available(point: RestorePoint) -> RestorePoint:
    if point.state is not PointState.AVAILABLE:
        raise Conflict(f"{describe(point)} has been deleted.", remedy="Choose another restore point.")
    return point


def _target(app: Services, point_id: UUID, options: Options) -> tuple[RestorePoint, Place]:
    """The point and the place it goes to, both checked."""
    with app.store.transaction() as tx:
        point = _available(tx.points.get(point_id))
        account = tx.accounts.get(options.account_id)
        home = tx.accounts.get(point.account_id)
        row = tx.repositories.get(point.repository_id) if point.repository_id else None
    if point.leg is Leg.ARCHIVE and row is not None and row.storage_class is not StorageClass.STANDARD:
        _check_retrieval(row.storage_class, options)
    if point.leg in IN_AWS:
        if options.account_id != point.account_id:
            wrong = f"A {point.leg.value} is restored in its own account; use a backup to restore into another."
            raise InvalidInput(wrong, fields={"accountId": wrong})
        if options.region != point.region:
            wrong = f"A {point.leg.value} is restored in its own Region, {point.region}; use a backup to restore into another."
            raise InvalidInput(wrong, fields={"region": wrong})
    elif options.region != point.region:
        answer = app.aws.call(place(home, point.region), "ec2", "describe_regions")
        names = sorted(region["RegionName"] for region in answer.get("Regions", ()))
        if options.region not in names:
            wrong = f"{options.region} is no Region enabled for the account: choose one of {', '.join(names)}."
            raise InvalidInput(wrong, fields={"region": wrong})
    return point, place(account, options.region)


def _check_retrieval(storage_class: StorageClass, options: Options) -> None:
    try:
        archive.check_order(storage_class, options.retrieval_mode, options.retrieval_days)
    except InvalidInput as wrong:
        fields = {f"retrieval{name.capitalize()}": text for name, text in wrong.fields.items()}
        raise InvalidInput(wrong.message, fields=fields) from wrong


def _chosen(app: Services, point: RestorePoint, options: Options) -> tuple[DiskSnapshot, ...]:
    disks = _workload(app, point).disks(point.document)
    wanted = options.disks if isinstance(options, VolumeRestore) else ()
    unknown = set(wanted) - {disk.disk_id for disk in disks}
    if unknown:
        wrong = f"The point has no disk {', '.join(sorted(unknown))}; it has {', '.join(disk.disk_id for disk in disks)}."
        raise InvalidInput(wrong, fields={"disks": wrong})
    chosen = tuple(disk for disk in disks if not wanted or disk.disk_id in wanted)
    if point.leg in IN_AWS and point.damage is not None:
        _refuse_missing(point, [disk.disk_id for disk in chosen])
    return chosen


def _refuse_missing(point: RestorePoint, chosen: Sequence[str]) -> None:
    assert point.damage is not None  # asked only then
    gone = {each.disk_id for each in point.damage.ranges}.intersection(chosen)
    if gone:
        raise Conflict(
            f"{describe(point)} is no longer whole: somebody deleted the snapshot of {', '.join(sorted(gone))} in AWS.",
            remedy="Restore its other volumes, or choose another restore point.",
        )


def _check_zone(app: Services, where: Place, zone: str) -> None:
    answer = app.aws.call(where, "ec2", "describe_availability_zones")
    names = sorted(each["ZoneName"] for each in answer.get("AvailabilityZones", ()))
    if zone not in names:
        wrong = f"{where.region} has no Availability Zone {zone or '(none given)'}: choose one of {', '.join(names)}."
        raise InvalidInput(wrong, fields={"zone": wrong})


def _workload(app: Services, point: RestorePoint) -> Workload:
    return app.workloads[point.workload]


# ---- the task ---------------------------------------------------------------------------------------------------------


Create = Callable[[Run, Workload, RestoreJob], Step]


def _subject(run: Run) -> tuple[RestorePoint, Place]:
    """The point, and where its contents go."""
    document = run.task.document
    with run.app.store.transaction() as tx:
        point = tx.points.get(UUID(document["pointId"]))
        account = tx.accounts.get(UUID(document["options"]["account_id"]))
    return point, place(account, document["options"]["region"])


def _step(run: Run, create: Create) -> Next | Done:
    point, where = _subject(run)
    document = run.task.document
    if run.task.stage == "start":
        _available(point)
        stage = {Leg.BACKUP: "write", Leg.ARCHIVE: "retrieve"}.get(point.leg, "create")
        return Next(stage=stage, document={**document, "snapshots": {}, "written": {}}, message="Preparing.")
    if run.task.stage == "retrieve":
        return restore_data.retrieve(run, point)
    if run.task.stage == "await":
        return restore_data.wait_readable(run, point)
    if run.task.stage == "write":
        if not run.app.data_slots.acquire(blocking=False):
            return wait_for_slot(run, "write")
        try:
            return restore_data.write(run, point, where)
        finally:
            run.app.data_slots.release()
    if run.task.stage == "seal":
        return restore_data.seal(run, where)
    if run.task.stage == "create":
        return _create(run, point, where, create)
    return _tidy(run, point, where)


def _create(run: Run, point: RestorePoint, where: Place, create: Create) -> Next | Done:
    document = run.task.document
    job = RestoreJob(
        place=where,
        token=str(run.task.id),
        record=point.document,
        resource_name=point.resource_name,
        disks=restore_data.disks(run, point),
    )
    step = create(run, _workload(run.app, point), job)
    if not step.done:
        waiting = {**document, "memo": step.memo}
        news = (Line(f"{run.task.name}: {step.message}"),) if step.message and step.message != run.task.message else ()
        return Next(stage="create", document=waiting, wait=step.wait, message=step.message, lines=news)
    result: dict[str, Any] = {key: step.memo[key] for key in ("instanceId", "volumes") if key in step.memo}
    warnings = tuple(Line(f"{run.task.name}: {text}", Level.WARNING) for text in step.memo.get("warnings", ()))
    result["warnings"] = [line.message for line in warnings]
    lines = (*warnings, Line(f"{run.task.name}: {_created(result)}", Level.SUCCESS, data=result))
    if point.leg in IN_AWS:
        return Done(state=_verdict(result), message=_created(result), document={"result": result}, lines=lines)
    kept = {**document, "result": result, "memo": {}}
    return Next(stage="tidy", document=kept, message="Removing temporary snapshots.", lines=lines)


def _verdict(result: dict[str, Any]) -> State:
    return State.WARNING if result["warnings"] else State.SUCCESS


def _created(result: dict[str, Any]) -> str:
    volumes = [each["volumeId"] for each in result.get("volumes", ())]
    if "instanceId" in result:
        return f"Instance {result['instanceId']} created with {count(len(volumes), 'volume')}."
    return f"{count(len(volumes), 'volume')} created: {', '.join(volumes)}."


def _tidy(run: Run, point: RestorePoint, where: Place) -> Done:
    """Remove the temporary snapshots. What was restored is good whatever comes of this."""
    document = run.task.document
    lines, state = [], _verdict(document["result"])
    for snapshot_id in sorted(document["snapshots"].values()):
        try:
            _delete_snapshot(run, where, snapshot_id)
        except HoldfastError as error:
            if error.transient and run.task.attempt < 3:
                raise
            state = State.WARNING
            text = f"The temporary snapshot {snapshot_id} could not be deleted: {error.sentence()}"
            lines.append(Line(text, Level.WARNING, {"code": error.code}))
    now = run.app.clock.now()

    def change(tx: Tx) -> None:
        if set(document["written"]) == set(point.content_roots):  # all of it was read, and is what the source was
            verification.prove(tx, point.id, PROVEN_BY_RESTORE, now)

    message = _created(document["result"])
    return Done(state=state, message=message, document={"result": document["result"]}, lines=tuple(lines), change=change)


def _delete_snapshot(run: Run, where: Place, snapshot_id: str) -> None:
    try:
        run.app.aws.call(where, "ec2", "delete_snapshot", SnapshotId=snapshot_id)
    except AwsNotFound:
        return  # that is what was wanted


def _cleanup(run: Run) -> None:
    """Nothing half-made stays: what carries the task's tag goes, temporary snapshots too."""
    point, where = _subject(run)
    if "result" not in run.task.document:  # else what was restored is whole, and the person's
        _workload(run.app, point).abandon(where, str(run.task.id))
    for snapshot_id in sorted(run.task.document.get("snapshots", {}).values()):
        _delete_snapshot(run, where, snapshot_id)
    thawing.withdraw(run, point.id)


def _volumes(run: Run, workload: Workload, job: RestoreJob) -> Step:
    options = codec.from_json(VolumeRestore, run.task.document["options"])
    return workload.restore_volumes(job, options, dict(run.task.document.get("memo", {})))


def _instance(run: Run, workload: Workload, job: RestoreJob) -> Step:
    options = codec.from_json(InstanceRestore, run.task.document["options"])
    return workload.restore_instance(job, options, dict(run.task.document.get("memo", {})))


VOLUMES: Final = Handler(step=lambda run: _step(run, _volumes), cleanup=_cleanup)
INSTANCE: Final = Handler(step=lambda run: _step(run, _instance), cleanup=_cleanup)
