"""A backup in progress: ``Repository.begin`` gives a ``BackupRun``; its disks are read, then the point is committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from server.domain.errors import AlreadyThere, InvalidInput, NotFound
from server.domain.immutability import Lock
from server.ports import BlockRef
from server.repository import layout, locks
from server.repository.control import Control, DiskInput, Tuning
from server.repository.crypto import TYPE_MANIFEST
from server.repository.damage import Damage, known_damage
from server.repository.dedup import DedupIndex
from server.repository.fetch import Fetcher
from server.repository.heal import HealingReader, Heals, Suspects, find_suspects
from server.repository.known import KnownBlocks
from server.repository.manifest import DiskRecord, Manifest
from server.repository.marks import doomed
from server.repository.pins import Pin, expired_run
from server.repository.pipeline import Basis, DiskPipeline
from server.repository.recent import RecentIds
from server.repository.tree import block_count, top_level
from server.repository.vault import Vault
from server.repository.walk import PackIndex


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

    ``committed`` is set when an earlier attempt already committed this point: nothing is left to do. ``lost``, after ``commit``
    with a lock: packs that the point reaches and that could not be locked because they are gone (a check tells what they held).
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
        self.lost: list[str] = []
        self._tuning = tuning
        self._recent = RecentIds()
        self._fetcher = Fetcher(vault)
        self._found_suspects: dict[str, Suspects] = {}

    @property
    def lock(self) -> Lock | None:
        """What everything this run writes is locked with."""
        return self._held().record.lock

    @cached_property
    def _damage(self) -> Damage:
        return known_damage(self._vault) if self.parent or self._vault.runtime.cache else Damage.of(())

    @cached_property
    def _doomed(self) -> PackIndex:
        """Read after the pin was written: later lists wait for this run (FORMAT.md §12)."""
        return doomed(self._vault) if self._vault.runtime.cache else PackIndex([])

    def accepts(self, saved: str | DiskResult) -> bool:
        """Whether this checkpoint or finished disk belongs to this run. False when its run expired, or when what is known to be
        damaged of the parent's disk is not what it was at the checkpoint: do the disk again."""
        if self._pin is None:
            return False
        if isinstance(saved, DiskResult):
            return saved.run == self._pin.record.run
        try:
            mark = json.loads(saved)
            if mark["run"] != self._pin.record.run:
                return False
            suspects = self._suspects(mark["disk"]) if mark["inherit"] else Suspects()
            return bool(mark["suspects"] == suspects.mark())
        except (KeyError, TypeError, ValueError):
            return False

    def disk(
        self,
        disk: DiskInput,
        *,
        blocks: Iterable[BlockRef],
        read: Callable[[BlockRef], bytes | bytearray],
        mode: Literal["full", "changed"],
        control: Control,
        checkpoint: str | None = None,
    ) -> DiskResult:
        """Back up one disk; returns when everything of it is durable.

        ``blocks`` ascending by index; on resume from ``resume_index(checkpoint)``. ``read`` is called from several threads,
        once per block, and returns BLOCK_SIZE bytes, in a buffer that stays as it is until the same thread reads again. Mode
        "changed": blocks not listed are inherited from the parent's disk of the same ``disk_id``, and every block of its
        ``suspects`` must be listed; "full": they are zeros. A BlockRef with token "" reads as zeros without a ``read`` call.
        Errors: Cancelled, InvalidInput (order, size, mode without parent disk, a suspect left out, another disk's checkpoint),
        NotFound (checkpoint of an expired run: start the disk again without), Damaged (the parent's tree, mode "changed": back
        it up in full), what ``read`` raises, the storage's.
        """
        pin = self._held()
        if checkpoint is not None and not self.accepts(checkpoint):
            raise expired_run(self.point_id)
        pin.renew()
        self._refuse(disk, self.parent.disk(disk.disk_id) if self.parent else None, mode)
        recent = self._recent.copy()
        with DedupIndex.opened(self._vault.runtime.cache, self._vault.keys) as index:
            pipeline = DiskPipeline(
                self._vault,
                disk,
                self._basis(disk, mode, recent, index),
                run=pin.record.run,
                context={"point": str(self.point_id), "parent": str(self.parent.id) if self.parent else None},
                control=control,
                tuning=self._tuning,
                beat=pin.renew,
            )
            record = pipeline.run(blocks, read, checkpoint)
        self._recent = recent
        return DiskResult(pin.record.run, record)

    def suspects(self, disk_id: str) -> list[tuple[int, int]]:
        """Block index ranges [start, end) of the parent's disk that recorded damage touches, ascending. In mode "changed" list
        every index in them besides what changed: with an empty token when the source holds zeros there. Storing them anew heals
        this point, and older ones where the content is still the same.

        Errors: NotFound when the run is over, the storage's. Reads the disk's whole tree when there is damage.
        """
        self._held()
        return list(self._suspects(disk_id).ranges)

    def _suspects(self, disk_id: str) -> Suspects:
        found = self._found_suspects.get(disk_id)
        known = self.parent.disk(disk_id) if self.parent else None
        if found is None:
            found = Suspects()
            if known is not None:
                found = find_suspects(self._fetcher, known.root, known.level, self._damage, block_count(known.size_bytes))
            self._found_suspects[disk_id] = found
        return found

    def _basis(self, disk: DiskInput, mode: str, recent: RecentIds, index: DedupIndex | None) -> Basis:
        known = self.parent.disk(disk.disk_id) if self.parent else None
        suspects = self._suspects(disk.disk_id) if mode == "changed" else None
        lock = self.lock
        return Basis(
            parent=HealingReader(
                self._fetcher,
                known.root if known else None,
                known.level if known else top_level(disk.size_bytes),
                suspects,
            ),
            inherit=mode == "changed",
            suspects=suspects or Suspects(),
            known=KnownBlocks(
                self._vault,
                recent=recent,
                index=index,
                doomed=self._doomed,
                damage=self._damage,
                lock_until=lock.until if lock else None,
            ),
            heals=Heals(self._damage),
            index=index,
            lock=lock,
        )

    def commit(
        self,
        *,
        at: datetime,
        resource: Mapping[str, Any],
        document: Mapping[str, Any],
        disks: Sequence[DiskResult],
        archive: Mapping[str, Any] | None = None,
        retention: Mapping[str, Any] | None = None,
        control: Control | None = None,
    ) -> Manifest:
        """Make the point visible. Idempotent: once committed, the same point id gives the manifest that is there. With a lock,
        everything the point reaches is locked as long as it before; ``control`` can stop that.
        Errors: NotFound when the run expired (begin again), NotOwner, Damaged (a tree that must be walked to lock it),
        Cancelled, and the storage's."""
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
            lock=self.lock,
            retention=dict(retention) if retention is not None else None,
        )
        name = layout.point(self.point_id)
        self._vault.check_owner()
        try:
            if manifest.lock is not None:
                self._uphold(pin, manifest, manifest.lock, control)
            pin.renew()
            sealed = self._vault.seal(name, TYPE_MANIFEST, manifest.to_json())
            self._vault.put_once(name, sealed, lock_until=manifest.lock.until if manifest.lock else None)
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

    def _uphold(self, pin: Pin, manifest: Manifest, lock: Lock, control: Control | None) -> None:
        """What the point shares with older ones is to be locked as long as it."""
        parent = self.parent
        shared = [disk for disk in manifest.disks if parent is not None and parent.disk(disk.disk_id) is not None]
        self.lost = locks.uphold(
            self._vault,
            lock,
            inherited=parent.lock if parent is not None else None,
            disks=shared,
            since=pin.record.since,
            control=control,
            beat=pin.renew,
        )

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
