"""Snapshots by hand through the door, and what sessions tell of each leg."""

from __future__ import annotations

from typing import Any

import pytest

from server.api.graphql.scalars import global_id
from server.domain import legs
from server.domain.access import Role
from server.domain.legs import LegState, TaskLeg
from server.domain.restore import Leg
from server.domain.session import SessionKind, TaskKind
from server.domain.workload import Resource
from server.ports import Select
from server.services import manual_snapshots
from tests.api.bench import Bench
from tests.contracts.entities import resource as make_resource
from tests.contracts.entities import session as make_session
from tests.contracts.entities import task as make_task

TAKE = """mutation($in: TakeManualSnapshotInput!) {
    takeManualSnapshot(input: $in) { session { kind name tasks { kind name legs { leg } } } clientMutationId } }"""
LEGS = "query($id: ID!) { node(id: $id) { ... on Session { tasks { legs { leg state message } } } } }"


@pytest.fixture
def machine(bench: Bench) -> Resource:
    made = make_resource(bench.home, name="web-1", region="us-east-1")
    with bench.store.transaction() as tx:
        tx.resources.add(made)
    return made


def wanted(machine: Resource, **changes: Any) -> dict[str, Any]:
    return {"in": {"resourceIds": [global_id("Resource", machine.id)], **changes}}


def test_it_is_one_session_with_a_task_per_resource(bench: Bench, machine: Resource) -> None:
    asked = wanted(machine, keepDays=30, tags=[{"key": " why ", "value": "upgrade"}], copyTags=False, clientMutationId="k")
    first = bench.data(TAKE, asked, role=Role.OPERATOR)["takeManualSnapshot"]
    assert first == {
        "session": {
            "kind": "MANUAL_SNAPSHOT",
            "name": "Snapshot of web-1",
            "tasks": [{"kind": "MANUAL_SNAPSHOT", "name": "web-1", "legs": []}],
        },
        "clientMutationId": "k",
    }
    assert bench.data(TAKE, asked, role=Role.OPERATOR)["takeManualSnapshot"] == first
    with bench.store.transaction() as tx:
        (session,) = tx.sessions.page(Select())
    order = session.document[manual_snapshots.KEY]
    assert order == {"keep_days": 30, "tags": [{"key": "why", "value": "upgrade"}], "copy_tags": False, "place": None}


def test_another_place_must_be_one_of_the_accounts_regions(bench: Bench, machine: Resource) -> None:
    place = {"accountId": bench.home_id, "region": "eu-central-1", "kmsKey": "alias/dr"}
    bench.data(TAKE, wanted(machine, place=place, dryRun=True))
    refusal = bench.error(TAKE, wanted(machine, place={**place, "region": "eu-central-9"}))
    assert refusal["extensions"]["code"] == "INVALID_INPUT"
    assert "place.region" in str(refusal["extensions"])


def test_a_dry_run_and_a_viewer_take_none(bench: Bench, machine: Resource) -> None:
    assert bench.data(TAKE, wanted(machine, dryRun=True))["takeManualSnapshot"]["session"] is None
    assert bench.error(TAKE, wanted(machine), role=Role.VIEWER)["extensions"]["code"] == "FORBIDDEN"
    refusal = bench.error(TAKE, wanted(machine, keepDays=0))
    assert "kept until somebody deletes it" in str(refusal["extensions"])
    with bench.store.transaction() as tx:
        assert tx.sessions.count(Select()) == 0


def test_a_task_tells_of_each_of_its_legs(bench: Bench) -> None:
    planned = legs.planned([Leg.SNAPSHOT, Leg.BACKUP], guest=False, verify=False)
    failed = legs.unmade(legs.marked(planned, TaskLeg.SNAPSHOT, LegState.ERROR, "Not now."), TaskLeg.SNAPSHOT)
    session = make_session(kind=SessionKind.POLICY_RUN)
    with bench.store.transaction() as tx:
        tx.sessions.add(session)
        tx.tasks.add(make_task(session, kind=TaskKind.PROTECT, document={"legs": legs.to_json(failed)}))
    (task,) = bench.data(LEGS, {"id": global_id("Session", session.id)})["node"]["tasks"]
    assert task["legs"] == [
        {"leg": "SNAPSHOT", "state": "ERROR", "message": "Not now."},
        {"leg": "BACKUP", "state": "SKIPPED", "message": "Left out: there is no snapshot to work with."},
    ]
