"""The table of mistakes and mishaps: what a user does or meets, and words the answer must hold."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from server.demo import setting
from server.demo.sample import BUCKET, ROLE_ARN
from server.demo.visitor import Visitor
from server.domain.errors import HoldfastError
from tests.conftest import RunningAppliance

ADD_ACCOUNT = "mutation($input: AddAccountInput!) { addAccount(input: $input) { account { id } } }"
RESCAN = "mutation($input: RescanInput!) { rescan(input: $input) { session { id } } }"
ADD_REPOSITORY = "mutation($input: AddRepositoryInput!) { addRepository(input: $input) { repository { id } } }"
REMOVE_REPOSITORY = "mutation($input: IdInput!) { removeRepository(input: $input) { id } }"
CREATE_POLICY = "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { id edition } } }"
UPDATE_POLICY = "mutation($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { edition } } }"
DELETE_POLICY = "mutation($input: IdInput!) { deletePolicy(input: $input) { id } }"
START_POLICY = "mutation($input: StartPolicyInput!) { startPolicy(input: $input) { session { id } } }"
RESTORE_VOLUMES = "mutation($input: VolumeRestoreInput!) { startVolumeRestore(input: $input) { session { id } } }"
RESTORE_INSTANCE = "mutation($input: InstanceRestoreInput!) { startInstanceRestore(input: $input) { session { id } } }"
DELETE_POINTS = "mutation($input: DeletePointsInput!) { deleteRestorePoints(input: $input) { session { id } } }"
CANCEL = "mutation($input: IdInput!) { cancelSession(input: $input) { session { id } } }"
FIND = "query($filter: ResourceFilter) { resources(first: 2, filter: $filter) { edges { node { id region } } } }"
PASSWORD = "a long enough password"


@dataclass
class World:
    """An appliance with one repository, one policy that ran once, and ``point``, a backup it made."""

    appliance: RunningAppliance
    visitor: Visitor
    prepared: setting.Prepared
    session_id: str
    point: dict[str, Any]
    policies: list[str] = field(default_factory=list)  # made on the way; each covers resources others then do not

    def scope(self, **changes: Any) -> dict[str, Any]:
        return {"accountId": self.prepared.account_id, "regions": ["us-east-1"], "mode": "ALL", **changes}

    def policy(self, **changes: Any) -> dict[str, Any]:
        """A policy's input that is right but for ``changes``; its name is new."""
        right = {"name": f"policy {uuid4().hex[:8]}", "scope": self.scope(), "retention": {"snapshots": 1}}
        return {**right, "retryAttempts": 0, **changes}

    def repository(self, **changes: Any) -> dict[str, Any]:
        right = {
            "name": f"repository {uuid4().hex[:8]}",
            "kind": "S3",
            "accountId": self.prepared.account_id,
            "region": "us-east-1",
            "location": BUCKET,
            "prefix": uuid4().hex[:8],
            "password": PASSWORD,
        }
        return {**right, **changes}

    def restore(self, **changes: Any) -> dict[str, Any]:
        where = {"accountId": self.prepared.account_id, "region": self.point["region"]}
        return {"pointId": self.point["id"], **where, **changes}

    def volumes(self, **changes: Any) -> dict[str, Any]:
        return self.restore(zone=self.point["details"]["instance"]["zone"], **changes)

    def only(self, name: str) -> dict[str, Any]:
        """A scope of the one instance of this name."""
        found = self.visitor.ask(FIND, filter={"search": name})
        (edge,) = found["resources"]["edges"]
        return self.scope(mode="LISTED", regions=[edge["node"]["region"]], resourceIds=[edge["node"]["id"]])

    def created_policy(self, **changes: Any) -> str:
        policy_id: str = self.visitor.ask(CREATE_POLICY, input=self.policy(**changes))["createPolicy"]["policy"]["id"]
        self.policies.append(policy_id)
        return policy_id

    def forget_policies(self) -> bool:
        """Delete the policies made on the way; False while one of them still runs."""
        while self.policies:
            try:
                self.visitor.ask(DELETE_POLICY, input={"id": self.policies[-1]})
            except HoldfastError:
                return False
            self.policies.pop()
        return True


@dataclass(frozen=True)
class Case:
    """``act`` is refused, with ``says`` in message, remedy or fields."""

    name: str
    act: Callable[[World], object]
    says: str


def asks(name: str, mutation: str, make: Callable[[World], dict[str, Any]], says: str) -> Case:
    return Case(name, lambda world: world.visitor.ask(mutation, input=make(world)), says)


def stranger(world: World) -> Visitor:
    return Visitor(world.appliance.url)


def with_token(world: World, token: str) -> Visitor:
    visitor = stranger(world)
    visitor._token = token
    return visitor


def daily(hours: list[int], **changes: Any) -> dict[str, Any]:
    return {"daily": {"snapshot": {"slots": hours, "count": 1}, **changes}}


def backups(hours: list[int]) -> dict[str, Any]:
    return {"slots": hours, "period": {"amount": 1}}


def global_id(kind: str) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{uuid4()}".encode()).decode().rstrip("=")


def _twice(world: World) -> object:
    """A second start of a policy that is still running."""
    policy_id = world.created_policy()
    world.visitor.ask(START_POLICY, input={"id": policy_id})
    return world.visitor.ask(START_POLICY, input={"id": policy_id})


def _outdated(world: World) -> object:
    policy_id = world.created_policy()
    for _ in range(2):
        world.visitor.ask(UPDATE_POLICY, input={"id": policy_id, "edition": 1, "policy": world.policy()})
    return None


def _reopened(world: World, password: str) -> object:
    """A repository that was forgotten here, its files left; then added again."""
    right = world.repository()
    made = world.visitor.ask(ADD_REPOSITORY, input=right)["addRepository"]["repository"]["id"]
    world.visitor.ask(REMOVE_REPOSITORY, input={"id": made})
    return world.visitor.ask(ADD_REPOSITORY, input={**right, "password": password})


SIGN_IN = [
    Case("wrong password", lambda w: stranger(w).sign_in("admin", "wrong password"), "name or password"),
    Case("unknown user", lambda w: stranger(w).sign_in("nobody", "wrong password"), "name or password"),
    Case("no token", lambda w: stranger(w).ask("{ overview { policyCount } }"), "Sign in"),
    Case("made-up token", lambda w: with_token(w, "hf_nonsense").ask("{ me { name } }"), "Sign in"),
]
QUERIES = [
    Case("broken query", lambda w: w.visitor.ask("{ me { "), "Syntax Error"),
    Case("unknown field", lambda w: w.visitor.ask("{ me { shoeSize } }"), "shoeSize"),
    Case("page of zero", lambda w: w.visitor.ask("{ policies(first: 0) { totalCount edges { cursor } } }"), "1 to 100"),
    Case("page too large", lambda w: w.visitor.ask("{ policies(first: 101) { edges { cursor } } }"), "1 to 100"),
    Case("made-up cursor", lambda w: w.visitor.ask('{ policies(first: 1, after: "x") { edges { cursor } } }'), "cursor"),
    Case(
        "too many aliases",
        lambda w: w.visitor.ask("{" + " ".join(f"a{i}: me {{ id }}" for i in range(500)) + "}"),
        "500 aliases",
    ),
]
ACCOUNTS = [
    asks("malformed role ARN", ADD_ACCOUNT, lambda _: {"name": "a", "roleArn": "arn:aws:iam::12:role/x"}, "role"),
    asks(
        "role that does not exist",
        ADD_ACCOUNT,
        lambda _: {"name": "b", "roleArn": "arn:aws:iam::210987654321:role/Nothing", "externalId": "holdfast-demo"},
        "arn:aws:iam::210987654321:role/Nothing",
    ),
    asks("wrong external id", ADD_ACCOUNT, lambda _: {"name": "c", "roleArn": ROLE_ARN, "externalId": "wrong"}, "external id"),
    asks("Region typo", RESCAN, lambda w: {"accountId": w.prepared.account_id, "regions": ["us-esat-1"]}, "us-esat-1"),
]
REPOSITORIES = [
    asks("missing bucket", ADD_REPOSITORY, lambda w: w.repository(location="no-such-bucket-here"), "no-such-bucket-here"),
    asks("malformed bucket name", ADD_REPOSITORY, lambda w: w.repository(location="Not A Bucket"), "bucket"),
    asks("short repository password", ADD_REPOSITORY, lambda w: w.repository(password="short"), "password"),
    Case("wrong password of an existing repository", lambda w: _reopened(w, "not the right one"), "password"),
    asks("a repository added already", ADD_REPOSITORY, lambda w: w.repository(prefix="holdfast"), setting.REPOSITORY),
    asks("name taken", ADD_REPOSITORY, lambda w: w.repository(name=setting.REPOSITORY), "name"),
    asks(
        "local folder outside the permitted one",
        ADD_REPOSITORY,
        lambda w: w.repository(kind="LOCAL", location="/etc", accountId=None, region=None, prefix=""),
        "beneath",
    ),
    asks("repository in use", REMOVE_REPOSITORY, lambda w: {"id": w.prepared.repository_id}, setting.POLICY),
]
POLICIES = [
    asks("no Region", CREATE_POLICY, lambda w: w.policy(scope=w.scope(regions=[])), "at least one Region"),
    asks("nothing selected", CREATE_POLICY, lambda w: w.policy(scope=w.scope(mode="LISTED")), "at least one resource or tag"),
    asks("hour 25", CREATE_POLICY, lambda w: w.policy(schedule=daily([25])), "0 to 23"),
    asks("no day", CREATE_POLICY, lambda w: w.policy(schedule=daily([1], days=[])), "at least one day"),
    asks(
        "unknown time zone",
        CREATE_POLICY,
        lambda w: w.policy(schedule={**daily([1]), "timezone": "Berlin"}),
        "IANA name",
    ),
    asks(
        "backups without a repository",
        CREATE_POLICY,
        lambda w: w.policy(schedule=daily([1], backup=backups([1]))),
        "Backups need a repository",
    ),
    asks(
        "backup without a snapshot",
        CREATE_POLICY,
        lambda w: w.policy(repositoryId=w.prepared.repository_id, schedule=daily([1], backup=backups([2]))),
        "snapshot of the same hour",
    ),
    asks(
        "yearly archive with nothing to archive",
        CREATE_POLICY,
        lambda w: w.policy(
            schedule={
                "yearly": {
                    "hour": 1,
                    "day": {"day": 31},
                    "archive": {"slots": [12], "period": {"amount": 7, "unit": "YEARS"}},
                }
            }
        ),
        "made of daily, weekly or monthly backups",
    ),
    asks("no SLA template", CREATE_POLICY, lambda w: w.policy(kind="SLA"), "Choose an SLA template"),
    asks("no such volume", CREATE_POLICY, lambda w: w.policy(scope=w.scope(excludedVolumes={"volumeIds": ["v"]})), "volume id"),
    asks("unknown workload", CREATE_POLICY, lambda w: w.policy(workload="lambda"), "lambda"),
    asks("policy name taken", CREATE_POLICY, lambda w: w.policy(name=setting.POLICY), "name"),
    asks("too many retries", CREATE_POLICY, lambda w: w.policy(retryAttempts=99), "0 and 9"),
    Case("somebody else changed it first", _outdated, "changed"),
    Case("started twice", _twice, "running"),
    asks("a policy that is gone", START_POLICY, lambda _: {"id": global_id("Policy")}, "no"),
    asks("an id of something else", START_POLICY, lambda w: {"id": w.prepared.repository_id}, "Policy"),
]
RESTORES = [
    asks("unknown zone", RESTORE_VOLUMES, lambda w: w.restore(zone="us-east-1z"), "us-east-1z"),
    asks("unknown disk", RESTORE_VOLUMES, lambda w: w.volumes(disks=["vol-0"]), "vol-0"),
    asks("unknown volume type", RESTORE_VOLUMES, lambda w: w.volumes(volumeType="gp9"), "gp9"),
    asks("a point that is gone", RESTORE_VOLUMES, lambda w: w.volumes(pointId=global_id("RestorePoint")), "no"),
    asks("no name for the new instance", RESTORE_INSTANCE, lambda w: w.restore(name=""), "name"),
    asks("nothing to delete", DELETE_POINTS, lambda _: {"ids": []}, "Between 1 and 100"),
    asks("cancel what has ended", CANCEL, lambda w: {"id": w.session_id}, "ended"),
]
REFUSED = [*SIGN_IN, *QUERIES, *ACCOUNTS, *REPOSITORIES, *POLICIES, *RESTORES]
