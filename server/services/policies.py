"""Policies as people keep them: create, change, switch, delete; and whom they cover."""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from server.domain import keeping, policy_rules
from server.domain.access import Caller, Role
from server.domain.errors import Conflict, InvalidInput
from server.domain.policy import HealthCheck, Policy, Retention, Retries, rank
from server.domain.repository import StorageClass
from server.domain.schedule import Schedule
from server.domain.scope import Scope, Verdict, verdict
from server.domain.session import State
from server.domain.workload import Resource
from server.ports import Order, Select, Tx, Where
from server.services import accounts, replies
from server.services.context import Services
from server.services.protection import CLAIMED, refuse_while_running

POLICIES_MAX = 1000
PAGE = 1000
PRIORITY_MAX = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDraft:
    """What a person decides about a policy. ``priority`` None: after all others."""

    name: str
    description: str
    workload: str
    enabled: bool
    priority: int | None
    scope: Scope
    schedule: Schedule | None
    retention: Retention
    retries: Retries
    repository_id: UUID | None
    copy_tags: bool
    verify: bool = False
    health_check: HealthCheck | None = None


# ---- changing ---------------------------------------------------------------------------------------------------------


def create(app: Services, caller: Caller, draft: PolicyDraft, *, dry_run: bool = False, key: str | None = None) -> Policy:
    """Errors: Forbidden, InvalidInput, Conflict when the name is taken."""
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "createPolicy", key)
        if known is not None:
            return tx.policies.get(known)
        priority = draft.priority if draft.priority is not None else _last_priority(tx) + 1
        made = _filled(draft, Policy(id=app.new_id(), name="", scope=draft.scope, created_at=now, updated_at=now), priority)
        _check(app, tx, made)
        made = replace(made, next_run_at=_next_run(made, now))
        if dry_run:
            return made
        tx.policies.add(made)
        tx.activity.append(
            at=now,
            kind="policy",
            subject_id=made.id,
            change="created",
            message=f"{caller.name} created the policy {made.name}.",
        )
        replies.keep(tx, caller, "createPolicy", key, made.id, at=now)
    return made


def update(
    app: Services,
    caller: Caller,
    id: UUID,
    revision: int,
    draft: PolicyDraft,
    *,
    dry_run: bool = False,
    key: str | None = None,
) -> Policy:
    """Replace all a person decides. Errors: Forbidden, NotFound, InvalidInput, Conflict when ``revision`` is not the newest."""
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "updatePolicy", key) is not None:
            return tx.policies.get(id)
        current = tx.policies.get(id, lock=True)
        if current.revision != revision:
            raise Conflict(
                f"{current.name} was changed meanwhile: it is at revision {current.revision}, not {revision}.",
                remedy="Read it again and repeat the change.",
                fields={"revision": f"{current.revision} now."},
            )
        priority = current.priority if draft.priority is None else draft.priority
        changed = _filled(draft, current, priority)
        _check(app, tx, changed)
        changed = replace(changed, next_run_at=_next_run(changed, now), updated_at=now, edition=current.edition + 1, revision=revision + 1)
        if dry_run:
            return changed
        tx.policies.save(changed)
        message = f"{caller.name} changed the policy {changed.name}."
        tx.activity.append(at=now, kind="policy", subject_id=id, change="changed", message=message)
        replies.keep(tx, caller, "updatePolicy", key, id, at=now)
    return changed


def _filled(draft: PolicyDraft, base: Policy, priority: int) -> Policy:
    return replace(
        base,
        name=draft.name.strip(),
        description=draft.description.strip(),
        workload=draft.workload,
        enabled=draft.enabled,
        priority=priority,
        scope=draft.scope,
        schedule=draft.schedule,
        retention=draft.retention,
        retries=draft.retries,
        repository_id=draft.repository_id,
        copy_tags=draft.copy_tags,
        verify=draft.verify,
        health_check=draft.health_check,
    )


def _next_run(policy: Policy, now: datetime) -> datetime | None:
    """None for what only people start."""
    run = keeping.next_run(policy, None, now) if policy.enabled else None
    return None if run is None else run.slot.at


def _last_priority(tx: Tx) -> int:
    rows = tx.policies.page(Select(order=(Order("priority", descending=True),), limit=1))
    return rows[0].priority if rows else 0


def set_enabled(app: Services, caller: Caller, id: UUID, *, enabled: bool, dry_run: bool = False) -> Policy:
    """Let the schedule start the policy, or not. Repeating it changes nothing. Errors: Forbidden, NotFound."""
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        current = tx.policies.get(id, lock=True)
        if current.enabled == enabled:
            return current
        changed = replace(current, enabled=enabled, updated_at=now, revision=current.revision + 1)
        changed = replace(changed, next_run_at=_next_run(changed, now))
        if dry_run:
            return changed
        tx.policies.save(changed)
        message = f"{caller.name} {'enabled' if enabled else 'disabled'} the policy {changed.name}."
        tx.activity.append(at=now, kind="policy", subject_id=id, change="changed", message=message)
    return changed


def delete(app: Services, caller: Caller, id: UUID, *, dry_run: bool = False, key: str | None = None) -> UUID:
    """Delete a policy; its restore points and sessions stay. Errors: Forbidden, NotFound, Conflict while it runs."""
    caller.require(Role.OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "deletePolicy", key) is not None:
            return id
        current = tx.policies.get(id, lock=True)
        refuse_while_running(tx, current)
        if dry_run:
            return id
        tx.policies.remove(id)
        message = f"{caller.name} deleted the policy {current.name}."
        tx.activity.append(at=now, kind="policy", subject_id=id, change="removed", message=message)
        replies.keep(tx, caller, "deletePolicy", key, id, at=now)
    return id


# ---- checking ---------------------------------------------------------------------------------------------------------


def _check(app: Services, tx: Tx, policy: Policy) -> None:
    """InvalidInput with every problem at once; Conflict when the name is taken."""
    fields = policy_rules.problems(policy)
    if policy.workload not in app.workloads:
        fields["workload"] = f"Unknown workload {policy.workload!r}: choose one of {', '.join(sorted(app.workloads))}."
    if not 1 <= policy.priority <= PRIORITY_MAX:
        fields["priority"] = f"Between 1 and {PRIORITY_MAX}."
    fields.update(_missing(tx, policy))
    if fields:
        raise InvalidInput(f"The policy cannot be saved: {next(iter(fields.values()))}", fields=fields)
    accounts.check_regions(app, tx.accounts.get(policy.scope.account_id), policy.scope.regions, "scope.regions")
    twin = tx.policies.find(name=policy.name)
    if twin is not None and twin.id != policy.id:
        raise Conflict(f"There is a policy named {policy.name} already.", fields={"name": "Taken."})


def _missing(tx: Tx, policy: Policy) -> dict[str, str]:
    """What the policy names that is not there."""
    fields: dict[str, str] = {}
    scope = policy.scope
    if not tx.accounts.many([scope.account_id]):
        fields["scope.accountId"] = "There is no such account."
    if policy.repository_id is not None:
        repository = tx.repositories.many([policy.repository_id]).get(policy.repository_id)
        if repository is None:
            fields["repositoryId"] = "There is no such repository."
        elif repository.storage_class is not StorageClass.STANDARD:
            fields["repositoryId"] = f"{repository.name} is an archive: back up into another one, and archive from there."
    for path, ids in (("scope.resourceIds", scope.resource_ids), ("scope.excludedResourceIds", scope.excluded_resource_ids)):
        found = tx.resources.many(ids) if ids else {}
        absent = len(set(ids) - found.keys())
        foreign = [one.name for one in found.values() if one.account_id != scope.account_id]
        if absent:
            fields[path] = f"{absent} of these resources are not known: rescan, then choose again."
        elif foreign:
            fields[path] = f"{foreign[0]} is in another account."
    return fields


@cache
def timezones() -> list[str]:
    """IANA names, sorted."""
    return sorted(zoneinfo.available_timezones())


# ---- whom they cover --------------------------------------------------------------------------------------------------


def verdicts(app: Services, caller: Caller, resources: Sequence[Resource]) -> dict[UUID, list[tuple[Policy, Verdict]]]:
    """For each resource, every enabled policy of its workload in order of priority, and whether and why it covers."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        rivals = enabled(tx)
    return {resource.id: list(_judged(rivals, resource)) for resource in resources}


def enabled(tx: Tx) -> list[Policy]:
    """Enabled policies, the first to claim a resource first."""
    return sorted(tx.policies.page(Select(where=(Where("enabled", "eq", True),), limit=POLICIES_MAX)), key=rank)


def _judged(rivals: Iterable[Policy], resource: Resource) -> Iterator[tuple[Policy, Verdict]]:
    holder: Policy | None = None
    for policy in rivals:
        if policy.workload != resource.workload:
            continue
        found = verdict(policy.scope, resource)
        if found.covered and holder is not None:
            found = Verdict(covered=False, reason=f"{CLAIMED}: {holder.name}")
        elif found.covered:
            holder = policy
        yield policy, found


def protects(rivals: Sequence[Policy], resource: Resource) -> bool:
    """Whether any of the policies covers the resource."""
    return any(policy.workload == resource.workload and verdict(policy.scope, resource).covered for policy in rivals)


def present(tx: Tx, where: tuple[Where, ...] = ()) -> Iterator[Resource]:
    """Every resource that matches and is in AWS, read in pages."""
    where = (*where, Where("present", "eq", True))
    after: tuple[Any, ...] | None = None
    while True:
        rows = tx.resources.page(Select(where=where, order=(Order("name"),), after=after, limit=PAGE))
        yield from rows
        if len(rows) < PAGE:
            return
        after = (rows[-1].name, rows[-1].id)


def coverage(app: Services, caller: Caller, wanted: Sequence[Policy]) -> dict[UUID, int]:
    """How many present resources each policy covers, those claimed by an earlier one not counted."""
    caller.require(Role.VIEWER)
    regions = {region for policy in wanted for region in policy.scope.regions}
    owners = {policy.scope.account_id for policy in wanted}
    counts: defaultdict[UUID, int] = defaultdict(int)
    with app.store.transaction() as tx:
        rivals = enabled(tx)
        before = {policy.id: [one for one in rivals if rank(one) < rank(policy)] for policy in wanted}
        for resource in present(tx, (Where("account_id", "in", list(owners)), Where("region", "in", list(regions)))):
            for policy in wanted:
                covered = policy.workload == resource.workload and verdict(policy.scope, resource).covered
                if covered and not protects(before[policy.id], resource):
                    counts[policy.id] += 1
    return {policy.id: counts[policy.id] for policy in wanted}


def covering(app: Services, caller: Caller, resource_id: UUID) -> list[UUID]:
    """Ids of the policies, enabled or not, whose scope covers the resource."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        resource = tx.resources.many([resource_id]).get(resource_id)
        if resource is None:
            return []
        found = tx.policies.page(Select(limit=POLICIES_MAX))
    return [one.id for one in found if one.workload == resource.workload and verdict(one.scope, resource).covered]


def by_last_state(app: Services, caller: Caller, states: Sequence[State], *, never: bool) -> list[UUID]:
    """Ids of the policies whose newest session is in one of ``states``; with ``never`` also those without a session."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        found = tx.policies.page(Select(limit=POLICIES_MAX))
        sessions = tx.sessions.many(one.last_session_id for one in found if one.last_session_id is not None)
    ids = []
    for one in found:
        last = None if one.last_session_id is None else sessions.get(one.last_session_id)
        if last.state in states if last is not None else never:
            ids.append(one.id)
    return ids
