"""Test a policy's configuration before it is saved: roles, Regions, networks, replica targets and keys, repositories, guests.

Everything is looked at, whatever fails; nothing is changed but a small object put into each repository that has no locks, and
deleted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.configuration import Area, Check, Finding, worst
from server.domain.errors import DatabaseDown, HoldfastError
from server.domain.repository import Encryption, Repository, StorageKind
from server.services import accounts, configuration_keys, configuration_places, policies, policy_checks
from server.services.configuration_roles import Need, Needs
from server.services.configuration_roles import checks as role_checks
from server.services.configuration_subject import Subject, read
from server.services.context import Services

AT_ONCE: Final = 8  # checks side by side: each waits for AWS
PARTITIONS: Final = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    checks: tuple[Check, ...]
    tested_at: datetime

    @property
    def finding(self) -> Finding:
        return worst(self.checks)


Part = Callable[[], list[Check]]


def run(app: Services, caller: Caller, draft: policies.PolicyDraft, *, id: UUID | None = None, dry_run: bool = False) -> Report:
    """``id``: of the policy the draft would replace. ``dry_run``: nothing is written, not even for a moment.

    Errors: Forbidden, NotFound, DatabaseDown.
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        policy = policies.proposed(app, tx, draft, None if id is None else tx.policies.get(id))
        wrong = policy_checks.name_problem(tx, policy) | policy_checks.problems(app, tx, policy)
        subject = read(tx, policy)
    found = [
        Check(area=Area.POLICY, subject=policy.name or "Policy", finding=Finding.FAILED, message=text, path=path)
        for path, text in wrong.items()
    ]
    if not wrong:
        found.append(Check(area=Area.POLICY, subject=policy.name, message="Its settings go together."))
    parts = list(_parts(app, subject, write=not dry_run)) if subject is not None else []
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="configuration") as pool:
        for checks in pool.map(lambda part: part(), parts):
            found += checks
    order = list(Area)
    found.sort(key=lambda check: order.index(check.area))
    return Report(checks=tuple(found), tested_at=app.clock.now())


def _parts(app: Services, subject: Subject, *, write: bool) -> Iterator[Part]:
    """What can be looked at side by side."""
    needs = _needs(app, subject)
    for id, account in needs.accounts.items():
        yield _part(Area.ACCOUNT, account.name, partial(role_checks, app, account, needs.found[id]))
    yield _part(Area.REGION, subject.source.name, partial(_regions, app, subject))
    for region in subject.policy.scope.regions:
        yield _part(Area.ENDPOINT, region, partial(configuration_places.endpoints, app, subject, region))
        yield _part(Area.KEY, region, partial(configuration_keys.source_keys, app, subject, region))
        if configuration_places.wants_guests(subject.policy):
            yield _part(Area.GUEST, region, partial(configuration_places.guests, app, subject, region))
    for at, target in enumerate(subject.policy.replicas):
        if target.account_id in subject.accounts:
            yield _part(Area.REPLICA, target.region, partial(configuration_keys.target, app, subject, at, target))
    for row in subject.repositories:
        yield _part(Area.REPOSITORY, row.name, partial(configuration_places.repository, app, row, write=write))


def _part(area: Area, subject: str, action: Part) -> Part:
    """What fails is a finding, not the end of the test."""

    def guarded() -> list[Check]:
        try:
            return action()
        except DatabaseDown:
            raise
        except HoldfastError as error:
            return [Check(area=area, subject=subject, finding=Finding.FAILED, message=error.message, remedy=error.remedy)]

    return guarded


# ---- what is needed ---------------------------------------------------------------------------------------------------


def _needs(app: Services, subject: Subject) -> Needs:
    """What each account's role must be allowed."""
    needs, policy = Needs(), subject.policy
    workload = app.workloads.get(policy.workload)
    declared = workload.permissions if workload else {}
    wanted = {"discover": True, "snapshot": True, "guest": configuration_places.wants_guests(policy)}
    wanted |= {"replica": bool(policy.replicas), "backup": bool(subject.backups)}
    for capability, is_wanted in wanted.items():
        if is_wanted and declared.get(capability):
            needs.add(subject.source, Need(capability, tuple(declared[capability])))
    for target in policy.replicas:
        if target.account_id in subject.accounts and declared.get("replica"):
            needs.add(subject.accounts[target.account_id], Need("replica", tuple(declared["replica"])))
    for row in subject.repositories:
        if row.account_id is not None and row.kind is StorageKind.S3:
            for need in _of_repository(app, row):
                needs.add(subject.accounts[row.account_id], need)
    return needs


def _of_repository(app: Services, row: Repository) -> Iterator[Need]:
    storage = app.storage_permissions
    partition = next((name for prefix, name in PARTITIONS.items() if (row.region or "").startswith(prefix)), "aws")
    bucket = f"arn:{partition}:s3:::{row.location}"
    if storage.bucket:
        yield Need(f"repository {row.name}", storage.bucket, on=(bucket,), asked=(bucket,))
    if storage.objects:
        yield Need(f"repository {row.name}", storage.objects, on=(f"{bucket}/*",), asked=(f"{bucket}/config",))
    if storage.key and row.encryption is Encryption.KMS and row.kms_key:
        yield Need(f"repository {row.name}", storage.key, on=(row.kms_key,), asked=(row.kms_key,))


def _regions(app: Services, subject: Subject) -> list[Check]:
    enabled = accounts.enabled_regions(app, subject.source)
    found = []
    for region in subject.policy.scope.regions:
        text = f"Enabled for {subject.source.name}." if region in enabled else f"Not enabled for {subject.source.name}."
        check = Check(area=Area.REGION, subject=region, message=text, path="scope.regions", account=subject.source.name)
        if region not in enabled:
            remedy = "Enable the Region in the account's settings, or leave it out."
            check = replace(check, finding=Finding.FAILED, remedy=remedy)
        found.append(check)
    return found
