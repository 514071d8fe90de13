"""Why a resource is protected, or is not: every rule of precedence and exclusion, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from server.domain.policy import Policy, PolicyKind
from server.domain.reasons import CLAIMED, Protection, protection
from server.domain.scope import Scope, SelectionMode, TagMatch
from tests.contracts.entities import NOW, account
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import resource as make_resource

HOME, OTHER = account(), account()
WEB = make_resource(HOME, name="web", tags={"env": "prod"})


def policy(name: str, **changes: Any) -> Policy:
    scope = Scope(account_id=HOME.id, regions=("us-east-1",))
    return make_policy(HOME, **{"name": name, "scope": scope, **changes})


def sla(name: str, **changes: Any) -> Policy:
    return policy(name, kind=PolicyKind.SLA, sla_template_id=uuid4(), **changes)


def listed(name: str, **scope: Any) -> Policy:
    return policy(name, scope=Scope(account_id=HOME.id, regions=("us-east-1",), mode=SelectionMode.LISTED, **scope))


def told(found: Protection) -> dict[str, tuple[bool, str]]:
    return {one.policy.name: (one.covered, one.reason) for one in found.considered}


def test_example_an_sla_policy_beats_schedules_and_without_it_the_first_priority_does() -> None:
    """S is an SLA policy, P1 and P2 are schedule-based with priorities 1 and 2; the instance is in all three."""
    first, second = policy("P1", priority=1), policy("P2", priority=2)
    found = protection(WEB, [second, sla("S", priority=9), first])
    assert found.policy is not None
    assert found.policy.name == "S"
    assert found.reason == "Protected by S. All instances in us-east-1 are selected."
    assert told(found) == {
        "S": (True, "All instances in us-east-1 are selected."),
        "P1": (False, f"{CLAIMED}: S. SLA policies come before schedule-based ones."),
        "P2": (False, f"{CLAIMED}: S. SLA policies come before schedule-based ones."),
    }
    without = sla("S", scope=Scope(account_id=HOME.id, regions=("us-east-1",), excluded_resource_ids=(WEB.id,)))
    found = protection(WEB, [second, without, first])
    assert told(found) == {
        "S": (False, "Excluded by name."),
        "P1": (True, "All instances in us-east-1 are selected."),
        "P2": (False, f"{CLAIMED}: P1. Its priority 1 comes before 2."),
    }


def test_of_two_with_the_same_priority_the_older_comes_first() -> None:
    older, newer = policy("old"), policy("new", created_at=NOW + timedelta(days=1))
    found = protection(WEB, [newer, older])
    assert told(found)["new"] == (False, f"{CLAIMED}: old. Both have priority 1; it was made earlier.")
    assert [one.policy.name for one in found.considered] == ["old", "new"]


def test_a_policy_says_how_it_selects_the_resource() -> None:
    assert protection(WEB, [listed("p", resource_ids=(WEB.id,))]).reason == "Protected by p. Selected by name."
    by_tag = protection(WEB, [listed("p", tags=(TagMatch(key="env", value="prod"),))])
    assert by_tag.reason == "Protected by p. Selected by tag env=prod."


def test_exclusion_wins_whether_by_name_or_by_tag() -> None:
    named = listed("named", resource_ids=(WEB.id,), excluded_resource_ids=(WEB.id,))
    found = protection(WEB, [named])
    assert (found.policy, found.reason) == (None, "The policy named leaves it out. Excluded by name.")
    tagged = listed("tagged", resource_ids=(WEB.id,), excluded_tags=(TagMatch(key="env"),))
    assert protection(WEB, [tagged]).reason == "The policy tagged leaves it out. Excluded by tag env."


def test_a_disabled_policy_that_would_cover_says_so() -> None:
    off = policy("off", enabled=False, priority=2)
    found = protection(WEB, [off])
    assert found.policy is None
    assert found.reason == "The policy off would protect it, but is disabled. All instances in us-east-1 are selected."
    assert told(found)["off"] == (
        False,
        "Disabled. Enabled, it would protect the resource: All instances in us-east-1 are selected.",
    )
    after = told(protection(WEB, [off, policy("on", priority=1)]))
    assert after["off"] == (False, "Disabled. Enabled, it would come after on: Its priority 1 comes before 2.")
    before = told(protection(WEB, [off, policy("on", priority=3)]))
    assert before["off"][1].startswith("Disabled. Enabled, it would protect the resource:")


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (Scope(account_id=OTHER.id, regions=("us-east-1",)), "No policy is for its account."),
        (Scope(account_id=HOME.id, regions=("eu-west-1",)), "No policy of its account selects the Region us-east-1."),
        (
            Scope(account_id=HOME.id, regions=("us-east-1",), mode=SelectionMode.LISTED, resource_ids=(uuid4(),)),
            "No policy selects it by name or by a tag.",
        ),
    ],
)
def test_what_is_missed_by_all_hears_how_the_nearest_missed_it(scope: Scope, reason: str) -> None:
    farther = policy("far", scope=Scope(account_id=OTHER.id, regions=()))
    found = protection(WEB, [farther, policy("near", scope=scope)])
    assert (found.policy, found.reason) == (None, reason)
    assert all(not one.covered for one in found.considered)


def test_what_is_gone_from_aws_is_not_protected() -> None:
    found = protection(replace(WEB, present=False), [policy("p")])
    assert found.policy is None
    assert found.reason.startswith("It is no longer in AWS.")
    assert told(found) == {"p": (False, "No longer in AWS.")}


def test_without_policies_there_is_nothing_to_consider() -> None:
    assert protection(WEB, []) == Protection(None, "There is no policy yet.", ())
    assert protection(WEB, [policy("p", workload="rds")]).considered == ()
