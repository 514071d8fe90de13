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
    createPolicy(input: $in) { policy { id name priority edition nextRunAt enabled } clientMutationId }
}"""
UPDATE = "mutation($in: UpdatePolicyInput!) { updatePolicy(input: $in) { policy { id name edition nextRunAt priority } } }"
DELETE = "mutation($in: IdInput!) { deletePolicy(input: $in) { id } }"
START = "mutation($in: StartPolicyInput!) { startPolicy(input: $in) { session { id kind requestedBy } } }"
LIST = "{ policies(first: 50) { edges { node { name } } } }"


def daily(hours: list[int], **changes: Any) -> dict[str, Any]:
    return {"daily": {"snapshot": {"slots": hours, "count": 7}, **changes}}


def draft(bench: Bench, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": "nightly",
        "scope": {"accountId": bench.home_id, "regions": ["us-east-1"], "mode": "ALL"},
        "schedule": daily([18, 6]),
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
    assert (made["priority"], made["edition"], made["enabled"]) == (1, 1, True)
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


def test_updates_need_the_newest_edition(bench: Bench) -> None:
    made = create(bench)
    changed = draft(bench, name="renamed", schedule=None)
    answer = bench.data(UPDATE, {"in": {"id": made["id"], "edition": 1, "policy": changed}})["updatePolicy"]["policy"]
    assert answer == {"id": made["id"], "name": "renamed", "edition": 2, "nextRunAt": None, "priority": 1}
    error = bench.error(UPDATE, {"in": {"id": made["id"], "edition": 1, "policy": changed}})
    assert error["extensions"]["code"] == "CONFLICT"
    assert error["extensions"]["fields"] == {"edition": "2 now."}
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
    document = "{ resources(first: 1) { edges { node { protection { state policy { name } reason } } } } }"
    found = bench.data(document)["resources"]["edges"][0]["node"]["protection"]
    assert found == {
        "state": "PROTECTED",
        "policy": {"name": "high"},
        "reason": "Protected by high. All instances in us-east-1 are selected.",
    }
    counted = bench.data("{ policies(first: 5) { edges { node { name resourceCount } } } }")["policies"]["edges"]
    assert {edge["node"]["name"]: edge["node"]["resourceCount"] for edge in counted} == {"off": 1, "high": 1, "low": 0}


EVERYTHING = """query($id: ID!) { node(id: $id) { ... on Policy {
  name description workload kind enabled priority retryAttempts copyTags verify edition
  repository { id } archiveRepository { id } slaTemplate { id } storageTemplate { id }
  scope { regions mode account { id } resources { id } tags { key value } excludedResources { id } excludedTags { key value }
    excludedVolumes { system volumeIds tags { key value } } }
  schedule { timezone
    daily { enabled days perHour snapshot { ...rule } replica { ...rule } backup { ...rule } }
    weekly { enabled hour snapshot { ...rule } replica { ...rule } backup { ...rule } }
    monthly { enabled hour day { ordinal weekday day } snapshot { ...rule } backup { ...rule } archive { ...rule } }
    yearly { enabled hour day { ordinal weekday day } backup { ...rule } archive { ...rule } } }
  replicas { regions account { id } region encrypt kmsKey keyUsage }
  guest { applicationAware linux { ...scripts } windows { ...scripts } }
  tags { key value }
  retention { snapshots replicas backups { amount unit } archives { amount unit } }
  notifications { recipients onSuccess onWarning onFailure lastAttemptOnly onlyMissed atMinute }
  healthCheck { ordinal weekday }
} } }
fragment rule on Rule { slots count period { amount unit } }
fragment scripts on Scripts {
  pre { path arguments } post { path arguments } timeoutSeconds onlyForBackups ignoreMissing ignoreExitCodes
}
"""


def counted(slots: list[int], count: int) -> dict[str, Any]:
    return {"slots": slots, "count": count, "period": None}


def aged(slots: list[int], amount: int, unit: str = "DAYS") -> dict[str, Any]:
    return {"slots": slots, "count": None, "period": {"amount": amount, "unit": unit}}


WHOLE_SCHEDULE = {
    "timezone": "Europe/Berlin",
    "daily": {
        "enabled": True,
        "days": ["MONDAY", "WEDNESDAY", "FRIDAY"],
        "perHour": 2,
        "snapshot": counted([1, 7, 13], 9),
        "replica": counted([7], 3),
        "backup": aged([7], 14),
    },
    "weekly": {"enabled": True, "hour": 7, "snapshot": counted([0, 4], 2), "replica": None, "backup": aged([0], 2, "MONTHS")},
    "monthly": {
        "enabled": True,
        "hour": 7,
        "day": {"ordinal": "FIRST", "weekday": "MONDAY", "day": None},
        "snapshot": counted([], 1),
        "backup": None,
        "archive": aged([1, 3, 5, 7, 9, 11], 12, "MONTHS"),
    },
    "yearly": {
        "enabled": False,
        "hour": 3,
        "day": {"ordinal": "FIRST", "weekday": None, "day": 31},
        "backup": aged([12], 7, "YEARS"),
        "archive": None,
    },
}


@pytest.mark.parametrize("value", [None, "platinum"])
def test_everything_a_person_decides_comes_back(bench: Bench, value: str | None) -> None:
    server, other, repository = make_resource(bench.home), make_resource(bench.home), make_repository(bench.home)
    archive = make_repository(bench.home, storage_class=StorageClass.GLACIER)
    with bench.store.transaction() as tx:
        tx.resources.put([server, other])
        tx.repositories.put([repository, archive])
    scope = {
        "accountId": bench.home_id,
        "regions": ["us-east-1", "eu-central-1"],
        "mode": "LISTED",
        "resourceIds": [global_id("Resource", server.id)],
        "tags": [{"key": "Tier", "value": value}],
        "excludedResourceIds": [global_id("Resource", other.id)],
        "excludedTags": [{"key": "Temporary", "value": None}],
        "excludedVolumes": {
            "system": True,
            "volumeIds": ["vol-0123456789abcdef0"],
            "tags": [{"key": "Scratch", "value": value}],
        },
    }
    target = {"accountId": bench.home_id, "region": "eu-west-1", "regions": [], "encrypt": True, "kmsKey": "alias/copies"}
    linux = {"pre": {"path": "/opt/freeze.sh", "arguments": "%policy%"}, "post": None, "timeoutSeconds": 30}
    windows = {"pre": None, "post": {"path": "C:\\thaw.ps1", "arguments": ""}, "timeoutSeconds": 60}
    options = {"onlyForBackups": True, "ignoreMissing": True, "ignoreExitCodes": False}
    given = draft(
        bench,
        description="both",
        enabled=False,
        priority=4,
        scope=scope,
        schedule=WHOLE_SCHEDULE,
        repositoryId=global_id("Repository", repository.id),
        archiveRepositoryId=global_id("Repository", archive.id),
        replicas=[{**target, "keyUsage": "ENCRYPTED"}],
        guest={"applicationAware": True, "linux": {**linux, **options}, "windows": {**windows, **options}},
        copyTags=False,
        tags=[{"key": "made-by", "value": "holdfast"}],
        retention={
            "snapshots": 1,
            "replicas": 2,
            "backups": {"amount": 3, "unit": "DAYS"},
            "archives": {"amount": 4, "unit": "YEARS"},
        },
        retryAttempts=1,
        notifications={
            "recipients": ["ops@example.com"],
            "onSuccess": False,
            "onWarning": True,
            "onFailure": True,
            "lastAttemptOnly": False,
            "onlyMissed": False,
            "atMinute": None,
        },
        verify=True,
        healthCheck={"ordinal": "SECOND", "weekday": "TUESDAY"},
    )
    id = bench.data(CREATE, {"in": given})["createPolicy"]["policy"]["id"]
    node = bench.data(EVERYTHING, {"id": id})["node"]
    assert node.pop("workload") == "ec2"
    assert (node.pop("kind"), node.pop("edition")) == ("SCHEDULE", 1)
    assert (node.pop("slaTemplate"), node.pop("storageTemplate")) == (None, None)
    assert node.pop("repository")["id"] == given.pop("repositoryId")
    assert node.pop("archiveRepository")["id"] == given.pop("archiveRepositoryId")
    for one in node["replicas"]:
        one["accountId"] = one.pop("account")["id"]
    shown = node["scope"]
    shown["accountId"] = shown.pop("account")["id"]
    shown["resourceIds"] = [one["id"] for one in shown.pop("resources")]
    shown["excludedResourceIds"] = [one["id"] for one in shown.pop("excludedResources")]
    assert node == given


PREVIEW = """query($in: PolicyInput!, $id: ID) { previewPolicy(input: $in, id: $id) {
  problems { path message } warnings scheduleText nextRuns { at regions legs { leg flags } } keeps { leg frequency text }
  inherited { path source hour day { ordinal weekday day } } additions { path slots }
  covered { resource { name } covered reason claimedBy { name } } coveredCount totalBytes
} }"""


def preview(bench: Bench, **changes: Any) -> dict[str, Any]:
    id = changes.pop("id", None)
    found: dict[str, Any] = bench.data(PREVIEW, {"in": draft(bench, **changes), "id": id}, role=Role.OPERATOR)["previewPolicy"]
    return found


def test_a_preview_says_when_it_runs_what_it_keeps_and_whom_it_covers(bench: Bench) -> None:
    size = 8 << 30
    servers = [make_resource(bench.home, name=name, size_bytes=size, tags={"env": name}) for name in ("a", "b", "c")]
    with bench.store.transaction() as tx:
        tx.resources.put(servers)
    scope = {"accountId": bench.home_id, "regions": ["us-east-1"], "mode": "ALL"}
    create(bench, name="first", scope={**scope, "mode": "LISTED", "tags": [{"key": "env", "value": "b"}]})
    found = preview(bench, scope={**scope, "excludedTags": [{"key": "env", "value": "c"}]})
    assert (found["problems"], found["warnings"]) == ([], [])
    assert found["scheduleText"] == "Every day at 06:00 and 18:00 (UTC)"
    assert len(found["nextRuns"]) == 50
    assert found["nextRuns"][0] == {
        "at": "2026-11-22T18:00:00Z",
        "regions": ["us-east-1"],
        "legs": [{"leg": "SNAPSHOT", "flags": ["DAILY"]}],
    }
    assert found["keeps"] == [{"leg": "SNAPSHOT", "frequency": "DAILY", "text": "The 7 newest daily snapshots"}]
    assert [(one["resource"]["name"], one["covered"], one["reason"], one["claimedBy"]) for one in found["covered"]] == [
        ("a", True, "All instances in us-east-1 are selected.", None),
        ("b", False, "The resource is already protected by another policy: first", {"name": "first"}),
        ("c", False, "Excluded by tag env=c.", None),
    ]
    assert (found["coveredCount"], found["totalBytes"]) == (1, size)


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
