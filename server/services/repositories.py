"""Repositories as people keep them: created or imported, changed, forgotten."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import AlreadyThere, Conflict, InvalidInput
from server.domain.repository import Encryption, Repository, RepositoryState, StorageKind
from server.domain.session import Session
from server.ports import Select, Tx, Where
from server.services import accounts, replies, repository_folders, repository_rescans, storage_templates
from server.services import repository_forms as forms
from server.services.context import Services
from server.services.repository_folders import Folder, url
from server.services.repository_forms import NewRepository, RepositoryChange
from server.services.wording import count


@dataclass(frozen=True, slots=True)
class Added:
    """``session``: the import of the points that were there; None for a new repository, and for a dry run."""

    repository: Repository
    session: Session | None = None


# ---- adding -----------------------------------------------------------------------------------------------------------


def inspect(app: Services, caller: Caller, draft: NewRepository, *, local_root: Path) -> Folder:
    """Look into the folder a repository may be added from; nothing is written. Errors: Forbidden, InvalidInput, Unavailable."""
    caller.require(Role.ADMINISTRATOR)
    forms.refuse(forms.check_place(draft))
    candidate = _candidate(app, draft, local_root)
    with app.store.transaction() as tx:
        _check_account(app, tx, candidate)
        twin = _twin(tx, candidate)
    folder, _ = repository_folders.look(app, candidate)
    return replace(folder, added_as=twin.id if twin else None)


def add(
    app: Services,
    caller: Caller,
    draft: NewRepository,
    *,
    local_root: Path,
    dry_run: bool = False,
    key: str | None = None,
) -> Added:
    """Create a repository in an empty folder, or import the one that is there. A dry run reads, and writes nothing.

    Errors: Forbidden, InvalidInput (``fields`` says which input the storage disliked), Conflict (name or folder taken; another
    appliance owns it), StorageFull, Unavailable.
    """
    caller.require(Role.ADMINISTRATOR)
    forms.check_form(draft)
    candidate = _candidate(app, draft, local_root)
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "addRepository", key)
        if known is not None:
            return Added(tx.repositories.get(known))
        _refuse_twins(tx, candidate)
        _check_account(app, tx, candidate)
    made, imported = _reached(app, candidate, draft, create=not dry_run)
    if dry_run:
        return Added(made)
    now = app.clock.now()
    with app.store.transaction() as tx:
        _refuse_twins(tx, made)
        tx.repositories.add(made)
        message = f"{caller.name} {'imported' if imported else 'added'} the repository {made.name} at {url(made)}."
        tx.activity.append(at=now, kind="repository", subject_id=made.id, change="created", message=message)
        replies.keep(tx, caller, "addRepository", key, made.id, at=now)
        session = None
        if imported:
            session = repository_rescans.begin_rescan(tx, app, made, requested_by=caller.name, key=None)
    return Added(made, session)


def _reached(app: Services, candidate: Repository, draft: NewRepository, *, create: bool) -> tuple[Repository, bool]:
    """The repository as it will be kept, and whether it was there before."""
    folder, header = repository_folders.look(app, candidate)
    if folder.problems:
        first = folder.problems[0]
        raise InvalidInput(first.message, remedy=first.remedy, fields={"location": first.message})
    candidate = replace(candidate, immutable=folder.immutable)
    if header is None:
        if not create:
            return candidate, False
        try:
            return replace(candidate, format_id=repository_folders.create(app, candidate).id), False
        except AlreadyThere:  # by a repeated request, or half of an earlier one
            folder, header = repository_folders.look(app, candidate)
    if not draft.take_over:
        repository_folders.refuse_foreign(folder)
    found = replace(candidate, storage_class=folder.storage_class or candidate.storage_class, hint=folder.hint)
    if not create:
        repository_folders.try_secret(app, found)
        return found, True
    return replace(found, format_id=repository_folders.enter(app, found, take_over=draft.take_over).id), True


def _candidate(app: Services, draft: NewRepository, local_root: Path) -> Repository:
    local = draft.kind is StorageKind.LOCAL
    return Repository(
        id=app.new_id(),
        name=draft.name.strip(),
        description=draft.description.strip(),
        kind=draft.kind,
        account_id=draft.account_id if draft.kms_key or not local else None,
        region=None if local else draft.region,
        location=str(_local_folder(draft.location.strip(), local_root)) if local else draft.location,
        prefix=draft.prefix.strip("/"),
        password=draft.password,
        encryption=Encryption.KMS if draft.kms_key else Encryption.PASSWORD,
        kms_key=draft.kms_key or None,
        hint=draft.hint.strip(),
        storage_class=draft.storage_class,
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


def _check_account(app: Services, tx: Tx, candidate: Repository) -> None:
    if candidate.account_id is None:
        return
    found = tx.accounts.many([candidate.account_id])
    if not found:
        raise InvalidInput("There is no such account.", fields={"accountId": "Unknown."})
    if candidate.region is not None:
        accounts.check_regions(app, found[candidate.account_id], (candidate.region,), "region")


def _twin(tx: Tx, candidate: Repository) -> Repository | None:
    return tx.repositories.find(kind=candidate.kind, location=candidate.location, prefix=candidate.prefix)


def _refuse_twins(tx: Tx, candidate: Repository) -> None:
    if tx.repositories.find(name=candidate.name) is not None:
        raise Conflict(f"There is a repository named {candidate.name} already.", fields={"name": "Taken."})
    twin = _twin(tx, candidate)
    if twin is not None:
        raise Conflict(f"{url(candidate)} is the repository {twin.name} already.", fields={"location": "Added already."})


# ---- changing ---------------------------------------------------------------------------------------------------------


def update(
    app: Services,
    caller: Caller,
    id: UUID,
    change: RepositoryChange,
    *,
    dry_run: bool = False,
    key: str | None = None,
) -> Repository:
    """Change what a person decides about a repository. Its place, class and locks stay as they are.

    Errors: Forbidden, NotFound, InvalidInput, Conflict (name taken), NotOwner, and those of the storage and of KMS.
    """
    caller.require(Role.ADMINISTRATOR)
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "updateRepository", key) is not None:
            return tx.repositories.get(id)
        current = tx.repositories.get(id)
    changed = _changed(current, change)
    _check_change(current, changed, change)
    if dry_run:
        return changed
    locked = _apply(app, current, changed, change)
    now = app.clock.now()
    with app.store.transaction() as tx:
        latest = tx.repositories.get(id, lock=True)
        twin = tx.repositories.find(name=changed.name)
        if twin is not None and twin.id != id:
            raise Conflict(f"There is a repository named {changed.name} already.", fields={"name": "Taken."})
        saved = _merged(latest, changed, reached=locked is not None)
        tx.repositories.save(saved)
        _tell(tx, caller, saved, locked or [], now)
        replies.keep(tx, caller, "updateRepository", key, id, at=now)
    return saved


def _changed(current: Repository, change: RepositoryChange) -> Repository:
    """As it is to be. InvalidInput when both a password and a key are given."""
    if change.password and change.kms_key:
        forms.refuse({"kmsKey": "A repository opens with a password or with a key, not with both."})
    changed = replace(
        current,
        name=current.name if change.name is None else change.name.strip(),
        description=current.description if change.description is None else change.description.strip(),
        hint=current.hint if change.hint is None else change.hint.strip(),
    )
    if change.password is not None:
        return replace(changed, password=change.password, encryption=Encryption.PASSWORD, kms_key=None)
    if change.kms_key is not None:
        return replace(changed, password="", encryption=Encryption.KMS, kms_key=change.kms_key)
    return changed


def _check_change(current: Repository, changed: Repository, change: RepositoryChange) -> None:
    fields = forms.check_words(changed.name, changed.description, changed.hint)
    if change.password is not None or change.kms_key is not None:
        fields.update(forms.check_secret(changed.password, changed.kms_key))
    if changed.encryption is Encryption.KMS and current.account_id is None:
        fields["kmsKey"] = "This repository belongs to no account whose key it could open with: use a password."
    forms.refuse(fields)


def _apply(app: Services, current: Repository, changed: Repository, change: RepositoryChange) -> list[str] | None:
    """Carry the change out in the repository. Returns the key slots of the old secret that a lock keeps; None when there is
    nothing to carry out, so that the repository was not looked at.

    When it opens with the new secret already (changed elsewhere, or an earlier request that died), nothing is written.
    """
    rekeyed = (changed.password, changed.kms_key) != (current.password, current.kms_key)
    if not rekeyed and changed.hint == current.hint and not change.take_over:
        return None
    try:
        opened = repository_folders.enter(app, current, take_over=change.take_over)
    except InvalidInput:
        if not rekeyed:
            raise
        repository_folders.enter(app, changed, take_over=change.take_over)
        return []
    if not rekeyed and changed.hint == current.hint:
        return []
    key = repository_folders.secret(app, changed)
    return repository_folders.explained(changed, lambda: opened.change_secret(key, hint=changed.hint))


def _merged(latest: Repository, changed: Repository, *, reached: bool) -> Repository:
    """Upkeep may have counted on meanwhile: only what people decide is taken over. ``reached``: it was opened just now."""
    return replace(
        latest,
        name=changed.name,
        description=changed.description,
        hint=changed.hint,
        password=changed.password,
        encryption=changed.encryption,
        kms_key=changed.kms_key,
        state=RepositoryState.AVAILABLE if reached else latest.state,
        problem=None if reached else latest.problem,
        revision=latest.revision + 1,
    )


def _tell(tx: Tx, caller: Caller, saved: Repository, locked: list[str], now: datetime) -> None:
    message = f"{caller.name} changed the repository {saved.name}."
    if locked:
        message += f" {count(len(locked), 'old key slot')} cannot be deleted before the lock ends."
    tx.activity.append(at=now, kind="repository", subject_id=saved.id, change="changed", message=message)


# ---- removing ---------------------------------------------------------------------------------------------------------


def remove(app: Services, caller: Caller, id: UUID, *, dry_run: bool = False, key: str | None = None) -> UUID:
    """Forget a repository and its points; the files stay and can be added again.

    Errors: Forbidden, NotFound, Conflict while a policy or a storage template uses it.
    """
    caller.require(Role.ADMINISTRATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "removeRepository", key) is not None:
            return id
        current = tx.repositories.get(id, lock=True)
        _refuse_used(tx, current)
        if dry_run:
            return id
        tx.repositories.remove(id)
        message = f"{caller.name} removed the repository {current.name}; its files stay at {url(current)}."
        tx.activity.append(at=now, kind="repository", subject_id=id, change="removed", message=message)
        replies.keep(tx, caller, "removeRepository", key, id, at=now)
    return id


def _refuse_used(tx: Tx, repository: Repository) -> None:
    for field, does in (("repository_id", "backs up into"), ("archive_repository_id", "archives into")):
        users = tx.policies.page(Select(where=(Where(field, "eq", repository.id),), limit=1))
        if users:
            raise Conflict(
                f"The policy {users[0].name} {does} {repository.name}.",
                remedy="Give the policy another repository, or delete it, first.",
            )
    template = storage_templates.naming(tx, repository.id)
    if template is not None:
        raise Conflict(
            f"The storage template {template.name} names {repository.name}.",
            remedy="Give the template another repository, or delete it, first.",
        )
