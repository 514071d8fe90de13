"""What a policy says about itself, and what it warns of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from server.domain.guest import Guest
from server.domain.periods import WORK_DAYS, DayRule, Frequency, Ordinal, Period, Unit, Weekday
from server.domain.policy import Retention
from server.domain.policy_hints import warnings
from server.domain.policy_texts import keep_lines, schedule_text
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly
from server.domain.scope import VolumeExclusions
from server.domain.sla import ArchivePlan, DailyPlan, LegPlan, MonthlyPlan, ReplicaPlan, SlaTerms, WeeklyPlan, Window
from tests.domain.test_policy_rules import DAILY, DR, GOOD, MONTHLY, PROMISED, SLA, TERMS, WEEKLY, YEARLY

YEAR = Period(1, Unit.YEARS)
BACKED_UP = Rule(slots=(0,), period=Period(21))
LAST_FRIDAY = DayRule(ordinal=Ordinal.LAST, weekday=Weekday.FRIDAY)
EVERY_MONTH = tuple(range(1, 13))


def plan(**parts: Any) -> Schedule:
    return Schedule(**parts)


MONDAYS = Weekly(hour=7, snapshot=Rule(slots=(0,), count=1), backup=BACKED_UP)
ARCHIVED = Monthly(
    hour=7, day=LAST_FRIDAY, snapshot=Rule(count=1), archive=Rule(slots=EVERY_MONTH, period=Period(12, Unit.MONTHS))
)


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (None, "Started by hand only"),
        (plan(daily=replace(DAILY, enabled=False)), "Started by hand only"),
        (
            plan(weekly=MONDAYS, monthly=ARCHIVED, timezone="Europe/Berlin"),
            "Every Monday at 07:00, with a backup; last Friday of each month archived (Europe/Berlin)",
        ),
        (plan(daily=DAILY), "Every day at 07:00, 09:00 and 11:00, with a backup at 07:00 (UTC)"),
        (
            plan(daily=Daily(days=WORK_DAYS, per_hour=4, snapshot=Rule(slots=tuple(range(24)), count=3))),
            "Every work day every hour, 4 snapshots an hour (UTC)",
        ),
        (
            plan(daily=replace(DAILY, replica=Rule(slots=(7, 9, 11), count=1), days=(Weekday.SUNDAY,))),
            "Every Sunday at 07:00, 09:00 and 11:00, with a replica and a backup at 07:00 (UTC)",
        ),
        (plan(weekly=WEEKLY), "Every Monday and Friday at 07:00, with a backup on Monday (UTC)"),
        (plan(monthly=MONTHLY), "First Monday of January and July at 07:00, with a backup in January (UTC)"),
        (
            plan(monthly=replace(MONTHLY, day=DayRule(day=31), backup=None, archive=Rule(slots=(1,), period=Period(90)))),
            "Last day of January and July at 07:00 archived in January (UTC)",
        ),
        (plan(monthly=MONTHLY, yearly=YEARLY), "First Monday of January and July at 07:00, with a backup in January; "
         "first Monday of December each year, with a backup (UTC)"),
        (
            plan(yearly=replace(YEARLY, day=DayRule(day=2), backup=None, archive=Rule(slots=(3,), period=YEAR))),
            "Day 2 of March each year at 07:00 archived (UTC)",
        ),
    ],
)  # fmt: skip
def test_a_schedule_is_told_in_one_sentence(schedule: Schedule | None, text: str) -> None:
    assert schedule_text(replace(GOOD, schedule=schedule), None) == text


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        (TERMS, "Snapshots every hour around the clock (each Region's own time; 97 % promised)"),
        (
            SlaTerms(
                snapshot=LegPlan(
                    window=Window(start=540, end=1260),
                    daily=DailyPlan(every_minutes=120, keep=Period(1)),
                    weekly=WeeklyPlan(days=(Weekday.MONDAY,), keep=Period(30)),
                    monthly=MonthlyPlan(months=(1,), day=LAST_FRIDAY, keep=Period(90)),
                ),
                replica=ReplicaPlan(first_of=Frequency.WEEKLY, keep=Period(30)),
                backup=LegPlan(window=Window(start=0, end=30), daily=DailyPlan(every_minutes=30, keep=Period(1))),
                archive=ArchivePlan(months=(1, 7), keep=Period(365)),
                target=90,
            ),
            "Snapshots every 2 hours, every Monday and on the last Friday of January from 09:00 to 21:00; "
            "the first one of each week copied; backups every 30 minutes from 00:00 to 00:30; "
            "archived in January and July (each Region's own time; 90 % promised)",
        ),
    ],
)
def test_a_promise_is_told_in_one_sentence(terms: SlaTerms, text: str) -> None:
    assert schedule_text(SLA, terms) == text


def test_what_is_kept_is_told_leg_by_leg() -> None:
    daily = replace(DAILY, snapshot=Rule(slots=(7,), count=1))
    policy = replace(GOOD, schedule=Schedule(daily=daily, weekly=MONDAYS), archive_repository_id=None)
    assert [(one.leg, one.frequency, one.text) for one in keep_lines(policy, None)] == [
        (Leg.SNAPSHOT, Frequency.DAILY, "The newest daily snapshot"),
        (Leg.SNAPSHOT, Frequency.WEEKLY, "The newest weekly snapshot"),
        (Leg.BACKUP, Frequency.DAILY, "Each daily backup for 30 days"),
        (Leg.BACKUP, Frequency.WEEKLY, "Each weekly backup for 21 days"),
    ]
    by_hand = replace(GOOD, schedule=None, retention=Retention(snapshots=0), replicas=(DR,), archive_repository_id=None)
    assert [one.text for one in keep_lines(by_hand, None)] == [
        "No daily snapshot",
        "The 7 newest daily replicas",
        "Each daily backup for 30 days",
    ]
    assert [one.text for one in keep_lines(SLA, PROMISED)] == [
        "Each daily snapshot for 30 days",
        "Each daily backup for 30 days",
        "Each monthly archive for 12 months",
    ]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (plan(daily=DAILY, weekly=WEEKLY), ""),
        (plan(daily=DAILY, weekly=replace(WEEKLY, hour=8)), "The weekly schedule runs at times of its own"),
        (plan(daily=replace(DAILY, days=(Weekday.SUNDAY,)), weekly=WEEKLY), "The weekly schedule runs at times of its own"),
        (plan(weekly=WEEKLY), ""),
        (plan(weekly=WEEKLY, monthly=MONTHLY), ""),
        (plan(weekly=WEEKLY, monthly=replace(MONTHLY, day=DayRule(day=1))), "The monthly schedule runs at times of its own"),
        (plan(daily=DAILY, monthly=replace(MONTHLY, day=DayRule(day=1))), ""),
        (plan(monthly=MONTHLY, yearly=replace(YEARLY, backup=Rule(slots=(7,), period=Period(1, Unit.YEARS)))), ""),
        (plan(monthly=MONTHLY, yearly=YEARLY), "The yearly schedule runs at times of its own"),
        (plan(weekly=MONDAYS, monthly=ARCHIVED), "No backup is made when the monthly archive is"),
        (plan(weekly=MONDAYS, monthly=replace(ARCHIVED, day=DayRule(weekday=Weekday.MONDAY))), ""),
        (plan(daily=replace(DAILY, snapshot=Rule(slots=(7, 9, 11), count=0))), "No snapshot is kept"),
    ],
)
def test_runs_that_no_other_schedule_shares_are_told(schedule: Schedule, said: str) -> None:
    found = warnings(replace(GOOD, schedule=schedule), None)
    assert [one for one in found if not said or said in one] == list(found)
    assert bool(found) == bool(said)


def test_exclusions_that_do_not_work_inside_windows_are_told() -> None:
    aware = replace(GOOD, schedule=None, guest=Guest(application_aware=True))
    assert warnings(aware, None) == ()
    system = replace(aware, scope=replace(aware.scope, excluded_volumes=VolumeExclusions(system=True)))
    assert warnings(system, None) == ()
    named = replace(aware, scope=replace(aware.scope, excluded_volumes=VolumeExclusions(volume_ids=("vol-12345678",))))
    assert len(warnings(named, None)) == 1
    assert len(warnings(replace(SLA, replicas=(DR,)), TERMS)) == 1
