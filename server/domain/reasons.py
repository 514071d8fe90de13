"""Why a resource is protected, or is not, and by what: what every policy says about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server.domain.policy import Policy, rank
from server.domain.scope import matches, verdict
from server.domain.workload import Resource

CLAIMED: Final = "The resource is already protected by another policy"  # a wording report scripts look for


@dataclass(frozen=True, slots=True)
class Considered:
    """What one policy does about the resource: ``covered`` when it is the one that protects it."""

    policy: Policy
    covered: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Protection:
    """``policy`` protects the resource; None: nobody does. ``considered``: every policy, the first to claim first."""

    policy: Policy | None
    reason: str
    considered: tuple[Considered, ...]


def protection(resource: Resource, policies: Sequence[Policy]) -> Protection:
    """``policies``: all there are, enabled or not; those of other workloads are left out."""
    ranked = sorted((one for one in policies if one.workload == resource.workload), key=rank)
    holder = next((one for one in ranked if one.enabled and verdict(one.scope, resource).covered), None)
    considered = tuple(_considered(one, holder, resource) for one in ranked)
    if holder is None:
        return Protection(None, _unprotected(resource, considered), considered)
    return Protection(holder, f"Protected by {holder.name}. {verdict(holder.scope, resource).reason}", considered)


def _considered(policy: Policy, holder: Policy | None, resource: Resource) -> Considered:
    found = verdict(policy.scope, resource)
    if not found.covered or policy is holder:
        return Considered(policy, found.covered, found.reason)
    if policy.enabled and holder is not None:
        return Considered(policy, False, f"{CLAIMED}: {holder.name}. {precedence(holder, policy)}")
    if holder is None or rank(policy) < rank(holder):
        return Considered(policy, False, f"Disabled. Enabled, it would protect the resource: {found.reason}")
    return Considered(policy, False, f"Disabled. Enabled, it would come after {holder.name}: {precedence(holder, policy)}")


def precedence(first: Policy, second: Policy) -> str:
    """Why ``first`` claims what both cover."""
    if first.kind is not second.kind:
        return "SLA policies come before schedule-based ones."
    if first.priority != second.priority:
        return f"Its priority {first.priority} comes before {second.priority}."
    return f"Both have priority {first.priority}; it was made earlier."


# ---- why nobody does --------------------------------------------------------------------------------------------------


def _unprotected(resource: Resource, considered: Sequence[Considered]) -> str:
    """The sentence of the policy that came closest."""
    if not resource.present:
        return "It is no longer in AWS. Nothing new is made of it; its restore points stay until their retention ends."
    if not considered:
        return "There is no policy yet."
    nearest = max(considered, key=lambda one: _nearness(one.policy, resource)).policy
    return _NEAREST[_nearness(nearest, resource)].format(
        name=nearest.name, why=verdict(nearest.scope, resource).reason, region=resource.region
    )


_NEAREST: Final = (
    "No policy is for its account.",
    "No policy of its account selects the Region {region}.",
    "No policy selects it by name or by a tag.",
    "The policy {name} leaves it out. {why}",
    "The policy {name} would protect it, but is disabled. {why}",
)


def _nearness(policy: Policy, resource: Resource) -> int:
    """How far the policy goes towards protecting the resource: an index of ``_NEAREST``."""
    scope = policy.scope
    if scope.account_id != resource.account_id:
        return 0
    if resource.region not in scope.regions:
        return 1
    if verdict(scope, resource).covered:
        return 4
    excluded = resource.id in scope.excluded_resource_ids or any(matches(tag, resource.tags) for tag in scope.excluded_tags)
    return 3 if excluded else 2
