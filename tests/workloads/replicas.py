"""What tests of replicas share: jobs, other accounts, encrypted points, and what is left in AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3

from server.adapters.clock import FakeClock
from server.domain.workload import Place
from server.ports import ReplicaJob
from server.workloads.ec2 import Ec2
from tests.demo_account import HOME, REGION, Site
from tests.workloads.conftest import Driver, Memo, protect

HOME_ACCOUNT, OTHER_ACCOUNT = "123456789012", "210987654321"
FAR = Place(HOME.account_id, None, None, "eu-west-1")
Key = Callable[..., str]


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
