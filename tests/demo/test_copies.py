"""Copies of snapshots into other Regions and accounts: sharing, keys, grants, the quota, and failures that come later."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.demo.ec2.copies import COPIES_MAX, SOURCE_NEEDS
from tests.demo.clouds import Cloud, block, refused
from tests.waiting import until

HOME, SECOND = "123456789012", "210987654321"
GRANTED = [name.removeprefix("kms:") for name in SOURCE_NEEDS]


def key(cloud: Cloud, region: str = "us-east-1", owner: str = "demo") -> str:
    return str(cloud.client("kms", region, key=owner).create_key(Description="disks")["KeyMetadata"]["Arn"])


def encrypted(cloud: Cloud, key_arn: str | None = None) -> str:
    options: dict[str, Any] = {"KmsKeyId": key_arn} if key_arn else {}
    return cloud.snapshot(cloud.volume((2, block("e")), Encrypted=True, **options))


def share(cloud: Cloud, snapshot_id: str, account: str = SECOND) -> None:
    cloud.client("ec2").modify_snapshot_attribute(
        SnapshotId=snapshot_id, Attribute="createVolumePermission", CreateVolumePermission={"Add": [{"UserId": account}]}
    )


def described(ec2: Any, snapshot_id: str) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    return found


def copied(ec2: Any, snapshot_id: str, region: str = "us-east-1", **options: Any) -> dict[str, Any]:
    """The copy, once it is what it will be."""
    made = ec2.copy_snapshot(SourceRegion=region, SourceSnapshotId=snapshot_id, **options)["SnapshotId"]
    until(lambda: described(ec2, made)["State"] != "pending")
    return described(ec2, made)


def session(cloud: Cloud, name: str, actions: list[str]) -> tuple[str, dict[str, str]]:
    """The ARN of a new role of the second account with these permissions, and keys of a session of it."""
    iam = cloud.client("iam", key="demo2")
    trust = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": HOME}, "Action": "sts:AssumeRole"}}
    arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"])
    allowed = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(allowed))
    given = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return arn, {
        "key": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def test_a_copy_is_a_snapshot_of_its_own(cloud: Cloud) -> None:
    ec2, snapshot_id = cloud.client("ec2", "eu-central-1"), cloud.snapshot(cloud.volume((3, block("c"))))
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "a", "Value": "b"}]}]
    copy = copied(ec2, snapshot_id, TagSpecifications=tags, Description="for later")
    assert (copy["State"], copy["VolumeId"], copy["Encrypted"]) == ("completed", "vol-ffffffff", False)
    assert (copy["Description"], copy["Tags"]) == ("for later", [{"Key": "a", "Value": "b"}])
    assert copy["FullSnapshotSizeInBytes"] == 524_288
    assert copy["CompletionTime"] >= copy["StartTime"]
    cloud.client("ec2").delete_snapshot(SnapshotId=snapshot_id)
    assert list(cloud.control("GET", f"snapshots/{copy['SnapshotId']}/hash")["blocks"]) == ["3"]


def test_a_copy_elsewhere_is_encrypted_with_the_default_key_there(cloud: Cloud) -> None:
    europe = cloud.client("ec2", "eu-central-1")
    copy = copied(europe, encrypted(cloud, key(cloud)))
    kms = cloud.client("kms", "eu-central-1")
    metadata = kms.describe_key(KeyId=copy["KmsKeyId"])["KeyMetadata"]
    assert (copy["State"], metadata["KeyManager"]) == ("completed", "AWS")
    assert metadata["Arn"] == kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["Arn"]


def test_a_copy_gets_the_key_asked_for_by_its_alias(cloud: Cloud) -> None:
    arn = key(cloud, "eu-central-1")
    cloud.client("kms", "eu-central-1").create_alias(AliasName="alias/replicas", TargetKeyId=arn)
    europe = cloud.client("ec2", "eu-central-1")
    plain = cloud.snapshot(cloud.volume((0, block("p"))))
    copy = copied(europe, plain, Encrypted=True, KmsKeyId="alias/replicas")
    assert (copy["State"], copy["Encrypted"], copy["KmsKeyId"]) == ("completed", True, arn)
    needless = lambda: europe.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=plain, KmsKeyId=arn)  # noqa: E731
    assert refused(needless)[0] == "InvalidParameterDependency"


@pytest.mark.parametrize("state", ["unknown", "disabled", "of another Region"])
def test_a_copy_with_a_key_that_cannot_be_used_ends_in_error(cloud: Cloud, state: str) -> None:
    wanted = "11111111-2222-3333-4444-555555555555" if state == "unknown" else key(cloud, "eu-central-1")
    if state == "disabled":
        cloud.client("kms", "eu-central-1").disable_key(KeyId=wanted)
    region = "eu-west-1" if state == "of another Region" else "eu-central-1"
    plain = cloud.snapshot(cloud.volume((0, block("p"))))
    copy = copied(cloud.client("ec2", region), plain, Encrypted=True, KmsKeyId=wanted)
    assert (copy["State"], copy["StateMessage"]) == ("error", "Given key ID is not accessible")
    code, _ = refused(lambda: cloud.client("ebs", region).list_snapshot_blocks(SnapshotId=copy["SnapshotId"]))
    assert code == "ValidationException"


def test_another_account_needs_the_snapshot_shared(cloud: Cloud) -> None:
    snapshot_id = cloud.snapshot(cloud.volume((1, block("s"))))
    others = cloud.client("ec2", key="demo2")
    call = lambda: others.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot_id)  # noqa: E731
    assert refused(call) == ("InvalidSnapshot.NotFound", 400)
    share(cloud, snapshot_id)
    assert copied(others, snapshot_id)["OwnerId"] == SECOND
    cloud.client("ec2").reset_snapshot_attribute(SnapshotId=snapshot_id, Attribute="createVolumePermission")
    assert refused(call) == ("InvalidSnapshot.NotFound", 400)


def test_sharing_is_shown_and_taken_back(cloud: Cloud) -> None:
    ec2, snapshot_id = cloud.client("ec2"), cloud.snapshot(cloud.volume())
    share(cloud, snapshot_id)
    attribute = {"SnapshotId": snapshot_id, "Attribute": "createVolumePermission"}
    assert ec2.describe_snapshot_attribute(**attribute)["CreateVolumePermissions"] == [{"UserId": SECOND}]
    ec2.modify_snapshot_attribute(**attribute, OperationType="remove", UserIds=[SECOND])
    assert ec2.describe_snapshot_attribute(**attribute)["CreateVolumePermissions"] == []
    assert refused(lambda: share(cloud, snapshot_id, "12"))[0] == "InvalidParameterValue"
    others = cloud.client("ec2", key="demo2")
    change = lambda: others.modify_snapshot_attribute(**attribute, OperationType="add", UserIds=[SECOND])  # noqa: E731
    assert refused(change)[0] == "InvalidSnapshot.NotFound"


def test_a_snapshot_under_the_default_key_is_never_shared(cloud: Cloud) -> None:
    snapshot_id = encrypted(cloud)
    assert refused(lambda: share(cloud, snapshot_id)) == ("OperationNotPermitted", 400)
    arn = key(cloud)
    public = lambda: cloud.client("ec2").modify_snapshot_attribute(  # noqa: E731
        SnapshotId=encrypted(cloud, arn), OperationType="add", GroupNames=["all"]
    )
    assert refused(public) == ("OperationNotPermitted", 400)


def test_another_account_needs_a_grant_on_the_source_key(cloud: Cloud) -> None:
    arn, kms = key(cloud), cloud.client("kms")
    snapshot_id = encrypted(cloud, arn)
    share(cloud, snapshot_id)
    role, keys = session(cloud, "replicator", ["ec2:*", "kms:*"])
    ec2 = cloud.client("ec2", **keys)
    without = copied(ec2, snapshot_id)
    assert (without["State"], without["StateMessage"]) == ("error", "Given key ID is not accessible")
    grant = kms.create_grant(KeyId=arn, GranteePrincipal=role, Operations=GRANTED, Name="one copy")
    again = kms.create_grant(KeyId=arn, GranteePrincipal=role, Operations=GRANTED, Name="one copy")
    assert again["GrantId"] == grant["GrantId"]
    copy = copied(ec2, snapshot_id)
    assert copy["State"] == "completed"
    assert copy["KmsKeyId"].split(":")[4] == SECOND
    assert list(cloud.control("GET", f"snapshots/{copy['SnapshotId']}/hash")["blocks"]) == ["2"]
    (listed,) = kms.list_grants(KeyId=arn)["Grants"]
    assert (listed["GranteePrincipal"], listed["GrantId"]) == (role, grant["GrantId"])
    kms.retire_grant(GrantToken=grant["GrantToken"])
    assert kms.list_grants(KeyId=arn)["Grants"] == []
    assert copied(ec2, snapshot_id)["State"] == "error"


def test_a_key_policy_lets_in_an_account_whose_own_policies_allow_it(cloud: Cloud) -> None:
    arn, kms = key(cloud), cloud.client("kms")
    policy = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
    actions = ["kms:Decrypt", "kms:ReEncrypt*", "kms:DescribeKey", "kms:CreateGrant"]
    partner = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{SECOND}:root"}, "Action": actions, "Resource": "*"}
    policy["Statement"].append(partner)
    kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps(policy))
    snapshot_id = encrypted(cloud, arn)
    share(cloud, snapshot_id)
    _, may = session(cloud, "with-kms", ["ec2:*", "kms:*"])
    _, may_not = session(cloud, "without-kms", ["ec2:*"])
    assert copied(cloud.client("ec2", **may), snapshot_id)["State"] == "completed"
    assert copied(cloud.client("ec2", **may_not), snapshot_id)["State"] == "error"
    assert cloud.client("kms", **may).describe_key(KeyId=arn)["KeyMetadata"]["AWSAccountId"] == HOME
    assert refused(lambda: cloud.client("kms", **may_not).describe_key(KeyId=arn))[0] == "AccessDeniedException"
    assert refused(lambda: cloud.client("kms", **may).disable_key(KeyId=arn))[0] == "AccessDeniedException"


def test_blocks_of_a_shared_encrypted_snapshot_need_its_key(cloud: Cloud) -> None:
    arn = key(cloud)
    snapshot_id = encrypted(cloud, arn)
    share(cloud, snapshot_id)
    role, keys = session(cloud, "reader", ["ebs:*"])
    ebs = cloud.client("ebs", **keys)
    assert refused(lambda: ebs.list_snapshot_blocks(SnapshotId=snapshot_id)) == ("AccessDeniedException", 403)
    cloud.client("kms").create_grant(KeyId=arn, GranteePrincipal=role, Operations=["Decrypt"])
    assert ebs.list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"]


def test_a_disabled_key_encrypts_nothing(cloud: Cloud) -> None:
    kms, arn = cloud.client("kms"), key(cloud)
    sealed = kms.encrypt(KeyId=arn, Plaintext=b"secret")["CiphertextBlob"]
    kms.disable_key(KeyId=arn)
    assert refused(lambda: kms.decrypt(KeyId=arn, CiphertextBlob=sealed))[0] == "DisabledException"
    kms.enable_key(KeyId=arn)
    assert kms.decrypt(KeyId=arn, CiphertextBlob=sealed)["Plaintext"] == b"secret"


def test_grants_are_checked(cloud: Cloud) -> None:
    kms, arn = cloud.client("kms"), key(cloud)
    malformed = lambda: kms.create_grant(KeyId=arn, GranteePrincipal="somebody", Operations=["Decrypt"])  # noqa: E731
    assert refused(malformed)[0] == "InvalidArnException"
    role, keys = session(cloud, "grantee", ["kms:*"])
    foreign = cloud.client("kms", **keys)
    assert (
        refused(lambda: foreign.create_grant(KeyId=arn, GranteePrincipal=role, Operations=["Decrypt"]))[0]
        == "AccessDeniedException"
    )
    grant = kms.create_grant(KeyId=arn, GranteePrincipal=role, RetiringPrincipal=role, Operations=["Decrypt"])
    foreign.retire_grant(KeyId=arn, GrantId=grant["GrantId"])
    assert refused(lambda: kms.revoke_grant(KeyId=arn, GrantId=grant["GrantId"]))[0] == "NotFoundException"


def test_a_region_takes_twenty_copies_at_a_time(slow_cloud: Cloud) -> None:
    snapshot_id = slow_cloud.snapshot(slow_cloud.volume((0, block("q"))))
    europe = slow_cloud.client("ec2", "eu-central-1")
    request = {"SourceRegion": "us-east-1", "SourceSnapshotId": snapshot_id}
    made = [europe.copy_snapshot(**request)["SnapshotId"] for _ in range(COPIES_MAX)]
    assert refused(lambda: europe.copy_snapshot(**request)) == ("ResourceLimitExceeded", 400)
    until(lambda: described(europe, made[0])["State"] == "completed")
    europe.copy_snapshot(**request)
