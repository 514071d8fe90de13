"""One appliance per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.domain.repository import StorageClass
from server.domain.restore import Leg
from server.domain.session import State
from tests.services.engine.archive_estate import DATA, ROOT, Estate
from tests.services.engine.harness import Appliance, build
from tests.services.engine.test_protection import points


@pytest.fixture
def appliance(database_url: str) -> Iterator[Appliance]:
    made, database = build(database_url)
    yield made
    database.close()


@pytest.fixture
def estate(appliance: Appliance) -> Estate:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": ROOT, "vol-b": DATA})
    policy = appliance.policy(account, repository=appliance.repository(account))
    made = Estate(appliance, policy.id, appliance.repository(account, "glacier", storage_class=StorageClass.GLACIER))
    made.backup()
    return made


@pytest.fixture
def stored(estate: Estate) -> Estate:
    """The backup is archived; the machine's disks are empty since."""
    session_id = estate.store(*points(estate.appliance, Leg.BACKUP))
    assert estate.appliance.session(session_id).state is State.SUCCESS, estate.lines(session_id)
    estate.appliance.cloud.machines["i-web-1"].volumes = {"vol-a": {}, "vol-b": {}}
    return estate
