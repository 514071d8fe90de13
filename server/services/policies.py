"""Policies as people keep them: create, change, clone, order, switch, delete."""

from __future__ import annotations

import enum
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cache
from uuid import UUID

from server.domain import keeping, sla
from server.domain.access import Caller, Role
from server.domain.errors import Conflict, InvalidInput
from server.domain.guest import Guest
from server.domain.policy import (
    HealthCheck,
    Notifications,
    Policy,
    PolicyKind,
    Retention,
    Retries,
    RunState,
    Tag,
    TemplateUse,
    rank,
)
from server.domain.replicas import ReplicaTarget
from server.domain.schedule import Schedule
from server.domain.scope import Scope
from server.domain.session import Session, State
from server.domain.sla import SlaTerms
from server.ports import Order, Select, Tx, Where
from server.services import claims, memberships, policy_checks, replies, tasks
from server.services.context import Services
from server.services.policy_terms import terms_of
from server.services.protection import coverage, refuse_while_running

POLICIES_MAX = claims.POLICIES_MAX
SESSIONS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDraft:
    """What a person decides about a policy. ``priority`` None: after all others of its kind, or as it is."""

    name: str
    scope: Scope
    description: str = ""
    workload: str = "ec2"
    kind: PolicyKind = PolicyKind.SCHEDULE
    enabled: bool = True
    priority: int | None = None
    schedule: Schedule | None = None
    sla_template_id: UUID | None = None
    storage_template_id: UUID | None = None
    repository_id: UUID | None = None
    archive_repository_id: UUID | None = None
    replicas: tuple[ReplicaTarget, ...] = ()
    guest: Guest = field(default_factory=Guest)
    copy_tags: bool = True
    tags: tuple[Tag, ...] = ()
    retention: Retention = field(default_factory=Retention)
    retries: Retries = field(default_factory=Retries)
    notifications: Notifications | None = None
    verify: bool = False
    health_check: HealthCheck | None = None


class Move(enum.Enum):
    TOP = "top"
    UP = "up"
    DOWN = "down"
    BOTTOM = "bottom"


# ---- creating and changing --------------------------------------------------------------------------------------------


def create(app: Services, caller: Caller, draft: PolicyDraft, *, dry_run: bool = False, key: str | None = None) -> Policy:
    """Errors: Forbidden, InvalidInput, Conflict when the name is taken."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "createPolicy", key)
        if known is not None:
            return tx.policies.get(known)
        made = insert(app, tx, caller, draft, dry_run=dry_run)
        if not dry_run:
            replies.keep(tx, caller, "createPolicy", key, made.id, at=made.created_at)
    return made


def insert(app: Services, tx: Tx, caller: Caller, draft: PolicyDraft, *, dry_run: bool = False) -> Policy:
    """``create`` inside a transaction."""
    caller.require(Role.OPERATOR)
    if tx.policies.count(Select()) >= POLICIES_MAX:  # who looks after a restore point is decided among all of them
        raise Conflict(f"There are {POLICIES_MAX:,} policies, and there can be no more.", remedy="Delete one, or widen one.")
    made = proposed(app, tx, draft)
    policy_checks.check(app, tx, made)
    made = _prepared(tx, made, None)
    if dry_run:
        return made
    tx.policies.add(made)
    _tell(tx, made, "created", f"{caller.name} created the policy {made.name}.", made.created_at)
    _join(tx, made, made.created_at)
    return made


def update(
    app: Services,
    caller: Caller,
    id: UUID,
    edition: int,
    draft: PolicyDraft,
    *,
    dry_run: bool = False,
    key: str | None = None,
) -> Policy:
    """Replace all a person decides. Errors: Forbidden, NotFound, InvalidInput, Conflict when ``edition`` is not the newest."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "updatePolicy", key) is not None:
            return tx.policies.get(id)
        current = tx.policies.get(id, lock=True)
        if current.edition != edition:
            raise Conflict(
                f"{current.name} was changed meanwhile: it is at edition {current.edition}, not {edition}.",
                remedy="Read it again and repeat the change.",
                fields={"edition": f"{current.edition} now."},
            )
        changed = amend(app, tx, caller, current, draft, dry_run=dry_run)
        if not dry_run:
            replies.keep(tx, caller, "updatePolicy", key, id, at=changed.updated_at)
    return changed


def amend(app: Services, tx: Tx, caller: Caller, current: Policy, draft: PolicyDraft, *, dry_run: bool = False) -> Policy:
    """``update`` inside a transaction; ``current`` was read with its lock."""
    caller.require(Role.OPERATOR)
    changed = proposed(app, tx, draft, current)
    if changed.kind is not current.kind:
        text = f"{current.name} stays a policy of the kind {current.kind.name}: create another one."
        raise InvalidInput(text, fields={"kind": text})
    policy_checks.check(app, tx, changed)
    changed = _edited(_prepared(tx, changed, current))
    if dry_run:
        return changed
    tx.policies.save(changed)
    _tell(tx, changed, "changed", f"{caller.name} changed the policy {changed.name}.", changed.updated_at)
    _join(tx, changed, changed.updated_at)
    return changed


def proposed(app: Services, tx: Tx, draft: PolicyDraft, current: Policy | None = None) -> Policy:
    """The policy as it would be, unchecked and unplanned; what previews and estimates look at."""
    now = app.clock.now()
    base = current or Policy(id=app.new_id(), name="", scope=draft.scope, created_at=now, updated_at=now)
    priority = draft.priority
    if priority is None:
        priority = current.priority if current is not None else _last_priority(tx, draft.workload, draft.kind) + 1
    decided = {one.name: getattr(draft, one.name) for one in fields(draft)}
    return replace(base, **{**decided, "priority": priority, "updated_at": now})


def _edited(policy: Policy) -> Policy:
    return replace(policy, edition=policy.edition + 1, revision=policy.revision + 1)


def draft_of(policy: Policy) -> PolicyDraft:
    """What people decided about a policy."""
    return PolicyDraft(**{one.name: getattr(policy, one.name) for one in fields(PolicyDraft)})


def clone(app: Services, caller: Caller, id: UUID, name: str, *, dry_run: bool = False, key: str | None = None) -> Policy:
    """A copy under another name, after all others; disabled, so that nothing runs before somebody has looked at it.

    Errors: Forbidden, NotFound, InvalidInput, Conflict when the name is taken.
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "clonePolicy", key)
        if known is not None:
            return tx.policies.get(known)
        draft = replace(draft_of(tx.policies.get(id)), name=name.strip(), enabled=False, priority=None)
        made = insert(app, tx, caller, draft, dry_run=dry_run)
        if not dry_run:
            replies.keep(tx, caller, "clonePolicy", key, made.id, at=made.created_at)
    return made


# ---- order ------------------------------------------------------------------------------------------------------------


def _last_priority(tx: Tx, workload: str, kind: PolicyKind) -> int:
    where = (Where("workload", "eq", workload), Where("kind", "eq", kind))
    rows = tx.policies.page(Select(where=where, order=(Order("priority", descending=True),), limit=1))
    return rows[0].priority if rows else 0


def move(app: Services, caller: Caller, id: UUID, to: Move, *, dry_run: bool = False) -> Policy:
    """Change who comes first among the policies of this workload and kind; afterwards they are numbered from 1.

    Errors: Forbidden, NotFound.
    """
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        chosen = tx.policies.get(id)
        where = (Where("workload", "eq", chosen.workload), Where("kind", "eq", chosen.kind))
        ids = [one.id for one in sorted(tx.policies.page(Select(where=where, limit=POLICIES_MAX)), key=rank)]
        at = ids.index(id)
        ids.insert(_place(to, ids.index(id), len(ids)), ids.pop(at))
        places = {one: number for number, one in enumerate(ids, start=1)}
        locked = {one: tx.policies.get(one, lock=True) for one in sorted(places)}
        moved = replace(locked[id], priority=places[id])
        if dry_run or ids.index(id) == at:
            return moved
        for one in locked.values():
            if one.priority != places[one.id] or one.id == id:
                tx.policies.save(_edited(replace(one, priority=places[one.id], updated_at=now)))
        message = f"{caller.name} moved the policy {chosen.name} to place {places[id]} of {len(ids)}."
        _tell(tx, chosen, "changed", message, now)
        return tx.policies.get(id)


def _place(to: Move, at: int, count: int) -> int:
    return {Move.TOP: 0, Move.UP: max(0, at - 1), Move.DOWN: min(count - 1, at + 1), Move.BOTTOM: count - 1}[to]


# ---- members ----------------------------------------------------------------------------------------------------------


def add_resources(
    app: Services,
    caller: Caller,
    id: UUID,
    resource_ids: Sequence[UUID],
    *,
    dry_run: bool = False,
    key: str | None = None,
) -> Policy:
    """Let the policy cover these resources, too: named, and no longer excluded by name.

    Errors: Forbidden, NotFound, InvalidInput for those it cannot reach, or that it excludes by a tag.
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "addToPolicy", key) is not None:
            return tx.policies.get(id)
        current = tx.policies.get(id, lock=True)
        scope = claims.widened(current, claims.known(tx, resource_ids))
        changed = amend(app, tx, caller, current, replace(draft_of(current), scope=scope), dry_run=dry_run)
        if not dry_run:
            replies.keep(tx, caller, "addToPolicy", key, id, at=changed.updated_at)
    return changed


# ---- switching, stopping, deleting ------------------------------------------------------------------------------------


def set_enabled(app: Services, caller: Caller, id: UUID, *, enabled: bool, dry_run: bool = False) -> Policy:
    """Let the policy start by itself, or not. Repeating it changes nothing. Errors: Forbidden, NotFound."""
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        current = tx.policies.get(id, lock=True)
        if current.enabled == enabled:
            return current
        changed = _edited(_prepared(tx, replace(current, enabled=enabled, updated_at=now), current))
        if dry_run:
            return changed
        tx.policies.save(changed)
        message = f"{caller.name} {'enabled' if enabled else 'disabled'} the policy {changed.name}."
        _tell(tx, changed, "changed", message, now)
        _join(tx, changed, now)
    return changed


def stop(app: Services, caller: Caller, id: UUID, *, dry_run: bool = False) -> list[Session]:
    """Cancel the policy's running sessions; they are returned. Errors: Forbidden, NotFound."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        policy = tx.policies.get(id)
        where = (Where("policy_id", "eq", policy.id), Where("state", "in", [State.PENDING, State.RUNNING]))
        running = tx.sessions.page(Select(where=where, order=(Order("created_at"),), limit=SESSIONS_MAX))
    return running if dry_run else [tasks.request_cancel(app, caller, one.id) for one in running]


def delete(app: Services, caller: Caller, id: UUID, *, dry_run: bool = False, key: str | None = None) -> UUID:
    """Delete a policy; its restore points and sessions stay. Errors: Forbidden, NotFound, Conflict while it runs."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "deletePolicy", key) is not None:
            return id
        drop(app, tx, caller, tx.policies.get(id, lock=True), dry_run=dry_run)
        if not dry_run:
            replies.keep(tx, caller, "deletePolicy", key, id, at=app.clock.now())
    return id


def drop(app: Services, tx: Tx, caller: Caller, current: Policy, *, dry_run: bool = False) -> None:
    """``delete`` inside a transaction; ``current`` was read with its lock."""
    caller.require(Role.OPERATOR)
    refuse_while_running(tx, current)
    if not dry_run:
        tx.policies.remove(current.id)
        _tell(tx, current, "removed", f"{caller.name} deleted the policy {current.name}.", app.clock.now())


def _tell(tx: Tx, policy: Policy, change: str, message: str, at: datetime) -> None:
    tx.activity.append(at=at, kind="policy", subject_id=policy.id, change=change, message=message)


def _join(tx: Tx, policy: Policy, now: datetime) -> None:
    """Resources belong to an SLA policy from now on: what was promised before does not count against it."""
    if policy.kind is PolicyKind.SLA:
        memberships.refresh(tx, policy, [resource.id for resource, _ in coverage(tx, policy).covered], now)


# ---- when it runs -----------------------------------------------------------------------------------------------------


def _prepared(tx: Tx, policy: Policy, before: Policy | None) -> Policy:
    """With its next run, as of its last change. An SLA policy made while a window is open is due at once."""
    now, terms = policy.updated_at, terms_of(tx, policy)
    policy = replace(policy, runs=_run_state(policy, before, terms))
    if not policy.enabled:
        return replace(policy, next_run_at=None)
    if terms is not None and any(_owed(terms, region, since, now) for region, since in policy.runs.handled.items()):
        return replace(policy, next_run_at=now)
    if before is not None and before.enabled and before.schedule == policy.schedule and _due(before, now):
        return replace(policy, next_run_at=before.next_run_at)  # the scheduler is about to start it
    following = keeping.next_run(policy, terms, now)
    return replace(policy, next_run_at=None if following is None else following.slot.at)


def _owed(terms: SlaTerms, region: str, since: datetime, now: datetime) -> bool:
    """Whether a window is open in ``region`` that has asked for something since then."""
    return any(sla.runs(terms, region, max(since, sla.open_since(terms, region, now)), now))


def _due(policy: Policy, now: datetime) -> bool:
    return policy.kind is PolicyKind.SCHEDULE and policy.next_run_at is not None and policy.next_run_at <= now


def _run_state(policy: Policy, before: Policy | None, terms: SlaTerms | None) -> RunState:
    """Up to when each Region's promises count as dealt with, and the templates followed so far."""
    if policy.kind is not PolicyKind.SLA or policy.sla_template_id is None or terms is None:
        return policy.runs
    now, used = policy.updated_at, policy.runs.templates
    if not used or used[-1].template_id != policy.sla_template_id:
        used = (*used, TemplateUse(template_id=policy.sla_template_id, since=now))
    awake = before is not None and before.enabled
    handled = {
        region: sla.open_since(terms, region, now) if before is None else policy.runs.handled.get(region, now) if awake else now
        for region in policy.scope.regions
    }
    return RunState(handled=handled, templates=used)


@cache
def timezones() -> list[str]:
    """IANA names, sorted."""
    return sorted(zoneinfo.available_timezones())
