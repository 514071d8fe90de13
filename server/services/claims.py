"""Who claims what: which policy covers a resource, which resources a policy covers, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import InvalidInput
from server.domain.policy import Policy, rank
from server.domain.scope import SELECTION_MAX, Scope, SelectionMode, verdict
from server.domain.session import State
from server.domain.workload import Resource
from server.ports import Order, Select, Tx, Where
from server.services.context import Services

POLICIES_MAX = 1000
PAGE = 1000


def enabled(tx: Tx) -> list[Policy]:
    """Enabled policies, the first to claim a resource first."""
    return sorted(tx.policies.page(Select(where=(Where("enabled", "eq", True),), limit=POLICIES_MAX)), key=rank)


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


def reaching(app: Services, caller: Caller, resource_ids: Sequence[UUID]) -> list[Policy]:
    """Policies these resources could be added to: of their account, workload and Regions; the first to claim first.

    Errors: Forbidden, InvalidInput.
    """
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        resources = known(tx, resource_ids)
        found = tx.policies.page(Select(limit=POLICIES_MAX))
    return sorted((one for one in found if all(_out_of_reach(one, each) is None for each in resources)), key=rank)


def known(tx: Tx, ids: Sequence[UUID]) -> list[Resource]:
    """The resources people named. InvalidInput when there are none, too many, or some nobody knows."""
    if not 1 <= len(ids) <= SELECTION_MAX:
        raise InvalidInput(f"Name 1 to {SELECTION_MAX} resources.", fields={"resourceIds": f"1 to {SELECTION_MAX}."})
    found = tx.resources.many(ids)
    if len(found) < len(set(ids)):
        text = f"{len(set(ids)) - len(found)} of these resources are not known: rescan, then choose again."
        raise InvalidInput(text, fields={"resourceIds": text})
    return list(found.values())


def _out_of_reach(policy: Policy, resource: Resource) -> str | None:
    name = resource.name or resource.aws_id
    if resource.workload != policy.workload or resource.account_id != policy.scope.account_id:
        return f"{name} is in another account than the policy {policy.name}."
    if resource.region not in policy.scope.regions:
        return f"{name} is in {resource.region}: add this Region to the policy {policy.name} first."
    return None


def widened(policy: Policy, resources: Sequence[Resource]) -> Scope:
    """The policy's scope, made to cover these resources. InvalidInput for those it cannot reach, or excludes by a tag."""
    scope = policy.scope
    ids = {one.id for one in resources}
    scope = replace(scope, excluded_resource_ids=tuple(id for id in scope.excluded_resource_ids if id not in ids))
    missing = [one.id for one in resources if not verdict(scope, one).covered]
    if scope.mode is SelectionMode.LISTED:
        scope = replace(scope, resource_ids=(*scope.resource_ids, *missing))
    for one in resources:
        found = verdict(scope, one)
        problem = _out_of_reach(policy, one) or (None if found.covered else f"{one.name or one.aws_id}: {found.reason}")
        if problem is not None:
            raise InvalidInput(problem, fields={"resourceIds": problem})
    return scope


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
