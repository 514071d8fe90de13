"""The legs of a run: in order, each with its own fate, what failed tried again, promises noted as they end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from server.domain import legs as domain
from server.domain.access import SYSTEM
from server.domain.errors import AwsAccessDenied, AwsRejected
from server.domain.legs import LegState, TaskLeg
from server.domain.periods import DayRule, Frequency, Period, Unit
from server.domain.policy import Policy
from server.domain.promises import Promise
from server.domain.replicas import ReplicaTarget
from server.domain.repository import Repository, StorageClass
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly
from server.domain.session import Level, Session, State, Task
from server.domain.workload import Account
from server.ports import Order, Select
from server.services import protection, tasks
from tests.services.engine.harness import Appliance, Killed
from tests.services.engine.test_protection import DISK, block, points

SEVEN = datetime(2026, 3, 2, 7, tzinfo=UTC)  # Monday, the first of its month
ALL = Schedule(
    daily=Daily(
        snapshot=Rule(slots=(7,), count=3),
        replica=Rule(slots=(7,), count=2),
        backup=Rule(slots=(7,), period=Period(14)),
    ),
    weekly=Weekly(hour=7, snapshot=Rule(slots=(0,), count=2)),
    monthly=Monthly(
        hour=7,
        day=DayRule(day=2),
        snapshot=Rule(slots=(3,), count=1),
        archive=Rule(slots=(3,), period=Period(12, Unit.MONTHS)),
    ),
)


@dataclass
class Full:
    """A policy that makes every leg on the morning of 2 March 2026, of one machine."""

    appliance: Appliance
    policy: Policy
    account: Account
    vault: Repository
    archive: Repository

    def run(self) -> tuple[Session, Task]:
        self.appliance.clock.set(max(SEVEN, self.appliance.clock.now()))
        self.appliance.tick()
        self.appliance.work()
        return self.last()

    def last(self) -> tuple[Session, Task]:
        with self.appliance.app.store.transaction() as tx:
            id = tx.policies.get(self.policy.id).last_session_id
        assert id is not None
        return self.appliance.session(id), self.appliance.tasks(id)[0]

    def promises(self) -> dict[str, bool]:
        with self.appliance.app.store.transaction() as tx:
            rows: list[Promise] = tx.promises.page(Select(order=(Order("slot_at"),), limit=100))
        assert {row.slot_at for row in rows} <= {SEVEN}
        return {row.leg.value: row.made for row in rows}

    def lines(self) -> str:
        return "\n".join(self.appliance.lines(self.last()[0].id))


def states(task: Task) -> dict[str, str]:
    return {leg.value: record.state.value for leg, record in domain.from_json(task.document["legs"]).items()}


@pytest.fixture
def full(appliance: Appliance) -> Full:
    account = appliance.account()
    other = appliance.account("dr")
    appliance.machine(account, "web-1", {"vol-a": DISK, "vol-b": {3: block("data")}})
    vault = appliance.repository(account)
    archive = appliance.repository(account, "glacier", storage_class=StorageClass.GLACIER)
    target = ReplicaTarget(account_id=other.id, region="eu-central-1")
    policy = appliance.policy(
        account, repository=vault, archive=archive, schedule=ALL, replicas=(target,), verify=True, retries=2
    )
    return Full(appliance, policy, account, vault, archive)


def test_every_leg_is_made_in_order_and_its_point_says_what_it_counts_for(full: Full) -> None:
    session, task = full.run()
    assert session.state is State.SUCCESS, full.lines()
    assert states(task) == {
        "snapshot": "success",
        "replica": "success",
        "backup": "success",
        "verification": "success",
        "archive": "success",
    }
    assert task.message == "Snapshot, replica, backup and archive created, backup verified."
    ((snapshot,), (replica,), (backup,), (archive,)) = (points(full.appliance, leg) for leg in Leg)
    daily, weekly, monthly = Frequency.DAILY, Frequency.WEEKLY, Frequency.MONTHLY
    assert [point.flags for point in (snapshot, replica, backup, archive)] == [
        (daily, weekly, monthly),
        (daily,),
        (daily,),
        (monthly,),
    ]
    assert {point.slot_at for point in (snapshot, replica, backup, archive)} == {SEVEN}
    assert (replica.region, replica.source_id, archive.source_id) == ("eu-central-1", snapshot.id, backup.id)
    assert replica.account_id == full.policy.replicas[0].account_id
    assert archive.expires_at == archive.at + timedelta(days=365)
    assert snapshot.base
    assert not replica.base
    assert full.promises() == dict.fromkeys(("snapshot", "replica", "backup", "archive"), True)
    assert task.bytes_read > backup.stored_bytes, "what the archive read counts too"


def test_manifests_tell_the_flags_to_whoever_imports_them(full: Full) -> None:
    full.run()
    for repository, leg in ((full.vault, Leg.BACKUP), (full.archive, Leg.ARCHIVE)):
        (point,) = points(full.appliance, leg)
        retention = full.appliance.app.open_repository(repository).point(point.id).retention
        assert retention is not None
        assert retention["flags"] == [flag.value for flag in point.flags]


def test_a_failed_leg_stops_none_that_does_not_need_it_and_is_tried_again_alone(full: Full) -> None:
    refusals = [1]

    def refuse(operation: str) -> None:
        if operation == "replicate" and refusals[0]:
            refusals[0] -= 1
            raise AwsRejected("The copy was refused.")

    full.appliance.cloud.before = refuse
    full.appliance.clock.set(SEVEN)
    full.appliance.tick()
    full.appliance.work(limit=timedelta(seconds=50))
    _, waiting = full.last()
    assert states(waiting) == {
        "snapshot": "success",
        "replica": "pending",
        "backup": "success",
        "verification": "success",
        "archive": "success",
    }
    assert waiting.stage == "onward"
    assert full.promises()["replica"] is False
    full.appliance.work()
    session, task = full.last()
    assert session.state is State.SUCCESS, full.lines()
    assert set(states(task).values()) == {"success"}
    assert "The copy was refused. Another attempt follows in 60 s (2 left)." in full.lines()
    assert full.promises() == dict.fromkeys(("snapshot", "replica", "backup", "archive"), True)
    assert [len(points(full.appliance, leg)) for leg in Leg] == [1, 1, 1, 1]
    assert len(full.appliance.cloud.snapshots) == 4, "two volumes here, two copies there"


def test_when_attempts_run_out_the_task_fails_and_the_promise_is_broken(full: Full) -> None:
    def refuse(operation: str) -> None:
        if operation == "replicate":
            raise AwsRejected("The copy was refused.", remedy="Ask AWS.")

    full.appliance.cloud.before = refuse
    session, task = full.run()
    assert session.state is State.ERROR
    assert (task.error_code, task.message) == ("AWS_REJECTED", "The copy was refused. Ask AWS.")
    assert states(task)["replica"] == "error"
    assert full.appliance.cloud.calls["replicate"] == 3
    assert full.promises() == {"snapshot": True, "replica": False, "backup": True, "archive": True}
    assert sum(event.level is Level.ERROR for event in full.appliance.log(session.id) if event.task_id) == 1
    assert len(full.appliance.cloud.snapshots) == 2


def test_without_a_snapshot_everything_else_is_left_out_with_the_reason_and_tried_again_together(full: Full) -> None:
    refusals = [1]

    def refuse(operation: str) -> None:
        if operation == "snapshot" and refusals[0]:
            refusals[0] -= 1
            raise AwsRejected("Not now.")

    full.appliance.cloud.before = refuse
    full.appliance.clock.set(SEVEN)
    full.appliance.tick()
    full.appliance.work(limit=timedelta(seconds=30))
    assert full.promises() == dict.fromkeys(("snapshot", "replica", "backup", "archive"), False)
    full.appliance.work()
    session, _ = full.last()
    assert session.state is State.SUCCESS, full.lines()
    assert full.promises() == dict.fromkeys(("snapshot", "replica", "backup", "archive"), True)


def test_what_is_left_out_says_why(full: Full) -> None:
    def refuse(operation: str) -> None:
        if operation == "snapshot":
            raise AwsAccessDenied("Not allowed.")

    full.appliance.cloud.before = refuse
    _, task = full.run()
    records = domain.from_json(task.document["legs"])
    assert records[TaskLeg.SNAPSHOT] == domain.LegRecord(LegState.ERROR, "Not allowed.")
    left_out = domain.LegRecord(LegState.SKIPPED, "Left out: there is no snapshot to work with.")
    assert [records[leg] for leg in (TaskLeg.REPLICA, TaskLeg.BACKUP, TaskLeg.ARCHIVE)] == [left_out] * 3


def test_a_replica_that_is_impossible_is_a_warning_and_not_tried_again(full: Full) -> None:
    full.appliance.cloud.encrypted.add("vol-a")
    session, task = full.run()
    assert session.state is State.WARNING
    assert states(task) == {
        "snapshot": "success",
        "replica": "warning",
        "backup": "success",
        "verification": "success",
        "archive": "success",
    }
    assert task.message == "The source is encrypted, and the target has no key. Choose a key."
    assert full.appliance.cloud.calls["replicate"] == 1
    assert full.promises()["replica"] is False


def test_no_archive_without_its_backup(full: Full) -> None:
    def refuse(operation: str) -> None:
        if operation == "read":
            raise AwsRejected("Not now.")

    full.appliance.cloud.blocks.before = refuse
    session, task = full.run()
    assert session.state is State.ERROR
    assert states(task) == {
        "snapshot": "success",
        "replica": "success",
        "backup": "error",
        "verification": "skipped",
        "archive": "skipped",
    }
    assert points(full.appliance, Leg.ARCHIVE) == []
    assert full.promises() == {"snapshot": True, "replica": True, "backup": False, "archive": False}


def test_a_failed_archive_is_made_again_from_the_same_backup(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = full.appliance.blobs[full.archive.id]
    real, refusals = bucket.put, [1]

    def refuse(name: str, *arguments: object, **options: object) -> object:
        if name.startswith("packs/") and refusals[0]:
            refusals[0] -= 1
            raise AwsAccessDenied("S3 refused.")
        return real(name, *arguments, **options)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(bucket, "put", refuse)
    session, _ = full.run()
    assert session.state is State.SUCCESS, full.lines()
    assert "S3 refused. Another attempt follows in 60 s" in full.lines()
    assert [len(points(full.appliance, leg)) for leg in Leg] == [1, 1, 1, 1]
    assert full.appliance.cloud.calls["snapshot"] == 2, "asked for, and looked at once"


def test_a_backup_that_is_tried_again_goes_on_where_it_stopped(full: Full) -> None:
    """Two disks: the first is stored when the second fails."""
    refusals = [1]

    def refuse(operation: str) -> None:
        if operation == "read" and full.appliance.cloud.blocks.calls["read"] > len(DISK) and refusals[0]:
            refusals[0] -= 1
            raise AwsRejected("Not now.")

    full.appliance.cloud.blocks.before = refuse
    session, task = full.run()
    assert session.state is State.SUCCESS, full.lines()
    assert "resume" not in task.document
    assert full.appliance.cloud.blocks.calls["read"] <= len(DISK) + 2, "the first disk was not read again"


def test_a_run_cancelled_between_attempts_leaves_nothing_of_the_backup(full: Full) -> None:
    def refuse(operation: str) -> None:
        if operation == "read":
            raise AwsRejected("Not now.")

    full.appliance.cloud.blocks.before = refuse
    full.appliance.clock.set(SEVEN)
    full.appliance.tick()
    full.appliance.work(until=lambda: "Another attempt follows in 60 s" in full.lines())
    session, _ = full.last()
    tasks.request_cancel(full.appliance.app, SYSTEM, session.id)
    full.appliance.work()
    session, task = full.last()
    assert (session.state, states(task)["backup"]) == (State.CANCELLED, "skipped")
    blobs = full.appliance.blobs[full.vault.id]
    assert list(blobs.list("pins/")) == []


def test_a_cancelled_run_says_of_each_leg_how_far_it_came(full: Full) -> None:
    full.appliance.clock.set(SEVEN)
    full.appliance.tick()
    full.appliance.work(until=lambda: full.appliance.cloud.calls["replicate"] == 1)
    session, _ = full.last()
    tasks.request_cancel(full.appliance.app, SYSTEM, session.id)
    full.appliance.work()
    session, task = full.last()
    assert session.state is State.CANCELLED
    assert states(task) == {
        "snapshot": "success",
        "replica": "skipped",
        "backup": "skipped",
        "verification": "skipped",
        "archive": "skipped",
    }
    assert len(full.appliance.cloud.snapshots) == 2, "the copies that were begun are gone"
    assert len(points(full.appliance, Leg.SNAPSHOT)) == 1


def test_a_run_by_hand_makes_what_is_asked_for_and_promises_nothing(full: Full) -> None:
    appliance = full.appliance
    session = protection.start_policy(appliance.app, SYSTEM, full.policy.id, backup=False, archive=True)
    assert session is not None
    appliance.work()
    task = appliance.tasks(session.id)[0]
    assert set(states(task).values()) == {"success"}
    ((snapshot,), (replica,), (backup,), (archive,)) = (points(appliance, leg) for leg in Leg)
    assert [point.flags for point in (snapshot, replica, backup, archive)] == [
        (Frequency.DAILY,),
        (Frequency.DAILY,),
        (),
        (Frequency.MONTHLY,),
    ]
    assert backup.expires_at == backup.at + timedelta(days=1), "it was made to be archived only"
    assert {point.slot_at for point in (snapshot, replica, backup, archive)} == {None}
    assert full.promises() == {}


@pytest.mark.parametrize("border", range(0, 140, 14))
def test_killed_anywhere_no_leg_is_made_twice(full: Full, border: int) -> None:
    appliance = full.appliance
    appliance.clock.set(SEVEN)
    appliance.tick()
    borders = iter(range(10_000))
    appliance.store.deadly = lambda: next(borders) == border
    try:
        appliance.work()
    except Killed:
        appliance.jobs.lose()
    appliance.store.deadly = lambda: False
    for _ in range(30):
        appliance.clock.advance(timedelta(seconds=5))
        appliance.tick()
        appliance.work()
        if full.last()[0].state.final:
            break
    session, _ = full.last()
    assert session.state is State.SUCCESS, full.lines()
    assert [len(points(appliance, leg)) for leg in Leg] == [1, 1, 1, 1]
    assert len(appliance.cloud.snapshots) == 4
    assert full.promises() == dict.fromkeys(("snapshot", "replica", "backup", "archive"), True)
