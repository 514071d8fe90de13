"""What a workload does, and the orders it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from server.domain.restore import InstanceRestore, VolumeRestore
from server.domain.workload import Found, Place, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a workload did just now. ``memo`` is stored and handed back next time (JSON). Not ``done``: ask again after
    ``wait`` seconds. A step may be repeated after a crash with an older memo; it must then find and adopt what it made."""

    memo: dict[str, Any] = field(default_factory=dict)
    done: bool = False
    wait: float = 0.0
    message: str = ""
    progress: float | None = None  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotJob:
    """``token`` is unique to the task: it goes into client tokens and the tag ``holdfast:task``."""

    place: Place
    resource: Resource
    token: str
    policy_name: str
    copy_tags: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSnapshot:
    """A disk inside a snapshot point. ``disk_id`` is stable across points (the volume id): it ties a disk to its past."""

    disk_id: str
    snapshot_id: str
    size_bytes: int
    document: dict[str, Any]  # device name, type, IOPS, KMS key, tags ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreJob:
    """``disks`` are completed snapshots in the target Region holding the data to bring back."""

    place: Place
    token: str
    record: dict[str, Any]  # the point's document: the resource as it was
    resource_name: str
    disks: tuple[DiskSnapshot, ...]


class Workload(Protocol):
    """One kind of thing in AWS. Speaks only to ports. Everything is idempotent by the job's token."""

    kind: str
    title: str
    permissions: Mapping[str, tuple[str, ...]]  # capability ("discover", "snapshot", "backup", "restore") → IAM actions

    def discover(self, place: Place) -> Iterator[Found]: ...

    def snapshot(self, job: SnapshotJob, memo: dict[str, Any]) -> Step:
        """When done, ``memo`` is the point's document: enough to restore, delete and read its disks."""
        ...

    def disks(self, document: Mapping[str, Any]) -> tuple[DiskSnapshot, ...]: ...

    def delete_snapshot(self, place: Place, document: Mapping[str, Any]) -> None:
        """What is gone already is no error."""
        ...

    def abandon(self, place: Place, token: str) -> None:
        """Remove whatever a failed or cancelled task with this token left behind (unfinished snapshots, volumes, instances)."""
        ...

    def restore_volumes(self, job: RestoreJob, options: VolumeRestore, memo: dict[str, Any]) -> Step:
        """When done, ``memo["volumes"]`` lists ``{"diskId", "volumeId"}``."""
        ...

    def restore_instance(self, job: RestoreJob, options: InstanceRestore, memo: dict[str, Any]) -> Step:
        """When done, ``memo["instanceId"]`` and ``memo["volumes"]``."""
        ...
