"""Points found again in AWS after the database was lost, and points whose snapshots somebody has deleted there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from server.adapters.db import migrate
from server.adapters.db.sealing import Sealer
from server.domain.access import SYSTEM
from server.domain.errors import AwsAccessDenied, AwsRejected, Conflict, HoldfastError, Unavailable
from server.domain.periods import Frequency, Period
from server.domain.replicas import ReplicaTarget
from server.domain.restore import Health, Leg, PointState, RestorePoint, VolumeRestore
from server.domain.session import Session, State
from server.domain.workload import Account
from server.ports import Order, Select
from server.services import manual_snapshots, preferences, protection, rescans, restores, scheduling
from server.services.manual_snapshots import ManualOrder
from tests.services.engine.cloud import Kept
from tests.services.engine.harness import Appliance, Killed, build, daily
from tests.services.engine.test_protection import DISK, run
from tests.services.engine.test_protection import points as points_of
from tests.services.engine.test_retention import pass_days

THERE = "eu-central-1"


@contextmanager
def successor(appliance: Appliance, database_url: str, key: bytes = bytes(32)) -> Iterator[Appliance]:
    """Another appliance on the same account, on an empty database."""
    migrate(database_url)
    made, database = build(database_url, clock=appliance.clock)
    cloud = appliance.cloud
    app = replace(made.app, aws=cloud, blocks=cloud.blocks, workloads={"tiny": cloud.workload}, sealing=Sealer(key))
    with closing(database):
        yield replace(made, app=app, cloud=cloud)


def rescan(appliance: Appliance, account: Account, *regions: str) -> Session:
    session = rescans.start_rescan(appliance.app, SYSTEM, account.id, regions=regions or None)
    appliance.work()
    appliance.clock.advance(timedelta(minutes=1))
    return appliance.session(session.id)


def every(appliance: Appliance) -> dict[UUID, RestorePoint]:
    with appliance.app.store.transaction() as tx:
        return {point.id: point for point in tx.points.page(Select(order=(Order("at"),), limit=1000))}


def forgotten(point: RestorePoint, account: Account) -> RestorePoint:
    """As a successor knows it: rows it has not got are not referred to."""
    return replace(
        point, account_id=account.id, policy_id=None, session_id=None, task_id=None, base=False, resource_id=UUID(int=0)
    )


@pytest.fixture
def home(appliance: Appliance) -> Account:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK, "vol-b": DISK})
    return account


def test_after_the_database_is_lost_a_rescan_brings_the_points_back(
    appliance: Appliance, home: Account, empty_database_url: str
) -> None:
    target = ReplicaTarget(account_id=home.id, region=THERE)
    policy = appliance.policy(home, schedule=daily((6,), replica=(6,), snapshots=2), replicas=(target,))
    run(appliance, policy.id)
    appliance.clock.advance(timedelta(hours=1))
    run(appliance, policy.id)
    with appliance.app.store.transaction() as tx:
        (machine,) = tx.resources.page(Select())
    manual_snapshots.take(appliance.app, SYSTEM, [machine.id], ManualOrder(keep_days=9))
    appliance.work()
    before = every(appliance)
    assert sorted(point.leg.value for point in before.values()) == ["replica"] * 2 + ["snapshot"] * 3
    with successor(appliance, empty_database_url) as after:
        account = after.account()
        session = rescan(after, account)
        assert session.state is State.SUCCESS
        found = every(after)
        assert {id: forgotten(point, account) for id, point in found.items()} == {
            id: forgotten(point, account) for id, point in before.items()
        }
        lines = after.lines(session.id)
        assert any("3 points in snapshots, 3 imported" in line for line in lines), lines
        assert any("2 points in snapshots, 2 imported" in line for line in lines), lines
        rescan(after, account)
        assert every(after) == found, "again: nothing new"


def test_what_is_found_again_is_kept_by_the_policy_made_anew(
    appliance: Appliance, home: Account, empty_database_url: str
) -> None:
    policy = appliance.policy(home, schedule=daily((6,), snapshots=3))
    for _ in range(3):
        run(appliance, policy.id)
        appliance.clock.advance(timedelta(hours=1))
    with successor(appliance, empty_database_url) as after:
        account = after.account()
        anew = after.policy(account, schedule=daily((6,), snapshots=2))
        rescan(after, account)
        old = points_of(after, Leg.SNAPSHOT)
        assert [point.flags for point in old] == [(Frequency.DAILY,)] * 3
        assert {point.policy_id for point in old} == {anew.id}, "by its name"
        run(after, anew.id)
        kept = points_of(after, Leg.SNAPSHOT)
        assert len(kept) == 2
        assert old[-1].id == kept[0].id, "one chain with what is made now"
        assert len(after.cloud.snapshots) == 4, "two disks each"


def test_nobodys_points_are_obsolete(appliance: Appliance, home: Account, empty_database_url: str) -> None:
    policy = appliance.policy(home, schedule=daily((6,)))
    run(appliance, policy.id)
    with successor(appliance, empty_database_url) as after:
        account = after.account()
        del after.cloud.machines["i-web-1"]
        rescan(after, account)
        (point,) = points_of(after, Leg.SNAPSHOT)
        assert point.policy_id is None
        with after.app.store.transaction() as tx:
            machine = tx.resources.get(point.resource_id)
        assert (machine.aws_id, machine.name, machine.present) == ("i-web-1", "web-1", False)
        pass_days(after, 2)
        assert points_of(after, Leg.SNAPSHOT) == [point], "kept until somebody says otherwise"
        preferences.update(after.app, SYSTEM, obsolete_snapshots=Period(15))
        pass_days(after, 15)
        assert points_of(after, Leg.SNAPSHOT) == []
        assert after.cloud.snapshots == {}


def test_a_volume_is_restored_from_a_point_found_again(appliance: Appliance, home: Account, empty_database_url: str) -> None:
    run(appliance, appliance.policy(home).id)
    with successor(appliance, empty_database_url) as after:
        account = after.account()
        rescan(after, account)
        (point,) = points_of(after, Leg.SNAPSHOT)
        options = VolumeRestore(account_id=account.id, region=point.region, zone=f"{point.region}a")
        session = restores.start_volume_restore(after.app, SYSTEM, point.id, options)
        assert session is not None
        after.work()
        assert after.session(session.id).state is State.SUCCESS
        assert list(after.cloud.content.values()) == [DISK, DISK]


def test_another_appliances_points_are_counted_and_left_alone(
    appliance: Appliance, home: Account, empty_database_url: str
) -> None:
    policy = appliance.policy(home, schedule=daily((6,), snapshots=5))
    for _ in range(3):
        run(appliance, policy.id)
        appliance.clock.advance(timedelta(hours=1))
    there = dict(appliance.cloud.snapshots)
    with successor(appliance, empty_database_url, key=bytes(range(32))) as after:
        session = rescan(after, after.account())
        assert session.state is State.SUCCESS
        assert every(after) == {}
        told = [line for line in after.lines(session.id) if "left alone" in line]
        assert told == ["us-east-1: left alone: 3 points of another appliance."]
        pass_days(after, 2)
    assert appliance.cloud.snapshots == there


def test_what_a_running_task_has_marked_is_its_own_to_register(appliance: Appliance, home: Account) -> None:
    """The worker dies between tagging and registering, and a rescan looks just then."""
    session = protection.start_policy(appliance.app, SYSTEM, appliance.policy(home).id)
    assert session is not None

    def die_after(operation: str) -> None:
        if operation == "mark":
            appliance.store.deadly = lambda: True

    appliance.cloud.before = die_after
    with pytest.raises(Killed):
        appliance.work()
    appliance.jobs.lose()
    appliance.cloud.before = lambda _: None
    appliance.store.deadly = lambda: False
    assert all(kept.mark is not None for kept in appliance.cloud.snapshots.values())
    rescan(appliance, home)
    assert every(appliance) == {}
    for _ in range(20):
        appliance.tick()
        appliance.work()
        appliance.clock.advance(timedelta(seconds=5))
    assert appliance.session(session.id).state is State.SUCCESS, appliance.lines(session.id)
    assert [len(point.document["volumes"]) for point in every(appliance).values()] == [2]
    assert len(appliance.cloud.snapshots) == 2, "nothing was made twice"


def test_a_refused_mark_costs_no_snapshot_and_is_made_up_for(appliance: Appliance, home: Account) -> None:
    def refuse(operation: str) -> None:
        if operation == "mark":
            raise AwsRejected("The snapshot has 50 tags.", remedy="Remove some.")

    appliance.cloud.before = refuse
    session = run(appliance, appliance.policy(home).id)
    assert session.state is State.WARNING
    assert any("could not be marked" in line and "Remove some." in line for line in appliance.lines(session.id))
    (point,) = points_of(appliance, Leg.SNAPSHOT)
    appliance.cloud.before = lambda _: None
    found = rescan(appliance, home)
    assert any("1 marked again" in line for line in appliance.lines(found.id))
    assert {kept.mark.point_id for kept in appliance.cloud.snapshots.values() if kept.mark} == {point.id}
    assert not any("marked again" in line for line in appliance.lines(rescan(appliance, home).id))


def test_a_deleted_point_does_not_come_back(appliance: Appliance, home: Account) -> None:
    """AWS still lists its snapshots, or they are being deleted."""
    policy = appliance.policy(home, schedule=daily((6,), snapshots=1))
    run(appliance, policy.id)
    stale = dict(appliance.cloud.snapshots)
    appliance.clock.advance(timedelta(hours=1))
    run(appliance, policy.id)
    appliance.cloud.snapshots |= stale
    before = every(appliance)
    assert sorted(point.state.value for point in before.values()) == ["available", "deleted"]
    rescan(appliance, home)
    assert every(appliance) == before


# ---- deleted in AWS by somebody else ----------------------------------------------------------------------------------


class Bin:
    """What somebody deletes in AWS, and may bring back."""

    def __init__(self, appliance: Appliance) -> None:
        self.cloud = appliance.cloud
        self.held: list[tuple[str, Kept]] = []

    def take(self, *volumes: str) -> None:
        self.held = [(id, kept) for id, kept in self.cloud.snapshots.items() if kept.volume in volumes]
        for id, _ in self.held:
            del self.cloud.snapshots[id]
            self.cloud.absent.add(id)

    def give_back(self) -> None:
        for id, kept in self.held:
            self.cloud.snapshots[id] = kept
            self.cloud.absent.remove(id)


def test_a_point_that_lost_a_disk_says_so_and_heals(appliance: Appliance, home: Account) -> None:
    run(appliance, appliance.policy(home).id)
    basket = Bin(appliance)
    basket.take("vol-b")
    session = rescan(appliance, home)
    assert session.state is State.WARNING
    assert any("no longer whole" in line and "vol-b" in line for line in appliance.lines(session.id))
    (point,) = points_of(appliance, Leg.SNAPSHOT)
    assert point.health is Health.INCOMPLETE
    assert point.damage is not None
    assert [each.disk_id for each in point.damage.ranges] == ["vol-b"]
    options = VolumeRestore(account_id=home.id, region=point.region, zone=f"{point.region}a")
    with pytest.raises(Conflict, match="no longer whole") as caught:
        restores.start_volume_restore(appliance.app, SYSTEM, point.id, options)
    assert caught.value.remedy
    assert restores.start_volume_restore(appliance.app, SYSTEM, point.id, replace(options, disks=("vol-a",))) is not None
    appliance.work()
    assert rescan(appliance, home).state is State.SUCCESS, "nothing new"
    basket.give_back()
    rescan(appliance, home)
    (point,) = points_of(appliance, Leg.SNAPSHOT)
    assert (point.health, point.damage) == (Health.HEALTHY, None)


def test_a_point_all_of_whose_snapshots_are_gone_is_lost_until_they_return(appliance: Appliance, home: Account) -> None:
    run(appliance, appliance.policy(home).id)
    before = every(appliance)
    basket = Bin(appliance)
    basket.take("vol-a", "vol-b")
    session = rescan(appliance, home)
    assert session.state is State.WARNING
    assert any("is lost: somebody deleted its snapshots in AWS" in line for line in appliance.lines(session.id))
    (lost,) = every(appliance).values()
    assert lost.state is PointState.DELETED
    assert rescan(appliance, home).state is State.SUCCESS
    basket.give_back()
    rescan(appliance, home)
    assert every(appliance) == before


@pytest.mark.parametrize("error", [AwsAccessDenied("You may not list snapshots."), Unavailable("Try again.")])
def test_a_listing_that_fails_proves_nothing(appliance: Appliance, home: Account, error: HoldfastError) -> None:
    run(appliance, appliance.policy(home).id)
    before = every(appliance)
    Bin(appliance).take("vol-a", "vol-b")

    def refuse(operation: str) -> None:
        if operation == "marked":
            raise error

    appliance.cloud.before = refuse
    session = rescan(appliance, home, "us-east-1")
    assert session.state is (State.ERROR if error.transient else State.WARNING)
    assert any(error.message in line for line in appliance.lines(session.id))
    assert every(appliance) == before


def test_a_listing_that_leaves_something_out_proves_nothing(
    appliance: Appliance, home: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(appliance, appliance.policy(home).id)
    before = every(appliance)
    monkeypatch.setattr(appliance.cloud.workload, "marked", lambda place: iter(()))
    assert rescan(appliance, home).state is State.SUCCESS
    assert every(appliance) == before


def test_another_account_that_answers_proves_nothing(appliance: Appliance, home: Account) -> None:
    run(appliance, appliance.policy(home).id)
    before = every(appliance)
    Bin(appliance).take("vol-a", "vol-b")
    appliance.cloud.number = "210987654321"
    session = rescan(appliance, home)
    assert any("answered for by account 210987654321" in line for line in appliance.lines(session.id))
    assert every(appliance) == before


def test_regions_that_hold_copies_are_looked_at_by_the_hour(appliance: Appliance, home: Account) -> None:
    target = ReplicaTarget(account_id=home.id, region=THERE)
    policy = appliance.policy(home, schedule=daily((6,), replica=(6,)), replicas=(target,))
    run(appliance, policy.id)
    copies = [id for id, kept in appliance.cloud.snapshots.items() if kept.region == THERE]
    for id in copies:
        del appliance.cloud.snapshots[id]
        appliance.cloud.absent.add(id)
    scheduling.tick(appliance.app, scheduling.Agenda())
    appliance.work()
    assert points_of(appliance, Leg.REPLICA) == []
    assert len(points_of(appliance, Leg.SNAPSHOT)) == 1
