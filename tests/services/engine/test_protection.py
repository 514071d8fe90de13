"""A policy run from end to end, on a small cloud, a real database and a real repository."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

import pytest

from server.adapters.db.tasks import TaskRows
from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import AwsRejected, Conflict, Forbidden, Throttled, Unavailable
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.schedule import manual_flags
from server.domain.session import Session, State, Task
from server.ports import BLOCK_SIZE, Order, Select
from server.services import protection, tasks
from tests.services.engine.harness import Appliance, Killed


def block(text: str) -> bytes:
    """A block that does not compress to nothing."""
    seed = hashlib.sha256(text.encode()).digest()
    return (seed * (BLOCK_SIZE // len(seed)))[:BLOCK_SIZE]


DISK = {0: block("boot"), 1: block("etc"), 7: block("home"), 1500: block("far")}


def points(appliance: Appliance, leg: Leg) -> list[RestorePoint]:
    with appliance.app.store.transaction() as tx:
        found = tx.points.page(Select(order=(Order("at"),), limit=1000))
    return [point for point in found if point.leg is leg and point.state is PointState.AVAILABLE]


def run(appliance: Appliance, policy_id: UUID, *, backup: bool = True) -> Session:
    session = protection.start_policy(appliance.app, SYSTEM, policy_id, backup=backup)
    assert session is not None
    appliance.work()
    return appliance.session(session.id)


def test_snapshot_then_full_then_incremental_backup(appliance: Appliance) -> None:
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK, "vol-b": {3: block("data")}})
    policy = appliance.policy(account, repository=appliance.repository(account))

    first = run(appliance, policy.id)

    assert first.state is State.SUCCESS, appliance.lines(first.id)
    (snapshot,) = points(appliance, Leg.SNAPSHOT)
    (backup,) = points(appliance, Leg.BACKUP)
    assert snapshot.base
    assert backup.at == snapshot.at
    assert backup.resource_id == machine.id
    assert backup.stored_bytes > 0
    assert appliance.cloud.blocks.calls["read"] == 5

    appliance.cloud.machines["i-web-1"].volumes["vol-a"][1] = block("etc, changed")
    appliance.clock.advance(timedelta(hours=1))
    appliance.cloud.blocks.calls.clear()
    second = run(appliance, policy.id)

    assert second.state is State.SUCCESS, appliance.lines(second.id)
    assert appliance.cloud.blocks.calls["read"] == 1, "an increment reads what changed and nothing else"
    assert [point.base for point in points(appliance, Leg.SNAPSHOT)] == [False, True]
    assert len(points(appliance, Leg.BACKUP)) == 2
    assert any("incremental backup created: 512 KiB read" in line for line in appliance.lines(second.id))
    with appliance.app.store.transaction() as tx:
        assert tx.policies.get(policy.id).last_session_id == second.id


def test_snapshots_only_without_a_repository(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    session = run(appliance, appliance.policy(account).id)
    assert session.state is State.SUCCESS
    assert len(points(appliance, Leg.SNAPSHOT)) == 1
    assert points(appliance, Leg.BACKUP) == []
    assert not any("%" in line for line in appliance.lines(session.id))


def test_a_vanished_base_means_reading_all_again_and_storing_nothing_twice(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account))
    run(appliance, policy.id)
    (snapshot,) = points(appliance, Leg.SNAPSHOT)
    appliance.cloud.blocks.remove(snapshot.document["volumes"][0]["snapshotId"])
    appliance.cloud.blocks.calls.clear()
    appliance.clock.advance(timedelta(hours=1))

    session = run(appliance, policy.id)

    assert session.state is State.SUCCESS, appliance.lines(session.id)
    assert appliance.cloud.blocks.calls["read"] == len(DISK)
    assert any("cannot be compared" in line for line in appliance.lines(session.id))
    first, second = points(appliance, Leg.BACKUP)
    assert second.stored_bytes < first.stored_bytes / 2


def test_the_higher_priority_policy_claims_a_resource(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.policy(account, name="first", priority=1)
    second = appliance.policy(account, name="second", priority=2)
    session = run(appliance, second.id)
    assert session.state is State.SUCCESS
    assert points(appliance, Leg.SNAPSHOT) == []
    claimed = "web-1: The resource is already protected by another policy: first"
    assert claimed in appliance.lines(session.id)


def test_a_second_run_is_refused_while_the_first_is_open(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account)
    protection.start_policy(appliance.app, SYSTEM, policy.id)
    with pytest.raises(Conflict, match="still running"):
        protection.start_policy(appliance.app, SYSTEM, policy.id)


def test_the_same_key_starts_once(appliance: Appliance) -> None:
    account = appliance.account()
    policy = appliance.policy(account)
    first = protection.start_policy(appliance.app, SYSTEM, policy.id, key="k")
    again = protection.start_policy(appliance.app, SYSTEM, policy.id, key="k")
    assert first is not None
    assert again is not None
    assert first.id == again.id


def test_viewers_may_not_start_and_a_dry_run_starts_nothing(appliance: Appliance) -> None:
    policy = appliance.policy(appliance.account())
    viewer = Caller(user_id=None, name="eve", role=Role.VIEWER)
    with pytest.raises(Forbidden):
        protection.start_policy(appliance.app, viewer, policy.id)
    assert protection.start_policy(appliance.app, SYSTEM, policy.id, dry_run=True) is None
    with appliance.app.store.transaction() as tx:
        assert tx.sessions.count(Select()) == 0


def test_a_machine_deleted_during_the_run_fails_alone(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "gone", {"vol-a": DISK})
    appliance.machine(account, "here", {"vol-b": DISK})
    del appliance.cloud.machines["i-gone"]
    session = run(appliance, appliance.policy(account).id)
    assert session.state is State.ERROR
    states = {task.name: task.state for task in appliance.tasks(session.id)}
    assert states == {"gone": State.ERROR, "here": State.SUCCESS, "Retention": State.SUCCESS}
    assert any("gone: The machine i-gone does not exist." in line for line in appliance.lines(session.id))


def test_throttling_is_waited_out(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    left = [20]  # more than the attempts a failure would get

    def throttle(operation: str) -> None:
        if operation == "snapshot" and left[0] > 0:
            left[0] -= 1
            raise Throttled("Rate exceeded.")

    appliance.cloud.before = throttle
    session = run(appliance, appliance.policy(account).id)
    assert session.state is State.SUCCESS
    (task, _) = appliance.tasks(session.id)
    assert task.attempt == 0


def test_lasting_failures_end_and_leave_nothing_in_aws(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.cloud.workload.polls = 3
    calls = [0]

    def fail(operation: str) -> None:
        calls[0] += operation == "snapshot"
        if operation == "snapshot" and calls[0] > 1:
            raise Unavailable("AWS does not answer.")

    appliance.cloud.before = fail
    session = run(appliance, appliance.policy(account).id)
    assert session.state is State.ERROR
    assert appliance.cloud.snapshots == {}
    assert calls[0] == 1 + 8


def test_a_scheduled_run_tries_a_failed_resource_again(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account), retries=2)
    refusals = [1]

    def refuse(operation: str) -> None:
        if operation == "read" and refusals[0] > 0:
            refusals[0] -= 1
            raise AwsRejected("Not now.")

    appliance.cloud.blocks.before = refuse
    order = protection.RunOrder(requested_by="schedule", flags=manual_flags(None, frozenset({Leg.BACKUP})), retries=2)
    with appliance.app.store.transaction() as tx:
        session = protection.start_run(tx, appliance.app, policy, order, next_run_at=None)
    appliance.work()
    assert appliance.session(session.id).state is State.SUCCESS, appliance.lines(session.id)
    assert any("Another attempt follows in 60 s (2 left)" in line for line in appliance.lines(session.id))
    assert len(points(appliance, Leg.SNAPSHOT)) == 1, "the snapshot was good: only the backup is tried again"
    assert len(points(appliance, Leg.BACKUP)) == 1


def test_cancelling_ends_the_session_and_removes_what_was_begun(appliance: Appliance) -> None:
    account = appliance.account()
    for number in range(3):
        appliance.machine(account, f"web-{number}", {f"vol-{number}": DISK})
    appliance.cloud.workload.polls = 50
    session = protection.start_policy(appliance.app, SYSTEM, appliance.policy(account).id)
    assert session is not None
    appliance.work(limit=timedelta(seconds=10))
    assert appliance.cloud.snapshots

    tasks.request_cancel(appliance.app, SYSTEM, session.id)
    asked = appliance.clock.now()
    appliance.work()

    ended = appliance.session(session.id)
    assert ended.state is State.CANCELLED
    assert ended.ended_at is not None
    assert ended.ended_at - asked <= timedelta(seconds=5)
    assert appliance.cloud.snapshots == {}
    assert points(appliance, Leg.SNAPSHOT) == []
    with pytest.raises(Conflict, match="already ended"):
        tasks.request_cancel(appliance.app, SYSTEM, session.id)


def test_cancelling_a_run_nobody_took_yet_ends_it_at_once(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    session = protection.start_policy(appliance.app, SYSTEM, appliance.policy(account).id)
    assert session is not None
    assert tasks.request_cancel(appliance.app, SYSTEM, session.id).state is State.CANCELLED
    appliance.work()
    assert appliance.cloud.calls["snapshot"] == 0


def test_a_stopping_worker_gives_its_task_back_and_another_finishes_it(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account))

    def stop_at_first_read(operation: str) -> None:
        if operation == "read":
            appliance.stop.set()

    appliance.cloud.blocks.before = stop_at_first_read
    session = protection.start_policy(appliance.app, SYSTEM, policy.id)
    assert session is not None
    before = appliance.clock.now()
    appliance.work(until=appliance.stop.is_set)
    task = appliance.tasks(session.id)[0]
    assert task.state is State.RUNNING
    assert task.lease_until is None, "given back, not left to time out"

    appliance.stop.clear()
    appliance.cloud.blocks.before = lambda _: None
    appliance.clock.advance(timedelta(seconds=4))
    appliance.tick()
    appliance.work()
    assert appliance.session(session.id).state is State.SUCCESS
    assert appliance.clock.now() - before < timedelta(seconds=30)


@pytest.mark.parametrize("border", range(0, 60, 3))
def test_killed_anywhere_it_still_makes_one_snapshot_and_one_backup(appliance: Appliance, border: int) -> None:
    """Kill the worker at one transaction border after the other; the sweep finds the task when its lease has ended."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK, "vol-b": {3: block("data")}})
    policy = appliance.policy(account, repository=appliance.repository(account))
    session = protection.start_policy(appliance.app, SYSTEM, policy.id)
    assert session is not None
    borders = iter(range(10_000))
    appliance.store.deadly = lambda: next(borders) == border
    try:
        appliance.work()
    except Killed:
        appliance.jobs.lose()  # what it had prefetched is gone too
    appliance.store.deadly = lambda: False

    for _ in range(20):
        appliance.clock.advance(timedelta(seconds=5))
        appliance.tick()
        appliance.work()
        if appliance.session(session.id).state.final:
            break

    assert appliance.session(session.id).state is State.SUCCESS, appliance.lines(session.id)
    assert len(points(appliance, Leg.SNAPSHOT)) == 1
    assert len(points(appliance, Leg.BACKUP)) == 1
    assert len(appliance.cloud.snapshots) == 2, "one per volume: nothing twice"


def test_no_step_loads_the_other_tasks_of_its_session(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session has thousands of them."""
    account = appliance.account()
    for number in range(3):
        appliance.machine(account, f"web-{number}", {f"vol-{number}": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account))

    def states(_tasks: TaskRows, _session_id: UUID) -> list[Task]:
        raise AssertionError("all tasks of the session were asked for")

    with monkeypatch.context() as watched:
        watched.setattr(TaskRows, "states", states)
        session = run(appliance, policy.id)
    assert session.state is State.SUCCESS, appliance.lines(session.id)
    assert [task.state for task in appliance.tasks(session.id)] == [State.SUCCESS] * 4
    (line,) = [line for line in appliance.lines(session.id) if "finished successfully" in line]
    assert "6 MiB read" in line
