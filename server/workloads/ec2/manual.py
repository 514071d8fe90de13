"""A snapshot somebody asks for, kept where the instance is or elsewhere: copied there, and the original deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from server.ports import Aws, Clock, ManualJob, ReplicaJob, Step
from server.workloads.ec2 import replica, snapshot, sweep, vss

Json = dict[str, Any]


def step(aws: Aws, clock: Clock, job: ManualJob, memo: Json) -> Step:
    """Stages: ``snapshot`` → ``copy`` → ``delete``; then the memo is the document of what remains."""
    stage = memo.get("stage", "snapshot")
    if memo.get("volumes") and "stage" not in memo:
        return Step(memo=memo, done=True, progress=1.0)
    if stage == "copy":
        return _copy(aws, clock, job, memo)
    if stage == "delete":
        sweep.delete_snapshots(aws, job.snapshot.place, memo["document"])
        where = memo["copy"]["copiedFrom"]
        text = f"The snapshots in {where} are deleted; their copies remain."
        return Step(memo=memo["copy"], done=True, message=text, progress=1.0, warnings=tuple(memo["warnings"]))
    made = snapshot.step(aws, clock, replace(job.snapshot, tags_later=True), memo.get("inner", {}))
    if not made.done:
        return replace(made, memo={"stage": "snapshot", "inner": made.memo})
    if job.target is None:
        return made
    elsewhere = {"stage": "copy", "document": made.memo, "inner": {}, "warnings": list(made.warnings)}
    return Step(memo=elsewhere, message=made.message, progress=0.3)


def abandon(aws: Aws, clock: Clock, job: ManualJob) -> None:
    if job.target is not None:
        made = [{"snapshotId": s["SnapshotId"], "kmsKeyId": s.get("KmsKeyId")} for s in vss.made(aws, job.snapshot)]
        replica.abandon(aws, clock, _replica(job, {"volumes": made}))
    sweep.abandon(aws, clock, job.snapshot.place, job.snapshot.token)


def _copy(aws: Aws, clock: Clock, job: ManualJob, memo: Json) -> Step:
    made = replica.step(aws, clock, _replica(job, memo["document"]), memo["inner"])
    if made.done:
        return Step(memo={**memo, "stage": "delete", "copy": made.memo}, message=made.message, progress=0.95)
    return replace(made, memo={**memo, "inner": made.memo})


def _replica(job: ManualJob, document: Json) -> ReplicaJob:
    assert job.target is not None  # asked for only then
    return ReplicaJob(
        source=job.snapshot.place,
        target=job.target,
        target_aws_account_id=job.target_aws_account_id,
        document=document,
        resource_name=job.snapshot.resource.name or job.snapshot.resource.aws_id,
        token=f"{job.snapshot.token}-copy",
        policy_name=job.snapshot.policy_name,
        tags=job.snapshot.tags,
        copy_tags=job.snapshot.copy_tags,
        encrypt=job.kms_key is not None,
        kms_key=job.kms_key,
    )
