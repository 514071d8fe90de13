"""The demo's first rescan, repository and policy, made through the public API. Repeating it changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.demo.sample import BUCKET
from server.demo.visitor import Session, Visitor
from server.domain.errors import HoldfastError

REGIONS: Final = ("us-east-1", "eu-central-1")
SNAPSHOTS_KEPT: Final = 7
REPOSITORY: Final = "Demo repository"
POLICY: Final = "Production servers"
PASSWORD: Final = "demo repository password"  # noqa: S105  protects emulated data only
_SECONDS: Final = 600.0

_LISTS: Final = """
{
  accounts(first: 100) { edges { node { id isHome } } }
  repositories(first: 100) { edges { node { id name } } }
  policies(first: 100) { edges { node { id name } } }
}
"""
_COUNT: Final = "{ resources(first: 1, filter: {present: true}) { totalCount } }"
_RESCAN: Final = "mutation($input: RescanInput!) { rescan(input: $input) { session { id } } }"
_REPOSITORY: Final = "mutation($input: AddRepositoryInput!) { addRepository(input: $input) { repository { id } } }"
_POLICY: Final = "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { id } } }"
_WHERE: Final = "query($id: ID!) { node(id: $id) { ... on RestorePoint { region details resource { account { id } } } } }"


@dataclass(frozen=True, slots=True)
class Prepared:
    account_id: str
    repository_id: str
    policy_id: str
    resource_count: int


@dataclass(frozen=True, slots=True)
class Zone:
    """An availability zone ``name`` and the account and Region it is asked for in."""

    account_id: str
    region: str
    name: str


def prepare(
    visitor: Visitor, *, snapshots_kept: int = SNAPSHOTS_KEPT, look: Callable[[Session], None] = lambda _: None
) -> Prepared:
    """Rescan; add the repository and the policy unless they are there. Errors: whatever the API refuses."""
    lists = visitor.ask(_LISTS)
    account = next(edge["node"]["id"] for edge in lists["accounts"]["edges"] if edge["node"]["isHome"])
    started = visitor.ask(_RESCAN, input={"accountId": account, "regions": list(REGIONS)})["rescan"]["session"]["id"]
    must_succeed(visitor.finished(started, look=look, seconds=_SECONDS))
    repository = _named(lists["repositories"], REPOSITORY) or _add_repository(visitor, account)
    policy = _named(lists["policies"], POLICY) or _create_policy(visitor, account, repository, snapshots_kept)
    return Prepared(account, repository, policy, visitor.ask(_COUNT)["resources"]["totalCount"])


def zone_of(visitor: Visitor, point: Mapping[str, Any]) -> Zone:
    """Where the instance of this point lived."""
    found = visitor.ask(_WHERE, id=point["id"])["node"]
    return Zone(found["resource"]["account"]["id"], found["region"], found["details"]["instance"]["zone"])


def must_succeed(session: Session) -> None:
    """Errors: HoldfastError telling what the session's log and tasks say."""
    if session["state"] == "SUCCESS":
        return
    said = [f"{task['name']}: {task['message']}" for task in session["tasks"] if task["state"] not in ("SUCCESS", "PENDING")]
    said += [line["message"] for line in session["log"] if line["level"] in ("ERROR", "WARNING")]
    raise HoldfastError(f"{session['name']} ended with {session['state']}. " + " | ".join(dict.fromkeys(said)))


def _named(connection: Mapping[str, Any], name: str) -> str | None:
    return next((edge["node"]["id"] for edge in connection["edges"] if edge["node"]["name"] == name), None)


def _add_repository(visitor: Visitor, account: str) -> str:
    values = {
        "name": REPOSITORY,
        "description": "An S3 bucket of the demo account.",
        "kind": "S3",
        "accountId": account,
        "region": REGIONS[0],
        "location": BUCKET,
        "prefix": "holdfast",
        "password": PASSWORD,
    }
    repository_id: str = visitor.ask(_REPOSITORY, input=values)["addRepository"]["repository"]["id"]
    return repository_id


def _create_policy(visitor: Visitor, account: str, repository: str, snapshots_kept: int) -> str:
    values = {
        "name": POLICY,
        "description": "Everything tagged Environment=production: snapshots at 2:00 and 14:00, a backup at 2:00.",
        "scope": {
            "accountId": account,
            "regions": list(REGIONS),
            "mode": "LISTED",
            "tags": [{"key": "Environment", "value": "production"}],
        },
        "schedule": {
            "timezone": "UTC",
            "daily": {
                "snapshot": {"slots": [2, 14], "count": snapshots_kept},
                "backup": {"slots": [2], "period": {"amount": 30}},
            },
        },
        "repositoryId": repository,
    }
    policy_id: str = visitor.ask(_POLICY, input=values)["createPolicy"]["policy"]["id"]
    return policy_id
