"""Storage templates as people keep them: into which repositories the backups and archives of SLA policies go.

Both repositories of a policy are encrypted: there is no other kind. Which password or key opens each may differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from server.domain import sla_rules
from server.domain.access import Caller, Role
from server.domain.errors import Conflict, InvalidInput
from server.domain.repository import Repository, StorageClass
from server.domain.templates import Location, StorageTemplate
from server.ports import Select, Tx
from server.services import replies
from server.services.context import Services
from server.services.sla_templates import refuse_new_problems, refuse_used, users_of

FIELD = "storage_template_id"
TEMPLATES_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageTemplateDraft:
    """What a person decides about a template."""

    name: str
    description: str = ""
    backup: Location
    archive: Location | None = None


# ---- changing ---------------------------------------------------------------------------------------------------------


def create(
    app: Services, caller: Caller, draft: StorageTemplateDraft, *, dry_run: bool = False, key: str | None = None
) -> StorageTemplate:
    """Errors: Forbidden, InvalidInput with every problem at once, Conflict when the name is taken."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "createStorageTemplate", key)
        if known is not None:
            return tx.storage_templates.get(known)
        made = _added(app, tx, caller, draft, dry_run=dry_run)
        if not dry_run:
            replies.keep(tx, caller, "createStorageTemplate", key, made.id, at=made.created_at)
    return made


def clone(
    app: Services, caller: Caller, id: UUID, name: str, *, dry_run: bool = False, key: str | None = None
) -> StorageTemplate:
    """A copy under another name. Errors: Forbidden, NotFound, InvalidInput, Conflict."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "cloneStorageTemplate", key)
        if known is not None:
            return tx.storage_templates.get(known)
        source = tx.storage_templates.get(id)
        draft = StorageTemplateDraft(name=name, description=source.description, backup=source.backup, archive=source.archive)
        made = _added(app, tx, caller, draft, dry_run=dry_run)
        if not dry_run:
            replies.keep(tx, caller, "cloneStorageTemplate", key, made.id, at=made.created_at)
    return made


def _added(app: Services, tx: Tx, caller: Caller, draft: StorageTemplateDraft, *, dry_run: bool) -> StorageTemplate:
    now = app.clock.now()
    made = StorageTemplate(
        id=app.new_id(),
        name=draft.name.strip(),
        description=draft.description.strip(),
        backup=draft.backup,
        archive=draft.archive,
        created_at=now,
        updated_at=now,
    )
    _check(tx, made)
    if not dry_run:
        tx.storage_templates.add(made)
        _tell(tx, made, "created", f"{caller.name} created the storage template {made.name}.", now)
    return made


def update(
    app: Services,
    caller: Caller,
    id: UUID,
    revision: int,
    draft: StorageTemplateDraft,
    *,
    dry_run: bool = False,
    key: str | None = None,
) -> StorageTemplate:
    """Replace all a person decides. Backups go on in the new repositories with a new chain; the old chain ages where it is.

    Errors: Forbidden, NotFound, InvalidInput, Conflict (``revision`` is not the newest; the name is taken; a policy that
    uses it archives, and it would name no place for that).
    """
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "updateStorageTemplate", key) is not None:
            return tx.storage_templates.get(id)
        current = tx.storage_templates.get(id, lock=True)
        if current.revision != revision:
            raise Conflict(
                f"{current.name} was changed meanwhile: it is at revision {current.revision}, not {revision}.",
                remedy="Read it again and repeat the change.",
                fields={"revision": f"{current.revision} now."},
            )
        changed = replace(
            current,
            name=draft.name.strip(),
            description=draft.description.strip(),
            backup=draft.backup,
            archive=draft.archive,
            updated_at=now,
            revision=revision + 1,
        )
        _check(tx, changed)
        _refuse_gaps(tx, current, changed)
        if dry_run:
            return changed
        tx.storage_templates.save(changed)
        _tell(tx, changed, "changed", f"{caller.name} changed the storage template {changed.name}.", now)
        replies.keep(tx, caller, "updateStorageTemplate", key, id, at=now)
    return changed


def delete(app: Services, caller: Caller, id: UUID, *, dry_run: bool = False, key: str | None = None) -> UUID:
    """Errors: Forbidden, NotFound, Conflict while a policy uses it."""
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "deleteStorageTemplate", key) is not None:
            return id
        current = tx.storage_templates.get(id, lock=True)
        refuse_used(current.name, users_of(tx, [id], FIELD)[id])
        if dry_run:
            return id
        tx.storage_templates.remove(id)
        _tell(tx, current, "removed", f"{caller.name} deleted the storage template {current.name}.", now)
        replies.keep(tx, caller, "deleteStorageTemplate", key, id, at=now)
    return id


def _tell(tx: Tx, template: StorageTemplate, change: str, message: str, at: datetime) -> None:
    tx.activity.append(at=at, kind="storage_template", subject_id=template.id, change=change, message=message)


# ---- checking ---------------------------------------------------------------------------------------------------------


def _check(tx: Tx, template: StorageTemplate) -> None:
    """InvalidInput with every problem at once; Conflict when the name is taken. The repositories named are held until the
    transaction ends, so that none is removed meanwhile."""
    fields = sla_rules.storage_problems(template)
    ids = template.backup.all() | (template.archive.all() if template.archive else frozenset())
    there = tx.repositories.many(ids)
    for path, sentence in _misplaced(template, there):
        fields.setdefault(path, sentence)
    if fields:
        raise InvalidInput(f"The template cannot be saved: {next(iter(fields.values()))}", fields=fields)
    for id in sorted(ids):
        tx.repositories.get(id, lock=True)
    twin = tx.storage_templates.find(name=template.name)
    if twin is not None and twin.id != template.id:
        raise Conflict(f"There is a storage template named {template.name} already.", fields={"name": "Taken."})


def _misplaced(template: StorageTemplate, there: dict[UUID, Repository]) -> Iterator[tuple[str, str]]:
    for path, location in (("backup", template.backup), ("archive", template.archive)):
        if location is None:
            continue
        named = [(f"{path}.default", location.default_id)]
        named += [(f"{path}.regions", id) for id in location.by_region.values()]
        for where, id in named:
            repository = there.get(id)
            if repository is None:
                yield where, "There is no such repository."
            elif path == "backup" and repository.storage_class is not StorageClass.STANDARD:
                yield where, f"{repository.name} is an archive: back up into another one, and archive from there."
            elif path == "archive" and repository.storage_class is StorageClass.STANDARD:
                yield where, f"{repository.name} is no archive: choose one of a Glacier class."


def _refuse_gaps(tx: Tx, current: StorageTemplate, changed: StorageTemplate) -> None:
    users = users_of(tx, [changed.id], FIELD)[changed.id]
    followed = tx.sla_templates.many(one.sla_template_id for one in users if one.sla_template_id is not None)
    for policy in users:
        terms = followed[policy.sla_template_id].terms if policy.sla_template_id is not None else None
        refuse_new_problems(policy, changed.name, (terms, current), (terms, changed))


def naming(tx: Tx, repository_id: UUID) -> StorageTemplate | None:
    """A template that names the repository; None when none does."""
    for template in tx.storage_templates.page(Select(limit=TEMPLATES_MAX)):
        if repository_id in template.backup.all() or (template.archive and repository_id in template.archive.all()):
            return template
    return None
