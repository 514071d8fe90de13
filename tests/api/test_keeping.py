"""What is kept and why, what the next days bring, removal of sets, and the appliance's preferences, through the door."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from server.api.graphql.scalars import global_id, local_id
from server.domain.access import Role
from server.domain.periods import Frequency
from server.domain.restore import Leg, RestorePoint
from server.domain.workload import Resource
from tests.api.bench import Bench
from tests.api.test_policies import create, daily, draft
from tests.contracts.entities import point as make_point
from tests.contracts.entities import repository as make_repository
from tests.contracts.entities import resource as make_resource

POINTS = """query { restorePoints(first: 50) { edges { node {
    leg flags manual slotAt keptBecause isChangeTrackingBase
    baseCost { baseOnly usdPerMonth priceDate priceSource exactRegion } } } } }"""
FORECAST = """query($in: PolicyInput!, $days: Int!, $id: ID) { forecastPolicy(input: $in, id: $id, days: $days) { runs {
    at regions legs { leg flags made } removed { leg oldestAt reason count } kept { leg count } } } }"""
OF_POLICY = "query($id: ID!) { node(id: $id) { ... on Policy { forecast(days: 2) { runs { at legs { leg made } } } } } }"
DELETE_SET = """mutation($in: DeletePointSetInput!) {
    deleteRestorePointSet(input: $in) { session { kind name } count clientMutationId } }"""
PREFERENCES = "{ preferences { obsoleteSnapshots { amount unit } } }"
UPDATE = """mutation($in: UpdatePreferencesInput!) {
    updatePreferences(input: $in) { preferences { obsoleteSnapshots { amount unit } } clientMutationId } }"""


def kept(bench: Bench, policy_id: str, count: int = 1) -> list[tuple[Resource, RestorePoint]]:
    """Machines of the policy's Region, each with a snapshot of it that is the change-tracking base and held for that alone."""
    made = []
    with bench.store.transaction() as tx:
        vault = make_repository(bench.home, name=f"vault {uuid4()}")
        tx.repositories.add(vault)
        for number in range(count):
            machine = make_resource(bench.home, name=f"web-{number}", region="us-east-1", aws_id=f"i-{uuid4()}")
            tx.resources.add(machine)
            facts: dict[str, Any] = {
                "policy_id": local_id("Policy", policy_id),
                "size_bytes": 100 * 2**30,
                "region": "us-east-1",
            }
            backup = replace(make_point(machine), id=uuid4(), leg=Leg.BACKUP, repository_id=vault.id, base=False, **facts)
            snapshot = replace(make_point(machine), id=uuid4(), leg=Leg.SNAPSHOT, repository_id=None, base=True, **facts)
            snapshot = replace(snapshot, flags=(), slot_at=snapshot.at)
            tx.points.add(replace(backup, at=bench.clock.now(), flags=(Frequency.DAILY, Frequency.WEEKLY)))
            tx.points.add(replace(snapshot, at=bench.clock.now() - timedelta(days=1)))
            made.append((machine, snapshot))
    return made


def test_each_point_says_why_it_is_kept_and_the_base_what_it_costs(bench: Bench) -> None:
    kept(bench, create(bench)["id"])
    found = {edge["node"]["leg"]: edge["node"] for edge in bench.data(POINTS)["restorePoints"]["edges"]}
    assert found["BACKUP"]["flags"] == ["DAILY", "WEEKLY"]
    assert "daily" in found["BACKUP"]["keptBecause"]
    assert found["BACKUP"]["baseCost"] is None
    base = found["SNAPSHOT"]
    assert base["keptBecause"] == "Change-tracking base: the next backup is compared with it."
    assert (base["manual"], base["isChangeTrackingBase"], base["slotAt"] is not None) == (False, True, True)
    cost = base["baseCost"]
    assert cost["usdPerMonth"] == pytest.approx(100 * 0.05), "100 GiB at Virginia's price"
    assert (cost["baseOnly"], cost["priceSource"], cost["exactRegion"]) == (True, "BUNDLED", True)


def test_reasons_of_a_whole_page_take_a_fixed_number_of_statements(bench: Bench) -> None:
    policy = create(bench)["id"]

    def statements() -> int:
        bench.data(POINTS)
        bench.statements.clear()
        bench.data(POINTS)
        return len(bench.statements)

    kept(bench, policy)
    few = statements()
    kept(bench, policy, count=20)
    assert statements() == few


def test_a_draft_is_forecast_with_what_its_runs_make_and_delete(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.resources.add(make_resource(bench.home, name="web-1", region="us-east-1"))
    schedule = {"daily": {"snapshot": {"slots": [18], "count": 1}}}
    runs = bench.data(FORECAST, {"in": draft(bench, schedule=schedule), "days": 3})["forecastPolicy"]["runs"]
    assert [run["at"] for run in runs] == ["2026-11-22T18:00:00Z", "2026-11-23T18:00:00Z", "2026-11-24T18:00:00Z"]
    assert runs[0]["legs"] == [{"leg": "SNAPSHOT", "flags": ["DAILY"], "made": 1}]
    assert runs[0]["removed"] == []
    (gone,) = runs[1]["removed"]
    assert (gone["leg"], gone["oldestAt"], gone["count"]) == ("SNAPSHOT", "2026-11-22T18:00:00Z", 1)
    assert runs[2]["kept"] == [{"leg": "SNAPSHOT", "count": 1}]


def test_a_stored_policy_is_forecast_too_and_does_not_stand_in_its_own_way(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.resources.add(make_resource(bench.home, name="web-1", region="us-east-1"))
    policy = create(bench)
    stored = bench.data(OF_POLICY, {"id": policy["id"]})["node"]["forecast"]["runs"]
    assert [run["legs"] for run in stored] == [[{"leg": "SNAPSHOT", "made": 1}]] * 4
    later = draft(bench, priority=7, schedule=daily([18, 6]))
    found = bench.data(FORECAST, {"in": later, "id": policy["id"], "days": 2})["forecastPolicy"]["runs"]
    assert [run["legs"][0]["made"] for run in found] == [1] * 4


def test_a_draft_that_could_not_be_saved_has_no_forecast(bench: Bench) -> None:
    wrong = draft(bench, schedule=daily([25]))
    problem = bench.error(FORECAST, {"in": wrong, "days": 3})
    assert "schedule.daily.snapshot.slots" in problem["extensions"]["fields"]
    for days in (0, 36):
        problem = bench.error(FORECAST, {"in": draft(bench), "days": days})
        assert "days" in problem["extensions"]["fields"]


def test_a_set_is_counted_by_a_dry_run_and_deleted_by_a_session(bench: Bench) -> None:
    ((machine, _),) = kept(bench, create(bench)["id"])
    given = {"resourceIds": [global_id("Resource", machine.id)], "set": "ALL_SNAPSHOTS"}
    told = bench.data(DELETE_SET, {"in": {**given, "dryRun": True}}, role=Role.OPERATOR)["deleteRestorePointSet"]
    assert (told["session"], told["count"]) == (None, 1)
    keyed = {"in": {**given, "clientMutationId": "k"}}
    done = bench.data(DELETE_SET, keyed, role=Role.OPERATOR)["deleteRestorePointSet"]
    assert done["session"] == {"kind": "DELETE_POINTS", "name": f"Delete 1 restore point of {machine.name}"}
    assert bench.data(DELETE_SET, keyed, role=Role.OPERATOR)["deleteRestorePointSet"] == done
    assert bench.error(DELETE_SET, {"in": given}, role=Role.RESTORE_OPERATOR)["extensions"]["code"] == "FORBIDDEN"


def test_preferences_are_read_by_all_and_changed_by_administrators(bench: Bench) -> None:
    assert bench.data(PREFERENCES)["preferences"] == {"obsoleteSnapshots": None}
    wanted = {"obsoleteSnapshots": {"amount": 3, "unit": "MONTHS"}}
    assert bench.error(UPDATE, {"in": wanted}, role=Role.OPERATOR)["extensions"]["code"] == "FORBIDDEN"
    answer = bench.data(UPDATE, {"in": {**wanted, "clientMutationId": "k"}}, role=Role.ADMINISTRATOR)["updatePreferences"]
    assert answer == {"preferences": wanted, "clientMutationId": "k"}
    assert bench.data(PREFERENCES)["preferences"] == wanted
    wrong = {"obsoleteSnapshots": {"amount": 14}}
    problem = bench.error(UPDATE, {"in": wrong}, role=Role.ADMINISTRATOR)
    assert problem["extensions"]["fields"] == {"obsoleteSnapshots": "Between 15 and 36135 days."}
