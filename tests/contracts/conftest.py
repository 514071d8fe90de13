"""Fixtures of the contract suites. A database is made once per module and emptied before each test: that is much faster."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from server.adapters.clock import FakeClock
from server.adapters.db import Database
from server.adapters.db.tables import METADATA
from server.supervise.postgres import Postgres
from tests.conftest import database_address
from tests.contracts.entities import KEY, NOW, Courier

# Without triggers and references in the way; for a few rows much faster than TRUNCATE, which makes new files.
EMPTY = f"SET session_replication_role = replica; {'; '.join(f'DELETE FROM {table}' for table in METADATA.tables)}"


@pytest.fixture(scope="module")
def _module_database(postgres_server: Postgres, _template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.module.__name__.rpartition(".")[2]
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_template}".encode())
        yield database_address(postgres_server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def database_url(_module_database: str) -> str:
    """A migrated database without rows."""
    with psycopg.connect(_module_database) as connection:
        connection.execute(EMPTY.encode())
    return _module_database


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
