"""EC2 instances: all their EBS volumes, snapshotted together; restored as volumes or as a new instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from server.domain.restore import InstanceRestore, VolumeRestore
from server.domain.workload import Found, Place
from server.ports import Aws, Clock, DiskSnapshot, RestoreJob, SnapshotJob, Step
from server.workloads.ec2 import instance, records, snapshot, sweep, volumes

PERMISSIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "discover": ("ec2:DescribeInstances", "ec2:DescribeVolumes"),
        "snapshot": (
            "ec2:CreateSnapshots",
            "ec2:CreateTags",
            "ec2:DeleteSnapshot",
            "ec2:DescribeInstances",
            "ec2:DescribeSnapshots",
            "ec2:DescribeVolumes",
        ),
        "backup": (
            "ebs:GetSnapshotBlock",
            "ebs:ListChangedBlocks",
            "ebs:ListSnapshotBlocks",
            "kms:Decrypt",  # blocks of encrypted snapshots
        ),
        "restore": (
            "ebs:CompleteSnapshot",
            "ebs:PutSnapshotBlock",
            "ebs:StartSnapshot",
            "ec2:AttachVolume",
            "ec2:CreateTags",
            "ec2:CreateVolume",
            "ec2:DeleteSnapshot",
            "ec2:DeleteVolume",
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceTypeOfferings",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeKeyPairs",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSnapshots",
            "ec2:DescribeSubnets",
            "ec2:DescribeVolumes",
            "ec2:DetachVolume",
            "ec2:ModifyInstanceAttribute",
            "ec2:RunInstances",
            "ec2:StartInstances",
            "ec2:StopInstances",
            "ec2:TerminateInstances",
            "iam:GetInstanceProfile",
            "iam:ListInstanceProfiles",
            "iam:PassRole",  # an instance launched with a profile
            "kms:CreateGrant",  # volumes of encrypted disks
            "kms:DescribeKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ),
    }
)


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

    def disks(self, document: Mapping[str, Any]) -> tuple[DiskSnapshot, ...]:
        return records.disks(document)

    def delete_snapshot(self, place: Place, document: Mapping[str, Any]) -> None:
        sweep.delete_snapshots(self._aws, place, document)

    def abandon(self, place: Place, token: str) -> None:
        sweep.abandon(self._aws, self._clock, place, token)

    def restore_volumes(self, job: RestoreJob, options: VolumeRestore, memo: dict[str, Any]) -> Step:
        return volumes.restore(self._aws, self._clock, job, options, memo)

    def restore_instance(self, job: RestoreJob, options: InstanceRestore, memo: dict[str, Any]) -> Step:
        return instance.restore(self._aws, self._clock, job, options, memo)
