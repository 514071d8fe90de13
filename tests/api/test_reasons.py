"""``Resource.protection`` through the door: by what, why, since when; and what every policy says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from server.api.graphql.scalars import global_id
from server.domain.access import Role
from server.domain.promises import Membership
from server.domain.scope import Scope
from tests.api.bench import Bench
from tests.contracts.entities import NOW
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import resource as make_resource

ASK = """query($id: ID!) { node(id: $id) { ... on Resource { protection {
    state reason since policy { name } considered { policy { name } covered reason } } } } }"""


def test_a_resource_says_what_protects_it_and_since_when(bench: Bench) -> None:
    web = make_resource(bench.home, name="web")
    scope = Scope(account_id=bench.home.id, regions=("us-east-1",))
    gold = make_policy(bench.home, name="gold", priority=1, scope=scope)
    silver = make_policy(bench.home, name="silver", priority=2, scope=scope)
    with bench.store.transaction() as tx:
        tx.resources.add(web)
        for policy, joined, left in (
            (gold, NOW - timedelta(days=9), NOW - timedelta(days=5)),
            (gold, NOW - timedelta(days=2), None),
            (silver, NOW - timedelta(days=5), None),
        ):
            if not tx.policies.many([policy.id]):
                tx.policies.add(policy)
            member = Membership(id=uuid4(), policy_id=policy.id, resource_id=web.id, joined_at=joined, left_at=left)
            tx.memberships.add(member)
    assert ask(bench, web.id) == {
        "state": "PROTECTED",
        "reason": "Protected by gold. All instances in us-east-1 are selected.",
        "since": "2026-11-20T12:00:00.123456Z",
        "policy": {"name": "gold"},
        "considered": [
            {"policy": {"name": "gold"}, "covered": True, "reason": "All instances in us-east-1 are selected."},
            {
                "policy": {"name": "silver"},
                "covered": False,
                "reason": "The resource is already protected by another policy: gold. Its priority 1 comes before 2.",
            },
        ],
    }


def test_a_resource_nobody_protects_says_why(bench: Bench) -> None:
    lab = make_resource(bench.home, name="lab", region="eu-west-1")
    with bench.store.transaction() as tx:
        tx.resources.add(lab)
        tx.policies.add(make_policy(bench.home, name="gold"))
    found = ask(bench, lab.id)
    assert (found["state"], found["policy"], found["since"]) == ("NOT_PROTECTED", None, None)
    assert found["reason"] == "No policy of its account selects the Region eu-west-1."
    assert found["considered"][0]["reason"] == "Region eu-west-1 is not selected."


def ask(bench: Bench, id: Any) -> dict[str, Any]:
    found: dict[str, Any] = bench.data(ASK, {"id": global_id("Resource", id)}, role=Role.VIEWER)["node"]["protection"]
    return found
