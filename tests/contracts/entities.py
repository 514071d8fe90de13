"""Entities for store tests: whole, valid, and different from each other unless told otherwise."""

from __future__ import annotations

import itertools
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from server.domain.access import Role, Token, TokenKind, User
from server.domain.policy import (
    DailySchedule,
    HealthCheck,
    Ordinal,
    Policy,
    Retention,
    Retries,
    Scope,
    SelectionMode,
    TagMatch,
    Weekday,
)
from server.domain.repository import Repository, RetrievalMode, StorageKind
from server.domain.restore import (
    PROVEN_BY_RESTORE,
    Damage,
    DamagedRange,
    Health,
    Leg,
    RestorePoint,
    Retrieval,
    RetrievalState,
)
from server.domain.session import Session, SessionKind, Task, TaskKind
from server.domain.workload import Account, Resource
from server.ports import Tx

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
KEY = bytes(range(32))
_numbers = itertools.count(1)


def _named(word: str) -> str:
    return f"{word}-{next(_numbers)}"


def account(**changes: Any) -> Account:
    name = _named("account")
    values: dict[str, Any] = {
        "id": uuid4(),
        "name": name,
        "role_arn": f"arn:aws:iam::210987654321:role/{name}",
        "external_id": "between-us",
        "aws_account_id": "210987654321",
        "checked_at": NOW,
        "created_at": NOW,
    }
    return Account(**{**values, **changes})


def home(**changes: Any) -> Account:
    return account(**{"role_arn": None, "external_id": None, **changes})


def resource(owner: Account, **changes: Any) -> Resource:
    name = _named("server")
    values: dict[str, Any] = {
        "id": uuid4(),
        "account_id": owner.id,
        "workload": "ec2",
        "region": "us-east-1",
        "aws_id": f"i-{next(_numbers):017x}",
        "name": name,
        "tags": {"Name": name, "Environment": "test"},
        "state": "running",
        "size_bytes": 5 << 40,
        "document": {"volumes": [{"volumeId": "vol-1", "iops": None}], "ebsOptimized": True},
        "first_seen_at": NOW,
        "last_seen_at": NOW,
    }
    return Resource(**{**values, **changes})


def repository(owner: Account, **changes: Any) -> Repository:
    name = _named("repository")
    values: dict[str, Any] = {
        "id": uuid4(),
        "name": name,
        "kind": StorageKind.S3,
        "account_id": owner.id,
        "region": "us-east-1",
        "location": f"bucket-of-{name}",
        "prefix": "holdfast",
        "password": "correct horse",
        "format_id": uuid4(),
        "created_at": NOW,
    }
    return Repository(**{**values, **changes})


def policy(owner: Account, **changes: Any) -> Policy:
    values: dict[str, Any] = {
        "id": uuid4(),
        "name": _named("policy"),
        "scope": Scope(
            account_id=owner.id,
            regions=("us-east-1", "eu-central-1"),
            mode=SelectionMode.LISTED,
            resource_ids=(uuid4(),),
            tags=(TagMatch(key="Environment", value="production"), TagMatch(key="Tier")),
        ),
        "schedule": DailySchedule(snapshot_hours=(1, 13), backup_hours=(1,), timezone="Europe/Berlin"),
        "retention": Retention(snapshots=3, backup_days=14),
        "retries": Retries(attempts=2),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Policy(**{**values, **changes})


def session(**changes: Any) -> Session:
    values: dict[str, Any] = {
        "id": uuid4(),
        "kind": SessionKind.POLICY_RUN,
        "name": _named("session"),
        "requested_by": "ada",
        "created_at": NOW,
        "document": {"backup": True},
    }
    return Session(**{**values, **changes})


def task(owner: Session, **changes: Any) -> Task:
    values: dict[str, Any] = {
        "id": uuid4(),
        "session_id": owner.id,
        "kind": TaskKind.RESCAN,
        "name": _named("task"),
        "document": {"memo": {"snapshotId": "snap-1"}},
        "due_at": NOW,
        "created_at": NOW,
    }
    return Task(**{**values, **changes})


def point(of: Resource, **changes: Any) -> RestorePoint:
    values: dict[str, Any] = {
        "id": uuid4(),
        "resource_id": of.id,
        "resource_name": of.name,
        "workload": "ec2",
        "account_id": of.account_id,
        "region": of.region,
        "leg": Leg.SNAPSHOT,
        "at": NOW,
        "created_at": NOW + timedelta(minutes=2),
        "size_bytes": 8 << 30,
        "document": {"volumes": []},
    }
    return RestorePoint(**{**values, **changes})


def user(**changes: Any) -> User:
    values: dict[str, Any] = {
        "id": uuid4(),
        "name": _named("user"),
        "password_hash": "$argon2id$…",
        "role": Role.OPERATOR,
        "created_at": NOW,
    }
    return User(**{**values, **changes})


def token(of: User, **changes: Any) -> Token:
    values: dict[str, Any] = {
        "id": uuid4(),
        "user_id": of.id,
        "family": uuid4(),
        "kind": TokenKind.REFRESH,
        "secret_hash": uuid4().hex,
        "issued_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
    }
    return Token(**{**values, **changes})


def added_session(tx: Tx, **changes: Any) -> Session:
    made = session(**changes)
    tx.sessions.add(made)
    return made


def added_resource(tx: Tx, **changes: Any) -> Resource:
    owner = account()
    made = resource(owner, **changes)
    tx.accounts.add(owner)
    tx.resources.add(made)
    return made


def world(tx: Tx) -> dict[str, Any]:
    """One entity of every kind, stored, with references between them."""
    made: dict[str, Any] = {"accounts": account(), "users": user()}
    made["resources"] = resource(made["accounts"])
    made["repositories"] = repository(made["accounts"])
    plan = HealthCheck(ordinal=Ordinal.SECOND, weekday=Weekday.TUESDAY)
    made["policies"] = policy(made["accounts"], repository_id=made["repositories"].id, verify=True, health_check=plan)
    made["sessions"] = session(policy_id=made["policies"].id, key="run-1")
    made["tasks"] = task(made["sessions"], kind=TaskKind.PROTECT, resource_id=made["resources"].id)
    made["points"] = point(
        made["resources"],
        leg=Leg.ARCHIVE,
        health=Health.INCOMPLETE,
        damage=Damage(found_at=NOW, ranges=(DamagedRange(disk_id="vol-1", start=0, end=1 << 19),), more=2),
        proven_at=NOW,
        proven_how=PROVEN_BY_RESTORE,
        locked_until=NOW + timedelta(days=55),
        expires_at=NOW + timedelta(days=30),
        retrieval=Retrieval(state=RetrievalState.REQUESTED, mode=RetrievalMode.BULK, days=3, requested_at=NOW),
        content_roots={"vol-1": "ab" * 32},
        repository_id=made["repositories"].id,
        policy_id=made["policies"].id,
        session_id=made["sessions"].id,
        task_id=made["tasks"].id,
    )
    made["tokens"] = token(made["users"])
    for noun in ("accounts", "users", "resources", "repositories", "policies", "sessions", "tasks", "points", "tokens"):
        getattr(tx, noun).add(made[noun])
    return made


class Courier:
    """A Jobs and a Wakeups that remembers; it fails when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[UUID, timedelta]] = []
        self.woken: list[str] = []
        self.broken = False

    def send(self, task_id: UUID, *, delay: timedelta = timedelta(0)) -> None:
        if self.broken:
            raise RuntimeError("the courier is ill")
        self.sent.append((task_id, delay))

    def wake(self, channel: str) -> None:
        if self.broken:
            raise RuntimeError("the courier is ill")
        self.woken.append(channel)

    def ping(self) -> None:
        return None

    async def listen(self, *channels: str) -> AsyncIterator[None]:
        for _ in channels:
            yield None


def together(count: int, work: Callable[[int], None]) -> None:
    """Run ``work(0..count-1)`` in threads that start at the same moment; the first error is raised here."""
    barrier = threading.Barrier(count)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(timeout=30)
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if errors:
        raise errors[0]
