"""Worked examples of schedules, played through whole runs: what is there after each."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from server.domain.periods import WORK_DAYS, DayRule, Frequency, Ordinal, Period, Unit, Weekday
from server.domain.repository import StorageClass
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly
from server.domain.session import State
from tests.services.engine.harness import Appliance
from tests.services.engine.test_protection import DISK, block, points


def at_slots(appliance: Appliance, policy_id: UUID, slots: list[datetime]) -> None:
    for slot in slots:
        appliance.clock.set(slot)
        appliance.tick()
        appliance.work()
        with appliance.app.store.transaction() as tx:
            last = tx.policies.get(policy_id).last_session_id
        assert last is not None
        assert appliance.session(last).state is State.SUCCESS, appliance.lines(last)


def chain(appliance: Appliance, leg: Leg = Leg.SNAPSHOT) -> dict[str, str]:
    letters = {flag: flag.value[0].upper() for flag in Frequency}
    return {f"{point.at:%a%d-%H}": "".join(letters[flag] for flag in point.flags) for point in points(appliance, leg)}


def test_example_weekly_and_daily_snapshots_share_one_chain(appliance: Appliance) -> None:
    """Daily Monday to Friday at 7, 9 and 11, keep 3; weekly on Mondays at 7, keep 2."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    schedule = Schedule(
        daily=Daily(days=WORK_DAYS, snapshot=Rule(slots=(7, 9, 11), count=3)),
        weekly=Weekly(hour=7, snapshot=Rule(slots=(0,), count=2)),
    )
    policy = appliance.policy(account, schedule=schedule)

    def day(number: int, *hours: int) -> list[datetime]:
        return [datetime(2026, 3, number, hour, tzinfo=UTC) for hour in hours]

    at_slots(appliance, policy.id, day(2, 7, 9, 11))
    assert chain(appliance) == {"Mon02-07": "DW", "Mon02-09": "D", "Mon02-11": "D"}
    at_slots(appliance, policy.id, day(3, 7))
    assert chain(appliance) == {"Mon02-07": "W", "Mon02-09": "D", "Mon02-11": "D", "Tue03-07": "D"}
    at_slots(appliance, policy.id, day(3, 9))
    assert chain(appliance) == {"Mon02-07": "W", "Mon02-11": "D", "Tue03-07": "D", "Tue03-09": "D"}
    at_slots(appliance, policy.id, [*day(3, 11), *(each for number in (4, 5, 6) for each in day(number, 7, 9, 11))])
    at_slots(appliance, policy.id, day(9, 7))
    assert chain(appliance) == {"Mon02-07": "W", "Fri06-09": "D", "Fri06-11": "D", "Mon09-07": "DW"}
    at_slots(appliance, policy.id, [*day(9, 9, 11), *(each for number in (10, 11, 12, 13) for each in day(number, 7, 9, 11))])
    at_slots(appliance, policy.id, day(16, 7))
    assert chain(appliance) == {"Mon09-07": "W", "Fri13-09": "D", "Fri13-11": "D", "Mon16-07": "DW"}


def test_example_archives_of_odd_months_follow_the_weekly_backup(appliance: Appliance) -> None:
    """Weekly on Mondays at 7, kept 21 days; archives on the first Monday of odd months, kept 12 months."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    vault = appliance.repository(account)
    archive = appliance.repository(account, "glacier", storage_class=StorageClass.GLACIER)
    first_monday = DayRule(ordinal=Ordinal.FIRST, weekday=Weekday.MONDAY)
    odd = (1, 3, 5, 7, 9, 11)
    schedule = Schedule(
        weekly=Weekly(hour=7, snapshot=Rule(slots=(0,), count=1), backup=Rule(slots=(0,), period=Period(21))),
        monthly=Monthly(
            hour=7,
            day=first_monday,
            snapshot=Rule(slots=odd, count=0),
            archive=Rule(slots=odd, period=Period(12, Unit.MONTHS)),
        ),
    )
    appliance.clock.set(datetime(2027, 2, 1, 6, tzinfo=UTC))
    policy = appliance.policy(account, repository=vault, archive=archive, schedule=schedule)

    def monday(year: int, month: int, day: int) -> list[datetime]:
        return [datetime(year, month, day, 7, tzinfo=UTC)]

    def dates(leg: Leg) -> list[str]:
        return [f"{point.at:%d %b %Y}" for point in points(appliance, leg)]

    for day in (1, 8, 15, 22):
        at_slots(appliance, policy.id, monday(2027, 2, day))
    assert dates(Leg.BACKUP) == ["08 Feb 2027", "15 Feb 2027", "22 Feb 2027"]
    assert dates(Leg.ARCHIVE) == []
    at_slots(appliance, policy.id, monday(2027, 3, 1))
    assert dates(Leg.BACKUP) == ["15 Feb 2027", "22 Feb 2027", "01 Mar 2027"]
    assert dates(Leg.ARCHIVE) == ["01 Mar 2027"]
    appliance.cloud.machines["i-web-1"].volumes["vol-a"][1] = block("changed")
    for day in (8, 15, 22, 29):
        at_slots(appliance, policy.id, monday(2027, 3, day))
    at_slots(appliance, policy.id, monday(2027, 5, 3))
    assert dates(Leg.ARCHIVE) == ["01 Mar 2027", "03 May 2027"]
    full, increment = points(appliance, Leg.ARCHIVE)
    assert increment.stored_bytes < full.stored_bytes
    at_slots(appliance, policy.id, monday(2028, 3, 6))
    assert dates(Leg.ARCHIVE) == ["03 May 2027", "06 Mar 2028"], "a year old: the one of 1 March 2027 has gone"


def test_example_an_archive_on_a_day_without_a_backup_makes_a_temporary_one_for_a_day(appliance: Appliance) -> None:
    """Backups Monday to Friday; the first of the month, on which the archive is due, is Sunday, 1 November 2026."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    vault = appliance.repository(account)
    archive = appliance.repository(account, "glacier", storage_class=StorageClass.GLACIER)
    schedule = Schedule(
        daily=Daily(days=WORK_DAYS, snapshot=Rule(slots=(7,), count=2), backup=Rule(slots=(7,), period=Period(7))),
        monthly=Monthly(
            hour=7,
            day=DayRule(day=1),
            snapshot=Rule(slots=(), count=0),
            archive=Rule(slots=(11,), period=Period(12, Unit.MONTHS)),
        ),
    )
    appliance.clock.set(datetime(2026, 10, 30, 6, tzinfo=UTC))
    policy = appliance.policy(account, repository=vault, archive=archive, schedule=schedule)
    at_slots(appliance, policy.id, [datetime(2026, 10, 30, 7, tzinfo=UTC), datetime(2026, 11, 1, 7, tzinfo=UTC)])
    assert chain(appliance, Leg.ARCHIVE) == {"Sun01-07": "M"}
    assert chain(appliance, Leg.BACKUP) == {"Fri30-07": "D", "Sun01-07": ""}
    assert chain(appliance) == {"Fri30-07": "D", "Sun01-07": ""}, "temporary, and held: the next backup is compared with it"
    at_slots(appliance, policy.id, [datetime(2026, 11, 2, 7, tzinfo=UTC)])
    assert chain(appliance, Leg.BACKUP) == {"Fri30-07": "D", "Mon02-07": "D"}
    assert chain(appliance) == {"Fri30-07": "D", "Mon02-07": "D"}
    assert chain(appliance, Leg.ARCHIVE) == {"Sun01-07": "M"}
