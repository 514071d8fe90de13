"""How a repository is made, opened and owned: config, key slots, owner record (FORMAT.md §4–§6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from server.domain.errors import AlreadyThere, Damaged, ForeignFormat, NotFound, NotOwner, WrongPassword
from server.domain.repository import StorageClass
from server.ports import BLOCK_SIZE, Blobs, Clock
from server.repository import layout
from server.repository.crypto import (
    FORMAT_VERSION,
    READABLE_VERSIONS,
    Kdf,
    Keys,
    KmsKey,
    Secret,
    canonical,
    make_slot,
    open_slot,
    opens,
)
from server.repository.runtime import Runtime
from server.repository.vault import Vault, put_once, read_owner, read_plain


@dataclass(frozen=True, slots=True)
class Header:
    """What a repository says of itself to anyone who can read the folder: not authenticated without its secret.

    ``password``: some password opens it; ``kms_keys``: so do these KMS keys (ARNs).
    """

    id: UUID
    version: int
    created: datetime
    owner: UUID
    owned_since: datetime
    hint: str
    storage_class: StorageClass
    password: bool
    kms_keys: tuple[str, ...]


def peek(blobs: Blobs, *, clock: Clock) -> Header:
    """Identity, owner and password hint without the secret. Errors: NotFound, ForeignFormat, Damaged, the storage's."""
    config = _read_config(blobs, clock)
    owner = read_owner(blobs, clock)
    slots = list(_slots(blobs, clock))
    return Header(
        id=UUID(config["id"]),
        version=int(config["version"]),
        created=datetime.fromisoformat(config["created"]),
        owner=UUID(owner["owner"]),
        owned_since=datetime.fromisoformat(owner["since"]),
        hint=next(filter(None, (str(slot.get("hint", "")) for slot in slots)), ""),
        storage_class=StorageClass(config.get("storageClass", StorageClass.STANDARD.value)),
        password=any(slot.get("kind") == "password" for slot in slots),
        kms_keys=tuple(str(slot.get("keyArn")) for slot in slots if slot.get("kind") == "kms"),
    )


def create(
    blobs: Blobs,
    secret: Secret,
    clock: Clock,
    owner: UUID,
    runtime: Runtime,
    *,
    hint: str,
    kdf: Kdf | None,
    storage_class: StorageClass,
) -> Vault:
    _refuse_occupied(blobs)
    keys = Keys.new(uuid4())
    now = clock.now()
    slot = make_slot(keys, secret, created=now, hint=hint, kdf=kdf)
    config: dict[str, Any] = {
        "format": "holdfast-repository",
        "version": FORMAT_VERSION,
        "id": str(keys.repository_id),
        "created": now.isoformat(),
        "createdBy": str(owner),
        "blockSize": BLOCK_SIZE,
        "requires": [],
    }
    if storage_class is not StorageClass.STANDARD:
        config["storageClass"] = storage_class.value
    put_once(blobs, clock, layout.key_slot(UUID(slot["id"])), canonical(slot))
    put_once(blobs, clock, layout.CONFIG, keys.signed(config))  # decides which of two creators wins
    _first_owner(blobs, clock, keys, config)
    return Vault(blobs, keys, clock, owner, runtime, storage_class=storage_class)


def unlock(blobs: Blobs, secret: Secret, clock: Clock, owner: UUID | None, runtime: Runtime) -> Vault:
    """Its keys out of the first slot that ``secret`` opens, its config verified with them. Writes nothing."""
    config = _read_config(blobs, clock)
    keys = _keys(blobs, clock, secret, UUID(config["id"]))
    keys.verify(layout.CONFIG, config)
    storage_class = StorageClass(config.get("storageClass", StorageClass.STANDARD.value))
    return Vault(blobs, keys, clock, owner, runtime, storage_class=storage_class)


def own(vault: Vault, *, take_over: bool) -> None:
    """NotOwner when the repository is another's and is not to be taken over."""
    if vault.patiently(lambda: vault.blobs.head(layout.OWNER)) is None:
        _first_owner(vault.blobs, vault.clock, vault.keys, _read_config(vault.blobs, vault.clock))  # its creator died
    try:
        vault.check_owner()
    except NotOwner:
        if not take_over:
            raise
        _take_over(vault)


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
    if config.get("version") not in READABLE_VERSIONS or unknown or not _known_class(config):
        what = f"format version {config.get('version')}" if not unknown else f"features this program lacks ({unknown})"
        raise ForeignFormat(
            f"The repository at {blobs.url} has {what}; this program reads versions up to {FORMAT_VERSION}.",
            remedy="Use a newer Holdfast for this repository.",
        )
    return config


def _known_class(config: dict[str, Any]) -> bool:
    return config.get("storageClass", StorageClass.STANDARD.value) in {known.value for known in StorageClass}


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


def _keys(blobs: Blobs, clock: Clock, secret: Secret, repository_id: UUID) -> Keys:
    wrong: WrongPassword | None = None
    others: set[str] = set()
    for slot in _slots(blobs, clock):
        if slot.get("repository") != str(repository_id):
            continue
        if not opens(slot, secret):
            others.add(str(slot.get("keyArn", slot.get("kind"))))
            continue
        try:
            return open_slot(slot, secret)
        except WrongPassword as refused:
            wrong = refused
    raise wrong or _other_secret(secret, others)


def _other_secret(secret: Secret, others: set[str]) -> WrongPassword:
    known = " or ".join(f"a {other}" if other == "password" else other for other in sorted(others)) or "nothing we know"
    if isinstance(secret, KmsKey):
        return WrongPassword(
            f"The repository does not open with the KMS key {secret.arn}, but with {known}.",
            remedy="Name the key by the ARN it was given then, or enter the password.",
        )
    return WrongPassword(f"The repository opens with no password, but with {known}.", remedy="Use that KMS key.")


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
    record = _owner_record(vault.id, vault.writer, vault.clock.now(), int(owner["generation"]) + 1)
    vault.replace(layout.OWNER, vault.keys.signed(record), before.version)
