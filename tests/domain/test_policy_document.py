"""Policies as text: what is written reads back to the same policy, and every mistake is told at its place."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.guest import Guest, Script, Scripts
from server.domain.periods import DayRule, Ordinal, Period, Unit, Weekday
from server.domain.policy import HealthCheck, Notifications, Policy, PolicyKind, Retention, Retries, Tag
from server.domain.policy_document import Names, document, entries, read, read_day, read_period, write
from server.domain.replicas import KeyUsage, ReplicaTarget
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly
from server.domain.scope import Scope, SelectionMode, TagMatch, VolumeExclusions
from server.domain.strict import Spot

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HOME, DR, VAULT, COLD, GOLD, PLACES, WEB, DB = (UUID(int=number) for number in range(1, 9))
NAMES = Names(
    accounts={"Home": HOME, "DR": DR},
    repositories={"vault": VAULT, "cold": COLD},
    sla_templates={"Gold": GOLD},
    storage_templates={"Places": PLACES},
    resources={"i-web": WEB, "i-db": DB},
)
DECIDED = [one.name for one in fields(Policy)]

names = st.text(min_size=1, max_size=20)
tag_matches = st.builds(
    TagMatch,
    key=st.text("ab=: ", min_size=1, max_size=4),
    value=st.none() | st.text(max_size=9),
)
periods = st.builds(Period, st.integers(1, 999), st.sampled_from(Unit))
days = st.builds(DayRule, day=st.integers(1, 31)) | st.builds(
    DayRule, ordinal=st.sampled_from(Ordinal), weekday=st.sampled_from(Weekday)
)


def rules(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Rule]:
    slots = st.lists(numbers, max_size=4, unique=True).map(tuple)
    return st.builds(Rule, slots=slots, count=st.integers(0, 99)) | st.builds(Rule, slots=slots, period=periods)


hours, weekdays, months = st.integers(0, 23), st.integers(0, 6), st.integers(1, 12)
schedules = st.builds(
    Schedule,
    timezone=st.sampled_from(["UTC", "Europe/Berlin"]),
    daily=st.none()
    | st.builds(
        Daily,
        enabled=st.booleans(),
        days=st.lists(st.sampled_from(Weekday), min_size=1, unique=True).map(tuple),
        per_hour=st.integers(1, 4),
        snapshot=rules(hours),
        replica=st.none() | rules(hours),
        backup=st.none() | rules(hours),
    ),
    weekly=st.none() | st.builds(Weekly, hour=hours, snapshot=rules(weekdays), backup=st.none() | rules(weekdays)),
    monthly=st.none() | st.builds(Monthly, hour=hours, day=days, snapshot=rules(months), archive=st.none() | rules(months)),
    yearly=st.none() | st.builds(Yearly, hour=hours, day=days, backup=st.none() | rules(months)),
)
scripts = st.none() | st.builds(
    Scripts,
    pre=st.none() | st.builds(Script, path=names, arguments=st.text(max_size=9)),
    timeout_seconds=st.integers(1, 900),
    ignore_missing=st.booleans(),
)
resources = st.lists(st.sampled_from([WEB, DB]), unique=True).map(tuple)
scopes = st.builds(
    Scope,
    account_id=st.sampled_from([HOME, DR]),
    regions=st.lists(st.sampled_from(["eu-west-1", "us-east-1"]), min_size=1, unique=True).map(tuple),
    mode=st.just(SelectionMode.ALL),
    excluded_resource_ids=resources,
    excluded_tags=st.lists(tag_matches, max_size=2).map(tuple),
    excluded_volumes=st.builds(
        VolumeExclusions,
        system=st.booleans(),
        volume_ids=st.lists(st.just("vol-1"), max_size=1).map(tuple),
        tags=st.lists(tag_matches, max_size=1).map(tuple),
    ),
) | st.builds(
    Scope,
    account_id=st.just(HOME),
    regions=st.just(("eu-west-1",)),
    mode=st.just(SelectionMode.LISTED),
    resource_ids=resources,
    tags=st.lists(tag_matches, max_size=2).map(tuple),
)
policies = st.builds(
    Policy,
    id=st.just(UUID(int=99)),
    name=names,
    description=st.text(max_size=9),
    kind=st.sampled_from(PolicyKind),
    enabled=st.booleans(),
    priority=st.integers(1, 9),
    scope=scopes,
    schedule=st.none() | schedules,
    sla_template_id=st.none() | st.just(GOLD),
    storage_template_id=st.none() | st.just(PLACES),
    repository_id=st.none() | st.just(VAULT),
    archive_repository_id=st.none() | st.just(COLD),
    replicas=st.lists(
        st.builds(
            ReplicaTarget,
            regions=st.just(()) | st.just(("eu-west-1",)),
            account_id=st.sampled_from([HOME, DR]),
            region=st.just("eu-north-1"),
            encrypt=st.booleans(),
            kms_key=st.none() | st.just("alias/dr"),
            key_usage=st.sampled_from(KeyUsage),
        ),
        max_size=2,
    ).map(tuple),
    guest=st.builds(Guest, application_aware=st.booleans(), linux=scripts, windows=scripts),
    copy_tags=st.booleans(),
    tags=st.dictionaries(names, st.text(max_size=9), max_size=3).map(
        lambda pairs: tuple(Tag(key=key, value=value) for key, value in pairs.items())
    ),
    retention=st.builds(Retention, snapshots=st.integers(0, 9), backups=periods),
    retries=st.builds(Retries, attempts=st.integers(0, 9)),
    notifications=st.none()
    | st.builds(Notifications, recipients=st.just(("ops@example.org",)), on_success=st.booleans(), at_minute=st.none() | hours),
    verify=st.booleans(),
    health_check=st.none() | st.builds(HealthCheck, ordinal=st.sampled_from(Ordinal), weekday=st.sampled_from(Weekday)),
    created_at=st.just(NOW),
    updated_at=st.just(NOW),
)


def read_back(entry: Any) -> tuple[dict[str, Any], dict[str, str]]:
    problems: dict[str, str] = {}
    found = read(Spot(json.loads(json.dumps(entry)), "policies.0", problems), NAMES)
    return found, problems


@given(policies)
@settings(max_examples=150, deadline=None)
def test_what_is_written_reads_back_to_the_same_policy(policy: Policy) -> None:
    found, problems = read_back(write(policy, NAMES))
    assert problems == {}
    again = replace(Policy(id=policy.id, name="", scope=policy.scope, created_at=NOW, updated_at=NOW), **found)
    assert again == policy


def nightly(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": "Nightly",
        "account": "Home",
        "regions": ["eu-west-1"],
        "schedule": {"daily": {"snapshot": {"hours": [7], "keep": 7}}},
    }
    return entry | changes


def test_defaults_are_left_out() -> None:
    entry = nightly(priority=1)
    found, _ = read_back(entry)
    policy = replace(Policy(id=UUID(int=99), name="", scope=found["scope"], created_at=NOW, updated_at=NOW), **found)
    wanted = {**entry, "schedule": {"timezone": "UTC", **entry["schedule"]}}
    assert write(policy, NAMES) == wanted


@pytest.mark.parametrize(
    ("entry", "path", "sentence"),
    [
        (nightly(acount="Home"), "policies.0.acount", "There is no field 'acount' here. Did you mean account?"),
        ({"regions": []}, "policies.0.name", "This is needed."),
        (nightly(account="Hom"), "policies.0.account", "There is no account 'Hom'."),
        (nightly(repository="volt"), "policies.0.repository", "There is no repository 'volt'."),
        (nightly(enabled="yes"), "policies.0.enabled", "true or false is expected here, not 'yes'."),
        (nightly(regions="eu-west-1"), "policies.0.regions", "A list is expected here, not 'eu-west-1'."),
        (nightly(schedule=[]), "policies.0.schedule", "An object with fields is expected here, not a list."),
        (nightly(kind="hourly"), "policies.0.kind", "'hourly' is none of schedule, sla."),
        (
            nightly(schedule={"weekly": {"snapshot": {"days": ["moonday"], "keep": 1}}}),
            "policies.0.schedule.weekly.snapshot.days.0",
            "'moonday' is none of monday, tuesday, wednesday, thursday, friday, saturday, sunday.",
        ),
        (
            nightly(schedule={"weekly": {"snapshot": {"days": ["monday"], "keep": 1}}}),
            "policies.0.schedule.weekly.hour",
            "This is needed.",
        ),
        (
            nightly(schedule={"daily": {"snapshot": {"hours": [7], "keep": "7 weeks"}}}),
            "policies.0.schedule.daily.snapshot.keep",
            "A period is written 30 days, 12 months or 7 years.",
        ),
        (nightly(select={"resources": ["i-gone"]}), "policies.0.select.resources.0", "There is no resource 'i-gone'."),
        (nightly(replicas=[{"account": "DR"}]), "policies.0.replicas.0.region", "This is needed."),
        (nightly(healthCheck="day 3"), "policies.0.healthCheck", "A health check is on a weekday, such as last sunday."),
        (nightly(tags=["a"]), "policies.0.tags", "Tags are written key: value."),
        (nightly(guest={"linux": {"pre": {"arguments": ""}}}), "policies.0.guest.linux.pre.path", "This is needed."),
        (nightly(retries=True), "policies.0.retries", "A whole number is expected here, not true."),
    ],
)
def test_mistakes_are_told_at_their_place(entry: Any, path: str, sentence: str) -> None:
    _, problems = read_back(entry)
    assert problems[path] == sentence


def test_all_mistakes_are_told_at_once() -> None:
    _, problems = read_back(nightly(account="x", kind="y", enabled=3, schedule={"timezone": 7}))
    assert set(problems) == {
        "policies.0.account",
        "policies.0.kind",
        "policies.0.enabled",
        "policies.0.schedule.timezone",
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "account", "regions", "select", "schedule", "daily", "snapshot", "keep", "hours", "guest", "tags"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
@settings(max_examples=300)
def test_nothing_anybody_writes_is_too_strange(value: Any) -> None:
    problems: dict[str, str] = {}
    spots = entries(Spot({"holdfast": 1, "policies": value}, "", problems))
    for spot in spots:
        found = read(spot, NAMES)
        assert problems or {"name", "scope"} <= found.keys()


@pytest.mark.parametrize("head", [{}, {"holdfast": 2, "policies": []}, {"holdfast": 1}, [], None, "policies"])
def test_what_is_no_document_of_ours_is_refused(head: Any) -> None:
    problems: dict[str, str] = {}
    assert entries(Spot(head, "", problems)) == []
    assert problems


def test_a_document_holds_its_version() -> None:
    problems: dict[str, str] = {}
    assert len(entries(Spot(document([nightly()]), "", problems))) == 1
    assert problems == {}


@pytest.mark.parametrize("text", ["day 0", "day 32", "fifth monday", "first", "mondays", "", 3, None])
def test_days_that_are_none(text: Any) -> None:
    problems: dict[str, str] = {}
    assert read_day(Spot(text, "day", problems)) is None
    assert problems


def test_periods_are_read_as_people_write_them() -> None:
    for text, period in (("30 days", Period(30)), ("1 day", Period(1)), (" 12  Months", Period(12, Unit.MONTHS))):
        assert read_period(Spot(text, "keep", {})) == period
