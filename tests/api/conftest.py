"""The bench every API test works at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from server.adapters.clock import FakeClock
from server.adapters.db import Database
from server.adapters.messaging import MemoryJobs, MemoryWakeups
from server.adapters.passwords import Argon2Passwords
from server.domain.errors import HoldfastError
from server.ports import Blobs
from tests.api.bench import Bench, home_account, make_app, make_services, scripted_aws, serving
from tests.contracts.entities import KEY, NOW


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Bench]:
    """An appliance with its home account, nobody signed in."""
    clock = FakeClock(NOW)
    jobs, wakeups, aws = MemoryJobs(clock), MemoryWakeups(), scripted_aws()
    store = Database(database_url, sealing_key=KEY, clock=clock, jobs=jobs, wakeups=wakeups)
    buckets: dict[str, Blobs | HoldfastError] = {}
    services = make_services(store, clock, aws, jobs, wakeups, buckets)
    passwords = Argon2Passwords(time_cost=1, memory_kib=8, lanes=1)
    home = home_account(clock)
    with store.transaction() as tx:
        tx.accounts.add(home)
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(store._engine, "before_cursor_execute", note)
    with (
        serving(lambda url: make_app(services, passwords, tmp_path, url)) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield Bench(
            services=services,
            store=store,
            clock=clock,
            aws=aws,
            jobs=jobs,
            wakeups=wakeups,
            passwords=passwords,
            local_root=tmp_path / "repositories",
            buckets=buckets,
            client=client,
            home=home,
            statements=statements,
        )
    store.close()
