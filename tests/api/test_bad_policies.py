"""Bad input about policies, and what it gives."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from server.api.graphql.scalars import global_id
from server.domain.policy import Policy
from server.domain.scope import Scope
from server.domain.session import State
from tests.api.bench import Bench
from tests.api.test_bad_input import Case, refused
from tests.contracts.entities import NOW
from tests.contracts.entities import account as make_account
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import resource as make_resource
from tests.contracts.entities import session as make_session

NOBODY = global_id("Policy", UUID(int=7))
SCOPE = {"accountId": "HOME", "regions": ["us-east-1"], "mode": "ALL"}
POLICY = {"name": "nightly", "scope": SCOPE}
SIX = {"snapshot": {"slots": [6], "count": 7}}
MONDAYS = {"hour": 7, "snapshot": {"slots": [0], "count": 2}}
FIRST = {"hour": 8, "day": {"weekday": "MONDAY"}, "snapshot": {"slots": [1], "count": 1}}


def daily(**rules: Any) -> dict[str, Any]:
    """A policy that makes snapshots at six, and what ``rules`` say."""
    return {**POLICY, "schedule": {"daily": {**SIX, **rules}}}


# ---- what is there ----------------------------------------------------------------------------------------------------


def existing_policy(bench: Bench) -> dict[str, Any]:
    policy = make_policy(bench.home, name="nightly")
    with bench.store.transaction() as tx:
        tx.policies.add(policy)
    return {"id": global_id("Policy", policy.id)}


def plain_policy(bench: Bench) -> dict[str, Any]:
    """One that could be saved as it is."""
    scope = Scope(account_id=bench.home.id, regions=("us-east-1",))
    policy = Policy(id=UUID(int=5), name="nightly", scope=scope, created_at=NOW, updated_at=NOW)
    with bench.store.transaction() as tx:
        tx.policies.add(policy)
    return {"id": global_id("Policy", policy.id)}


def running_policy(bench: Bench) -> dict[str, Any]:
    policy = make_policy(bench.home, name="nightly")
    session = make_session(state=State.RUNNING, started_at=NOW, policy_id=policy.id)
    with bench.store.transaction() as tx:
        tx.policies.add(policy)
        tx.sessions.add(session)
    return {"id": global_id("Policy", policy.id)}


def stale_policy(bench: Bench) -> dict[str, Any]:
    return {"id": existing_policy(bench)["id"], "policy": {**POLICY, "scope": {**SCOPE, "accountId": bench.home_id}}}


def other_account_resource(bench: Bench) -> dict[str, Any]:

    other = make_account()
    server = make_resource(other, name="far-away")
    with bench.store.transaction() as tx:
        tx.accounts.add(other)
        tx.resources.add(server)
    ids = [global_id("Resource", server.id)]
    return {"scope": {**SCOPE, "accountId": bench.home_id, "mode": "LISTED", "resourceIds": ids}}


CASES = [
    # policies
    Case("policy Region typo", "createPolicy", {**POLICY, "scope": {**SCOPE, "regions": ["eu-centrall-1"]}}, "INVALID_INPUT",
         "The policy cannot be saved: Unknown Region 'eu-centrall-1'. Did you mean eu-central-1?", fields=("scope.regions",)),
    Case("policy without Regions", "createPolicy", {**POLICY, "scope": {**SCOPE, "regions": []}}, "INVALID_INPUT",
         "The policy cannot be saved: Choose at least one Region.", fields=("scope.regions",)),
    Case("policy without a name", "createPolicy", {**POLICY, "name": " "}, "INVALID_INPUT",
         "The policy cannot be saved: Give the policy a name.", fields=("name",)),
    Case("policy name taken", "createPolicy", POLICY, "CONFLICT", "There is a policy named nightly already.", fields=("name",),
         given=lambda bench: existing_policy(bench) and None),
    Case("hour 24", "createPolicy", daily(snapshot={"slots": [24], "count": 7}), "INVALID_INPUT",
         "The policy cannot be saved: Hours are 0 to 23.", fields=("schedule.daily.snapshot.slots",)),
    Case("backup without a snapshot", "createPolicy", daily(backup={"slots": [7], "period": {"amount": 30}}), "INVALID_INPUT",
         "The policy cannot be saved: A backup needs a snapshot of the same hour: select the hour for snapshots too.",
         fields=("schedule.daily.backup.slots", "repositoryId")),
    Case("backup without a repository", "createPolicy", daily(backup={"slots": [6], "period": {"amount": 30}}),
         "INVALID_INPUT",
         "The policy cannot be saved: Backups need a repository: choose one, or clear their times.",
         fields=("repositoryId",)),
    Case("time zone that is none", "createPolicy", {**POLICY, "schedule": {"daily": SIX, "timezone": "Europe/Berlinn"}},
         "INVALID_INPUT",
         "The policy cannot be saved: Unknown time zone 'Europe/Berlinn': use an IANA name such as Europe/Berlin.",
         fields=("schedule.timezone",)),
    Case("retention of no day", "createPolicy", {**POLICY, "retention": {"backups": {"amount": 0}}}, "INVALID_INPUT",
         "The policy cannot be saved: Keep backups between 1 and 36135 days.", fields=("retention.backups",)),
    Case("monthly at another hour than weekly", "createPolicy", {**POLICY, "schedule": {"weekly": MONDAYS, "monthly": FIRST}},
         "INVALID_INPUT",
         "The policy cannot be saved: "
         "The monthly schedule goes with the weekly one: choose 07:00, or a fixed day of the month.",
         fields=("schedule.monthly.hour",)),
    Case("SLA policy without a template", "createPolicy", {**POLICY, "kind": "SLA"}, "INVALID_INPUT",
         "The policy cannot be saved: Choose an SLA template.", fields=("slaTemplateId",)),
    Case("SLA template that is not known", "createPolicy",
         {**POLICY, "kind": "SLA", "slaTemplateId": global_id("SlaTemplate", UUID(int=9))}, "INVALID_INPUT",
         "The policy cannot be saved: There is no such SLA template.", fields=("slaTemplateId",)),
    Case("six tags", "createPolicy", {**POLICY, "tags": [{"key": f"t{n}"} for n in range(6)]}, "INVALID_INPUT",
         "The policy cannot be saved: At most 5 tags of your own.", fields=("tags",)),
    Case("copies to where the snapshots are", "createPolicy",
         {**POLICY, "replicas": [{"accountId": "HOME", "region": "us-east-1"}]}, "INVALID_INPUT",
         "The policy cannot be saved: "
         "Snapshots of us-east-1 would be copied to where they are: choose another Region or account for them.",
         fields=("replicas.0.region",)),
    Case("copies to a Region typo", "createPolicy", {**POLICY, "replicas": [{"accountId": "HOME", "region": "eu-wets-1"}]},
         "INVALID_INPUT", "The policy cannot be saved: Unknown Region 'eu-wets-1'. Did you mean eu-west-1?",
         fields=("replicas.0.region",)),
    Case("recipient that is none", "createPolicy", {**POLICY, "notifications": {"recipients": ["ops"]}}, "INVALID_INPUT",
         "The policy cannot be saved: 'ops' is no mail address: one looks like ops@example.com.",
         fields=("notifications.recipients.0",)),
    Case("script that does not run", "createPolicy",
         {**POLICY, "guest": {"linux": {"pre": {"path": "/opt/freeze.exe"}}}}, "INVALID_INPUT",
         "The policy cannot be saved: The script must be one of: SH.", fields=("guest.linux.pre.path",)),
    Case("clone without a name", "clonePolicy", {"name": " "}, "INVALID_INPUT",
         "The policy cannot be saved: Give the policy a name.", fields=("name",), given=plain_policy),
    Case("unknown resource added", "addToPolicy", {"resourceIds": [global_id("Resource", UUID(int=9))]}, "INVALID_INPUT",
         "1 of these resources are not known: rescan, then choose again.", fields=("resourceIds",),
         given=lambda bench: {"policyId": existing_policy(bench)["id"]}),
    Case("resource that is not known", "createPolicy",
         {**POLICY, "scope": {**SCOPE, "mode": "LISTED", "resourceIds": [global_id("Resource", UUID(int=9))]}}, "INVALID_INPUT",
         "The policy cannot be saved: 1 of these resources are not known: rescan, then choose again.",
         fields=("scope.resourceIds",)),
    Case("resource of another account", "createPolicy", POLICY, "INVALID_INPUT",
         "The policy cannot be saved: far-away is in another account.", fields=("scope.resourceIds",),
         given=other_account_resource),
    Case("account that is not known", "createPolicy",
         {**POLICY, "scope": {**SCOPE, "accountId": global_id("Account", UUID(int=9))}}, "INVALID_INPUT",
         "The policy cannot be saved: There is no such account.", fields=("scope.accountId",)),
    Case("repository that is not known", "createPolicy", {**POLICY, "repositoryId": global_id("Repository", UUID(int=9))},
         "INVALID_INPUT", "The policy cannot be saved: There is no such repository.", fields=("repositoryId",)),
    Case("workload that is not known", "createPolicy", {**POLICY, "workload": "vax"}, "INVALID_INPUT",
         "The policy cannot be saved: Unknown workload 'vax': choose one of ec2.", fields=("workload",)),
    Case("id of something else", "createPolicy", {**POLICY, "repositoryId": NOBODY}, "INVALID_INPUT",
         "repositoryId is the id of a Policy, not of a Repository.", fields=("repositoryId",)),
    Case("id that is none", "deletePolicy", {"id": "policy-1"}, "INVALID_INPUT",
         "'policy-1' is not an id of this appliance.", fields=("id",)),
    Case("policy that is gone", "deletePolicy", {"id": NOBODY}, "NOT_FOUND", "There is no such policy.",
         remedy="It may have been removed; reload the list."),
    Case("policy changed meanwhile", "updatePolicy", {"edition": 7}, "CONFLICT",
         "nightly was changed meanwhile: it is at edition 1, not 7.", remedy="Read it again and repeat the change.",
         fields=("edition",), given=stale_policy),
    Case("policy started twice", "startPolicy", {}, "CONFLICT",
         "The policy nightly is still running, since 2026-11-22 12:00 UTC.",
         remedy="Wait for the session to end, or cancel it.", given=running_policy),
    Case("clientMutationId without end", "createPolicy", {**POLICY, "clientMutationId": "x" * 129}, "INVALID_INPUT",
         "clientMutationId has 1 to 128 characters.", fields=("clientMutationId",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_policies_say_what_is_wrong_and_what_to_do(bench: Bench, case: Case) -> None:
    refused(bench, case)
