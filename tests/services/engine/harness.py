"""An appliance in this process: a real database, everything else in memory, time at our command."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.clock import FakeClock, SystemClock
from server.adapters.db import Database
from server.adapters.db.sealing import Sealer
from server.adapters.messaging import MemoryJobs, MemoryWakeups
from server.domain import repository as stored
from server.domain.guest import Guest
from server.domain.immutability import BucketFacts, judge
from server.domain.periods import EVERY_DAY, Period, Weekday
from server.domain.policy import HealthCheck, Policy, PolicyKind, Retention, Retries
from server.domain.replicas import ReplicaTarget
from server.domain.schedule import Daily, Rule, Schedule
from server.domain.scope import Scope
from server.domain.session import Event, Session, Task
from server.domain.sla import SlaTerms
from server.domain.templates import Location, SlaTemplate, SlaTemplateVersion, StorageTemplate
from server.domain.workload import Account, AccountState, Resource, resource_id
from server.ports import Jobs, Tx
from server.repository import layout
from server.repository.crypto import HEADER_SIZE
from server.repository.repository import Repository
from server.services import due_runs, scheduling, tasks
from server.services.context import Services
from server.services.handlers import HANDLERS
from server.services.tasks import Handlers
from tests.services.engine.cloud import REGION, Cloud

BEGIN = datetime(2026, 3, 2, 6, 30, tzinfo=UTC)  # a Monday
PASSWORD = "a repository password"


def daily(
    snapshot: tuple[int, ...],
    *,
    backup: tuple[int, ...] = (),
    replica: tuple[int, ...] = (),
    snapshots: int = 7,
    replicas: int = 7,
    backup_days: int = 30,
    days: tuple[Weekday, ...] = EVERY_DAY,
    per_hour: int = 1,
) -> Schedule:
    """A daily schedule, in UTC: the hours of each leg, and what is kept."""
    part = Daily(
        days=days,
        per_hour=per_hour,
        snapshot=Rule(slots=snapshot, count=snapshots),
        replica=Rule(slots=replica, count=replicas) if replica else None,
        backup=Rule(slots=backup, period=Period(backup_days)) if backup else None,
    )
    return Schedule(daily=part)


class Killed(BaseException):
    """kill -9 of the worker, here and now."""


class MortalStore:
    """A store whose user dies at transaction borders, when ``deadly`` says so: before, or right after a commit."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.deadly: Callable[[], bool] = lambda: False

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        working = not threading.current_thread().name.startswith("lease-")  # how often leases are renewed is up to the machine
        if working and self.deadly():
            raise Killed
        with self._store.transaction() as tx:
            yield tx
        if working and self.deadly():
            raise Killed

    def ping(self) -> None:
        self._store.ping()


@dataclass
class Appliance:
    """``app`` is what use cases are handed."""

    app: Services
    store: MortalStore
    clock: FakeClock
    jobs: MemoryJobs
    cloud: Cloud
    blobs: dict[UUID, MemoryBlobs]
    handlers: Handlers = field(default_factory=lambda: HANDLERS)
    stop: threading.Event = field(default_factory=threading.Event)

    # ---- time passes

    def advance(self, task_id: UUID) -> None:
        tasks.advance(self.app, task_id, self.handlers, self.stop)

    def work(self, limit: timedelta = timedelta(hours=2), until: Callable[[], bool] = lambda: False) -> None:
        """Deliver messages as they come due, moving time on to the next, until nothing is waiting or ``until`` holds."""
        end = self.clock.now() + limit
        while not until():
            self.jobs.run(self.advance)
            due = self.jobs.next_due()
            if due is None or due > end or until():
                return
            self.clock.set(max(due, self.clock.now()))

    def tick(self) -> None:
        scheduling.tick(self.app, scheduling.Agenda(hour=self._hour(), day=self._hour().replace(hour=4)))

    def _hour(self) -> datetime:
        return self.clock.now().replace(minute=0, second=0, microsecond=0)

    # ---- what is there

    def session(self, id: UUID) -> Session:
        with self.app.store.transaction() as tx:
            return tx.sessions.get(id)

    def tasks(self, session_id: UUID) -> list[Task]:
        with self.app.store.transaction() as tx:
            return tx.tasks.states(session_id)

    def log(self, session_id: UUID) -> list[Event]:
        with self.app.store.transaction() as tx:
            return tx.events.after(session_id, 0, 10_000)

    def lines(self, session_id: UUID) -> list[str]:
        return [event.message for event in self.log(session_id)]

    def packs(self, repository: stored.Repository) -> set[str]:
        """Names of the data packs in the bucket."""
        return {blob.name for blob in self.blobs[repository.id].list(layout.PACKS)}

    def spoil(self, repository: stored.Repository, names: Iterable[str]) -> None:
        """Flip a bit in the first item of each of these packs, past everything that guards the bucket."""
        for name in names:
            content = bytearray(self.blobs[repository.id].get(name))
            content[HEADER_SIZE + 8] ^= 1
            self.blobs[repository.id].put(name, bytes(content))

    # ---- what a test sets up

    def account(self, name: str = "home") -> Account:
        account = Account(
            id=uuid4(),
            name=name,
            role_arn=None if name == "home" else f"arn:aws:iam::210987654321:role/{name}",
            external_id=None,
            aws_account_id="123456789012",
            state=AccountState.AVAILABLE,
            created_at=self.clock.now(),
        )
        with self.app.store.transaction() as tx:
            tx.accounts.add(account)
        return account

    def repository(
        self,
        account: Account,
        name: str = "vault",
        *,
        storage_class: stored.StorageClass = stored.StorageClass.STANDARD,
        facts: BucketFacts | None = None,
    ) -> stored.Repository:
        """In a bucket set up as ``facts`` say."""
        bucket = facts or BucketFacts()
        repository = stored.Repository(
            id=uuid4(),
            name=name,
            kind=stored.StorageKind.S3,
            account_id=account.id,
            region="us-east-1",
            location=f"bucket-{name}",
            password=PASSWORD,
            storage_class=storage_class,
            immutable=judge(bucket).immutable,
            created_at=self.clock.now(),
        )
        with self.app.store.transaction() as tx:
            tx.repositories.add(repository)
        blobs = self.blobs[repository.id] = MemoryBlobs(clock=self.clock, facts=bucket)
        Repository.create(blobs, PASSWORD, clock=self.clock, owner=self.app.owner_id(), storage_class=storage_class)
        return repository

    def machine(
        self, account: Account, name: str, disks: Mapping[str, Mapping[int, bytes]], region: str = REGION, **tags: str
    ) -> Resource:
        """A machine in the cloud and in the inventory; ``disks``: volume id → block index → content."""
        self.cloud.add_machine(name, disks, tags=tags, region=region)
        found = next(each for each in self.cloud.workload.found() if each.aws_id == f"i-{name}")
        resource = Resource(
            id=resource_id(account.id, self.cloud.workload.kind, found.region, found.aws_id),
            account_id=account.id,
            workload=self.cloud.workload.kind,
            region=found.region,
            aws_id=found.aws_id,
            name=found.name,
            tags=found.tags,
            state=found.state,
            size_bytes=found.size_bytes,
            document=found.document,
            first_seen_at=self.clock.now(),
            last_seen_at=self.clock.now(),
        )
        with self.app.store.transaction() as tx:
            tx.resources.add(resource)
        return resource

    def policy(
        self,
        account: Account,
        *,
        name: str = "gold",
        repository: stored.Repository | None = None,
        schedule: Schedule | None = None,
        snapshots: int = 2,
        backup_days: int = 30,
        retries: int = 0,
        priority: int = 1,
        verify: bool = False,
        health_check: HealthCheck | None = None,
        archive: stored.Repository | None = None,
        replicas: tuple[ReplicaTarget, ...] = (),
        guest: Guest | None = None,
    ) -> Policy:
        now = self.clock.now()
        policy = Policy(
            id=uuid4(),
            name=name,
            workload=self.cloud.workload.kind,
            priority=priority,
            scope=Scope(account_id=account.id, regions=("us-east-1",)),
            schedule=schedule,
            retention=Retention(snapshots=snapshots, backups=Period(backup_days)),
            retries=Retries(attempts=retries),
            repository_id=repository.id if repository else None,
            verify=verify,
            health_check=health_check,
            archive_repository_id=archive.id if archive else None,
            replicas=replicas,
            guest=guest or Guest(),
            created_at=now,
            updated_at=now,
        )
        policy = replace(policy, next_run_at=due_runs.next_run_at(policy, None, now))
        with self.app.store.transaction() as tx:
            tx.policies.add(policy)
        return policy

    def sla_policy(
        self,
        account: Account,
        terms: SlaTerms,
        *,
        regions: tuple[str, ...] = (REGION,),
        backup: stored.Repository | None = None,
        archive: stored.Repository | None = None,
        replicas: tuple[ReplicaTarget, ...] = (),
        retries: int = 0,
        name: str = "promise",
    ) -> Policy:
        """With templates of its own. Made just now: what an open window asked for earlier is still to be made."""
        now = self.clock.now()
        template = SlaTemplate(id=uuid4(), name=f"{name} terms", terms=terms, created_at=now, updated_at=now)
        version = SlaTemplateVersion(id=uuid4(), template_id=template.id, version=1, since=now, terms=terms)
        storage = None
        if backup is not None:
            storage = StorageTemplate(
                id=uuid4(),
                name=f"{name} storage",
                backup=Location(default_id=backup.id),
                archive=Location(default_id=archive.id) if archive else None,
                created_at=now,
                updated_at=now,
            )
        policy = Policy(
            id=uuid4(),
            name=name,
            workload=self.cloud.workload.kind,
            kind=PolicyKind.SLA,
            scope=Scope(account_id=account.id, regions=regions),
            sla_template_id=template.id,
            storage_template_id=storage.id if storage else None,
            replicas=replicas,
            retries=Retries(attempts=retries),
            created_at=now,
            updated_at=now,
        )
        with self.app.store.transaction() as tx:
            tx.sla_templates.add(template)
            tx.sla_versions.add(version)
            if storage is not None:
                tx.storage_templates.add(storage)
            tx.policies.add(policy)
        return policy


class RealTime(FakeClock):
    """The machine's clock, for tests with real threads and queues."""

    def __init__(self) -> None:
        super().__init__(BEGIN)
        self._real = SystemClock()

    def now(self) -> datetime:
        return self._real.now()

    def monotonic(self) -> float:
        return self._real.monotonic()


def build(
    database_url: str, seed: int = 1, *, clock: FakeClock | None = None, queue: Jobs | None = None
) -> tuple[Appliance, Database]:
    """A fresh appliance on an empty, migrated database. Close the database when done. ``queue``: instead of one in memory."""
    clock = clock or FakeClock(BEGIN)
    jobs = MemoryJobs(clock)
    database = Database(database_url, sealing_key=bytes(32), clock=clock, jobs=queue or jobs, wakeups=None)
    store = MortalStore(database)
    cloud = Cloud(clock)
    blobs: dict[UUID, MemoryBlobs] = {}
    owner = uuid4()
    opened: dict[UUID, Repository] = {}

    def open_repository(row: stored.Repository) -> Repository:
        if row.id not in opened:
            opened[row.id] = Repository.open(blobs[row.id], row.password, clock=clock, owner=owner)
        return opened[row.id]

    app = Services(
        store=store,
        clock=clock,
        aws=cloud,
        blocks=cloud.blocks,
        workloads={cloud.workload.kind: cloud.workload},
        jobs=queue or jobs,
        wakeups=MemoryWakeups(),
        open_blobs=lambda row: blobs[row.id],
        open_repository=open_repository,
        owner_id=lambda: owner,
        sealing=Sealer(bytes(32)),
        random=random.Random(seed),
    )
    return Appliance(app=app, store=store, clock=clock, jobs=jobs, cloud=cloud, blobs=blobs), database
