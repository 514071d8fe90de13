"""Entities for store tests: whole, valid, and different from each other unless told otherwise."""

from __future__ import annotations

import itertools
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from server.domain.access import Role, Token, TokenKind, User
from server.domain.guest import Guest, Script, Scripts
from server.domain.periods import DayRule, Frequency, Ordinal, Period, Unit, Weekday
from server.domain.policy import HealthCheck, Notifications, Policy, Retention, Retries, RunState, Tag, TemplateUse
from server.domain.preferences import Preferences, PriceList
from server.domain.promises import Membership, Promise
from server.domain.replicas import KeyUsage, ReplicaTarget
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
from server.domain.schedule import Daily, Monthly, Rule, Schedule
from server.domain.scope import Scope, SelectionMode, TagMatch, VolumeExclusions
from server.domain.session import Session, SessionKind, Task, TaskKind
from server.domain.sla import DailyPlan, LegPlan, SlaTerms, Window
from server.domain.templates import Location, SlaTemplate, SlaTemplateVersion, StorageTemplate
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
            excluded_volumes=VolumeExclusions(system=True, tags=(TagMatch(key="Scratch"),)),
        ),
        "schedule": schedule(),
        "retention": Retention(snapshots=3, backups=Period(14)),
        "replicas": (ReplicaTarget(account_id=owner.id, region="eu-west-1", encrypt=True, key_usage=KeyUsage.ENCRYPTED),),
        "guest": Guest(application_aware=True, linux=Scripts(pre=Script(path="/usr/local/bin/freeze"))),
        "tags": (Tag(key="made-by", value="holdfast"),),
        "notifications": Notifications(recipients=("ops@example.com",), at_minute=480),
        "runs": RunState(handled={"us-east-1": NOW}, templates=(TemplateUse(template_id=uuid4(), since=NOW),)),
        "retries": Retries(attempts=2),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Policy(**{**values, **changes})


def schedule() -> Schedule:
    return Schedule(
        timezone="Europe/Berlin",
        daily=Daily(snapshot=Rule(slots=(1, 13), count=3), backup=Rule(slots=(1,), period=Period(14))),
        monthly=Monthly(
            hour=1,
            day=DayRule(ordinal=Ordinal.LAST, weekday=Weekday.FRIDAY),
            snapshot=Rule(slots=(1, 7), count=2),
            archive=Rule(slots=(1, 7), period=Period(12, Unit.MONTHS)),
        ),
    )


def terms() -> SlaTerms:
    plan = LegPlan(window=Window(start=60, end=240), daily=DailyPlan(every_minutes=60, keep=Period(7)))
    return SlaTerms(snapshot=plan, backup=plan, target=95)


def template(**changes: Any) -> SlaTemplate:
    values: dict[str, Any] = {"id": uuid4(), "name": _named("template"), "terms": terms(), "created_at": NOW, "updated_at": NOW}
    return SlaTemplate(**{**values, **changes})


def storage_template(of: Repository, **changes: Any) -> StorageTemplate:
    place = Location(default_id=of.id, by_region={"eu-west-1": of.id})
    values: dict[str, Any] = {"id": uuid4(), "name": _named("storage"), "backup": place, "created_at": NOW, "updated_at": NOW}
    return StorageTemplate(**{**values, **changes})


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
    made["sla_templates"] = template()
    made["storage_templates"] = storage_template(made["repositories"])
    made["policies"] = policy(
        made["accounts"],
        repository_id=made["repositories"].id,
        sla_template_id=made["sla_templates"].id,
        storage_template_id=made["storage_templates"].id,
        verify=True,
        health_check=plan,
    )
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
        flags=(Frequency.MONTHLY, Frequency.YEARLY),
        slot_at=NOW,
        retrieval=Retrieval(state=RetrievalState.REQUESTED, mode=RetrievalMode.BULK, days=3, requested_at=NOW),
        content_roots={"vol-1": "ab" * 32},
        repository_id=made["repositories"].id,
        policy_id=made["policies"].id,
        session_id=made["sessions"].id,
        task_id=made["tasks"].id,
    )
    made["tokens"] = token(made["users"])
    made |= _notes(made)
    for noun in ORDER:
        getattr(tx, noun).add(made[noun])
    return made


ORDER = (
    "accounts", "users", "resources", "repositories", "sla_templates", "sla_versions", "storage_templates", "policies",
    "sessions", "tasks", "points", "tokens", "memberships", "promises", "price_lists", "preferences",
)  # fmt: skip


def _notes(made: dict[str, Any]) -> dict[str, Any]:
    policy_id, resource_id = made["policies"].id, made["resources"].id
    version = SlaTemplateVersion(id=uuid4(), template_id=made["sla_templates"].id, version=1, since=NOW, terms=terms())
    promise = Promise(
        id=uuid4(),
        policy_id=policy_id,
        resource_id=resource_id,
        region="us-east-1",
        leg=Leg.BACKUP,
        slot_at=NOW,
        made=True,
        session_id=made["sessions"].id,
        at=NOW,
    )
    return {
        "sla_versions": version,
        "promises": promise,
        "memberships": Membership(id=uuid4(), policy_id=policy_id, resource_id=resource_id, joined_at=NOW),
        "price_lists": PriceList(
            id=uuid4(), region="us-east-1", published_at=NOW, fetched_at=NOW, document={"snapshotGibMonth": 0.05}
        ),
        "preferences": Preferences(obsolete_snapshots=Period(3, Unit.MONTHS)),
    }


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
