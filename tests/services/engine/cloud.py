"""A small AWS for tests: machines with volumes of 512 KiB blocks, snapshots that take a while, and one workload."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from server.adapters.blocks_memory import MemoryBlocks
from server.adapters.clock import FakeClock
from server.domain.errors import AwsNotFound, AwsRejected, LegImpossible, Misconfigured
from server.domain.restore import InstanceRestore, VolumeRestore
from server.domain.scope import VolumeExclusions
from server.domain.workload import Found, Place, Resource
from server.ports import (
    DiskSnapshot,
    GuestJob,
    GuestStep,
    ManualJob,
    MarkedPoint,
    MarkedSnapshot,
    PointMark,
    ReplicaJob,
    RestoreJob,
    Sealing,
    SnapshotJob,
    SourceDisk,
    Step,
)
from server.ports.workload import Outcome

GIB = 2**30
REGION = "us-east-1"
REGIONS = ("eu-central-1", "us-east-1")


@dataclass
class Machine:
    name: str
    volumes: dict[str, dict[int, bytes]]
    tags: dict[str, str]
    region: str = REGION


@dataclass
class Kept:
    """A snapshot or restored volume in the account."""

    token: str
    volume: str
    region: str = REGION
    mark: PointMark | None = None
    record: bytes = b""


class Cloud:
    """Port ``Aws`` for the few calls services make themselves. ``before`` may raise ahead of any call, to rehearse failures."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.blocks = MemoryBlocks()
        self.machines: dict[str, Machine] = {}
        self.snapshots: dict[str, Kept] = {}
        self.absent: set[str] = set()  # snapshots AWS says it does not have
        self.volumes: dict[str, Kept] = {}
        self.content: dict[str, dict[int, bytes]] = {}  # of restored volumes
        self.encrypted: set[str] = set()  # volumes
        self.price_lists: dict[str, list[str]] = {}  # service code → items of PriceList
        self.number = "123456789012"  # of the account that answers
        self.warnings: list[str] = []  # what a restore has to say
        self.guests: dict[str, tuple[Outcome, str]] = {}  # moment → how the scripts end, and why
        self.scripts: list[tuple[str, str, str]] = []  # sent: machine, moment, token
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _: None
        self.workload = Tiny(self)

    def add_machine(
        self, name: str, disks: Mapping[str, Mapping[int, bytes]], tags: Mapping[str, str], region: str = REGION
    ) -> None:
        volumes = {volume: dict(content) for volume, content in disks.items()}
        self.machines[f"i-{name}"] = Machine(name, volumes, dict(tags), region)

    def enter(self, operation: str) -> None:
        self.calls[operation] += 1
        self.before(operation)

    def call(self, place: Place, service: str, operation: str, **params: Any) -> dict[str, Any]:
        self.enter(operation)
        match operation:
            case "describe_regions":
                return {"Regions": [{"RegionName": name} for name in REGIONS]}
            case "describe_availability_zones":
                return {"AvailabilityZones": [{"ZoneName": f"{place.region}{letter}"} for letter in "abc"]}
            case "describe_snapshots":
                found = [{"SnapshotId": id, "State": "completed"} for id in params["SnapshotIds"] if id in self.blocks]
                return {"Snapshots": found}
            case "get_caller_identity":
                return {"Account": self.number}
            case "delete_snapshot":
                if params["SnapshotId"] not in self.blocks:
                    raise AwsNotFound("No such snapshot.")
                self.blocks.remove(params["SnapshotId"])
                self.snapshots.pop(params["SnapshotId"], None)
                return {}
            case "get_products":
                return {"PriceList": self.price_lists.get(params["ServiceCode"], [])}
        raise AwsRejected(f"This cloud does not know {service}:{operation}.")

    def pages(self, place: Place, service: str, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
        yield self.call(place, service, operation, **params)


@dataclass
class Tiny:
    """A workload of one call per snapshot. ``polls``: how often it answers "not yet"."""

    cloud: Cloud
    kind: str = "tiny"
    title: str = "Tiny machines"
    polls: int = 1
    permissions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def found(self) -> list[Found]:
        return [
            Found(
                aws_id=aws_id,
                name=machine.name,
                region=machine.region,
                tags=machine.tags,
                state="running",
                size_bytes=len(machine.volumes) * GIB,
                document={"volumes": sorted(machine.volumes)},
            )
            for aws_id, machine in sorted(self.cloud.machines.items())
        ]

    def discover(self, place: Place) -> Iterator[Found]:
        self.cloud.enter("discover")
        yield from (found for found in self.found() if found.region == place.region)

    def snapshot(self, job: SnapshotJob, memo: dict[str, Any]) -> Step:
        self.cloud.enter("snapshot")
        machine = self.cloud.machines.get(job.resource.aws_id)
        if machine is None:
            raise AwsNotFound(f"The machine {job.resource.aws_id} does not exist.")
        made = {kept.volume: id for id, kept in self.cloud.snapshots.items() if kept.token == job.token}
        for volume, content in machine.volumes.items():
            if volume not in made:
                id = self.cloud.blocks.snapshot(content, size_gib=1, volume=volume)
                self.cloud.snapshots[id] = Kept(job.token, volume)
                made[volume] = id
        polled = int(memo.get("polled", 0))
        if polled < self.polls:
            return Step(memo={"polled": polled + 1}, wait=2.0, message="Waiting for AWS.", taken=True)
        secret = self.cloud.encrypted
        volumes = [{"volumeId": each, "snapshotId": made[each], "encrypted": each in secret} for each in sorted(made)]
        return Step(done=True, memo={"volumes": volumes})

    def sources(self, resource: Resource, excluded: VolumeExclusions) -> tuple[SourceDisk, ...]:
        volumes = (each for each in resource.document["volumes"] if each not in excluded.volume_ids)
        return tuple(SourceDisk(disk_id=each, size_bytes=GIB, encrypted=each in self.cloud.encrypted) for each in volumes)

    def guest(self, job: GuestJob, memo: dict[str, Any]) -> GuestStep:
        """The scripts' outcome is what ``cloud.guests`` says for the moment; each is asked after once before it is told."""
        self.cloud.enter(f"guest-{job.moment}")
        if not memo:
            self.cloud.scripts.append((job.resource.name, job.moment, job.token))
            return GuestStep(memo={"sent": True}, wait=2.0, message="The script runs.")
        outcome, message = self.cloud.guests.get(job.moment, ("done", ""))
        return GuestStep(memo=memo, done=True, outcome=outcome, message=message)

    def replicate(self, job: ReplicaJob, memo: dict[str, Any]) -> Step:
        self.cloud.enter("replicate")
        if any(each["encrypted"] for each in job.document["volumes"]) and not job.encrypt:
            raise LegImpossible("The source is encrypted, and the target has no key.", remedy="Choose a key.")
        made = {kept.volume: id for id, kept in self.cloud.snapshots.items() if kept.token == job.token}
        for each in job.document["volumes"]:
            if each["volumeId"] not in made:
                content = self.cloud.blocks.content(each["snapshotId"])
                id = self.cloud.blocks.snapshot(content, size_gib=1, volume=each["volumeId"])
                self.cloud.snapshots[id] = Kept(job.token, each["volumeId"], region=job.target.region)
                made[each["volumeId"]] = id
        if not memo:
            return Step(memo={"asked": True}, wait=2.0, message="Copying.")
        volumes = [{**each, "snapshotId": made[each["volumeId"]]} for each in job.document["volumes"]]
        return Step(done=True, memo={"volumes": volumes})

    def manual_snapshot(self, job: ManualJob, memo: dict[str, Any]) -> Step:
        if "document" not in memo:
            step = self.snapshot(job.snapshot, memo)
            return step if not step.done or job.target is None else Step(memo={"document": step.memo})
        copy = self.replicate(self._copy(job, memo["document"]), memo.get("copy", {}))
        if not copy.done:
            return Step(memo={**memo, "copy": copy.memo}, wait=copy.wait)
        self.delete_snapshot(job.snapshot.place, memo["document"])
        return copy

    def _copy(self, job: ManualJob, document: dict[str, Any]) -> ReplicaJob:
        assert job.target is not None
        return ReplicaJob(
            source=job.snapshot.place,
            target=job.target,
            document=document,
            resource_name=job.snapshot.resource.name,
            token=f"{job.snapshot.token}-copy",
            policy_name="",
            encrypt=job.kms_key is not None,
        )

    def abandon_replica(self, job: ReplicaJob) -> None:
        self.abandon(job.target, job.token)

    def abandon_manual(self, job: ManualJob) -> None:
        self.abandon(job.snapshot.place, job.snapshot.token)
        self.abandon(job.snapshot.place, f"{job.snapshot.token}-copy")

    def disks(self, document: Mapping[str, Any]) -> tuple[DiskSnapshot, ...]:
        return tuple(
            DiskSnapshot(disk_id=each["volumeId"], snapshot_id=each["snapshotId"], size_bytes=GIB, document=each)
            for each in document["volumes"]
        )

    def delete_snapshot(self, place: Place, document: Mapping[str, Any]) -> None:
        self.cloud.enter("delete_snapshot")
        for each in document["volumes"]:
            self.cloud.blocks.remove(each["snapshotId"])
            self.cloud.snapshots.pop(each["snapshotId"], None)

    def mark(self, place: Place, document: Mapping[str, Any], mark: PointMark, sealing: Sealing) -> None:
        self.cloud.enter("mark")
        for each in document["volumes"]:
            kept = self.cloud.snapshots.setdefault(each["snapshotId"], Kept("", each["volumeId"], place.region))
            record = {"told": mark.told, "document": document}
            kept.record = sealing.seal(json.dumps(record).encode(), place=each["snapshotId"])
            kept.mark = mark

    def marked(self, place: Place) -> Iterator[MarkedSnapshot]:
        self.cloud.enter("marked")
        for id, kept in sorted(self.cloud.snapshots.items()):
            if kept.mark is not None and kept.region == place.region:
                yield MarkedSnapshot(
                    snapshot_id=id, point_id=kept.mark.point_id, appliance_id=kept.mark.appliance_id, token=kept.token
                )

    def read_marks(self, place: Place, snapshot_ids: Sequence[str], sealing: Sealing) -> list[MarkedPoint]:
        self.cloud.enter("read_marks")
        found: dict[UUID, MarkedPoint] = {}
        for id in snapshot_ids:
            kept = self.cloud.snapshots[id]
            assert kept.mark is not None
            try:
                record = json.loads(sealing.open(kept.record, place=id))
            except Misconfigured:
                found[kept.mark.point_id] = MarkedPoint(point_id=kept.mark.point_id, state="foreign")
                continue
            whole = {each["snapshotId"] for each in record["document"]["volumes"]} <= self.cloud.snapshots.keys()
            found[kept.mark.point_id] = MarkedPoint(
                point_id=kept.mark.point_id, state="whole" if whole else "partial", **(record if whole else {})
            )
        return list(found.values())

    def missing(self, place: Place, snapshot_ids: Collection[str]) -> set[str]:
        self.cloud.enter("missing")
        return {id for id in snapshot_ids if id in self.cloud.absent or id not in self.cloud.blocks}

    def abandon(self, place: Place, token: str) -> None:
        self.cloud.enter("abandon")
        for id in [id for id, kept in self.cloud.snapshots.items() if kept.token == token]:
            self.cloud.blocks.remove(id)
            del self.cloud.snapshots[id]
        for id in [id for id, kept in self.cloud.volumes.items() if kept.token == token]:
            del self.cloud.volumes[id]

    def restore_volumes(self, job: RestoreJob, options: VolumeRestore, memo: dict[str, Any]) -> Step:
        self.cloud.enter("restore_volumes")
        return Step(done=True, memo={"volumes": self._created(job), "warnings": self.cloud.warnings})

    def restore_instance(self, job: RestoreJob, options: InstanceRestore, memo: dict[str, Any]) -> Step:
        self.cloud.enter("restore_instance")
        volumes = self._created(job)
        if not memo.get("started"):
            return Step(memo={"started": True}, wait=1.0, message="Starting the machine.")
        content = {each["volumeId"]: self.cloud.content[each["volumeId"]] for each in volumes}
        self.cloud.machines[f"i-{options.name}"] = Machine(options.name, content, {})
        return Step(done=True, memo={"instanceId": f"i-{options.name}", "volumes": volumes})

    def _created(self, job: RestoreJob) -> list[dict[str, str]]:
        made = {kept.volume: id for id, kept in self.cloud.volumes.items() if kept.token == job.token}
        for disk in job.disks:
            if disk.disk_id not in made:
                id = f"vol-{len(self.cloud.volumes)}-{job.token[:8]}"
                self.cloud.volumes[id] = Kept(job.token, disk.disk_id)
                self.cloud.content[id] = self.cloud.blocks.content(disk.snapshot_id)
                made[disk.disk_id] = id
        return [{"diskId": disk.disk_id, "volumeId": made[disk.disk_id]} for disk in job.disks]
