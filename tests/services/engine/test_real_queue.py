"""The engine on a real queue: Dramatiq workers in threads, a real Redis, real time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dramatiq
import redis
import structlog

from server import scheduler
from server.adapters import messaging
from server.domain.access import SYSTEM
from server.domain.restore import Leg
from server.domain.session import State
from server.jobs import actors
from server.services import protection, tasks
from tests.services.engine.harness import Appliance, RealTime, build
from tests.services.engine.test_protection import DISK, points

PATIENCE = 60.0  # seconds; far more than needed, for machines under load


@contextmanager
def running(database_url: str, redis_url: str) -> Iterator[Appliance]:
    """An appliance with a worker and a scheduler."""
    clock = RealTime()
    broker = messaging.open_broker(redis_url)
    jobs = messaging.RedisJobs(broker, clock)
    appliance, database = build(database_url, clock=clock, queue=jobs)
    stop = threading.Event()
    actors.declare(broker, queue=messaging.QUEUE, actor=messaging.ACTOR, app=appliance.app, stop=stop, taken=jobs.taken)
    worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=100)
    ticking = threading.Thread(target=scheduler.loop, args=(appliance.app, stop))
    worker.start()
    ticking.start()
    try:
        yield appliance
    finally:
        stop.set()
        worker.stop(timeout=10_000)
        ticking.join()
        broker.client.close()
        database.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    never = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        if condition():
            return
        never.wait(0.05)
    raise AssertionError(f"waited {PATIENCE:.0f} s in vain for {what}")


def test_a_run_survives_a_flushed_redis(database_url: str, redis_url: str) -> None:
    with running(database_url, redis_url) as appliance:
        account = appliance.account()
        for number in range(6):
            appliance.machine(account, f"web-{number}", {f"vol-{number}": DISK})
        policy = appliance.policy(account, repository=appliance.repository(account), snapshots=5)
        session = protection.start_policy(appliance.app, SYSTEM, policy.id)
        assert session is not None
        wait_for(lambda: bool(appliance.cloud.snapshots), "the first snapshot")
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
        wait_for(lambda: appliance.session(session.id).state.final, "the end of the run")
        assert appliance.session(session.id).state is State.SUCCESS, appliance.lines(session.id)
        assert len(appliance.cloud.snapshots) == 6
        assert len(points(appliance, Leg.BACKUP)) == 6


def test_cancelling_takes_seconds(database_url: str, redis_url: str) -> None:
    with running(database_url, redis_url) as appliance:
        account = appliance.account()
        appliance.machine(account, "web-1", {"vol-1": dict.fromkeys(range(500), DISK[0])})
        policy = appliance.policy(account, repository=appliance.repository(account))
        reading = threading.Event()
        slow = threading.Event()  # never set: each read takes a moment

        def drag(operation: str) -> None:
            if operation == "read":
                reading.set()
                slow.wait(0.2)

        appliance.cloud.blocks.before = drag
        session = protection.start_policy(appliance.app, SYSTEM, policy.id)
        assert session is not None
        assert reading.wait(PATIENCE)
        tasks.request_cancel(appliance.app, SYSTEM, session.id)
        wait_for(lambda: appliance.session(session.id).state.final, "the end of the cancelled run")
        found = appliance.session(session.id)
        assert found.state is State.CANCELLED
        assert found.ended_at is not None
        assert found.cancel_requested_at is not None
        assert (found.ended_at - found.cancel_requested_at).total_seconds() <= 5
        assert points(appliance, Leg.BACKUP) == []


def test_log_lines_of_a_step_name_its_task_and_session(database_url: str, redis_url: str) -> None:
    with running(database_url, redis_url) as appliance:
        account = appliance.account()
        appliance.machine(account, "web-1", {"vol-1": DISK})
        seen: list[dict[str, object]] = []

        def look(operation: str) -> None:
            if operation == "snapshot":  # the scheduler's own rescan has a session of its own
                seen.append(dict(structlog.contextvars.get_contextvars()))

        appliance.cloud.before = look
        session = protection.start_policy(appliance.app, SYSTEM, appliance.policy(account).id)
        assert session is not None
        wait_for(lambda: appliance.session(session.id).state.final, "the end of the run")
        tasks_of = {str(task.id) for task in appliance.tasks(session.id)}
        assert seen
        assert {str(each["session_id"]) for each in seen} == {str(session.id)}
        assert {str(each["task_id"]) for each in seen} <= tasks_of
