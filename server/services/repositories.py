"""Repositories as people keep them: created or opened, checked, forgotten."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import (
    AlreadyThere,
    AwsAccessDenied,
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
from server.domain.policy import DESCRIPTION_MAX, NAME_MAX
from server.domain.repository import Repository, StorageKind
from server.ports import Blobs, Select, Tx, Where
from server.repository.repository import Repository as Engine
from server.services import accounts, replies
from server.services.context import Services

PASSWORD_MIN = 8
PASSWORD_MAX = 1024
PREFIX_MAX = 512
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(r"[\w!.*'()/=+@-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRepository:
    """``location`` is a bucket, or for LOCAL a folder: absolute, or relative to the folder local repositories lie in."""

    name: str
    description: str
    kind: StorageKind
    account_id: UUID | None
    region: str | None
    location: str
    prefix: str
    password: str = field(repr=False)


def url(repository: Repository) -> str:
    """For people: ``s3://bucket/folder`` or ``file:///path``."""
    if repository.kind is StorageKind.LOCAL:
        return Path(repository.location, repository.prefix).as_uri()
    return "s3://" + "/".join(part for part in (repository.location, repository.prefix) if part)


def add(
    app: Services,
    caller: Caller,
    draft: NewRepository,
    *,
    local_root: Path,
    dry_run: bool = False,
    key: str | None = None,
) -> Repository:
    """Create a repository in an empty folder, or open the one that is there. A dry run reads, and creates nothing.

    Errors: Forbidden, InvalidInput (``fields`` says which input the storage disliked), Conflict, NotOwner, StorageFull,
    Unavailable.
    """
    caller.require(Role.ADMINISTRATOR)
    _check_form(draft)
    candidate = _candidate(app, draft, local_root)
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "addRepository", key)
        if known is not None:
            return tx.repositories.get(known)
        _refuse_twins(tx, candidate)
        if candidate.account_id is not None:
            found = tx.accounts.many([candidate.account_id])
            if not found:
                raise InvalidInput("There is no such account.", fields={"accountId": "Unknown."})
            assert candidate.region is not None, "checked with the form"
            accounts.check_regions(app, found[candidate.account_id], (candidate.region,), "region")
    opened = _reach(app, candidate, create=not dry_run)
    if dry_run:
        return candidate
    assert opened is not None, "created or opened"
    made = replace(candidate, format_id=opened.id)
    now = app.clock.now()
    with app.store.transaction() as tx:
        _refuse_twins(tx, made)
        tx.repositories.add(made)
        message = f"{caller.name} added the repository {made.name} at {url(made)}."
        tx.activity.append(at=now, kind="repository", subject_id=made.id, change="created", message=message)
        replies.keep(tx, caller, "addRepository", key, made.id, at=now)
    return made


def _check_form(draft: NewRepository) -> None:
    fields = {}
    if not 1 <= len(draft.name.strip()) <= NAME_MAX:
        fields["name"] = f"A name has 1 to {NAME_MAX} characters."
    if len(draft.description) > DESCRIPTION_MAX:
        fields["description"] = f"A description has at most {DESCRIPTION_MAX} characters."
    if not PASSWORD_MIN <= len(draft.password) <= PASSWORD_MAX:
        fields["password"] = f"A repository's password has {PASSWORD_MIN} to {PASSWORD_MAX} characters."
    fields.update(_check_place(draft))
    if fields:
        raise InvalidInput(next(iter(fields.values())), fields=fields)


def _check_place(draft: NewRepository) -> dict[str, str]:
    fields = {}
    prefix = draft.prefix.strip("/")
    if prefix and (len(prefix) > PREFIX_MAX or not PREFIX.fullmatch(prefix) or ".." in prefix.split("/")):
        fields["prefix"] = f"A folder is at most {PREFIX_MAX} letters, digits and !-_.*'()/=+@, without '..'."
    if draft.kind is StorageKind.LOCAL:
        if not draft.location.strip():
            fields["location"] = "Name the folder."
        return fields
    if not BUCKET.fullmatch(draft.location) or ".." in draft.location:
        fields["location"] = "A bucket's name has 3 to 63 small letters, digits, dots and hyphens."
    if draft.account_id is None:
        fields["accountId"] = "Choose the account whose bucket this is."
    if not draft.region:
        fields["region"] = "Choose the bucket's Region."
    return fields


def _candidate(app: Services, draft: NewRepository, local_root: Path) -> Repository:
    local = draft.kind is StorageKind.LOCAL
    return Repository(
        id=app.new_id(),
        name=draft.name.strip(),
        description=draft.description.strip(),
        kind=draft.kind,
        account_id=None if local else draft.account_id,
        region=None if local else draft.region,
        location=str(_local_folder(draft.location.strip(), local_root)) if local else draft.location,
        prefix=draft.prefix.strip("/"),
        password=draft.password,
        created_at=app.clock.now(),
    )


def _local_folder(location: str, root: Path) -> Path:
    """The real folder, symbolic links followed. InvalidInput unless it lies beneath ``root``."""
    real_root = root.resolve()
    folder = (real_root / location).resolve()
    if folder == real_root or not folder.is_relative_to(real_root):
        raise InvalidInput(
            f"{location} is not a folder beneath {real_root}.",
            remedy=f"Choose a folder beneath {real_root}, or change HOLDFAST_LOCAL_REPOSITORY_ROOT.",
            fields={"location": f"Must lie beneath {real_root}."},
        )
    return folder


def _refuse_twins(tx: Tx, candidate: Repository) -> None:
    if tx.repositories.find(name=candidate.name) is not None:
        raise Conflict(f"There is a repository named {candidate.name} already.", fields={"name": "Taken."})
    twin = tx.repositories.find(kind=candidate.kind, location=candidate.location, prefix=candidate.prefix)
    if twin is not None:
        raise Conflict(f"{url(candidate)} is the repository {twin.name} already.", fields={"location": "Added already."})


def _reach(app: Services, candidate: Repository, *, create: bool) -> Engine | None:
    """Create a repository, or open the one that is there. None when nothing is there and nothing may be created."""
    try:
        blobs = app.open_blobs(candidate)
        return _made(app, blobs, candidate) if create else _seen(app, blobs, candidate)
    except HoldfastError as refusal:
        raise _explained(refusal, candidate) from refusal


def _made(app: Services, blobs: Blobs, candidate: Repository) -> Engine:
    owner = app.owner_id()
    try:
        return Engine.create(blobs, candidate.password, clock=app.clock, owner=owner)
    except AlreadyThere:
        return Engine.open(blobs, candidate.password, clock=app.clock, owner=owner)


def _seen(app: Services, blobs: Blobs, candidate: Repository) -> Engine | None:
    try:
        return Engine.open(blobs, candidate.password, clock=app.clock, owner=app.owner_id())
    except NotFound:
        return None  # the folder was listed, and is empty


def _explained(refusal: HoldfastError, candidate: Repository) -> HoldfastError:
    """The same refusal, tied to the input that caused it."""
    place = url(candidate)
    path, said = "location", refusal.message
    if isinstance(refusal, WrongPassword):
        path, said = "password", f"There is a repository at {place}, and this is not its password."
    elif isinstance(refusal, AwsRejected):
        path = "region"  # S3 refuses what it was asked in the wrong Region
    elif not isinstance(refusal, ForeignFormat | Damaged | AwsNotFound | AwsAccessDenied):
        return refusal  # what the input did not cause: owned by another appliance, disk full, storage down
    return InvalidInput(said, remedy=refusal.remedy or _remedy(path), fields={path: said})


def _remedy(path: str) -> str:
    if path == "password":
        return "Enter the password the repository was created with, or choose another folder."
    return "Check the bucket's name, Region and policy, or choose another folder."


def remove(app: Services, caller: Caller, id: UUID, *, dry_run: bool = False, key: str | None = None) -> UUID:
    """Forget a repository and its points; the files stay and can be added again.

    Errors: Forbidden, NotFound, Conflict while a policy uses it.
    """
    caller.require(Role.ADMINISTRATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "removeRepository", key) is not None:
            return id
        current = tx.repositories.get(id, lock=True)
        users = tx.policies.page(Select(where=(Where("repository_id", "eq", id),), limit=1))
        if users:
            raise Conflict(
                f"The policy {users[0].name} backs up into {current.name}.",
                remedy="Give the policy another repository, or delete it, first.",
            )
        if dry_run:
            return id
        tx.repositories.remove(id)
        message = f"{caller.name} removed the repository {current.name}; its files stay at {url(current)}."
        tx.activity.append(at=now, kind="repository", subject_id=id, change="removed", message=message)
        replies.keep(tx, caller, "removeRepository", key, id, at=now)
    return id
