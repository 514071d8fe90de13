"""What an S3 bucket says of itself, asked of the demo account's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from server.adapters.blobs.local import LocalBlobs
from server.adapters.blobs.s3 import S3Blobs
from server.domain.errors import AwsAccessDenied, AwsNotFound
from server.domain.immutability import BucketFacts, judge
from tests.contracts.buckets import DemoS3, demo_s3

EVERYONE = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
ASKED = {
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetBucketPolicyStatus": "s3:GetBucketPolicyStatus",
}


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoS3]:
    with demo_s3() as found:
        yield found


def facts(demo: DemoS3, bucket: str, folder: str = "backups/prod") -> BucketFacts:
    return S3Blobs(demo.client, bucket, folder).facts()


def test_a_new_bucket(demo: DemoS3) -> None:
    assert facts(demo, demo.bucket()) == BucketFacts(encryption="aws:kms")


def test_a_local_folder_has_none_of_it(tmp_path: Any) -> None:
    assert LocalBlobs(tmp_path).facts() == BucketFacts()


def test_locks_and_versions(demo: DemoS3) -> None:
    bucket = demo.bucket(lock=True)
    found = facts(demo, bucket)
    assert (found.versioning, found.object_lock, found.default_retention) == ("enabled", True, None)
    found = facts(demo, demo.bucket(lock=True, retention_days=30))
    assert (found.object_lock, found.default_mode, found.default_retention) == (True, "GOVERNANCE", 30)
    years: Any = {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 2}},
    }
    demo.client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=years)
    found = facts(demo, bucket)
    assert (found.default_mode, found.default_retention) == ("COMPLIANCE", 730)


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_versions_without_locks(demo: DemoS3, status: str) -> None:
    bucket = demo.bucket()
    versioning: Any = {"Status": status}
    demo.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
    found = facts(demo, bucket)
    assert (found.versioning, found.object_lock) == (status.lower(), False)


def rule(name: str, chosen: Any, **actions: Any) -> Any:
    return {"ID": name, "Status": "Enabled", "Filter": chosen, **actions}


EXPIRING = {"Expiration": {"Days": 30}}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (rule("all", {}, **EXPIRING), "Lifecycle rule 'all' expires objects after 30 days."),
        (rule("above", {"Prefix": "backups/"}, **EXPIRING), "Lifecycle rule 'above' expires objects after 30 days."),
        (
            rule("within", {"Prefix": "backups/prod/packs/"}, Transitions=[{"Days": 90, "StorageClass": "GLACIER"}]),
            "Lifecycle rule 'within' moves objects to GLACIER after 90 days.",
        ),
        (
            rule("large", {"And": {"Prefix": "backups", "ObjectSizeGreaterThan": 1000}}, **EXPIRING),
            "Lifecycle rule 'large' expires objects after 30 days.",
        ),
        (rule("elsewhere", {"Prefix": "logs/"}, **EXPIRING), None),
        (rule("neighbour", {"Prefix": "backups/production/"}, **EXPIRING), None),
        (rule("tagged", {"Tag": {"Key": "a", "Value": "b"}}, **EXPIRING), None),
        ({**rule("off", {}, **EXPIRING), "Status": "Disabled"}, None),
        (rule("parts", {}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}), None),
        (rule("older", {}, NoncurrentVersionExpiration={"NoncurrentDays": 7}), None),
    ],
    ids=lambda value: value["ID"] if isinstance(value, dict) else "",
)
def test_lifecycle_rules_that_touch_the_folder(demo: DemoS3, written: Any, told: str | None) -> None:
    bucket = demo.bucket()
    demo.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [written]})
    assert facts(demo, bucket).lifecycle == ((told,) if told else ())
    assert [problem.message for problem in judge(facts(demo, bucket)).problems] == ([told] if told else [])


def test_a_public_policy(demo: DemoS3) -> None:
    bucket = demo.bucket()
    demo.client.delete_public_access_block(Bucket=bucket)
    demo.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [EVERYONE]}))
    assert facts(demo, bucket).public


def test_a_key_of_ones_own(demo: DemoS3) -> None:
    bucket = demo.bucket()
    default: Any = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:us-east-1:123456789012:key/k"}
    encryption: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    demo.client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=encryption)
    found = facts(demo, bucket)
    assert (found.encryption, found.encryption_key) == ("aws:kms", default["KMSMasterKeyID"])


@pytest.mark.parametrize("operation", ASKED)
def test_what_may_not_be_asked_is_named_with_the_missing_permission(demo: DemoS3, operation: str) -> None:
    bucket = demo.bucket()
    demo.account.fault(f"s3:{operation}", "denied")
    found = facts(demo, bucket)
    assert found.unreadable == (f"{operation} needs {ASKED[operation]}",)
    verdict = judge(found)
    decisive = operation in ("GetBucketVersioning", "GetObjectLockConfiguration")
    assert bool(verdict.problems) is decisive
    said = [problem.message for problem in verdict.problems] or list(verdict.warnings)
    assert ASKED[operation] in said[-1]


def test_a_missing_bucket(demo: DemoS3) -> None:
    with pytest.raises(AwsNotFound, match="no bucket"):
        facts(demo, "there-is-no-such-bucket")


def test_deleting_without_knowing_the_versioning_is_refused(demo: DemoS3) -> None:
    blobs = S3Blobs(demo.client, demo.bucket(lock=True))
    blobs.put("a", b"1", if_absent=True)
    other = S3Blobs(demo.client, blobs.url.removeprefix("s3://"))
    demo.account.fault("s3:GetBucketVersioning", "denied")
    with pytest.raises(AwsAccessDenied, match="GetBucketVersioning"):
        other.delete(["a"])
    assert blobs.get("a") == b"1"
