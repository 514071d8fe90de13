"""What may be stored as a policy, and what is said about the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import pytest

from server.domain.guest import Guest, Script, Scripts
from server.domain.periods import DayRule, Frequency, Ordinal, Period, Unit, Weekday
from server.domain.policy import HealthCheck, Notifications, Policy, PolicyKind, Retention, Retries, Tag
from server.domain.policy_rules import makes, problems, runs_by_itself
from server.domain.replicas import ReplicaTarget
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly
from server.domain.scope import Scope, SelectionMode, TagMatch, VolumeExclusions
from server.domain.sla import ArchivePlan, DailyPlan, LegPlan, ReplicaPlan, SlaTerms
from server.domain.templates import Location, StorageTemplate

SPACE = UUID(int=0)
HOME, REPOSITORY, ARCHIVE = uuid5(SPACE, "home"), uuid5(SPACE, "repository"), uuid5(SPACE, "archive")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SCOPE = Scope(account_id=HOME, regions=("us-east-1", "eu-central-1"))
FIRST_MONDAY = DayRule(weekday=Weekday.MONDAY)
DAYS30, MONTHS12, YEARS7 = Period(30), Period(12, Unit.MONTHS), Period(7, Unit.YEARS)


def hourly(*hours: int) -> Rule:
    return Rule(slots=hours, count=3)


DAILY = Daily(snapshot=hourly(7, 9, 11), backup=Rule(slots=(7,), period=DAYS30))
WEEKLY = Weekly(hour=7, snapshot=Rule(slots=(0, 4), count=2), backup=Rule(slots=(0,), period=DAYS30))
MONTHLY = Monthly(hour=7, day=FIRST_MONDAY, snapshot=Rule(slots=(1, 7), count=2), backup=Rule(slots=(1,), period=MONTHS12))
YEARLY = Yearly(hour=7, day=FIRST_MONDAY, backup=Rule(slots=(12,), period=YEARS7))
GOOD = Policy(
    id=uuid5(SPACE, "policy"),
    name="Nightly",
    scope=SCOPE,
    schedule=Schedule(daily=DAILY, weekly=WEEKLY, monthly=MONTHLY, yearly=YEARLY, timezone="Europe/Berlin"),
    repository_id=REPOSITORY,
    archive_repository_id=ARCHIVE,
    created_at=NOW,
    updated_at=NOW,
)
TERMS = SlaTerms(snapshot=LegPlan(daily=DailyPlan(every_minutes=60, keep=DAYS30)))
PROMISED = replace(TERMS, backup=TERMS.snapshot, archive=ArchivePlan(months=(1,), keep=MONTHS12))
STORAGE = StorageTemplate(
    id=uuid5(SPACE, "storage"),
    name="storage",
    backup=Location(default_id=REPOSITORY),
    archive=Location(default_id=ARCHIVE),
    created_at=NOW,
    updated_at=NOW,
)
SLA = replace(
    GOOD,
    kind=PolicyKind.SLA,
    schedule=None,
    repository_id=None,
    archive_repository_id=None,
    sla_template_id=uuid5(SPACE, "template"),
    storage_template_id=STORAGE.id,
)
DR = ReplicaTarget(account_id=HOME, region="us-west-2")


def changed(**changes: Any) -> Policy:
    return replace(GOOD, **changes)


def scheduled(**parts: Any) -> Policy:
    assert GOOD.schedule is not None
    return replace(GOOD, schedule=replace(GOOD.schedule, **parts))


def scoped(**changes: Any) -> Policy:
    return replace(GOOD, scope=replace(SCOPE, **changes))


def daily(**changes: Any) -> Policy:
    return scheduled(daily=replace(DAILY, **changes))


def monthly(**changes: Any) -> Policy:
    return scheduled(monthly=replace(MONTHLY, **changes), yearly=None)


def yearly(**changes: Any) -> Policy:
    return scheduled(yearly=replace(YEARLY, **changes))


ARCHIVED = Rule(slots=(1, 3), period=MONTHS12)
ON_DAY = DayRule(day=31)


@pytest.mark.parametrize(
    "policy",
    [
        GOOD,
        changed(schedule=None, repository_id=None, archive_repository_id=None),
        changed(name="x" * 127, description="x" * 255),
        changed(retention=Retention(snapshots=0, replicas=1, backups=Period(1), archives=Period(99, Unit.YEARS))),
        changed(tags=tuple(Tag(key=f"k{n}" + "k" * 120, value="v" * 256) for n in range(5))),
        changed(replicas=(DR,)),
        changed(replicas=(replace(DR, region="eu-central-1", regions=("us-east-1",)), replace(DR, region="us-east-1"))),
        changed(replicas=(replace(DR, account_id=uuid5(SPACE, "other"), region="us-east-1"),)),
        changed(replicas=(replace(DR, encrypt=True, kms_key="arn:aws:kms:us-west-2:123456789012:key/mrk-1"),)),
        changed(notifications=Notifications(recipients=("ops@example.com", "a.b+c@mail.example.co.uk"))),
        changed(guest=Guest(application_aware=True, windows=Scripts(post=Script(path=r"\\share\thaw.PS1")))),
        scoped(mode=SelectionMode.LISTED, tags=(TagMatch(key="k" * 128, value="v" * 256),)),
        scoped(excluded_volumes=VolumeExclusions(volume_ids=("vol-12345678", "vol-0123456789abcdef0"))),
        daily(backup=None),
        daily(per_hour=12, snapshot=Rule(slots=(7,), count=0)),
        monthly(day=ON_DAY, hour=3),
        monthly(backup=None, archive=ARCHIVED),
        monthly(snapshot=Rule(count=1), backup=None, archive=ARCHIVED),
        monthly(enabled=False, snapshot=Rule(count=1), backup=None, hour=3),
        yearly(day=ON_DAY, hour=0),
        yearly(backup=None, archive=Rule(slots=(1,), period=YEARS7)),
        scheduled(weekly=None, monthly=None, yearly=replace(YEARLY, hour=2)),
        SLA,
    ],
)
def test_a_good_policy_has_no_problems(policy: Policy) -> None:
    assert problems(policy, PROMISED, STORAGE) == {}


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        (changed(name="  "), "name"),
        (changed(name="x" * 128), "name"),
        (changed(description="x" * 256), "description"),
        (scoped(regions=()), "scope.regions"),
        (scoped(regions=tuple(f"r-{n}" for n in range(65))), "scope.regions"),
        (scoped(mode=SelectionMode.LISTED), "scope.resourceIds"),
        (scoped(resource_ids=(HOME,) * 1001), "scope.resourceIds"),
        (scoped(excluded_resource_ids=(HOME,) * 1001), "scope.excludedResourceIds"),
        (scoped(tags=(TagMatch(key="a"),) * 51), "scope.tags"),
        (scoped(excluded_tags=(TagMatch(key=""),)), "scope.excludedTags"),
        (scoped(tags=(TagMatch(key="a", value="v" * 257),)), "scope.tags"),
        (scoped(excluded_volumes=VolumeExclusions(volume_ids=("vol-1",))), "scope.excludedVolumes.volumeIds"),
        (scoped(excluded_volumes=VolumeExclusions(volume_ids=("vol-12345678",) * 1001)), "scope.excludedVolumes.volumeIds"),
        (scoped(excluded_volumes=VolumeExclusions(tags=(TagMatch(key=""),))), "scope.excludedVolumes.tags"),
        (scheduled(timezone="Mars/Olympus"), "schedule.timezone"),
        (daily(snapshot=hourly(), backup=None), "schedule.daily.snapshot.slots"),
        (daily(snapshot=hourly(7, 24)), "schedule.daily.snapshot.slots"),
        (daily(backup=Rule(slots=(8,), period=DAYS30)), "schedule.daily.backup.slots"),
        (daily(days=()), "schedule.daily.days"),
        (daily(per_hour=7), "schedule.daily.perHour"),
        (daily(per_hour=0), "schedule.daily.perHour"),
        (daily(snapshot=Rule(slots=(7,))), "schedule.daily.snapshot.count"),
        (daily(snapshot=Rule(slots=(7,), count=1001)), "schedule.daily.snapshot.count"),
        (daily(snapshot=Rule(slots=(7,), count=1, period=DAYS30)), "schedule.daily.snapshot.period"),
        (daily(backup=Rule(slots=(7,))), "schedule.daily.backup.period"),
        (daily(backup=Rule(slots=(7,), count=3, period=DAYS30)), "schedule.daily.backup.count"),
        (daily(backup=Rule(slots=(7,), period=Period(0))), "schedule.daily.backup.period"),
        (daily(backup=Rule(slots=(7,), period=Period(1189, Unit.MONTHS))), "schedule.daily.backup.period"),
        (scheduled(weekly=replace(WEEKLY, snapshot=Rule(slots=(0, 4, 7), count=2))), "schedule.weekly.snapshot.slots"),
        (scheduled(weekly=replace(WEEKLY, hour=24), monthly=None, yearly=None), "schedule.weekly.hour"),
        (scheduled(weekly=replace(WEEKLY, backup=Rule(slots=(2,), period=DAYS30))), "schedule.weekly.backup.slots"),
        (monthly(hour=8), "schedule.monthly.hour"),
        (monthly(day=DayRule()), "schedule.monthly.day"),
        (monthly(day=DayRule(weekday=Weekday.MONDAY, day=3)), "schedule.monthly.day"),
        (monthly(day=DayRule(day=32)), "schedule.monthly.day"),
        (monthly(archive=ARCHIVED), "schedule.monthly.archive"),
        (monthly(backup=Rule(slots=(13,), period=DAYS30)), "schedule.monthly.backup.slots"),
        (yearly(hour=8), "schedule.yearly.hour"),
        (yearly(day=DayRule(ordinal=Ordinal.LAST, weekday=Weekday.MONDAY)), "schedule.yearly.day"),
        (yearly(archive=Rule(slots=(1,), period=YEARS7)), "schedule.yearly.archive"),
        (yearly(backup=None), "schedule.yearly"),
        (yearly(backup=Rule(slots=(1, 2), period=YEARS7)), "schedule.yearly.backup.slots"),
        (yearly(backup=Rule(slots=(1,), period=MONTHS12)), "schedule.yearly.backup.period"),
        (scheduled(monthly=None, yearly=replace(YEARLY, day=DayRule(weekday=Weekday.SUNDAY))), "schedule.yearly.day"),
        (changed(repository_id=None, archive_repository_id=None), "repositoryId"),
        (changed(schedule=None, repository_id=None), "repositoryId"),
        (replace(monthly(backup=None, archive=ARCHIVED), archive_repository_id=None), "archiveRepositoryId"),
        (changed(sla_template_id=HOME), "slaTemplateId"),
        (changed(storage_template_id=HOME), "storageTemplateId"),
        (changed(retention=Retention(snapshots=-1)), "retention.snapshots"),
        (changed(retention=Retention(snapshots=1001)), "retention.snapshots"),
        (changed(retention=Retention(replicas=0)), "retention.replicas"),
        (changed(retention=Retention(backups=Period(0))), "retention.backups"),
        (changed(retention=Retention(archives=Period(36136))), "retention.archives"),
        (changed(retries=Retries(attempts=10)), "retryAttempts"),
        (changed(tags=tuple(Tag(key=f"k{n}") for n in range(6))), "tags"),
        (changed(tags=(Tag(key=""),)), "tags.0.key"),
        (changed(tags=(Tag(key="k" * 129),)), "tags.0.key"),
        (changed(tags=(Tag(key="ok"), Tag(key="AWS:x"))), "tags.1.key"),
        (changed(tags=(Tag(key="holdfast:policy"),)), "tags.0.key"),
        (changed(tags=(Tag(key="a", value="v" * 257),)), "tags.0.value"),
        (changed(tags=(Tag(key="a", value="\n"),)), "tags.0"),
        (changed(replicas=(DR, DR)), "replicas.1.regions"),
        (changed(replicas=(replace(DR, region="eu-central-1"),)), "replicas.0.region"),
        (changed(replicas=(replace(DR, regions=("sa-east-1",)),)), "replicas.0.regions"),
        (changed(replicas=(replace(DR, region=""),)), "replicas.0.region"),
        (changed(replicas=(replace(DR, kms_key="alias/x"),)), "replicas.0.kmsKey"),
        (changed(replicas=(replace(DR, encrypt=True, kms_key="not a key"),)), "replicas.0.kmsKey"),
        (
            changed(replicas=(replace(DR, encrypt=True, kms_key="arn:aws:kms:eu-west-1:123456789012:key/k"),)),
            "replicas.0.kmsKey",
        ),
        (changed(replicas=(DR,) * 65), "replicas"),
        (daily(replica=Rule(slots=(7,), count=1)), "replicas"),
        (replace(daily(replica=Rule(slots=(7,), count=1)), replicas=(replace(DR, regions=("us-east-1",)),)), "replicas"),
        (changed(guest=Guest(linux=Scripts())), "guest.linux"),
        (changed(guest=Guest(linux=Scripts(pre=Script(path="/x.ps1")))), "guest.linux.pre.path"),
        (changed(guest=Guest(windows=Scripts(pre=Script(path=r"C:\x.sh")))), "guest.windows.pre.path"),
        (changed(notifications=Notifications(recipients=())), "notifications.recipients"),
        (changed(notifications=Notifications(recipients=tuple(f"a{n}@b.c" for n in range(21)))), "notifications.recipients"),
        (changed(notifications=Notifications(recipients=("a@b.c", "not an address"))), "notifications.recipients.1"),
        (changed(notifications=Notifications(recipients=("a@b.c;d@e.f",))), "notifications.recipients.0"),
        (changed(notifications=Notifications(recipients=("a@b.c", "A@b.c"))), "notifications.recipients.1"),
        (changed(notifications=Notifications(recipients=("a@b.c",), only_missed=True)), "notifications"),
        (
            changed(notifications=Notifications(recipients=("a@b.c",), on_success=False, on_warning=False, on_failure=False)),
            "notifications",
        ),
        (replace(SLA, sla_template_id=None), "slaTemplateId"),
        (replace(SLA, schedule=GOOD.schedule), "schedule"),
        (replace(SLA, repository_id=REPOSITORY), "repositoryId"),
        (replace(SLA, archive_repository_id=ARCHIVE), "archiveRepositoryId"),
        (replace(SLA, health_check=HealthCheck()), "healthCheck"),
        (replace(SLA, notifications=Notifications(recipients=("a@b.c",), at_minute=1440)), "notifications.atMinute"),
    ],
)
def test_a_problem_names_the_input_and_what_to_do(policy: Policy, path: str) -> None:
    found = problems(policy, PROMISED, STORAGE)
    assert list(found) == [path]
    assert found[path].endswith(".")


def test_without_backups_there_is_nothing_to_verify_or_check() -> None:
    bare = replace(daily(backup=None), schedule=Schedule(daily=replace(DAILY, backup=None)))
    bare = replace(bare, repository_id=None, archive_repository_id=None, verify=True, health_check=HealthCheck())
    assert problems(bare).keys() == {"verify", "healthCheck"}
    assert problems(replace(SLA, verify=True), TERMS, None).keys() == {"verify"}


# ---- templates --------------------------------------------------------------------------------------------------------


def test_what_a_template_promises_needs_a_place() -> None:
    bare = replace(SLA, storage_template_id=None)
    assert problems(bare, TERMS, None) == {}
    assert problems(bare, PROMISED, None).keys() == {"storageTemplateId"}
    assert problems(SLA, PROMISED, replace(STORAGE, archive=None)).keys() == {"storageTemplateId"}
    copied = replace(TERMS, replica=ReplicaPlan(first_of=Frequency.DAILY, keep=DAYS30))
    assert problems(bare, copied, None) == {"replicas": "The SLA template promises replicas: say where they go."}
    one = replace(bare, replicas=(replace(DR, regions=("us-east-1",)),))
    assert problems(one, copied, None) == {
        "replicas": "Snapshots are to be copied, but nothing says where those of eu-central-1 go: add a target for it."
    }
    assert problems(replace(bare, replicas=(DR,)), copied, None) == {}


def test_a_policy_makes_what_its_schedules_or_its_template_say() -> None:
    assert makes(GOOD, None) == {Leg.SNAPSHOT, Leg.BACKUP}
    assert makes(monthly(backup=None, archive=ARCHIVED), None) == {Leg.SNAPSHOT, Leg.BACKUP, Leg.ARCHIVE}
    assert makes(SLA, PROMISED) == {Leg.SNAPSHOT, Leg.BACKUP, Leg.ARCHIVE}
    assert makes(SLA, TERMS) == {Leg.SNAPSHOT}


def test_a_policy_without_a_schedule_that_runs_is_started_by_hand() -> None:
    assert runs_by_itself(GOOD)
    assert runs_by_itself(SLA)
    assert not runs_by_itself(replace(GOOD, schedule=None))
    assert not runs_by_itself(replace(GOOD, schedule=Schedule(daily=replace(DAILY, enabled=False))))
