"""Whom a policy covers and why, and what keeps one from being stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.policy import Policy, PolicyKind, rank
from server.domain.scope import Scope, SelectionMode, TagMatch, verdict
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


# ---- who comes first --------------------------------------------------------------------------------------------------


def policy(name: str, **changes: Any) -> Policy:
    made = Policy(id=uuid5(SPACE, name), name=name, scope=ALL, created_at=NOW, updated_at=NOW)
    return replace(made, **changes)


def claims(policies: list[Policy]) -> str | None:
    """The name of the policy that protects the instance."""
    return next((one.name for one in sorted(policies, key=rank) if verdict(one.scope, WEB).covered), None)


def test_example_an_sla_policy_comes_first_then_the_smaller_priority() -> None:
    s = policy("S", kind=PolicyKind.SLA, priority=9)
    p1, p2 = policy("P1", priority=1), policy("P2", priority=2)
    assert claims([p2, p1, s]) == "S"
    without = replace(s, scope=replace(ALL, excluded_resource_ids=(WEB.id,)))
    assert claims([p2, p1, without]) == "P1"


def test_of_two_with_one_priority_the_older_comes_first() -> None:
    younger = policy("younger", created_at=NOW + timedelta(seconds=1))
    assert claims([younger, policy("older")]) == "older"


placed = st.builds(
    lambda kind, priority, seconds, name: policy(
        name, kind=kind, priority=priority, created_at=NOW + timedelta(seconds=seconds)
    ),
    st.sampled_from(PolicyKind),
    st.integers(1, 3),
    st.integers(0, 2),
    st.text("abc", min_size=3, max_size=6),
)


@given(st.lists(placed, unique_by=lambda one: one.id))
def test_one_policy_protects_a_resource_whatever_order_they_are_read_in(policies: list[Policy]) -> None:
    assert claims(policies) == claims(policies[::-1])
    if any(one.kind is PolicyKind.SLA for one in policies):
        first = next(one for one in policies if one.name == claims(policies))
        assert first.kind is PolicyKind.SLA
