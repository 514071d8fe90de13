"""What the clock starts, once each, whatever happens to schedulers and messages."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from server.domain.errors import AwsRejected, DatabaseDown, QueueDown
from server.domain.periods import Frequency
from server.domain.restore import Leg
from server.domain.schedule import Rule, Schedule, Weekly
from server.domain.session import Session, SessionKind, State
from server.ports import Order, Select, Where
from server.scheduler import loop
from server.services import scheduling
from server.services.scheduling import Agenda
from tests.services.engine.harness import Appliance, daily
from tests.services.engine.test_protection import DISK, points

HOURLY = daily(tuple(range(24)), backup=(8,))


def sessions(appliance: Appliance, kind: SessionKind) -> list[Session]:
    with appliance.app.store.transaction() as tx:
        where = (Where("kind", "eq", kind),)
        return tx.sessions.page(Select(where=where, order=(Order("created_at"),), limit=100))


def pass_time(appliance: Appliance, until: datetime) -> None:
    """The scheduler ticks every minute, the worker works."""
    while appliance.clock.now() < until:
        appliance.clock.advance(timedelta(minutes=1))
        appliance.tick()
        appliance.work(limit=timedelta(seconds=50))


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, 2, hour, minute, tzinfo=UTC)


def test_a_schedule_runs_at_its_hours_and_backs_up_at_the_chosen_ones(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account), schedule=HOURLY)
    pass_time(appliance, at(9, 30))
    runs = sessions(appliance, SessionKind.POLICY_RUN)
    assert [session.created_at.hour for session in runs] == [7, 8, 9]
    assert all(session.state is State.SUCCESS and session.requested_by == "schedule" for session in runs)
    assert [session.document["backup"] for session in runs] == [False, True, False]
    assert len(points(appliance, Leg.SNAPSHOT)) == 3
    assert len(points(appliance, Leg.BACKUP)) == 1
    with appliance.app.store.transaction() as tx:
        assert tx.policies.get(policy.id).next_run_at == at(10)


def test_snapshots_beyond_the_count_go_but_the_base_stays(appliance: Appliance) -> None:
    """The worked example of the product's rules: keep 2; backups at 7 and 17 only."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    schedule = daily((7, 9, 11, 13, 15, 17), backup=(7, 17), snapshots=2)
    appliance.policy(account, repository=appliance.repository(account), schedule=schedule)
    kept = {}
    for hour in (11, 13, 15, 17):
        pass_time(appliance, at(hour, 20))
        kept[hour] = [point.at.hour for point in points(appliance, Leg.SNAPSHOT)]
    assert kept == {11: [7, 9, 11], 13: [7, 11, 13], 15: [7, 13, 15], 17: [15, 17]}
    assert len(appliance.cloud.snapshots) == 2, "what retention removed is gone from AWS too"
    last = sessions(appliance, SessionKind.POLICY_RUN)[-1]
    assert any("was deleted: Beyond the 2 newest daily ones." in line for line in appliance.lines(last.id))


def test_a_slot_missed_while_the_appliance_was_off_is_made_up_once(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.policy(account, repository=appliance.repository(account), schedule=HOURLY)
    appliance.clock.set(at(12, 20))  # off since half past six; the backup at 8 was missed as well
    appliance.tick()
    appliance.work()
    (session,) = sessions(appliance, SessionKind.POLICY_RUN)
    assert session.document["backup"], "the one run stands for all missed ones, and one of them makes a backup"
    assert any("was due at 2026-03-02 12:00 UTC, 20 min 0 s ago" in line for line in appliance.lines(session.id))


def test_two_schedulers_at_once_start_a_slot_once(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.policy(account, schedule=HOURLY)
    appliance.clock.set(at(7, 1))
    ready = threading.Barrier(4)

    def scheduler() -> None:
        ready.wait()
        for _ in range(5):
            scheduling.tick(appliance.app, Agenda())

    threads = [threading.Thread(target=scheduler) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sessions(appliance, SessionKind.POLICY_RUN)) == 1
    assert len(sessions(appliance, SessionKind.RESCAN)) == 1


def test_a_slot_is_left_out_while_the_previous_run_goes_on(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, schedule=daily(tuple(range(24))))
    appliance.clock.set(at(7, 1))
    appliance.tick()
    appliance.clock.set(at(8, 1))  # nothing worked meanwhile
    appliance.tick()
    assert len(sessions(appliance, SessionKind.POLICY_RUN)) == 1
    with appliance.app.store.transaction() as tx:
        said = [line.message for line in tx.activity.after(None, 100)]
        assert tx.policies.get(policy.id).next_run_at == at(9)
    assert any("08:00 UTC was left out: the previous one still runs" in line for line in said)


def test_a_slot_the_next_does_not_make_up_for_waits_until_the_previous_run_is_over(appliance: Appliance) -> None:
    """The day's only backup, the week's and the month's snapshot: they are not lost to a run that takes its time."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    weekly = Weekly(hour=8, snapshot=Rule(slots=(0,), count=4))
    policy = appliance.policy(account, repository=appliance.repository(account), schedule=replace(HOURLY, weekly=weekly))
    appliance.clock.set(at(7, 1))
    appliance.tick()
    for minute in (1, 30, 59):  # nothing worked meanwhile
        appliance.clock.set(at(8, minute))
        appliance.tick()
    assert len(sessions(appliance, SessionKind.POLICY_RUN)) == 1
    appliance.work(limit=timedelta(seconds=50))
    appliance.clock.set(at(9, 1))
    appliance.tick()
    appliance.work()
    assert [session.document["backup"] for session in sessions(appliance, SessionKind.POLICY_RUN)] == [False, True]
    (_, late) = points(appliance, Leg.SNAPSHOT)
    assert late.flags == (Frequency.DAILY, Frequency.WEEKLY)
    assert len(points(appliance, Leg.BACKUP)) == 1
    with appliance.app.store.transaction() as tx:
        assert tx.policies.get(policy.id).next_run_at == at(10)


def test_a_schedule_that_never_comes_writes_nothing(appliance: Appliance) -> None:
    account = appliance.account()
    policy = appliance.policy(account, schedule=Schedule())
    for _ in range(3):
        appliance.tick()
    with appliance.app.store.transaction() as tx:
        assert tx.policies.get(policy.id).revision == policy.revision


def test_a_disabled_policy_rests(appliance: Appliance) -> None:
    account = appliance.account()
    policy = appliance.policy(account, schedule=HOURLY)
    with appliance.app.store.transaction() as tx:
        tx.policies.save(replace(policy, enabled=False, revision=2))
    pass_time(appliance, at(9))
    assert sessions(appliance, SessionKind.POLICY_RUN) == []


def test_lost_messages_are_sent_again_within_seconds(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.policy(account, schedule=HOURLY)
    appliance.clock.set(at(7, 0))
    appliance.tick()
    assert appliance.jobs.lose() == 1
    appliance.clock.advance(scheduling.GRACE + timedelta(seconds=1))
    appliance.tick()
    appliance.work()
    assert sessions(appliance, SessionKind.POLICY_RUN)[0].state is State.SUCCESS


def test_known_regions_are_rescanned_every_hour_and_repositories_collected_every_day(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.repository(account)
    agenda = Agenda()
    for _ in range(48):
        appliance.clock.advance(timedelta(minutes=30))
        scheduling.tick(appliance.app, agenda)
        appliance.work(limit=timedelta(minutes=5))
    assert len(sessions(appliance, SessionKind.RESCAN)) == 24
    found = sessions(appliance, SessionKind.REPOSITORY_MAINTENANCE)
    assert [session.created_at.hour for session in found] == [7, 4], "the one missed at four is made up for"
    assert all(session.state is State.SUCCESS for session in found), appliance.lines(found[0].id)


def test_the_loop_outlives_a_lost_database_and_queue(appliance: Appliance) -> None:
    """Four ticks fail in different ways, the fifth works; then it is told to stop."""
    stop = Patient()
    failures = iter([DatabaseDown("gone"), DatabaseDown("gone"), QueueDown("gone"), RuntimeError("surprise")])

    def fail() -> bool:
        error = next(failures, None)
        if error is not None:
            raise error
        return False

    appliance.store.deadly = fail
    loop(appliance.app, stop)
    assert stop.waits == [4.0, 8.0, 15.0, 15.0, 2.0]


class Patient(threading.Event):
    """Does not wait; ends the loop after a tick that worked."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        if timeout == 2.0:
            self.set()
        return self.is_set()


def test_what_could_not_be_deleted_is_tried_again_the_next_day(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.policy(account, schedule=daily((7, 8), snapshots=1))

    def refuse(operation: str) -> None:
        if operation == "delete_snapshot":
            raise AwsRejected("The snapshot is in use by an AMI.")

    appliance.cloud.before = refuse
    pass_time(appliance, at(8, 10))
    last = sessions(appliance, SessionKind.POLICY_RUN)[-1]
    assert last.state is State.WARNING
    assert any("in use by an AMI" in line for line in appliance.lines(last.id))
    assert len(appliance.cloud.snapshots) == 2

    appliance.cloud.before = lambda _: None
    appliance.clock.set(datetime(2026, 3, 3, 4, 5, tzinfo=UTC))
    scheduling.tick(appliance.app, Agenda())
    appliance.work(limit=timedelta(minutes=5))
    assert len(appliance.cloud.snapshots) == 1
