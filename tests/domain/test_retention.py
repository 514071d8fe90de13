"""Retention: flags, the change-tracking base beyond them, ages, manual snapshots; worked examples day by day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from server.domain.periods import DayRule, Frequency, Period, Unit, Weekday
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.retention import Rules, decide, decide_unattended
from server.domain.schedule import Monthly, Rule, Schedule, Weekly, slots

SPACE = UUID(int=0)
RESOURCE = uuid5(SPACE, "resource")
D, W, M, Y = Frequency


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def point(leg: Leg, moment: datetime, *flags: Frequency, base: bool = False, resource: UUID = RESOURCE) -> RestorePoint:
    return RestorePoint(
        id=uuid5(resource, f"{leg.value} {moment}"),
        resource_id=resource,
        resource_name="web",
        workload="ec2",
        account_id=SPACE,
        region="us-east-1",
        leg=leg,
        at=moment,
        created_at=moment,
        flags=flags,
        base=base,
        repository_id=SPACE if leg in (Leg.BACKUP, Leg.ARCHIVE) else None,
    )


class Chain:
    """One resource's points through runs and passes, as the services order them: the base moves, then retention."""

    def __init__(self, rules: Rules, *, track: bool = True) -> None:
        self.rules = rules
        self.track = track
        self.points: list[RestorePoint] = []

    def run(self, moment: datetime, *, backup: bool) -> None:
        self.points.append(point(Leg.SNAPSHOT, moment, D))
        if backup:
            self.points.append(point(Leg.BACKUP, moment, D))
            self.points = [replace(p, base=self.track and p.leg is Leg.SNAPSHOT and p.at == moment) for p in self.points]

    def prune(self, now: datetime) -> None:
        decisions = decide(self.points, self.rules, now)
        self.points = [replace(d.point, flags=d.flags, base=d.point.base and not d.release_base) for d in decisions if d.keep]

    def snapshots(self, form: str) -> list[str]:
        return [f"{p.at:{form}}" for p in self.points if p.leg is Leg.SNAPSHOT]


def test_example_snapshots_at_07_to_17_keep_2_with_the_base_held() -> None:
    """Snapshots 07, 09, 11, 13, 15, 17 keep 2; backups 07 and 17."""
    chain = Chain({Leg.SNAPSHOT: {D: Rule(count=2)}, Leg.BACKUP: {D: Rule(period=Period(30))}})
    seen = {}
    for hour in (7, 9, 11, 13, 15, 17):
        moment = datetime(2026, 11, 20, hour, tzinfo=UTC)
        chain.run(moment, backup=hour in (7, 17))
        chain.prune(moment + timedelta(minutes=20))
        seen[hour] = chain.snapshots("%H")
    assert seen == {
        7: ["07"],
        9: ["07", "09"],
        11: ["07", "09", "11"],
        13: ["07", "11", "13"],
        15: ["07", "13", "15"],
        17: ["15", "17"],
    }


def test_example_sla_snapshots_daily_keep_2_days_with_the_base_held() -> None:
    """Daily 07:00 keep 2 days, change tracking on, backups Monday and Friday; the Friday pass precedes the release."""
    chain = Chain({Leg.SNAPSHOT: {D: Rule(period=Period(2))}, Leg.BACKUP: {D: Rule(period=Period(30))}})
    monday = at("2026-11-16 07:00")
    seen: dict[str, list[str]] = {}
    for offset in range(6):
        moment = monday + timedelta(days=offset)
        backup = offset in (0, 4)
        chain.points.append(point(Leg.SNAPSHOT, moment, D))
        chain.prune(moment + timedelta(minutes=1))
        if backup:  # the comparison completes after the pass
            chain.points.append(point(Leg.BACKUP, moment, D))
            chain.points = [replace(p, base=p.leg is Leg.SNAPSHOT and p.at == moment) for p in chain.points]
        seen[f"{moment:%a}"] = chain.snapshots("%a")
    assert seen == {
        "Mon": ["Mon"],
        "Tue": ["Mon", "Tue"],
        "Wed": ["Mon", "Tue", "Wed"],
        "Thu": ["Mon", "Wed", "Thu"],
        "Fri": ["Mon", "Thu", "Fri"],
        "Sat": ["Fri", "Sat"],
    }


def test_example_weekly_backups_from_1_february_2027_kept_21_days() -> None:
    """The standard chain: Mondays 07:00 from 1 February 2027; on the 22nd the 1st is due, on 1 March the 8th."""
    rules: Rules = {Leg.BACKUP: {W: Rule(period=Period(21))}}
    points: list[RestorePoint] = []
    seen = {}
    for week in range(5):
        moment = at("2027-02-01 07:00") + timedelta(weeks=week)
        points.append(point(Leg.BACKUP, moment, W))
        points = [replace(d.point, flags=d.flags) for d in decide(points, rules, moment) if d.keep]
        seen[f"{moment:%d %b}"] = [f"{p.at:%d %b}" for p in points]
    assert seen["22 Feb"] == ["08 Feb", "15 Feb", "22 Feb"]
    assert seen["01 Mar"] == ["15 Feb", "22 Feb", "01 Mar"]


def test_example_archives_of_odd_months_2027_kept_12_months() -> None:
    """Archives of 1 March and 3 May 2027; at the one of 6 March 2028 the first has expired."""
    rules: Rules = {Leg.ARCHIVE: {M: Rule(period=Period(12, Unit.MONTHS))}}
    points = [point(Leg.ARCHIVE, at(f"{day} 07:00"), M) for day in ("2027-03-01", "2027-05-03", "2028-03-06")]
    left = [d.point.at for d in decide(points, rules, at("2028-03-06 08:00")) if d.keep]
    assert left == [at("2027-05-03 07:00"), at("2028-03-06 07:00")]


def test_example_an_archive_of_the_first_monday_of_odd_months_from_1_february_2027() -> None:
    """Weekly Monday 07:00 keep 21 days, archive on the first Monday of odd months keep 12 months: each chain, day by day."""
    schedule = Schedule(
        weekly=Weekly(hour=7, snapshot=Rule(slots=(0,), count=1), backup=Rule(slots=(0,), period=Period(21))),
        monthly=Monthly(
            hour=7,
            day=DayRule(weekday=Weekday.MONDAY),
            snapshot=Rule(slots=(1, 3, 5, 7, 9, 11), count=1),
            archive=Rule(slots=(1, 3, 5, 7, 9, 11), period=Period(12, Unit.MONTHS)),
        ),
    )
    rules: Rules = {leg: {f: rule for f in Frequency if (rule := schedule.rule(f, leg))} for leg in Leg}
    points: list[RestorePoint] = []
    chains: dict[str, dict[Leg, list[str]]] = {}
    for slot in slots(schedule, at("2027-01-31 00:00"), at("2028-03-06 07:00")):
        points += [point(leg, slot.at, *slot.flags[leg]) for leg in slot.legs]
        points = [replace(d.point, flags=d.flags) for d in decide(points, rules, slot.at) if d.keep]
        chains[f"{slot.at:%Y-%m-%d}"] = {leg: [f"{p.at:%Y-%m-%d}" for p in points if p.leg is leg] for leg in Leg}
    assert chains["2027-02-22"][Leg.BACKUP] == ["2027-02-08", "2027-02-15", "2027-02-22"]
    assert chains["2027-02-22"][Leg.ARCHIVE] == []
    assert chains["2027-03-01"][Leg.BACKUP] == ["2027-02-15", "2027-02-22", "2027-03-01"]
    assert chains["2027-03-01"][Leg.ARCHIVE] == ["2027-03-01"]
    assert chains["2027-05-03"][Leg.ARCHIVE] == ["2027-03-01", "2027-05-03"]
    assert chains["2028-02-28"][Leg.ARCHIVE][0] == "2027-03-01"
    assert chains["2028-03-06"][Leg.ARCHIVE][0] == "2027-05-03"
    assert chains["2028-03-06"][Leg.ARCHIVE][-1] == "2028-03-06"


def test_example_a_point_goes_with_the_pass_that_follows_its_full_age() -> None:
    """A backup of 07:00 kept 21 days: the pass at 04:00 of the 21st day leaves it, the one after that day's run removes it."""
    rules: Rules = {Leg.BACKUP: {W: Rule(period=Period(21))}}
    made = point(Leg.BACKUP, at("2027-02-01 07:00"), W)
    assert [d.keep for d in decide([made], rules, at("2027-02-22 04:00"))] == [True]
    assert [d.keep for d in decide([made], rules, at("2027-02-22 07:05"))] == [False]


def test_example_moving_to_an_sla_policy_applies_the_templates_retention_to_the_whole_snapshot_chain() -> None:
    """Snapshots a schedule kept by count are kept by the template's age from then on."""
    by_count: Rules = {Leg.SNAPSHOT: {D: Rule(count=14)}}
    by_age: Rules = {Leg.SNAPSHOT: {D: Rule(period=Period(2))}}
    chain = [point(Leg.SNAPSHOT, at("2026-11-01 07:00") + timedelta(days=day), D) for day in range(10)]
    now = at("2026-11-10 08:00")
    assert all(decision.keep for decision in decide(chain, by_count, now))
    assert [f"{d.point.at:%d}" for d in decide(chain, by_age, now) if d.keep] == ["09", "10"]


def test_a_policy_that_holds_no_base_lets_the_base_go_with_its_flags() -> None:
    base = point(Leg.SNAPSHOT, at("2026-11-20 07:00"), D, base=True)
    backup = point(Leg.BACKUP, at("2026-11-20 07:00"), D)
    rules: Rules = {Leg.SNAPSHOT: {D: Rule(period=Period(2))}, Leg.BACKUP: {D: Rule(period=Period(9))}}
    early, late = at("2026-11-21 07:00"), at("2026-11-22 07:00")
    assert next((d.keep, d.release_base) for d in decide([base, backup], rules, early, track=False)) == (True, False)
    assert [d.keep for d in decide([base, backup], rules, late, track=False)] == [False, True]
    assert [d.keep for d in decide([base, backup], rules, late)] == [True, True]


def test_a_backup_that_stays_by_its_own_retention_holds_the_base() -> None:
    base = point(Leg.SNAPSHOT, at("2026-11-21 07:00"), base=True)
    temporary = replace(point(Leg.BACKUP, at("2026-11-21 07:00")), expires_at=at("2026-11-22 07:00"))
    expired = point(Leg.BACKUP, at("2026-11-01 07:00"), D)
    rules: Rules = {Leg.BACKUP: {D: Rule(period=Period(5))}}
    assert [d.keep for d in decide([base, temporary, expired], rules, at("2026-11-22 06:59"))] == [True, True, False]
    assert [d.keep for d in decide([base, temporary, expired], rules, at("2026-11-22 07:00"))] == [False, False, False]


def test_obsolete_snapshots_go_at_the_age_the_appliance_sets_and_nothing_else_does() -> None:
    old = at("2026-01-01 00:00")
    snapshot, replica = point(Leg.SNAPSHOT, old, D, base=True), point(Leg.REPLICA, old, D)
    manual = replace(point(Leg.SNAPSHOT, old), id=uuid5(SPACE, "manual"), manual=True)
    backup = replace(point(Leg.BACKUP, old, D), expires_at=at("2026-02-01 00:00"))
    unnamed = replace(point(Leg.ARCHIVE, old), expires_at=None)
    found = [snapshot, replica, manual, backup, unnamed]

    def kept(obsolete: Period | None, now: str) -> list[bool]:
        return [decision.keep for decision in decide_unattended(found, obsolete, at(now))]

    assert kept(None, "2030-01-01 00:00") == [True, True, True, False, True]
    assert kept(Period(15), "2026-01-15 23:59") == [True, True, True, True, True]
    assert kept(Period(15), "2026-01-16 00:00") == [False, False, True, True, True]
    assert kept(Period(1, Unit.MONTHS), "2026-01-31 23:59") == [True, True, True, True, True]
    assert kept(Period(1, Unit.MONTHS), "2026-02-01 00:00") == [False, False, True, False, True]


def test_a_temporary_snapshot_goes_unless_it_is_the_base() -> None:
    temporary, base = point(Leg.SNAPSHOT, at("2026-11-20 07:00")), point(Leg.SNAPSHOT, at("2026-11-21 07:00"), base=True)
    backup = point(Leg.BACKUP, at("2026-11-21 07:00"), D)
    found = decide([temporary, base, backup], {Leg.BACKUP: {D: Rule(period=Period(9))}}, at("2026-11-22 00:00"))
    assert [decision.keep for decision in found] == [False, True, True]
    assert "temporary" in found[0].reason


def test_the_base_is_released_with_the_last_backup_of_any_repository() -> None:
    base = point(Leg.SNAPSHOT, at("2026-11-01 07:00"), base=True)
    old = point(Leg.BACKUP, at("2026-11-01 07:00"), D)
    elsewhere = replace(old, id=uuid5(SPACE, "elsewhere"), repository_id=UUID(int=9), at=at("2026-11-20 07:00"))
    rules: Rules = {Leg.BACKUP: {D: Rule(period=Period(7))}}
    now = at("2026-11-22 00:00")
    assert [decision.keep for decision in decide([base, old, elsewhere], rules, now)] == [True, False, True]
    gone = decide([base, old], rules, now)
    assert [decision.keep for decision in gone] == [False, False]
    assert gone[0].release_base


def test_manual_snapshots_go_by_their_own_time_only() -> None:
    made = replace(point(Leg.SNAPSHOT, at("2026-01-01 00:00")), manual=True)
    timed = replace(made, id=uuid5(SPACE, "timed"), expires_at=at("2026-06-01 00:00"))
    now = at("2026-06-01 00:00")
    assert [d.keep for d in decide([made, timed], {}, now)] == [True, False]
    assert [d.keep for d in decide([made, timed], {}, now - timedelta(seconds=1))] == [True, True]


def test_an_interrupted_deletion_is_finished_and_deleted_points_are_not_mentioned() -> None:
    going = replace(point(Leg.SNAPSHOT, at("2026-11-20 07:00"), D), state=PointState.DELETING)
    gone = replace(point(Leg.SNAPSHOT, at("2026-11-21 07:00"), D), state=PointState.DELETED)
    found = decide([going, gone], {Leg.SNAPSHOT: {D: Rule(count=9)}}, at("2026-11-22 00:00"))
    assert [(d.point, d.keep) for d in found] == [(going, False)]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 60), st.sets(st.sampled_from(Frequency)), st.booleans()), max_size=12)
)
def test_resources_do_not_see_each_other(drawn: list[tuple[int, int, set[Frequency], bool]]) -> None:
    now = at("2026-11-22 00:00")
    rules: Rules = {Leg.SNAPSHOT: {D: Rule(count=2), W: Rule(count=1)}, Leg.BACKUP: {D: Rule(period=Period(20))}}
    points = [
        replace(
            point(Leg.BACKUP if backup else Leg.SNAPSHOT, now - timedelta(days=age), *sorted(flags, key=list(Frequency).index)),
            resource_id=UUID(int=who),
        )
        for who, age, flags, backup in drawn
    ]
    points = [replace(each, id=UUID(int=number)) for number, each in enumerate(points)]
    together = {d.point.id: (d.keep, d.reason) for d in decide(points, rules, now)}
    apart = {
        d.point.id: (d.keep, d.reason)
        for who in (0, 1)
        for d in decide([p for p in points if p.resource_id == UUID(int=who)], rules, now)
    }
    assert together == apart


def test_replicas_whose_frequency_was_changed_count_for_the_new_one() -> None:
    """The first of each week is replicated instead of the first of each day: none of the daily ones goes for that alone."""
    copies = [point(Leg.REPLICA, at(f"2026-11-{day:02} 07:00"), D) for day in (2, 9, 16)]
    decisions = decide(copies, {Leg.REPLICA: {W: Rule(period=Period(10))}}, at("2026-11-17 04:00"))
    assert [(d.keep, d.flags) for d in decisions] == [(False, ()), (True, (W,)), (True, (W,))]


def test_a_leg_the_policy_makes_no_more_is_kept_as_obsolete() -> None:
    copies = [point(Leg.REPLICA, at("2026-08-01 07:00"), D), point(Leg.REPLICA, at("2026-11-01 07:00"), D)]
    rules: Rules = {Leg.SNAPSHOT: {D: Rule(count=3)}, Leg.REPLICA: {}}
    now = at("2026-11-17 04:00")
    assert [d.keep for d in decide(copies, rules, now)] == [True, True]
    assert [d.keep for d in decide(copies, rules, now, obsolete=Period(2, Unit.MONTHS))] == [False, True]
    temporary = point(Leg.SNAPSHOT, at("2026-11-16 07:00"))
    assert [d.keep for d in decide([temporary], {Leg.SNAPSHOT: {}}, now)] == [False]
