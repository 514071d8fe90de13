"""Crash-consistent snapshots of all volumes of an instance, made exactly once.

CreateSnapshots knows no client token. So the intent is recorded before the call, and the call is made only while the
intent is fresh; after a lost answer or a crash we look for snapshots with the task's tag until AWS must have shown them,
and only then state a new intent. Should two sets exist nevertheless, the later one is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from server.domain.errors import AwsNotFound, AwsRejected, Throttled, Unavailable
from server.domain.workload import Place
from server.ports import Aws, Clock, SnapshotJob, Step
from server.workloads.ec2 import records, tags
from server.workloads.ec2.records import Json

FRESH: Final = 20.0  # seconds in which a stated intent may be acted upon; below the time a crashed task takes to come back
SETTLE: Final = 15.0  # seconds after which AWS surely lists what was made
LOOK_AGAIN: Final = 2.0  # seconds
POLL_LONGEST: Final = 15.0  # seconds between looks at a long-running snapshot


def step(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json) -> Step:
    """The phases ``create`` and ``wait``; a memo without a phase is empty (plan) or the finished document."""
    if memo.get("phase") == "create":
        return _create(aws, clock, job, memo)
    if memo.get("phase") == "wait":
        return _wait(aws, clock, job, memo)
    if memo.get("volumes"):
        return Step(memo=memo, done=True, progress=1.0)
    document = records.of_instance(aws, job.place, job.resource.aws_id, job.resource.name)
    count = len(document["volumes"])
    return Step(
        memo={**document, "phase": "create", "intentAt": _now(clock), "fresh": FRESH},
        message=f"Creating snapshots of {count} volume{'s' if count > 1 else ''} of {job.resource.name}.",
        progress=0.0,
    )


def _create(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json) -> Step:
    age = _now(clock) - memo["intentAt"]
    fresh = memo["fresh"]
    settled = age > fresh + SETTLE
    found = _made(aws, job)
    if {s["VolumeId"] for s in found} >= {v["volumeId"] for v in memo["volumes"]} or (found and settled):
        return _adopted(aws, clock, job, memo, found, "Found the snapshots of an interrupted request.")
    if settled:  # nothing was made; a busy queue gets more time with each new intent
        return Step(memo={**memo, "intentAt": _now(clock), "fresh": fresh * 2, "inDoubt": False}, progress=0.0)
    if age > fresh or memo.get("inDoubt"):
        return Step(memo=memo, wait=LOOK_AGAIN, message="Looking for the snapshots of an interrupted request.", progress=0.0)
    try:
        answer = _request(aws, job)
    except Throttled:
        raise  # refused before anything was made
    except Unavailable as error:
        return Step(memo={**memo, "inDoubt": True}, wait=LOOK_AGAIN, message=error.sentence(), progress=0.0)
    except (AwsNotFound, AwsRejected) as refusal:
        now = records.lookup(aws, job.place, job.resource.aws_id)
        if now is None or now["State"]["Name"] in records.GONE:
            raise records.gone(job.resource.aws_id, job.resource.name, job.place.region) from refusal
        raise
    return _adopted(aws, clock, job, memo, answer["Snapshots"], "Snapshots started.")


def _request(aws: Aws, job: SnapshotJob) -> Json:
    own = {
        tags.TASK: job.token,
        tags.POLICY: job.policy_name,
        tags.RESOURCE: job.resource.aws_id,
        tags.NAME: job.resource.name,
    }
    return aws.call(
        job.place,
        "ec2",
        "create_snapshots",
        InstanceSpecification={"InstanceId": job.resource.aws_id, "ExcludeBootVolume": False},
        Description=f"Holdfast: {job.resource.name} ({job.resource.aws_id}), policy {job.policy_name}"[:255],
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags.to_aws(own)}],
    )


def _adopted(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json, snapshots: list[Json], message: str) -> Step:
    """The first snapshot of each volume is ours. Volumes detached before the call leave the document, new ones enter."""
    by_volume = _first_of_each(snapshots)
    known = {v["volumeId"]: v for v in memo["volumes"]}
    if by_volume.keys() - known.keys():
        now = records.of_instance(aws, job.place, job.resource.aws_id, job.resource.name)
        known |= {v["volumeId"]: v for v in now["volumes"]}
    volumes = [{**v, "snapshotId": by_volume[i]["SnapshotId"]} for i, v in known.items() if i in by_volume]
    if not volumes:
        raise AwsNotFound(
            "None of the instance's volumes was in the snapshot: they were exchanged at that moment.",
            operation="ec2:CreateSnapshots",
            remedy="Run the policy again.",
        )
    started = min(_moment(s) for s in by_volume.values())
    taken = {"instance": memo["instance"], "volumes": volumes, "at": started}
    return Step(memo={**taken, "phase": "wait", "createdAt": _now(clock)}, wait=1.0, message=message, progress=0.0)


def _wait(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json) -> Step:
    seen = {s["SnapshotId"]: s for s in _made(aws, job)}
    age = _now(clock) - memo["createdAt"]
    ours = {v["snapshotId"]: v for v in memo["volumes"]}
    missing = ours.keys() - seen.keys()
    if missing and age > SETTLE + FRESH:
        raise _deleted(job, missing)
    for snapshot_id in seen.keys() - ours.keys():
        delete(aws, job.place, snapshot_id)  # of a second set; see the top of this file
    for snapshot_id in ours.keys() & seen.keys():
        if seen[snapshot_id]["State"] == "error":
            raise _failed(job, seen[snapshot_id])
    ready = [i for i in ours.keys() & seen.keys() if seen[i]["State"] == "completed"]
    if len(ready) < len(ours):
        wait = min(POLL_LONGEST, max(1.0, age / 10))
        done = _progress(memo["volumes"], seen)
        return Step(memo=memo, wait=wait, message=f"{len(ready)} of {len(ours)} snapshots completed.", progress=done)
    if job.copy_tags:
        _copy_tags(aws, job, memo["volumes"], seen)
    document = {key: memo[key] for key in ("instance", "volumes", "at")}
    return Step(memo=document, done=True, message=f"{len(ours)} snapshots completed.", progress=1.0)


def _copy_tags(aws: Aws, job: SnapshotJob, volumes: list[Json], seen: Mapping[str, Json]) -> None:
    """CreateSnapshots tags all of its snapshots alike, so each volume's own tags follow here."""
    for record in volumes:
        present = tags.from_aws(seen[record["snapshotId"]].get("Tags"))
        wanted = tags.merged(present, record["tags"])
        missing = {key: value for key, value in wanted.items() if key not in present}
        if missing:
            aws.call(job.place, "ec2", "create_tags", Resources=[record["snapshotId"]], Tags=tags.to_aws(missing))


def _made(aws: Aws, job: SnapshotJob) -> list[Json]:
    pages = aws.pages(
        job.place, "ec2", "describe_snapshots", OwnerIds=["self"], Filters=tags.made_by(job.token), MaxResults=records.PAGE
    )
    return [snapshot for page in pages for snapshot in page["Snapshots"]]


def _first_of_each(snapshots: list[Json]) -> dict[str, Json]:
    first: dict[str, Json] = {}
    for snapshot in sorted(snapshots, key=lambda s: (_moment(s), s["SnapshotId"])):
        first.setdefault(snapshot["VolumeId"], snapshot)
    return first


def delete(aws: Aws, place: Place, snapshot_id: str) -> None:
    """One that is gone already is no error."""
    try:
        aws.call(place, "ec2", "delete_snapshot", SnapshotId=snapshot_id)
    except AwsNotFound:
        return


def _progress(volumes: list[Json], seen: Mapping[str, Json]) -> float:
    total = sum(v["sizeGib"] for v in volumes)
    done = sum(v["sizeGib"] * _percent(seen.get(v["snapshotId"])) for v in volumes)
    return done / total if total else 0.0


def _percent(snapshot: Json | None) -> float:
    text = str((snapshot or {}).get("Progress") or "").rstrip("%")
    return min(1.0, int(text) / 100) if text.isdigit() else 0.0


def _failed(job: SnapshotJob, snapshot: Json) -> AwsRejected:
    why = snapshot.get("StateMessage") or "AWS gives no reason"
    return AwsRejected(
        f"The snapshot {snapshot['SnapshotId']} of volume {snapshot['VolumeId']} failed: {why}.",
        operation="ec2:CreateSnapshots",
        aws_code="error",
        remedy=f"For an encrypted volume check the KMS key and its policy in {job.place.region}; then run the policy again.",
    )


def _deleted(job: SnapshotJob, missing: set[str]) -> AwsNotFound:
    return AwsNotFound(
        f"{', '.join(sorted(missing))} of {job.resource.name} vanished while the policy ran: somebody deleted it in AWS.",
        operation="ec2:DescribeSnapshots",
        aws_code="InvalidSnapshot.NotFound",
        remedy="Run the policy again.",
    )


def _moment(snapshot: Json) -> str:
    started = snapshot.get("StartTime")
    return started.isoformat() if isinstance(started, datetime) else str(started)


def _now(clock: Clock) -> float:
    return clock.now().timestamp()
