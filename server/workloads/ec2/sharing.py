"""Letting another account read snapshots for as long as a copy takes: permission on the snapshots, grants on their KMS keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from server.domain.errors import AwsAccessDenied, AwsError, AwsNotFound, AwsRejected
from server.domain.workload import Place
from server.ports import Aws, ReplicaJob
from server.workloads.ec2.records import Json

# What EC2 does with the source's key when the target's role copies.
OPERATIONS: Final = (
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
)
NAME_MAX: Final = 256


def refuse_unshareable(aws: Aws, job: ReplicaJob, keys: list[str]) -> None:
    """Errors: AwsRejected for an AWS-managed key, which no other account can ever use."""
    for key in keys:
        found = describe_key(aws, job.source, key)
        if found is not None and found.get("KeyManager") == "AWS":
            raise _unshareable(job)


def describe_key(aws: Aws, place: Place, key: str) -> Json | None:
    """The key's metadata; None when we may not look at it. Errors: AwsNotFound."""
    try:
        found: Json = aws.call(place, "kms", "describe_key", KeyId=key)["KeyMetadata"]
    except AwsAccessDenied:
        return None
    return found


def share(aws: Aws, job: ReplicaJob, snapshot_ids: list[str]) -> None:
    for snapshot_id in snapshot_ids:
        try:
            _permission(aws, job, snapshot_id, "add")
        except AwsRejected as refusal:
            if refusal.aws_code != "OperationNotPermitted":
                raise
            raise _unshareable(job) from refusal


def grant(aws: Aws, job: ReplicaJob, keys: list[str]) -> list[Json]:
    """``[{"key", "grant"}]``; the name makes doing it again harmless. A key on which we may make no grant is left out: its
    policy may allow the copy."""
    made = []
    grantee = _grantee(aws, job) if keys else ""
    for key in keys:
        try:
            answer = aws.call(
                job.source,
                "kms",
                "create_grant",
                KeyId=key,
                Name=_grant_name(job),
                GranteePrincipal=grantee,
                RetiringPrincipal=grantee,
                Operations=list(OPERATIONS),
            )
        except AwsAccessDenied:
            continue
        made.append({"key": key, "grant": answer["GrantId"]})
    return made


def usable(aws: Aws, job: ReplicaJob, grants: list[Json]) -> bool:
    """Whether the target sees the keys already: grants take a moment to be known everywhere."""
    reader = _reader(job)
    for each in grants:
        try:
            aws.call(reader, "kms", "describe_key", KeyId=each["key"])
        except AwsAccessDenied:
            return False
    return True


def close(aws: Aws, job: ReplicaJob, snapshot_ids: list[str], keys: list[str]) -> list[AwsError]:
    """Take the permissions back; all are tried, the refusals returned. What is gone already is none."""
    refusals: list[AwsError] = []
    for snapshot_id in snapshot_ids:
        with _noting(refusals):
            _permission(aws, job, snapshot_id, "remove")
    for key in keys:
        for grant_id in _grants(aws, job, key):
            with _noting(refusals):
                aws.call(_reader(job), "kms", "retire_grant", KeyId=key, GrantId=grant_id)
    return refusals


@contextmanager
def _noting(refusals: list[AwsError]) -> Iterator[None]:
    try:
        yield
    except AwsError as refusal:
        if not isinstance(refusal, AwsNotFound):
            refusals.append(refusal)


def _grants(aws: Aws, job: ReplicaJob, key: str) -> list[str]:
    try:
        pages = list(aws.pages(job.source, "kms", "list_grants", KeyId=key, GranteePrincipal=_grantee(aws, job)))
    except (AwsAccessDenied, AwsNotFound):  # who may not list grants has made none; a deleted key has none
        return []
    return [g["GrantId"] for page in pages for g in page["Grants"] if g.get("Name") == _grant_name(job)]


def _permission(aws: Aws, job: ReplicaJob, snapshot_id: str, change: Any) -> None:
    aws.call(
        job.source,
        "ec2",
        "modify_snapshot_attribute",
        SnapshotId=snapshot_id,
        Attribute="createVolumePermission",
        OperationType=change,
        UserIds=[job.target_aws_account_id],
    )


def _unshareable(job: ReplicaJob) -> AwsRejected:
    return AwsRejected(
        f"{job.resource_name} has disks encrypted with the AWS-managed key aws/ebs, whose snapshots cannot be shared with "
        f"account {job.target_aws_account_id}.",
        operation="ec2:ModifySnapshotAttribute",
        aws_code="OperationNotPermitted",
        remedy="Encrypt the volumes with a key of your own, or replicate within the account.",
    )


def _grant_name(job: ReplicaJob) -> str:
    return f"holdfast-{job.token}"[:NAME_MAX]


def _grantee(aws: Aws, job: ReplicaJob) -> str:
    """Who copies: the target's role, or the appliance itself."""
    return job.target.role_arn or str(aws.call(job.target, "sts", "get_caller_identity")["Arn"])


def _reader(job: ReplicaJob) -> Place:
    """The target's identity in the Region of the source's keys."""
    return replace(job.target, region=job.source.region)
