"""A demo account of this area's own, and a driver that does what the engine does: stores each memo as JSON, waits, repeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from server.adapters.aws import Boto3Aws
from server.adapters.clock import FakeClock
from server.domain.errors import HoldfastError
from server.domain.restore import InstanceRestore, VolumeRestore
from server.domain.workload import Found, Resource
from server.ports import RestoreJob, SnapshotJob, Step
from server.workloads.ec2 import Ec2
from tests.demo_account import HOME, REGION, DemoAccount, Site, demo_account

STEPS_MAX = 400
RETRIES_MAX = 60
Memo = dict[str, Any]
Machine = Callable[[Memo], Step]


@pytest.fixture(scope="session")
def account() -> Iterator[DemoAccount]:
    with demo_account() as running:
        yield running


@pytest.fixture(scope="session")
def clock() -> FakeClock:
    """Stands still except for the waits of the code under test, so nothing has to sleep."""
    return FakeClock(datetime.now(UTC))


@pytest.fixture(scope="session")
def built(account: DemoAccount, clock: FakeClock) -> Site:
    return Site(account, Boto3Aws(clock, endpoint_url=account.url)).build()


@pytest.fixture
def site(built: Site) -> Site:
    built.account.reset()
    return built


@pytest.fixture
def ec2(site: Site, clock: FakeClock) -> Ec2:
    return Ec2(site.aws, clock)


@dataclass
class Protected:
    """An instance with a root and two data disks holding known blocks."""

    resource: Resource
    volumes: dict[str, str]  # device → volume id

    def job(self, **changes: Any) -> SnapshotJob:
        values = {"place": HOME, "resource": self.resource, "token": uuid4().hex, "policy_name": "Nightly", **changes}
        return SnapshotJob(**values)


def resource_of(found: Found) -> Resource:
    now = datetime.now(UTC)
    return Resource(
        id=uuid4(),
        account_id=HOME.account_id,
        workload="ec2",
        region=found.region,
        aws_id=found.aws_id,
        name=found.name,
        tags=found.tags,
        state=found.state,
        size_bytes=found.size_bytes,
        document=found.document,
        first_seen_at=now,
        last_seen_at=now,
    )


def protect(site: Site, ec2: Ec2, name: str = "", *, data_disks: int = 2, instance: str | None = None) -> Protected:
    """A new instance, or one that is there."""
    instance = instance or site.launch(name, data_disks=data_disks, profile=True, key=True)
    volumes = site.volumes_of(instance)
    for number, volume in enumerate(volumes.values(), start=1):
        for index in (0, 5, 2047):
            site.account.write(volume, index, number)
    found = next(f for f in ec2.discover(HOME) if f.aws_id == instance)
    return Protected(resource_of(found), volumes)


@pytest.fixture(scope="session")
def web(built: Site, clock: FakeClock) -> Protected:
    """Shared by tests that only read it."""
    return protect(built, Ec2(built.aws, clock), "web-1")


@pytest.fixture(scope="session")
def document(built: Site, web: Protected, clock: FakeClock) -> Memo:
    """A finished point of ``web``."""
    ec2, job = Ec2(built.aws, clock), web.job()
    return Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()


@dataclass
class Driver:
    """Runs a state machine to its end. ``memos`` are those handed to it, oldest first; ``messages`` what it said."""

    clock: FakeClock
    machine: Machine
    twice: bool = False  # every step runs a second time with the same memo, as after a crash before its result was stored
    memos: list[Memo] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    failures: int = 0

    def finish(self, memo: Memo | None = None) -> Memo:
        current: Memo = memo or {}
        for _ in range(STEPS_MAX):
            step = self.step(current)
            current = step.memo
            if step.done:
                return current
        raise AssertionError(f"not done after {STEPS_MAX} steps: {self.messages[-3:]}")

    def step(self, memo: Memo) -> Step:
        self.memos.append(memo)
        if self.twice:
            self._once(memo)
        step = self._once(memo)
        self.messages.append(step.message)
        self.clock.sleep(step.wait)
        return Step(memo=json.loads(json.dumps(step.memo)), done=step.done, message=step.message, progress=step.progress)

    def _once(self, memo: Memo) -> Step:
        """Transient errors are repeated, as the engine does; the memo of before is handed in again."""
        for _ in range(RETRIES_MAX):
            try:
                return self.machine(json.loads(json.dumps(memo)))
            except HoldfastError as error:
                if not error.transient:
                    raise
                self.failures += 1
                self.clock.sleep(1)
        raise AssertionError("still failing")


def restore_job(document: Memo, ec2: Ec2, **changes: Any) -> RestoreJob:
    values = {
        "place": HOME,
        "token": uuid4().hex,
        "record": document,
        "resource_name": document["instance"]["name"],
        "disks": ec2.disks(document),
        **changes,
    }
    return RestoreJob(**values)


def volume_options(**changes: Any) -> VolumeRestore:
    return VolumeRestore(**{"account_id": HOME.account_id, "region": REGION, "zone": f"{REGION}a", **changes})


def instance_options(**changes: Any) -> InstanceRestore:
    return InstanceRestore(**{"account_id": HOME.account_id, "region": REGION, "name": "web-1-restored", **changes})
