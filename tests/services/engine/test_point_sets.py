"""Removing whole sets of restore points."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import Conflict, Forbidden, InvalidInput
from server.domain.periods import Frequency
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import State
from server.domain.workload import Account, Resource
from server.services import points
from server.services.points import PointSet
from tests.services.engine.harness import Appliance
from tests.services.engine.test_protection import DISK
from tests.services.engine.test_retention import put, state

D = Frequency.DAILY
KINDS = ("snapshot", "manual", "replica", "manual copy", "backup", "archive")
SETS = {
    PointSet.ALL_SNAPSHOTS: {"snapshot", "manual", "replica", "manual copy"},
    PointSet.MANUAL_SNAPSHOTS: {"manual", "manual copy"},
    PointSet.LOCAL_SNAPSHOTS: {"snapshot"},
    PointSet.REPLICAS: {"replica"},
    PointSet.ALL_BACKUPS: {"backup", "archive"},
    PointSet.STANDARD_BACKUPS: {"backup"},
    PointSet.ARCHIVES: {"archive"},
    PointSet.EVERYTHING: set(KINDS),
}


def one_of_each(appliance: Appliance, account: Account) -> tuple[Resource, dict[str, RestorePoint]]:
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account).id
    now = appliance.clock.now()
    return machine, {
        "snapshot": put(appliance, machine, Leg.SNAPSHOT, now, flags=(D,), base=True),
        "manual": put(appliance, machine, Leg.SNAPSHOT, now, manual=True),
        "replica": put(appliance, machine, Leg.REPLICA, now, flags=(D,)),
        "manual copy": put(appliance, machine, Leg.REPLICA, now, manual=True),
        "backup": put(appliance, machine, Leg.BACKUP, now, flags=(D,), repository_id=repository),
        "archive": put(appliance, machine, Leg.ARCHIVE, now, flags=(D,), repository_id=repository),
    }


@pytest.mark.parametrize("which", list(PointSet))
def test_a_set_names_exactly_its_points(appliance: Appliance, which: PointSet) -> None:
    account = appliance.account()
    machine, made = one_of_each(appliance, account)
    other = put(appliance, appliance.machine(account, "web-2", {"vol-b": DISK}), Leg.SNAPSHOT, appliance.clock.now())
    assert points.delete_set(appliance.app, SYSTEM, [machine.id], which, dry_run=True) == points.SetDeletion(
        None, len(SETS[which])
    )
    assert all(state(appliance, point) is PointState.AVAILABLE for point in made.values())
    first = points.delete_set(appliance.app, SYSTEM, [machine.id], which, key="k")
    assert points.delete_set(appliance.app, SYSTEM, [machine.id], which, key="k") == first, "the same key deletes once"
    appliance.work()
    assert first.session is not None
    assert appliance.session(first.session.id).state is State.SUCCESS, appliance.lines(first.session.id)
    assert {name for name, point in made.items() if state(appliance, point) is PointState.DELETED} == SETS[which]
    assert state(appliance, other) is PointState.AVAILABLE
    assert points.delete_set(appliance.app, SYSTEM, [machine.id], which) == points.SetDeletion(None, 0)


def test_a_set_with_a_locked_point_is_refused_as_a_whole(appliance: Appliance) -> None:
    account = appliance.account()
    machine, made = one_of_each(appliance, account)
    with appliance.app.store.transaction() as tx:
        tx.points.save(replace(made["archive"], locked_until=appliance.clock.now() + timedelta(days=1)))
    with pytest.raises(Conflict, match="is immutable"):
        points.delete_set(appliance.app, SYSTEM, [machine.id], PointSet.EVERYTHING)
    assert all(state(appliance, point) is PointState.AVAILABLE for point in made.values())
    assert points.delete_set(appliance.app, SYSTEM, [machine.id], PointSet.ALL_SNAPSHOTS).count == 4


def test_sets_need_resources_and_an_operator(appliance: Appliance) -> None:
    for wrong in ([], [UUID(int=n) for n in range(points.RESOURCES_AT_ONCE + 1)]):
        with pytest.raises(InvalidInput) as caught:
            points.delete_set(appliance.app, SYSTEM, wrong, PointSet.EVERYTHING)
        assert "resourceIds" in caught.value.fields
    viewer = Caller(user_id=None, name="eve", role=Role.VIEWER)
    with pytest.raises(Forbidden):
        points.delete_set(appliance.app, viewer, [UUID(int=1)], PointSet.EVERYTHING)
