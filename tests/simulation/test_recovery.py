"""The appliance is lost, the account is not: another one with the same secret key finds the points in AWS and goes on with
them, through the real services on the demo account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from server.adapters.db import Database, migrate
from server.adapters.db.sealing import Sealer
from server.domain.access import SYSTEM
from server.domain.periods import Frequency
from server.domain.policy import Policy
from server.domain.replicas import ReplicaTarget
from server.domain.restore import Leg, PointState, RestorePoint, VolumeRestore
from server.domain.schedule import Daily, Rule, Schedule, Weekly
from server.domain.scope import Scope
from server.domain.session import Event, State
from server.domain.workload import Account
from server.ports import Order, Select, Where
from server.services import policies, rescans, restores, scheduling
from tests.conftest import use_demo_keys
from tests.simulation.estate import Estate, estate

HERE, THERE = "us-east-1", "us-west-2"
BEGIN = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)  # a Sunday
BLOCK = 524_288
SCHEDULE = Schedule(
    daily=Daily(snapshot=Rule(slots=(6, 18), count=3), replica=Rule(slots=(18,), count=2)),
    weekly=Weekly(hour=18, snapshot=Rule(slots=(6,), count=2)),
)


@contextmanager
def successor(made: Estate, database_url: str, key: bytes = bytes(32)) -> Iterator[Estate]:
    """Another appliance: an empty database, the same account."""
    migrate(database_url)
    store, owner = Database(database_url, sealing_key=key, clock=made.clock, jobs=made.jobs), uuid4()
    app = replace(made.app, store=store, sealing=Sealer(key), owner_id=lambda: owner)
    with closing(store):
        yield replace(made, app=app, agenda=scheduling.Agenda())


def policy(made: Estate, account: Account) -> Policy:
    draft = policies.PolicyDraft(
        name="everything",
        scope=Scope(account_id=account.id, regions=(HERE,)),
        schedule=SCHEDULE,
        replicas=(ReplicaTarget(account_id=account.id, region=THERE),),
    )
    return policies.create(made.app, SYSTEM, draft)


def rescan(made: Estate, account: Account) -> list[Event]:
    session = rescans.start_rescan(made.app, SYSTEM, account.id, regions=[HERE, THERE])
    made.work(made.clock.now() + timedelta(minutes=10))
    session, _, log = made.session(session.id)
    assert session.state is State.SUCCESS, [line.message for line in log]
    return log


def points(made: Estate) -> dict[UUID, RestorePoint]:
    where = (Where("state", "eq", PointState.AVAILABLE),)
    with made.app.store.transaction() as tx:
        return {one.id: one for one in tx.points.page(Select(where=where, order=(Order("at"),), limit=1000))}


def in_aws(made: Estate, region: str) -> set[str]:
    ours = [{"Name": "tag-key", "Values": ["holdfast:task"]}]
    found = made.cloud.client("ec2", region).describe_snapshots(OwnerIds=["self"], Filters=ours)["Snapshots"]
    return {one["SnapshotId"] for one in found}


def told(point: RestorePoint) -> tuple[object, ...]:
    flags = "".join(flag.name[0] for flag in Frequency if flag in point.flags)
    return point.id, point.leg, point.region, point.at, point.slot_at, flags, point.source_id, point.size_bytes, point.document


def test_points_survive_the_database(
    database_url: str, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_demo_keys(monkeypatch)
    with estate(database_url, tmp_path, BEGIN) as made:
        account = made.account()
        instance = made.cloud.instance(made.cloud.image(devices=("/dev/xvda",)))
        volume = made.cloud.describe(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        rescan(made, account)
        policy(made, account)
        contents = {}
        for hour in range(6, 49, 12):  # four runs: Sunday's and Monday's
            made.cloud.control("POST", f"volumes/{volume}/blocks/{hour}", bytes([hour]) * BLOCK)
            contents[hour] = made.cloud.control("GET", f"volumes/{volume}/hash")["blocks"]
            made.hour(BEGIN + timedelta(hours=hour))
        before = points(made)
        assert len(before) == 3 + 2
        with successor(made, empty_database_url) as after:
            home = after.account()
            anew = policy(after, home)
            log = rescan(after, home)
            assert any("2 points in snapshots, 2 imported" in line.message for line in log)
            found = points(after)
            assert sorted(map(told, found.values()), key=str) == sorted(map(told, before.values()), key=str)
            assert {one.policy_id for one in found.values()} == {anew.id}
            _restored(after, home, next(one for one in found.values() if one.leg is Leg.SNAPSHOT), contents)
            _goes_on(after)


def _restored(made: Estate, home: Account, point: RestorePoint, contents: dict[int, dict[str, str]]) -> None:
    """A volume of the oldest point holds what was on the disk then."""
    options = VolumeRestore(account_id=home.id, region=HERE, zone=f"{HERE}a")
    session = restores.start_volume_restore(made.app, SYSTEM, point.id, options)
    assert session is not None
    made.work(made.clock.now() + timedelta(minutes=10))
    session, (task,), _ = made.session(session.id)
    assert session.state is State.SUCCESS
    (volume,) = task.document["result"]["volumes"]
    assert point.slot_at is not None
    hour = int((point.slot_at - BEGIN) / timedelta(hours=1))
    assert made.cloud.control("GET", f"volumes/{volume['volumeId']}/hash")["blocks"] == contents[hour]


def _goes_on(made: Estate) -> None:
    """Retention treats what was found and what is made since as one chain, in AWS too."""
    old = set(points(made))
    for hour in (54, 66, 78):
        made.hour(BEGIN + timedelta(hours=hour))
    left = points(made)
    snapshots = [one for one in left.values() if one.leg is Leg.SNAPSHOT]
    assert len(snapshots) == 3 + 1, "three daily ones, and Sunday's or Monday's weekly one"
    assert sum(Frequency.WEEKLY in one.flags for one in snapshots) == 1
    assert len(old & set(left)) == 1 + 1, "of what was found the weekly snapshot and the newer replica are left"
    for region, leg in ((HERE, Leg.SNAPSHOT), (THERE, Leg.REPLICA)):
        kept = {disk["snapshotId"] for one in left.values() if one.leg is leg for disk in one.document["volumes"]}
        assert in_aws(made, region) == kept


def test_with_another_key_they_are_counted_and_left_alone(
    database_url: str, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_demo_keys(monkeypatch)
    with estate(database_url, tmp_path, BEGIN) as made:
        account = made.account()
        made.cloud.instance(made.cloud.image(devices=("/dev/xvda",)))
        rescan(made, account)
        policy(made, account)
        made.hour(BEGIN + timedelta(hours=18))
        there = {region: in_aws(made, region) for region in (HERE, THERE)}
        assert all(there.values())
        with successor(made, empty_database_url, key=bytes(range(32))) as after:
            log = rescan(after, after.account())
            assert sum("1 point of another appliance" in line.message for line in log) == 2, "one line for each Region"
            assert points(after) == {}
        assert {region: in_aws(made, region) for region in (HERE, THERE)} == there
