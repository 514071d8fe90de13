"""SLA policies run as their templates promise, in each Region's own time, and make up for what they missed while they may."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from server.domain.access import SYSTEM
from server.domain.errors import Conflict, InvalidInput
from server.domain.periods import DayRule, Frequency, Period, Weekday
from server.domain.policy import HealthCheck, Policy
from server.domain.promises import Promise
from server.domain.replicas import ReplicaTarget
from server.domain.repository import StorageClass
from server.domain.restore import Leg
from server.domain.session import Session, SessionKind, State
from server.domain.sla import ArchivePlan, DailyPlan, LegPlan, MonthlyPlan, ReplicaPlan, SlaTerms, WeeklyPlan, Window
from server.ports import Order, Select, Where
from server.services import protection
from tests.services.engine.harness import Appliance
from tests.services.engine.test_protection import DISK, points

DAY = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday; summer time has not begun
NINE_TO_NINE = Window(start=9 * 60, end=21 * 60)
SINGAPORE, OREGON = "ap-southeast-1", "us-west-2"


def every(minutes: int, window: Window = NINE_TO_NINE) -> LegPlan:
    return LegPlan(window=window, daily=DailyPlan(every_minutes=minutes, keep=Period(7)))


def runs(appliance: Appliance) -> list[Session]:
    where = (Where("kind", "eq", SessionKind.POLICY_RUN),)
    with appliance.app.store.transaction() as tx:
        return tx.sessions.page(Select(where=where, order=(Order("created_at"),), limit=100))


def seen(appliance: Appliance) -> list[tuple[str, str]]:
    return [(f"{one.created_at:%H:%M}", ",".join(one.document["regions"])) for one in runs(appliance)]


def go(appliance: Appliance, *, until: datetime, minutes: int = 30) -> None:
    at = appliance.clock.now()
    while at < until:
        at += timedelta(minutes=minutes)
        appliance.clock.set(at)
        appliance.tick()
        appliance.work(limit=timedelta(minutes=minutes - 1))


def promises(appliance: Appliance) -> list[Promise]:
    with appliance.app.store.transaction() as tx:
        return tx.promises.page(Select(order=(Order("slot_at"),), limit=1000))


def stored(appliance: Appliance, policy: Policy) -> Policy:
    with appliance.app.store.transaction() as tx:
        return tx.policies.get(policy.id)


@pytest.fixture
def midnight(appliance: Appliance) -> Appliance:
    appliance.clock.set(DAY + timedelta(days=1))  # of the third of March
    return appliance


TOMORROW = DAY + timedelta(days=1)


def test_example_a_window_opens_in_each_regions_own_time(midnight: Appliance) -> None:
    """Nine in the morning is 01:00 UTC in Singapore and 17:00 UTC in Oregon."""
    account = midnight.account()
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    midnight.machine(account, "ore", {"vol-o": DISK}, region=OREGON)
    policy = midnight.sla_policy(account, SlaTerms(snapshot=every(720 * 2)), regions=(SINGAPORE, OREGON))
    with midnight.app.store.transaction() as tx:
        state = replace(policy.runs, handled={SINGAPORE: TOMORROW, OREGON: TOMORROW})  # yesterday's window in Oregon is past
        tx.policies.save(replace(policy, runs=state, revision=2))
    go(midnight, until=TOMORROW + timedelta(hours=23))
    assert seen(midnight) == [("01:00", SINGAPORE), ("17:00", OREGON)]
    assert [one.document["slotAt"] for one in runs(midnight)] == [
        "2026-03-03T01:00:00+00:00",
        "2026-03-03T17:00:00+00:00",
    ]
    tried = [(each.region, each.slot_at.hour, each.made) for each in promises(midnight)]
    assert tried == [(SINGAPORE, 1, True), (OREGON, 17, True)]
    assert stored(midnight, policy).next_run_at == TOMORROW + timedelta(days=1, hours=1)


def test_a_policy_made_while_a_window_is_open_runs_at_once(midnight: Appliance) -> None:
    midnight.clock.set(TOMORROW + timedelta(hours=3, minutes=20))
    account = midnight.account()
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    midnight.sla_policy(account, SlaTerms(snapshot=every(60)), regions=(SINGAPORE,))
    midnight.tick()
    midnight.work(limit=timedelta(minutes=5))
    (session,) = runs(midnight)
    assert session.document["slotAt"] == "2026-03-03T03:00:00+00:00"
    (point,) = points(midnight, Leg.SNAPSHOT)
    assert point.slot_at == TOMORROW + timedelta(hours=3)
    midnight.tick()
    assert len(runs(midnight)) == 1


@pytest.mark.parametrize(
    ("back", "made"), [(timedelta(hours=5, minutes=30), 1), (timedelta(hours=13, minutes=30), 0), (timedelta(days=1), 0)]
)
def test_missed_promises_are_made_up_only_while_their_window_is_open(midnight: Appliance, back: timedelta, made: int) -> None:
    account = midnight.account()
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    midnight.sla_policy(account, SlaTerms(snapshot=every(60)), regions=(SINGAPORE,))
    midnight.tick()  # before the window opens; then the appliance is off
    midnight.clock.set(TOMORROW + back)
    midnight.tick()
    midnight.work(limit=timedelta(minutes=5))
    assert len(runs(midnight)) == made
    if made:
        assert [each.slot_at.hour for each in promises(midnight)] == [5], "one run stands for all that were missed"
        assert any("ago; it is made up for now" in line for line in midnight.lines(runs(midnight)[0].id))


def test_each_leg_is_made_up_for_as_long_as_its_own_window_is_open(midnight: Appliance) -> None:
    """Snapshots 9 to 12, backups 9 to 21: at two in the afternoon only the backup, and a temporary snapshot, are still owed."""
    account = midnight.account()
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    terms = SlaTerms(snapshot=every(60, Window(start=9 * 60, end=12 * 60)), backup=every(180))
    midnight.sla_policy(account, terms, regions=(SINGAPORE,), backup=midnight.repository(account))
    midnight.tick()
    midnight.clock.set(TOMORROW + timedelta(hours=6, minutes=10))
    midnight.tick()
    midnight.work(limit=timedelta(minutes=5))
    assert [(each.leg, each.slot_at.hour) for each in promises(midnight)] == [(Leg.BACKUP, 4)]
    (snapshot,) = points(midnight, Leg.SNAPSHOT)
    assert snapshot.flags == ()
    assert snapshot.base


def test_a_busy_region_holds_up_no_other_and_is_made_up_for(midnight: Appliance) -> None:
    account = midnight.account()
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    midnight.machine(account, "tok", {"vol-t": DISK}, region="ap-northeast-1")
    window = Window(start=0, end=0)
    policy = midnight.sla_policy(account, SlaTerms(snapshot=every(60, window)), regions=(SINGAPORE,))
    midnight.clock.set(TOMORROW + timedelta(minutes=1))
    midnight.tick()  # Singapore's run is left unworked
    with midnight.app.store.transaction() as tx:
        now = tx.policies.get(policy.id)
        scope = replace(now.scope, regions=(SINGAPORE, "ap-northeast-1"))
        tx.policies.save(replace(now, scope=scope, revision=now.revision + 1))
    midnight.clock.set(TOMORROW + timedelta(hours=1, minutes=1))
    midnight.tick()
    assert seen(midnight) == [("00:01", SINGAPORE), ("01:01", "ap-northeast-1")]
    with pytest.raises(Conflict, match="still running"):
        protection.start_policy(midnight.app, SYSTEM, policy.id)
    midnight.work(limit=timedelta(minutes=1))
    midnight.clock.set(TOMORROW + timedelta(hours=1, minutes=20))
    midnight.tick()
    assert seen(midnight)[-1] == ("01:20", SINGAPORE), "its own previous run is over: made up for"


def test_regions_that_promise_the_same_share_a_run(midnight: Appliance) -> None:
    account = midnight.account()
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    midnight.sla_policy(account, SlaTerms(snapshot=every(1440)), regions=(SINGAPORE, "ap-east-1"))
    go(midnight, until=TOMORROW + timedelta(hours=2))
    assert seen(midnight) == [("01:00", f"{SINGAPORE},ap-east-1")]


def test_replicas_and_archives_come_with_the_first_of_their_stretch_and_go_where_the_template_says(
    midnight: Appliance,
) -> None:
    midnight.clock.set(datetime(2026, 3, 31, 23, tzinfo=UTC))
    account = midnight.account()
    other = midnight.account("dr")
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    target = ReplicaTarget(account_id=other.id, region=OREGON)
    terms = SlaTerms(
        snapshot=every(360),
        backup=every(720),
        replica=ReplicaPlan(first_of=Frequency.DAILY, keep=Period(7)),
        archive=ArchivePlan(months=(4,), keep=Period(90)),
    )
    vault = midnight.repository(account)
    archive = midnight.repository(account, "glacier", storage_class=StorageClass.GLACIER)
    midnight.sla_policy(account, terms, regions=(SINGAPORE,), backup=vault, archive=archive, replicas=(target,))
    go(midnight, until=datetime(2026, 4, 2, 8, tzinfo=UTC))
    for leg, wanted in (
        (Leg.SNAPSHOT, ["01 01", "01 07", "02 01", "02 07"]),
        (Leg.REPLICA, ["01 01", "02 01"]),
        (Leg.BACKUP, ["01 01", "02 01"]),
        (Leg.ARCHIVE, ["01 01"]),
    ):
        assert [f"{point.at:%d %H}" for point in points(midnight, leg)] == wanted, leg
    (archived,) = points(midnight, Leg.ARCHIVE)
    assert archived.flags == (Frequency.MONTHLY,)
    assert {point.region for point in points(midnight, Leg.REPLICA)} == {OREGON}
    assert all(one.state is State.SUCCESS for one in runs(midnight))


def test_a_run_by_hand_counts_as_the_most_frequent_that_is_kept(midnight: Appliance) -> None:
    account = midnight.account()
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    weekly = WeeklyPlan(days=(Weekday.SUNDAY,), keep=Period(30))
    monthly = MonthlyPlan(months=(1,), day=DayRule(day=1), keep=Period(90))
    terms = SlaTerms(snapshot=every(60), backup=LegPlan(window=NINE_TO_NINE, weekly=weekly, monthly=monthly))
    policy = midnight.sla_policy(account, terms, regions=(SINGAPORE,), backup=midnight.repository(account))
    with pytest.raises(InvalidInput, match="has no archive repository"):
        protection.start_policy(midnight.app, SYSTEM, policy.id, archive=True)
    session = protection.start_policy(midnight.app, SYSTEM, policy.id)
    assert session is not None
    midnight.work(limit=timedelta(minutes=5))
    assert midnight.session(session.id).state is State.SUCCESS
    ((snapshot,), (backup,)) = (points(midnight, leg) for leg in (Leg.SNAPSHOT, Leg.BACKUP))
    assert snapshot.flags == (Frequency.DAILY,)
    assert backup.flags == (Frequency.WEEKLY,)
    assert promises(midnight) == []


def test_a_disabled_policy_promises_nothing(midnight: Appliance) -> None:
    account = midnight.account()
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    policy = midnight.sla_policy(account, SlaTerms(snapshot=every(60)), regions=(SINGAPORE,))
    with midnight.app.store.transaction() as tx:
        tx.policies.save(replace(policy, enabled=False, revision=2))
    go(midnight, until=TOMORROW + timedelta(hours=3))
    assert runs(midnight) == []


def test_the_health_check_waits_until_the_windows_have_closed_everywhere(midnight: Appliance) -> None:
    account = midnight.account()
    midnight.machine(account, "sing", {"vol-s": DISK}, region=SINGAPORE)
    midnight.machine(account, "ore", {"vol-o": DISK}, region=OREGON)
    terms = SlaTerms(snapshot=every(720), backup=every(720), health_check=HealthCheck(weekday=Weekday.SUNDAY))
    midnight.clock.set(datetime(2026, 3, 28, 22, tzinfo=UTC))
    policy = midnight.sla_policy(account, terms, regions=(SINGAPORE, OREGON), backup=midnight.repository(account))
    closes = datetime(2026, 3, 30, 4, tzinfo=UTC)  # nine in the evening of the last Sunday, in Oregon's summer time
    go(midnight, until=closes + timedelta(hours=1), minutes=60)
    where = (Where("kind", "eq", SessionKind.HEALTH_CHECK),)
    with midnight.app.store.transaction() as tx:
        (check,) = tx.sessions.page(Select(where=where, limit=10))
    assert check.created_at >= closes
    assert (check.policy_id, check.state) == (policy.id, State.SUCCESS)
