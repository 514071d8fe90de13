"""What stands against storing a policy, in itself and against what it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from server.domain import keeping, policy_rules
from server.domain.cost import MINIMUM_DAYS
from server.domain.errors import Conflict, InvalidInput
from server.domain.policy import Policy, PolicyKind
from server.domain.repository import Repository, StorageClass
from server.domain.restore import Leg
from server.domain.scope import SELECTION_MAX
from server.domain.sla import SlaTerms
from server.domain.templates import StorageTemplate
from server.ports import Tx
from server.services import accounts
from server.services.context import Services

PRIORITY_MAX: Final = 1_000_000
EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)  # to compare lengths of time with

Found = Iterator[tuple[str, str]]


def check(app: Services, tx: Tx, policy: Policy) -> None:
    """InvalidInput with every problem at once; Conflict when the name is taken."""
    fields = problems(app, tx, policy)
    if fields:
        raise InvalidInput(f"The policy cannot be saved: {next(iter(fields.values()))}", fields=fields)
    if _twin(tx, policy):
        raise Conflict(f"There is a policy named {policy.name} already.", fields={"name": "Taken."})


def problems(app: Services, tx: Tx, policy: Policy) -> dict[str, str]:
    """Input path → sentence: all that stands against storing the policy, but for a name taken."""
    terms, storage = templates(tx, policy)
    found = policy_rules.problems(policy, terms, storage)
    if policy.workload not in app.workloads:
        found["workload"] = f"Unknown workload {policy.workload!r}: choose one of {', '.join(sorted(app.workloads))}."
    if not 1 <= policy.priority <= PRIORITY_MAX:
        found["priority"] = f"Between 1 and {PRIORITY_MAX}."
    for path, text in _missing(tx, policy):
        found.setdefault(path, text)
    if not found:
        found.update(_unknown_regions(app, tx, policy))
    return found


def name_problem(tx: Tx, policy: Policy) -> dict[str, str]:
    return {"name": f"There is a policy named {policy.name} already."} if _twin(tx, policy) else {}


def _twin(tx: Tx, policy: Policy) -> bool:
    twin = tx.policies.find(name=policy.name)
    return twin is not None and twin.id != policy.id


def templates(tx: Tx, policy: Policy) -> tuple[SlaTerms | None, StorageTemplate | None]:
    """What its templates say; None for those it does not name, and those that are not there."""
    terms = None if policy.sla_template_id is None else tx.sla_templates.many([policy.sla_template_id])
    storage = None if policy.storage_template_id is None else tx.storage_templates.many([policy.storage_template_id])
    return (
        next((one.terms for one in terms.values()), None) if terms else None,
        next(iter(storage.values()), None) if storage else None,
    )


def _unknown_regions(app: Services, tx: Tx, policy: Policy) -> dict[str, str]:
    """AWS is asked only about names nobody has heard of."""
    asked = [(policy.scope.account_id, policy.scope.regions, "scope.regions")]
    asked += [(one.account_id, (one.region,), f"replicas.{at}.region") for at, one in enumerate(policy.replicas)]
    for account_id, regions, path in asked:
        try:
            accounts.check_regions(app, tx.accounts.get(account_id), regions, path)
        except InvalidInput as problem:
            return problem.fields
    return {}


def _missing(tx: Tx, policy: Policy) -> Found:
    """What the policy names that is not there, or not fit."""
    yield from _accounts(tx, policy)
    yield from _repositories(tx, policy)
    if policy.sla_template_id is not None and not tx.sla_templates.many([policy.sla_template_id]):
        yield "slaTemplateId", "There is no such SLA template."
    if policy.storage_template_id is not None and not tx.storage_templates.many([policy.storage_template_id]):
        yield "storageTemplateId", "There is no such storage template."
    yield from _resources(tx, policy)


def _accounts(tx: Tx, policy: Policy) -> Found:
    named = [policy.scope.account_id, *(one.account_id for one in policy.replicas)]
    known = tx.accounts.many(named)
    if policy.scope.account_id not in known:
        yield "scope.accountId", "There is no such account."
    for at, target in enumerate(policy.replicas):
        if target.account_id not in known:
            yield f"replicas.{at}.accountId", "There is no such account."


def _repositories(tx: Tx, policy: Policy) -> Found:
    ids = (policy.repository_id, policy.archive_repository_id)
    known = tx.repositories.many(id for id in ids if id is not None)
    backup, archive = (None if id is None else known.get(id) for id in ids)
    if policy.repository_id is not None and backup is None:
        yield "repositoryId", "There is no such repository."
    if policy.archive_repository_id is not None and archive is None:
        yield "archiveRepositoryId", "There is no such repository."
    if backup is not None and backup.storage_class is not StorageClass.STANDARD:
        yield "repositoryId", f"{backup.name} is an archive: back up into another one, and archive from there."
    if archive is not None and archive.storage_class is StorageClass.STANDARD:
        yield "archiveRepositoryId", f"{archive.name} is no archive: choose a repository of an S3 Glacier class."
    locked = next((one for one in (backup, archive) if one is not None and one.immutable), None)
    if locked is not None and not policy_rules.runs_by_itself(policy):
        yield "schedule", f"{locked.name} is immutable: a schedule says how long its points stay locked. Add one."


def _resources(tx: Tx, policy: Policy) -> Found:
    scope = policy.scope
    for path, ids in (("scope.resourceIds", scope.resource_ids), ("scope.excludedResourceIds", scope.excluded_resource_ids)):
        found = tx.resources.many(ids[:SELECTION_MAX]) if ids else {}
        absent = len(set(ids) - found.keys())
        foreign = [one.name for one in found.values() if one.account_id != scope.account_id]
        if absent:
            yield path, f"{absent} of these resources are not known: rescan, then choose again."
        elif foreign:
            yield path, f"{foreign[0]} is in another account."


def warnings(tx: Tx, policy: Policy) -> Iterator[str]:
    """Archives that leave before the days S3 charges for them anyway."""
    terms, _ = templates(tx, policy)
    kept = [] if terms is None and policy.kind is PolicyKind.SLA else keeping.rules(policy, terms)[Leg.ARCHIVE].values()
    made = Leg.ARCHIVE in policy_rules.makes(policy, terms)
    for archive in repositories_of(tx, policy)[1] if made else ():
        least = MINIMUM_DAYS[archive.storage_class]
        short = [one.period for one in kept if one.period and one.period.after(EPOCH) < EPOCH + timedelta(days=least)]
        if short:
            yield f"{archive.name} charges for {least} days at least, also for archives that are kept for {short[0]}."


def repositories_of(tx: Tx, policy: Policy) -> tuple[list[Repository], list[Repository]]:
    """The repositories the policy backs up into, and those it archives into."""
    _, storage = templates(tx, policy)
    if storage is None:
        return _found(tx, [policy.repository_id]), _found(tx, [policy.archive_repository_id])
    archives = storage.archive.all() if storage.archive else frozenset()
    return _found(tx, storage.backup.all()), _found(tx, archives)


def _found(tx: Tx, ids: Iterable[UUID | None]) -> list[Repository]:
    return list(tx.repositories.many(id for id in ids if id is not None).values())
