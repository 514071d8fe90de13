"""Policies through the door: created, changed, switched, started, deleted; and whom they claim."""

from __future__ import annotations

from typing import Any

import pytest

from server.api.graphql.scalars import global_id, local_id
from server.domain.access import Role
from server.domain.repository import StorageClass
from server.domain.session import State
from tests.api.bench import Bench
from tests.contracts.entities import repository as make_repository
from tests.contracts.entities import resource as make_resource

CREATE = """mutation($in: PolicyInput!) {
    createPolicy(input: $in) { policy { id name priority revision nextRunAt enabled } clientMutationId }
}"""
UPDATE = "mutation($in: UpdatePolicyInput!) { updatePolicy(input: $in) { policy { id name revision nextRunAt priority } } }"
DELETE = "mutation($in: IdInput!) { deletePolicy(input: $in) { id } }"
START = "mutation($in: StartPolicyInput!) { startPolicy(input: $in) { session { id kind requestedBy } } }"
LIST = "{ policies(first: 50) { edges { node { name } } } }"


def draft(bench: Bench, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": "nightly",
        "scope": {"accountId": bench.home_id, "regions": ["us-east-1"], "mode": "ALL"},
        "retention": {"snapshots": 7, "backupDays": 30},
        "schedule": {"snapshotHours": [18, 6], "timezone": "UTC"},
    }
    return {**given, **changes}


def create(bench: Bench, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = bench.data(CREATE, {"in": draft(bench, **changes)}, role=Role.OPERATOR)["createPolicy"]["policy"]
    return made


def stored(bench: Bench) -> list[str]:
    return [edge["node"]["name"] for edge in bench.data(LIST)["policies"]["edges"]]


def activity(bench: Bench) -> list[str]:
    with bench.store.transaction() as tx:
        return [line.message for line in tx.activity.after(None, 100)]


def test_a_policy_is_created_with_its_next_run(bench: Bench) -> None:
    made = create(bench)
    assert made["nextRunAt"] == "2026-11-22T18:00:00Z"
    assert (made["priority"], made["revision"], made["enabled"]) == (1, 1, True)
    assert create(bench, name="second")["priority"] == 2
    assert activity(bench)[0] == "operator created the policy nightly."


def test_repeating_a_mutation_gives_the_first_answer(bench: Bench) -> None:
    one = create(bench, clientMutationId="k1")
    two = create(bench, clientMutationId="k1", name="ignored this time")
    assert one == two
    assert stored(bench) == ["nightly"]
    create(bench, clientMutationId="k2", name="another")


def test_keys_of_different_users_do_not_meet(bench: Bench) -> None:
    create(bench, clientMutationId="k1")
    variables = {"in": draft(bench, name="mine", clientMutationId="k1")}
    assert bench.data(CREATE, variables, role=Role.ADMINISTRATOR)["createPolicy"]["policy"]["name"] == "mine"


def test_a_dry_run_checks_everything_and_changes_nothing(bench: Bench) -> None:
    assert create(bench, dryRun=True)["name"] == "nightly"
    assert stored(bench) == []
    assert activity(bench) == []
    create(bench)
    variables = {"in": draft(bench, dryRun=True)}
    assert bench.error(CREATE, variables)["extensions"]["code"] == "CONFLICT"


def test_updates_need_the_newest_revision(bench: Bench) -> None:
    made = create(bench)
    changed = draft(bench, name="renamed", schedule=None)
    answer = bench.data(UPDATE, {"in": {"id": made["id"], "revision": 1, "policy": changed}})["updatePolicy"]["policy"]
    assert answer == {"id": made["id"], "name": "renamed", "revision": 2, "nextRunAt": None, "priority": 1}
    error = bench.error(UPDATE, {"in": {"id": made["id"], "revision": 1, "policy": changed}})
    assert error["extensions"]["code"] == "CONFLICT"
    assert error["extensions"]["fields"] == {"revision": "2 now."}
    assert error["extensions"]["remedy"] == "Read it again and repeat the change."


def test_disabling_stops_the_schedule_and_enabling_starts_it_anew(bench: Bench) -> None:
    made = create(bench)
    switch = "mutation($in: IdInput!) { %s(input: $in) { policy { enabled nextRunAt revision } } }"
    off = bench.data(switch % "disablePolicy", {"in": {"id": made["id"]}})["disablePolicy"]["policy"]
    assert off == {"enabled": False, "nextRunAt": None, "revision": 2}
    again = bench.data(switch % "disablePolicy", {"in": {"id": made["id"]}})["disablePolicy"]["policy"]
    assert again == off
    on = bench.data(switch % "enablePolicy", {"in": {"id": made["id"]}})["enablePolicy"]["policy"]
    assert on == {"enabled": True, "nextRunAt": "2026-11-22T18:00:00Z", "revision": 3}


def test_starting_makes_a_session_once_per_key_and_not_twice_at_a_time(bench: Bench) -> None:
    made = create(bench)
    with bench.store.transaction() as tx:
        tx.resources.add(make_resource(bench.home))
    order = {"id": made["id"], "clientMutationId": "now"}
    first = bench.data(START, {"in": order}, role=Role.OPERATOR)["startPolicy"]["session"]
    assert first["kind"] == "POLICY_RUN"
    assert first["requestedBy"] == "operator"
    assert bench.data(START, {"in": order}, role=Role.OPERATOR)["startPolicy"]["session"] == first
    assert bench.error(START, {"in": {"id": made["id"]}})["extensions"]["code"] == "CONFLICT"
    assert bench.error(DELETE, {"in": {"id": made["id"]}})["extensions"]["code"] == "CONFLICT"
    assert bench.jobs.take() is not None


def test_cancelling_ends_what_had_not_begun(bench: Bench) -> None:
    made = create(bench)
    with bench.store.transaction() as tx:
        tx.resources.add(make_resource(bench.home))
    session = bench.data(START, {"in": {"id": made["id"]}})["startPolicy"]["session"]
    document = "mutation($in: IdInput!) { cancelSession(input: $in) { session { state cancelRequested } } }"
    answer = bench.data(document, {"in": {"id": session["id"]}}, role=Role.OPERATOR)["cancelSession"]["session"]
    assert answer == {"state": "CANCELLED", "cancelRequested": True}
    with bench.store.transaction() as tx:
        assert tx.sessions.get(local_id("Session", session["id"])).state is State.CANCELLED


def test_deleting_twice_is_not_found_and_a_dry_run_deletes_nothing(bench: Bench) -> None:
    made = create(bench)
    bench.data(DELETE, {"in": {"id": made["id"], "dryRun": True}})
    assert stored(bench) == ["nightly"]
    assert bench.data(DELETE, {"in": {"id": made["id"]}})["deletePolicy"]["id"] == made["id"]
    assert bench.error(DELETE, {"in": {"id": made["id"]}})["extensions"]["code"] == "NOT_FOUND"


def test_a_resource_belongs_to_the_policy_of_highest_priority(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.resources.add(make_resource(bench.home, name="web"))
    create(bench, name="low", priority=9)
    create(bench, name="high", priority=2)
    create(bench, name="off", priority=1, enabled=False)
    document = "{ resources(first: 1) { edges { node { protection { policy { name } covered reason } } } } }"
    reasons = bench.data(document)["resources"]["edges"][0]["node"]["protection"]
    assert reasons == [
        {"policy": {"name": "high"}, "covered": True, "reason": "All instances in us-east-1 are selected."},
        {
            "policy": {"name": "low"},
            "covered": False,
            "reason": "The resource is already protected by another policy: high",
        },
    ]
    counted = bench.data("{ policies(first: 5) { edges { node { name resourceCount } } } }")["policies"]["edges"]
    assert {edge["node"]["name"]: edge["node"]["resourceCount"] for edge in counted} == {"off": 1, "high": 1, "low": 0}


@pytest.mark.parametrize("value", [None, "platinum"])
def test_everything_a_person_decides_comes_back(bench: Bench, value: str | None) -> None:
    server, repository = make_resource(bench.home), make_repository(bench.home)
    with bench.store.transaction() as tx:
        tx.resources.add(server)
        tx.repositories.add(repository)
    scope = {
        "accountId": bench.home_id,
        "regions": ["us-east-1", "eu-central-1"],
        "mode": "LISTED",
        "resourceIds": [global_id("Resource", server.id)],
        "tags": [{"key": "Tier", "value": value}],
        "excludedTags": [{"key": "Temporary"}],
    }
    schedule = {"snapshotHours": [1, 13, 1], "backupHours": [13], "days": ["FRIDAY", "MONDAY"], "timezone": "Europe/Berlin"}
    id = create(
        bench,
        description="both",
        scope=scope,
        schedule=schedule,
        repositoryId=global_id("Repository", repository.id),
        retryAttempts=1,
        copyTags=False,
    )["id"]
    document = """query($id: ID!) { node(id: $id) { ... on Policy { description retryAttempts copyTags repository { name }
        schedule { snapshotHours backupHours days timezone } retention { snapshots backupDays }
        scope { regions mode account { id } resources { name } tags { key value } excludedTags { key value } } } } }"""
    node = bench.data(document, {"id": id})["node"]
    assert node["schedule"] == {**schedule, "snapshotHours": [1, 13], "days": ["MONDAY", "FRIDAY"]}
    assert node["scope"]["resources"] == [{"name": server.name}]
    assert node["scope"]["tags"] == [{"key": "Tier", "value": value}]
    assert node["scope"]["excludedTags"] == [{"key": "Temporary", "value": None}]
    assert node["repository"] == {"name": repository.name}
    assert (node["retryAttempts"], node["copyTags"], node["description"]) == (1, False, "both")


MORE = """mutation($in: PolicyInput!) { createPolicy(input: $in) { policy { verify healthCheck { ordinal weekday } } } }"""


def test_backups_are_verified_and_checked_as_the_policy_says(bench: Bench) -> None:
    repository = make_repository(bench.home)
    with bench.store.transaction() as tx:
        tx.repositories.add(repository)
    plan = {"ordinal": "LAST", "weekday": "SUNDAY"}
    given = draft(bench, repositoryId=global_id("Repository", repository.id), verify=True, healthCheck=plan)
    made = bench.data(MORE, {"in": given})["createPolicy"]["policy"]
    assert made == {"verify": True, "healthCheck": plan}
    made = bench.data(MORE, {"in": draft(bench, name="second")})["createPolicy"]["policy"]
    assert made == {"verify": False, "healthCheck": None}


def test_without_backups_there_is_nothing_to_verify_or_check(bench: Bench) -> None:
    given = draft(bench, verify=True, healthCheck={"ordinal": "FIRST", "weekday": "MONDAY"})
    error = bench.error(MORE, {"in": given})
    assert error["extensions"]["fields"].keys() == {"verify", "healthCheck"}


def test_backups_do_not_go_into_an_archive(bench: Bench) -> None:
    repository = make_repository(bench.home, storage_class=StorageClass.GLACIER)
    with bench.store.transaction() as tx:
        tx.repositories.add(repository)
    error = bench.error(MORE, {"in": draft(bench, repositoryId=global_id("Repository", repository.id))})
    assert "is an archive" in error["extensions"]["fields"]["repositoryId"]
