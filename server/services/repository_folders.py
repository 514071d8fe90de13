"""What lies in a folder: looked at before it is added, then created or opened. Refusals are tied to the input behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from server.domain.errors import (
    AlreadyThere,
    AwsAccessDenied,
    AwsError,
    AwsNotFound,
    AwsRejected,
    Conflict,
    Damaged,
    ForeignFormat,
    HoldfastError,
    InvalidInput,
    NotFound,
    WrongPassword,
)
from server.domain.repository import Encryption, Repository, StorageClass, StorageKind
from server.repository.repository import Header, KmsKey, Password, Secret, peek
from server.repository.repository import Repository as Engine
from server.services.context import Services

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a folder will not do, and what to do about it."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder seen without password or key. What belongs to a repository is None or "" when none is there.

    ``foreign``: another appliance owns it. ``added_as``: the repository of this appliance that it is already.
    """

    url: str
    exists: bool
    version: int | None = None
    storage_class: StorageClass | None = None
    encryption: Encryption | None = None
    kms_key: str | None = None
    hint: str = ""
    owner: UUID | None = None
    owned_since: datetime | None = None
    foreign: bool = False
    added_as: UUID | None = None
    immutable: bool
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def url(repository: Repository) -> str:
    """For people: ``s3://bucket/folder`` or ``file:///path``."""
    if repository.kind is StorageKind.LOCAL:
        return Path(repository.location, repository.prefix).as_uri()
    return "s3://" + "/".join(part for part in (repository.location, repository.prefix) if part)


def secret(app: Services, repository: Repository) -> Secret:
    """What opens it."""
    if repository.encryption is Encryption.KMS:
        assert repository.kms_key is not None  # the database refuses one without the other
        return KmsKey(repository.kms_key, app.open_kms(repository))
    return Password(repository.password)


# ---- looking ----------------------------------------------------------------------------------------------------------


def look(app: Services, candidate: Repository) -> tuple[Folder, Header | None]:
    """What lies there, and whether the storage will do. Errors: InvalidInput tied to its input, Unavailable, StorageFull."""
    blobs = explained(candidate, lambda: app.open_blobs(candidate))
    facts = explained(candidate, blobs.facts)
    seen = Folder(url=url(candidate), exists=False, immutable=facts.versioning == "enabled" and facts.object_lock)
    try:
        header = peek(blobs, clock=app.clock)
    except NotFound:
        return seen, None
    except (ForeignFormat, Damaged) as refusal:
        problem = Problem(refusal.message, refusal.remedy or "Choose another folder.")
        return replace(seen, problems=(*seen.problems, problem)), None
    except HoldfastError as refusal:
        raise tied(refusal, candidate) from refusal
    return _with_header(app, seen, header), header


def _with_header(app: Services, seen: Folder, header: Header) -> Folder:
    return replace(
        seen,
        exists=True,
        version=header.version,
        storage_class=header.storage_class,
        encryption=Encryption.PASSWORD if header.password else Encryption.KMS,
        kms_key=next(iter(header.kms_keys), None),
        hint=header.hint,
        owner=header.owner,
        owned_since=header.owned_since,
        foreign=header.owner != app.owner_id(),
    )


# ---- opening ----------------------------------------------------------------------------------------------------------


def create(app: Services, candidate: Repository) -> Engine:
    """A new repository. Errors: AlreadyThere when somebody was faster, those of ``explained``."""
    blobs = explained(candidate, lambda: app.open_blobs(candidate))
    key, owner = secret(app, candidate), app.owner_id()
    try:
        return Engine.create(
            blobs, key, clock=app.clock, owner=owner, hint=candidate.hint, storage_class=candidate.storage_class
        )
    except AlreadyThere:
        raise
    except HoldfastError as refusal:
        raise tied(refusal, candidate) from refusal


def enter(app: Services, candidate: Repository, *, take_over: bool) -> Engine:
    """Open the repository that is there. Errors: NotOwner unless ``take_over``, those of ``explained``."""
    owner = app.owner_id()

    def opened() -> Engine:
        blobs = app.open_blobs(candidate)
        return Engine.open(blobs, secret(app, candidate), clock=app.clock, owner=owner, take_over=take_over)

    return explained(candidate, opened)


def try_secret(app: Services, candidate: Repository) -> None:
    """Whether its password or key is the right one; nothing is written. Errors: those of ``explained``."""

    def opened() -> Engine:
        return Engine.open(app.open_blobs(candidate), secret(app, candidate), clock=app.clock, owner=None)

    explained(candidate, opened)


def refuse_foreign(folder: Folder) -> None:
    """Conflict, naming the owner, when another appliance writes to it."""
    if not folder.foreign:
        return
    since = f" since {folder.owned_since:%Y-%m-%d %H:%M} UTC" if folder.owned_since else ""
    raise Conflict(
        f"The repository at {folder.url} belongs to the appliance {folder.owner}{since}.",
        remedy="Import it with takeOver to make it this appliance's; backups of the other one fail from then on.",
        fields={"takeOver": "Another appliance owns the repository."},
    )


# ---- refusals ---------------------------------------------------------------------------------------------------------


def explained(candidate: Repository, action: Callable[[], T]) -> T:
    """``action()``, its refusals tied to the input that caused them."""
    try:
        return action()
    except HoldfastError as refusal:
        raise tied(refusal, candidate) from refusal


def tied(refusal: HoldfastError, candidate: Repository) -> HoldfastError:
    """InvalidInput naming the input behind the refusal; the refusal itself when no input caused it."""
    place = url(candidate)
    secret_path = "kmsKey" if candidate.encryption is Encryption.KMS else "password"
    path, said = "location", refusal.message
    if isinstance(refusal, WrongPassword):
        path = secret_path
        said = f"There is a repository at {place}, and this does not open it: {refusal.message}"
    elif isinstance(refusal, AwsError) and refusal.operation.startswith("kms:"):
        path = secret_path
    elif isinstance(refusal, AwsRejected):
        path = "region"  # S3 refuses what it was asked in the wrong Region
    elif not isinstance(refusal, ForeignFormat | Damaged | AwsNotFound | AwsAccessDenied):
        return refusal  # what the input did not cause: owned by another appliance, disk full, storage down
    return InvalidInput(said, remedy=refusal.remedy or _REMEDIES.get(path, _REMEDIES["location"]), fields={path: said})


_REMEDIES = {
    "password": "Enter the password the repository was created with, or choose another folder.",
    "kmsKey": "Name a symmetric customer key of the bucket's Region that the account may use.",
    "location": "Check the bucket's name, Region and policy, or choose another folder.",
}
