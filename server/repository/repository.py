"""An open repository: points listed, read, begun, forgotten and recalled; created and opened with a password."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from server.domain.errors import AlreadyThere, Damaged, ForeignFormat, NotFound, NotOwner, WrongPassword
from server.ports import BLOCK_SIZE, Blobs, Clock
from server.repository import layout
from server.repository.control import Control, DiskInput, Progress, Tuning, resume_index
from server.repository.crypto import (
    FORMAT_VERSION,
    TYPE_GC_STATE,
    TYPE_MANIFEST,
    TYPE_TOMBSTONE,
    Kdf,
    Keys,
    canonical,
    make_password_slot,
    open_password_slot,
)
from server.repository.manifest import DiskRecord, Manifest, PointSummary
from server.repository.pins import Pin
from server.repository.run import BackupRun, DiskResult
from server.repository.runtime import REAL, Runtime
from server.repository.vault import Vault, patiently, put_once, read_owner, read_plain

__all__ = [
    "BackupRun",
    "Control",
    "DiskInput",
    "DiskRecord",
    "DiskResult",
    "Header",
    "Kdf",
    "Manifest",
    "PointSummary",
    "Progress",
    "Repository",
    "Tuning",
    "Usage",
    "peek",
    "resume_index",
]

LISTERS = 8  # manifests read at once
LIST_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Header:
    """What a repository says of itself to anyone who can read the folder (not authenticated without the password)."""

    id: UUID
    version: int
    created: datetime
    owner: UUID
    owned_since: datetime
    hint: str


@dataclass(frozen=True, slots=True)
class Usage:
    objects: int
    stored_bytes: int


def peek(blobs: Blobs, *, clock: Clock) -> Header:
    """Identity, owner and password hint without the password. Errors: NotFound, ForeignFormat, Damaged, the storage's."""
    config = _read_config(blobs, clock)
    owner = read_owner(blobs, clock)
    hints = [str(slot.get("hint", "")) for slot in _slots(blobs, clock)]
    return Header(
        id=UUID(config["id"]),
        version=int(config["version"]),
        created=datetime.fromisoformat(config["created"]),
        owner=UUID(owner["owner"]),
        owned_since=datetime.fromisoformat(owner["since"]),
        hint=next(filter(None, hints), ""),
    )


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
        password: str,
        *,
        clock: Clock,
        owner: UUID,
        hint: str = "",
        kdf: Kdf | None = None,
        runtime: Runtime = REAL,
    ) -> Repository:
        """A new repository in an empty folder. Errors: AlreadyThere when one is there, and the storage's.

        What an attempt that died half-way left (a key slot) is no obstacle.
        """
        _refuse_occupied(blobs)
        keys = Keys.new(uuid4())
        now = clock.now()
        slot = make_password_slot(keys, password, created=now, hint=hint, kdf=kdf)
        config = {
            "format": "holdfast-repository",
            "version": FORMAT_VERSION,
            "id": str(keys.repository_id),
            "created": now.isoformat(),
            "createdBy": str(owner),
            "blockSize": BLOCK_SIZE,
            "requires": [],
        }
        put_once(blobs, clock, layout.key_slot(UUID(slot["id"])), canonical(slot))
        put_once(blobs, clock, layout.CONFIG, keys.signed(config))  # decides which of two creators wins
        _first_owner(blobs, clock, keys, config)
        return cls(Vault(blobs, keys, clock, owner, runtime))

    @classmethod
    def open(
        cls,
        blobs: Blobs,
        password: str,
        *,
        clock: Clock,
        owner: UUID,
        take_over: bool = False,
        runtime: Runtime = REAL,
    ) -> Repository:
        """Errors: NotFound, WrongPassword, ForeignFormat, NotOwner (unless ``take_over``), Damaged, and the storage's."""
        config = _read_config(blobs, clock)
        keys = _unlock(blobs, clock, password, UUID(config["id"]))
        keys.verify(layout.CONFIG, config)
        vault = Vault(blobs, keys, clock, owner, runtime)
        if patiently(clock, lambda: blobs.head(layout.OWNER)) is None:
            _first_owner(blobs, clock, keys, config)  # the creator died before its last write
        try:
            vault.check_owner()
        except NotOwner:
            if not take_over:
                raise
            _take_over(vault)
        return cls(vault)

    def change_password(self, password: str, *, hint: str = "", kdf: Kdf | None = None) -> None:
        """Open with ``password`` from now on, and with no other. No data is rewritten."""
        self.vault.check_owner()
        old = [blob.name for blob in self.vault.blobs.list(layout.KEYS)]
        slot = make_password_slot(self.vault.keys, password, created=self.vault.clock.now(), hint=hint, kdf=kdf)
        self.vault.put_once(layout.key_slot(UUID(slot["id"])), canonical(slot))
        self.vault.patiently(lambda: self.vault.blobs.delete(old))

    # -- points

    def points(self) -> Iterator[PointSummary]:
        """Every visible point, by id. Forgotten ones are left out. Errors: Damaged (names the point), the storage's."""
        hidden = set(self.forgotten())
        ids = (layout.uuid_of(blob.name) for blob in self.vault.blobs.list(layout.POINTS))
        shown = (point_id for point_id in ids if point_id and point_id not in hidden)
        with self.vault.pool(LISTERS, "points") as pool:
            while chunk := list(islice(shown, LIST_CHUNK)):
                for manifest in pool.map(self._manifest_if_there, chunk):
                    if manifest is not None:
                        yield PointSummary.of(manifest)

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


# ---- config, key slots, owner -----------------------------------------------------------------------------------------


def _no_point(point_id: UUID) -> NotFound:
    return NotFound(f"The repository holds no point {point_id}.", remedy="It may have expired; rescan the repository.")


def _refuse_occupied(blobs: Blobs) -> None:
    for blob in blobs.list():
        if blob.name == layout.CONFIG:
            raise AlreadyThere(f"There is a repository at {blobs.url} already.", remedy="Open it, or choose another folder.")
        if not blob.name.startswith(layout.KEYS):
            raise AlreadyThere(f"The folder {blobs.url} is not empty: it holds {blob.name}.", remedy="Choose another folder.")


def _read_config(blobs: Blobs, clock: Clock) -> dict[str, Any]:
    foreign = ForeignFormat(f"What lies at {blobs.url} is not a Holdfast repository.", remedy="Choose another folder.")
    try:
        config = read_plain(blobs, clock, layout.CONFIG, "holdfast-repository")
    except NotFound:
        if next(iter(blobs.list()), None) is None:
            raise NotFound(f"There is no repository at {blobs.url}: the folder is empty.", remedy="Create one.") from None
        raise foreign from None
    except Damaged:
        if next(iter(blobs.list(layout.KEYS)), None) is None or blobs.head(layout.OWNER) is None:
            raise foreign from None
        raise
    unknown = config.get("requires")
    if config.get("version") != FORMAT_VERSION or unknown:
        raise ForeignFormat(
            f"The repository at {blobs.url} has format version {config.get('version')} {unknown or ''}; "
            f"this program reads version {FORMAT_VERSION}.",
            remedy="Use a newer Holdfast for this repository.",
        )
    return config


def _slots(blobs: Blobs, clock: Clock) -> Iterator[dict[str, Any]]:
    """Sound key slots. Damaged when there is no sound one."""
    sound = 0
    problem: Damaged | None = None
    for blob in blobs.list(layout.KEYS):
        try:
            slot = read_plain(blobs, clock, blob.name, "holdfast-key")
        except Damaged as damaged:
            problem = damaged
            continue
        except NotFound:
            continue  # withdrawn while we were listing
        sound += 1
        yield slot
    if not sound:
        raise problem or Damaged(
            "The repository has lost its key slots.", remedy="Restore the objects under keys/ from a copy."
        )


def _unlock(blobs: Blobs, clock: Clock, password: str, repository_id: UUID) -> Keys:
    wrong: WrongPassword | None = None
    for slot in _slots(blobs, clock):
        if slot.get("kind") != "password" or slot.get("repository") != str(repository_id):
            continue
        try:
            return open_password_slot(slot, password)
        except WrongPassword as refused:
            wrong = refused
    raise wrong or ForeignFormat("The repository has no password slot.", remedy="Open it with the key it was made with.")


def _owner_record(repository_id: UUID, owner: UUID, now: datetime, generation: int) -> dict[str, Any]:
    return {
        "format": "holdfast-owner",
        "repository": str(repository_id),
        "owner": str(owner),
        "since": now.isoformat(),
        "generation": generation,
    }


def _first_owner(blobs: Blobs, clock: Clock, keys: Keys, config: dict[str, Any]) -> None:
    created = datetime.fromisoformat(config["created"])
    record = _owner_record(keys.repository_id, UUID(config["createdBy"]), created, 1)
    try:
        put_once(blobs, clock, layout.OWNER, keys.signed(record))
    except AlreadyThere:
        return  # taken over since: that record counts


def _take_over(vault: Vault) -> None:
    """Conditional: of two appliances taking over at once, one gets AlreadyThere."""
    before = vault.patiently(lambda: vault.blobs.head(layout.OWNER))
    owner = read_owner(vault.blobs, vault.clock)
    if before is None:
        raise Damaged("The owner record vanished.", remedy="Try again.")
    record = _owner_record(vault.id, vault.owner, vault.clock.now(), int(owner["generation"]) + 1)
    vault.replace(layout.OWNER, vault.keys.signed(record), before.version)
