"""EC2 instances: their EBS volumes, snapshotted together and copied elsewhere; restored as volumes or as a new instance."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from server.domain.restore import InstanceRestore, VolumeRestore
from server.domain.scope import VolumeExclusions
from server.domain.workload import Found, Place, Resource
from server.ports import (
    Aws,
    Clock,
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
from server.workloads.ec2 import exclusions, guests, instance, manual, marks, records, replica, snapshot, sweep, volumes
from server.workloads.ec2.permissions import PERMISSIONS

__all__ = ["PERMISSIONS", "Ec2"]


class Ec2:
    """Port ``Workload``. Holds no state: what a job needs is in its memo and in AWS."""

    kind = "ec2"
    title = "EC2 instances"
    permissions = PERMISSIONS

    def __init__(self, aws: Aws, clock: Clock) -> None:
        self._aws = aws
        self._clock = clock

    def discover(self, place: Place) -> Iterator[Found]:
        return records.discover(self._aws, place)

    def snapshot(self, job: SnapshotJob, memo: dict[str, Any]) -> Step:
        return snapshot.step(self._aws, self._clock, job, memo)

    def guest(self, job: GuestJob, memo: dict[str, Any]) -> GuestStep:
        return guests.step(self._aws, self._clock, job, memo)

    def replicate(self, job: ReplicaJob, memo: dict[str, Any]) -> Step:
        return replica.step(self._aws, self._clock, job, memo)

    def manual_snapshot(self, job: ManualJob, memo: dict[str, Any]) -> Step:
        return manual.step(self._aws, self._clock, job, memo)

    def sources(self, resource: Resource, excluded: VolumeExclusions) -> tuple[SourceDisk, ...]:
        return exclusions.remaining(resource.document, excluded)

    def disks(self, document: Mapping[str, Any]) -> tuple[DiskSnapshot, ...]:
        return records.disks(document)

    def delete_snapshot(self, place: Place, document: Mapping[str, Any]) -> None:
        sweep.delete_snapshots(self._aws, place, document)

    def mark(self, place: Place, document: Mapping[str, Any], mark: PointMark, sealing: Sealing) -> None:
        marks.put(self._aws, place, document, mark, sealing)

    def marked(self, place: Place) -> Iterator[MarkedSnapshot]:
        return marks.listed(self._aws, place)

    def read_marks(self, place: Place, snapshot_ids: Sequence[str], sealing: Sealing) -> list[MarkedPoint]:
        return marks.read(self._aws, place, snapshot_ids, sealing)

    def missing(self, place: Place, snapshot_ids: Collection[str]) -> set[str]:
        return marks.missing(self._aws, place, snapshot_ids)

    def abandon(self, place: Place, token: str) -> None:
        sweep.abandon(self._aws, self._clock, place, token)

    def abandon_replica(self, job: ReplicaJob) -> None:
        replica.abandon(self._aws, self._clock, job)

    def abandon_manual(self, job: ManualJob) -> None:
        manual.abandon(self._aws, self._clock, job)

    def restore_volumes(self, job: RestoreJob, options: VolumeRestore, memo: dict[str, Any]) -> Step:
        return volumes.restore(self._aws, self._clock, job, options, memo)

    def restore_instance(self, job: RestoreJob, options: InstanceRestore, memo: dict[str, Any]) -> Step:
        return instance.restore(self._aws, self._clock, job, options, memo)
