"""Application-consistent snapshots of Windows guests, by AWS's VSS components through Systems Manager.

The guest itself makes the snapshots, of all volumes or all but the root's, and tags them ``AppConsistent`` when its writers
took part. The components must be installed in it already. Copy-only: the logs of databases are not truncated, their own backup
chains not broken. Whatever goes wrong is a sentence, and the caller makes plain snapshots instead.
"""

from __future__ import annotations

from typing import Final

from server.ports import Aws, Clock, SnapshotJob, Step
from server.workloads.ec2 import commands, intent, records, tags
from server.workloads.ec2.commands import Command
from server.workloads.ec2.records import Json

DOCUMENT: Final = "AWSEC2-CreateVssSnapshot"
SECONDS: Final = 600  # for writers to freeze, and for the guest to tag what it made
CONSISTENT: Final = "AppConsistent"  # the tag of success, set by the guest


def possible(aws: Aws, job: SnapshotJob, document: Json) -> tuple[bool, str | None]:
    """Whether to use VSS; if not, the warning that follows from it. None where it would change nothing: the disks of a stopped
    instance are at rest, and other guests have no VSS."""
    instance = document["instance"]
    if instance["state"] != "running" or not windows(instance):
        return False, None
    why = commands.unreachable(aws, job.place, job.resource.aws_id)
    return (True, None) if why is None else (False, _warning(job, why))


def windows(instance: Json) -> bool:
    return "windows" in str(instance.get("platform") or "").lower()


def step(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json, *, without_root: bool) -> Step | list[Json] | str:
    """The snapshots, a step to wait for them, or the warning if there will be none."""
    ended = memo.get("vssEnded")
    if ended is None:
        answer = commands.step(aws, clock, _command(job, without_root=without_root), memo.get("vss", {}))
        if isinstance(answer, Step):
            text = answer.message or "The guest is making application-consistent snapshots."
            return Step(memo={**memo, "vss": answer.memo}, wait=answer.wait, message=text, progress=0.0)
        if answer.status != "Success":
            return _warning(job, answer.why)
        return Step(memo={**memo, "vssEnded": clock.now().timestamp()}, progress=0.0)
    found = [s for s in made(aws, job) if is_own(s)]
    wanted = {v["volumeId"] for v in memo["volumes"]}
    if not {s["VolumeId"] for s in found if _consistent(s)} >= wanted:
        if clock.now().timestamp() - ended <= intent.SETTLE:
            return Step(memo=memo, wait=intent.LOOK_AGAIN, message="Looking for the guest's snapshots.", progress=0.0)
        lacking = sorted(wanted - {s["VolumeId"] for s in found if _consistent(s)})
        return _warning(job, f"VSS made no consistent snapshot of {', '.join(lacking)}.")
    return found


def made(aws: Aws, job: SnapshotJob) -> list[Json]:
    """Every snapshot with the task's tag, however it was made."""
    pages = aws.pages(
        job.place, "ec2", "describe_snapshots", OwnerIds=["self"], Filters=tags.made_by(job.token), MaxResults=records.PAGE
    )
    return [snapshot for page in pages for snapshot in page["Snapshots"]]


def is_own(snapshot: Json) -> bool:
    """Made by the guest."""
    return tags.from_aws(snapshot.get("Tags")).get(tags.CONSISTENCY) == "application"


def _consistent(snapshot: Json) -> bool:
    return tags.from_aws(snapshot.get("Tags")).get(CONSISTENT, "").lower() == "true"


def _command(job: SnapshotJob, *, without_root: bool) -> Command:
    own = {tags.TASK: job.token, tags.CONSISTENCY: "application"}  # people's own words could break the parameter's syntax
    return Command(
        place=job.place,
        instance_id=job.resource.aws_id,
        document=DOCUMENT,
        parameters={
            "ExcludeBootVolume": [str(without_root)],
            "CopyOnly": ["True"],
            "NoWriters": ["False"],
            "CreateAmi": ["False"],
            "description": [f"Holdfast {job.resource.aws_id}"],
            "executionTimeout": [str(SECONDS)],
            "tags": [";".join(f"Key={key},Value={value}" for key, value in own.items())],
        },
        mark=commands.mark(job.token, "vss"),
        seconds=SECONDS,
    )


def _warning(job: SnapshotJob, why: str) -> str:
    return f"The snapshot of {job.resource.name} is consistent as after a crash, not application-consistent: {why}"
