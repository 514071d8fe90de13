"""Volumes made from snapshots: for a volume restore on their own, for an instance restore as its disks.

CreateVolume knows a client token; besides, each volume carries the task's tag and its source disk's id, so one that
exists is adopted, and one too many is deleted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from server.domain.errors import AwsNotFound, AwsRejected
from server.domain.restore import VolumeRestore
from server.ports import Aws, Clock, DiskSnapshot, RestoreJob, Step
from server.workloads.ec2 import records, tags
from server.workloads.ec2.records import Json

WAIT: Final = 2.0  # seconds between looks
SETTLE: Final = 30.0  # seconds after which AWS surely lists what was made
NEEDS_IOPS: Final = frozenset({"io1", "io2"})
IOPS_TYPES: Final = frozenset({"gp3", "io1", "io2"})
IOPS_DEFAULT: Final = 3000
IOPS_PER_GIB: Final = 50  # the steepest ratio io1 allows
IOPS_MIN: Final = 100


def restore(aws: Aws, clock: Clock, job: RestoreJob, options: VolumeRestore, memo: Json) -> Step:
    """Phases: none (check) → ``snapshots`` → ``create`` → ``wait`` → ``done``."""
    phase = memo.get("phase")
    if phase == "done":
        return Step(memo=memo, done=True, progress=1.0)
    chosen = _chosen(job, options.disks)
    if phase is None:
        check_zone(aws, job, options.zone)
        return Step(memo={"phase": "snapshots", "warnings": []}, message=f"Restoring {len(chosen)} volumes.", progress=0.0)
    if phase == "snapshots":
        waiting = pending_snapshots(aws, job, chosen, memo)
        return waiting or Step(memo={**memo, "phase": "create"}, progress=0.2)
    if phase == "create":
        warnings = create(aws, job, chosen, options.zone, suffix=options.name_suffix, volume_type=options.volume_type)
        made = {"phase": "wait", "warnings": _union(memo["warnings"], warnings), "createdAt": clock.now().timestamp()}
        return Step(memo=made, wait=1.0, message="Volumes are being created.", progress=0.4)
    volumes = available(aws, clock, job, chosen, memo)
    if isinstance(volumes, Step):
        return volumes
    made = {"phase": "done", "warnings": memo["warnings"], "volumes": volumes}
    text = ", ".join(v["volumeId"] for v in volumes)
    return Step(memo=made, done=True, message=f"Restored {text} in {options.zone}.", progress=1.0)


def check_zone(aws: Aws, job: RestoreJob, zone: str) -> None:
    answer = aws.call(job.place, "ec2", "describe_availability_zones")
    zones = sorted(z["ZoneName"] for z in answer["AvailabilityZones"] if z.get("State") == "available")
    if zone not in zones:
        raise AwsNotFound(
            f"There is no Availability Zone {zone!r} in {job.place.region} for this account.",
            operation="ec2:DescribeAvailabilityZones",
            aws_code="InvalidParameterValue",
            remedy=f"Choose one of {', '.join(zones)}.",
        )


def pending_snapshots(aws: Aws, job: RestoreJob, chosen: Sequence[DiskSnapshot], memo: Json) -> Step | None:
    """A step to wait for unfinished source snapshots, or None. Errors: AwsNotFound, AwsRejected for a failed one."""
    states = _snapshot_states(aws, job, [d.snapshot_id for d in chosen])
    for disk in chosen:
        snapshot = states.get(disk.snapshot_id)
        if snapshot is None:
            raise AwsNotFound(
                f"Snapshot {disk.snapshot_id} of disk {disk.disk_id} no longer exists in {job.place.region}.",
                operation="ec2:DescribeSnapshots",
                aws_code="InvalidSnapshot.NotFound",
                remedy="Choose another restore point.",
            )
        if snapshot["State"] == "error":
            why = snapshot.get("StateMessage") or "AWS gives no reason"
            raise AwsRejected(
                f"Snapshot {disk.snapshot_id} of disk {disk.disk_id} failed: {why}.",
                operation="ec2:DescribeSnapshots",
                aws_code="error",
                remedy="Choose another restore point, or start the restore again.",
            )
    ready = sum(states[d.snapshot_id]["State"] == "completed" for d in chosen)
    if ready == len(chosen):
        return None
    return Step(memo=memo, wait=WAIT, message=f"{ready} of {len(chosen)} source snapshots are ready.", progress=0.1)


def create(
    aws: Aws, job: RestoreJob, chosen: Sequence[DiskSnapshot], zone: str, *, suffix: str, volume_type: str | None
) -> list[str]:
    """Create what is missing. Returns warnings. Doing it again makes nothing twice."""
    present = {tags.from_aws(v.get("Tags")).get(tags.DISK) for v in made(aws, job)}
    missing = [disk for disk in chosen if disk.disk_id not in present]
    states = _snapshot_states(aws, job, [d.snapshot_id for d in missing]) if missing else {}
    warnings: list[str] = []
    for disk in missing:
        source = states.get(disk.snapshot_id, {})
        params = _parameters(disk, volume_type) | _encryption(job, disk, source, warnings)
        name = f"{disk.document.get('tags', {}).get(tags.NAME) or disk.disk_id}{suffix}"
        own = {tags.TASK: job.token, tags.DISK: disk.disk_id, tags.RESTORED_FROM: disk.disk_id, tags.NAME: name}
        labels = tags.to_aws(tags.merged(own, disk.document.get("tags", {})))
        aws.call(
            job.place,
            "ec2",
            "create_volume",
            SnapshotId=disk.snapshot_id,
            AvailabilityZone=zone,
            ClientToken=client_token(job, disk.disk_id),
            TagSpecifications=[{"ResourceType": "volume", "Tags": labels}],
            **params,
        )
    return warnings


def available(
    aws: Aws, clock: Clock, job: RestoreJob, chosen: Sequence[DiskSnapshot], memo: Json
) -> list[dict[str, str]] | Step:
    """``[{"diskId", "volumeId"}]`` once every volume can be used (or is attached already), else a step to wait."""
    by_disk: dict[str, Json] = {}
    for volume in sorted(made(aws, job), key=lambda v: (v["State"] != "in-use", str(v.get("CreateTime")), v["VolumeId"])):
        disk_id = tags.from_aws(volume.get("Tags")).get(tags.DISK)
        if disk_id is not None and by_disk.setdefault(disk_id, volume) is not volume:
            delete(aws, job, volume["VolumeId"])  # AWS had not listed the first one yet
    settled = clock.now().timestamp() - memo["createdAt"] > SETTLE
    ready = []
    for disk in chosen:
        found = by_disk.get(disk.disk_id)
        if found is None:
            if not settled:
                continue
            raise AwsNotFound(
                f"The restored volume of {disk.disk_id} vanished: somebody deleted it in AWS.",
                operation="ec2:DescribeVolumes",
                aws_code="InvalidVolume.NotFound",
                remedy="Start the restore again.",
            )
        if found["State"] == "error":
            raise AwsRejected(
                f"AWS could not create volume {found['VolumeId']} from {disk.snapshot_id}.",
                operation="ec2:CreateVolume",
                aws_code="error",
                remedy="Check that the KMS key of this disk is enabled and that the appliance's role may use it.",
            )
        if found["State"] in ("available", "in-use"):
            ready.append({"diskId": disk.disk_id, "volumeId": found["VolumeId"]})
    if len(ready) < len(chosen):
        return Step(memo=memo, wait=WAIT, message=f"{len(ready)} of {len(chosen)} volumes are ready.", progress=0.5)
    return ready


def made(aws: Aws, job: RestoreJob) -> list[Json]:
    """Volumes of this task that are not on their way out, the new instance's own ones included."""
    pages = aws.pages(job.place, "ec2", "describe_volumes", Filters=tags.made_by(job.token), MaxResults=records.PAGE)
    return [v for page in pages for v in page["Volumes"] if v["State"] not in ("deleting", "deleted")]


def delete(aws: Aws, job: RestoreJob, volume_id: str) -> None:
    """One that is gone already, or on its way out, is no error; the caller looks again."""
    try:
        aws.call(job.place, "ec2", "delete_volume", VolumeId=volume_id)
    except AwsNotFound:
        return
    except AwsRejected as refusal:
        if refusal.aws_code != "IncorrectState":
            raise


def client_token(job: RestoreJob, part: str) -> str:
    """At most 64 ASCII characters, the same for the same task and part."""
    return hashlib.sha256(f"{job.token}/{part}".encode()).hexdigest()


def _chosen(job: RestoreJob, wanted: Sequence[str]) -> list[DiskSnapshot]:
    unknown = set(wanted) - {disk.disk_id for disk in job.disks}
    if unknown:
        raise AwsNotFound(
            f"The restore point has no disk {', '.join(sorted(unknown))}.",
            operation="ec2:CreateVolume",
            remedy=f"It has {', '.join(disk.disk_id for disk in job.disks)}.",
        )
    return [disk for disk in job.disks if not wanted or disk.disk_id in wanted]


def _snapshot_states(aws: Aws, job: RestoreJob, ids: Sequence[str]) -> dict[str, Json]:
    filters = [{"Name": "snapshot-id", "Values": list(ids)}]
    pages = aws.pages(job.place, "ec2", "describe_snapshots", Filters=filters, MaxResults=records.PAGE)
    return {s["SnapshotId"]: s for page in pages for s in page["Snapshots"]}


def _parameters(disk: DiskSnapshot, volume_type: str | None) -> dict[str, Any]:
    """Type and speed as recorded, as far as the type allows."""
    recorded: Mapping[str, Any] = disk.document
    chosen = volume_type or recorded.get("volumeType") or "gp3"
    params: dict[str, Any] = {"VolumeType": chosen}
    same_type = chosen == recorded.get("volumeType")
    if chosen in NEEDS_IOPS:
        most = max(IOPS_MIN, IOPS_PER_GIB * disk.size_bytes // records.GIB)
        params["Iops"] = min(int(recorded.get("iops") or IOPS_DEFAULT), most) if not same_type else recorded.get("iops") or most
    elif chosen in IOPS_TYPES and same_type and recorded.get("iops"):
        params["Iops"] = recorded["iops"]
    if chosen == "gp3" and same_type and recorded.get("throughput"):
        params["Throughput"] = recorded["throughput"]
    return params


def _encryption(job: RestoreJob, disk: DiskSnapshot, source: Json, warnings: list[str]) -> dict[str, Any]:
    """The recorded key, unless the snapshot ``source`` is under it already; the default key where that one is out of reach."""
    key = disk.document.get("kmsKeyId")
    if not disk.document.get("encrypted") or (source.get("Encrypted") and source.get("KmsKeyId") == key):
        return {}
    if key and f":{job.place.region}:" in key:
        return {"Encrypted": True, "KmsKeyId": key}
    if key:
        warnings.append(f"Disk {disk.disk_id} is encrypted with the default key of {job.place.region}: its own is elsewhere.")
    return {"Encrypted": True}


def _union(first: Sequence[str], second: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))
