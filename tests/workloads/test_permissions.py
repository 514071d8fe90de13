"""IAM permissions: what EC2 declares is what it uses, and nothing beyond what a backup product is known to need.

``reference_permissions.json`` holds the actions the reference product asks for, by capability.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import botocore.session
import pytest

from server.adapters.aws import Boto3Aws
from server.adapters.clock import FakeClock, SystemClock
from server.adapters.db.sealing import Sealer
from server.adapters.ebs import EbsBlocks
from server.domain.guest import Guest, Script, Scripts
from server.domain.workload import Place
from server.ports import BLOCK_SIZE, GuestJob, PointMark
from server.workloads import WORKLOADS
from server.workloads.ec2 import PERMISSIONS, Ec2, commands
from tests.demo_account import HOME, REGION, Site
from tests.workloads.conftest import Driver, Protected, instance_options, restore_job, volume_options
from tests.workloads.replicas import OTHER_ACCOUNT, encrypted_point, replica_job, role

REFERENCE = json.loads(Path(__file__).with_name("reference_permissions.json").read_text())
# AWS checks these when it acts for us; there is no call of that name to be seen.
IMPLIED: Final = {
    "iam:PassRole",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
}
# The reference product reads and writes blocks from helper instances with attached volumes; we use EBS direct instead.
OURS: Final = {
    "ebs:CompleteSnapshot",
    "ebs:GetSnapshotBlock",
    "ebs:PutSnapshotBlock",
    "ebs:StartSnapshot",
    "ec2:DescribeInstanceTypeOfferings",  # the restore form offers only types the zone has
    "kms:Decrypt",
    "kms:ListGrants",  # a grant made for a copy is found again and retired
    "kms:RetireGrant",
    "ssm:CancelCommand",  # what a cancelled task runs in a guest is stopped
    "ssm:ListCommands",  # a command in doubt is looked for, not sent again
}
# Part of every policy (server.permissions): who may enter the role, and who it then is.
ENTERING: Final = {"sts:AssumeRole", "sts:GetCallerIdentity"}
# Abandoning any task looks for its commands, and takes a refusal for "none": only who may list them can have sent any.
ABANDONING: Final = {"ssm:ListCommands"}
# The restore form asks these before a restore is started (services.resources); tests/architecture compares them.
FORM: Final = {"ec2:DescribeInstanceTypeOfferings", "iam:ListInstanceProfiles"}

A_MARK: Final = PointMark(point_id=UUID(int=1), appliance_id=UUID(int=2), told={})

Memo = dict[str, Any]


class Acting:
    """EC2 and the block client over adapters of their own, whose recorded actions are those of one capability."""

    def __init__(self, site: Site, clock: FakeClock) -> None:
        self.clock = clock
        self.site = site
        self.aws = Boto3Aws(clock, endpoint_url=site.account.url)
        self.ec2 = Ec2(self.aws, clock)
        self.blocks = EbsBlocks(self.aws, SystemClock())  # its signatures need the real time

    def snapshot(self, web: Protected) -> Memo:
        job = web.job()
        return Driver(self.clock, lambda memo: self.ec2.snapshot(job, memo)).finish()

    def close(self) -> None:
        self.blocks.close()


def discover(act: Acting, web: Protected, document: Memo) -> None:
    list(act.ec2.discover(HOME))
    list(act.ec2.marked(HOME))
    act.ec2.read_marks(HOME, [document["volumes"][0]["snapshotId"]], Sealer(bytes(32)))
    act.ec2.missing(HOME, [document["volumes"][0]["snapshotId"], "snap-0123456789abcdef0"])


def snapshot(act: Acting, web: Protected, document: Memo) -> None:
    made = act.snapshot(web)
    act.ec2.mark(HOME, made, A_MARK, Sealer(bytes(32)))
    act.ec2.delete_snapshot(HOME, made)


def guest(act: Acting, web: Protected, document: Memo) -> None:
    act.site.account.control("POST", f"ssm/{web.resource.aws_id}", b'{"agent": "online"}')
    asked = Guest(linux=Scripts(pre=Script(path="/opt/none.sh", arguments="")))
    job = GuestJob(place=HOME, resource=web.resource, token=uuid4().hex, policy_name="Nightly", guest=asked, moment="pre")
    Driver(act.clock, lambda memo: act.ec2.guest(job, memo)).finish()
    slow = replace(job, token=uuid4().hex)
    act.site.account.control("POST", f"ssm/{web.resource.aws_id}", b'{"agent": "online", "seconds": 60}')
    memo: Memo = {}
    while "commandId" not in memo.get("command", {}):
        memo = act.ec2.guest(slow, memo).memo
    commands.stop(act.aws, HOME, slow.token)
    act.site.account.control("DELETE", f"ssm/{web.resource.aws_id}")


def replica(act: Acting, web: Protected, document: Memo) -> None:
    """To another account, of an encrypted disk: everything a replica can need, by a role that may do nothing else."""
    key = act.site.aws.call(HOME, "kms", "create_key", Description="disks")["KeyMetadata"]["Arn"]
    point = encrypted_point(act.site, Ec2(act.site.aws, act.clock), act.clock, key)
    target = Place(UUID(int=2), role(act.site, list(PERMISSIONS["replica"])), None, REGION)
    job = replica_job(point, target=target, target_aws_account_id=OTHER_ACCOUNT, encrypt=True)
    made = Driver(act.clock, lambda memo: act.ec2.replicate(job, memo)).finish()
    act.ec2.mark(target, made, A_MARK, Sealer(bytes(32)))
    act.ec2.delete_snapshot(target, made)


def backup(act: Acting, web: Protected, document: Memo) -> None:
    snapshot_id = document["volumes"][0]["snapshotId"]
    act.blocks.read(HOME, snapshot_id, next(act.blocks.allocated(HOME, snapshot_id)))
    list(act.blocks.changed(HOME, snapshot_id, snapshot_id))


def restore(act: Acting, web: Protected, document: Memo) -> None:
    upload = act.blocks.start(HOME, size_gib=1, token=uuid4().hex, description="", tags={})
    act.blocks.write(HOME, upload, 0, bytes([1]) * BLOCK_SIZE)
    act.blocks.complete(HOME, upload, written=1)
    act.ec2.delete_snapshot(HOME, {"volumes": [{"snapshotId": upload}]})
    volumes, instance = restore_job(document, act.ec2), restore_job(document, act.ec2)
    Driver(act.clock, lambda memo: act.ec2.restore_volumes(volumes, volume_options(), memo)).finish()
    Driver(act.clock, lambda memo: act.ec2.restore_instance(instance, instance_options(), memo)).finish()
    act.ec2.abandon(HOME, instance.token)


CAPABILITIES: Final = {
    "discover": discover,
    "guest": guest,
    "snapshot": snapshot,
    "replica": replica,
    "backup": backup,
    "restore": restore,
}


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_what_is_used_is_declared_and_what_is_declared_is_used(
    site: Site, web: Protected, document: Memo, clock: FakeClock, capability: str
) -> None:
    site.call("create_tags", Resources=[web.volumes["/dev/sdf"]], Tags=[{"Key": "Cost", "Value": "1"}])
    with contextlib.closing(Acting(site, clock)) as act:
        CAPABILITIES[capability](act, web, document)
    declared = set(PERMISSIONS[capability])
    assert act.aws.actions - declared - ENTERING - ABANDONING == set()
    # Tags set at creation need ec2:CreateTags, although it is not called by name.
    assert declared - act.aws.actions - IMPLIED - FORM - {"ec2:CreateTags"} == set()


def test_every_capability_is_looked_at() -> None:
    assert CAPABILITIES.keys() == PERMISSIONS.keys()


def test_nothing_is_declared_that_the_reference_does_not_need_either() -> None:
    reference = {action for actions in REFERENCE["ec2"].values() for action in actions}
    declared = {action for actions in PERMISSIONS.values() for action in actions}
    assert declared - reference == OURS


def test_every_declared_action_of_a_service_is_an_operation_of_it() -> None:
    session = botocore.session.Session()
    for workload in WORKLOADS:
        for actions in workload.permissions.values():
            assert list(actions) == sorted(set(actions))
            for action in set(actions) - IMPLIED:
                service, _, name = action.partition(":")
                assert name in session.get_service_model(service).operation_names
