"""Weeks or a year of one policy, hour by hour through the real services on the demo account: daily, weekly, monthly and yearly
points with replicas, backups and archives. What is left at the end is what an independent model says, in the database, in AWS
and in the repositories.

``scripts/test tests/simulation/test_year.py --days 365`` simulates a year; it takes minutes. Of shorter times only those hours
are played at which something is due.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from server.domain import schedule as domain
from server.domain.access import SYSTEM
from server.domain.periods import DayRule, Frequency, Period, Unit, Weekday
from server.domain.policy import Policy
from server.domain.replicas import ReplicaTarget
from server.domain.repository import Repository, StorageClass
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.retention import DAILY_PASS
from server.domain.scope import Scope
from server.domain.session import SessionKind, State
from server.domain.workload import Account
from server.ports import Order, Select, Where
from server.services import policies, rescans
from tests.conftest import use_demo_keys
from tests.simulation.estate import Estate, estate
from tests.simulation.year_model import Keep, Model, Plan, hours_from

START = date(2027, 3, 1)  # the change to summer time falls into the first 40 days
HERE, THERE = "us-east-1", "us-west-2"
BLOCK = 524_288
EVERY_HOUR_FROM = 100  # days
COMPARED_EVERY = 10 * 24  # hours
RESCANS = range(0, 24, 6)  # hours; they change nothing here, and hourly ones would be most of the time

PLAN = Plan(
    zone="Europe/Berlin",
    hours=(6, 18),
    main=18,
    copied_months=frozenset({3, 6, 9, 12}),
    archive_months=frozenset({1, 3, 5, 7, 9, 11}),
    year_month=3,
    keep={
        ("snapshot", "D"): Keep(count=5),
        ("snapshot", "W"): Keep(count=3),
        ("snapshot", "M"): Keep(count=2),
        ("snapshot", "Y"): Keep(count=0),
        ("replica", "D"): Keep(count=3),
        ("replica", "W"): Keep(count=2),
        ("replica", "M"): Keep(count=2),
        ("replica", "Y"): Keep(count=0),
        ("backup", "D"): Keep(days=10),
        ("backup", "W"): Keep(days=28),
        ("backup", "M"): Keep(days=0),
        ("backup", "Y"): Keep(months=24),
        ("archive", "D"): Keep(days=0),
        ("archive", "W"): Keep(days=0),
        ("archive", "M"): Keep(months=5),
        ("archive", "Y"): Keep(days=0),
    },
)
EVERY_MONTH = tuple(range(1, 13))
SCHEDULE = domain.Schedule(
    timezone=PLAN.zone,
    daily=domain.Daily(
        snapshot=domain.Rule(slots=(6, 18), count=5),
        replica=domain.Rule(slots=(18,), count=3),
        backup=domain.Rule(slots=(18,), period=Period(10)),
    ),
    weekly=domain.Weekly(
        hour=18,
        snapshot=domain.Rule(slots=(6,), count=3),
        replica=domain.Rule(slots=(6,), count=2),
        backup=domain.Rule(slots=(6,), period=Period(28)),
    ),
    monthly=domain.Monthly(
        hour=18,
        day=DayRule(weekday=Weekday.SUNDAY),
        snapshot=domain.Rule(slots=EVERY_MONTH, count=2),
        replica=domain.Rule(slots=(3, 6, 9, 12), count=2),
        archive=domain.Rule(slots=(1, 3, 5, 7, 9, 11), period=Period(5, Unit.MONTHS)),
    ),
    yearly=domain.Yearly(
        hour=18, day=DayRule(weekday=Weekday.SUNDAY), backup=domain.Rule(slots=(3,), period=Period(2, Unit.YEARS))
    ),
)


@pytest.fixture
def days(request: pytest.FixtureRequest) -> int:
    chosen: int = request.config.getoption("--days")
    return chosen


def test_what_is_left_after_a_long_time_is_what_the_rules_say(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, capsys: pytest.CaptureFixture[str]
) -> None:
    use_demo_keys(monkeypatch)
    begin = datetime(START.year, START.month, START.day, tzinfo=UTC) - timedelta(hours=1)
    with estate(database_url, tmp_path, begin) as made:
        standard, archive, policy, volume = _set_up(made)
        model = Model(PLAN)
        started, working = time.monotonic(), time.process_time()
        made.statements.clear()
        for number, moment in enumerate(hours_from(START, days)):
            if moment.hour == 12:
                made.cloud.control("POST", f"volumes/{volume}/blocks/{number // 24 % 64}", bytes([1 + number % 255]) * BLOCK)
            if moment.hour not in RESCANS:
                made.agenda.hour = moment
            if days >= EVERY_HOUR_FROM or PLAN.wants(moment) or moment.hour == DAILY_PASS.hour:
                made.hour(moment)
            model.hour(moment)
            if number % COMPARED_EVERY == 0:
                assert {_seen(point) for point in _points(made)} == model.left(), moment
        took = time.monotonic() - started, time.process_time() - working
        points = _points(made)
        _report(made, capsys, days, took, model, points)
        _no_failure(made)
        assert {_seen(point) for point in points} == model.left()
        assert {point.policy_id for point in points} == {policy.id}
        _nothing_else_in_aws(made, points)
        _nothing_else_in_repositories(made, points, [standard, archive])


def _set_up(made: Estate) -> tuple[Repository, Repository, Policy, str]:
    account = made.account()
    instance = made.cloud.instance(made.cloud.image(devices=("/dev/xvda",)))
    volume: str = made.cloud.describe(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    standard = made.repository(account, "standard", StorageClass.STANDARD)
    archive = made.repository(account, "archive", StorageClass.GLACIER)
    rescans.start_rescan(made.app, SYSTEM, account.id, regions=[HERE])
    made.work(made.clock.now())
    policy = policies.create(made.app, SYSTEM, _draft(account, standard, archive))
    return standard, archive, policy, volume


def _draft(account: Account, standard: Repository, archive: Repository) -> policies.PolicyDraft:
    return policies.PolicyDraft(
        name="everything",
        scope=Scope(account_id=account.id, regions=(HERE,)),
        schedule=SCHEDULE,
        repository_id=standard.id,
        archive_repository_id=archive.id,
        replicas=(ReplicaTarget(account_id=account.id, region=THERE),),
    )


# ---- what is there ----------------------------------------------------------------------------------------------------


def _points(made: Estate) -> list[RestorePoint]:
    where = (Where("state", "ne", PointState.DELETED),)
    with made.app.store.transaction() as tx:
        return tx.points.page(Select(where=where, order=(Order("at"),), limit=100_000))


def _seen(point: RestorePoint) -> tuple[str, datetime, str, bool]:
    """As the model tells it. A point made by a run counts for the run's hour."""
    assert point.slot_at is not None
    assert timedelta() <= point.at - point.slot_at < timedelta(minutes=30)
    letters = "".join(flag.name[0] for flag in Frequency if flag in point.flags)
    return point.leg.value, point.slot_at, letters, point.base


def _no_failure(made: Estate) -> None:
    with made.app.store.transaction() as tx:
        bad = tx.sessions.page(Select(where=(Where("state", "ne", State.SUCCESS),), limit=20))
    told = []
    for session in bad:
        _, tasks, log = made.session(session.id)
        told += [f"{session.created_at} {session.name} {session.state}", *(f"  {task.name}: {task.message}" for task in tasks)]
        told += [f"    {line.message}" for line in log]
    assert not bad, "\n".join(told)


def _nothing_else_in_aws(made: Estate, points: list[RestorePoint]) -> None:
    """Every tagged snapshot belongs to a point, and every point has its snapshots."""
    workload = made.app.workloads["ec2"]
    for region, leg in ((HERE, Leg.SNAPSHOT), (THERE, Leg.REPLICA)):
        ec2 = made.cloud.client("ec2", region)
        pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"])
        found = {one["SnapshotId"] for page in pages for one in page["Snapshots"] if _ours(one)}
        known = {disk.snapshot_id for point in points if point.leg is leg for disk in workload.disks(point.document)}
        assert found == known, (region, found ^ known)


def _ours(snapshot: dict[str, object]) -> bool:
    tags = snapshot.get("Tags")
    return isinstance(tags, list) and any(tag["Key"].startswith("holdfast:") for tag in tags)


def _nothing_else_in_repositories(made: Estate, points: list[RestorePoint], rows: list[Repository]) -> None:
    for row in rows:
        with made.app.store.transaction() as tx:
            current = tx.repositories.get(row.id)
        stored: set[UUID] = {one.id for one in made.app.open_repository(current).points()}
        assert stored == {point.id for point in points if point.repository_id == row.id}


def _report(
    made: Estate,
    capsys: pytest.CaptureFixture[str],
    days: int,
    took: tuple[float, float],
    model: Model,
    points: list[RestorePoint],
) -> None:
    """``took``: seconds, and those the processor worked for this process."""
    with made.app.store.transaction() as tx:
        kinds = {kind: tx.sessions.count(Select(where=(Where("kind", "eq", kind),))) for kind in SessionKind}
    left = Counter(point.leg.value for point in points)
    sessions = ", ".join(f"{count} {kind.value}" for kind, count in kinds.items() if count)
    statements = ", ".join(f"{count} {verb}" for verb, count in made.statements.most_common(6))
    lines = (
        "",
        f"{days} days in {took[0]:.1f} s ({took[1]:.1f} s of processor): {model.runs} runs made {model.made} points.",
        f"Left: {dict(left)}. Sessions: {sessions}.",
        f"SQL: {made.statements.total()} statements ({statements}), {made.statements.total() / days:.0f} a day.",
    )
    with capsys.disabled():
        print("\n".join(lines))  # noqa: T201  what the run is for
