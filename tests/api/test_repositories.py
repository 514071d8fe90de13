"""Repositories through the door: created, opened, refused, forgotten."""

from __future__ import annotations

from typing import Any

from server.adapters.blobs.memory import MemoryBlobs
from server.api.graphql.scalars import global_id, local_id
from tests.api.bench import Bench
from tests.contracts.entities import policy as make_policy

ADD = """mutation($in: AddRepositoryInput!) { addRepository(input: $in) {
    repository { id name kind url location prefix region state account { name } } } }"""
REMOVE = "mutation($in: IdInput!) { removeRepository(input: $in) { id } }"
PASSWORD = "a repository password"


def draft(bench: Bench, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": "main",
        "kind": "S3",
        "accountId": bench.home_id,
        "region": "us-east-1",
        "location": "backups",
        "prefix": "/holdfast/",
        "password": PASSWORD,
    }
    return {**given, **changes}


def local(bench: Bench, **changes: Any) -> dict[str, Any]:
    return {"name": "disk", "kind": "LOCAL", "location": "first", "password": PASSWORD, **changes}


def add(bench: Bench, given: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = bench.data(ADD, {"in": given})["addRepository"]["repository"]
    return made


def test_a_repository_is_created_in_an_empty_folder(bench: Bench) -> None:
    bucket = bench.buckets["backups"] = MemoryBlobs(clock=bench.clock)
    made = add(bench, draft(bench))
    assert made["url"] == "s3://backups/holdfast"
    assert made["account"] == {"name": "Home account"}
    assert made["state"] == "AVAILABLE"
    assert list(bucket.list())


def test_the_password_is_sealed_and_nowhere_in_an_answer(bench: Bench) -> None:
    made = add(bench, draft(bench))
    with bench.store._engine.connect() as connection:
        row = str(connection.exec_driver_sql("SELECT * FROM repositories").all())
    assert PASSWORD not in row
    assert PASSWORD not in str(made)
    fields = bench.data('{ __type(name: "Repository") { fields { name } } }')["__type"]["fields"]
    assert "password" not in {field["name"] for field in fields}


def test_a_repository_that_is_there_is_opened_with_its_password(bench: Bench) -> None:
    bench.buckets["backups"] = MemoryBlobs(clock=bench.clock)
    first = add(bench, draft(bench))
    with bench.store.transaction() as tx:
        format_id = tx.repositories.get(local_id("Repository", first["id"])).format_id
    bench.data(REMOVE, {"in": {"id": first["id"]}})
    again = add(bench, draft(bench, name="again"))
    with bench.store.transaction() as tx:
        assert tx.repositories.get(local_id("Repository", again["id"])).format_id == format_id


def test_a_local_repository_lies_beneath_the_allowed_folder(bench: Bench) -> None:
    made = add(bench, local(bench))
    assert made["location"] == str(bench.local_root / "first")
    assert made["url"] == (bench.local_root / "first").as_uri()
    assert (bench.local_root / "first").is_dir()


def test_a_dry_run_creates_nothing(bench: Bench) -> None:
    bucket = bench.buckets["backups"] = MemoryBlobs(clock=bench.clock)
    add(bench, draft(bench, dryRun=True))
    assert list(bucket.list()) == []
    assert bench.data("{ repositories(first: 1) { totalCount } }")["repositories"]["totalCount"] == 0
    add(bench, draft(bench))
    error = bench.error(ADD, {"in": draft(bench, name="x", location="backups", prefix="holdfast", dryRun=True)})
    assert error["extensions"]["code"] == "CONFLICT"


def test_repeating_under_a_key_is_the_same_repository(bench: Bench) -> None:
    assert add(bench, draft(bench, clientMutationId="k")) == add(bench, draft(bench, clientMutationId="k"))


def test_a_repository_in_use_cannot_be_removed(bench: Bench) -> None:
    made = add(bench, draft(bench))
    policy = make_policy(bench.home, repository_id=local_id("Repository", made["id"]))
    with bench.store.transaction() as tx:
        tx.policies.add(policy)
    error = bench.error(REMOVE, {"in": {"id": made["id"]}})
    assert error["message"] == f"The policy {policy.name} backs up into main."
    with bench.store.transaction() as tx:
        tx.policies.remove(policy.id)
    bench.data(REMOVE, {"in": {"id": made["id"], "dryRun": True}})
    bench.data(REMOVE, {"in": {"id": made["id"]}})
    assert bench.error(REMOVE, {"in": {"id": made["id"]}})["extensions"]["code"] == "NOT_FOUND"


def test_garbage_collection_is_a_session(bench: Bench) -> None:
    made = add(bench, draft(bench))
    document = "mutation($in: IdInput!) { collectGarbage(input: $in) { session { kind name } } }"
    session = bench.data(document, {"in": {"id": made["id"]}})["collectGarbage"]["session"]
    assert session["kind"] == "REPOSITORY_MAINTENANCE"
    assert global_id("Repository", local_id("Repository", made["id"])) == made["id"]
