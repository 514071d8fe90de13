"""Fixtures shared by every area: real servers, a fresh database per test, the demo AWS account, a whole appliance.

Each pytest process starts servers of its own on free ports, so parallel runs never meet.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis

from server.adapters.db import migrate
from server.demo import sample
from server.settings import Settings
from server.supervise.appliance import DEMO_CREDENTIALS, Appliance, base_environment
from server.supervise.ports import free_port
from server.supervise.postgres import Postgres
from server.supervise.processes import Program
from server.supervise.redis import Redis

ADMIN_PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=4, help="kills -9 in tests/simulation; 50 is the full trial")
    parser.addoption("--histories", type=int, default=800, help="simulated histories; --long: fifty times as many")
    parser.addoption("--days", type=int, default=8, help="simulated in tests/simulation/test_year.py; 365 is the full trial")
    parser.addoption("--faults", default="", help="operations ('*', 'ec2:*') that suffer every fault in test_faults.py")
    parser.addoption("--seed", type=int, default=7, help="of what tests/simulation chooses at random")


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A private folder other users may walk through (servers do not run as root), removed with all it holds."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(short_folder: Path) -> Iterator[Postgres]:
    """A running PostgreSQL of this pytest process."""
    server = Postgres(short_folder / "postgres", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _template(postgres_server: Postgres) -> str:
    """A migrated database that fresh ones are copied from: faster than migrating each."""
    _execute(postgres_server, "CREATE DATABASE template_migrated")
    migrate(database_address(postgres_server, "template_migrated"))
    return "template_migrated"


@pytest.fixture
def empty_database_url(postgres_server: Postgres) -> Iterator[str]:
    """A database without any table."""
    yield from _fresh_database(postgres_server, "template0")


@pytest.fixture
def database_url(postgres_server: Postgres, _template: str) -> Iterator[str]:
    """A database with the newest schema and no rows."""
    yield from _fresh_database(postgres_server, _template)


def _fresh_database(server: Postgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield database_address(server, name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def database_address(server: Postgres, name: str) -> str:
    return urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))


def _execute(server: Postgres, statement: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def unused_port() -> int:
    """A free TCP port on the loopback address."""
    return free_port()


@pytest.fixture(scope="session")
def redis_server(short_folder: Path) -> Iterator[Redis]:
    server = Redis(short_folder / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The address of an empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@dataclass
class DemoCloud:
    """The demo AWS account over HTTP. ``lines`` is what its process wrote."""

    url: str
    folder: Path
    lines: list[str] = field(default_factory=list)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call ``/_demo/…``; JSON in and out (None when the answer has no body)."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/_demo/{path}", data=data, method=method, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
        return json.loads(text) if text else None

    def calls(self) -> dict[str, int]:
        """How often each AWS operation was called since the last reset: ``{"ebs:GetSnapshotBlock": 3}``."""
        found: dict[str, int] = self.control("GET", "calls")
        return found

    def fault(
        self, operation: str, kind: str, *, probability: float = 1.0, times: int | None = None, delay: float = 0.0
    ) -> None:
        body = {"operation": operation, "kind": kind, "probability": probability, "times": times, "delay": delay}
        self.control("POST", "faults", body)

    def reset(self) -> None:
        self.control("DELETE", "faults")
        self.control("DELETE", "calls")


@contextmanager
def start_cloud(folder: Path) -> Iterator[DemoCloud]:
    """A demo account of its own in ``folder`` (made here), with the small sample."""
    folder.mkdir()
    port = free_port()
    cloud = DemoCloud(f"http://127.0.0.1:{port}", folder)
    program = Program(
        name="demo-aws",
        command=[sys.executable, "-m", "server.demo.cloud", "--data", str(folder), "--port", str(port), "--pace", "0"],
        env=base_environment(demo=True),
        sink=lambda _name, line: cloud.lines.append(line),
        ready_url=f"{cloud.url}/_demo/healthz",
        ready_seconds=120,
    )
    try:
        program.start()
        sample.seed(cloud.url, folder, size="small")
        yield cloud
    finally:
        program.stop()


@pytest.fixture(scope="session")
def _demo_cloud(short_folder: Path) -> Iterator[DemoCloud]:
    with start_cloud(short_folder / "aws") as cloud:
        yield cloud


@pytest.fixture
def demo_cloud(_demo_cloud: DemoCloud, monkeypatch: pytest.MonkeyPatch) -> DemoCloud:
    """The demo account with the small sample; no faults, calls counted from zero, its keys in the environment."""
    use_demo_keys(monkeypatch)
    _demo_cloud.reset()
    return _demo_cloud


def use_demo_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process too, and no others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in DEMO_CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@dataclass
class RunningAppliance:
    """All processes of an appliance on the demo account. ``lines`` is what they wrote, with the process's name."""

    url: str
    settings: Settings
    cloud: DemoCloud
    processes: Appliance
    username: str = "admin"
    password: str = ADMIN_PASSWORD
    lines: list[str] = field(default_factory=list)


@contextmanager
def start_appliance(folder: Path, cloud: DemoCloud) -> Iterator[RunningAppliance]:
    """Web server, worker and scheduler as real processes, with a PostgreSQL and a Redis of their own."""
    lines: list[str] = []
    processes = Appliance(
        demo_settings(folder, cloud.url),
        sink=lambda name, line: lines.append(f"{name}: {line}"),
        migrate=migrate,
        demo=True,
    )
    try:
        started = processes.start()
        yield RunningAppliance(url=started.public_url, settings=started, cloud=cloud, processes=processes, lines=lines)
    except BaseException:
        print("\n".join(lines[-50:]), file=sys.stderr)  # noqa: T201  pytest shows it with the failure
        raise
    finally:
        processes.stop()


@pytest.fixture(scope="session")
def appliance(short_folder: Path, _demo_cloud: DemoCloud) -> Iterator[RunningAppliance]:
    with start_appliance(short_folder / "appliance", _demo_cloud) as running:
        yield running


def demo_settings(folder: Path, cloud_url: str) -> Settings:
    """Settings of an appliance in ``folder`` on a free port, against the demo account at ``cloud_url``."""
    port = free_port()
    return Settings.from_env(
        {
            "HOLDFAST_DATA_DIR": str(folder),
            "HOLDFAST_PORT": str(port),
            "HOLDFAST_AWS_ENDPOINT_URL": cloud_url,
            "HOLDFAST_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "HOLDFAST_LOG_FORMAT": "text",
        }
    )
