"""Request rates AWS grants an account in a Region, shared by all our processes through Redis.

Each operation has a virtual line (GCRA): a request moves the line's end by 1/rate and waits until it is at most ``burst``
requests ahead of now. Processes reserve a few requests at once, so that a block costs no round trip. Redis is a courier,
not a truth: while it is down each process keeps the same rates for itself, and AWS throttles whatever is too much.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

import redis

from server.domain.workload import Place
from server.ports import Clock


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests per second, and how many may come at once after a pause."""

    per_second: float
    burst: float

    @property
    def batch(self) -> int:
        """How many requests a process reserves at once: about 20 ms of them."""
        return max(1, int(self.per_second / 50))


# EBS direct: the published default quotas. EC2: its request buckets, refilled at these rates; a bit is left for people.
RATES: Final = {
    "ebs:GetSnapshotBlock": Rate(1000, 1000),
    "ebs:PutSnapshotBlock": Rate(1000, 1000),
    "ebs:ListSnapshotBlocks": Rate(50, 50),
    "ebs:ListChangedBlocks": Rate(50, 50),
    "ebs:StartSnapshot": Rate(10, 10),
    "ebs:CompleteSnapshot": Rate(10, 10),
    "ec2:CreateSnapshots": Rate(5, 50),
    "ec2:CreateVolume": Rate(5, 50),
    "ec2:RunInstances": Rate(2, 500),
}
DESCRIBE: Final = Rate(20, 80)
CHANGE: Final = Rate(5, 150)
LONGEST_SLEEP: Final = 1.0  # seconds; so that a bucket found empty is looked at again
REDIS_PAUSE: Final = 5.0  # seconds without asking a Redis that failed

# KEYS[1] the line; ARGV: seconds per request, burst, requests wanted. Answers the wait in microseconds.
RESERVE: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local each = tonumber(ARGV[1]) * 1000000
local line = tonumber(redis.call('GET', KEYS[1]) or '0')
if line < now then line = now end
line = line + each * tonumber(ARGV[3])
local wait = line - now - each * tonumber(ARGV[2])
redis.call('SET', KEYS[1], string.format('%.0f', line), 'PX', math.ceil((line - now) / 1000) + 1000)
if wait < 0 then wait = 0 end
return math.ceil(wait)
"""


@dataclass(slots=True)
class _Line:
    lock: threading.Lock = field(default_factory=threading.Lock)
    reserved: int = 0
    end: float = 0.0  # the process's own line, in monotonic seconds


class Quotas:
    """Port-like ``Pace`` for the AWS adapters. ``server`` None: this process alone."""

    def __init__(self, clock: Clock, server: redis.Redis | None = None, *, rates: dict[str, Rate] | None = None) -> None:
        self._clock = clock
        self._rates = RATES if rates is None else rates
        self._server = server
        self._reserve = server.register_script(RESERVE) if server is not None else None
        self._redis_down_until = float("-inf")
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_url(cls, redis_url: str, clock: Clock, *, rates: dict[str, Rate] | None = None) -> Quotas:
        """With a connection of its own that gives up early: a slow Redis must not slow down the data."""
        return cls(clock, redis.Redis.from_url(redis_url, socket_timeout=0.5, socket_connect_timeout=0.5), rates=rates)

    def close(self) -> None:
        """Give the connections to Redis back."""
        if self._server is not None:
            self._server.close()

    def take(self, place: Place, operation: str) -> None:
        rate = self._rate(operation)
        if rate is None:
            return
        name = f"holdfast:quota:{place.account_id}:{place.region}:{self._bucket(operation)}"
        with self._lock:
            line = self._lines.setdefault(name, _Line())
        with line.lock:  # one thread waits for the line, the others for it: that is the queue
            if line.reserved == 0:
                wait = self._wait(name, line, rate)
                while wait > 0:
                    self._clock.sleep(min(wait, LONGEST_SLEEP))
                    wait -= LONGEST_SLEEP
                line.reserved = rate.batch
            line.reserved -= 1

    def _rate(self, operation: str) -> Rate | None:
        if operation in self._rates:
            return self._rates[operation]
        service, _, name = operation.partition(":")
        if service != "ec2":
            return None
        return DESCRIBE if name.startswith("Describe") else CHANGE

    def _bucket(self, operation: str) -> str:
        if operation in self._rates:
            return operation
        return "ec2:Describe" if operation.startswith("ec2:Describe") else "ec2:Change"

    def _wait(self, name: str, line: _Line, rate: Rate) -> float:
        now = self._clock.monotonic()
        if self._reserve is not None and now >= self._redis_down_until:
            try:
                answer = self._reserve(keys=[name], args=[1 / rate.per_second, rate.burst, rate.batch])
                return int(answer) / 1e6
            except redis.RedisError:
                self._redis_down_until = now + REDIS_PAUSE
        line.end = max(line.end, now) + rate.batch / rate.per_second
        return line.end - now - rate.burst / rate.per_second
