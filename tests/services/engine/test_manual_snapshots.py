"""Snapshots by hand: outside chains and policies, here or elsewhere, gone when their time has come."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import AwsRejected, Conflict, Forbidden, HoldfastError, InvalidInput, NotFound
from server.domain.policy import Tag
from server.domain.restore import Leg
from server.domain.session import SessionKind, State
from server.services import manual_snapshots, rescans, tasks
from server.services.manual_snapshots import ManualOrder, ManualPlace
from tests.services.engine.harness import Appliance
from tests.services.engine.test_protection import DISK, points, run


def test_it_stands_outside_the_chain_and_is_kept_for_the_days_asked(appliance: Appliance) -> None:
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    order = ManualOrder(keep_days=9, tags=(Tag(key="why", value="upgrade"),))
    session = manual_snapshots.take(appliance.app, SYSTEM, [machine.id], order)
    assert session is not None
    appliance.work()
    assert appliance.session(session.id).state is State.SUCCESS, appliance.lines(session.id)
    assert session.kind is SessionKind.MANUAL_SNAPSHOT
    (point,) = points(appliance, Leg.SNAPSHOT)
    assert point.manual
    assert (point.flags, point.policy_id, point.slot_at) == ((), None, None)
    assert point.expires_at == point.at + timedelta(days=9)
    policy = appliance.policy(account, snapshots=1)
    appliance.clock.advance(timedelta(days=8))
    for _ in range(2):
        run(appliance, policy.id)
        appliance.clock.advance(timedelta(hours=1))
    assert [each.manual for each in points(appliance, Leg.SNAPSHOT)] == [True, False], "no policy counts it"


def test_kept_elsewhere_the_original_goes(appliance: Appliance) -> None:
    account, other = appliance.account(), appliance.account("dr")
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    place = ManualPlace(account_id=other.id, region="eu-central-1")
    manual_snapshots.take(appliance.app, SYSTEM, [machine.id], ManualOrder(place=place))
    appliance.work()
    (point,) = points(appliance, Leg.SNAPSHOT)
    assert (point.account_id, point.region) == (other.id, "eu-central-1")
    assert point.expires_at is None
    assert [kept.region for kept in appliance.cloud.snapshots.values()] == ["eu-central-1"]


def test_what_fails_or_is_cancelled_leaves_nothing(appliance: Appliance) -> None:
    account, other = appliance.account(), appliance.account("dr")
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})

    def refuse(operation: str) -> None:
        if operation == "replicate":
            raise AwsRejected("No room.")

    appliance.cloud.before = refuse
    order = ManualOrder(place=ManualPlace(account_id=other.id, region="eu-central-1"))
    session = manual_snapshots.take(appliance.app, SYSTEM, [machine.id], order)
    assert session is not None
    appliance.work()
    assert appliance.session(session.id).state is State.ERROR
    assert appliance.cloud.snapshots == {}

    appliance.cloud.before = lambda _: None
    appliance.cloud.workload.polls = 50
    session = manual_snapshots.take(appliance.app, SYSTEM, [machine.id], order)
    assert session is not None
    appliance.work(limit=timedelta(seconds=10))
    assert appliance.cloud.snapshots
    tasks.request_cancel(appliance.app, SYSTEM, session.id)
    appliance.work()
    assert appliance.session(session.id).state is State.CANCELLED
    assert appliance.cloud.snapshots == {}
    assert points(appliance, Leg.SNAPSHOT) == []


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (ManualOrder(keep_days=0), "keepDays"),
        (ManualOrder(keep_days=36_136), "keepDays"),
        (ManualOrder(tags=(Tag(key=""),)), "tags.0.key"),
        (ManualOrder(tags=tuple(Tag(key=f"k{number}") for number in range(6))), "tags"),
        (ManualOrder(tags=(Tag(key="aws:name"),)), "tags.0.key"),
    ],
)
def test_bad_orders_are_refused_with_the_field(appliance: Appliance, order: ManualOrder, field: str) -> None:
    machine = appliance.machine(appliance.account(), "web-1", {"vol-a": DISK})
    with pytest.raises(InvalidInput) as refusal:
        manual_snapshots.take(appliance.app, SYSTEM, [machine.id], order)
    assert field in refusal.value.fields


def test_who_may_and_of_what(appliance: Appliance) -> None:
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    viewer = Caller(user_id=None, name="eve", role=Role.VIEWER)

    def refused(kind: type[HoldfastError], caller: Caller, *ids: object) -> None:
        with pytest.raises(kind):
            manual_snapshots.take(appliance.app, caller, list(ids), ManualOrder())  # type: ignore[arg-type]  # as typed in

    refused(Forbidden, viewer, machine.id)
    refused(InvalidInput, SYSTEM)
    refused(NotFound, SYSTEM, uuid4())
    assert manual_snapshots.take(appliance.app, SYSTEM, [machine.id], ManualOrder(), dry_run=True) is None
    del appliance.cloud.machines["i-web-1"]
    with appliance.app.store.transaction() as tx:
        rescans.begin_rescan(tx, appliance.app, account, [machine.region], requested_by="test", key=None)
    appliance.work()
    refused(Conflict, SYSTEM, machine.id)
    first = manual_snapshots.take  # the same request twice is one session
    other = appliance.machine(account, "web-2", {"vol-b": DISK})
    once = first(appliance.app, SYSTEM, [other.id], ManualOrder(), key="k")
    again = first(appliance.app, SYSTEM, [other.id], ManualOrder(), key="k")
    assert once is not None
    assert again is not None
    assert once.id == again.id
