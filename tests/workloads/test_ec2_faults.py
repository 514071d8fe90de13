"""Every AWS call of replicas, scripts and VSS fails once, in each way: nothing is made twice, nothing stays behind."""

from __future__ import annotations

import json
from typing import Final
from uuid import UUID, uuid4

import pytest

from server.adapters.clock import FakeClock
from server.domain.guest import Guest, Script, Scripts
from server.domain.scope import VolumeExclusions
from server.domain.workload import Place
from server.ports import GuestJob, ManualJob
from server.workloads.ec2 import PERMISSIONS, Ec2
from tests.demo_account import HOME, REGION, Site
from tests.workloads.conftest import Driver, Memo, Protected, protect
from tests.workloads.replicas import (
    FAR,
    OTHER_ACCOUNT,
    copies,
    encrypted_point,
    grants,
    replica_job,
    role,
    shared_with,
)

KINDS: Final = ("throttle", "error500", "lost_reply")
SCRIPT: Final = "/opt/freeze.sh"
REPLICA_CALLS: Final = (
    "ec2:CopySnapshot",
    "ec2:DescribeSnapshots",
    "ec2:ModifySnapshotAttribute",
    "kms:CreateGrant",
    "kms:DescribeKey",
    "kms:ListGrants",
    "kms:RetireGrant",
    "sts:AssumeRole",
)
GUEST_CALLS: Final = (
    "ec2:DescribeInstances",
    "ssm:DescribeInstanceInformation",
    "ssm:GetCommandInvocation",
    "ssm:ListCommands",
    "ssm:SendCommand",
)
VSS_CALLS: Final = (*GUEST_CALLS, "ec2:CreateTags", "ec2:DeleteSnapshot", "ec2:DescribeSnapshots", "ec2:DescribeVolumes")
each_way = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def vault(built: Site, clock: FakeClock) -> tuple[Memo, str]:
    """A point with an encrypted disk, and its key."""
    key = str(built.aws.call(HOME, "kms", "create_key", Description="disks")["KeyMetadata"]["Arn"])
    return encrypted_point(built, Ec2(built.aws, clock), clock, key), key


@pytest.fixture(scope="module")
def windows(built: Site, clock: FakeClock) -> Protected:
    image = built.register_image("windows-under-fire", root="/dev/sda1", BillingProducts=["bp-6ba54002"])
    return protect(built, Ec2(built.aws, clock), instance=built.launch("sql", data_disks=2, image=image))


@pytest.fixture(scope="module")
def linux(built: Site, clock: FakeClock) -> Protected:
    return protect(built, Ec2(built.aws, clock), "under-fire", data_disks=0)


def managed(site: Site, protected: Protected) -> int:
    """The guest can run scripts and VSS; how many commands it was sent so far."""
    body = json.dumps({"agent": "online", "vss": "ok", "scripts": {SCRIPT: {"exitCode": 0}}}).encode()
    site.account.control("POST", f"ssm/{protected.resource.aws_id}", body)
    return sent(site, protected)


def sent(site: Site, protected: Protected) -> int:
    return len(site.account.control("GET", f"ssm/{protected.resource.aws_id}/commands"))


@each_way
@pytest.mark.parametrize("operation", REPLICA_CALLS)
def test_a_replica_in_another_account(
    site: Site, ec2: Ec2, clock: FakeClock, vault: tuple[Memo, str], operation: str, kind: str
) -> None:
    document, key = vault
    target = Place(UUID(int=2), role(site, list(PERMISSIONS["replica"])), None, REGION)
    site.account.fault(operation, kind, times=1)
    job = replica_job(document, target=target, target_aws_account_id=OTHER_ACCOUNT, encrypt=True)
    replica = Driver(clock, lambda memo: ec2.replicate(job, memo)).finish()
    assert site.account.control("GET", "faults") == []
    assert {copy["SnapshotId"] for copy in copies(site, job)} == {v["snapshotId"] for v in replica["volumes"]}
    assert len(copies(site, job)) == 2
    assert shared_with(site, document) == set()
    assert grants(site, key) == []


@each_way
@pytest.mark.parametrize("operation", GUEST_CALLS)
def test_a_script(site: Site, ec2: Ec2, clock: FakeClock, linux: Protected, operation: str, kind: str) -> None:
    before = managed(site, linux)
    site.account.fault(operation, kind, times=1)
    job = GuestJob(
        place=HOME,
        resource=linux.resource,
        token=uuid4().hex,
        policy_name="Nightly",
        guest=Guest(linux=Scripts(pre=Script(path=SCRIPT))),
        moment="pre",
    )
    memo = Driver(clock, lambda memo: ec2.guest(job, memo)).finish()
    assert site.account.control("GET", "faults") == []
    assert ec2.guest(job, memo).outcome == "done"
    assert sent(site, linux) == before + 1


@each_way
@pytest.mark.parametrize("operation", VSS_CALLS)
def test_snapshots_through_vss(site: Site, ec2: Ec2, clock: FakeClock, windows: Protected, operation: str, kind: str) -> None:
    before = managed(site, windows)
    site.account.fault(operation, kind, times=1)
    excluded = VolumeExclusions(volume_ids=(windows.volumes["/dev/sdg"],))  # its snapshot is to be deleted
    job = windows.job(consistency="application", excluded=excluded)
    document = Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()
    assert site.account.control("GET", "faults") == []
    assert document["consistency"] == "application"
    assert sorted(site.of_task(job.token)["snapshots"]) == sorted(v["snapshotId"] for v in document["volumes"])
    assert len(document["volumes"]) == 2
    assert sent(site, windows) == before + 1


@each_way
@pytest.mark.parametrize("operation", ["ec2:CreateSnapshots", "ec2:CopySnapshot", "ec2:DeleteSnapshot"])
def test_a_manual_snapshot_elsewhere(
    site: Site, ec2: Ec2, clock: FakeClock, linux: Protected, operation: str, kind: str
) -> None:
    site.account.fault(operation, kind, times=1)
    job = ManualJob(snapshot=linux.job(), target=FAR)
    document = Driver(clock, lambda memo: ec2.manual_snapshot(job, memo)).finish()
    assert site.account.control("GET", "faults") == []
    assert site.of_task(job.snapshot.token)["snapshots"] == []
    filters = [{"Name": "tag:holdfast:task", "Values": [f"{job.snapshot.token}-copy"]}]
    left = site.aws.call(FAR, "ec2", "describe_snapshots", Filters=filters)["Snapshots"]
    assert [s["SnapshotId"] for s in left] == [v["snapshotId"] for v in document["volumes"]]
