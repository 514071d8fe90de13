"""SLA templates as people keep them. Every set of terms a template has had is kept, so that history can be judged by it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from server.domain import keeping, policy_rules, sla_rules
from server.domain.access import Caller, Role
from server.domain.errors import Conflict, InvalidInput
from server.domain.policy import Policy
from server.domain.sla import SlaTerms
from server.domain.templates import SlaTemplate, SlaTemplateVersion, StorageTemplate
from server.ports import Order, Select, Tx, Where
from server.services import replies
from server.services.context import Services
from server.services.wording import count

POLICIES_MAX = 1000
VERSIONS_MAX = 10_000  # of all templates of one list together


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaTemplateDraft:
    """What a person decides about a template."""

    name: str
    description: str = ""
    terms: SlaTerms


# ---- changing ---------------------------------------------------------------------------------------------------------


def create(
    app: Services, caller: Caller, draft: SlaTemplateDraft, *, dry_run: bool = False, key: str | None = None
) -> SlaTemplate:
    """Errors: Forbidden, InvalidInput with every problem at once, Conflict when the name is taken."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "createSlaTemplate", key)
        if known is not None:
            return tx.sla_templates.get(known)
        made = _added(app, tx, caller, draft, dry_run=dry_run)
        if not dry_run:
            replies.keep(tx, caller, "createSlaTemplate", key, made.id, at=made.created_at)
    return made


def clone(app: Services, caller: Caller, id: UUID, name: str, *, dry_run: bool = False, key: str | None = None) -> SlaTemplate:
    """A copy of its present terms under another name. Errors: Forbidden, NotFound, InvalidInput, Conflict."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "cloneSlaTemplate", key)
        if known is not None:
            return tx.sla_templates.get(known)
        source = tx.sla_templates.get(id)
        draft = SlaTemplateDraft(name=name, description=source.description, terms=source.terms)
        made = _added(app, tx, caller, draft, dry_run=dry_run)
        if not dry_run:
            replies.keep(tx, caller, "cloneSlaTemplate", key, made.id, at=made.created_at)
    return made


def _added(app: Services, tx: Tx, caller: Caller, draft: SlaTemplateDraft, *, dry_run: bool) -> SlaTemplate:
    now = app.clock.now()
    made = SlaTemplate(
        id=app.new_id(),
        name=draft.name.strip(),
        description=draft.description.strip(),
        terms=draft.terms,
        created_at=now,
        updated_at=now,
    )
    _check(tx, made)
    if not dry_run:
        tx.sla_templates.add(made)
        _keep_version(app, tx, made)
        _tell(tx, made, "created", f"{caller.name} created the SLA template {made.name}.", now)
    return made


def update(
    app: Services,
    caller: Caller,
    id: UUID,
    revision: int,
    draft: SlaTemplateDraft,
    *,
    dry_run: bool = False,
    key: str | None = None,
) -> SlaTemplate:
    """Replace all a person decides; other terms are a new version. The policies that follow it are planned anew.

    Errors: Forbidden, NotFound, InvalidInput, Conflict (``revision`` is not the newest; the name is taken; a policy that
    follows it has no place for what it would promise).
    """
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "updateSlaTemplate", key) is not None:
            return tx.sla_templates.get(id)
        current = tx.sla_templates.get(id, lock=True)
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
            terms=draft.terms,
            version=current.version + (draft.terms != current.terms),
            updated_at=now,
            revision=revision + 1,
        )
        _check(tx, changed)
        users = users_of(tx, [id])[id]
        _refuse_gaps(tx, current, changed, users)
        if dry_run:
            return changed
        tx.sla_templates.save(changed)
        if changed.version != current.version:
            _keep_version(app, tx, changed)
            _plan_anew(tx, changed, users, now)
        _tell(tx, changed, "changed", f"{caller.name} changed the SLA template {changed.name}.", now)
        replies.keep(tx, caller, "updateSlaTemplate", key, id, at=now)
    return changed


def delete(app: Services, caller: Caller, id: UUID, *, dry_run: bool = False, key: str | None = None) -> UUID:
    """Errors: Forbidden, NotFound, Conflict while a policy follows it."""
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "deleteSlaTemplate", key) is not None:
            return id
        current = tx.sla_templates.get(id, lock=True)
        refuse_used(current.name, users_of(tx, [id])[id])
        if dry_run:
            return id
        tx.sla_templates.remove(id)
        _tell(tx, current, "removed", f"{caller.name} deleted the SLA template {current.name}.", now)
        replies.keep(tx, caller, "deleteSlaTemplate", key, id, at=now)
    return id


def refuse_used(name: str, users: Sequence[Policy]) -> None:
    """Conflict while policies use the template of this name."""
    if users:
        more = f" and {count(len(users) - 1, 'other policy', 'other policies')} use" if len(users) > 1 else " uses"
        raise Conflict(f"The policy {users[0].name}{more} {name}.", remedy="Give them another template, or delete them, first.")


def _check(tx: Tx, template: SlaTemplate) -> None:
    """InvalidInput with every problem at once; Conflict when the name is taken."""
    fields = dict(sla_rules.words(template.name, template.description)) | sla_rules.term_problems(template.terms)
    if fields:
        raise InvalidInput(f"The template cannot be saved: {next(iter(fields.values()))}", fields=fields)
    twin = tx.sla_templates.find(name=template.name)
    if twin is not None and twin.id != template.id:
        raise Conflict(f"There is an SLA template named {template.name} already.", fields={"name": "Taken."})


def _refuse_gaps(tx: Tx, current: SlaTemplate, changed: SlaTemplate, users: Sequence[Policy]) -> None:
    storage = tx.storage_templates.many(one.storage_template_id for one in users if one.storage_template_id is not None)
    for policy in users:
        place = None if policy.storage_template_id is None else storage.get(policy.storage_template_id)
        refuse_new_problems(policy, changed.name, (current.terms, place), (changed.terms, place))


Templates = tuple[SlaTerms | None, StorageTemplate | None]


def refuse_new_problems(policy: Policy, template: str, before: Templates, after: Templates) -> None:
    """Conflict when a policy that was in order with its templates as they were would not be with them as they are to be."""
    known = policy_rules.problems(policy, *before)
    for path, sentence in policy_rules.problems(policy, *after).items():
        if path not in known:
            raise Conflict(f"The policy {policy.name} uses {template}. {sentence}", remedy="Change the policy first.")


def _keep_version(app: Services, tx: Tx, template: SlaTemplate) -> None:
    kept = SlaTemplateVersion(
        id=app.new_id(),
        template_id=template.id,
        version=template.version,
        since=template.updated_at,
        terms=template.terms,
    )
    tx.sla_versions.add(kept)


def _plan_anew(tx: Tx, template: SlaTemplate, users: Sequence[Policy], now: datetime) -> None:
    for id in sorted(one.id for one in users if one.enabled):
        policy = tx.policies.get(id, lock=True)
        run = keeping.next_run(policy, template.terms, now)
        due = policy.next_run_at if policy.next_run_at is not None and policy.next_run_at <= now else None
        at = due or (None if run is None else run.slot.at)
        if at != policy.next_run_at:
            tx.policies.save(replace(policy, next_run_at=at, revision=policy.revision + 1))


def _tell(tx: Tx, template: SlaTemplate, change: str, message: str, at: datetime) -> None:
    tx.activity.append(at=at, kind="sla_template", subject_id=template.id, change=change, message=message)


# ---- reading ----------------------------------------------------------------------------------------------------------


def users_of(tx: Tx, ids: Collection[UUID], field: str = "sla_template_id") -> dict[UUID, list[Policy]]:
    """The policies that use each template, by name."""
    found: defaultdict[UUID, list[Policy]] = defaultdict(list)
    where = (Where(field, "in", list(ids)),)
    for policy in tx.policies.page(Select(where=where, order=(Order("name"),), limit=POLICIES_MAX)):
        found[getattr(policy, field)].append(policy)
    return {id: found[id] for id in ids}


def policies_of(app: Services, caller: Caller, ids: Collection[UUID], field: str) -> dict[UUID, list[Policy]]:
    """``users_of`` for the doors. ``field``: sla_template_id or storage_template_id."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return users_of(tx, ids, field)


def versions_of(app: Services, caller: Caller, ids: Collection[UUID]) -> dict[UUID, list[SlaTemplateVersion]]:
    """All versions of each template, newest first."""
    caller.require(Role.VIEWER)
    found: defaultdict[UUID, list[SlaTemplateVersion]] = defaultdict(list)
    select = Select(
        where=(Where("template_id", "in", list(ids)),), order=(Order("version", descending=True),), limit=VERSIONS_MAX
    )
    with app.store.transaction() as tx:
        for version in tx.sla_versions.page(select):
            found[version.template_id].append(version)
    return {id: found[id] for id in ids}
