"""Retention carried out: after runs, when windows have closed, once a day; what nobody looks after; removal of whole sets."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import AwsRejected, Forbidden, InvalidInput
from server.domain.periods import Frequency, Period, Unit
from server.domain.policy import Policy, PolicyKind
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import Session, SessionKind, State, TaskKind
from server.domain.sla import DailyPlan, LegPlan, SlaTerms, Window
from server.domain.templates import SlaTemplate
from server.domain.workload import Account, Place, Resource
from server.ports import Order, Select, Where
from server.services import keepers, preferences, retention, runs, scheduling
from tests.services.engine.harness import Appliance, Killed, daily
from tests.services.engine.test_protection import DISK, run
from tests.services.engine.test_protection import points as points_of

D = Frequency.DAILY


def sessions(appliance: Appliance, kind: SessionKind) -> list[Session]:
    with appliance.app.store.transaction() as tx:
        return tx.sessions.page(Select(where=(Where("kind", "eq", kind),), order=(Order("created_at"),)))


def pass_days(appliance: Appliance, days: int) -> None:
    """The scheduler looks at the clock at half past four, day by day."""
    agenda = scheduling.Agenda(hour=None)
    for _ in range(days):
        tomorrow = appliance.clock.now() + timedelta(days=1)
        appliance.clock.set(tomorrow.replace(hour=4, minute=30))
        scheduling.tick(appliance.app, agenda)
        appliance.work()


def put(appliance: Appliance, resource: Resource, leg: Leg, at: datetime, **fields: object) -> RestorePoint:
    """A point of the resource; a snapshot's disks exist in the cloud."""
    snapshot = appliance.cloud.blocks.snapshot({0: b"x"}, size_gib=1, volume="vol-a")
    values: dict[str, object] = {
        "id": uuid4(),
        "resource_id": resource.id,
        "resource_name": resource.name,
        "workload": resource.workload,
        "account_id": resource.account_id,
        "region": resource.region,
        "leg": leg,
        "at": at,
        "created_at": at,
        "document": {"volumes": [{"volumeId": "vol-a", "snapshotId": snapshot, "encrypted": False}]},
    }
    point = RestorePoint(**{**values, **fields})  # type: ignore[arg-type]  # fields by name
    with appliance.app.store.transaction() as tx:
        tx.points.add(point)
    return point


def state(appliance: Appliance, point: RestorePoint) -> PointState:
    with appliance.app.store.transaction() as tx:
        return tx.points.get(point.id).state


def switched_off(appliance: Appliance, policy: Policy) -> None:
    with appliance.app.store.transaction() as tx:
        current = tx.policies.get(policy.id)
        tx.policies.save(replace(current, enabled=False, revision=current.revision + 1))


# ---- once a day -------------------------------------------------------------------------------------------------------


def test_the_daily_pass_is_one_session_with_a_task_per_policy_and_looks_after_disabled_ones(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account), backup_days=3)
    run(appliance, policy.id)
    switched_off(appliance, policy)

    pass_days(appliance, 2)
    assert len(points_of(appliance, Leg.BACKUP)) == 1
    pass_days(appliance, 2)

    assert points_of(appliance, Leg.BACKUP) == [], "disabling a policy does not stop retention"
    assert len(points_of(appliance, Leg.SNAPSHOT)) == 1, "the newest two snapshots are kept, however old"
    passes = sessions(appliance, SessionKind.RETENTION)
    assert [session.name for session in passes] == ["Daily retention"] * 4
    (task,) = appliance.tasks(passes[-2].id)
    assert (task.kind, task.name) == (TaskKind.RETENTION, policy.name)
    lines = [line for session in passes for line in appliance.lines(session.id)]
    assert any("was deleted: Its daily period of 3 days ended" in line for line in lines)


def test_a_second_tick_of_the_day_makes_no_second_pass(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    run(appliance, appliance.policy(account).id)
    day = appliance.clock.now()
    with appliance.app.store.transaction() as tx:
        assert retention.begin_daily(tx, appliance.app, day) is not None
    with appliance.app.store.transaction() as tx:
        assert retention.begin_daily(tx, appliance.app, day) is None


def test_what_a_run_is_making_is_left_alone_by_a_pass_beside_it(appliance: Appliance) -> None:
    """Its temporary snapshot is still to be backed up."""
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account)
    with appliance.app.store.transaction() as tx:
        draft = runs.SessionDraft(
            kind=SessionKind.POLICY_RUN, name=policy.name, requested_by="test", policy_id=policy.id, document={}
        )
        waiting = runs.TaskDraft(kind=TaskKind.PROTECT, name="web-1", resource_id=machine.id, waits=True)
        session = runs.begin(tx, appliance.app, draft, [waiting])
    temporary = put(appliance, machine, Leg.SNAPSHOT, appliance.clock.now(), policy_id=policy.id, session_id=session.id)
    with appliance.app.store.transaction() as tx:
        retention.begin_daily(tx, appliance.app, appliance.clock.now())
    appliance.work()
    assert state(appliance, temporary) is PointState.AVAILABLE
    with appliance.app.store.transaction() as tx:
        tx.sessions.save(replace(tx.sessions.get(session.id), state=State.ERROR, ended_at=appliance.clock.now()))
    pass_days(appliance, 1)
    assert state(appliance, temporary) is PointState.DELETED


# ---- what no policy looks after ---------------------------------------------------------------------------------------


def test_obsolete_snapshots_go_from_aws_when_the_appliance_is_told_to(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "kept", {"vol-k": DISK})
    gone = appliance.machine(account, "gone", {"vol-g": DISK})
    policy = appliance.policy(account)
    run(appliance, policy.id)
    del appliance.cloud.machines["i-gone"]
    with appliance.app.store.transaction() as tx:
        tx.resources.save(replace(tx.resources.get(gone.id), present=False))

    pass_days(appliance, 30)
    assert len(points_of(appliance, Leg.SNAPSHOT)) == 2, "nothing was set: they stay"

    preferences.update(appliance.app, SYSTEM, Period(40))
    pass_days(appliance, 9)
    assert len(points_of(appliance, Leg.SNAPSHOT)) == 2
    pass_days(appliance, 3)
    assert [point.resource_name for point in points_of(appliance, Leg.SNAPSHOT)] == ["kept"]
    assert {kept.volume for kept in appliance.cloud.snapshots.values()} == {"vol-k"}, "the other one's is gone from AWS, too"


def test_points_of_a_deleted_policy_are_obsolete_unless_another_one_covers_their_resource(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account)
    run(appliance, policy.id)
    with appliance.app.store.transaction() as tx:
        tx.policies.remove(policy.id)
    preferences.update(appliance.app, SYSTEM, Period(15))
    successor = appliance.policy(account, name="successor", snapshots=5)
    pass_days(appliance, 20)
    assert len(points_of(appliance, Leg.SNAPSHOT)) == 1, "it is still protected: the setting does not touch it"
    (point,) = points_of(appliance, Leg.SNAPSHOT)
    assert "newest daily" in keepers.reasons(appliance.app, SYSTEM, [point])[point.id]
    with appliance.app.store.transaction() as tx:
        tx.policies.remove(successor.id)
    assert "No policy looks after it" in keepers.reasons(appliance.app, SYSTEM, [point])[point.id]
    pass_days(appliance, 1)
    assert points_of(appliance, Leg.SNAPSHOT) == []


def test_preferences_have_bounds_and_need_an_administrator(appliance: Appliance) -> None:
    for wrong in (Period(14), Period(36136), Period(0, Unit.MONTHS), Period(1189, Unit.MONTHS), Period(2, Unit.YEARS)):
        with pytest.raises(InvalidInput, match="cannot be set"):
            preferences.update(appliance.app, SYSTEM, wrong)
    operator = Caller(user_id=None, name="olga", role=Role.OPERATOR)
    with pytest.raises(Forbidden):
        preferences.update(appliance.app, operator, Period(15))
    assert preferences.update(appliance.app, SYSTEM, Period(15), dry_run=True).obsolete_snapshots == Period(15)
    assert preferences.current(appliance.app, SYSTEM).obsolete_snapshots is None
    for period in (Period(15), Period(36135), Period(1, Unit.MONTHS), Period(1188, Unit.MONTHS), None):
        preferences.update(appliance.app, SYSTEM, period)
        assert preferences.current(appliance.app, SYSTEM).obsolete_snapshots == period


# ---- SLA policies -----------------------------------------------------------------------------------------------------


def sla_policy(appliance: Appliance, account: Account, window: Window, keep: Period, name: str = "promise") -> Policy:
    now = appliance.clock.now()
    terms = SlaTerms(snapshot=LegPlan(window=window, daily=DailyPlan(every_minutes=60, keep=keep)))
    template = SlaTemplate(id=uuid4(), name=f"{name} template", terms=terms, created_at=now, updated_at=now)
    with appliance.app.store.transaction() as tx:
        tx.sla_templates.add(template)
    plain = appliance.policy(account, name=name)
    policy = replace(
        plain, kind=PolicyKind.SLA, sla_template_id=template.id, next_run_at=None, enabled=False, revision=plain.revision + 1
    )
    with appliance.app.store.transaction() as tx:
        tx.policies.save(policy)
    return policy


def test_retention_of_an_sla_policy_runs_when_its_windows_have_closed(appliance: Appliance) -> None:
    """Virginia in early March: 07:00 to 09:00 there is 12:00 to 14:00 UTC."""
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = sla_policy(appliance, account, Window(start=7 * 60, end=9 * 60), Period(1))
    old = put(appliance, machine, Leg.SNAPSHOT, appliance.clock.now() - timedelta(days=2), flags=(D,), policy_id=policy.id)
    put(appliance, machine, Leg.SNAPSHOT, appliance.clock.now(), flags=(D,), policy_id=policy.id)
    agenda = scheduling.Agenda(
        hour=appliance.clock.now().replace(minute=0), day=appliance.clock.now().replace(hour=4, minute=0)
    )

    def at(hour: int, minute: int) -> list[Session]:
        now = appliance.clock.now().replace(hour=hour, minute=minute)
        appliance.clock.set(now)
        agenda.hour = now.replace(minute=0)
        scheduling.tick(appliance.app, agenda)
        appliance.work()
        return sessions(appliance, SessionKind.RETENTION)

    assert at(12, 0) == []
    assert at(13, 59) == []
    assert state(appliance, old) is PointState.AVAILABLE
    (closed,) = at(14, 0)
    assert closed.name == "Retention of promise"
    assert state(appliance, old) is PointState.DELETED
    assert at(15, 0) == [appliance.session(closed.id)], "once per closing"


def test_a_run_inside_the_window_leaves_retention_for_later(appliance: Appliance) -> None:
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = sla_policy(appliance, account, Window(), Period(1))  # around the clock: it never closes
    old = put(appliance, machine, Leg.SNAPSHOT, appliance.clock.now() - timedelta(days=2), flags=(D,), policy_id=policy.id)
    with appliance.app.store.transaction() as tx:
        draft = runs.SessionDraft(kind=SessionKind.POLICY_RUN, name="promise", requested_by="test", policy_id=policy.id)
        session = runs.begin(tx, appliance.app, draft, [runs.TaskDraft(kind=TaskKind.RETENTION, name="Retention")])
    appliance.work()
    assert "once the windows have closed" in appliance.tasks(session.id)[0].message
    assert state(appliance, old) is PointState.AVAILABLE
    pass_days(appliance, 1)
    assert state(appliance, old) is PointState.DELETED, "the daily pass keeps the promise to delete"


def test_moving_to_an_sla_policy_applies_the_templates_retention_to_the_whole_chain(appliance: Appliance) -> None:
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    now = appliance.clock.now()
    schedule = appliance.policy(account, snapshots=10)
    old = [
        put(appliance, machine, Leg.SNAPSHOT, now - timedelta(days=n), flags=(D,), policy_id=schedule.id) for n in range(2, 8)
    ]
    policy = sla_policy(appliance, account, Window(start=60, end=120), Period(5))
    put(appliance, machine, Leg.SNAPSHOT, now, flags=(D,), policy_id=policy.id)
    pass_days(appliance, 1)
    left = [point for point in old if state(appliance, point) is PointState.AVAILABLE]
    assert [(now - point.at).days for point in left] == [2, 3, 4]


# ---- nothing is left behind unknown -----------------------------------------------------------------------------------


def test_replicas_are_deleted_in_their_target_account(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    account, other = appliance.account(), appliance.account("disaster")
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account)
    now = appliance.clock.now()
    source = put(appliance, machine, Leg.SNAPSHOT, now, flags=(D,), policy_id=policy.id)
    replica = put(
        appliance,
        machine,
        Leg.REPLICA,
        now,
        policy_id=policy.id,
        account_id=other.id,
        region="eu-central-1",
        source_id=source.id,
    )
    places: list[Place] = []
    real = appliance.cloud.workload.delete_snapshot

    def noted(where: Place, document: Mapping[str, Any]) -> None:
        places.append(where)
        real(where, document)

    monkeypatch.setattr(appliance.cloud.workload, "delete_snapshot", noted)
    pass_days(appliance, 1)
    assert state(appliance, replica) is PointState.DELETED
    assert [(where.account_id, where.region) for where in places] == [(other.id, "eu-central-1")]


@pytest.mark.parametrize("border", range(1, 37, 3))
def test_a_pass_killed_anywhere_leaves_nothing_in_aws_without_a_row(appliance: Appliance, border: int) -> None:
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, snapshots=1)
    now = appliance.clock.now()
    made = [put(appliance, machine, Leg.SNAPSHOT, now - timedelta(days=n), flags=(D,), policy_id=policy.id) for n in range(4)]
    with appliance.app.store.transaction() as tx:
        retention.begin_daily(tx, appliance.app, now)
    borders = iter(range(1, 1000))
    worker = threading.current_thread()  # not the one that renews its lease
    appliance.store.deadly = lambda: threading.current_thread() is worker and next(borders) == border
    try:
        appliance.work()
    except Killed:
        alive = {point.document["volumes"][0]["snapshotId"] for point in made if _exists(appliance, point)}
        known = {
            point.document["volumes"][0]["snapshotId"] for point in made if state_of(appliance, point) is not PointState.DELETED
        }
        assert alive <= known
    appliance.store.deadly = lambda: False
    appliance.clock.advance(timedelta(minutes=1))
    appliance.tick()
    appliance.work()
    assert [state(appliance, point) for point in made] == [PointState.AVAILABLE] + [PointState.DELETED] * 3
    assert [_exists(appliance, point) for point in made] == [True, False, False, False]


def _exists(appliance: Appliance, point: RestorePoint) -> bool:
    return point.document["volumes"][0]["snapshotId"] in appliance.cloud.blocks


def state_of(appliance: Appliance, point: RestorePoint) -> PointState:
    appliance.store.deadly = lambda: False
    return state(appliance, point)


def test_a_snapshot_aws_refuses_to_delete_is_told_and_tried_again(appliance: Appliance) -> None:
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, snapshots=1)
    now = appliance.clock.now()
    put(appliance, machine, Leg.SNAPSHOT, now, flags=(D,), policy_id=policy.id)
    old = put(appliance, machine, Leg.SNAPSHOT, now - timedelta(days=1), flags=(D,), policy_id=policy.id)

    def refuse(operation: str) -> None:
        if operation == "delete_snapshot":
            raise AwsRejected("The snapshot is in use by ami-1.", remedy="Deregister the image.")

    appliance.cloud.before = refuse
    pass_days(appliance, 1)
    session = sessions(appliance, SessionKind.RETENTION)[-1]
    assert session.state is State.WARNING
    assert any("could not be deleted: The snapshot is in use by ami-1." in line for line in appliance.lines(session.id))
    assert state(appliance, old) is PointState.DELETING
    appliance.cloud.before = lambda _: None
    pass_days(appliance, 1)
    assert state(appliance, old) is PointState.DELETED


# ---- after runs -------------------------------------------------------------------------------------------------------


def test_a_policy_with_a_schedule_prunes_after_each_run(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.policy(account, schedule=daily((7, 9, 11), snapshots=2))
    agenda = scheduling.Agenda()
    seen = []
    for hour in (7, 9, 11):
        appliance.clock.set(appliance.clock.now().replace(hour=hour, minute=0))
        scheduling.tick(appliance.app, agenda)
        appliance.work()
        seen.append(len(points_of(appliance, Leg.SNAPSHOT)))
    assert seen == [1, 2, 2]
    assert len(appliance.cloud.snapshots) == 2
