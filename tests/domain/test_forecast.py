"""The forecast says what the schedule and retention then really do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from server.domain import keeping
from server.domain.forecast import GROUPS_MAX, Forecast, ForecastRun, Targets, events
from server.domain.periods import DayRule, Frequency, Period, Weekday
from server.domain.policy import Policy, PolicyKind, Retention
from server.domain.restore import Leg, RestorePoint
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly
from server.domain.scope import Scope
from server.domain.sla import DailyPlan, LegPlan, SlaTerms, Window

D, W, M, Y = Frequency
START = datetime(2026, 3, 1, 23, tzinfo=UTC)  # a Sunday
REPOSITORY, ARCHIVE = UUID(int=7), UUID(int=8)
HERE = Targets(region="us-east-1", backup=REPOSITORY, archive=ARCHIVE, replica=True)


def policy_of(schedule: Schedule | None, *, regions: tuple[str, ...] = ("us-east-1",)) -> Policy:
    return Policy(
        id=UUID(int=1),
        name="gold",
        scope=Scope(account_id=UUID(int=2), regions=regions),
        schedule=schedule,
        retention=Retention(),
        created_at=START,
        updated_at=START,
    )


def forecast(
    policy: Policy,
    *chains: list[RestorePoint],
    days: int = 14,
    targets: Targets = HERE,
    terms: SlaTerms | None = None,
    since: datetime = START,
) -> list[ForecastRun]:
    planned = list(events(policy, terms, since, since + timedelta(days=days)))
    made = Forecast(planned, keeping.rules(policy, terms), track=keeping.tracks_changes(policy, terms))
    for chain in chains:
        made.add(targets, chain)
    return made.runs()


def snapshot(number: int, at: datetime, *flags: Frequency) -> RestorePoint:
    return RestorePoint(
        id=UUID(int=number),
        resource_id=UUID(int=number),
        resource_name=f"machine {number}",
        workload="ec2",
        account_id=UUID(int=1),
        region="us-east-1",
        leg=Leg.SNAPSHOT,
        at=at,
        created_at=at,
        slot_at=at.replace(minute=0, second=0),
        flags=flags,
    )


def test_a_fortnight_of_a_harmonised_policy() -> None:
    schedule = Schedule(
        daily=Daily(snapshot=Rule(slots=(7, 19), count=2), backup=Rule(slots=(19,), period=Period(3))),
        weekly=Weekly(hour=7, snapshot=Rule(slots=(Weekday.MONDAY.value,), count=1)),
    )
    found = [run for run in forecast(policy_of(schedule), [], []) if run.event.slot.legs]
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


def test_points_that_are_there_count_and_alike_resources_are_imagined_once() -> None:
    """A thousand machines, each snapshotted some seconds later than the one before."""
    schedule = Schedule(daily=Daily(snapshot=Rule(slots=(7,), count=1)))
    yesterday = datetime(2026, 3, 1, 7, tzinfo=UTC)
    chains = [[snapshot(n + 1, yesterday + timedelta(seconds=n), D)] for n in range(1000)]
    planned = list(events(policy_of(schedule), None, START, START + timedelta(days=3)))
    made = Forecast(planned, keeping.rules(policy_of(schedule), None))
    for chain in chains:
        made.add(HERE, chain)
    assert len(made._groups) == 1
    first, second = made.runs()[:2]
    assert first.made == {Leg.SNAPSHOT: 1000}
    assert [(gone.at, gone.count) for gone in first.removed] == [(yesterday, 1000)]
    assert second.kept == {Leg.SNAPSHOT: 1000}


def test_more_kinds_of_chains_than_fit_are_imagined_in_turns() -> None:
    schedule = Schedule(daily=Daily(snapshot=Rule(slots=(7,), count=1)))
    chains = [[snapshot(n + 1, START - timedelta(hours=n + 2), D)] for n in range(GROUPS_MAX + 5)]
    first = forecast(policy_of(schedule), *chains, days=1)[0]
    assert first.made == {Leg.SNAPSHOT: GROUPS_MAX + 5}
    assert sum(gone.count for gone in first.removed) == GROUPS_MAX + 5
    assert first.kept == {Leg.SNAPSHOT: GROUPS_MAX + 5}


def test_the_daily_pass_is_told_of_when_it_deletes_something() -> None:
    """No run removes the last snapshots of a policy that only keeps: the pass of 04:00 does."""
    manual = replace(
        snapshot(1, START - timedelta(days=3)), manual=True, expires_at=datetime(2026, 3, 4, tzinfo=UTC), slot_at=None
    )
    (pass_,) = forecast(policy_of(None), [manual])
    assert pass_.event.slot.at == datetime(2026, 3, 4, 4, tzinfo=UTC)
    assert pass_.event.slot.legs == ()
    assert [(gone.leg, gone.count) for gone in pass_.removed] == [(Leg.SNAPSHOT, 1)]


def test_legs_without_a_place_to_go_are_not_made_and_other_regions_do_not_run() -> None:
    rule = Rule(slots=(7,), count=1)
    schedule = Schedule(daily=Daily(snapshot=rule, replica=rule, backup=Rule(slots=(7,), period=Period(3))))
    nowhere = forecast(policy_of(schedule), [], days=1, targets=Targets(region="us-east-1"))
    assert nowhere[0].made == {Leg.SNAPSHOT: 1}
    assert forecast(policy_of(schedule), [], days=1)[0].made == {Leg.SNAPSHOT: 1, Leg.REPLICA: 1, Leg.BACKUP: 1}
    assert forecast(policy_of(schedule), [], days=1, targets=Targets(region="eu-west-1"))[0].made == {}


def test_a_backup_made_only_to_be_archived_goes_after_a_day() -> None:
    """Daily snapshots, archives on the tenth of each month: that day a temporary backup feeds the archive."""
    schedule = Schedule(
        daily=Daily(snapshot=Rule(slots=(7,), count=2)),
        monthly=Monthly(
            hour=12,
            day=DayRule(day=10),
            snapshot=Rule(slots=tuple(range(1, 13)), count=1),
            archive=Rule(slots=tuple(range(1, 13)), period=Period(365)),
        ),
    )
    found = {run.event.slot.at: run for run in forecast(policy_of(schedule), [])}
    tenth = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert found[tenth].made == {Leg.SNAPSHOT: 1, Leg.BACKUP: 1, Leg.ARCHIVE: 1}
    gone = {run.event.slot.at for run in found.values() if any(one.leg is Leg.BACKUP for one in run.removed)}
    assert gone == {datetime(2026, 3, 12, 4, tzinfo=UTC)}, "the first pass after 24 hours"


def test_retention_of_an_sla_policy_is_foreseen_when_its_windows_have_closed() -> None:
    terms = SlaTerms(
        snapshot=LegPlan(window=Window(start=7 * 60, end=10 * 60), daily=DailyPlan(every_minutes=60, keep=Period(1)))
    )
    policy = replace(policy_of(None), kind=PolicyKind.SLA)
    since = datetime(2026, 7, 1, tzinfo=UTC)  # summer in Virginia: four hours behind UTC
    found = forecast(policy, [], days=2, terms=terms, since=since)
    runs = [f"{run.event.slot.at:%d %H}" for run in found if run.event.slot.legs]
    assert runs == ["01 11", "01 12", "01 13", "02 11", "02 12", "02 13"]
    passes = [
        (f"{run.event.slot.at:%d %H}", sum(gone.count for gone in run.removed)) for run in found if not run.event.slot.legs
    ]
    assert passes == [("02 14", 3)], "all snapshots of the first day are a day old by then"


def test_a_temporary_snapshot_of_an_sla_policy_without_change_tracking_goes_with_its_run() -> None:
    around_the_clock = Window()
    terms = SlaTerms(
        snapshot=LegPlan(window=Window(start=7 * 60, end=8 * 60), daily=DailyPlan(every_minutes=60, keep=Period(9))),
        backup=LegPlan(window=around_the_clock, daily=DailyPlan(every_minutes=12 * 60, keep=Period(9))),
        track_changes=False,
    )
    policy = replace(policy_of(None), kind=PolicyKind.SLA)
    found = forecast(policy, [], days=1, terms=terms, since=datetime(2026, 7, 1, tzinfo=UTC))
    backups = [run for run in found if Leg.BACKUP in run.event.slot.legs]
    assert [(run.made[Leg.SNAPSHOT], [(gone.leg, gone.count) for gone in run.removed]) for run in backups] == [
        (1, [(Leg.SNAPSHOT, 1)])
    ] * len(backups)
    assert len(backups) == 2
