"""An instance restored as a new one: launched from its AMI, stopped, its disks exchanged for the restored ones, started.

Each phase looks at AWS first and does only what is missing, so any phase may run again, also with an older memo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from server.domain.errors import AwsNotFound, AwsRejected
from server.domain.restore import InstanceRestore
from server.ports import Aws, Clock, RestoreJob, Step
from server.workloads.ec2 import preflight, records, tags, volumes
from server.workloads.ec2.records import Json

WAIT: Final = 2.0  # seconds between looks
SETTLE: Final = 60.0  # seconds after which AWS surely lists a launched instance


@dataclass(frozen=True, slots=True)
class _Run:
    """One look at a restore in progress."""

    aws: Aws
    clock: Clock
    job: RestoreJob
    options: InstanceRestore
    memo: Json

    def next(self, phase: str, message: str, progress: float, **more: Any) -> Step:
        return Step(memo={**self.memo, **more, "phase": phase}, message=message, progress=progress)

    def wait(self, message: str, progress: float) -> Step:
        return Step(memo=self.memo, wait=WAIT, message=message, progress=progress)

    def call(self, operation: str, **params: Any) -> Json:
        return self.aws.call(self.job.place, "ec2", operation, **params)


def restore(aws: Aws, clock: Clock, job: RestoreJob, options: InstanceRestore, memo: Json) -> Step:
    """One step of the phase the memo is in; ``PHASES`` has them in order."""
    return PHASES[memo.get("phase", "check")](_Run(aws, clock, job, options, memo))


def _check(run: _Run) -> Step:
    plan = preflight.plan(run.aws, run.job, run.options).to_json()
    warnings = plan.pop("warnings")
    text = f"Restoring {run.job.resource_name} as {run.options.name}: {plan['instance_type']} in {plan['zone']}."
    return run.next("snapshots", text, 0.0, plan=plan, warnings=warnings)


def _snapshots(run: _Run) -> Step:
    waiting = volumes.pending_snapshots(run.aws, run.job, run.job.disks, run.memo)
    if waiting:
        return waiting
    zone = run.memo["plan"]["zone"]
    warnings = volumes.create(run.aws, run.job, run.job.disks, zone, suffix="", volume_type=None)
    warnings = list(dict.fromkeys([*run.memo["warnings"], *warnings]))
    return run.next("volumes", "Volumes are being created.", 0.15, warnings=warnings, createdAt=run.clock.now().timestamp())


def _volumes(run: _Run) -> Step:
    ready = volumes.available(run.aws, run.clock, run.job, run.job.disks, run.memo)
    if isinstance(ready, Step):
        return ready
    return run.next("launch", f"{len(ready)} volumes are ready.", 0.3, volumes=ready)


def _launch(run: _Run) -> Step:
    found = _instances(run)
    known = run.memo.get("instanceId")
    if known is None:
        instance_id = found[0]["InstanceId"] if found else _run_instance(run)
        now = run.clock.now().timestamp()
        return run.next("launch", f"Instance {instance_id} is being launched.", 0.4, instanceId=instance_id, launchedAt=now)
    for extra in found:
        if extra["InstanceId"] != known:
            run.call("terminate_instances", InstanceIds=[extra["InstanceId"]])  # AWS had not listed the first one yet
    state = _state(run)
    if state in (None, "pending"):
        return run.wait(f"Instance {known} is starting for the first time.", 0.4)
    return run.next("stop", f"Instance {known} has been launched.", 0.5)


def _stop(run: _Run) -> Step:
    state = _state(run)
    instance_id = run.memo["instanceId"]
    if state == "stopped":
        return run.next("exchange", f"Instance {instance_id} is stopped.", 0.6)
    if state == "running":
        run.call("stop_instances", InstanceIds=[instance_id])
    return run.wait(f"Instance {instance_id} is stopping, to exchange its disks.", 0.55)


def _exchange(run: _Run) -> Step:
    """Detach and delete the disks the AMI brought along."""
    own = [v for v in volumes.made(run.aws, run.job) if tags.DISK not in tags.from_aws(v.get("Tags"))]
    attached = _attached(run)
    restored = {v["volumeId"] for v in run.memo["volumes"]}
    strangers = {v for v in attached if v not in restored}
    for volume in own:
        if volume["VolumeId"] not in attached and volume["State"] == "available":
            volumes.delete(run.aws, run.job, volume["VolumeId"])
    for volume_id in strangers:
        if attached[volume_id].get("Status") in (None, "attached"):
            _detach(run, volume_id, attached[volume_id]["Device"])
    if own or strangers:
        return run.wait("The AMI's own disks are being removed.", 0.65)
    return run.next("attach", "The AMI's own disks are removed.", 0.7)


def _attach(run: _Run) -> Step:
    attached = _attached(run)
    devices = _devices(run)
    instance_id = run.memo["instanceId"]
    missing = [v for v in run.memo["volumes"] if v["volumeId"] not in attached]
    for volume in missing:
        _attach_one(run, volume["volumeId"], devices[volume["diskId"]])
    if missing or any(a["Status"] != "attached" for a in attached.values()):
        return run.wait("The restored disks are being attached.", 0.8)
    recorded = {disk.disk_id: disk.document for disk in run.job.disks}
    mappings = [
        {
            "DeviceName": attached[v["volumeId"]]["Device"],
            "Ebs": {"DeleteOnTermination": bool(recorded[v["diskId"]].get("deleteOnTermination"))},
        }
        for v in run.memo["volumes"]
    ]
    run.call("modify_instance_attribute", InstanceId=instance_id, BlockDeviceMappings=mappings)
    return run.next("start", "The restored disks are attached.", 0.9)


def _attach_one(run: _Run, volume_id: str, device: str) -> None:
    """Refused although it is attached to us: an earlier request went through, only its answer was lost."""
    try:
        run.call("attach_volume", VolumeId=volume_id, InstanceId=run.memo["instanceId"], Device=device)
    except AwsRejected:
        if volume_id not in _attached(run):
            raise


def _detach(run: _Run, volume_id: str, device: str) -> None:
    """As above: refused because it is leaving or gone already."""
    try:
        run.call("detach_volume", VolumeId=volume_id, InstanceId=run.memo["instanceId"], Device=device)
    except AwsRejected:
        left = _attached(run).get(volume_id)
        if left is not None and left["Status"] == "attached":
            raise


def _start(run: _Run) -> Step:
    instance_id = run.memo["instanceId"]
    state = _state(run)
    if not run.options.power_on:
        return run.next("done", f"Instance {instance_id} is restored and left stopped.", 1.0)
    if state == "stopped":
        run.call("start_instances", InstanceIds=[instance_id])
    if state != "running":
        return run.wait(f"Instance {instance_id} is starting from its restored disks.", 0.95)
    return run.next("done", f"Instance {instance_id} is restored and running.", 1.0)


def _done(run: _Run) -> Step:
    return Step(memo=run.memo, done=True, message=f"Restored as {run.memo['instanceId']}.", progress=1.0)


PHASES: Final[Mapping[str, Callable[[_Run], Step]]] = MappingProxyType(
    {
        "check": _check,
        "snapshots": _snapshots,
        "volumes": _volumes,
        "launch": _launch,
        "stop": _stop,
        "exchange": _exchange,
        "attach": _attach,
        "start": _start,
        "done": _done,
    }
)


def _run_instance(run: _Run) -> str:
    plan = run.memo["plan"]
    recorded = run.job.record["instance"]
    own = {tags.TASK: run.job.token, tags.RESTORED_FROM: recorded["instanceId"], tags.NAME: run.options.name}
    labels = tags.to_aws(tags.merged(own, recorded.get("tags", {})))
    own_disks = tags.to_aws({tags.TASK: run.job.token, tags.NAME: f"{run.options.name} (from the AMI)"})
    params: dict[str, Any] = {}
    if plan["key_name"]:
        params["KeyName"] = plan["key_name"]
    if plan["instance_profile"]:
        params["IamInstanceProfile"] = {"Name": plan["instance_profile"]}
    if plan["ebs_optimized"]:
        params["EbsOptimized"] = True
    if plan["http_tokens"]:
        params["MetadataOptions"] = {"HttpTokens": plan["http_tokens"]}
    answer = run.call(
        "run_instances",
        ImageId=plan["image_id"],
        InstanceType=plan["instance_type"],
        MinCount=1,
        MaxCount=1,
        SubnetId=plan["subnet_id"],
        SecurityGroupIds=plan["security_group_ids"],
        ClientToken=volumes.client_token(run.job, "instance"),
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": labels},
            {"ResourceType": "volume", "Tags": own_disks},
        ],
        **params,
    )
    return str(answer["Instances"][0]["InstanceId"])


def _instances(run: _Run) -> list[Json]:
    pages = run.aws.pages(
        run.job.place, "ec2", "describe_instances", Filters=tags.made_by(run.job.token), MaxResults=records.PAGE
    )
    found = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
    return [i for i in found if i["State"]["Name"] not in records.GONE]


def _state(run: _Run) -> str | None:
    """The new instance's state; None while AWS does not list it yet. Errors: it ended, or somebody terminated it."""
    instance_id = run.memo["instanceId"]
    found = records.lookup(run.aws, run.job.place, instance_id)
    if found is None:
        if run.clock.now().timestamp() - run.memo["launchedAt"] < SETTLE:
            return None
        raise _ended(instance_id, "it no longer exists")
    state = str(found["State"]["Name"])
    if state in records.GONE:
        reason = (found.get("StateReason") or {}).get("Message") or "it was terminated"
        raise _ended(instance_id, reason)
    return state


def _ended(instance_id: str, reason: str) -> AwsNotFound:
    return AwsNotFound(
        f"The new instance {instance_id} is gone: {reason}.",
        operation="ec2:DescribeInstances",
        aws_code="InvalidInstanceID.NotFound",
        remedy="If nobody terminated it, check its KMS keys, AMI and instance type, then start the restore again.",
    )


def _attached(run: _Run) -> dict[str, Json]:
    """The attachments of the new instance, by volume id."""
    filters = [{"Name": "attachment.instance-id", "Values": [run.memo["instanceId"]]}]
    pages = run.aws.pages(run.job.place, "ec2", "describe_volumes", Filters=filters, MaxResults=records.PAGE)
    return {
        volume["VolumeId"]: {"Device": attachment["Device"], "Status": attachment.get("State")}
        for page in pages
        for volume in page["Volumes"]
        for attachment in volume["Attachments"]
        if attachment["InstanceId"] == run.memo["instanceId"] and attachment.get("State") != "detached"
    }


def _devices(run: _Run) -> dict[str, str]:
    """Disk id → device. The root disk goes where the new instance boots from, which another AMI may name differently."""
    found = records.lookup(run.aws, run.job.place, run.memo["instanceId"])
    old_root = run.job.record["instance"].get("rootDeviceName")
    new_root = (found or {}).get("RootDeviceName") or old_root
    devices = {disk.disk_id: disk.document.get("device") for disk in run.job.disks}
    chosen = {disk_id: new_root if device == old_root else device for disk_id, device in devices.items()}
    nameless = [disk_id for disk_id, device in chosen.items() if not device]
    if nameless:
        raise AwsRejected(
            f"The restore point does not say where disk {', '.join(nameless)} was attached.",
            operation="ec2:AttachVolume",
            remedy="Restore it as a volume and attach it yourself.",
        )
    return {disk_id: str(device) for disk_id, device in chosen.items()}
