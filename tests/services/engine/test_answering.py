"""A role, or keys, that suddenly belong to another AWS account prove nothing about what is ours."""

from __future__ import annotations

from server.domain.access import SYSTEM
from server.domain.restore import Leg, PointState
from server.domain.session import State
from server.ports import Select
from server.services import points, rescans
from tests.services.engine.harness import Appliance
from tests.services.engine.test_protection import DISK, run
from tests.services.engine.test_protection import points as points_of

STRANGER = "210987654321"
SENTENCE = f"home is answered for by account {STRANGER}, not 123456789012: what it does not hold is not taken for deleted."


def test_a_rescan_answered_by_another_account_takes_nothing_for_gone(appliance: Appliance) -> None:
    account = appliance.account()
    for name in ("web-1", "web-2"):
        appliance.machine(account, name, {f"vol-{name}": DISK})
    appliance.cloud.machines.clear()
    appliance.cloud.add_machine("theirs", {"vol-x": DISK}, tags={})
    appliance.cloud.number = STRANGER
    session = rescans.start_rescan(appliance.app, SYSTEM, account.id, regions=["us-east-1"])
    appliance.work()
    assert appliance.session(session.id).state is State.ERROR
    assert any(SENTENCE in line for line in appliance.lines(session.id))
    with appliance.app.store.transaction() as tx:
        known = tx.resources.page(Select(limit=10))
    assert sorted((each.name, each.present) for each in known) == [("web-1", True), ("web-2", True)]


def test_what_lives_on_in_the_right_account_is_not_noted_as_deleted(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, snapshots=5)
    run(appliance, policy.id)
    run(appliance, policy.id)
    found = points_of(appliance, Leg.SNAPSHOT)
    appliance.cloud.number = STRANGER
    asked = appliance.cloud.calls["get_caller_identity"]
    session = points.delete_points(appliance.app, SYSTEM, [point.id for point in found])
    assert session is not None
    appliance.work()
    assert appliance.session(session.id).state is State.ERROR
    assert sum(SENTENCE in line for line in appliance.lines(session.id)) == len(found) == 2
    assert appliance.cloud.calls["get_caller_identity"] == asked + 1, "once per account"
    assert appliance.cloud.calls["delete_snapshot"] == 0
    with appliance.app.store.transaction() as tx:
        assert {point.state for point in tx.points.many(each.id for each in found).values()} == {PointState.DELETING}
