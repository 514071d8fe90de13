"""Replicas against the demo account: other Regions, another account, keys and grants, lost answers, the quota of copies."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest

from server.adapters.aws_scripted import ScriptedAws
from server.adapters.clock import FakeClock
from server.domain.errors import AwsLimit, AwsNotFound, AwsRejected, LegImpossible
from server.domain.replicas import KeyUsage
from server.domain.workload import Place
from server.ports import ReplicaJob
from server.workloads.ec2 import PERMISSIONS, Ec2
from tests.demo_account import HOME, REGION, Site
from tests.workloads.conftest import Driver, Memo, Protected, protect

HOME_ACCOUNT, OTHER_ACCOUNT = "123456789012", "210987654321"
FAR = Place(HOME.account_id, None, None, "eu-west-1")
Key = Callable[..., str]


@pytest.fixture
def key(site: Site) -> Key:
    """Makes a customer key in a place; its ARN."""

    def make(place: Place = HOME) -> str:
        return str(site.aws.call(place, "kms", "create_key", Description="disks")["KeyMetadata"]["Arn"])

    return make


def role(site: Site, actions: list[str]) -> str:
    """A role of the other account which the appliance may enter; its ARN."""
    iam = boto3.client(
        "iam",
        endpoint_url=site.account.url,
        region_name=REGION,
        aws_access_key_id="demo2",
        aws_secret_access_key="demo2",
    )
    name = f"replicas-{uuid4().hex[:8]}"
    trust = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": HOME_ACCOUNT}, "Action": "sts:AssumeRole"},
    }
    arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"])
    allowed = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}
    iam.put_role_policy(RoleName=name, PolicyName="holdfast", PolicyDocument=json.dumps(allowed))
    return arn


@pytest.fixture
def other(site: Site) -> Place:
    """The other account in the same Region, entered with what Holdfast says replicas need."""
    return Place(UUID(int=2), role(site, list(PERMISSIONS["replica"])), None, REGION)


def replica_job(document: Memo, **changes: Any) -> ReplicaJob:
    values = {
        "source": HOME,
        "target": FAR,
        "document": document,
        "resource_name": document["instance"]["name"],
        "token": uuid4().hex,
        "policy_name": "Nightly",
        **changes,
    }
    return ReplicaJob(**values)


def replicate(ec2: Ec2, clock: FakeClock, job: ReplicaJob, *, twice: bool = False) -> Memo:
    return Driver(clock, lambda memo: ec2.replicate(job, memo), twice=twice).finish()


def copies(site: Site, job: ReplicaJob) -> list[dict[str, Any]]:
    filters = [{"Name": "tag:holdfast:task", "Values": [job.token]}]
    found = site.aws.call(job.target, "ec2", "describe_snapshots", OwnerIds=["self"], Filters=filters)
    return list(found["Snapshots"])


def shared_with(site: Site, document: Memo) -> set[str]:
    found = [
        site.call("describe_snapshot_attribute", SnapshotId=v["snapshotId"], Attribute="createVolumePermission")
        for v in document["volumes"]
    ]
    return {each["UserId"] for answer in found for each in answer["CreateVolumePermissions"]}


def grants(site: Site, key_arn: str) -> list[str]:
    return [g["Name"] for g in site.aws.call(HOME, "kms", "list_grants", KeyId=key_arn)["Grants"] if g.get("Name")]


def encrypted_point(site: Site, ec2: Ec2, clock: FakeClock, key_arn: str | None) -> Memo:
    """A point of an instance with a plain root disk and an encrypted data disk."""
    instance = site.launch(f"vault-{uuid4().hex[:4]}", data_disks=0)
    options = {"KmsKeyId": key_arn} if key_arn else {}
    volume = site.call("create_volume", AvailabilityZone=f"{REGION}a", Size=1, Encrypted=True, **options)["VolumeId"]
    site.attach(volume, instance, "/dev/sdf")
    site.account.write(volume, 3, 7)
    protected = protect(site, ec2, instance=instance)
    job = protected.job()
    return Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()


def test_a_replica_holds_the_same_blocks_in_another_region(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    replica = replicate(ec2, clock, replica_job(document))
    assert [v["volumeId"] for v in replica["volumes"]] == [v["volumeId"] for v in document["volumes"]]
    for copy, original in zip(replica["volumes"], document["volumes"], strict=True):
        assert copy["snapshotId"] != original["snapshotId"] == copy["sourceSnapshotId"]
        assert site.account.hashes(copy["snapshotId"]) == site.account.hashes(original["snapshotId"])
    assert (replica["at"], replica["copiedFrom"]) == (document["at"], REGION)
    assert {disk.snapshot_id for disk in ec2.disks(replica)} == {v["snapshotId"] for v in replica["volumes"]}


def test_a_replica_is_deleted_like_a_snapshot(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = replica_job(document)
    replica = replicate(ec2, clock, job)
    ec2.delete_snapshot(FAR, replica)
    assert copies(site, job) == []
    ec2.delete_snapshot(FAR, replica)


def test_replicas_carry_our_tags_the_volumes_and_the_policys(
    site: Site, ec2: Ec2, web: Protected, clock: FakeClock, document: Memo
) -> None:
    job = replica_job(document, tags={"Team": "storage", "Name": "mine"})
    replicate(ec2, clock, job)
    found = [{tag["Key"]: tag["Value"] for tag in copy["Tags"]} for copy in copies(site, job)]
    assert {each["holdfast:disk"] for each in found} == set(web.volumes.values())
    assert {each["holdfast:resource"] for each in found} == {web.resource.aws_id}
    assert {each["Team"] for each in found} == {"storage"}
    assert {each["Name"] for each in found} == {"mine"}


def test_steps_repeated_after_a_crash_make_no_second_copy(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = replica_job(document)
    driver = Driver(clock, lambda memo: ec2.replicate(job, memo), twice=True)
    replica = driver.finish()
    for memo in driver.memos:  # and from each older memo once more
        again = Driver(clock, lambda memo: ec2.replicate(job, memo)).finish(memo)
        assert again["volumes"] == replica["volumes"]
    assert len(copies(site, job)) == 3


@pytest.mark.parametrize("kind", ["lost_reply", "error500"])
def test_a_copy_in_doubt_is_looked_for_before_it_is_repeated(
    site: Site, ec2: Ec2, document: Memo, clock: FakeClock, kind: str
) -> None:
    site.account.fault("ec2:CopySnapshot", kind, times=1)
    job = replica_job(document)
    replicate(ec2, clock, job)
    assert len(copies(site, job)) == 3
    assert site.account.calls("ec2:CopySnapshot") == (3 if kind == "lost_reply" else 4)


def test_a_storm_of_throttling_and_failures_leaves_one_copy_of_each_disk(
    site: Site, ec2: Ec2, document: Memo, clock: FakeClock, other: Place
) -> None:
    for kind in ("throttle", "error500", "lost_reply"):
        for service in ("ec2", "kms"):
            site.account.fault(f"{service}:*", kind, times=None, probability=0.12)
    job = replica_job(document, target=other, target_aws_account_id=OTHER_ACCOUNT)
    replicate(ec2, clock, job, twice=True)
    site.account.reset()
    assert len(copies(site, job)) == 3
    assert shared_with(site, document) == set()


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


# ---- keys


def test_an_encrypted_disk_and_a_target_without_key_make_no_replica(site: Site, ec2: Ec2, clock: FakeClock, key: Key) -> None:
    document = encrypted_point(site, ec2, clock, key())
    job = replica_job(document)
    with pytest.raises(LegImpossible, match="is encrypted, and the replica target in eu-west-1 has no key") as caught:
        ec2.replicate(job, {})
    assert "choose a KMS key" in (caught.value.remedy or "")
    assert copies(site, job) == []


@pytest.mark.parametrize("usage", KeyUsage)
def test_the_key_is_used_for_all_volumes_or_for_the_encrypted_ones(
    site: Site, ec2: Ec2, clock: FakeClock, key: Key, usage: KeyUsage
) -> None:
    document, wanted = encrypted_point(site, ec2, clock, key()), key(FAR)
    job = replica_job(document, encrypt=True, kms_key=wanted, key_usage=usage)
    replica = replicate(ec2, clock, job)
    data, root = replica["volumes"]
    assert (data["encrypted"], data["kmsKeyId"]) == (True, wanted)
    assert (root["encrypted"], root["kmsKeyId"]) == ((True, wanted) if usage is KeyUsage.ALL else (False, None))


def test_encryption_without_a_named_key_takes_the_regions_default(site: Site, ec2: Ec2, clock: FakeClock, key: Key) -> None:
    replica = replicate(ec2, clock, replica_job(encrypted_point(site, ec2, clock, key()), encrypt=True))
    default = site.aws.call(FAR, "kms", "describe_key", KeyId="alias/aws/ebs")["KeyMetadata"]["Arn"]
    assert replica["volumes"][0]["kmsKeyId"] == default


def test_a_disk_under_the_default_key_is_replicated_within_the_account(
    site: Site, ec2: Ec2, clock: FakeClock, key: Key
) -> None:
    document, wanted = encrypted_point(site, ec2, clock, None), key(FAR)
    assert replicate(ec2, clock, replica_job(document, encrypt=True, kms_key=wanted))["volumes"][0]["kmsKeyId"] == wanted


def test_a_target_key_that_does_not_exist_is_named_before_anything_is_made(site: Site, ec2: Ec2, document: Memo) -> None:
    job = replica_job(document, encrypt=True, kms_key="alias/nowhere")
    with pytest.raises(AwsNotFound, match="no KMS key alias/nowhere in eu-west-1"):
        ec2.replicate(job, {})
    assert copies(site, job) == []


def test_a_disabled_target_key_is_named_before_anything_is_made(site: Site, ec2: Ec2, document: Memo, key: Key) -> None:
    wanted = key(FAR)
    site.aws.call(FAR, "kms", "disable_key", KeyId=wanted)
    with pytest.raises(AwsRejected, match="is Disabled"):
        ec2.replicate(replica_job(document, encrypt=True, kms_key=wanted), {})


# ---- another account


def test_a_replica_in_another_account_belongs_to_it_and_nothing_stays_shared(
    site: Site, ec2: Ec2, document: Memo, clock: FakeClock, other: Place
) -> None:
    job = replica_job(document, target=other, target_aws_account_id=OTHER_ACCOUNT)
    replica = replicate(ec2, clock, job)
    assert {copy["OwnerId"] for copy in copies(site, job)} == {OTHER_ACCOUNT}
    for copy, original in zip(replica["volumes"], document["volumes"], strict=True):
        assert site.account.hashes(copy["snapshotId"]) == site.account.hashes(original["snapshotId"])
    assert shared_with(site, document) == set()


def test_a_grant_on_the_sources_key_is_made_for_the_copy_and_retired(
    site: Site, ec2: Ec2, clock: FakeClock, other: Place, key: Key
) -> None:
    source_key = key()
    document = encrypted_point(site, ec2, clock, source_key)
    job = replica_job(document, target=other, target_aws_account_id=OTHER_ACCOUNT, encrypt=True)
    driver = Driver(clock, lambda memo: ec2.replicate(job, memo), twice=True)
    seen: set[str] = set()

    def watched(memo: Memo) -> Any:
        seen.update(grants(site, source_key))
        return ec2.replicate(job, memo)

    driver.machine = watched
    replica = driver.finish()
    assert seen == {f"holdfast-{job.token}"}
    assert grants(site, source_key) == []
    assert shared_with(site, document) == set()
    assert site.account.hashes(replica["volumes"][0]["snapshotId"]) == site.account.hashes(document["volumes"][0]["snapshotId"])


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


def test_disks_under_aws_ebs_are_never_replicated_to_another_account(
    site: Site, ec2: Ec2, clock: FakeClock, other: Place
) -> None:
    document = encrypted_point(site, ec2, clock, None)
    job = replica_job(document, target=other, target_aws_account_id=OTHER_ACCOUNT, encrypt=True)
    with pytest.raises(AwsRejected, match=r"AWS-managed key aws/ebs.*cannot be shared") as caught:
        replicate(ec2, clock, job)
    assert "key of your own" in (caught.value.remedy or "")
    assert copies(site, job) == []
    assert shared_with(site, document) == set()


def test_a_copy_that_may_not_use_the_sources_key_says_what_to_grant_and_leaves_nothing(
    site: Site, ec2: Ec2, clock: FakeClock, other: Place, key: Key
) -> None:
    source_key = key()
    document = encrypted_point(site, ec2, clock, source_key)
    site.account.fault("kms:CreateGrant", "denied", times=None)
    job = replica_job(document, target=other, target_aws_account_id=OTHER_ACCOUNT, encrypt=True)
    with pytest.raises(AwsRejected, match="Given key ID is not accessible") as caught:
        replicate(ec2, clock, job)
    remedy = caught.value.remedy or ""
    assert all(word in remedy for word in (source_key, str(other.role_arn), "kms:CreateGrant", "kms:Decrypt"))
    assert copies(site, job) == []
    assert shared_with(site, document) == set()


def test_a_key_whose_policy_lets_the_target_in_needs_no_grant(site: Site, ec2: Ec2, clock: FakeClock, other: Place) -> None:
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "kms:*", "Resource": "*"}
        for account in (HOME_ACCOUNT, OTHER_ACCOUNT)
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    source_key = str(site.aws.call(HOME, "kms", "create_key", Policy=policy)["KeyMetadata"]["Arn"])
    document = encrypted_point(site, ec2, clock, source_key)
    site.account.fault("kms:CreateGrant", "denied", times=None)
    job = replica_job(document, target=other, target_aws_account_id=OTHER_ACCOUNT, encrypt=True)
    assert replicate(ec2, clock, job)["volumes"][0]["encrypted"]


# ---- giving up


def test_abandoning_a_replica_removes_copies_permissions_and_grants(
    site: Site, ec2: Ec2, clock: FakeClock, other: Place, key: Key
) -> None:
    source_key = key()
    document = encrypted_point(site, ec2, clock, source_key)
    job = replica_job(document, target=other, target_aws_account_id=OTHER_ACCOUNT, encrypt=True)
    memo: Memo = {}
    while memo.get("phase") != "wait":
        memo = ec2.replicate(job, memo).memo
    assert copies(site, job)
    assert shared_with(site, document)
    assert grants(site, source_key)
    ec2.abandon_replica(job)
    assert copies(site, job) == []
    assert shared_with(site, document) == set()
    assert grants(site, source_key) == []
    ec2.abandon_replica(job)


def test_a_snapshot_deleted_meanwhile_is_named(site: Site, ec2: Ec2, clock: FakeClock) -> None:
    protected = protect(site, ec2, "gone-soon", data_disks=0)
    snapshot_job = protected.job()
    document = Driver(clock, lambda memo: ec2.snapshot(snapshot_job, memo)).finish()
    ec2.delete_snapshot(HOME, document)
    with pytest.raises(AwsNotFound, match=document["volumes"][0]["snapshotId"]):
        ec2.replicate(replica_job(document), {})


def test_a_copy_deleted_by_somebody_is_named(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    job = replica_job(document)
    memo: Memo = {}
    while memo.get("phase") != "wait":
        memo = ec2.replicate(job, memo).memo
    victim = next(iter(memo["copies"].values()))
    site.aws.call(FAR, "ec2", "delete_snapshot", SnapshotId=victim)
    with pytest.raises(AwsNotFound, match=victim):
        Driver(clock, lambda memo: ec2.replicate(job, memo)).finish(memo)
    assert copies(site, job) == []
