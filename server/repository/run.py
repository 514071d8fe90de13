"""A backup in progress: ``Repository.begin`` gives a ``BackupRun``; its disks are read, then the point is committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from server.domain.errors import AlreadyThere, InvalidInput, NotFound
from server.ports import BlockRef
from server.repository import layout
from server.repository.control import Control, DiskInput, Tuning
from server.repository.crypto import TYPE_MANIFEST
from server.repository.fetch import Fetcher, TreeReader
from server.repository.manifest import DiskRecord, Manifest
from server.repository.pins import Pin, expired_run
from server.repository.pipeline import DiskPipeline
from server.repository.recent import RecentIds
from server.repository.tree import top_level
from server.repository.vault import Vault


@dataclass(frozen=True, slots=True)
class DiskResult:
    """A disk whose every byte is durable, waiting for ``BackupRun.commit``. Store it as ``to_json()`` between disks."""

    run: str
    record: DiskRecord

    def to_json(self) -> dict[str, Any]:
        return {"run": self.run, "record": self.record.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DiskResult:
        return cls(run=data["run"], record=DiskRecord.from_json(data["record"]))


class BackupRun:
    """One attempt, or a resumed one, to make the point ``point_id``. Not thread-safe: one disk after the other.

    ``committed`` is set when an earlier attempt already committed this point: nothing is left to do.
    """

    def __init__(
        self,
        vault: Vault,
        point_id: UUID,
        *,
        pin: Pin | None,
        parent: Manifest | None,
        committed: Manifest | None,
        tuning: Tuning,
    ) -> None:
        self.point_id = point_id
        self.committed = committed
        self.parent = parent
        self._vault = vault
        self._pin = pin
        self._tuning = tuning
        self._recent = RecentIds()

    def accepts(self, saved: str | DiskResult) -> bool:
        """Whether this checkpoint or finished disk belongs to this run. False when its run expired: do the disk again."""
        if self._pin is None:
            return False
        try:
            run = saved.run if isinstance(saved, DiskResult) else json.loads(saved)["run"]
        except (KeyError, TypeError, ValueError):
            return False
        return bool(run == self._pin.record.run)

    def disk(
        self,
        disk: DiskInput,
        *,
        blocks: Iterable[BlockRef],
        read: Callable[[BlockRef], bytes],
        mode: Literal["full", "changed"],
        control: Control,
        checkpoint: str | None = None,
    ) -> DiskResult:
        """Back up one disk; returns when everything of it is durable.

        ``blocks`` ascending by index; on resume from ``resume_index(checkpoint)``. ``read`` is called from several threads and
        returns BLOCK_SIZE bytes. Mode "changed": blocks not listed are inherited from the parent's disk of the same
        ``disk_id``; "full": they are zeros. A BlockRef with token "" reads as zeros without a ``read`` call.
        Errors: Cancelled, InvalidInput (order, size, mode without parent disk, another disk's checkpoint), NotFound (checkpoint
        of an expired run: start the disk again without), Damaged (the parent's tree), what ``read`` raises, the storage's.
        """
        pin = self._held()
        if checkpoint is not None and not self.accepts(checkpoint):
            raise expired_run(self.point_id)
        pin.renew()
        known = self.parent.disk(disk.disk_id) if self.parent else None
        self._refuse(disk, known, mode)
        tree = TreeReader(
            Fetcher(self._vault), known.root if known else None, known.level if known else top_level(disk.size_bytes)
        )
        recent = self._recent.copy()
        pipeline = DiskPipeline(
            self._vault,
            disk,
            parent=tree,
            inherit=mode == "changed",
            run=pin.record.run,
            context={"point": str(self.point_id), "parent": str(self.parent.id) if self.parent else None},
            control=control,
            tuning=self._tuning,
            recent=recent,
            beat=pin.renew,
        )
        record = pipeline.run(blocks, read, checkpoint)
        self._recent = recent
        return DiskResult(pin.record.run, record)

    def commit(
        self,
        *,
        at: datetime,
        resource: Mapping[str, Any],
        document: Mapping[str, Any],
        disks: Sequence[DiskResult],
        archive: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Make the point visible. Idempotent: once committed, the same point id gives the manifest that is there.
        Errors: NotFound when the run expired (begin again), NotOwner, and the storage's."""
        if self.committed is not None:
            return self.committed
        pin = self._held()
        if not all(self.accepts(disk) for disk in disks):
            raise expired_run(self.point_id)
        manifest = Manifest(
            id=self.point_id,
            at=at,
            parent=self.parent.id if self.parent else None,
            resource=dict(resource),
            document=dict(document),
            disks=tuple(disk.record for disk in disks),
            archive=dict(archive) if archive is not None else None,
        )
        name = layout.point(self.point_id)
        self._vault.check_owner()
        try:
            pin.renew()
            self._vault.put_once(name, self._vault.seal(name, TYPE_MANIFEST, manifest.to_json()))
        except (AlreadyThere, NotFound):
            manifest = self._committed_elsewhere(name)
        self.committed = manifest
        pin.release()
        return manifest

    def abandon(self) -> None:
        """Give up: what was written becomes garbage. Idempotent; harmless after a commit."""
        if self._pin is not None:
            self._pin.release()
            self._pin = None

    def _held(self) -> Pin:
        if self._pin is None:
            raise expired_run(self.point_id)
        return self._pin

    def _committed_elsewhere(self, name: str) -> Manifest:
        """Another process that resumed this run was faster: its manifest is the point. NotFound when there is none."""
        try:
            return Manifest.from_json(self._vault.read_sealed(name, TYPE_MANIFEST))
        except NotFound:
            raise expired_run(self.point_id) from None

    @staticmethod
    def _refuse(disk: DiskInput, known: DiskRecord | None, mode: str) -> None:
        if disk.size_bytes <= 0:
            raise InvalidInput(f"Disk {disk.disk_id} has no size.")
        if mode == "full":
            return
        if known is None:
            raise InvalidInput(f"Disk {disk.disk_id} is not in the parent point.", remedy="Back it up in full.")
        if known.size_bytes > disk.size_bytes:
            raise InvalidInput(f"Disk {disk.disk_id} is smaller than in the parent point.", remedy="Back it up in full.")
