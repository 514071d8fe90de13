"""What could go wrong at the seams: two at once, an upgrade in the middle, a cleanup that is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from server.adapters.db import downgrade, migrate
from server.adapters.db.rows import Rows
from server.adapters.db.store import engine_url
from server.domain.access import SYSTEM
from server.domain.errors import AwsRejected, Conflict
from server.domain.periods import DayRule, Frequency, Period, Unit
from server.domain.policy import Policy, PolicyKind, Retention
from server.domain.restore import Leg, PointState
from server.domain.schedule import Daily, Rule, Schedule, Weekly, Yearly
from server.domain.session import Session, SessionKind, State, TaskKind
from server.domain.workload import Resource
from server.ports import Select, Where
from server.services import keepers, policies, retention, runs, tasks, verification
from server.services import points as removal
from tests.services.engine.harness import Appliance, daily
from tests.services.engine.test_guests import SCRIPTS, begun, sent
from tests.services.engine.test_protection import DISK, points, run
from tests.services.engine.test_retention import put, state

D = Frequency.DAILY


@pytest.fixture
def machine(appliance: Appliance) -> Resource:
    return appliance.machine(appliance.account(), "web-1", {"vol-a": DISK})


def policy_of(appliance: Appliance, machine: Resource, **options: object) -> Policy:
    with appliance.app.store.transaction() as tx:
        account = tx.accounts.get(machine.account_id)
    vault = appliance.repository(account, f"vault of {options.get('name', 'gold')}")
    return appliance.policy(account, repository=vault, **options)  # type: ignore[arg-type]  # by name


def session_of(appliance: Appliance, kind: SessionKind, document: dict[str, object]) -> Session:
    """An open one."""
    with appliance.app.store.transaction() as tx:
        draft = runs.SessionDraft(kind=kind, name="open", requested_by="test", document=document)
        return runs.begin(tx, appliance.app, draft, [runs.TaskDraft(kind=TaskKind.PROTECT, name="open", waits=True)])


def daily_pass(appliance: Appliance) -> None:
    with appliance.app.store.transaction() as tx:
        retention.begin_daily(tx, appliance.app, appliance.clock.now())
    appliance.work()


# ---- guests -----------------------------------------------------------------------------------------------------------


def test_a_cleanup_that_aws_refuses_leaves_no_frozen_guest(appliance: Appliance, machine: Resource) -> None:
    policy = policy_of(appliance, machine, guest=SCRIPTS)
    session = begun(appliance, policy.id)
    appliance.work(until=lambda: sent(appliance) == ["pre"])

    def refuse(operation: str) -> None:
        if operation == "abandon":
            raise AwsRejected("ec2:DescribeVolumes is not allowed.")

    appliance.cloud.before = refuse
    tasks.request_cancel(appliance.app, SYSTEM, session)
    appliance.work()
    assert appliance.tasks(session)[0].state is State.CANCELLED
    assert sent(appliance) == ["pre", "post"]
    assert "ec2:DescribeVolumes is not allowed." in "\n".join(appliance.lines(session))


# ---- upgrades ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["start", "snapshot", "backup", "verify"])
def test_a_run_begun_by_a_version_without_legs_ends_and_the_next_begins(
    appliance: Appliance, machine: Resource, stage: str
) -> None:
    policy = policy_of(appliance, machine)
    document = {"policy": policy.name, "repository": str(policy.repository_id), "copyTags": True, "backupDays": 30}
    document |= {"verify": False, "retries": 3, "attempt": 0, "at": appliance.clock.now().isoformat()}
    if stage in ("backup", "verify"):
        document |= {"result": {"snapshotPointId": str(uuid4())}}
    older = [
        runs.TaskDraft(kind=TaskKind.PROTECT, name="web-1", resource_id=machine.id, document=document),
        runs.TaskDraft(
            kind=TaskKind.RETENTION,
            name="Retention",
            document={"snapshots": 7, "backupDays": 30, "repository": document["repository"]},
            waits=True,
        ),
    ]
    with appliance.app.store.transaction() as tx:
        draft = runs.SessionDraft(
            kind=SessionKind.POLICY_RUN, name="gold", requested_by="schedule", policy_id=policy.id, document={"backup": True}
        )
        session = runs.begin(tx, appliance.app, draft, older)
        (task, _) = tx.tasks.states(session.id)
        task = replace(tx.tasks.get(task.id, lock=True), stage=stage)
        tx.tasks.save(task)
    appliance.work()
    ended = appliance.session(session.id)
    assert ended.state is State.ERROR
    assert any("upgraded while this ran" in line for line in appliance.lines(session.id))
    assert run(appliance, policy.id).state is State.SUCCESS


# ---- what is in use ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SessionKind.VERIFICATION, SessionKind.ARCHIVE, SessionKind.RETRIEVAL])
def test_what_a_session_reads_stays_until_it_is_over(appliance: Appliance, machine: Resource, kind: SessionKind) -> None:
    policy = policy_of(appliance, machine, backup_days=1)
    run(appliance, policy.id)
    (backup,) = points(appliance, Leg.BACKUP)
    reader = session_of(appliance, kind, {"pointIds": [str(backup.id)], "repositoryId": str(policy.repository_id)})
    appliance.clock.advance(timedelta(days=2))
    with pytest.raises(Conflict, match="in use"):
        removal.delete_points(appliance.app, SYSTEM, [backup.id])
    daily_pass(appliance)
    assert state(appliance, backup) is PointState.AVAILABLE
    with appliance.app.store.transaction() as tx:
        tx.sessions.save(replace(tx.sessions.get(reader.id), state=State.SUCCESS, ended_at=appliance.clock.now()))
    appliance.clock.advance(timedelta(days=1))
    daily_pass(appliance)
    assert state(appliance, backup) is PointState.DELETED


def test_a_reader_that_comes_while_retention_decides_is_seen(
    appliance: Appliance, machine: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has locked the point and said so before retention gets the lock."""
    policy = policy_of(appliance, machine, backup_days=1)
    run(appliance, policy.id)
    (backup,) = points(appliance, Leg.BACKUP)
    appliance.clock.advance(timedelta(days=2))
    read_chains = keepers.chains
    begun_verification: list[UUID] = []

    def slow(tx: Any, batch: Any) -> Any:
        found = read_chains(tx, batch)
        if not begun_verification:
            session = verification.start_verification(appliance.app, SYSTEM, [backup.id])
            assert session is not None
            begun_verification.append(session.id)
        return found

    monkeypatch.setattr(retention, "chains", slow)
    daily_pass(appliance)
    assert state(appliance, backup) is PointState.AVAILABLE
    assert appliance.session(begun_verification[0]).state is State.SUCCESS


# ---- the base ---------------------------------------------------------------------------------------------------------


def test_a_base_somebody_deletes_while_it_is_replaced_stays_deleted(
    appliance: Appliance, machine: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(appliance, machine)
    run(appliance, policy.id)
    (base,) = points(appliance, Leg.SNAPSHOT)
    read_page = Rows.page
    removed: list[UUID] = []

    def slow(rows: Any, select: Select) -> Any:
        found = read_page(rows, select)
        if Where("base", "eq", True) in select.where and not removed:
            removed.append(base.id)
            removal.delete_points(appliance.app, SYSTEM, [base.id])
        return found

    monkeypatch.setattr(Rows, "page", slow)
    appliance.clock.advance(timedelta(hours=1))
    assert run(appliance, policy.id).state is State.SUCCESS
    assert removed, "the race was on"
    assert state(appliance, base) is PointState.DELETED
    assert [point.base for point in points(appliance, Leg.SNAPSHOT)] == [True]


def test_a_base_without_any_backup_left_is_released(appliance: Appliance, machine: Resource) -> None:
    policy = policy_of(appliance, machine, snapshots=1)
    run(appliance, policy.id)
    (base,) = points(appliance, Leg.SNAPSHOT)
    appliance.clock.advance(timedelta(hours=1))
    run(appliance, policy.id, backup=False)
    assert base.id in {point.id for point in points(appliance, Leg.SNAPSHOT)}, "held for the next backup"
    removal.delete_set(appliance.app, SYSTEM, [machine.id], removal.PointSet.STANDARD_BACKUPS)
    appliance.work()
    appliance.clock.advance(timedelta(hours=1))
    run(appliance, policy.id, backup=False)
    assert state(appliance, base) is PointState.DELETED, "there is nothing to compare with it"


# ---- who looks after it -----------------------------------------------------------------------------------------------


def test_there_are_no_more_policies_than_retention_looks_at(
    appliance: Appliance, machine: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(appliance, machine)
    monkeypatch.setattr(policies, "POLICIES_MAX", 1)
    draft = replace(policies.draft_of(policy), name="another")
    with pytest.raises(Conflict, match="can be no more"):
        policies.create(appliance.app, SYSTEM, draft)


# ---- another attempt --------------------------------------------------------------------------------------------------


def test_a_backup_that_was_committed_before_it_failed_can_be_made_again(
    appliance: Appliance, machine: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest was written, its answer lost: what is cleaned up stands in no way."""
    policy = policy_of(appliance, machine)
    proven = verification.proven
    refusals = [1]

    def fail_once(tx: Any, id: UUID | None) -> UUID | None:
        if refusals:
            refusals.pop()
            raise AwsRejected("Not now.")
        return proven(tx, id)

    monkeypatch.setattr(verification, "proven", fail_once)
    session = begun(appliance, policy.id, retries=1)
    appliance.work()
    assert appliance.session(session).state is State.SUCCESS, appliance.lines(session)
    (backup,) = points(appliance, Leg.BACKUP)
    with appliance.app.store.transaction() as tx:
        row = tx.repositories.get(backup.repository_id or uuid4())
    repository = appliance.app.open_repository(row)
    assert repository.point(backup.id).id == backup.id
    assert backup.id not in set(repository.forgotten())


# ---- what was promised ------------------------------------------------------------------------------------------------


def test_a_schedule_that_is_removed_takes_no_backup_back(appliance: Appliance, machine: Resource) -> None:
    """Yearly ones of a policy that has only a daily schedule now, or of another policy: as long as they were made to be."""
    policy = policy_of(appliance, machine)
    now = appliance.clock.now()
    yearly = put(
        appliance,
        machine,
        Leg.BACKUP,
        now - timedelta(days=100),
        policy_id=policy.id,
        repository_id=policy.repository_id,
        flags=(Frequency.YEARLY,),
        expires_at=now + timedelta(days=265),
    )
    run(appliance, policy.id)
    assert state(appliance, yearly) is PointState.AVAILABLE
    appliance.clock.advance(timedelta(days=265))
    daily_pass(appliance)
    assert state(appliance, yearly) is not PointState.AVAILABLE


def test_what_records_no_retention_is_not_taken_for_temporary(appliance: Appliance, machine: Resource) -> None:
    policy = policy_of(appliance, machine)
    imported = put(
        appliance, machine, Leg.BACKUP, appliance.clock.now() - timedelta(days=1), repository_id=policy.repository_id
    )
    run(appliance, policy.id)
    assert state(appliance, imported) is PointState.AVAILABLE


def test_going_back_a_version_and_forth_again_deletes_nothing(
    appliance: Appliance, machine: Resource, database_url: str
) -> None:
    """The older version keeps by one count and one age: those of the longest."""
    schedule = replace(
        daily((7, 19), backup=(19,), snapshots=5, backup_days=14),
        weekly=Weekly(hour=7, snapshot=Rule(slots=(0,), count=4), backup=Rule(slots=(0,), period=Period(3, Unit.MONTHS))),
        yearly=Yearly(hour=7, day=DayRule(day=1), backup=Rule(slots=(1,), period=Period(7, Unit.YEARS))),
    )
    policy = policy_of(appliance, machine, schedule=schedule, snapshots=2)
    resting = Schedule(daily=replace(_daily(schedule), enabled=False))
    rested = policy_of(appliance, machine, name="rested", schedule=resting, priority=2)
    first = run(appliance, policy.id)
    assert first.state is State.SUCCESS, appliance.lines(first.id)
    by_hand = put(appliance, machine, Leg.SNAPSHOT, appliance.clock.now(), manual=True)

    downgrade(database_url, "0002")
    with create_engine(engine_url(database_url), poolclass=NullPool).begin() as connection:
        documents = {row.name: row.document for row in connection.execute(text("SELECT name, document FROM policies"))}
        left = {id for (id,) in connection.execute(text("SELECT id FROM restore_points"))}
    assert documents["gold"]["retention"] == {"snapshots": 9, "backup_days": 7 * 366}
    assert documents["gold"]["schedule"] == {
        "snapshot_hours": [7, 19],
        "backup_hours": [19],
        "days": [0, 1, 2, 3, 4, 5, 6],
        "timezone": "UTC",
    }
    assert documents["rested"]["schedule"] is None, "it would start by itself"
    assert by_hand.id not in left, "it would count as the policy's"
    assert len(left) == 2

    migrate(database_url)
    with appliance.app.store.transaction() as tx:
        back = tx.policies.get(policy.id)
        assert tx.policies.get(rested.id).schedule is None
    assert back.schedule == daily((7, 19), backup=(19,), snapshots=9, backup_days=7 * 366)
    assert back.retention == Retention(snapshots=9, backups=Period(7 * 366))
    assert (back.kind, back.edition, back.replicas) == (PolicyKind.SCHEDULE, 1, ())
    ((snapshot,), (backup,)) = (points(appliance, leg) for leg in (Leg.SNAPSHOT, Leg.BACKUP))
    assert (snapshot.flags, backup.flags) == ((D,), (D,))
    daily_pass(appliance)
    assert {state(appliance, each) for each in (snapshot, backup)} == {PointState.AVAILABLE}
    assert run(appliance, policy.id).state is State.SUCCESS


def _daily(schedule: Schedule) -> Daily:
    assert schedule.daily is not None
    return schedule.daily
