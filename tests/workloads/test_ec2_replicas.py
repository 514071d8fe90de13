"""Replicas against the demo account: other Regions, another account, keys and grants, lost answers."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from server.adapters.clock import FakeClock
from server.domain.errors import AwsNotFound, AwsRejected, LegImpossible
from server.domain.replicas import KeyUsage
from server.domain.workload import Place
from server.workloads.ec2 import PERMISSIONS, Ec2
from tests.demo_account import HOME, REGION, Site
from tests.workloads.conftest import Driver, Memo, Protected, protect, restore_job, volume_options
from tests.workloads.replicas import (
    FAR,
    HOME_ACCOUNT,
    OTHER_ACCOUNT,
    Key,
    copies,
    encrypted_point,
    grants,
    replica_job,
    replicate,
    role,
    shared_with,
)


@pytest.fixture
def key(site: Site) -> Key:
    """Makes a customer key in a place; its ARN."""

    def make(place: Place = HOME) -> str:
        return str(site.aws.call(place, "kms", "create_key", Description="disks")["KeyMetadata"]["Arn"])

    return make


@pytest.fixture
def other(site: Site) -> Place:
    """The other account in the same Region, entered with what Holdfast says replicas need."""
    return Place(UUID(int=2), role(site, list(PERMISSIONS["replica"])), None, REGION)


def test_a_replica_holds_the_same_blocks_in_another_region(site: Site, ec2: Ec2, document: Memo, clock: FakeClock) -> None:
    replica = replicate(ec2, clock, replica_job(document))
    assert [v["volumeId"] for v in replica["volumes"]] == [v["volumeId"] for v in document["volumes"]]
    for copy, original in zip(replica["volumes"], document["volumes"], strict=True):
        assert copy["snapshotId"] != original["snapshotId"] == copy["sourceSnapshotId"]
        assert site.account.hashes(copy["snapshotId"]) == site.account.hashes(original["snapshotId"])
    assert (replica["at"], replica["copiedFrom"]) == (document["at"], REGION)
    assert {disk.snapshot_id for disk in ec2.disks(replica)} == {v["snapshotId"] for v in replica["volumes"]}


def test_volumes_are_restored_from_a_replica_where_it_is(site: Site, ec2: Ec2, clock: FakeClock, key: Key) -> None:
    document = encrypted_point(site, ec2, clock, key())
    replica = replicate(ec2, clock, replica_job(document, encrypt=True, kms_key=key(FAR)))
    job = restore_job(replica, ec2, place=FAR)
    options = volume_options(region=FAR.region, zone=f"{FAR.region}a")
    restored = Driver(clock, lambda memo: ec2.restore_volumes(job, options, memo)).finish()
    assert restored["warnings"] == []
    by_disk = {each["diskId"]: each["volumeId"] for each in restored["volumes"]}
    for volume in document["volumes"]:
        assert site.account.hashes(by_disk[volume["volumeId"]]) == site.account.hashes(volume["snapshotId"])


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


def test_a_permission_that_cannot_be_taken_back_is_a_warning(
    site: Site, ec2: Ec2, document: Memo, clock: FakeClock, other: Place
) -> None:
    job = replica_job(document, target=other, target_aws_account_id=OTHER_ACCOUNT)
    memo: Memo = {}
    while memo.get("phase") != "tidy":
        memo = ec2.replicate(job, memo).memo
    site.account.fault("ec2:ModifySnapshotAttribute", "denied", times=None)
    step = ec2.replicate(job, memo)
    assert step.done
    assert len(step.warnings) == 3
    assert "could not be taken back" in step.warnings[0]
    site.account.reset()
    ec2.abandon_replica(job)


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
    with pytest.raises(AwsRejected, match=f"{victim}.*vanished"):
        Driver(clock, lambda memo: ec2.replicate(job, memo)).finish(memo)
    assert copies(site, job) == []
