"""How policies are weighed, and what the simulator tells of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.demo import policies
from tests.demo.clouds import Cloud, refused

SECOND = "210987654321"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more) | {"Effect": "Deny"}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.mark.parametrize(
    ("statements", "action", "resource", "decision"),
    [
        ([allow("ec2:*")], "ec2:CopySnapshot", "*", "allowed"),
        ([allow("EC2:copysnapshot")], "ec2:CopySnapshot", "*", "allowed"),
        ([allow("ec2:Describe*")], "ec2:CopySnapshot", "*", "implicitDeny"),
        ([allow("*"), deny("kms:*")], "kms:Decrypt", KEY, "explicitDeny"),
        ([allow("kms:Decrypt", "arn:aws:kms:*:123456789012:key/*")], "kms:Decrypt", KEY, "allowed"),
        ([allow("kms:Decrypt", "arn:aws:kms:*:999999999999:key/*")], "kms:Decrypt", KEY, "implicitDeny"),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], "ec2:RunInstances", "*", "allowed"),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], "iam:PassRole", "*", "implicitDeny"),
        ([{"Effect": "Allow", "Action": "*", "NotResource": KEY}], "kms:Decrypt", KEY, "implicitDeny"),
        ([], "ec2:RunInstances", "*", "implicitDeny"),
    ],
)
def test_decisions(statements: list[dict[str, Any]], action: str, resource: str, decision: str) -> None:
    assert policies.decide([policy(*statements)], action, resource) == decision


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}}, True),
        ({"StringEquals": {"KMS:viaservice": ["x", "ec2.us-east-1.amazonaws.com"]}}, True),
        ({"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"}}, True),
        ({"StringNotEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}}, False),
        ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, False),
        ({"BoolIfExists": {"kms:GrantIsForAWSResource": "true"}}, True),
        ({"Null": {"kms:GrantIsForAWSResource": "true"}}, True),
        ({"Null": {"kms:ViaService": "true"}}, False),
        ({"DateLessThan": {"kms:ViaService": "2030-01-01"}}, False),
        ({"StringEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com", "aws:PrincipalArn": "x"}}, False),
    ],
)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    documents = [policy(allow("kms:*", Condition=condition))]
    context = {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}
    assert (policies.decide(documents, "kms:Decrypt", KEY, context) == "allowed") is holds


@given(
    st.lists(st.sampled_from(["a:X", "a:Y", "b:X"]), max_size=4), st.lists(st.sampled_from(["a:X", "a:Y", "b:X"]), max_size=4)
)
def test_a_denial_wins_wherever_it_stands(allowed: list[str], denied: list[str]) -> None:
    for documents in ([policy(allow(allowed)), policy(deny(denied))], [policy(deny(denied), allow(allowed))]):
        verdict = policies.decide(documents, "a:X")
        assert verdict == ("explicitDeny" if "a:X" in denied else "allowed" if "a:X" in allowed else "implicitDeny")


def test_a_session_goes_by_the_name_of_its_role_too() -> None:
    session = f"arn:aws:sts::{SECOND}:assumed-role/Backup/holdfast"
    assert policies.names_of(session) == {session, f"arn:aws:iam::{SECOND}:role/Backup"}
    assert policies.is_principal({"AWS": [f"arn:aws:iam::{SECOND}:role/Backup"]}, session)
    assert not policies.is_principal({"AWS": "123456789012"}, session)
    assert not policies.is_principal({"Service": "ec2.amazonaws.com"}, session)


@pytest.fixture(scope="module")
def role(cloud: Cloud) -> str:
    """With an inline and a managed policy."""
    iam = cloud.client("iam", key="demo2")
    trust = policy({"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"})
    arn = str(iam.create_role(RoleName="simulated", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"])
    inline = policy(allow("ec2:*"), deny("ec2:TerminateInstances"), allow("s3:*", "arn:aws:s3:::backups/*"))
    iam.put_role_policy(RoleName="simulated", PolicyName="inline", PolicyDocument=json.dumps(inline))
    condition = {"StringEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}}
    managed = iam.create_policy(PolicyName="keys", PolicyDocument=json.dumps(policy(allow("kms:*", Condition=condition))))
    iam.attach_role_policy(RoleName="simulated", PolicyArn=managed["Policy"]["Arn"])
    return arn


def simulated(cloud: Cloud, role: str, *actions: str, **options: Any) -> dict[str, dict[str, Any]]:
    iam = cloud.client("iam", key="demo2")
    pages = iam.get_paginator("simulate_principal_policy").paginate(PolicySourceArn=role, ActionNames=list(actions), **options)
    return {each["EvalActionName"]: each for page in pages for each in page["EvaluationResults"]}


def test_the_simulator_decides_by_the_roles_policies(cloud: Cloud, role: str) -> None:
    found = simulated(cloud, role, "ec2:CopySnapshot", "ec2:TerminateInstances", "iam:PassRole", "kms:Decrypt")
    assert {action: each["EvalDecision"] for action, each in found.items()} == {
        "ec2:CopySnapshot": "allowed",
        "ec2:TerminateInstances": "explicitDeny",
        "iam:PassRole": "implicitDeny",
        "kms:Decrypt": "implicitDeny",
    }
    assert found["kms:Decrypt"]["MissingContextValues"] == ["kms:ViaService"]
    values = {"ContextKeyValues": ["ec2.us-east-1.amazonaws.com"], "ContextKeyType": "string"}
    told = simulated(cloud, role, "kms:Decrypt", ContextEntries=[{"ContextKeyName": "kms:ViaService", **values}])
    assert told["kms:Decrypt"]["EvalDecision"] == "allowed"
    elsewhere = simulated(cloud, role, "s3:PutObject", ResourceArns=["arn:aws:s3:::others/key"])
    assert elsewhere["s3:PutObject"]["EvalDecision"] == "implicitDeny"
    there = simulated(cloud, role, "s3:PutObject", ResourceArns=["arn:aws:s3:::backups/key"])
    assert there["s3:PutObject"]["EvalDecision"] == "allowed"


def test_many_actions_come_in_pages(cloud: Cloud, role: str) -> None:
    actions = [f"ec2:Operation{number}" for number in range(150)]
    assert len(simulated(cloud, role, *actions)) == 150
    assert len(simulated(cloud, role, *actions, PaginationConfig={"PageSize": 40})) == 150


def test_what_cannot_be_simulated_is_refused(cloud: Cloud, role: str) -> None:
    def refusal(key: str, source: str, action: str = "ec2:CopySnapshot") -> str:
        iam = cloud.client("iam", key=key)
        return refused(lambda: iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=[action]))[0]

    assert refusal("demo", role) == "InvalidInput"
    assert refusal("demo2", f"{role}-gone") == "NoSuchEntity"
    assert refusal("demo2", f"arn:aws:sts::{SECOND}:assumed-role/simulated/x") == "InvalidInput"
    assert refusal("demo2", role, "CopySnapshot") == "InvalidInput"


def test_asking_is_a_permission_itself(cloud: Cloud, role: str) -> None:
    given = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    session = {"aws_secret_access_key": given["SecretAccessKey"], "aws_session_token": given["SessionToken"]}
    iam = cloud.client("iam", key=given["AccessKeyId"], **session)
    ask = lambda: iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["ec2:CopySnapshot"])  # noqa: E731
    assert refused(ask) == ("AccessDenied", 403)


def test_a_policy_can_be_tried_before_it_is_attached(cloud: Cloud) -> None:
    reply = cloud.client("iam").simulate_custom_policy(
        PolicyInputList=[json.dumps(policy(allow("ec2:*")))], ActionNames=["ec2:CopySnapshot", "kms:Decrypt"]
    )
    assert [each["EvalDecision"] for each in reply["EvaluationResults"]] == ["allowed", "implicitDeny"]


def test_the_users_that_stand_for_administrators_may_do_anything(cloud: Cloud) -> None:
    reply = cloud.client("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::123456789012:user/demo", ActionNames=["kms:Decrypt"]
    )
    assert reply["EvaluationResults"][0]["EvalDecision"] == "allowed"
