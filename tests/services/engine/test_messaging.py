"""The courier: at most one message per task waits, losing everything only delays, and wake-ups are hints."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from server.adapters import messaging
from server.adapters.clock import SystemClock
from server.domain.errors import QueueDown
from server.ports import Wakeups
from server.supervise.ports import free_port


class Inbox:
    """A worker on the real queue that notes which tasks it was sent."""

    def __init__(self, url: str) -> None:
        self.broker = messaging.open_broker(url)
        self.jobs = messaging.RedisJobs(self.broker, SystemClock())
        self.came: list[tuple[float, UUID]] = []
        self.arrived = threading.Condition()

        def run_task(task_id: str) -> None:
            self.jobs.taken(UUID(task_id))
            with self.arrived:
                self.came.append((time.monotonic(), UUID(task_id)))
                self.arrived.notify_all()

        dramatiq.actor(actor_name=messaging.ACTOR, queue_name=messaging.QUEUE, broker=self.broker)(run_task)
        self.worker = dramatiq.Worker(self.broker, worker_threads=2, worker_timeout=100)

    def wait(self, number: int, seconds: float = 15.0) -> list[UUID]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.came) >= number, timeout=seconds), f"only {self.came}"
            return [id for _, id in self.came]


@pytest.fixture
def inbox(redis_url: str) -> Iterator[Inbox]:
    made = Inbox(redis_url)
    yield made
    made.worker.stop(timeout=5000)
    made.broker.client.close()


def waiting(broker: RedisBroker) -> int:
    size: int = broker.do_qsize(messaging.QUEUE)
    return size


def test_a_message_arrives(inbox: Inbox) -> None:
    inbox.worker.start()
    task = uuid4()
    inbox.jobs.send(task)
    assert inbox.wait(1) == [task]


def test_repeated_sending_leaves_one_message_waiting(inbox: Inbox) -> None:
    first, second = uuid4(), uuid4()
    for _ in range(50):
        inbox.jobs.send(first)
    inbox.jobs.send(second)
    assert waiting(inbox.broker) == 2
    inbox.worker.start()
    assert sorted(inbox.wait(2)) == sorted([first, second])
    inbox.jobs.send(first)
    assert inbox.wait(3).count(first) == 2, "a taken message makes room for the next"


def test_flushing_redis_makes_room_at_once(inbox: Inbox, redis_url: str) -> None:
    task = uuid4()
    inbox.jobs.send(task)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    inbox.worker.start()
    inbox.jobs.send(task)
    assert inbox.wait(1) == [task]


def test_a_delayed_message_comes_later_and_an_urgent_one_overtakes_it(inbox: Inbox) -> None:
    inbox.worker.start()
    patient, urgent = uuid4(), uuid4()
    began = time.monotonic()
    inbox.jobs.send(patient, delay=timedelta(seconds=1.5))
    inbox.jobs.send(urgent, delay=timedelta(hours=1))
    inbox.jobs.send(urgent)
    assert inbox.wait(2) == [urgent, patient]
    assert inbox.came[1][0] - began >= 1.4


def test_a_silent_redis_is_an_error_with_a_remedy() -> None:
    broker = messaging.open_broker(f"redis://127.0.0.1:{free_port()}")
    jobs = messaging.RedisJobs(broker, SystemClock())
    with pytest.raises(QueueDown, match="Redis does not answer") as caught:
        jobs.send(uuid4())
    assert "HOLDFAST_REDIS_URL" in (caught.value.remedy or "")
    with pytest.raises(QueueDown):
        jobs.ping()
    jobs.taken(uuid4())  # only a hint: no error


# ---- wake-ups: one behaviour, two implementations ---------------------------------------------------------------------


@pytest.fixture(params=["memory", "redis"])
def wakeups(request: pytest.FixtureRequest) -> Wakeups:
    if request.param == "memory":
        return messaging.MemoryWakeups()
    return messaging.RedisWakeups(request.getfixturevalue("redis_url"))


def gaps(wakeups: Wakeups, count: int, between: Callable[[int], None], *channels: str) -> list[float]:
    """Seconds before each of the first ``count`` hints; ``between`` runs after each."""

    async def follow() -> list[float]:
        found, before = [], time.monotonic()
        hints = wakeups.listen(*channels)
        async for _ in hints:
            found.append(time.monotonic() - before)
            if len(found) == count:
                break
            between(len(found))
            before = time.monotonic()
        await hints.aclose()  # type: ignore[attr-defined]  # both are generators
        return found

    return asyncio.run(follow())


def test_a_listener_hears_at_once_and_then_each_wake_up(wakeups: Wakeups) -> None:
    found = gaps(wakeups, 3, lambda _: wakeups.wake("session:1"), "session:1", "activity")
    assert all(gap < messaging.LOOK_SECONDS - 1 for gap in found), found


def test_without_a_wake_up_it_looks_every_few_seconds(wakeups: Wakeups) -> None:
    found = gaps(wakeups, 2, lambda _: wakeups.wake("somebody else"), "mine")
    assert messaging.LOOK_SECONDS - 0.5 < found[1] < messaging.LOOK_SECONDS + 5


def test_listening_survives_a_silent_redis() -> None:
    lost = messaging.RedisWakeups(f"redis://127.0.0.1:{free_port()}")
    assert len(gaps(lost, 2, lambda _: None, "any")) == 2
    with pytest.raises(QueueDown):
        lost.wake("any")
