"""One appliance per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.engine.harness import Appliance, build


@pytest.fixture
def appliance(database_url: str) -> Iterator[Appliance]:
    made, database = build(database_url)
    yield made
    database.close()
