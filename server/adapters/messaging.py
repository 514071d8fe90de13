"""Jobs over Dramatiq and wake-ups over Redis, each with an in-memory twin. Losing everything in Redis only delays.

At most one message per task waits in the queue: a marker in Redis, removed when the message is taken, keeps the scheduler's
sweep from filling a busy queue. Markers expire by themselves, and vanish together with the messages when Redis is flushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import dramatiq
import redis
import redis.asyncio
from dramatiq.brokers.redis import RedisBroker

from server.domain.errors import QueueDown
from server.ports import Clock

QUEUE: Final = "tasks"
ACTOR: Final = "run_task"
HEARTBEAT_MS: Final = 15_000  # a worker silent this long is dead; its messages go back to the queue
ALWAYS: Final = 1_000_000  # per million commands: look for dead workers each time, else it takes minutes
DELAY_MAX: Final = timedelta(days=6)  # Dramatiq refuses 7; the scheduler sends again
MARKED_SECONDS: Final = 20  # how long a lost message hides behind its marker at most
SOCKET_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 3.0  # a listener looks this often without any wake-up
RECONNECT_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


def client(url: str) -> redis.Redis:
    """A client that gives up after SOCKET_SECONDS rather than hang."""
    return redis.Redis.from_url(
        url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=SOCKET_SECONDS, health_check_interval=30
    )


def open_broker(url: str) -> RedisBroker:
    """Dramatiq without its middleware: retries, limits and time-outs are the engine's, kept in the database."""
    broker = RedisBroker(  # type: ignore[no-untyped-call]  # Dramatiq's own signature has no types
        client=client(url), middleware=[], heartbeat_timeout=HEARTBEAT_MS, maintenance_chance=ALWAYS
    )
    broker.declare_queue(QUEUE)
    return broker


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, dramatiq.BrokerError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise QueueDown(
            f"Redis does not answer: {reason}", remedy="Check that Redis runs and HOLDFAST_REDIS_URL is right."
        ) from error


class RedisJobs:
    """``ports.Jobs``."""

    def __init__(self, broker: RedisBroker, clock: Clock) -> None:
        self._broker = broker
        self._redis: redis.Redis = broker.client
        self._clock = clock

    def send(self, task_id: UUID, *, delay: timedelta = timedelta(0)) -> None:
        wait = min(max(delay, timedelta(0)), DELAY_MAX)
        due = self._milliseconds() + round(wait.total_seconds() * 1000)
        with _translated():
            waiting = self._redis.get(_marker(task_id))
            if waiting is not None and int(waiting) <= due:
                return  # one is on its way, no later than this
            life = wait + timedelta(seconds=MARKED_SECONDS)
            self._redis.set(_marker(task_id), due, px=life)
            message: dramatiq.Message[None] = dramatiq.Message(
                queue_name=QUEUE, actor_name=ACTOR, args=(str(task_id),), kwargs={}, options={}
            )
            self._broker.enqueue(message, delay=round(wait.total_seconds() * 1000) if wait else None)

    def taken(self, task_id: UUID) -> None:
        """A worker has the message in hand: from now on another may be sent. Losing this call only delays."""
        with contextlib.suppress(redis.RedisError, OSError):
            self._redis.delete(_marker(task_id))

    def ping(self) -> None:
        with _translated():
            self._redis.ping()

    def _milliseconds(self) -> int:
        return round(self._clock.now().timestamp() * 1000)


def _marker(task_id: UUID) -> str:
    return f"holdfast:waiting:{task_id}"


class MemoryJobs:
    """``ports.Jobs`` in memory: what was sent waits, by time, until somebody takes it. For tests and one-process use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[datetime, UUID]] = []
        self._lock = threading.Lock()

    def send(self, task_id: UUID, *, delay: timedelta = timedelta(0)) -> None:
        with self._lock:
            self._waiting.append((self._clock.now() + delay, task_id))

    def ping(self) -> None:
        """Always there."""

    def take(self) -> UUID | None:
        """The message that has been due longest, or None."""
        now = self._clock.now()
        with self._lock:
            due = [entry for entry in self._waiting if entry[0] <= now]
            if not due:
                return None
            entry = min(due)
            self._waiting.remove(entry)
            return entry[1]

    def next_due(self) -> datetime | None:
        """When the earliest waiting message is due."""
        with self._lock:
            return min(self._waiting)[0] if self._waiting else None

    def lose(self) -> int:
        """Forget everything, as a flushed Redis does; how many messages that were."""
        with self._lock:
            lost = len(self._waiting)
            self._waiting.clear()
            return lost

    def run(self, advance: Callable[[UUID], None]) -> int:
        """Hand every due message to ``advance`` until none is due; how many."""
        number = 0
        while (task_id := self.take()) is not None:
            advance(task_id)
            number += 1
        return number


class RedisWakeups:
    """``ports.Wakeups`` over Redis publish/subscribe."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._redis = client(url)

    def wake(self, channel: str) -> None:
        with _translated():
            self._redis.publish(_topic(channel), b"")

    async def listen(self, *channels: str) -> AsyncIterator[None]:
        while True:
            try:
                async for _ in self._listen_once(channels):
                    yield
            except (redis.RedisError, OSError) as error:
                _log.info("Wake-ups are delayed, Redis does not answer: %s", error)
                yield
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_once(self, channels: tuple[str, ...]) -> AsyncIterator[None]:
        """One connection's worth: a hint at once, for what happened before it listened, then at each message or look."""
        connection = redis.asyncio.Redis.from_url(self._url, socket_connect_timeout=SOCKET_SECONDS)
        try:
            async with connection.pubsub(ignore_subscribe_messages=True) as subscription:
                await subscription.subscribe(*map(_topic, channels))
                yield
                while True:
                    await self._message_or_look(subscription)
                    yield
        finally:
            await connection.aclose()

    async def _message_or_look(self, subscription: Any) -> None:
        """Return at the next message, or after LOOK_SECONDS; further messages already here are the same hint."""
        loop = asyncio.get_running_loop()
        end = loop.time() + LOOK_SECONDS
        message = None
        while message is None and (left := end - loop.time()) > 0:  # None also stands for a confirmed subscription
            message = await subscription.get_message(timeout=left)
        while message is not None:
            message = await subscription.get_message(timeout=0)


def _topic(channel: str) -> str:
    return f"holdfast:wake:{channel}"


class MemoryWakeups:
    """``ports.Wakeups`` within one process."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = defaultdict(set)
        self._lock = threading.Lock()

    def wake(self, channel: str) -> None:
        with self._lock:
            listeners = list(self._listeners[channel])
        for loop, event in listeners:
            with contextlib.suppress(RuntimeError):  # its loop has ended: nobody listens any more
                loop.call_soon_threadsafe(event.set)

    async def listen(self, *channels: str) -> AsyncIterator[None]:
        listener = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            for channel in channels:
                self._listeners[channel].add(listener)
        try:
            yield
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(listener[1].wait(), LOOK_SECONDS)
                listener[1].clear()
                yield
        finally:
            with self._lock:
                for channel in channels:
                    self._listeners[channel].discard(listener)
