"""The forecast says what the schedule and retention then really do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from server.domain.forecast import Targets, forecast
from server.domain.periods import Frequency, Period, Weekday
from server.domain.restore import Leg, RestorePoint
from server.domain.retention import Rules
from server.domain.schedule import Daily, Rule, Schedule, Weekly, slots

D, W, M, Y = Frequency
START = datetime(2026, 3, 1, 23, tzinfo=UTC)  # a Sunday
REPOSITORY = UUID(int=7)


def rules_of(schedule: Schedule) -> Rules:
    return {leg: {f: rule for f in Frequency if (rule := schedule.rule(f, leg))} for leg in Leg}


def test_a_fortnight_of_a_harmonised_policy() -> None:
    schedule = Schedule(
        daily=Daily(snapshot=Rule(slots=(7, 19), count=2), backup=Rule(slots=(19,), period=Period(3))),
        weekly=Weekly(hour=7, snapshot=Rule(slots=(Weekday.MONDAY.value,), count=1)),
    )
    runs = slots(schedule, START, START + timedelta(days=14))
    found = forecast(runs, rules_of(schedule), {UUID(int=1): [], UUID(int=2): []}, Targets(backup=REPOSITORY))
    assert len(found) == 28
    assert found[0].made == {Leg.SNAPSHOT: 2}, "two resources, Monday 07:00, snapshots only"
    assert found[1].made == {Leg.SNAPSHOT: 2, Leg.BACKUP: 2}
    # Tuesday 07:00: Monday 07:00 loses D, stays as the weekly one; Monday 19:00 is the base and the second newest
    assert found[2].removed == ()
    assert found[2].kept == {Leg.SNAPSHOT: 6, Leg.BACKUP: 2}
    # Tuesday 19:00: the base moves, Monday 19:00 goes
    assert [(gone.leg, gone.at, gone.count) for gone in found[3].removed] == [
        (Leg.SNAPSHOT, datetime(2026, 3, 2, 19, tzinfo=UTC), 2)
    ]
    # Thursday 19:00: Monday's backup is three days old
    assert (Leg.BACKUP, datetime(2026, 3, 2, 19, tzinfo=UTC), 2) in [(g.leg, g.at, g.count) for g in found[7].removed]
    # the next Monday the first weekly snapshot is replaced
    assert any(gone.at == datetime(2026, 3, 2, 7, tzinfo=UTC) for gone in found[14].removed)


def test_points_that_are_there_count_and_alike_resources_are_counted_once() -> None:
    schedule = Schedule(daily=Daily(snapshot=Rule(slots=(7,), count=1)))

    def old(resource: int) -> RestorePoint:
        return RestorePoint(
            id=UUID(int=100 + resource),
            resource_id=UUID(int=resource),
            resource_name="",
            workload="ec2",
            account_id=UUID(int=1),
            region="eu-west-1",
            leg=Leg.SNAPSHOT,
            at=START - timedelta(days=1),
            created_at=START,
            flags=(D,),
        )

    chains = {UUID(int=n): [old(n)] for n in range(1000)}
    first, second = islice(
        forecast(slots(schedule, START, START + timedelta(days=3)), rules_of(schedule), chains, Targets()), 2
    )
    assert first.made == {Leg.SNAPSHOT: 1000}
    assert [(gone.at, gone.count) for gone in first.removed] == [(START - timedelta(days=1), 1000)]
    assert second.kept == {Leg.SNAPSHOT: 1000}
