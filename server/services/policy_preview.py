"""What a policy would do if it were saved as it is: its runs, what it keeps, whom it covers, and what stands against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from server.domain import keeping, policy_hints, policy_texts
from server.domain.access import Caller, Role
from server.domain.keeping import PlannedRun
from server.domain.policy import Policy, rank
from server.domain.policy_texts import KeepLine
from server.domain.reasons import CLAIMED
from server.domain.scope import verdict
from server.domain.sla import SlaTerms
from server.domain.workload import Resource
from server.ports import Tx, Where
from server.services import claims, policies, policy_checks
from server.services.context import Services

RUNS_MAX: Final = 50
COVERED_MAX: Final = 100
ADVISED_MAX: Final = 250  # resources in one policy
TIMING: Final = ("schedule", "scope.regions", "slaTemplateId", "kind")  # with a problem there, no run can be worked out


@dataclass(frozen=True, slots=True)
class Covered:
    """``claimed_by``: the policy that comes first."""

    resource: Resource
    covered: bool
    reason: str
    claimed_by: Policy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """``covered``: the first ones; covered ones, then those another policy claims, then those excluded."""

    problems: dict[str, str]
    warnings: tuple[str, ...] = ()
    schedule_text: str = ""
    runs: tuple[PlannedRun, ...] = ()
    keeps: tuple[KeepLine, ...] = ()
    inherited: tuple[policy_hints.Inherited, ...] = ()
    additions: dict[str, tuple[int, ...]]
    covered: tuple[Covered, ...] = ()
    covered_count: int = 0
    total_bytes: int = 0


def preview(app: Services, caller: Caller, draft: policies.PolicyDraft, id: UUID | None = None) -> Preview:
    """``id``: of the policy the draft would replace. Errors: Forbidden, NotFound."""
    caller.require(Role.VIEWER)
    now = app.clock.now()
    with app.store.transaction() as tx:
        policy = policies.proposed(app, tx, draft, None if id is None else tx.policies.get(id))
        problems = policy_checks.name_problem(tx, policy) | policy_checks.problems(app, tx, policy)
        terms, _ = policy_checks.templates(tx, policy)
        found = list(_judged(tx, policy))
        covered = [one for one in found if one.covered]
        timed = not any(path.startswith(TIMING) for path in problems)
        warnings = (*policy_hints.warnings(policy, terms), *policy_checks.warnings(tx, policy)) if timed else ()
    return Preview(
        problems=problems,
        warnings=(*warnings, *_sizes(covered)),
        schedule_text=policy_texts.schedule_text(policy, terms) if timed else "",
        runs=_runs(policy, terms, now) if timed else (),
        keeps=tuple(policy_texts.keep_lines(policy, terms)) if timed else (),
        inherited=policy_hints.inherited(policy.schedule),
        additions=policy_hints.additions(policy.schedule),
        covered=tuple(sorted(found, key=_order)[:COVERED_MAX]),
        covered_count=len(covered),
        total_bytes=sum(one.resource.size_bytes for one in covered),
    )


def _judged(tx: Tx, policy: Policy) -> Iterator[Covered]:
    """The resources the policy selects, also those it then leaves to others or excludes."""
    others = (one for one in claims.enabled(tx) if one.id != policy.id and one.workload == policy.workload)
    rivals = [one for one in others if rank(one) < rank(policy)]
    everything = replace(policy.scope, excluded_resource_ids=(), excluded_tags=())
    here = (
        Where("account_id", "eq", policy.scope.account_id),
        Where("workload", "eq", policy.workload),
        Where("region", "in", list(policy.scope.regions)),
    )
    for resource in claims.present(tx, here):
        if not verdict(everything, resource).covered:
            continue
        found = verdict(policy.scope, resource)
        holder = next((one for one in rivals if verdict(one.scope, resource).covered), None) if found.covered else None
        if holder is None:
            yield Covered(resource, found.covered, found.reason)
        else:
            yield Covered(resource, covered=False, reason=f"{CLAIMED}: {holder.name}", claimed_by=holder)


def _order(one: Covered) -> tuple[bool, bool, str]:
    return not one.covered, one.claimed_by is None, one.resource.name


def _runs(policy: Policy, terms: SlaTerms | None, now: datetime) -> tuple[PlannedRun, ...]:
    until = now + keeping.HORIZONS[-1]
    return tuple(islice(keeping.planned(policy, terms, now, until), RUNS_MAX))


def _sizes(covered: list[Covered]) -> Iterator[str]:
    if not covered:
        yield "It covers nothing now; what matches later joins by itself."
    elif len(covered) > ADVISED_MAX:
        yield f"It covers {len(covered)} resources; runs stay short with up to {ADVISED_MAX} in a policy: divide it, by tags."
