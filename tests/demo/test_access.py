"""Who gets in: keys, signatures, roles with their trust and external id, and accounts apart from each other."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from server.demo.sts import trusts
from tests.demo.clouds import Cloud, refused

SECOND = "210987654321"
HOME_ROOT = "arn:aws:iam::123456789012:root"


def trust(principal: str, external_id: str | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    if external_id:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.fixture(scope="module")
def role(cloud: Cloud) -> str:
    iam = cloud.client("iam", key="demo2")
    reply = iam.create_role(RoleName="Backup", AssumeRolePolicyDocument=json.dumps(trust(HOME_ROOT, "secret-id")))
    return str(reply["Role"]["Arn"])


def assume(cloud: Cloud, role_arn: str, **options: Any) -> Any:
    return cloud.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="holdfast", **options)


@pytest.mark.parametrize(
    ("service", "call", "unknown", "forged"),
    [
        ("ec2", "describe_instances", "AuthFailure", "AuthFailure"),
        ("sts", "get_caller_identity", "InvalidClientTokenId", "SignatureDoesNotMatch"),
        ("s3", "list_buckets", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    ],
)
def test_wrong_keys_are_refused(cloud: Cloud, service: str, call: str, unknown: str, forged: str) -> None:
    assert refused(getattr(cloud.client(service, key="stranger"), call))[0] == unknown
    assert refused(getattr(cloud.client(service, aws_secret_access_key="wrong"), call))[0] == forged


def test_wrong_keys_are_refused_by_ebs_direct(cloud: Cloud) -> None:
    snapshot = {"SnapshotId": "snap-0123456789abcdef0"}
    stranger, forger = cloud.client("ebs", key="stranger"), cloud.client("ebs", aws_secret_access_key="wrong")
    assert refused(lambda: stranger.list_snapshot_blocks(**snapshot)) == ("UnrecognizedClientException", 403)
    assert refused(lambda: forger.list_snapshot_blocks(**snapshot)) == ("InvalidSignatureException", 403)


def test_nobody_is_refused(cloud: Cloud) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{cloud.url}/some-bucket/key", timeout=10)
    assert caught.value.code == 403
    caught.value.close()


def test_a_region_that_does_not_exist_is_refused(cloud: Cloud) -> None:
    code, status = refused(cloud.client("ec2", "eu-centrl-1").describe_instances)
    assert (code, status) == ("SignatureDoesNotMatch", 403)


def test_a_role_opens_its_own_account(cloud: Cloud, role: str) -> None:
    credentials = assume(cloud, role, ExternalId="secret-id")["Credentials"]
    temporary = {
        "key": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }
    identity = cloud.client("sts", **temporary).get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (SECOND, f"arn:aws:sts::{SECOND}:assumed-role/Backup/holdfast")
    volume_id = cloud.client("ec2", **temporary).create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    assert refused(lambda: cloud.client("ec2").describe_volumes(VolumeIds=[volume_id]))[0] == "InvalidVolume.NotFound"
    assert cloud.client("ec2", key="demo2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    del temporary["aws_session_token"]
    assert refused(cloud.client("ec2", **temporary).describe_volumes)[0] == "AuthFailure"


def test_a_role_refuses_whom_it_does_not_trust(cloud: Cloud, role: str) -> None:
    assert refused(lambda: assume(cloud, role)) == ("AccessDenied", 403)
    assert refused(lambda: assume(cloud, role, ExternalId="guess")) == ("AccessDenied", 403)
    absent = f"arn:aws:iam::{SECOND}:role/Nobody"
    assert refused(lambda: assume(cloud, absent, ExternalId="secret-id")) == ("AccessDenied", 403)


def test_malformed_questions_are_named(cloud: Cloud, role: str) -> None:
    assert refused(lambda: assume(cloud, "arn:aws:iam::1:role/x" + "y" * 10)) == ("ValidationError", 400)
    assert refused(lambda: assume(cloud, role, ExternalId="secret-id", DurationSeconds=43_201))[0] == "ValidationError"


def test_users_keys_work_until_they_are_made_inactive(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="backup")
    made = iam.create_access_key(UserName="backup")["AccessKey"]
    own = {"key": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    assert cloud.client("sts", **own).get_caller_identity()["Arn"].endswith(":user/backup")
    iam.update_access_key(UserName="backup", AccessKeyId=made["AccessKeyId"], Status="Inactive")
    assert refused(cloud.client("sts", **own).get_caller_identity)[0] == "InvalidClientTokenId"


def test_an_old_request_is_refused(cloud: Cloud) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    address = f"{cloud.url}/snapshots/snap-0123456789abcdef0/blocks"
    request = AWSRequest("GET", address, headers={"host": cloud.url[7:]})
    signer = SigV4Auth(Credentials("demo", "demo"), "ebs", "us-east-1")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 3600))
    request.headers["X-Amz-Date"] = stamp
    request.context["timestamp"] = stamp
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    scope = signer.credential_scope(request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential=demo/{scope}, SignedHeaders={names}, Signature={signature}"
    sent = urllib.request.Request(address, headers=dict(request.headers))
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(sent, timeout=10)
    assert json.load(caught.value)["__type"] == "RequestExpired"
    caught.value.close()


@pytest.mark.parametrize(
    ("policy", "caller", "external_id", "let_in"),
    [
        (trust(HOME_ROOT), "arn:aws:iam::123456789012:user/demo", None, True),
        (trust("123456789012"), "arn:aws:iam::123456789012:user/demo", None, True),
        (trust("*"), "arn:aws:iam::999999999999:user/x", None, True),
        (trust(HOME_ROOT), "arn:aws:iam::999999999999:user/x", None, False),
        (trust(HOME_ROOT, "a"), "arn:aws:iam::123456789012:user/demo", "a", True),
        (trust(HOME_ROOT, "a"), "arn:aws:iam::123456789012:user/demo", "b", False),
        (trust(HOME_ROOT, "a"), "arn:aws:iam::123456789012:user/demo", None, False),
        ({"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}},
         "arn:aws:iam::123456789012:user/demo", None, False),
        ({"Statement": [*trust("*")["Statement"], {**trust(HOME_ROOT)["Statement"][0], "Effect": "Deny"}]},
         "arn:aws:iam::123456789012:user/demo", None, False),
        (None, "arn:aws:iam::123456789012:user/demo", None, False),
    ],
)  # fmt: skip
def test_trust_policies(policy: Any, caller: str, external_id: str | None, let_in: bool) -> None:
    assert trusts(policy, caller, external_id) is let_in
    assert trusts(json.dumps(policy) if policy else None, caller, external_id) is let_in


def test_only_regions_the_account_can_use_are_listed(cloud: Cloud) -> None:
    names = {region["RegionName"] for region in cloud.client("ec2").describe_regions()["Regions"]}
    assert {"us-east-1", "eu-central-1"} <= names
    assert not {name for name in names if name.startswith(("cn-", "us-gov-", "us-iso"))}
