"""What stores refuse in the same words."""

from __future__ import annotations

from server.domain.errors import AlreadyThere, Archived, InvalidInput, NotFound
from server.domain.repository import RetrievalMode, StorageClass

MODES = {
    StorageClass.GLACIER: (RetrievalMode.EXPEDITED, RetrievalMode.STANDARD, RetrievalMode.BULK),
    StorageClass.DEEP_ARCHIVE: (RetrievalMode.STANDARD, RetrievalMode.BULK),
}


def absent(url: str, name: str) -> NotFound:
    return NotFound(f"{url} has no object {name}.", fields={"object": name})


def exists(name: str) -> AlreadyThere:
    return AlreadyThere(f"{name} exists already.", remedy="Read it again first.", fields={"object": name})


def changed(name: str) -> AlreadyThere:
    return AlreadyThere(f"{name} has changed or is gone.", remedy="Read it again first.", fields={"object": name})


def no_locks(url: str) -> InvalidInput:
    return InvalidInput(f"{url} cannot lock objects.", remedy="Use an S3 bucket with Object Lock.")


def no_class(url: str, storage_class: StorageClass) -> InvalidInput:
    return InvalidInput(f"{url} has no storage class {storage_class.value}.", remedy="Use an S3 bucket.")


def archived(url: str, name: str) -> Archived:
    return Archived(
        f"{name} in {url} is archived and cannot be read as it is.",
        remedy="Retrieve it first; that takes minutes to two days.",
        fields={"object": name},
    )


def not_archived(url: str, name: str) -> InvalidInput:
    return InvalidInput(f"{name} in {url} is not archived.", remedy="Read it directly.", fields={"object": name})


def check_mode(name: str, storage_class: StorageClass, mode: RetrievalMode) -> None:
    """InvalidInput when objects of this archive class cannot be retrieved so."""
    if mode not in MODES[storage_class]:
        known = " or ".join(known.value for known in MODES[storage_class])
        raise InvalidInput(
            f"{name} is in {storage_class.value}, which has no {mode.value} retrieval.",
            remedy=f"Use {known}.",
            fields={"object": name},
        )
