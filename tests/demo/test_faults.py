"""Trouble on demand looks like AWS's own trouble, hits what it should, and is counted."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from tests.demo.clouds import Cloud, block, refused

SNAPSHOT = "snap-0123456789abcdef0"


@pytest.fixture
def troubled(cloud: Cloud) -> Iterator[Cloud]:
    """The shared cloud, its faults removed and its calls counted from zero."""
    cloud.control("DELETE", "calls")
    yield cloud
    cloud.control("DELETE", "faults")


def cause(cloud: Cloud, operation: str, kind: str, **options: Any) -> None:
    cloud.control("POST", "faults", {"operation": operation, "kind": kind, "probability": 1, **options})


@pytest.mark.parametrize(
    ("kind", "ec2", "ebs", "s3", "sts"),
    [
        ("throttle", ("RequestLimitExceeded", 503), ("RequestThrottledException", 400), ("SlowDown", 503), ("Throttling", 400)),
        (
            "error500",
            ("InternalError", 500),
            ("InternalServerException", 500),
            ("InternalError", 500),
            ("InternalFailure", 500),
        ),
        (
            "denied",
            ("UnauthorizedOperation", 403),
            ("AccessDeniedException", 403),
            ("AccessDenied", 403),
            ("AccessDenied", 403),
        ),
        ("expired", ("RequestExpired", 400), ("ExpiredTokenException", 403), ("ExpiredToken", 400), ("ExpiredToken", 403)),
    ],
)
def test_each_service_reports_a_fault_in_its_own_words(
    troubled: Cloud, kind: str, ec2: tuple[str, int], ebs: tuple[str, int], s3: tuple[str, int], sts: tuple[str, int]
) -> None:
    cause(troubled, "*", kind)
    client = troubled.client
    assert refused(client("ec2").describe_instances) == ec2
    assert refused(lambda: client("ebs").list_snapshot_blocks(SnapshotId=SNAPSHOT)) == ebs
    assert refused(client("s3").list_buckets) == s3
    assert refused(client("sts").get_caller_identity) == sts
    troubled.control("DELETE", "faults")
    client("sts").get_caller_identity()


def test_a_fault_hits_its_operation_as_often_as_told(troubled: Cloud) -> None:
    ec2 = troubled.client("ec2")
    cause(troubled, "ec2:DescribeVolumes", "throttle", times=2)
    ec2.describe_instances()
    for _ in range(2):
        assert refused(ec2.describe_volumes) == ("RequestLimitExceeded", 503)
    ec2.describe_volumes()
    assert troubled.control("GET", "faults") == []


def test_probability_means_a_share(troubled: Cloud) -> None:
    ec2, hit = troubled.client("ec2"), 0
    cause(troubled, "ec2:Describe*", "throttle", probability=0.5)
    for _ in range(60):
        try:
            ec2.describe_volumes()
        except ec2.exceptions.ClientError:
            hit += 1
    assert 10 <= hit <= 50


def test_a_lost_reply_has_done_its_work(troubled: Cloud) -> None:
    ec2, volume_id = troubled.client("ec2"), troubled.volume((0, block("a")))
    cause(troubled, "ec2:CreateSnapshot", "lost_reply", times=1)
    with pytest.raises(ConnectionClosedError):
        ec2.create_snapshot(VolumeId=volume_id)
    assert len(ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [volume_id]}])["Snapshots"]) == 1
    troubled.client("s3").create_bucket(Bucket="lost-and-found")
    cause(troubled, "s3:PutObject", "lost_reply", times=1)
    with pytest.raises(ConnectionClosedError):
        troubled.client("s3").put_object(Bucket="lost-and-found", Key="k", Body=b"kept")
    assert troubled.client("s3").get_object(Bucket="lost-and-found", Key="k")["Body"].read() == b"kept"


def test_a_timeout_answers_nothing_and_does_nothing(troubled: Cloud) -> None:
    volume_id = troubled.volume()
    cause(troubled, "ec2:CreateSnapshot", "timeout", times=1, delay=20)
    impatient = troubled.client("ec2", config={"read_timeout": 1})
    with pytest.raises(ReadTimeoutError):
        impatient.create_snapshot(VolumeId=volume_id)
    of_volume = [{"Name": "volume-id", "Values": [volume_id]}]
    assert troubled.client("ec2").describe_snapshots(Filters=of_volume)["Snapshots"] == []


def test_slow_is_slow(troubled: Cloud) -> None:
    ec2 = troubled.client("ec2")
    cause(troubled, "ec2:DescribeVolumes", "slow", times=1, delay=0.7)
    begun = time.monotonic()
    ec2.describe_volumes()
    assert time.monotonic() - begun >= 0.7


def test_calls_are_counted_by_name(troubled: Cloud) -> None:
    snapshot_id = troubled.snapshot(troubled.volume((0, block("a")), (1, block("b"))))
    assert troubled.control("GET", "calls")["ec2:CreateSnapshot"] == 1
    troubled.control("DELETE", "calls")
    ebs = troubled.client("ebs")
    for entry in ebs.list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"]:
        ebs.get_snapshot_block(SnapshotId=snapshot_id, **entry)["BlockData"].read()
    assert troubled.control("GET", "calls") == {"ebs:GetSnapshotBlock": 2, "ebs:ListSnapshotBlocks": 1}


@pytest.mark.parametrize(
    "document", [{}, {"kind": "meteor"}, {"kind": "slow", "probability": 2}, {"kind": "slow", "times": 0}, []]
)
def test_faults_nobody_can_cause_are_refused(troubled: Cloud, document: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        troubled.control("POST", "faults", document)
    assert caught.value.code == 400
    caught.value.close()


def test_a_refused_body_does_not_break_the_connection(troubled: Cloud) -> None:
    """Clients that send a body at once, without asking first, still get the answer, on a connection that goes on."""
    import http.client

    connection = http.client.HTTPConnection(troubled.url.removeprefix("http://"), timeout=10)
    for _ in range(3):
        connection.request("PUT", f"/snapshots/{SNAPSHOT}/blocks/0", block("a"), {"content-type": "application/octet-stream"})
        reply = connection.getresponse()
        assert (reply.status, reply.getheader("connection")) == (403, None)
        reply.read()
    connection.close()
