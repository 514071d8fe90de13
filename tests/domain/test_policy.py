"""Whom a policy covers and why, and what keeps one from being stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.policy import (
    DailySchedule,
    Policy,
    Retention,
    Retries,
    Scope,
    SelectionMode,
    TagMatch,
    problems,
    verdict,
)
from server.domain.workload import Resource

SPACE = UUID(int=0)
HOME, OTHER = uuid5(SPACE, "home"), uuid5(SPACE, "other")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def resource(**changes: Any) -> Resource:
    web = Resource(
        id=uuid5(SPACE, "web"),
        account_id=HOME,
        workload="ec2",
        region="us-east-1",
        aws_id="i-0123456789abcdef0",
        name="web",
        tags={"Environment": "production", "Tier": "front"},
        state="running",
        size_bytes=8 << 30,
        document={},
        first_seen_at=NOW,
        last_seen_at=NOW,
    )
    return replace(web, **changes)


WEB = resource()
ALL = Scope(account_id=HOME, regions=("us-east-1", "eu-central-1"))
LISTED = replace(ALL, mode=SelectionMode.LISTED)


@pytest.mark.parametrize(
    ("scope", "covered", "reason"),
    [
        (ALL, True, "All instances in us-east-1 are selected."),
        (replace(ALL, account_id=OTHER), False, "In another account."),
        (replace(ALL, regions=("eu-west-1",)), False, "Region us-east-1 is not selected."),
        (replace(ALL, excluded_resource_ids=(WEB.id,)), False, "Excluded by name."),
        (replace(ALL, excluded_tags=(TagMatch(key="Tier"),)), False, "Excluded by tag Tier."),
        (replace(ALL, excluded_tags=(TagMatch(key="Tier", value="front"),)), False, "Excluded by tag Tier=front."),
        (replace(ALL, excluded_tags=(TagMatch(key="Tier", value="back"),)), True, "All instances in us-east-1 are selected."),
        (replace(LISTED, resource_ids=(WEB.id,)), True, "Selected by name."),
        (
            replace(LISTED, tags=(TagMatch(key="Environment", value="production"),)),
            True,
            "Selected by tag Environment=production.",
        ),
        (
            replace(LISTED, tags=(TagMatch(key="Environment", value="test"),)),
            False,
            "Neither named nor matched by a tag of the policy.",
        ),
        (replace(LISTED, resource_ids=(WEB.id,), excluded_tags=(TagMatch(key="Tier"),)), False, "Excluded by tag Tier."),
        (replace(LISTED, resource_ids=(WEB.id,), excluded_resource_ids=(WEB.id,)), False, "Excluded by name."),
    ],
)
def test_a_verdict_says_whether_and_why(scope: Scope, covered: bool, reason: str) -> None:
    found = verdict(scope, WEB)
    assert (found.covered, found.reason) == (covered, reason)


def test_what_left_aws_is_not_covered() -> None:
    found = verdict(ALL, resource(present=False))
    assert (found.covered, found.reason) == (False, "No longer in AWS.")


tags = st.builds(TagMatch, key=st.sampled_from("abc"), value=st.sampled_from([None, "1", "2"]))
scopes = st.builds(
    Scope,
    account_id=st.sampled_from([HOME, OTHER]),
    regions=st.sets(st.sampled_from(["us-east-1", "eu-central-1"])).map(tuple),
    mode=st.sampled_from(SelectionMode),
    resource_ids=st.sets(st.just(WEB.id)).map(tuple),
    tags=st.lists(tags, max_size=2).map(tuple),
    excluded_resource_ids=st.sets(st.just(WEB.id)).map(tuple),
    excluded_tags=st.lists(tags, max_size=2).map(tuple),
)
tagged = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2"])).map(lambda found: resource(tags=found))


@given(scope=scopes, target=tagged, more=tags)
def test_an_exclusion_never_adds_and_an_inclusion_never_removes(scope: Scope, target: Resource, more: TagMatch) -> None:
    before = verdict(scope, target).covered
    excluded = verdict(replace(scope, excluded_tags=(*scope.excluded_tags, more)), target).covered
    included = verdict(replace(scope, tags=(*scope.tags, more)), target).covered
    assert not (excluded and not before)
    assert not (before and not included)


@given(scope=scopes, target=tagged)
def test_whatever_is_listed_is_covered_by_all(scope: Scope, target: Resource) -> None:
    if verdict(replace(scope, mode=SelectionMode.LISTED), target).covered:
        assert verdict(replace(scope, mode=SelectionMode.ALL), target).covered


# ---- problems ---------------------------------------------------------------------------------------------------------

GOOD = Policy(
    id=uuid5(SPACE, "policy"),
    name="Nightly",
    scope=ALL,
    schedule=DailySchedule(snapshot_hours=(1, 13), backup_hours=(1,), timezone="Europe/Berlin"),
    repository_id=uuid5(SPACE, "repository"),
    created_at=NOW,
    updated_at=NOW,
)


def scheduled(**changes: Any) -> Policy:
    assert GOOD.schedule is not None
    return replace(GOOD, schedule=replace(GOOD.schedule, **changes))


def scoped(**changes: Any) -> Policy:
    return replace(GOOD, scope=replace(ALL, **changes))


@pytest.mark.parametrize(
    "policy",
    [
        GOOD,
        replace(GOOD, schedule=None, repository_id=None),
        scheduled(backup_hours=()),
        replace(GOOD, name="x" * 127, description="x" * 255),
        replace(GOOD, retention=Retention(snapshots=0, backup_days=1)),
        scoped(mode=SelectionMode.LISTED, tags=(TagMatch(key="k" * 128, value="v" * 256),)),
    ],
)
def test_a_good_policy_has_no_problems(policy: Policy) -> None:
    assert problems(policy) == {}


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        (replace(GOOD, name="  "), "name"),
        (replace(GOOD, name="x" * 128), "name"),
        (replace(GOOD, description="x" * 256), "description"),
        (scoped(regions=()), "scope.regions"),
        (scoped(regions=tuple(f"r-{n}" for n in range(65))), "scope.regions"),
        (scoped(mode=SelectionMode.LISTED), "scope.resourceIds"),
        (scoped(resource_ids=(WEB.id,) * 1001), "scope.resourceIds"),
        (scoped(excluded_resource_ids=(WEB.id,) * 1001), "scope.excludedResourceIds"),
        (scoped(tags=(TagMatch(key="a"),) * 51), "scope.tags"),
        (scoped(excluded_tags=(TagMatch(key=""),)), "scope.excludedTags"),
        (scoped(tags=(TagMatch(key="a", value="v" * 257),)), "scope.tags"),
        (scheduled(snapshot_hours=(), backup_hours=()), "schedule.snapshotHours"),
        (scheduled(snapshot_hours=(1, 24)), "schedule.snapshotHours"),
        (scheduled(backup_hours=(2,)), "schedule.backupHours"),
        (scheduled(days=()), "schedule.days"),
        (scheduled(timezone="Mars/Olympus"), "schedule.timezone"),
        (replace(GOOD, repository_id=None), "repositoryId"),
        (replace(GOOD, retention=Retention(snapshots=-1)), "retention.snapshots"),
        (replace(GOOD, retention=Retention(snapshots=1001)), "retention.snapshots"),
        (replace(GOOD, retention=Retention(backup_days=0)), "retention.backupDays"),
        (replace(GOOD, retention=Retention(backup_days=36136)), "retention.backupDays"),
        (replace(GOOD, retries=Retries(attempts=10)), "retries.attempts"),
    ],
)
def test_a_problem_names_the_input_and_what_to_do(policy: Policy, path: str) -> None:
    found = problems(policy)
    assert list(found) == [path]
    assert found[path].endswith(".")
