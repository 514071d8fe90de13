"""The Clock contract, on the machine's clock and on the one tests hold still."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from server.adapters.clock import FakeClock, SystemClock
from server.ports import Clock

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MAKERS: list[Callable[[], Clock]] = [SystemClock, lambda: FakeClock(START)]


@pytest.mark.parametrize("make", MAKERS)
def test_time_is_aware_utc_and_never_runs_backwards(make: Callable[[], Clock]) -> None:
    clock = make()
    before, ticks = clock.now(), clock.monotonic()
    clock.sleep(0.01)
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.now() > before
    assert clock.monotonic() - ticks >= 0.01


@pytest.mark.parametrize("make", MAKERS)
def test_sleeping_no_time_or_less_returns_at_once(make: Callable[[], Clock]) -> None:
    clock = make()
    clock.sleep(0)
    clock.sleep(-5)


def test_a_fake_clock_stands_still_until_slept_on_or_moved() -> None:
    clock = FakeClock(START)
    assert clock.now() == clock.now() == START
    clock.sleep(90)
    assert clock.now() == START + timedelta(seconds=90)
    assert clock.monotonic() == 90
    assert clock.advance(timedelta(hours=1)) == clock.now() == START + timedelta(hours=1, seconds=90)
    assert clock.set(START + timedelta(days=1)) == START + timedelta(days=1)


def test_a_fake_clock_refuses_what_a_real_one_cannot_do() -> None:
    clock = FakeClock(START)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2026, 11, 22))  # noqa: DTZ001  the mistake being refused


def test_a_fake_clock_counts_every_sleep_of_many_threads() -> None:
    clock = FakeClock(START)

    def sleep_often() -> None:
        for _ in range(200):
            clock.sleep(1)

    threads = [threading.Thread(target=sleep_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 1600
