"""An appliance's services joined to the demo account: its prices, IAM, KMS, S3 and Systems Manager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest

from server.adapters.aws import Boto3Aws
from server.adapters.blobs.s3 import S3Blobs
from server.adapters.clock import SystemClock
from server.adapters.db import Database
from server.adapters.db.sealing import Sealer
from server.adapters.ebs import EbsBlocks
from server.adapters.messaging import MemoryJobs, MemoryWakeups
from server.bootstrap import STORAGE_PERMISSIONS
from server.domain.access import Caller, Role
from server.domain.repository import Repository, StorageKind
from server.domain.schedule import Daily, Rule, Schedule
from server.domain.scope import Scope
from server.domain.workload import Account, AccountState, Place, Resource
from server.ports import Blobs
from server.repository.repository import Repository as Engine
from server.services.context import Services
from server.services.policies import PolicyDraft
from server.workloads.ec2 import Ec2
from tests.demo_account import HOME, REGION, DemoAccount, demo_account

CALLER = Caller(user_id=None, name="ann", role=Role.ADMINISTRATOR)
PASSWORD = "a repository password"
HOME_NUMBER, OTHER_NUMBER = "123456789012", "210987654321"


@pytest.fixture(scope="session")
def account() -> Iterator[DemoAccount]:
    with demo_account() as running:
        yield running


@dataclass
class Bench:
    """``home``: the appliance's own account."""

    account: DemoAccount
    app: Services
    aws: Boto3Aws
    clock: SystemClock
    home: Account

    def role(self, *allowed: str) -> tuple[Account, str]:
        """The other account, reached through a role that may do this; and the role's name."""
        iam, name = self.iam(), f"holdfast-{uuid4().hex[:8]}"
        trust = {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Principal": {"AWS": HOME_NUMBER}, "Action": "sts:AssumeRole"},
        }
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        self.allow(name, {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": list(allowed), "Resource": "*"}})
        made = Account(
            id=uuid4(),
            name=f"DR {name}",
            role_arn=arn,
            external_id=None,
            aws_account_id=OTHER_NUMBER,
            state=AccountState.AVAILABLE,
            created_at=self.clock.now(),
        )
        with self.app.store.transaction() as tx:
            tx.accounts.add(made)
        return made, name

    def allow(self, role: str, document: dict[str, Any]) -> None:
        self.iam().put_role_policy(RoleName=role, PolicyName=f"p-{uuid4().hex[:6]}", PolicyDocument=json.dumps(document))

    def iam(self) -> Any:
        return boto3.client(
            "iam",
            endpoint_url=self.account.url,
            region_name=REGION,
            aws_access_key_id="demo2",
            aws_secret_access_key="demo2",
        )

    def key(self, region: str = REGION) -> str:
        made = self.aws.call(Place(self.home.id, None, None, region), "kms", "create_key", Description="disks")
        return str(made["KeyMetadata"]["Arn"])

    def repository(self) -> Repository:
        bucket = f"vault-{uuid4().hex[:8]}"
        self.aws.call(HOME, "s3", "create_bucket", Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        row = Repository(
            id=uuid4(),
            name=bucket,
            kind=StorageKind.S3,
            account_id=self.home.id,
            region=REGION,
            location=bucket,
            prefix="backups",
            password=PASSWORD,
            created_at=self.clock.now(),
        )
        with self.app.store.transaction() as tx:
            tx.repositories.add(row)
        Engine.create(self.app.open_blobs(row), PASSWORD, clock=self.clock, owner=self.app.owner_id())
        return row

    def resource(self, name: str, *, key: str | None = None, platform: str = "Linux/UNIX") -> Resource:
        """An instance of the inventory with one disk, encrypted under ``key`` if there is one."""
        aws_id = f"i-{uuid4().hex[:17]}"
        volume = {
            "volumeId": f"vol-{uuid4().hex[:17]}",
            "device": "/dev/xvda",
            "sizeGib": 8,
            "encrypted": key is not None,
            "kmsKeyId": key,
            "tags": {},
        }
        instance = {"instanceId": aws_id, "name": name, "platform": platform, "rootDeviceName": "/dev/xvda"}
        made = Resource(
            id=uuid4(),
            account_id=self.home.id,
            workload="ec2",
            region=REGION,
            aws_id=aws_id,
            name=name,
            tags={},
            state="running",
            size_bytes=8 * 2**30,
            document={"instance": instance, "volumes": [volume]},
            first_seen_at=self.clock.now(),
            last_seen_at=self.clock.now(),
        )
        with self.app.store.transaction() as tx:
            tx.resources.add(made)
        return made

    def draft(self, **changes: Any) -> PolicyDraft:
        scope = Scope(account_id=self.home.id, regions=(REGION,))
        schedule = Schedule(daily=Daily(snapshot=Rule(slots=(7,), count=3)))
        return PolicyDraft(**{"name": "Nightly", "scope": scope, "schedule": schedule, **changes})


@pytest.fixture
def bench(account: DemoAccount, database_url: str) -> Iterator[Bench]:
    account.reset()
    clock = SystemClock()
    aws = Boto3Aws(clock, endpoint_url=account.url)
    blocks = EbsBlocks(aws, clock)
    jobs = MemoryJobs(clock)
    store = Database(database_url, sealing_key=bytes(32), clock=clock, jobs=jobs, wakeups=None)
    owner = UUID(int=9)

    def open_blobs(row: Repository) -> Blobs:
        return S3Blobs(aws.s3_client(HOME), row.location, row.prefix)

    app = Services(
        store=store,
        clock=clock,
        aws=aws,
        blocks=blocks,
        workloads={"ec2": Ec2(aws, clock)},
        jobs=jobs,
        wakeups=MemoryWakeups(),
        open_blobs=open_blobs,
        open_repository=lambda row: Engine.open(open_blobs(row), row.password, clock=clock, owner=owner),
        owner_id=lambda: owner,
        sealing=Sealer(bytes(32)),
        storage_permissions=STORAGE_PERMISSIONS,
    )
    home = Account(
        id=HOME.account_id, name="Home", role_arn=None, external_id=None, aws_account_id=HOME_NUMBER, created_at=clock.now()
    )
    with store.transaction() as tx:
        tx.accounts.add(home)
    yield Bench(account, app, aws, clock, home)
    blocks.close()
    store.close()
    aws.close()
