"""The ``Aws`` port: what the real adapter and the scripted one promise alike, and how AWS's errors come out."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import boto3
import pytest

from server.adapters import aws_errors
from server.adapters.aws import Boto3Aws
from server.adapters.aws_errors import Call
from server.adapters.aws_scripted import ScriptedAws
from server.adapters.clock import FakeClock, SystemClock
from server.domain.errors import (
    AwsAccessDenied,
    AwsCredentials,
    AwsLimit,
    AwsNotFound,
    AwsRejected,
    HoldfastError,
    Throttled,
    Unavailable,
)
from server.domain.workload import Place
from server.ports import Aws
from tests.demo_account import HOME, REGION, DemoAccount, demo_account

SECOND = "210987654321"
EXTERNAL_ID = "a-long-agreed-word"
ROLE = f"arn:aws:iam::{SECOND}:role/Backup"
ROLE_PLACE = Place(UUID(int=2), ROLE, EXTERNAL_ID, REGION)


@pytest.fixture(scope="module")
def account() -> Iterator[DemoAccount]:
    with demo_account() as running:
        _create_role(running.url)
        yield running


@pytest.fixture
def aws(account: DemoAccount) -> Boto3Aws:
    account.reset()
    return Boto3Aws(FakeClock(datetime(2026, 11, 22, tzinfo=UTC)), endpoint_url=account.url)


def _create_role(url: str) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
            }
        ],
    }
    iam = boto3.client(
        "iam", endpoint_url=url, region_name="us-east-1", aws_access_key_id="demo2", aws_secret_access_key="demo2"
    )
    iam.create_role(RoleName="Backup", AssumeRolePolicyDocument=json.dumps(trust))
    iam.close()


# ---- what both adapters promise


def _five_groups_a_page(params: dict[str, Any]) -> dict[str, Any]:
    start = int(params.get("NextToken", 0))
    page: dict[str, Any] = {"SecurityGroups": [{"GroupId": f"sg-{n}"} for n in range(start, min(start + 5, 12))]}
    return page | ({"NextToken": str(start + 5)} if start + 5 < 12 else {})


@pytest.fixture(params=["boto3", "scripted"])
def either(request: pytest.FixtureRequest, account: DemoAccount) -> Aws:
    if request.param == "scripted":
        missing = AwsNotFound("no such volume", operation="ec2:DescribeVolumes", aws_code="InvalidVolume.NotFound")
        return ScriptedAws(
            {
                ("sts", "get_caller_identity"): {"Account": "123456789012"},
                ("ec2", "describe_security_groups"): _five_groups_a_page,
                ("ec2", "describe_volumes"): missing,
            }
        )
    account.reset()
    real = Boto3Aws(SystemClock(), endpoint_url=account.url)
    present = real.call(HOME, "ec2", "describe_security_groups")["SecurityGroups"]
    for number in range(len(present), 12):
        real.call(HOME, "ec2", "create_security_group", GroupName=f"group-{number}", Description="paging")
    return real


def test_a_call_answers_as_boto3_does(either: Aws) -> None:
    assert either.call(HOME, "sts", "get_caller_identity")["Account"] == "123456789012"


def test_pages_go_through_all_pages(either: Aws) -> None:
    pages = list(either.pages(HOME, "ec2", "describe_security_groups", MaxResults=5))
    assert [len(page["SecurityGroups"]) for page in pages] == [5, 5, 2]
    assert len({group["GroupId"] for page in pages for group in page["SecurityGroups"]}) == 12


def test_an_unknown_operation_is_refused(either: Aws) -> None:
    with pytest.raises(AwsRejected, match=r"no operation ec2\.describe_instancez"):
        either.call(HOME, "ec2", "describe_instancez")


def test_wrong_parameters_are_refused_before_anything_is_sent(either: Aws) -> None:
    with pytest.raises(AwsRejected, match="Volumez"):
        either.call(HOME, "ec2", "describe_volumes", Volumez=["vol-1"])


def test_a_missing_thing_is_not_found(either: Aws) -> None:
    with pytest.raises(AwsNotFound) as caught:
        either.call(HOME, "ec2", "describe_volumes", VolumeIds=["vol-0123456789abcdef0"])
    assert caught.value.aws_code == "InvalidVolume.NotFound"
    assert caught.value.operation == "ec2:DescribeVolumes"


# ---- accounts and credentials


def test_a_role_account_is_entered_with_its_external_id(aws: Boto3Aws) -> None:
    arn = aws.call(ROLE_PLACE, "sts", "get_caller_identity")["Arn"]
    assert arn == f"arn:aws:sts::{SECOND}:assumed-role/Backup/holdfast"


def test_one_session_serves_many_calls(aws: Boto3Aws, account: DemoAccount) -> None:
    for _ in range(3):
        aws.call(ROLE_PLACE, "ec2", "describe_vpcs")
    aws.keys(ROLE_PLACE)
    assert account.calls("sts:AssumeRole") == 1


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (replace(ROLE_PLACE, external_id="wrong"), "external id"),
        (replace(ROLE_PLACE, external_id=None), "external id"),
        (replace(ROLE_PLACE, role_arn=f"arn:aws:iam::{SECOND}:role/Bakcup"), "role exists"),
    ],
    ids=["wrong external id", "missing external id", "no such role"],
)
def test_a_role_that_cannot_be_assumed_says_what_to_check(aws: Boto3Aws, place: Place, words: str) -> None:
    with pytest.raises(AwsAccessDenied) as caught:
        aws.call(place, "ec2", "describe_vpcs")
    assert str(place.role_arn) in caught.value.message
    assert words in (caught.value.remedy or "")


def test_a_malformed_role_arn_shows_what_one_looks_like(aws: Boto3Aws) -> None:
    with pytest.raises(AwsRejected) as caught:
        aws.call(replace(ROLE_PLACE, role_arn="arn:aws:iam::Backup-role-of-mine"), "ec2", "describe_vpcs")
    assert "arn:aws:iam::123456789012:role/Name" in (caught.value.remedy or "")


def test_an_external_id_never_shows(aws: Boto3Aws) -> None:
    place = replace(ROLE_PLACE, external_id="hush-hush")
    with pytest.raises(AwsAccessDenied) as caught:
        aws.call(place, "ec2", "describe_vpcs")
    assert "hush-hush" not in caught.value.sentence() + repr(place) + repr(aws.keys(HOME))


def test_a_session_ended_early_is_entered_anew(aws: Boto3Aws, account: DemoAccount) -> None:
    aws.call(ROLE_PLACE, "ec2", "describe_vpcs")
    account.fault("ec2:DescribeVpcs", "expired", times=1)
    aws.call(ROLE_PLACE, "ec2", "describe_vpcs")
    assert account.calls("sts:AssumeRole") == 2


def test_credentials_that_stay_expired_are_reported(aws: Boto3Aws, account: DemoAccount) -> None:
    account.fault("ec2:DescribeVpcs", "expired", times=None)
    with pytest.raises(AwsCredentials, match="has expired"):
        aws.call(HOME, "ec2", "describe_vpcs")


def test_no_credentials_at_all(account: DemoAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    aws = Boto3Aws(SystemClock(), endpoint_url=account.url)
    with pytest.raises(AwsCredentials, match="no usable AWS credentials") as caught:
        aws.call(HOME, "ec2", "describe_vpcs")
    assert "instance profile" in (caught.value.remedy or "")
    with pytest.raises(AwsCredentials):
        aws.keys(HOME)


def test_a_wrong_secret_is_a_matter_of_credentials(account: DemoAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-it")
    with pytest.raises(AwsCredentials) as caught:
        Boto3Aws(SystemClock(), endpoint_url=account.url).call(HOME, "ec2", "describe_vpcs")
    assert "not-it" not in caught.value.sentence()


# ---- patience


def test_throttling_is_waited_out(aws: Boto3Aws, account: DemoAccount) -> None:
    account.fault("ec2:DescribeVpcs", "throttle", times=3)
    assert aws.call(HOME, "ec2", "describe_vpcs")["Vpcs"]


def test_lasting_throttling_is_throttled_not_failed(aws: Boto3Aws, account: DemoAccount) -> None:
    account.fault("ec2:DescribeVpcs", "throttle", times=None)
    with pytest.raises(Throttled):
        aws.call(HOME, "ec2", "describe_vpcs")


@pytest.mark.parametrize("kind", ["error500", "lost_reply"])
def test_a_passing_failure_of_a_look_is_repeated(aws: Boto3Aws, account: DemoAccount, kind: str) -> None:
    account.fault("ec2:DescribeVpcs", kind, times=2)
    assert aws.call(HOME, "ec2", "describe_vpcs")["Vpcs"]
    assert account.calls("ec2:DescribeVpcs") == 3


@pytest.mark.parametrize("kind", ["error500", "lost_reply"])
def test_a_create_without_client_token_is_never_repeated_blindly(aws: Boto3Aws, account: DemoAccount, kind: str) -> None:
    account.fault("ec2:CreateVpc", kind, times=None)
    with pytest.raises(Unavailable):
        aws.call(HOME, "ec2", "create_vpc", CidrBlock="10.9.0.0/16")
    assert account.calls("ec2:CreateVpc") == 1


def test_a_create_that_was_only_throttled_is_repeated(aws: Boto3Aws, account: DemoAccount) -> None:
    account.fault("ec2:CreateVpc", "throttle", times=2)
    assert aws.call(HOME, "ec2", "create_vpc", CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]


def test_a_create_with_client_token_survives_a_lost_answer_without_a_second_volume(aws: Boto3Aws, account: DemoAccount) -> None:
    account.fault("ec2:CreateVolume", "lost_reply", times=1)
    volume = aws.call(HOME, "ec2", "create_volume", AvailabilityZone=f"{REGION}a", Size=1, ClientToken="just-once")
    volumes = [v for page in aws.pages(HOME, "ec2", "describe_volumes") for v in page["Volumes"]]
    assert [v["VolumeId"] for v in volumes] == [volume["VolumeId"]]


def test_a_server_that_does_not_answer_in_time_is_unavailable(account: DemoAccount) -> None:
    account.reset()
    aws = Boto3Aws(FakeClock(datetime(2026, 11, 22, tzinfo=UTC)), endpoint_url=account.url, read_timeout=0.2)
    account.fault("ec2:CreateVpc", "timeout", times=1, delay=5)
    with pytest.raises(Unavailable, match="does not answer"):
        aws.call(HOME, "ec2", "create_vpc", CidrBlock="10.9.0.0/16")


def test_a_denied_call_names_action_and_identity(aws: Boto3Aws, account: DemoAccount) -> None:
    account.fault("ec2:DescribeVpcs", "denied", times=None)
    with pytest.raises(AwsAccessDenied) as caught:
        aws.call(ROLE_PLACE, "ec2", "describe_vpcs")
    assert ROLE in caught.value.message
    assert "Allow ec2:DescribeVpcs" in (caught.value.remedy or "")


def test_an_endpoint_that_is_down(account: DemoAccount) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        aws = Boto3Aws(FakeClock(datetime(2026, 11, 22, tzinfo=UTC)), endpoint_url=url)
        with pytest.raises(Unavailable) as caught:
            aws.call(HOME, "ec2", "describe_vpcs")
    assert url in caught.value.message


@pytest.mark.parametrize(
    ("typed", "hint"), [("eu-centrall-1", "eu-central-1"), ("us-east1", "us-east-1"), ("moon", "spelling")]
)
def test_a_mistyped_region_is_noticed_before_any_call(aws: Boto3Aws, typed: str, hint: str) -> None:
    with pytest.raises(AwsRejected) as caught:
        aws.call(replace(HOME, region=typed), "ec2", "describe_vpcs")
    assert caught.value.aws_code == "UnknownRegion"
    assert hint in (caught.value.remedy or "")


def test_a_closed_adapter_opens_anew_when_called(aws: Boto3Aws) -> None:
    aws.call(HOME, "ec2", "describe_vpcs")
    aws.close()
    assert aws.call(HOME, "ec2", "describe_vpcs")["Vpcs"]
    aws.close()


def test_every_action_used_is_recorded(aws: Boto3Aws) -> None:
    aws.call(ROLE_PLACE, "ec2", "describe_vpcs")
    assert aws.actions == {"ec2:DescribeVpcs", "sts:AssumeRole"}


def test_the_time_until_giving_up_leaves_room_to_cancel(account: DemoAccount) -> None:
    """Retries inside one call stay far below the five seconds in which a task must stop, on average."""
    account.reset()
    aws = Boto3Aws(SystemClock(), endpoint_url=account.url)
    account.fault("ec2:DescribeVpcs", "error500", times=None)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        aws.call(HOME, "ec2", "describe_vpcs")
    assert time.monotonic() - started < 5


# ---- AWS's errors in our words

DENIED_TEXT = "User: arn:aws:sts::1:assumed-role/B/holdfast is not authorized to perform: ec2:CreateSnapshots on resource: x"
ERRORS: list[tuple[str, str, int, type[HoldfastError], str]] = [
    ("RequestLimitExceeded", "Request limit exceeded.", 503, Throttled, "slows down"),
    ("Throttling", "Rate exceeded", 400, Throttled, "slows down"),
    ("SlowDown", "Please reduce your request rate.", 503, Throttled, "slows down"),
    ("RequestThrottledException", "too many", 400, Throttled, "slows down"),
    ("SnapshotCreationPerVolumeRateExceeded", "Wait at least 15 seconds", 400, Throttled, "Wait at least"),
    ("ConcurrentSnapshotLimitExceeded", "Maximum pending snapshots", 400, Throttled, "slows down"),
    ("Anything", "", 429, Throttled, "slows down"),
    ("InternalError", "An internal error has occurred", 500, Unavailable, "tries again"),
    ("Unheard", "", 502, Unavailable, "Unheard"),
    ("InsufficientInstanceCapacity", "We do not have capacity", 500, Unavailable, "another type or subnet"),
    ("UnauthorizedOperation", DENIED_TEXT, 403, AwsAccessDenied, "Allow ec2:CreateSnapshots"),
    (
        "AccessDenied",
        DENIED_TEXT + " with an explicit deny in a service control policy",
        403,
        AwsAccessDenied,
        "service control",
    ),
    ("403", "", 403, AwsAccessDenied, "Allow ec2:RunInstances"),
    ("ExpiredToken", "The token is expired", 400, AwsCredentials, "Renew the credentials"),
    ("RequestExpired", "Request has expired.", 400, AwsCredentials, "check its clock"),
    ("RequestTimeTooSkewed", "difference too large", 403, AwsCredentials, "clock right"),
    ("AuthFailure", "not able to validate", 401, AwsCredentials, "is enabled for the account"),
    ("InvalidClientTokenId", "invalid", 403, AwsCredentials, "access key"),
    ("OptInRequired", "You are not subscribed", 403, AwsCredentials, "Enable the Region"),
    ("InvalidSnapshot.NotFound", "does not exist", 400, AwsNotFound, "rescan"),
    ("NoSuchEntity", "no such profile", 404, AwsNotFound, "rescan"),
    ("InvalidAMIID.Unavailable", "is not available", 400, AwsNotFound, "rescan"),
    ("VcpuLimitExceeded", "more vCPU capacity than your limit", 400, AwsLimit, "Service Quotas"),
    ("SnapshotLimitExceeded", "Maximum allowed snapshots", 400, AwsLimit, "Service Quotas"),
    ("InsufficientFreeAddressesInSubnet", "not enough addresses", 400, AwsLimit, "free addresses"),
    ("InvalidSnapshot.InUse", "in use by ami-1", 400, AwsRejected, "deregister the AMI"),
    ("Unsupported", "not supported in this zone", 400, AwsRejected, "another instance type"),
    ("IdempotentParameterMismatch", "differ", 400, AwsRejected, "start a new one"),
    ("SomethingNew", "never seen", 400, AwsRejected, "never seen"),
]


@pytest.mark.parametrize(("code", "text", "status", "kind", "words"), ERRORS, ids=[f"{e[0]}-{e[2]}" for e in ERRORS])
def test_each_error_has_its_class_and_says_what_to_do(
    code: str, text: str, status: int, kind: type[HoldfastError], words: str
) -> None:
    call = Call(operation="ec2:RunInstances", region=REGION, role_arn=ROLE)
    problem = aws_errors.translate(call, code, text, status=status)
    assert type(problem) is kind
    assert words in problem.sentence()
    assert REGION in problem.message
    assert problem.transient == issubclass(kind, Unavailable)


def test_an_encoded_refusal_is_left_out() -> None:
    call = Call(operation="ec2:RunInstances", region=REGION)
    text = "You are not authorized to perform this operation. Encoded authorization failure message: " + "x" * 900
    problem = aws_errors.translate(call, "InvalidParameterValue", text)
    assert "xxx" not in problem.message
