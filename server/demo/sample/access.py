"""Roles, instance profiles and keys of the sample's three accounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from server.demo.credentials import HOME_ACCOUNT
from server.demo.sample import estate

Client = Callable[[str, str, str], Any]
"""Makes a client: service, access key, Region."""

_VERSION: Final = "2012-10-17"
_ROLE_ACTIONS: Final = [
    "ec2:*",
    "ebs:*",
    "s3:*",
    "kms:*",
    "ssm:*",
    "iam:Get*",
    "iam:List*",
    "iam:PassRole",
    "iam:SimulatePrincipalPolicy",
    "pricing:*",
]
_GUEST_ACTIONS: Final = [  # what AmazonSSMManagedInstanceCore and AWSEC2VssSnapshotPolicy come to
    "ssm:*",
    "ssmmessages:*",
    "ec2messages:*",
    "ec2:CreateSnapshot",
    "ec2:CreateSnapshots",
    "ec2:CreateTags",
    "ec2:DescribeInstances",
    "ec2:DescribeSnapshots",
]


def prepare(client: Client) -> None:
    """Make what is missing; repeating it changes nothing."""
    for key, name in (("demo2", estate.ROLE_NAME), ("dr", estate.DR_ROLE_NAME)):
        iam = client("iam", key, "us-east-1")
        unless_there(partial(iam.create_role, RoleName=name, AssumeRolePolicyDocument=_trust_in_home()))
        iam.put_role_policy(RoleName=name, PolicyName="backup", PolicyDocument=_allowing(_ROLE_ACTIONS))
    unless_there(lambda: client("iam", "dr", "us-east-1").create_account_alias(AccountAlias="holdfast-dr"))
    for key in ("demo", "demo2"):
        iam = client("iam", key, "us-east-1")
        _profile(iam, estate.PROFILE)
        _profile(iam, estate.PLAIN_PROFILE)
        iam.put_role_policy(RoleName=estate.PROFILE, PolicyName="agent", PolicyDocument=_allowing(_GUEST_ACTIONS))
    for region in estate.HOME_REGIONS:
        _key(client("kms", "demo", region), estate.DISK_KEY, "Disks of the sample")
    for region in estate.DR_REGIONS:
        _key(client("kms", "dr", region), estate.REPLICA_KEY, "Replicas of other accounts' disks")


def _trust_in_home() -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{HOME_ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": estate.EXTERNAL_ID}},
    }
    return json.dumps({"Version": _VERSION, "Statement": statement})


def _allowing(actions: list[str]) -> str:
    return json.dumps({"Version": _VERSION, "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}})


def _profile(iam: Any, name: str) -> None:
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": _VERSION, "Statement": statement})
    unless_there(lambda: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust))
    unless_there(lambda: iam.create_instance_profile(InstanceProfileName=name))
    unless_there(lambda: iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name))


def _key(kms: Any, alias: str, description: str) -> None:
    known = {entry["AliasName"] for entry in kms.list_aliases()["Aliases"]}
    if alias not in known:
        made = kms.create_key(Description=description)["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=alias, TargetKeyId=made)


def unless_there(make: Callable[[], Any]) -> None:
    try:
        make()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ("EntityAlreadyExists", "LimitExceeded") and not code.endswith("Duplicate"):
            raise
