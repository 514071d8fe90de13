"""Snapshots of the volumes of an instance, made exactly once: consistent as after a crash, or through VSS (see ``vss``).

CreateSnapshots knows no client token, so it follows the rules of ``intent``. Should two sets exist nevertheless, the later one
is deleted, as is everything with the task's tag that is not part of the point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from server.domain.errors import AwsNotFound, AwsRejected, Throttled, Unavailable
from server.domain.workload import Place
from server.ports import Aws, Clock, SnapshotJob, Step
from server.workloads.ec2 import exclusions, intent, records, tags, vss
from server.workloads.ec2.intent import FRESH, SETTLE, Standing
from server.workloads.ec2.records import Json

POLL_LONGEST: Final = 15.0  # seconds between looks at a long-running snapshot


def step(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json) -> Step:
    """Phases: none (plan) → ``vss`` where asked for and possible → ``create`` → ``wait``; then the memo is the document."""
    phase = memo.get("phase")
    if phase == "vss":
        return _through_vss(aws, clock, job, memo)
    if phase == "create":
        return _create(aws, clock, job, memo)
    if phase == "wait":
        return _wait(aws, clock, job, memo)
    if memo.get("volumes"):
        return Step(memo=memo, done=True, progress=1.0)
    return _plan(aws, clock, job, [])


def _plan(aws: Aws, clock: Clock, job: SnapshotJob, warnings: Sequence[str]) -> Step:
    document = records.of_instance(aws, job.place, job.resource.aws_id, job.resource.name)
    out = exclusions.left_out(document, job.excluded)
    exclusions.specification(document, out)  # may refuse
    plan: Json = {
        "instance": document["instance"],
        "volumes": [v for v in document["volumes"] if v["volumeId"] not in out],
        "leftOut": [v for v in document["volumes"] if v["volumeId"] in out],
        "warnings": list(warnings),
        **intent.stated(clock),
    }
    count = len(plan["volumes"])
    text = f"Creating snapshots of {count} volume{'s' if count > 1 else ''} of {job.resource.name}."
    use, why_not = vss.possible(aws, job, document) if job.consistency == "application" and not warnings else (False, None)
    if why_not is not None:
        plan["warnings"].append(why_not)
    return Step(memo={**plan, "phase": "vss" if use else "create"}, message=text, progress=0.0)


def _through_vss(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json) -> Step:
    root_left_out = any(exclusions.is_root(memo, v) for v in memo["leftOut"])
    answer = vss.step(aws, clock, job, memo, without_root=root_left_out)
    if isinstance(answer, Step):
        return answer
    if isinstance(answer, str):  # what it made is deleted while the plain snapshots are waited for
        return _plan(aws, clock, job, [*memo["warnings"], answer])
    return _adopted(aws, clock, job, {**memo, "consistency": "application"}, answer, "The guest's VSS started the snapshots.")


def _create(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json) -> Step:
    standing = intent.standing(clock, memo)
    found = [s for s in vss.made(aws, job) if not vss.is_own(s)]
    if {s["VolumeId"] for s in found} >= {v["volumeId"] for v in memo["volumes"]} or (found and standing is Standing.ANEW):
        return _adopted(aws, clock, job, memo, found, "Found the snapshots of an interrupted request.")
    if standing is Standing.ANEW:  # nothing was made
        return Step(memo=intent.renewed(clock, memo), progress=0.0)
    if standing is Standing.LOOK:
        text = "Looking for the snapshots of an interrupted request."
        return Step(memo=memo, wait=intent.LOOK_AGAIN, message=text, progress=0.0)
    try:
        answer = _request(aws, job, memo)
    except Throttled:
        raise  # refused before anything was made
    except Unavailable as error:
        return Step(memo=intent.doubtful(memo), wait=intent.LOOK_AGAIN, message=error.sentence(), progress=0.0)
    except (AwsNotFound, AwsRejected) as refusal:
        return _refused(aws, clock, job, memo, refusal)
    return _adopted(aws, clock, job, memo, answer["Snapshots"], "Snapshots started.")


def _request(aws: Aws, job: SnapshotJob, memo: Json) -> Json:
    everything = {"instance": memo["instance"], "volumes": [*memo["volumes"], *memo["leftOut"]]}
    return aws.call(
        job.place,
        "ec2",
        "create_snapshots",
        InstanceSpecification=exclusions.specification(everything, frozenset(v["volumeId"] for v in memo["leftOut"])),
        Description=description(job),
        TagSpecifications=[
            {"ResourceType": "snapshot", "Tags": tags.to_aws(_marks(job) if job.tags_later else _own_tags(job))}
        ],
    )


def description(job: SnapshotJob) -> str:
    return f"Holdfast: {job.resource.name} ({job.resource.aws_id}), policy {job.policy_name}"[:255]


def _refused(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json, refusal: AwsNotFound | AwsRejected) -> Step:
    """The instance is gone, or an excluded volume is no longer attached: then the plan is made anew."""
    now = records.lookup(aws, job.place, job.resource.aws_id)
    if now is None or now["State"]["Name"] in records.GONE:
        raise records.gone(job.resource.aws_id, job.resource.name, job.place.region) from refusal
    if memo["leftOut"]:
        attached = {v["volumeId"] for v in _volumes_now(aws, job)["volumes"]}
        if not {v["volumeId"] for v in memo["leftOut"]} <= attached:
            return _plan(aws, clock, job, memo["warnings"])
    raise refusal


def _adopted(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json, snapshots: list[Json], message: str) -> Step:
    """The first snapshot of each volume is ours. Volumes detached before the call leave the document, new ones enter unless
    they are excluded."""
    by_volume = _first_of_each(snapshots)
    known = {v["volumeId"]: v for v in memo["volumes"]}
    if by_volume.keys() - known.keys() - {v["volumeId"] for v in memo["leftOut"]}:
        now = _volumes_now(aws, job)
        out = exclusions.left_out(now, job.excluded)
        known |= {v["volumeId"]: v for v in now["volumes"] if v["volumeId"] not in out}
    volumes = [{**v, "snapshotId": by_volume[i]["SnapshotId"]} for i, v in known.items() if i in by_volume]
    if not volumes:
        raise AwsNotFound(
            "None of the instance's volumes was in the snapshot: they were exchanged at that moment.",
            operation="ec2:CreateSnapshots",
            remedy="Run the policy again.",
        )
    taken = {
        "instance": memo["instance"],
        "volumes": volumes,
        "at": min(_moment(s) for s in by_volume.values()),
        "consistency": memo.get("consistency", "crash"),
        "leftOut": [v["volumeId"] for v in memo["leftOut"]],
        "warnings": memo["warnings"],
    }
    memo = {**taken, "phase": "wait", "createdAt": _now(clock)}
    return Step(memo=memo, wait=1.0, message=message, progress=0.0, taken=True)


def _wait(aws: Aws, clock: Clock, job: SnapshotJob, memo: Json) -> Step:
    seen = {s["SnapshotId"]: s for s in vss.made(aws, job)}
    age = _now(clock) - memo["createdAt"]
    ours = {v["snapshotId"]: v for v in memo["volumes"]}
    missing = ours.keys() - seen.keys()
    if missing and age > SETTLE + FRESH:
        raise _deleted(job, missing)
    for snapshot_id in seen.keys() - ours.keys():
        delete(aws, job.place, snapshot_id)  # of a second set, of a failed VSS, or of an excluded volume
    for snapshot_id in ours.keys() & seen.keys():
        if seen[snapshot_id]["State"] == "error":
            raise _failed(job, seen[snapshot_id])
    if not missing and not memo.get("tagged"):
        _put_tags(aws, job, memo["volumes"], seen)
        memo = {**memo, "tagged": True}
    ready = [i for i in ours.keys() & seen.keys() if seen[i]["State"] == "completed"]
    if len(ready) < len(ours):
        wait = min(POLL_LONGEST, max(1.0, age / 10))
        done = _progress(memo["volumes"], seen)
        text = f"{len(ready)} of {len(ours)} snapshots completed."
        return Step(memo=memo, wait=wait, message=text, progress=done, taken=True)
    document = {key: memo[key] for key in ("instance", "at", "consistency", "leftOut")}
    document["volumes"] = [_with_data(volume, seen[volume["snapshotId"]]) for volume in memo["volumes"]]
    text = f"{len(ours)} snapshots completed."
    return Step(memo=document, done=True, message=text, progress=1.0, warnings=tuple(memo["warnings"]), taken=True)


def _with_data(volume: Json, snapshot: Json) -> Json:
    """``dataBytes``: what the whole snapshot holds, where AWS says it."""
    size = snapshot.get("FullSnapshotSizeInBytes")
    return volume if size is None else {**volume, "dataBytes": size}


def _marks(job: SnapshotJob) -> dict[str, str]:
    return {
        tags.TASK: job.token,
        tags.POLICY: job.policy_name,
        tags.RESOURCE: job.resource.aws_id,
        tags.NAME: job.resource.name,
    }


def _own_tags(job: SnapshotJob) -> dict[str, str]:
    return tags.chosen(_marks(job), job.tags)


def _put_tags(aws: Aws, job: SnapshotJob, volumes: list[Json], seen: Mapping[str, Json]) -> None:
    """CreateSnapshots tags all of its snapshots alike, and VSS knows only our mark: the rest follows here. What people ask for
    wins over the volumes' tags."""
    own = _own_tags(job)
    for record in volumes:
        present = tags.from_aws(seen[record["snapshotId"]].get("Tags"))
        first = {key: value for key, value in own.items() if present.get(key) != value[: tags.VALUE_MAX]}
        held = {**present, **own}
        copied = tags.merged(held, record["tags"], free_tags=tags.FOR_RECORDS) if job.copy_tags else held
        missing = {key: value for key, value in copied.items() if key not in held}
        for wanted in (first, missing):
            if wanted:
                aws.call(job.place, "ec2", "create_tags", Resources=[record["snapshotId"]], Tags=tags.to_aws(wanted))


def _volumes_now(aws: Aws, job: SnapshotJob) -> Json:
    return records.of_instance(aws, job.place, job.resource.aws_id, job.resource.name)


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
    done = sum(v["sizeGib"] * percent(seen.get(v["snapshotId"])) for v in volumes)
    return done / total if total else 0.0


def percent(snapshot: Mapping[str, Any] | None) -> float:
    """How far AWS says a snapshot is: 0..1."""
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
