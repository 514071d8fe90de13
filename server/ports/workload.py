"""What a workload does, and the orders it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

from server.domain.guest import Guest
from server.domain.replicas import KeyUsage
from server.domain.restore import InstanceRestore, VolumeRestore
from server.domain.scope import VolumeExclusions
from server.domain.workload import Found, Place, Resource
from server.ports.process import Sealing


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a workload did just now. ``memo`` is stored and handed back next time (JSON). Not ``done``: ask again after
    ``wait`` seconds. A step may be repeated after a crash with an older memo; it must then find and adopt what it made.

    ``warnings``, of a step that is ``done``: what was asked for and could not be had. The leg ends as a warning.
    ``taken``, of a snapshot's: the moment of the data is fixed, so that what was frozen in the guest may go on.
    """

    memo: dict[str, Any] = field(default_factory=dict)
    done: bool = False
    wait: float = 0.0
    message: str = ""
    progress: float | None = None  # 0..1
    warnings: tuple[str, ...] = ()
    taken: bool = False


Outcome = Literal["done", "skipped", "warning", "failed"]
Moment = Literal["pre", "post"]
Consistency = Literal["crash", "application"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestStep(Step):
    """``outcome`` counts when ``done``; ``message`` says why.

    ``skipped``: there is nothing to run, or nothing it could disturb. ``warning``: it could not be run, which the policy says
    to ignore; the leg ends as a warning. ``failed``: before the snapshot, none is to be made (the post script still runs);
    after it, the snapshot stays and its leg ends as a warning.
    """

    outcome: Outcome = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotJob:
    """``token`` is unique to the task: it goes into client tokens and the tag ``holdfast:task``.

    ``copy_tags``: each volume's own tags follow onto its snapshot; ``tags`` are put onto all of them, when they are created or,
    ``tags_later``, right after.
    ``consistency`` "application" asks for VSS in Windows guests; a guest where that is impossible gets a crash-consistent
    snapshot and a warning.
    """

    place: Place
    resource: Resource
    token: str
    policy_name: str
    copy_tags: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    tags_later: bool = False
    excluded: VolumeExclusions = field(default_factory=VolumeExclusions)
    consistency: Consistency = "crash"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaJob:
    """Copy the snapshots of the point ``document`` in ``source`` to ``target``.

    ``token`` is the replica's own, never that of the snapshot. ``target_aws_account_id``: the number of the account the copies
    go to, None when it is the source's. ``encrypt``, ``kms_key``, ``key_usage``: as in ``domain.replicas.ReplicaTarget``.
    """

    source: Place
    target: Place
    target_aws_account_id: str | None = None
    document: Mapping[str, Any]
    resource_name: str
    token: str
    policy_name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    copy_tags: bool = True
    encrypt: bool = False
    kms_key: str | None = None
    key_usage: KeyUsage = KeyUsage.ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualJob:
    """A snapshot outside every policy. ``target``: another place to keep it in (None: where the resource is); its account's
    number, when that is another one, is ``target_aws_account_id``. ``kms_key``: of the copies there, None: not encrypted.
    """

    snapshot: SnapshotJob
    target: Place | None = None
    target_aws_account_id: str | None = None
    kms_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestJob:
    """What the guest is to do before or after the snapshot. ``for_backup``: a backup is made from it."""

    place: Place
    resource: Resource
    token: str
    policy_name: str
    guest: Guest
    moment: Moment
    for_backup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSnapshot:
    """A disk inside a snapshot point. ``disk_id`` is stable across points (the volume id): it ties a disk to its past."""

    disk_id: str
    snapshot_id: str
    size_bytes: int
    document: dict[str, Any]  # device name, type, IOPS, KMS key, tags ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDisk:
    """A disk of a resource as the inventory knows it. ``kms_key``: the ARN of the key it is encrypted with."""

    disk_id: str
    size_bytes: int
    encrypted: bool = False
    kms_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreJob:
    """``disks`` are completed snapshots in the target Region holding the data to bring back."""

    place: Place
    token: str
    record: dict[str, Any]  # the point's document: the resource as it was
    resource_name: str
    disks: tuple[DiskSnapshot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMark:
    """What the snapshots of a point carry in AWS, so that an appliance that has lost its database can import the point.

    ``told``: the point but for its document, JSON. It and the document are sealed, the ids are not.
    """

    point_id: UUID
    appliance_id: UUID
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedSnapshot:
    """A snapshot as a place lists it. ``token``: of the job that made it, "" when the tag is gone."""

    snapshot_id: str
    point_id: UUID
    appliance_id: UUID | None
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedPoint:
    """``whole``: all of its snapshots are there and completed, and ``told`` and ``document`` are what the mark said.
    ``partial``: some are missing, unfinished or unreadable. ``foreign``: sealed with another key."""

    point_id: UUID
    state: Literal["whole", "partial", "foreign"]
    told: Mapping[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)


class Workload(Protocol):
    """One kind of thing in AWS. Speaks only to ports. Everything is idempotent by the job's token."""

    kind: str
    title: str
    # Capability ("discover", "guest", "snapshot", "replica", "backup", "restore") → IAM actions
    permissions: Mapping[str, tuple[str, ...]]

    def discover(self, place: Place) -> Iterator[Found]: ...

    def snapshot(self, job: SnapshotJob, memo: dict[str, Any]) -> Step:
        """When done, ``memo`` is the point's document: enough to restore, delete and read its disks. Its ``consistency`` says
        what was achieved. Errors: LegImpossible when every disk is excluded."""
        ...

    def guest(self, job: GuestJob, memo: dict[str, Any]) -> GuestStep:
        """Run the policy's scripts in the guest. Nothing a guest does wrong is an error here; see ``GuestStep``."""
        ...

    def replicate(self, job: ReplicaJob, memo: dict[str, Any]) -> Step:
        """When done, ``memo`` is the replica point's document, shaped like a snapshot point's.

        Errors: LegImpossible when a disk is encrypted and the target has no key; what AWS refuses besides.
        """
        ...

    def manual_snapshot(self, job: ManualJob, memo: dict[str, Any]) -> Step:
        """Snapshot; if it is to live elsewhere, copy it there and delete the original. When done, ``memo`` is the document of
        what remains."""
        ...

    def sources(self, resource: Resource, excluded: VolumeExclusions) -> tuple[SourceDisk, ...]:
        """What a snapshot of the resource would hold, by the inventory: its disks but for the excluded ones. Asks nobody."""
        ...

    def disks(self, document: Mapping[str, Any]) -> tuple[DiskSnapshot, ...]: ...

    def delete_snapshot(self, place: Place, document: Mapping[str, Any]) -> None:
        """What is gone already is no error."""
        ...

    def mark(self, place: Place, document: Mapping[str, Any], mark: PointMark, sealing: Sealing) -> None:
        """Put the mark onto every snapshot of the point. One that carries it already is left alone."""
        ...

    def marked(self, place: Place) -> Iterator[MarkedSnapshot]:
        """Every snapshot of the account with a mark, whoever made it, in one paginated question."""
        ...

    def read_marks(self, place: Place, snapshot_ids: Sequence[str], sealing: Sealing) -> list[MarkedPoint]:
        """The points these snapshots make up; all snapshots known of a point are asked for together."""
        ...

    def missing(self, place: Place, snapshot_ids: Collection[str]) -> set[str]:
        """Those AWS says it does not have, each asked after by its id: an answer that merely leaves one out is no proof."""
        ...

    def abandon(self, place: Place, token: str) -> None:
        """Remove whatever a failed or cancelled task with this token left behind in this place: unfinished snapshots and
        copies, volumes, instances; its commands in guests are stopped."""
        ...

    def abandon_replica(self, job: ReplicaJob) -> None:
        """The same in the target of a replica, and take back the access to the source that was given for it."""
        ...

    def abandon_manual(self, job: ManualJob) -> None:
        """Remove what an unfinished manual snapshot left behind, in both places."""
        ...

    def restore_volumes(self, job: RestoreJob, options: VolumeRestore, memo: dict[str, Any]) -> Step:
        """When done, ``memo["volumes"]`` lists ``{"diskId", "volumeId"}``."""
        ...

    def restore_instance(self, job: RestoreJob, options: InstanceRestore, memo: dict[str, Any]) -> Step:
        """When done, ``memo["instanceId"]`` and ``memo["volumes"]``."""
        ...
