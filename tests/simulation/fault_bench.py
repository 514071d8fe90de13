"""An appliance in this process on a demo account: a policy with every leg, one instance, and a look at what a run leaves."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from server.adapters.aws import Boto3Aws
from server.adapters.blobs.s3 import S3Blobs
from server.adapters.clock import FakeClock
from server.adapters.db import Database
from server.adapters.ebs import EbsBlocks
from server.domain import repository as stored
from server.domain.guest import Guest, Script, Scripts
from server.domain.periods import Frequency, Period
from server.domain.policy import Policy, Retention, Retries
from server.domain.replicas import ReplicaTarget
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.scope import Scope
from server.domain.session import Session
from server.domain.workload import Account, AccountState, Place, Resource, place
from server.ports import Order, Select, Where
from server.repository.check import check
from server.repository.prune import collect
from server.repository.repository import Repository
from server.services import protection
from server.services.context import Services
from server.workloads.ec2 import PERMISSIONS, Ec2
from tests.demo_account import HOME, REGION, DemoAccount, Site
from tests.services.engine.harness import PASSWORD, Appliance, build
from tests.workloads.replicas import HOME_ACCOUNT, OTHER_ACCOUNT, role

FAR = "eu-west-1"
FREEZE, THAW = "/opt/freeze.sh", "/opt/thaw.sh"
ALL_LEGS = {leg: frozenset({Frequency.DAILY}) for leg in Leg}


SKEW = timedelta(minutes=2)  # AWS refuses requests from clocks that are too far from its own


class SharedClock(FakeClock):
    """Time at our command, for the account too."""

    def __init__(self, account: DemoAccount) -> None:
        super().__init__(datetime.now(UTC))
        self._account = account
        self._told = self.now()

    def advance(self, by: float | timedelta) -> datetime:
        now = super().advance(by)
        if now - self._told > SKEW:
            self._told = now
            self._account.control("POST", "clock", json.dumps({"at": now.timestamp(), "rate": 1}).encode())
        return now


@dataclass
class FaultBench:
    """One policy, started again and again. Every connection to AWS is new for each run, so that signing in is part of it."""

    account: DemoAccount
    appliance: Appliance
    database: Database
    clock: FakeClock
    policy_id: UUID = field(default_factory=uuid4)
    dr_role: str = ""
    instance: str = ""
    key: str = ""
    repositories: list[stored.Repository] = field(default_factory=list)
    runs: int = 0
    _blocks: EbsBlocks | None = None

    # ---- what is there before

    def prepare(self) -> FaultBench:
        site = Site(self.account, Boto3Aws(self.clock, endpoint_url=self.account.url)).build()
        self.dr_role = role(site, list(PERMISSIONS["replica"]))
        self.key = str(site.aws.call(HOME, "kms", "create_key", Description="disks")["KeyMetadata"]["Arn"])
        self.instance = site.launch("web-1", data_disks=0, profile=True)
        volume = site.call("create_volume", AvailabilityZone=f"{REGION}a", Size=1, Encrypted=True, KmsKeyId=self.key)
        site.attach(volume["VolumeId"], self.instance, "/dev/sdf")
        for number, disk in enumerate(site.volumes_of(self.instance).values(), start=1):
            for index in (0, 5, 2047):
                self.account.write(disk, index, number)
        scripts = {path: {"exitCode": 0, "seconds": 0.05} for path in (FREEZE, THAW)}
        self.account.control("POST", f"ssm/{self.instance}", json.dumps({"agent": "online", "scripts": scripts}).encode())
        self._connect(site.aws)
        self._estate(site)
        return self

    def _estate(self, site: Site) -> None:
        now = self.clock.now()
        home = _account(HOME.account_id, "home", None, HOME_ACCOUNT, now)
        other = _account(uuid4(), "dr", self.dr_role, OTHER_ACCOUNT, now)
        found = next(each for each in Ec2(site.aws, self.clock).discover(HOME) if each.aws_id == self.instance)
        resource = Resource(
            id=uuid4(),
            account_id=home.id,
            workload="ec2",
            region=REGION,
            aws_id=found.aws_id,
            name=found.name,
            tags=found.tags,
            state=found.state,
            size_bytes=found.size_bytes,
            document=found.document,
            first_seen_at=now,
            last_seen_at=now,
        )
        with self.appliance.app.store.transaction() as tx:
            tx.accounts.add(home)
            tx.accounts.add(other)
            tx.resources.add(resource)
        classes = (stored.StorageClass.STANDARD, stored.StorageClass.GLACIER)
        self.repositories = [self._repository(site, home, storage_class) for storage_class in classes]
        with self.appliance.app.store.transaction() as tx:
            tx.policies.add(self._policy(home, other, now))

    def _repository(self, site: Site, home: Account, storage_class: stored.StorageClass) -> stored.Repository:
        name = f"holdfast-{uuid4().hex[:12]}"
        client = site.aws.s3_client(HOME)
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        row = stored.Repository(
            id=uuid4(),
            name=name,
            kind=stored.StorageKind.S3,
            account_id=home.id,
            region=REGION,
            location=name,
            password=PASSWORD,
            storage_class=storage_class,
            created_at=self.clock.now(),
        )
        with self.appliance.app.store.transaction() as tx:
            tx.repositories.add(row)
        owner = self.appliance.app.owner_id()
        Repository.create(S3Blobs(client, name), PASSWORD, clock=self.clock, owner=owner, storage_class=storage_class)
        return row

    def _policy(self, home: Account, other: Account, now: datetime) -> Policy:
        scripts = Scripts(pre=Script(path=FREEZE), post=Script(path=THAW))
        return Policy(
            id=self.policy_id,
            name="everything",
            scope=Scope(account_id=home.id, regions=(REGION,)),
            repository_id=self.repositories[0].id,
            archive_repository_id=self.repositories[1].id,
            replicas=(ReplicaTarget(account_id=other.id, region=FAR, encrypt=True),),
            guest=Guest(linux=scripts),
            retention=Retention(snapshots=1, replicas=1, backups=Period(2), archives=Period(2)),
            retries=Retries(attempts=0),
            verify=True,
            created_at=now,
            updated_at=now,
        )

    def _connect(self, aws: Boto3Aws | None = None) -> None:
        """Fresh connections: nothing is signed in, no repository is open."""
        self.close()
        aws = aws or Boto3Aws(self.clock, endpoint_url=self.account.url)
        blocks = self._blocks = EbsBlocks(aws, self.clock)
        opened: dict[UUID, Repository] = {}

        def open_blobs(row: stored.Repository) -> S3Blobs:
            return S3Blobs(aws.s3_client(HOME), row.location)

        def open_repository(row: stored.Repository) -> Repository:
            if row.id not in opened:
                owner = self.appliance.app.owner_id()
                opened[row.id] = Repository.open(open_blobs(row), row.password, clock=self.clock, owner=owner)
            return opened[row.id]

        self.appliance.app = replace(
            self.appliance.app,
            aws=aws,
            blocks=blocks,
            workloads={"ec2": Ec2(aws, self.clock)},
            open_blobs=open_blobs,
            open_repository=open_repository,
        )

    def close(self) -> None:
        if self._blocks is not None:
            self._blocks.close()

    # ---- a run

    def run(self) -> Session:
        """A day later, the guest has written; every leg and retention, to the end."""
        self.runs += 1
        self.clock.advance(timedelta(days=1))
        for disk in self._disks():
            self.account.write(disk, self.runs % 100, self.runs % 251 + 1)
        self._connect()
        order = protection.RunOrder(requested_by="schedule", flags=ALL_LEGS, slot_at=self.clock.now(), retries=0)
        app: Services = self.appliance.app
        with app.store.transaction() as tx:
            policy = tx.policies.get(self.policy_id, lock=True)
            session = protection.start_run(tx, app, policy, order, next_run_at=None)
        self.appliance.work(limit=timedelta(hours=6))
        return self.appliance.session(session.id)

    def _disks(self) -> list[str]:
        with self.appliance.app.store.transaction() as tx:
            (resource,) = tx.resources.page(Select(limit=2))
        return [volume["volumeId"] for volume in resource.document["volumes"]]

    # ---- what is left of it

    def points(self) -> list[RestorePoint]:
        with self.appliance.app.store.transaction() as tx:
            where = (Where("state", "eq", PointState.AVAILABLE),)
            return tx.points.page(Select(where=where, order=(Order("at"),), limit=1000))

    def leftovers(self, session: Session) -> list[str]:
        """What a run must not leave; nothing when all is as it should be."""
        points, wrong = self.points(), []
        made = Counter(point.leg for point in points if point.session_id == session.id)
        if made != Counter(list(Leg)):
            wrong.append(f"points made: {dict(made)}")
        known = {id for point in points if point.leg in (Leg.SNAPSHOT, Leg.REPLICA) for id in _snapshot_ids(point)}
        there = self._snapshots(HOME) | self._snapshots(self._dr())
        wrong += [f"snapshot {id} belongs to no point" for id in sorted(there - known)]
        wrong += [f"snapshot {id} of a point is missing" for id in sorted(known - there)]
        wrong += self._open_doors(known)
        wrong += self._scripts(session)
        for row in self.repositories:
            ids = {each.id for each in self.appliance.app.open_repository(row).points()}
            mine = {point.id for point in points if point.repository_id == row.id}
            wrong += [f"{row.name}: points {ids ^ mine} differ"] if ids != mine else []
        return wrong

    def _open_doors(self, known: set[str]) -> list[str]:
        """Snapshots still shared, and grants still given on the source's key."""
        aws, wrong = self.appliance.app.aws, []
        for id in sorted(known & self._snapshots(HOME)):
            asked: dict[str, Any] = {"SnapshotId": id, "Attribute": "createVolumePermission"}
            if aws.call(HOME, "ec2", "describe_snapshot_attribute", **asked)["CreateVolumePermissions"]:
                wrong.append(f"snapshot {id} is still shared")
        grants = aws.call(HOME, "kms", "list_grants", KeyId=self.key)["Grants"]
        return wrong + [f"grant {grant['Name']} is still given" for grant in grants if grant.get("Name")]

    def _scripts(self, session: Session) -> list[str]:
        """Each script ran exactly once."""
        (task, _) = self.appliance.tasks(session.id)
        sent = self.account.control("GET", f"ssm/{self.instance}/commands")
        mine = [each for each in sent if str(each["Comment"]).startswith(str(task.id))]
        return [] if len(mine) == 2 else [f"{len(mine)} commands were sent to the guest"]

    def _snapshots(self, where: Place) -> set[str]:
        filters = [{"Name": "tag-key", "Values": ["holdfast:task"]}]
        pages = self.appliance.app.aws.pages(where, "ec2", "describe_snapshots", OwnerIds=["self"], Filters=filters)
        return {snapshot["SnapshotId"] for page in pages for snapshot in page["Snapshots"]}

    def _dr(self) -> Place:
        with self.appliance.app.store.transaction() as tx:
            account = tx.accounts.find(name="dr")
        assert account is not None
        return place(account, FAR)

    def unneeded(self) -> list[str]:
        """What two collections leave in the repositories for a third, and what a check of all content finds."""
        wrong = []
        for row in self.repositories:
            repository = self.appliance.app.open_repository(row)
            for _ in range(2):
                collect(repository, min_age=timedelta(0))
            last = collect(repository, min_age=timedelta(0))
            wrong += [f"{row.name}: {last}"] if last.deleted_objects or last.marked_objects else []
            standard = row.storage_class is stored.StorageClass.STANDARD
            wrong += [problem.message for problem in check(repository, "content" if standard else "structure")]
            uploads = self.appliance.app.aws.s3_client(HOME).list_multipart_uploads(Bucket=row.location)  # type: ignore[attr-defined]  # boto3's
            wrong += [f"{row.name}: unfinished upload {each['Key']}" for each in uploads.get("Uploads", ())]
        return wrong


def _account(id: UUID, name: str, role_arn: str | None, number: str, now: datetime) -> Account:
    return Account(
        id=id,
        name=name,
        role_arn=role_arn,
        external_id=None,
        aws_account_id=number,
        state=AccountState.AVAILABLE,
        created_at=now,
    )


def _snapshot_ids(point: RestorePoint) -> set[str]:
    return {volume["snapshotId"] for volume in point.document["volumes"]}


def bench(database_url: str, account: DemoAccount) -> FaultBench:
    clock = SharedClock(account)
    appliance, database = build(database_url, clock=clock)
    return FaultBench(account, appliance, database, clock)
