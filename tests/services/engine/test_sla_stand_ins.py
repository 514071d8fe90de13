"""Where nothing came of an SLA policy's first point of the day, week or month, the next one takes its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.domain.errors import AwsRejected
from server.domain.periods import EVERY_DAY, Frequency, Period, Weekday
from server.domain.policy import Policy
from server.domain.replicas import ReplicaTarget
from server.domain.repository import StorageClass
from server.domain.restore import Leg
from server.domain.sla import ArchivePlan, DailyPlan, LegPlan, ReplicaPlan, SlaTerms, WeeklyPlan, Window
from server.ports import SnapshotJob, Step
from tests.services.engine.harness import Appliance
from tests.services.engine.test_protection import DISK, points
from tests.services.engine.test_sla_runs import go, promises

MONDAY = datetime(2026, 3, 9, tzinfo=UTC)
TEN_TO_ONE = Window(start=10 * 60, end=13 * 60)
HOURLY = DailyPlan(every_minutes=60, keep=Period(7))
ON_MONDAYS = WeeklyPlan(days=(Weekday.MONDAY,), keep=Period(60))
SINGAPORE = "ap-southeast-1"  # ten o'clock there is two in UTC
DAILY, WEEKLY, MONTHLY = Frequency.DAILY, Frequency.WEEKLY, Frequency.MONTHLY


def refuse_snapshots(appliance: Appliance, patch: pytest.MonkeyPatch, name: str, *, until: datetime) -> None:
    """Of one machine."""
    real = appliance.cloud.workload.snapshot

    def snapshot(job: SnapshotJob, memo: dict[str, Any]) -> Step:
        if job.resource.name == name and appliance.clock.now() < until:
            raise AwsRejected("The snapshot was refused.")
        return real(job, memo)

    patch.setattr(appliance.cloud.workload, "snapshot", snapshot)


def refuse(appliance: Appliance, operation: str, *, until: datetime) -> None:
    def before(called: str) -> None:
        if called == operation and appliance.clock.now() < until:
            raise AwsRejected("It was refused.")

    appliance.cloud.before = before


def estate(appliance: Appliance, terms: SlaTerms, *, at: datetime = MONDAY, archives: bool = False) -> Policy:
    """web-1 and web-2 in Singapore, from the midnight there on with which the day ``at`` begins."""
    appliance.clock.set(at - timedelta(hours=8))
    account = appliance.account()
    other = appliance.account("dr")
    for name in ("web-1", "web-2"):
        appliance.machine(account, name, {f"vol-{name}": DISK}, region=SINGAPORE)
    backup = appliance.repository(account) if terms.backup is not None else None
    archive = appliance.repository(account, "glacier", storage_class=StorageClass.GLACIER) if archives else None
    replicas = (ReplicaTarget(account_id=other.id, region="us-west-2"),) if terms.replica is not None else ()
    return appliance.sla_policy(
        account, terms, regions=(SINGAPORE,), backup=backup, archive=archive, replicas=replicas, retries=1
    )


def made(appliance: Appliance, leg: Leg) -> list[tuple[str, str, tuple[Frequency, ...]]]:
    """Of each point: whose, day and hour of its slot, what it counts for."""
    return sorted((point.resource_name, f"{point.slot_at:%d %H}", point.flags) for point in points(appliance, leg))


def test_the_first_successful_point_of_the_day_counts_as_the_weekly_one(
    appliance: Appliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate(appliance, SlaTerms(snapshot=LegPlan(window=TEN_TO_ONE, daily=HOURLY, weekly=ON_MONDAYS)))
    refuse_snapshots(appliance, monkeypatch, "web-1", until=MONDAY + timedelta(hours=2, minutes=30))
    go(appliance, until=MONDAY + timedelta(hours=27))
    assert made(appliance, Leg.SNAPSHOT) == [
        ("web-1", "09 03", (DAILY, WEEKLY)),
        ("web-1", "09 04", (DAILY,)),
        ("web-1", "10 02", (DAILY,)),
        ("web-1", "10 03", (DAILY,)),
        ("web-2", "09 02", (DAILY, WEEKLY)),
        ("web-2", "09 03", (DAILY,)),
        ("web-2", "09 04", (DAILY,)),
        ("web-2", "10 02", (DAILY,)),
        ("web-2", "10 03", (DAILY,)),
    ]
    assert [each.slot_at.hour for each in promises(appliance) if not each.made] == [2]


def test_a_backup_that_stands_in_is_kept_as_long_as_the_weekly_one(
    appliance: Appliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = LegPlan(window=TEN_TO_ONE, daily=HOURLY, weekly=ON_MONDAYS)
    estate(appliance, SlaTerms(snapshot=plan, backup=plan))
    refuse_snapshots(appliance, monkeypatch, "web-1", until=MONDAY + timedelta(hours=2, minutes=30))
    go(appliance, until=MONDAY + timedelta(hours=5))
    assert made(appliance, Leg.BACKUP)[:3] == [
        ("web-1", "09 03", (DAILY, WEEKLY)),
        ("web-1", "09 04", (DAILY,)),
        ("web-2", "09 02", (DAILY, WEEKLY)),
    ]
    kept = {(point.resource_name, point.flags): point for point in points(appliance, Leg.BACKUP)}
    standing_in, promised = kept["web-1", (DAILY, WEEKLY)], kept["web-2", (DAILY, WEEKLY)]
    assert standing_in.expires_at is not None
    assert promised.expires_at is not None
    assert (standing_in.expires_at - promised.expires_at) == timedelta(hours=1)


def test_the_first_successful_snapshot_of_the_day_is_replicated(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = ReplicaPlan(first_of=DAILY, keep=Period(7))
    estate(appliance, SlaTerms(snapshot=LegPlan(window=TEN_TO_ONE, daily=HOURLY), replica=replica))
    refuse_snapshots(appliance, monkeypatch, "web-1", until=MONDAY + timedelta(hours=2, minutes=30))
    go(appliance, until=MONDAY + timedelta(hours=5))
    assert made(appliance, Leg.REPLICA) == [("web-1", "09 03", (DAILY,)), ("web-2", "09 02", (DAILY,))]


def test_a_replica_that_failed_is_made_of_the_next_snapshot_of_its_week(appliance: Appliance) -> None:
    """Snapshots on Mondays, Wednesdays and Fridays, a replica a week: refused on Monday, made on Wednesday."""
    days = (Weekday.MONDAY, Weekday.WEDNESDAY, Weekday.FRIDAY)
    weekly = LegPlan(window=TEN_TO_ONE, weekly=WeeklyPlan(days=days, keep=Period(60)))
    estate(appliance, SlaTerms(snapshot=weekly, replica=ReplicaPlan(first_of=WEEKLY, keep=Period(30))))
    refuse(appliance, "replicate", until=MONDAY + timedelta(days=1))
    go(appliance, until=MONDAY + timedelta(days=8), minutes=60)
    assert made(appliance, Leg.REPLICA) == [
        ("web-1", "11 02", (WEEKLY,)),
        ("web-1", "16 02", (WEEKLY,)),
        ("web-2", "11 02", (WEEKLY,)),
        ("web-2", "16 02", (WEEKLY,)),
    ]


def test_what_joins_after_the_replica_of_its_week_has_its_first_in_the_next(appliance: Appliance) -> None:
    snapshots = LegPlan(window=TEN_TO_ONE, weekly=WeeklyPlan(days=EVERY_DAY, keep=Period(60)))
    policy = estate(appliance, SlaTerms(snapshot=snapshots, replica=ReplicaPlan(first_of=WEEKLY, keep=Period(30))))
    go(appliance, until=MONDAY + timedelta(hours=12), minutes=60)
    with appliance.app.store.transaction() as tx:
        account = tx.accounts.get(policy.scope.account_id)
    appliance.machine(account, "web-3", {"vol-web-3": DISK}, region=SINGAPORE)
    go(appliance, until=MONDAY + timedelta(days=2, hours=12), minutes=60)
    assert made(appliance, Leg.SNAPSHOT)[-2:] == [("web-3", "10 02", (WEEKLY,)), ("web-3", "11 02", (WEEKLY,))]
    assert made(appliance, Leg.REPLICA) == [("web-1", "09 02", (WEEKLY,)), ("web-2", "09 02", (WEEKLY,))]


def test_the_first_successful_backup_of_the_month_is_archived(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    first = datetime(2026, 4, 1, tzinfo=UTC)
    plan = LegPlan(window=TEN_TO_ONE, daily=DailyPlan(every_minutes=24 * 60, keep=Period(7)))
    terms = SlaTerms(snapshot=plan, backup=plan, archive=ArchivePlan(months=(4,), keep=Period(90)))
    estate(appliance, terms, at=first, archives=True)
    refuse_snapshots(appliance, monkeypatch, "web-2", until=first + timedelta(hours=12))
    go(appliance, until=first + timedelta(days=2, hours=12), minutes=60)
    assert made(appliance, Leg.ARCHIVE) == [("web-1", "01 02", (MONTHLY,)), ("web-2", "02 02", (MONTHLY,))]
