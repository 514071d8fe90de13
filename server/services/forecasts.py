"""Forecasts: what a policy, stored or only drafted, will make and delete in the days to come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Final
from uuid import UUID

from server.domain import keeping
from server.domain.access import Caller, Role
from server.domain.errors import InvalidInput
from server.domain.forecast import RUNS_MAX, Forecast, ForecastRun, Targets, events
from server.domain.policy import Policy
from server.domain.templates import StorageTemplate
from server.ports import Tx
from server.services import policies, policy_checks, protection
from server.services.context import Services
from server.services.keepers import Keeper, chains

DAYS_MAX: Final = 35
RESOURCES_AT_ONCE: Final = 100  # whose chains are in memory together


def of_policy(app: Services, caller: Caller, policy: Policy, *, days: int) -> list[ForecastRun]:
    """The next ``days`` days. A disabled policy runs as if it were enabled. Errors: Forbidden, InvalidInput."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return _forecast(app, tx, policy, days)


def of_draft(app: Services, caller: Caller, draft: policies.PolicyDraft, id: UUID | None, *, days: int) -> list[ForecastRun]:
    """``id``: of the policy the draft would replace. Errors: Forbidden, NotFound, InvalidInput when it could not be saved."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        policy = policies.proposed(app, tx, draft, None if id is None else tx.policies.get(id))
        problems = policy_checks.problems(app, tx, policy)
        if problems:
            raise InvalidInput(f"There is no forecast yet: {next(iter(problems.values()))}", fields=problems)
        return _forecast(app, tx, policy, days)


def _forecast(app: Services, tx: Tx, policy: Policy, days: int) -> list[ForecastRun]:
    if not 1 <= days <= DAYS_MAX:
        raise InvalidInput(f"A forecast looks 1 to {DAYS_MAX} days ahead.", fields={"days": f"1 to {DAYS_MAX}."})
    now = app.clock.now()
    terms, storage = policy_checks.templates(tx, policy)
    keeper = Keeper.made(policy, terms, storage)
    planned = islice(events(policy, terms, now, now + timedelta(days=days)), RUNS_MAX)
    made = Forecast(list(planned), keeper.rules, repositories=keeper.repositories, track=keeper.track)
    targets = {region: _targets(policy, storage, region) for region in policy.scope.regions}
    regions = {resource.id: resource.region for resource, _ in protection.coverage(tx, policy).covered}
    for batch in _batches(sorted(regions)):
        for resource_id, chain in chains(tx, batch).items():
            made.add(targets[regions[resource_id]], chain)
    return made.runs()


def _targets(policy: Policy, storage: StorageTemplate | None, region: str) -> Targets:
    return Targets(
        region=region,
        replica=keeping.replica_target(policy, region) is not None,
        backup=keeping.backup_repository(policy, storage, region),
        archive=keeping.archive_repository(policy, storage, region),
    )


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), RESOURCES_AT_ONCE):
        yield ids[start : start + RESOURCES_AT_ONCE]
