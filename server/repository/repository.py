"""An open repository: points listed, read, begun, forgotten and recalled; created and opened with a password or a KMS key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from server.domain.errors import AlreadyThere, Damaged, NotFound
from server.domain.repository import StorageClass
from server.ports import Blobs, Clock
from server.repository import catalog, layout, opening
from server.repository.control import Control, DiskInput, Progress, Tuning, resume_index
from server.repository.crypto import (
    CHECK_REMEDY,
    TYPE_GC_STATE,
    TYPE_MANIFEST,
    TYPE_TOMBSTONE,
    Kdf,
    KmsKey,
    Password,
    Secret,
    canonical,
    make_slot,
)
from server.repository.manifest import DiskRecord, Manifest, PointSummary
from server.repository.opening import Header, peek
from server.repository.pins import Pin
from server.repository.run import BackupRun, DiskResult
from server.repository.runtime import REAL, Runtime
from server.repository.tree import content_root
from server.repository.vault import Vault

__all__ = [
    "BackupRun",
    "Control",
    "DiskInput",
    "DiskRecord",
    "DiskResult",
    "Header",
    "Kdf",
    "KmsKey",
    "Manifest",
    "Password",
    "PointSummary",
    "Progress",
    "Repository",
    "Secret",
    "Tuning",
    "Usage",
    "peek",
    "resume_index",
]


@dataclass(frozen=True, slots=True)
class Usage:
    objects: int
    stored_bytes: int


class Repository:
    """Made by ``create`` or ``open``. Safe to share between threads."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def __repr__(self) -> str:
        return f"Repository({self.id}, {self.vault.blobs.url})"

    @property
    def id(self) -> UUID:
        return self.vault.id

    # -- making and opening

    @classmethod
    def create(
        cls,
        blobs: Blobs,
        secret: Secret,
        *,
        clock: Clock,
        owner: UUID,
        hint: str = "",
        kdf: Kdf | None = None,
        storage_class: StorageClass = StorageClass.STANDARD,
        runtime: Runtime = REAL,
    ) -> Repository:
        """A new repository in an empty folder. Errors: AlreadyThere when one is there, those of ``Kms``, the storage's.

        What an attempt that died half-way left (a key slot) is no obstacle.
        """
        return cls(opening.create(blobs, secret, clock, owner, runtime, hint=hint, kdf=kdf, storage_class=storage_class))

    @classmethod
    def open(
        cls,
        blobs: Blobs,
        secret: Secret,
        *,
        clock: Clock,
        owner: UUID | None,
        take_over: bool = False,
        runtime: Runtime = REAL,
    ) -> Repository:
        """``owner`` None: for reading only, whoever owns it; nothing is written then, not even when asked.

        Errors: NotFound, WrongPassword (also another KMS key), ForeignFormat, NotOwner (unless ``take_over``), Damaged, those
        of ``Kms``, the storage's.
        """
        vault = opening.unlock(blobs, secret, clock, owner, runtime)
        if owner is not None:
            opening.own(vault, take_over=take_over)
        return cls(vault)

    def change_secret(self, secret: Secret, *, hint: str = "", kdf: Kdf | None = None) -> list[str]:
        """Open with ``secret``, a password or a KMS key, from now on and with nothing else. No data is rewritten.

        Returns the key slots that an Object Lock still protects: what opened them opens them until the lock ends.
        Errors: NotOwner, those of ``Kms``, the storage's.
        """
        self.vault.check_owner()
        old = [blob.name for blob in self.vault.blobs.list(layout.KEYS)]
        slot = make_slot(self.vault.keys, secret, created=self.vault.clock.now(), hint=hint, kdf=kdf)
        self.vault.put_once(layout.key_slot(UUID(slot["id"])), canonical(slot))
        return self.vault.patiently(lambda: self.vault.blobs.delete(old))

    # -- points

    def points(self) -> Iterator[PointSummary]:
        """Every visible point, by id. Forgotten ones are left out. Errors: Damaged (names the point), the storage's."""
        yield from catalog.points(self)

    def point(self, point_id: UUID) -> Manifest:
        """Errors: NotFound (also when forgotten), Damaged."""
        if self._is_forgotten(point_id):
            raise _no_point(point_id)
        return self.manifest(point_id)

    def manifest(self, point_id: UUID) -> Manifest:
        """Also of a forgotten point, until it is collected. Errors: NotFound, Damaged."""
        manifest = self._manifest_if_there(point_id)
        if manifest is None:
            raise _no_point(point_id)
        return manifest

    def disk(self, manifest: Manifest, disk_id: str) -> DiskRecord:
        """A disk of the point, its tree bound to its content root. Errors: NotFound, Damaged."""
        disk = manifest.disk(disk_id)
        if disk is None:
            known = ", ".join(disk.disk_id for disk in manifest.disks) or "none"
            raise NotFound(f"Point {manifest.id} has no disk {disk_id}.", remedy=f"Its disks: {known}.")
        if content_root(self.vault.keys.tree, disk.size_bytes, disk.root) != disk.content_root:
            raise Damaged(f"Disk {disk_id} of point {manifest.id} does not match its content root.", remedy=CHECK_REMEDY)
        return disk

    def forgotten(self) -> Iterator[UUID]:
        """Points forgotten and not collected yet: ``recall`` brings them back."""
        for blob in self.vault.blobs.list(layout.FORGOTTEN):
            point_id = layout.uuid_of(blob.name)
            if point_id is not None:
                yield point_id

    def begin(self, point_id: UUID, *, parent: UUID | None, tuning: Tuning | None = None) -> BackupRun:
        """Start, or after a crash go on with, a point. Pins what the run uses against collection.

        Errors: NotFound when the parent is gone or forgotten, or the point itself was forgotten; NotOwner; Conflict.
        """
        self.vault.check_owner()
        if self._is_forgotten(point_id):
            raise _no_point(point_id)
        chosen = tuning or Tuning()
        committed = self._manifest_if_there(point_id)
        if committed is not None:
            self.vault.patiently(lambda: self.vault.blobs.delete([layout.pin(point_id)]))
            return BackupRun(self.vault, point_id, pin=None, parent=None, committed=committed, tuning=chosen)
        pin = Pin.acquire(self.vault, point_id, parent)  # before looking at the parent: FORMAT.md §12
        try:
            basis = self.point(parent) if parent else None
        except (NotFound, Damaged):
            pin.release()
            raise
        return BackupRun(self.vault, point_id, pin=pin, parent=basis, committed=None, tuning=chosen)

    def forget(self, point_id: UUID) -> None:
        """Hide the point; its data goes with the second collection after. Idempotent, also when it is gone already."""
        self.vault.check_owner()
        name = layout.forgotten(point_id)
        if self.vault.patiently(lambda: self.vault.blobs.head(layout.point(point_id))) is None or self._is_forgotten(point_id):
            return
        try:
            content = {"point": str(point_id), "at": self.vault.clock.now().isoformat()}
            self.vault.put_once(name, self.vault.seal(name, TYPE_TOMBSTONE, content))
        except AlreadyThere:
            return  # forgotten by somebody else in the same moment

    def recall(self, point_id: UUID) -> None:
        """Undo ``forget``. Idempotent. NotFound once its data has begun to be deleted."""
        self.vault.check_owner()
        if self.vault.patiently(lambda: self.vault.blobs.head(layout.point(point_id))) is None:
            raise _no_point(point_id)
        if not self._is_forgotten(point_id):
            return
        state = self.vault.read_versioned(layout.GC_STATE, TYPE_GC_STATE)
        if state is not None:
            content, blob = state
            if content["phase"] == "sweeping":
                raise _no_point(point_id)
            idle = self.vault.seal(layout.GC_STATE, TYPE_GC_STATE, {"phase": "idle"})
            try:
                self.vault.replace(layout.GC_STATE, idle, blob.version)
            except AlreadyThere:
                raise _no_point(point_id) from None
        self.vault.patiently(lambda: self.vault.blobs.delete([layout.forgotten(point_id)]))

    def usage(self) -> Usage:
        """What the folder holds now, garbage included."""
        objects = stored = 0
        for blob in self.vault.blobs.list():
            objects += 1
            stored += blob.size
        return Usage(objects, stored)

    def _is_forgotten(self, point_id: UUID) -> bool:
        return self.vault.patiently(lambda: self.vault.blobs.head(layout.forgotten(point_id))) is not None

    def _manifest_if_there(self, point_id: UUID) -> Manifest | None:
        try:
            manifest = Manifest.from_json(self.vault.read_sealed(layout.point(point_id), TYPE_MANIFEST))
        except NotFound:
            return None
        if manifest.id != point_id:
            raise Damaged(f"Point {point_id} holds the manifest of another.", fields={"object": layout.point(point_id)})
        return manifest


def _no_point(point_id: UUID) -> NotFound:
    return NotFound(f"The repository holds no point {point_id}.", remedy="It may have expired; rescan the repository.")
