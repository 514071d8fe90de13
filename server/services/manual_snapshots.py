"""Snapshots somebody makes by hand: outside every policy and chain, kept for the days asked or until somebody deletes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from server.domain import policy_rules
from server.domain.access import Caller, Role
from server.domain.codec import from_json, to_json
from server.domain.errors import Conflict, InvalidInput
from server.domain.policy import Tag
from server.domain.restore import Leg, RestorePoint
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.domain.workload import Resource, place
from server.ports import ManualJob, SnapshotJob, Step, Tx
from server.services import accounts, point_marks, runs
from server.services.context import Services
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count, size

AT_ONCE: Final = 100  # resources one request may name
KEEP_DAYS_MAX: Final = 36_135
NO_POLICY: Final = "Manual snapshot"  # what the tag holdfast:policy says
KEY: Final = "order"  # of the session's document


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualPlace:
    """Where else a snapshot is kept. ``kms_key``: of the copy there; None: it is not encrypted."""

    account_id: UUID
    region: str
    kms_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualOrder:
    """``keep_days`` None: until somebody deletes it. ``place`` None: where the resource is."""

    keep_days: int | None = None
    tags: tuple[Tag, ...] = ()
    copy_tags: bool = True
    place: ManualPlace | None = None


# ---- starting ---------------------------------------------------------------------------------------------------------


def take(
    app: Services,
    caller: Caller,
    resource_ids: Sequence[UUID],
    order: ManualOrder,
    *,
    dry_run: bool = False,
    key: str | None = None,
) -> Session | None:
    """Snapshot these resources now, one task each. None when ``dry_run``.

    Errors: Forbidden, InvalidInput (``fields``), NotFound, Conflict for a resource that is no longer in AWS.
    """
    caller.require(Role.OPERATOR)
    wanted = list(dict.fromkeys(resource_ids))
    fields = dict(_problems(wanted, order))
    if fields:
        raise InvalidInput(f"No snapshot can be taken: {next(iter(fields.values()))}", fields=fields)
    with app.store.transaction() as tx:
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        found = [tx.resources.get(id) for id in wanted]
        gone = next((each for each in found if not each.present), None)
        if gone is not None:
            raise Conflict(f"{gone.name or gone.aws_id} is no longer in AWS.", remedy="Rescan its account.")
        if order.place is not None:
            account = tx.accounts.get(order.place.account_id)
            accounts.check_regions(app, account, (order.place.region,), "place.region")
        if dry_run:
            return None
        return runs.begin(tx, app, _draft(caller, found, order, key), [_task(each) for each in found])


def _problems(wanted: Sequence[UUID], order: ManualOrder) -> Iterator[tuple[str, str]]:
    if not 1 <= len(wanted) <= AT_ONCE:
        yield "resourceIds", f"Between 1 and {AT_ONCE} resources."
    if order.keep_days is not None and not 1 <= order.keep_days <= KEEP_DAYS_MAX:
        yield "keepDays", f"Between 1 and {KEEP_DAYS_MAX:,} days, or nothing: then it is kept until somebody deletes it."
    yield from policy_rules.tag_problems(order.tags)


def _draft(caller: Caller, found: Sequence[Resource], order: ManualOrder, key: str | None) -> runs.SessionDraft:
    who = (found[0].name or found[0].aws_id) if len(found) == 1 else count(len(found), "resource")
    kept = f"kept {count(order.keep_days, 'day')}" if order.keep_days else "kept until somebody deletes it"
    where = f", copied to {order.place.region}" if order.place else ""
    return runs.SessionDraft(
        kind=SessionKind.MANUAL_SNAPSHOT,
        name=f"Snapshot of {who}",
        requested_by=caller.name,
        key=key,
        document={KEY: to_json(order)},
        opening=((Level.INFO, f"Taking a snapshot of {who}{where}, {kept}."),),
    )


def _task(resource: Resource) -> runs.TaskDraft:
    return runs.TaskDraft(
        kind=TaskKind.MANUAL_SNAPSHOT, name=resource.name or resource.aws_id, resource_id=resource.id, document={"memo": {}}
    )


# ---- the task ---------------------------------------------------------------------------------------------------------


def _step(run: Run) -> Next | Done:
    document = run.task.document
    if "at" not in document:
        run.save({**document, "at": run.app.clock.now().isoformat()})
    resource, job = _job(run)
    workload = run.app.workloads[resource.workload]
    step = workload.manual_snapshot(job, dict(run.task.document["memo"]))
    if not step.done:
        waiting = {**run.task.document, "memo": step.memo}
        return Next(stage="snapshot", document=waiting, wait=step.wait, message=step.message or "Creating snapshot.")
    return _registered(run, _point(run, resource, job, step), step)


def _job(run: Run) -> tuple[Resource, ManualJob]:
    order = from_json(ManualOrder, run.session.document[KEY])
    assert run.task.resource_id is not None  # every task is made for one
    with run.app.store.transaction() as tx:
        resource = tx.resources.get(run.task.resource_id)
        home = tx.accounts.get(resource.account_id)
        owner = tx.accounts.get(order.place.account_id) if order.place else home
    snapshot = SnapshotJob(
        place=place(home, resource.region),
        resource=resource,
        token=str(run.task.id),
        policy_name=NO_POLICY,
        copy_tags=order.copy_tags,
        tags={tag.key: tag.value for tag in order.tags},
        tags_later=True,
    )
    if order.place is None:
        return resource, ManualJob(snapshot=snapshot)
    if owner.id != home.id and owner.aws_account_id is None:
        raise Conflict(f"The number of the account {owner.name} is not known yet.", remedy="Check the account, then try again.")
    foreign = owner.aws_account_id if owner.aws_account_id != home.aws_account_id else None
    target = place(owner, order.place.region)
    return resource, ManualJob(snapshot=snapshot, target=target, target_aws_account_id=foreign, kms_key=order.place.kms_key)


def _point(run: Run, resource: Resource, job: ManualJob, step: Step) -> RestorePoint:
    order = from_json(ManualOrder, run.session.document[KEY])
    at = datetime.fromisoformat(run.task.document["at"])
    where = job.target or job.snapshot.place
    return RestorePoint(
        id=uuid5(run.task.id, "snapshot"),
        resource_id=resource.id,
        resource_name=resource.name or resource.aws_id,
        workload=resource.workload,
        account_id=where.account_id,
        region=where.region,
        leg=Leg.SNAPSHOT,
        at=at,
        created_at=run.app.clock.now(),
        session_id=run.session.id,
        task_id=run.task.id,
        manual=True,
        expires_at=at + timedelta(days=order.keep_days) if order.keep_days else None,
        size_bytes=sum(disk.size_bytes for disk in run.app.workloads[resource.workload].disks(step.memo)),
        document=step.memo,
    )


def _registered(run: Run, point: RestorePoint, step: Step) -> Done:
    warnings = (*step.warnings, *point_marks.put(run.app, point, ""))

    def change(tx: Tx) -> None:
        tx.points.add(point)
        message = f"{point.resource_name}: snapshot taken by hand."
        tx.activity.append(at=point.created_at, kind="restore_point", subject_id=point.id, change="created", message=message)

    disks = len(run.app.workloads[point.workload].disks(step.memo))
    text = f"{run.task.name}: snapshot of {count(disks, 'volume')} in {point.region} created ({size(point.size_bytes)})."
    lines = (Line(text, Level.SUCCESS), *(Line(f"{run.task.name}: {each}", Level.WARNING) for each in warnings))
    return Done(
        state=State.WARNING if warnings else State.SUCCESS,
        message=" ".join(warnings) or "Snapshot created.",
        document={"result": {"snapshotPointId": str(point.id)}},
        lines=lines,
        change=change,
    )


def _abandon(run: Run) -> None:
    resource, job = _job(run)
    run.app.workloads[resource.workload].abandon_manual(job)


HANDLER: Final = Handler(step=_step, cleanup=_abandon)
