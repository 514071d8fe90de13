"""The replica leg: the snapshot just made is copied to another Region or account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from server.domain.codec import from_json
from server.domain.errors import Conflict, NotFound
from server.domain.legs import LegState, TaskLeg
from server.domain.replicas import ReplicaTarget
from server.domain.restore import Leg, RestorePoint
from server.domain.session import Level
from server.domain.workload import place
from server.ports import ReplicaJob, Tx
from server.services import legs, point_marks, run_terms
from server.services.steps import Done, Line, Next, Run
from server.services.wording import count


def step(run: Run) -> Next | Done:
    """The stage ``replica`` of a PROTECT task."""
    snapshot, job = _job(run)
    workload = run.app.workloads[snapshot.workload]
    made = workload.replicate(job, dict(run.task.document.get("memo", {})))
    if not made.done:
        waiting = {**run.task.document, "memo": made.memo}
        return Next(stage=legs.REPLICA, document=waiting, wait=made.wait, message=made.message or "Replicating.")
    point = _point(run, snapshot, job, made.memo)
    warnings = (*made.warnings, *point_marks.put(run.app, point, job.policy_name))

    def change(tx: Tx) -> None:
        tx.points.add(point)
        message = f"{point.resource_name}: replica created in {point.region}."
        tx.activity.append(at=point.created_at, kind="restore_point", subject_id=point.id, change="created", message=message)

    disks = len(workload.disks(made.memo))
    lines = [Line(f"{run.task.name}: replica of {count(disks, 'volume')} created in {point.region}.", Level.SUCCESS)]
    lines += [Line(f"{run.task.name}: {text}", Level.WARNING) for text in warnings]
    state = LegState.WARNING if warnings else LegState.SUCCESS
    result = {"replicaPointId": str(point.id)}
    return legs.close(run, TaskLeg.REPLICA, state=state, message=" ".join(warnings), result=result, lines=lines, change=change)


def abandon(run: Run) -> None:
    """Remove the copies of a replica that will not be finished, and take back the access given for it."""
    snapshot, job = _job(run)
    run.app.workloads[snapshot.workload].abandon_replica(job)


def point_id(task_id: UUID) -> UUID:
    return uuid5(task_id, "replica")


def _job(run: Run) -> tuple[RestorePoint, ReplicaJob]:
    terms = run_terms.of(run.session)
    target = from_json(ReplicaTarget, run.task.document["replica"])
    with run.app.store.transaction() as tx:
        snapshot = tx.points.get(legs.snapshot_id(run.task))
        accounts = tx.accounts.many({snapshot.account_id, target.account_id})
    if target.account_id not in accounts:
        raise NotFound("The account replicas go to was removed.", remedy="Choose another target in the policy.")
    source, owner = accounts[snapshot.account_id], accounts[target.account_id]
    if owner.id != source.id and owner.aws_account_id is None:
        raise Conflict(f"The number of the account {owner.name} is not known yet.", remedy="Check the account, then try again.")
    job = ReplicaJob(
        source=place(source, snapshot.region),
        target=place(owner, target.region),
        target_aws_account_id=owner.aws_account_id if owner.aws_account_id != source.aws_account_id else None,
        document=snapshot.document,
        resource_name=snapshot.resource_name,
        token=f"{legs.token(run.task)}-replica",
        policy_name=terms.policy,
        tags=terms.labels(),
        copy_tags=terms.copy_tags,
        encrypt=target.encrypt,
        kms_key=target.kms_key,
        key_usage=target.key_usage,
    )
    return snapshot, job


def _point(run: Run, snapshot: RestorePoint, job: ReplicaJob, document: dict[str, Any]) -> RestorePoint:
    copy = replace(
        snapshot,
        id=point_id(run.task.id),
        account_id=job.target.account_id,
        region=job.target.region,
        created_at=run.app.clock.now(),
        base=False,
        source_id=snapshot.id,
        document=document,
    )
    return legs.marked(run, copy, Leg.REPLICA)
