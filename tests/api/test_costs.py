"""Costs, configuration tests and documents of policies through the door."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.domain.access import Role
from tests.api.bench import Bench
from tests.api.test_policies import create, draft
from tests.contracts.entities import resource as make_resource

ESTIMATE = """query($in: PolicyInput!, $assumptions: AssumptionsInput) {
    estimatePolicy(input: $in, assumptions: $assumptions) {
        usd resourceCount measuredCount notes csv
        assumptions { change used stored }
        legs { leg usd parts { component usd } }
        prices { region title source published fetchedAt exact }
        rows(first: 10) { name awsId region usd measured legs { leg usd } lines { leg component what quantity unit usd } }
    }
}"""
STORED = "query($id: ID!) { policyEstimate(id: $id) { usd } policyActualCosts(id: $id) { leg usd } }"
REFRESH = "mutation($in: RefreshPricesInput!) { refreshPrices(input: $in) { session { kind name } } }"
TEST = """mutation($in: TestConfigurationInput!) {
    testConfiguration(input: $in) {
        finding missingPolicy
        checks { area subject finding message path missingActions }
        missingPermissions { account document }
    }
}"""
IMPORT = "mutation($in: ImportPoliciesInput!) { importPolicies(input: $in) { policies { name } } }"


@pytest.fixture
def machine(bench: Bench) -> None:
    """Of the kind the bench's workload knows."""
    with bench.store.transaction() as tx:
        volumes = [
            {"volumeId": "vol-1", "sizeGib": 100, "encrypted": False, "kmsKeyId": None, "tags": {}, "device": "/dev/sda"}
        ]
        tx.resources.add(make_resource(bench.home, name="web-1", region="us-east-1", document={"volumes": volumes}))


def test_a_draft_is_estimated(bench: Bench, machine: None) -> None:
    found = bench.data(ESTIMATE, {"in": draft(bench), "assumptions": {"change": 10}})["estimatePolicy"]
    assert found["assumptions"] == {"change": 10, "used": 100, "stored": 50}
    assert found["resourceCount"] == 1
    [row] = found["rows"]
    assert found["usd"] == pytest.approx(row["usd"])
    assert found["usd"] == pytest.approx(sum(line["usd"] for line in row["lines"]))
    assert [leg["leg"] for leg in found["legs"]] == ["SNAPSHOT"]
    assert found["prices"][0] | {"fetchedAt": None} == {
        "region": "us-east-1",
        "title": "US East (N. Virginia)",
        "source": "BUNDLED",
        "published": "2025-06-01",
        "fetchedAt": None,
        "exact": True,
    }
    assert found["csv"].splitlines()[0].startswith("Resource,ID,Region")


def test_what_is_incomplete_costs_nothing_yet(bench: Bench) -> None:
    scope = {"accountId": bench.home_id, "regions": [], "mode": "ALL"}
    found = bench.data(ESTIMATE, {"in": draft(bench, scope=scope)})["estimatePolicy"]
    assert (found["usd"], found["rows"]) == (0, [])
    assert found["notes"] == ["Choose at least one Region."]


def test_a_stored_policy_is_estimated_and_compared(bench: Bench, machine: None) -> None:
    made = create(bench)
    found = bench.data(STORED, {"id": made["id"]})
    assert found["policyEstimate"]["usd"] >= 0
    assert found["policyActualCosts"] == []


def test_prices_are_read_by_a_session_of_their_own(bench: Bench, machine: None) -> None:
    assert bench.data("{ prices { region source } }")["prices"] == [{"region": "us-east-1", "source": "BUNDLED"}]
    refused = bench.error(REFRESH, {"in": {}}, role=Role.VIEWER)
    assert refused["extensions"]["code"] == "FORBIDDEN"
    assert bench.data(REFRESH, {"in": {"dryRun": True}}, role=Role.OPERATOR)["refreshPrices"]["session"] is None
    variables = {"in": {"regions": ["us-east-1"], "clientMutationId": "k"}}
    once = bench.data(REFRESH, variables, role=Role.OPERATOR)["refreshPrices"]["session"]
    assert once == {"kind": "PRICES", "name": "Prices of 1 Region"}


def test_a_configuration_is_tested_before_it_is_saved(bench: Bench) -> None:
    found = bench.data(TEST, {"in": {"policy": draft(bench, name="")}}, role=Role.OPERATOR)["testConfiguration"]
    assert found["finding"] == "FAILED"
    first: dict[str, Any] = found["checks"][0]
    assert (first["area"], first["path"], first["finding"]) == ("POLICY", "name", "FAILED")
    assert {check["area"] for check in found["checks"]} >= {"POLICY", "ACCOUNT", "REGION", "ENDPOINT"}
    refused = bench.error(TEST, {"in": {"policy": draft(bench)}}, role=Role.VIEWER)
    assert refused["extensions"]["code"] == "FORBIDDEN"


def test_policies_leave_as_a_document_and_come_back_under_another_name(bench: Bench) -> None:
    made = create(bench)
    text = bench.data("query($ids: [ID!]) { exportPolicies(ids: $ids) }", {"ids": [made["id"]]})["exportPolicies"]
    [entry] = json.loads(text)["policies"]
    assert (entry["name"], entry["account"], entry["regions"]) == ("nightly", "Home account", ["us-east-1"])
    taken = bench.error(IMPORT, {"in": {"document": text}}, role=Role.OPERATOR)
    assert taken["extensions"]["code"] == "CONFLICT"
    names = [{"name": "nightly", "newName": "copy"}]
    found = bench.data(IMPORT, {"in": {"document": text, "names": names}}, role=Role.OPERATOR)
    assert found["importPolicies"]["policies"] == [{"name": "copy"}]
    wrong = bench.error(IMPORT, {"in": {"document": "{"}}, role=Role.OPERATOR)
    assert wrong["extensions"]["code"] == "INVALID_INPUT"
    assert "Line 1, column 2" in wrong["message"]
