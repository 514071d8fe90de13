"""Which snapshot a backup is compared with, how long it is held, and what is read without it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.domain.errors import AwsAccessDenied, AwsRejected
from server.domain.periods import Frequency, Period
from server.domain.restore import Leg
from server.domain.sla import DailyPlan, LegPlan, SlaTerms, Window
from server.ports import BlockRef
from tests.services.engine.harness import Appliance, daily
from tests.services.engine.test_protection import DISK, block, points, run

MORNING = datetime(2026, 3, 2, 6, 30, tzinfo=UTC)
HOURLY = DailyPlan(every_minutes=60, keep=Period(7))


def pass_hours(appliance: Appliance, hours: int) -> None:
    """To each full hour, and a minute on."""
    for _ in range(hours):
        following = appliance.clock.now().replace(minute=0) + timedelta(hours=1)
        appliance.clock.set(following)
        appliance.tick()
        appliance.work(limit=timedelta(minutes=30))


def read(appliance: Appliance) -> int:
    """Blocks read since the last time it was asked."""
    number = appliance.cloud.blocks.calls["read"]
    appliance.cloud.blocks.calls["read"] = 0
    return number


def terms(*, together: bool, track: bool) -> SlaTerms:
    """Hourly snapshots and two-hourly backups between 7 and 12 UTC, in us-east-1; or backups without snapshots beside them."""
    window = Window(start=2 * 60, end=7 * 60)  # Virginia is five hours behind
    backup = LegPlan(window=window, daily=DailyPlan(every_minutes=120, keep=Period(7)))
    elsewhere = LegPlan(window=Window(start=20 * 60, end=21 * 60), daily=HOURLY)
    return SlaTerms(
        snapshot=LegPlan(window=window, daily=HOURLY) if together else elsewhere, backup=backup, track_changes=track
    )


@pytest.mark.parametrize("track", [True, False])
def test_example_snapshots_and_backups_that_start_together_use_one_snapshot(appliance: Appliance, track: bool) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.sla_policy(account, terms(together=True, track=track), backup=appliance.repository(account))
    pass_hours(appliance, 3)
    assert [point.at.hour for point in points(appliance, Leg.SNAPSHOT)] == [7, 8, 9]
    assert all(point.flags == (Frequency.DAILY,) for point in points(appliance, Leg.SNAPSHOT))
    assert len(points(appliance, Leg.BACKUP)) == 2
    assert [point.base for point in points(appliance, Leg.SNAPSHOT)] == [False, False, track]
    assert read(appliance) == len(DISK), "the second backup found the first one's snapshot, and nothing changed"


@pytest.mark.parametrize("track", [True, False])
def test_example_a_backup_without_a_snapshot_of_its_time_makes_a_temporary_one(appliance: Appliance, track: bool) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    appliance.sla_policy(account, terms(together=False, track=track), backup=appliance.repository(account))
    pass_hours(appliance, 2)
    assert [(point.at.hour, point.flags) for point in points(appliance, Leg.SNAPSHOT)] == ([(7, ())] if track else [])
    assert read(appliance) == len(DISK)
    appliance.cloud.machines["i-web-1"].volumes["vol-a"][1] = block("changed")
    pass_hours(appliance, 1)
    first, second = points(appliance, Leg.BACKUP)
    assert read(appliance) == (1 if track else len(DISK))
    assert second.stored_bytes < first.stored_bytes, "what was read and is known already is not stored again"
    held = [point.at.hour for point in points(appliance, Leg.SNAPSHOT) if point.base]
    assert held == ([9] if track else [])


def test_a_schedule_that_keeps_no_snapshot_holds_none_and_reads_everything(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    schedule = daily((7, 8), backup=(7, 8), snapshots=0)
    appliance.policy(account, repository=appliance.repository(account), schedule=schedule)
    pass_hours(appliance, 2)
    assert points(appliance, Leg.SNAPSHOT) == []
    assert appliance.cloud.snapshots == {}
    assert read(appliance) == 2 * len(DISK)
    first, second = points(appliance, Leg.BACKUP)
    assert second.stored_bytes < first.stored_bytes / 2


@pytest.mark.parametrize("refusal", [AwsRejected("Not in this Region."), AwsAccessDenied("Not allowed.")])
def test_where_changes_cannot_be_listed_everything_is_read(
    appliance: Appliance, refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account))
    run(appliance, policy.id)
    assert read(appliance) == len(DISK)

    def changed(*_arguments: object, **_options: object) -> list[BlockRef]:
        raise refusal

    monkeypatch.setattr(appliance.cloud.blocks, "changed", changed)
    appliance.clock.advance(timedelta(hours=1))
    session = run(appliance, policy.id)
    assert read(appliance) == len(DISK)
    assert any("vol-a cannot be compared with its previous snapshot" in line for line in appliance.lines(session.id))
    first, second = points(appliance, Leg.BACKUP)
    assert second.stored_bytes < first.stored_bytes / 2
