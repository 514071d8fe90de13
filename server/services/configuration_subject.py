"""What a test of a policy's configuration looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from server.domain.policy import Policy
from server.domain.repository import Repository
from server.domain.workload import Account, Resource
from server.ports import Tx
from server.services import policy_checks
from server.services.protection import coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """All a test looks at, read from the database once."""

    policy: Policy
    covered: tuple[Resource, ...]
    accounts: Mapping[UUID, Account]
    backups: tuple[Repository, ...]
    archives: tuple[Repository, ...]

    @property
    def source(self) -> Account:
        return self.accounts[self.policy.scope.account_id]

    @property
    def repositories(self) -> tuple[Repository, ...]:
        return (*self.backups, *self.archives)

    def covered_in(self, region: str) -> list[Resource]:
        return [resource for resource in self.covered if resource.region == region]


def read(tx: Tx, policy: Policy) -> Subject | None:
    """None without a source account: then there is nothing to look at."""
    backups, archives = policy_checks.repositories_of(tx, policy)
    owners = {row.account_id for row in (*backups, *archives) if row.account_id is not None}
    known = tx.accounts.many({policy.scope.account_id, *(target.account_id for target in policy.replicas), *owners})
    if policy.scope.account_id not in known:
        return None
    covered = tuple(resource for resource, _ in coverage(tx, policy).covered) if policy.scope.regions else ()
    return Subject(policy=policy, covered=covered, accounts=known, backups=tuple(backups), archives=tuple(archives))


def names(resources: Sequence[Resource], shown: int = 5) -> str:
    """``web-1, web-2 and 3 more``."""
    listed = ", ".join(resource.name for resource in resources[:shown])
    return f"{listed} and {len(resources) - shown} more" if len(resources) > shown else listed
