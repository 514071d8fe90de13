"""Fixtures of the contract suites."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.adapters.clock import FakeClock
from server.adapters.db import Database
from tests.contracts.entities import KEY, NOW, Courier


@pytest.fixture
def courier() -> Courier:
    return Courier()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def store(database_url: str, clock: FakeClock, courier: Courier) -> Iterator[Database]:
    """A store on an empty database; what it sends after commit lands in ``courier``."""
    database = Database(database_url, sealing_key=KEY, clock=clock, jobs=courier, wakeups=courier)
    yield database
    database.close()
