"""Replicas where the demo account cannot be brought: used-up quotas, copies that go home. AWS answers from a script."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from server.adapters.aws_scripted import ScriptedAws
from server.adapters.clock import FakeClock
from server.domain.errors import AwsLimit
from server.domain.workload import Place
from server.workloads.ec2 import Ec2
from tests.demo_account import HOME, REGION
from tests.workloads.conftest import Driver, Memo
from tests.workloads.replicas import HOME_ACCOUNT, replica_job, replicate


def test_copies_beyond_what_a_region_makes_at_once_wait_for_a_place(document: Memo) -> None:
    sources = [{"SnapshotId": v["snapshotId"], "State": "completed"} for v in document["volumes"]]
    made: list[dict[str, Any]] = []
    refusals = iter([AwsLimit("The limit is 20.", aws_code="ResourceLimitExceeded")] * 7)

    def describe(params: dict[str, Any]) -> dict[str, Any]:
        return {"Snapshots": sources if params["Filters"][0]["Name"] == "snapshot-id" else made}

    def copy(params: dict[str, Any]) -> dict[str, Any]:
        if made and (refusal := next(refusals, None)) is not None:
            raise refusal
        labels = params["TagSpecifications"][0]["Tags"]
        made.append({"SnapshotId": f"snap-copy{len(made)}", "State": "completed", "Tags": labels})
        return made[-1]

    clock = FakeClock(datetime(2026, 11, 22, tzinfo=UTC))
    aws = ScriptedAws({("ec2", "describe_snapshots"): describe, ("ec2", "copy_snapshot"): copy})
    job = replica_job(document)
    driver = Driver(clock, lambda memo: Ec2(aws, clock).replicate(job, memo))
    started = clock.monotonic()
    replica = driver.finish()
    assert len(made) == len({v["snapshotId"] for v in replica["volumes"]}) == 3
    assert sum("waiting for a place" in text for text in driver.messages) == 7
    assert 7 * 30 <= clock.monotonic() - started < 8 * 30


def test_other_used_up_quotas_are_passed_on(document: Memo) -> None:
    sources = [{"SnapshotId": v["snapshotId"], "State": "completed"} for v in document["volumes"]]
    full = AwsLimit("no room", aws_code="SnapshotLimitExceeded")
    answers: dict[tuple[str, str], Any] = {
        ("ec2", "describe_snapshots"): lambda params: {
            "Snapshots": sources if params["Filters"][0]["Name"] == "snapshot-id" else []
        },
        ("ec2", "copy_snapshot"): full,
    }
    clock = FakeClock(datetime(2026, 11, 22, tzinfo=UTC))
    ec2, job = Ec2(ScriptedAws(answers), clock), replica_job(document)
    with pytest.raises(AwsLimit, match="no room"):
        replicate(ec2, clock, job)


def test_the_grant_names_the_appliance_itself_when_the_copies_go_home() -> None:
    """The source is another account's, the target the appliance's own."""
    source = Place(UUID(int=2), "arn:aws:iam::210987654321:role/holdfast", None, REGION)
    me = "arn:aws:sts::123456789012:assumed-role/appliance/i-1"
    volume = {"volumeId": "vol-1", "snapshotId": "snap-1", "kmsKeyId": "key-1", "sizeGib": 1, "tags": {}}
    document = {"instance": {"instanceId": "i-1", "name": "db"}, "volumes": [volume], "at": ""}
    aws = ScriptedAws(
        {
            ("ec2", "describe_snapshots"): {
                "Snapshots": [{"SnapshotId": "snap-1", "Encrypted": True, "KmsKeyId": "key-1", "State": "completed"}]
            },
            ("kms", "describe_key"): {"KeyMetadata": {"KeyManager": "CUSTOMER"}},
            ("ec2", "modify_snapshot_attribute"): {},
            ("sts", "get_caller_identity"): {"Arn": me},
            ("kms", "create_grant"): {"GrantId": "g" * 64},
        }
    )
    ec2 = Ec2(aws, FakeClock(datetime(2026, 11, 22, tzinfo=UTC)))
    job = replica_job(document, source=source, target=HOME, target_aws_account_id=HOME_ACCOUNT, encrypt=True)
    ec2.replicate(job, ec2.replicate(job, {}).memo)
    (granted,) = aws.called("create_grant")
    assert (granted["GranteePrincipal"], granted["RetiringPrincipal"]) == (me, me)
    assert {asked.place for asked in aws.asked if asked.operation == "create_grant"} == {source}
    assert aws.called("modify_snapshot_attribute")[0]["UserIds"] == [HOME_ACCOUNT]
