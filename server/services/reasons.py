"""Why resources are protected, or are not: the same two statements for one resource or a whole list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.domain import reasons
from server.domain.access import Caller, Role
from server.domain.reasons import Protection
from server.domain.workload import Resource
from server.ports import Select, Where
from server.services.context import Services

POLICIES_MAX = 1000
OPEN_MAX = 10_000  # memberships of one list's resources


@dataclass(frozen=True, slots=True)
class Explained:
    """``since``: when the policy that protects the resource first found it; None: its next run, or rescan, will."""

    protection: Protection
    since: datetime | None


def explain(app: Services, caller: Caller, resources: Sequence[Resource]) -> dict[UUID, Explained]:
    """Errors: Forbidden."""
    caller.require(Role.VIEWER)
    where = (Where("resource_id", "in", [one.id for one in resources]), Where("left_at", "is_null", True))
    with app.store.transaction() as tx:
        policies = tx.policies.page(Select(limit=POLICIES_MAX))
        members = tx.memberships.page(Select(where=where, limit=OPEN_MAX))
    since = {(one.resource_id, one.policy_id): one.joined_at for one in members}
    found = {}
    for resource in resources:
        answer = reasons.protection(resource, policies)
        joined = None if answer.policy is None else since.get((resource.id, answer.policy.id))
        found[resource.id] = Explained(answer, joined)
    return found
