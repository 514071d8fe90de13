"""Retention: snapshots by count plus the change-tracking base, backups by age, each with its reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.policy import Retention
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.retention import Decision, decide

SPACE = UUID(int=0)
RESOURCE = uuid5(SPACE, "resource")


def point(
    name: str,
    at: datetime,
    leg: Leg = Leg.SNAPSHOT,
    *,
    base: bool = False,
    resource: UUID = RESOURCE,
    state: PointState = PointState.AVAILABLE,
    policy: UUID | None = None,
    repository: UUID | None = None,
    expires_at: datetime | None = None,
) -> RestorePoint:
    return RestorePoint(
        id=uuid5(resource, f"{leg.value} {name}"),
        resource_id=resource,
        resource_name=name,
        workload="ec2",
        account_id=SPACE,
        region="us-east-1",
        leg=leg,
        at=at,
        created_at=at + timedelta(minutes=5),
        state=state,
        base=base,
        policy_id=policy,
        repository_id=repository or (SPACE if leg is Leg.BACKUP else None),
        expires_at=expires_at,
    )


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def kept(decisions: list[Decision]) -> list[str]:
    return [decision.point.resource_name for decision in decisions if decision.keep]


# ---- worked examples --------------------------------------------------------------------------------------------------


def test_snapshots_are_kept_by_count_and_the_base_beyond_it() -> None:
    """Snapshots every two hours from 07 to 17, the newest two kept, backups at 07 and 17."""
    retention = Retention(snapshots=2, backup_days=30)
    chain: list[RestorePoint] = []
    seen: dict[int, list[str]] = {}
    for hour in (7, 9, 11, 13, 15, 17):
        moment = datetime(2026, 11, 20, hour, tzinfo=UTC)
        backup = hour in (7, 17)
        if backup:  # its comparison has completed: the base moves to the new snapshot
            chain = [point(p.resource_name, p.at, p.leg) for p in chain]
            chain.append(point(f"backup {hour:02}", moment, Leg.BACKUP))
        chain.append(point(f"{hour:02}", moment, base=backup))
        decisions = decide(chain, retention, moment + timedelta(minutes=20))
        chain = [decision.point for decision in decisions if decision.keep]
        seen[hour] = [p.resource_name for p in chain if p.leg is Leg.SNAPSHOT]
    assert seen == {
        7: ["07"],
        9: ["07", "09"],
        11: ["07", "09", "11"],
        13: ["07", "11", "13"],
        15: ["07", "13", "15"],
        17: ["15", "17"],
    }


def test_backups_expire_when_their_age_reaches_the_period() -> None:
    """Weekly, Monday 07:00, 21 days: on 22 February the one of 1 February is due; on 1 March that of 8 February."""
    retention = Retention(snapshots=0, backup_days=21)
    backups = [point(text, day(f"2027-{text} 07:00"), Leg.BACKUP) for text in ("02-01", "02-08", "02-15", "02-22", "03-01")]
    assert kept(decide(backups[:4], retention, day("2027-02-22 07:20"))) == ["02-08", "02-15", "02-22"]
    assert kept(decide(backups[1:], retention, day("2027-03-01 07:20"))) == ["02-15", "02-22", "03-01"]


def test_a_pass_before_the_hour_of_the_backup_acts_the_next_day() -> None:
    retention = Retention(backup_days=30)
    backup = [point("seven", day("2026-10-01 07:00"), Leg.BACKUP)]
    assert kept(decide(backup, retention, day("2026-10-31 04:00"))) == ["seven"]
    assert kept(decide(backup, retention, day("2026-10-31 07:00"))) == []
    assert kept(decide(backup, retention, day("2026-11-01 04:00"))) == []


def test_a_backup_kept_one_day_survives_the_night_after_it() -> None:
    backup = [point("late", day("2026-10-01 23:50"), Leg.BACKUP)]
    assert kept(decide(backup, Retention(backup_days=1), day("2026-10-02 00:10"))) == ["late"]


# ---- rules ------------------------------------------------------------------------------------------------------------


def test_keeping_no_snapshots_keeps_only_the_base() -> None:
    points = [point("old", day("2026-11-01")), point("base", day("2026-11-02"), base=True), point("new", day("2026-11-03"))]
    decisions = decide(points, Retention(snapshots=0), day("2026-11-04"))
    assert [(d.keep, d.reason) for d in decisions] == [
        (False, "No snapshots are kept."),
        (True, "Change-tracking base: the next backup is compared with it."),
        (False, "No snapshots are kept."),
    ]


def test_every_decision_says_why() -> None:
    points = [
        point("first", day("2026-11-01")),
        point("second", day("2026-11-02")),
        point("old", day("2026-11-01"), Leg.BACKUP),
        point("new", day("2026-11-09"), Leg.BACKUP),
        point("copy", day("2020-01-01"), Leg.REPLICA),
    ]
    decisions = decide(points, Retention(snapshots=1, backup_days=7), day("2026-11-10 12:00"))
    assert [d.reason for d in decisions] == [
        "Beyond the newest snapshot.",
        "The newest snapshot.",
        "9 days old: backups are kept 7 days.",
        "1 day old, less than 7 days.",
        "This retention does not cover a replica.",
    ]


def test_resources_do_not_share_a_count() -> None:
    other = uuid5(SPACE, "other")
    points = [
        point("mine", day("2026-11-01")),
        point("yours old", day("2026-11-02"), resource=other),
        point("yours", day("2026-11-03"), resource=other),
    ]
    assert kept(decide(points, Retention(snapshots=1), day("2026-11-04"))) == ["mine", "yours"]


def test_the_base_is_released_with_the_last_backup() -> None:
    points = [
        point("base", day("2026-01-01"), base=True),
        point("backup", day("2026-01-01"), Leg.BACKUP),
        point("new", day("2026-11-01")),
    ]
    base, backup, new = decide(points, Retention(snapshots=1, backup_days=30), day("2026-11-02"))
    assert (base.keep, base.release_base) == (False, True)
    assert base.reason == "Beyond the newest snapshot, and no backup is left to compare with it."
    assert (backup.keep, new.keep) == (False, True)


def test_a_released_base_among_the_newest_stays_without_its_flag() -> None:
    points = [point("base", day("2026-01-01"), base=True), point("backup", day("2026-01-01"), Leg.BACKUP)]
    base, _backup = decide(points, Retention(snapshots=1, backup_days=30), day("2026-11-02"))
    assert (base.keep, base.release_base, base.reason) == (True, True, "The newest snapshot.")


def test_an_interrupted_deletion_is_finished_and_a_finished_one_is_not_mentioned() -> None:
    points = [
        point("half", day("2026-11-01"), state=PointState.DELETING),
        point("gone", day("2026-11-01"), state=PointState.DELETED),
    ]
    decisions = decide(points, Retention(snapshots=5), day("2026-11-02"))
    assert [(d.point.resource_name, d.keep, d.reason) for d in decisions] == [("half", False, "Its deletion had begun.")]


def test_points_being_deleted_do_not_take_the_place_of_others() -> None:
    points = [point("whole", day("2026-11-01")), point("half", day("2026-11-02"), state=PointState.DELETING)]
    assert kept(decide(points, Retention(snapshots=1), day("2026-11-03"))) == ["whole"]


def test_a_moment_in_the_future_is_no_age() -> None:
    backups = [point("ahead", day("2026-11-05"), Leg.BACKUP)]
    assert kept(decide(backups, Retention(backup_days=1), day("2026-11-04"))) == ["ahead"]


@pytest.mark.parametrize("empty", [Retention(), Retention(snapshots=0, backup_days=1)])
def test_nothing_is_decided_about_nothing(empty: Retention) -> None:
    assert decide([], empty, day("2026-11-04")) == []


# ---- against an independent model ---------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@st.composite
def chains(draw: st.DrawFn) -> list[RestorePoint]:
    points = []
    for index in range(draw(st.integers(0, 14))):
        leg = draw(st.sampled_from([Leg.SNAPSHOT, Leg.SNAPSHOT, Leg.BACKUP, Leg.BACKUP, Leg.REPLICA]))
        points.append(
            point(
                str(index),
                NOW - timedelta(hours=draw(st.integers(-5, 24 * 8))),
                leg,
                base=leg is Leg.SNAPSHOT and draw(st.booleans()),
                resource=uuid5(SPACE, draw(st.sampled_from("ab"))),
                state=draw(st.sampled_from([*[PointState.AVAILABLE] * 4, PointState.DELETING, PointState.DELETED])),
            )
        )
    return points


def model(points: list[RestorePoint], retention: Retention) -> set[UUID]:
    """Ids that stay, said point by point instead of chain by chain."""
    alive = [p for p in points if p.state is PointState.AVAILABLE]

    def newer(p: RestorePoint) -> int:
        same = [q for q in alive if q.resource_id == p.resource_id and q.leg is Leg.SNAPSHOT]
        return sum((q.at, q.created_at, q.id) > (p.at, p.created_at, p.id) for q in same)

    def expired(p: RestorePoint) -> bool:
        return (NOW - p.at).total_seconds() >= retention.backup_days * 86400

    stays = set()
    for p in alive:
        backups = [q for q in alive if q.resource_id == p.resource_id and q.leg is Leg.BACKUP]
        based = p.base and (not backups or not all(expired(q) for q in backups))
        if p.leg is Leg.REPLICA or (p.leg is Leg.BACKUP and not expired(p)):
            stays.add(p.id)
        if p.leg is Leg.SNAPSHOT and (newer(p) < retention.snapshots or based):
            stays.add(p.id)
    return stays


retentions = st.builds(Retention, snapshots=st.integers(0, 5), backup_days=st.integers(1, 8))


@given(points=chains(), retention=retentions)
def test_decisions_agree_with_the_model(points: list[RestorePoint], retention: Retention) -> None:
    decisions = decide(points, retention, NOW)
    assert {d.point.id for d in decisions if d.keep} == model(points, retention)
    assert [d.point for d in decisions] == [p for p in points if p.state is not PointState.DELETED]
    assert all(d.reason.endswith(".") for d in decisions)


@given(points=chains(), retention=retentions)
def test_deciding_again_about_what_was_kept_removes_nothing_more(points: list[RestorePoint], retention: Retention) -> None:
    left = [d.point for d in decide(points, retention, NOW) if d.keep]
    assert all(d.keep for d in decide(left, retention, NOW))


@given(points=chains(), retention=retentions, days=st.integers(0, 30))
def test_time_never_brings_a_point_back(points: list[RestorePoint], retention: Retention, days: int) -> None:
    now = {d.point.id for d in decide(points, retention, NOW) if d.keep}
    later = {d.point.id for d in decide(points, retention, NOW + timedelta(days=days)) if d.keep}
    assert later <= now


# ---- retention a point brings along -----------------------------------------------------------------------------------

HERE, ELSEWHERE, POLICY = (uuid5(SPACE, name) for name in ("here", "elsewhere", "policy"))
OLD = datetime(2026, 3, 1, 7, tzinfo=UTC)
LATER = OLD + timedelta(days=10)


def imported(repository: UUID, keep: int) -> RestorePoint:
    return point(f"imported {keep}", OLD, Leg.BACKUP, repository=repository, expires_at=OLD + timedelta(days=keep))


@pytest.mark.parametrize(("keep", "kept"), [(5, False), (10, False), (11, True)])
def test_an_imported_point_in_another_repository_goes_by_its_own_retention(keep: int, kept: bool) -> None:
    (found,) = decide([imported(ELSEWHERE, keep)], Retention(backup_days=1), LATER, repository_id=HERE)
    assert found.keep is kept
    assert "The retention it was imported with" in found.reason


@pytest.mark.parametrize(("days", "kept"), [(10, False), (11, True)])
def test_a_policy_that_backs_up_into_its_repository_overrides_it(days: int, kept: bool) -> None:
    (found,) = decide([imported(HERE, 99)], Retention(backup_days=days), LATER, repository_id=HERE)
    assert found.keep is kept
    assert f"{days} days" in found.reason


def test_a_policy_without_backups_overrides_nothing() -> None:
    (found,) = decide([imported(HERE, 99)], Retention(backup_days=1), LATER)
    assert found.keep


def test_what_a_policy_made_goes_by_its_policy_wherever_it_lies() -> None:
    made = point("made", OLD, Leg.BACKUP, policy=POLICY, repository=ELSEWHERE, expires_at=OLD + timedelta(days=99))
    (found,) = decide([made], Retention(backup_days=10), LATER, repository_id=HERE)
    assert not found.keep


def test_the_base_is_kept_while_an_imported_backup_is() -> None:
    base = point("base", OLD, base=True)
    found = decide([base, imported(ELSEWHERE, 99)], Retention(snapshots=0, backup_days=1), LATER, repository_id=HERE)
    assert [each.keep for each in found] == [True, True]
