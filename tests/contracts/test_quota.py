"""Request rates shared through Redis: kept together by many, kept alone without Redis, and cheap."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
import redis

from server.adapters.clock import FakeClock, SystemClock
from server.adapters.pace import NoQuotas
from server.adapters.quota import RATES, Quotas, Rate
from tests.demo_account import HOME

READ = "ebs:GetSnapshotBlock"
RATE = {READ: Rate(per_second=200, burst=40)}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 11, 22, tzinfo=UTC))


def test_a_burst_is_free_and_then_the_rate_holds(clock: FakeClock) -> None:
    quotas = Quotas(clock, rates=RATE)
    for _ in range(40):
        quotas.take(HOME, READ)
    assert clock.monotonic() == 0
    for _ in range(400):
        quotas.take(HOME, READ)
    assert clock.monotonic() == pytest.approx(2.0, abs=0.05)


def test_a_pause_fills_the_bucket_up_to_the_burst_only(clock: FakeClock) -> None:
    quotas = Quotas(clock, rates=RATE)
    for _ in range(40):
        quotas.take(HOME, READ)
    clock.advance(3600)
    for _ in range(40):
        quotas.take(HOME, READ)
    assert clock.monotonic() == 3600
    for _ in range(40):
        quotas.take(HOME, READ)
    assert clock.monotonic() == pytest.approx(3600.2, abs=0.05)


def test_accounts_regions_and_operations_have_lines_of_their_own(clock: FakeClock) -> None:
    quotas = Quotas(clock, rates={READ: Rate(1, 1), "ebs:PutSnapshotBlock": Rate(1, 1)})
    quotas.take(HOME, READ)
    quotas.take(replace(HOME, region="us-east-1"), READ)
    quotas.take(replace(HOME, account_id=UUID(int=9)), READ)
    quotas.take(HOME, "ebs:PutSnapshotBlock")
    assert clock.monotonic() == 0
    quotas.take(HOME, READ)
    assert clock.monotonic() == pytest.approx(1.0)


def test_describes_share_a_line_and_other_services_have_none(clock: FakeClock) -> None:
    quotas = Quotas(clock)
    for _ in range(90):
        quotas.take(HOME, "ec2:DescribeVolumes" if _ % 2 else "ec2:DescribeInstances")
    assert clock.monotonic() == pytest.approx(10 / 20, abs=0.06)
    before = clock.monotonic()
    for _ in range(1000):
        quotas.take(HOME, "sts:GetCallerIdentity")
    assert clock.monotonic() == before


def test_two_processes_share_one_line_through_redis(redis_url: str) -> None:
    """Each has a client of its own, as two workers have; the rate is that of both together."""
    clock = SystemClock()
    both = [Quotas.from_url(redis_url, clock, rates=RATE) for _ in range(2)]

    def take(quotas: Quotas) -> None:
        for _ in range(120):
            quotas.take(HOME, READ)

    started = time.monotonic()
    threads = [threading.Thread(target=take, args=(quotas,)) for quotas in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for quotas in both:
        quotas.close()
    assert time.monotonic() - started >= (240 - 40 - 8) / 200


def test_without_redis_the_process_keeps_the_rate_alone(clock: FakeClock) -> None:
    with redis.Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.2) as down:
        quotas = Quotas(clock, down, rates=RATE)
        for _ in range(240):
            quotas.take(HOME, READ)
    assert clock.monotonic() == pytest.approx(1.0, abs=0.05)


def test_a_flushed_redis_does_no_harm(redis_url: str) -> None:
    quotas = Quotas.from_url(redis_url, SystemClock(), rates=RATE)
    quotas.take(HOME, READ)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        client.script_flush()
    for _ in range(10):
        quotas.take(HOME, READ)
    quotas.close()


def test_the_line_in_redis_ends_by_itself(redis_url: str) -> None:
    quotas = Quotas.from_url(redis_url, SystemClock(), rates=RATE)
    quotas.take(HOME, READ)
    with redis.Redis.from_url(redis_url) as client:
        (name,) = client.keys("holdfast:quota:*")
        assert 0 < client.pttl(name) <= 2000
    quotas.close()


def test_a_request_costs_microseconds(redis_url: str) -> None:
    quotas = Quotas.from_url(redis_url, SystemClock(), rates={READ: Rate(1e6, 1e6)})
    started = time.process_time()
    for _ in range(5000):
        quotas.take(HOME, READ)
    quotas.close()
    assert (time.process_time() - started) / 5000 < 50e-6


def test_the_published_quotas_of_ebs_direct_are_kept() -> None:
    assert RATES[READ].per_second == RATES["ebs:PutSnapshotBlock"].per_second == 1000
    assert RATES["ebs:ListChangedBlocks"].per_second == 50
    assert RATES["ebs:StartSnapshot"].per_second == 10


def test_no_quotas_never_waits() -> None:
    for _ in range(1000):
        NoQuotas().take(HOME, READ)
