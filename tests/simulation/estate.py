"""An appliance in this process on a demo account of its own: the real services, database, AWS adapters and repositories; only
the queue is in memory, and time, the account's too, is ours."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import event

from server.adapters.aws import Boto3Aws
from server.adapters.clock import FakeClock
from server.adapters.db import Database
from server.adapters.db.sealing import Sealer
from server.adapters.ebs import EbsBlocks
from server.adapters.messaging import MemoryJobs, MemoryWakeups
from server.bootstrap import Repositories
from server.domain.access import SYSTEM
from server.domain.repository import Repository, StorageClass, StorageKind
from server.domain.session import Event, Session, Task
from server.domain.workload import Account, AccountState
from server.services import repositories, scheduling, tasks
from server.services.context import Services
from server.services.handlers import HANDLERS
from server.services.repository_forms import NewRepository
from server.workloads import workloads
from tests.conftest import demo_settings
from tests.demo.clouds import Cloud


class AccountClock(FakeClock):
    """Moves the demo account's clock along, which stands still otherwise."""

    def __init__(self, now: datetime, cloud: Cloud) -> None:
        super().__init__(now)
        self._cloud = cloud
        self._tell(now)

    def advance(self, by: float | timedelta) -> datetime:
        now = super().advance(by)
        self._tell(now)
        return now

    def _tell(self, now: datetime) -> None:
        self._cloud.control("POST", "clock", {"at": now.isoformat(), "rate": 0})


@dataclass
class Estate:
    """``statements`` counts SQL by its first word; ``delivered``: messages."""

    app: Services
    cloud: Cloud
    clock: AccountClock
    jobs: MemoryJobs
    folder: Path
    statements: Counter[str] = field(default_factory=Counter)
    delivered: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    agenda: scheduling.Agenda = field(default_factory=scheduling.Agenda)

    # ---- time passes

    def work(self, until: datetime, *, threads: int = 1) -> None:
        """Deliver messages as they come due, moving time on to the next one, until none is due by ``until``."""
        with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
            hand_out = pool.map if pool is not None else map  # without threads, failures and profiles are easier to read
            while True:
                while ids := self._due():
                    for _ in hand_out(self._advance, ids):
                        self.delivered += 1
                due = self.jobs.next_due()
                if due is None or due > until:
                    return
                self.clock.set(max(due, self.clock.now()))

    def _due(self) -> list[UUID]:
        found = []
        while (task_id := self.jobs.take()) is not None:
            found.append(task_id)
        return found

    def _advance(self, task_id: UUID) -> None:
        tasks.advance(self.app, task_id, HANDLERS, self.stop)

    def hour(self, moment: datetime) -> None:
        """It strikes: the scheduler looks, and what it starts is done."""
        self.clock.set(max(moment, self.clock.now()))
        scheduling.tick(self.app, self.agenda)
        self.work(moment + timedelta(minutes=59))

    # ---- what is there

    def session(self, id: UUID) -> tuple[Session, list[Task], list[Event]]:
        with self.app.store.transaction() as tx:
            return tx.sessions.get(id), tx.tasks.states(id), tx.events.after(id, 0, 10_000)

    # ---- what a test sets up

    def account(self, name: str = "home") -> Account:
        account = Account(
            id=uuid4(),
            name=name,
            role_arn=None,
            external_id=None,
            aws_account_id="123456789012",
            state=AccountState.AVAILABLE,
            created_at=self.clock.now(),
        )
        with self.app.store.transaction() as tx:
            tx.accounts.add(account)
        return account

    def repository(self, account: Account, name: str, storage_class: StorageClass) -> Repository:
        """In a bucket of its own."""
        bucket = f"holdfast-{name}"
        self.cloud.client("s3").create_bucket(Bucket=bucket)
        draft = NewRepository(
            name=name,
            kind=StorageKind.S3,
            account_id=account.id,
            region="us-east-1",
            location=bucket,
            prefix="holdfast",
            password="a repository password",
            storage_class=storage_class,
        )
        return repositories.add(self.app, SYSTEM, draft, local_root=self.folder).repository


@contextmanager
def estate(database_url: str, folder: Path, begin: datetime) -> Iterator[Estate]:
    """``folder`` is empty; the demo account's keys are in the environment."""
    cloud = Cloud(folder / "aws")
    cloud.data.mkdir()
    cloud.start()
    clock = AccountClock(begin, cloud)
    jobs = MemoryJobs(clock)
    store = Database(database_url, sealing_key=bytes(32), clock=clock, jobs=jobs)
    aws = Boto3Aws(clock, endpoint_url=cloud.url)
    blocks = EbsBlocks(aws, clock)
    shelf = Repositories(demo_settings(folder / "appliance", cloud.url), store, aws, clock)
    app = Services(
        store=store,
        clock=clock,
        aws=aws,
        blocks=blocks,
        workloads={each.kind: each for each in workloads(aws, clock)},
        jobs=jobs,
        wakeups=MemoryWakeups(),
        open_blobs=shelf.blobs,
        open_repository=shelf.open,
        open_kms=shelf.kms,
        owner_id=shelf.owner_id,
        sealing=Sealer(bytes(32)),
    )
    made = Estate(app=app, cloud=cloud, clock=clock, jobs=jobs, folder=folder)

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        made.statements[statement.split(None, 1)[0].upper()] += 1

    event.listen(store._engine, "before_cursor_execute", count)
    try:
        yield made
    finally:
        blocks.close()
        store.close()
        cloud.kill()
