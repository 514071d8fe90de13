"""The account's clock: set, moved and sped up, and what goes by it."""

from __future__ import annotations

import json
import math
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.demo.clock import LATEST, RATE_MAX, Clock, Setting
from tests.demo.clouds import Cloud, block, refused
from tests.waiting import until

NEW_YEAR = datetime(2028, 1, 1, 3, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One of its own: its clock is set."""
    cloud = Cloud(tmp_path_factory.mktemp("clocked"))
    cloud.start()
    yield cloud
    cloud.kill()


def set_to(cloud: Cloud, at: datetime, rate: float = 0.0) -> None:
    cloud.control("POST", "clock", {"at": at.isoformat(), "rate": rate})


class Real:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@given(
    at=st.floats(0, 4e9), rate=st.floats(0, 1e6), waited=st.floats(0, 1e6), advance=st.floats(0, 1e8), later=st.floats(0, 1e3)
)
def test_time_runs_from_where_it_was_set(at: float, rate: float, waited: float, advance: float, later: float) -> None:
    real = Real()
    clock = Clock(real)
    assert (clock.now(), clock.is_real) == (real.time, True)
    clock.set(at=at, rate=rate)
    real.time += waited
    assert math.isclose(clock.now(), min(at + waited * rate, LATEST), abs_tol=1e-3)
    if clock.now() + advance <= LATEST:
        before = clock.now()
        clock.set(advance=advance)
        assert math.isclose(clock.now(), before + advance, abs_tol=1e-3)
        assert clock.setting.rate == rate
    clock.set(rate=1.0)
    before = clock.now()
    real.time += later
    assert math.isclose(clock.now(), min(before + later, LATEST), abs_tol=1e-3)
    clock.reset()
    assert clock.now() == real.time


@pytest.mark.parametrize(
    "change", [{"at": -1.0}, {"at": LATEST * 2}, {"rate": -1.0}, {"rate": RATE_MAX * 2}, {"rate": math.nan}]
)
def test_times_no_clock_has_are_refused(change: dict[str, float]) -> None:
    clock = Clock(Real())
    with pytest.raises(ValueError, match="must lie between"):
        clock.set(**change)
    assert clock.is_real


def test_settings_are_told() -> None:
    told: list[Setting] = []
    clock = Clock(Real())
    clock.changed = told.append
    clock.set(at=5.0, rate=2.0)
    clock.reset()
    assert [(each.shown, each.rate) for each in told] == [(5.0, 2.0), (0.0, 1.0)]


def test_ec2_dates_things_by_it(clocked: Cloud) -> None:
    set_to(clocked, NEW_YEAR)
    ec2, ebs = clocked.client("ec2"), clocked.client("ebs")
    snapshot_id = clocked.snapshot(clocked.volume((0, block("a"))))
    snapshot = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    assert snapshot["StartTime"] == NEW_YEAR
    assert ebs.start_snapshot(VolumeSize=1)["StartTime"] == NEW_YEAR
    instance = clocked.describe(clocked.instance(clocked.image()))
    assert instance["LaunchTime"] == NEW_YEAR
    key = clocked.client("kms").create_key()["KeyMetadata"]
    assert key["CreationDate"] == NEW_YEAR


def test_transitions_take_real_time_even_when_it_stands_still(slow_cloud: Cloud) -> None:
    set_to(slow_cloud, NEW_YEAR)
    try:
        ec2 = slow_cloud.client("ec2")
        made = ec2.create_snapshot(VolumeId=slow_cloud.volume((0, block("t"))))
        assert made["State"] == "pending"
        which = {"SnapshotIds": [made["SnapshotId"]]}
        until(lambda: bool(ec2.describe_snapshots(**which)["Snapshots"][0]["State"] == "completed"))
        assert ec2.describe_snapshots(**which)["Snapshots"][0]["StartTime"] == NEW_YEAR
    finally:
        slow_cloud.control("DELETE", "clock")


def test_s3_dates_locks_and_retrievals_go_by_it(clocked: Cloud) -> None:
    set_to(clocked, NEW_YEAR)
    s3: Any = clocked.client("s3")
    s3.create_bucket(Bucket="dated", ObjectLockEnabledForBucket=True)
    until_when = NEW_YEAR + timedelta(days=30)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until_when, "ChecksumAlgorithm": "CRC32"}
    version = s3.put_object(Bucket="dated", Key="k", Body=b"x", **lock)["VersionId"]
    head = s3.head_object(Bucket="dated", Key="k")
    assert head["LastModified"] == NEW_YEAR
    assert parsedate_to_datetime(head["ResponseMetadata"]["HTTPHeaders"]["date"]) == NEW_YEAR
    assert refused(lambda: s3.delete_object(Bucket="dated", Key="k", VersionId=version))[0] == "AccessDenied"
    clocked.control("POST", "clock", {"advance": 31 * 86_400})
    s3.delete_object(Bucket="dated", Key="k", VersionId=version)

    s3.put_object(Bucket="dated", Key="cold", Body=b"y", StorageClass="DEEP_ARCHIVE", ChecksumAlgorithm="CRC32")
    s3.restore_object(Bucket="dated", Key="cold", RestoreRequest={"Days": 2, "GlacierJobParameters": {"Tier": "Bulk"}})
    assert s3.get_object(Bucket="dated", Key="cold")["Body"].read() == b"y"
    clocked.control("POST", "clock", {"advance": 4 * 86_400})
    assert refused(lambda: s3.get_object(Bucket="dated", Key="cold"))[0] == "InvalidObjectState"


def test_sessions_and_signatures_live_in_real_time(clocked: Cloud) -> None:
    iam = clocked.client("iam", key="demo2")
    statement = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    role = iam.create_role(RoleName="timeless", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    given = clocked.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    assert abs(given["Expiration"] - datetime.now(UTC)) < timedelta(hours=2)
    clocked.control("POST", "clock", {"advance": 365 * 86_400})
    session = {"aws_secret_access_key": given["SecretAccessKey"], "aws_session_token": given["SessionToken"]}
    clocked.client("ec2", key=given["AccessKeyId"], **session).describe_volumes()


def test_it_runs_as_fast_as_asked_and_outlives_a_restart(clocked: Cloud) -> None:
    set_to(clocked, NEW_YEAR, rate=86_400)
    until(lambda: datetime.fromisoformat(clocked.control("GET", "clock")["at"]) > NEW_YEAR + timedelta(days=1))
    clocked.kill()
    clocked.start()
    after = clocked.control("GET", "clock")
    assert (after["rate"], after["real"]) == (86_400, False)
    assert datetime.fromisoformat(after["at"]) > NEW_YEAR + timedelta(days=1)
    assert clocked.control("DELETE", "clock")["real"] is True


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"at": "noon"}', b'{"speed": 2}', b'{"rate": -1}', b"nonsense"])
def test_what_it_cannot_be_set_to_is_refused(clocked: Cloud, body: bytes) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        clocked.control("POST", "clock", body)
    assert caught.value.code == 400
    caught.value.close()
