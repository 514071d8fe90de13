"""Folders before and after they are added: what is there, whose it is, whether the bucket will do; keys, owners, changes."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from server.adapters.blobs.memory import MemoryBlobs
from server.api.graphql.scalars import local_id
from server.domain.access import Role
from server.domain.errors import AwsAccessDenied, NotOwner, WrongPassword
from server.domain.immutability import BucketFacts
from server.domain.repository import StorageClass
from server.repository.repository import Repository
from tests.api.bench import Bench
from tests.api.test_repositories import PASSWORD, draft, local
from tests.repository.kms import KEY, OTHER_KEY

LOOK = """query($in: RepositoryFolderInput!) { repositoryFolder(input: $in) {
    url exists version storageClass encryption kmsKey hint ownerId foreign addedAs immutable warnings
    problems { message remedy } } }"""
ADD = """mutation($in: AddRepositoryInput!) { addRepository(input: $in) {
    repository { id name storageClass immutable encryption kmsKey hint state }
    session { id kind name } } }"""
UPDATE = """mutation($in: UpdateRepositoryInput!) { updateRepository(input: $in) {
    repository { id name description hint encryption kmsKey state } } }"""
LOCKED = BucketFacts(versioning="enabled", object_lock=True)


def place(bench: Bench, **changes: Any) -> dict[str, Any]:
    given = {"kind": "S3", "accountId": bench.home_id, "region": "us-east-1", "location": "backups", "prefix": "holdfast"}
    return {**given, **changes}


def look(bench: Bench, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = bench.data(LOOK, {"in": place(bench, **changes)})["repositoryFolder"]
    return found


def add(bench: Bench, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = bench.data(ADD, {"in": draft(bench, **changes)})["addRepository"]
    return made


def update(bench: Bench, id: str, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = bench.data(UPDATE, {"in": {"id": id, **changes}})["updateRepository"]["repository"]
    return made


def bucket(bench: Bench, facts: BucketFacts | None = None) -> MemoryBlobs:
    made = MemoryBlobs(clock=bench.clock, facts=facts)
    bench.buckets["backups"] = made
    return made


def opens(bench: Bench, blobs: MemoryBlobs, password: str) -> None:
    Repository.open(blobs, password, clock=bench.clock, owner=None)


# ---- looking ----------------------------------------------------------------------------------------------------------


def test_an_empty_folder(bench: Bench) -> None:
    bucket(bench)
    found = look(bench)
    assert found["url"] == "s3://backups/holdfast"
    assert (found["exists"], found["foreign"], found["immutable"], found["problems"]) == (False, False, False, [])


def test_a_folder_of_another_appliance_names_its_owner_class_and_hint(bench: Bench) -> None:
    owner = uuid4()
    blobs = bucket(bench)
    Repository.create(blobs, PASSWORD, clock=bench.clock, owner=owner, hint="as ever", storage_class=StorageClass.DEEP_ARCHIVE)
    found = look(bench)
    assert found["exists"]
    assert found["foreign"]
    assert found["ownerId"] == str(owner)
    assert (found["storageClass"], found["encryption"], found["hint"]) == ("DEEP_ARCHIVE", "PASSWORD", "as ever")
    assert found["addedAs"] is None


def test_a_folder_added_already_says_as_what(bench: Bench) -> None:
    bucket(bench)
    made = add(bench)["repository"]
    found = look(bench)
    assert (found["addedAs"], found["foreign"]) == (made["id"], False)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (BucketFacts(versioning="enabled"), "versioning but no Object Lock"),
        (BucketFacts(versioning="suspended", object_lock=True), "versioning is suspended"),
        (BucketFacts(lifecycle=("The rule 'old' deletes objects after 30 days.",)), "The rule 'old'"),
    ],
)
def test_a_bucket_that_will_not_do_says_why_and_is_not_added(bench: Bench, facts: BucketFacts, said: str) -> None:
    blobs = bucket(bench, facts)
    found = look(bench)
    assert said in found["problems"][0]["message"]
    assert found["problems"][0]["remedy"]
    error = bench.error(ADD, {"in": draft(bench)})
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert said in error["extensions"]["fields"]["location"]
    assert list(blobs.list()) == []


def test_a_locked_bucket_is_immutable_and_default_retention_is_a_warning(bench: Bench) -> None:
    bucket(bench, BucketFacts(versioning="enabled", object_lock=True, default_mode="COMPLIANCE", default_retention=7))
    found = look(bench)
    assert found["immutable"]
    assert found["problems"] == []
    assert "7 days by default" in found["warnings"][0]
    assert add(bench)["repository"]["immutable"]


def test_what_is_no_repository_is_a_problem_and_storage_that_refuses_an_error(bench: Bench) -> None:
    bucket(bench).put("holiday.jpg", b"...")
    assert "is not a Holdfast repository" in look(bench)["problems"][0]["message"]
    bench.buckets["backups"] = AwsAccessDenied("S3 refused.", operation="s3:ListBucket", aws_code="AccessDenied")
    error = bench.error(LOOK, {"in": place(bench)})
    assert error["extensions"]["fields"] == {"location": "S3 refused."}


def test_only_administrators_look(bench: Bench) -> None:
    error = bench.error(LOOK, {"in": place(bench)}, role=Role.OPERATOR)
    assert error["extensions"]["code"] == "FORBIDDEN"


# ---- adding -----------------------------------------------------------------------------------------------------------


def test_class_and_hint_of_a_new_repository(bench: Bench) -> None:
    blobs = bucket(bench)
    made = add(bench, storageClass="GLACIER", hint="the usual one")
    assert made["session"] is None, "there is nothing to import"
    assert (made["repository"]["storageClass"], made["repository"]["hint"]) == ("GLACIER", "the usual one")
    assert Repository.open(blobs, PASSWORD, clock=bench.clock, owner=None).vault.storage_class is StorageClass.GLACIER


def test_a_foreign_repository_is_taken_over_only_when_that_is_said(bench: Bench) -> None:
    owner = uuid4()
    theirs = Repository.create(
        bucket(bench), PASSWORD, clock=bench.clock, owner=owner, hint="theirs", storage_class=StorageClass.GLACIER
    )
    error = bench.error(ADD, {"in": draft(bench)})
    assert error["extensions"]["code"] == "CONFLICT"
    assert str(owner) in error["message"]
    assert error["extensions"]["fields"].keys() == {"takeOver"}
    theirs.vault.check_owner()

    bench.data(ADD, {"in": draft(bench, takeOver=True, dryRun=True)})
    theirs.vault.check_owner()
    made = add(bench, takeOver=True, storageClass="STANDARD")

    assert (made["repository"]["storageClass"], made["repository"]["hint"]) == ("GLACIER", "theirs"), "it keeps its own"
    assert made["session"]["kind"] == "REPOSITORY_RESCAN"
    with bench.store.transaction() as tx:
        known = tx.repositories.get(local_id("Repository", made["repository"]["id"]))
    assert known.format_id == theirs.id
    with pytest.raises(NotOwner):
        theirs.vault.check_owner()


def test_a_wrong_password_of_an_existing_folder_is_told_also_in_a_dry_run(bench: Bench) -> None:
    Repository.create(bucket(bench), PASSWORD, clock=bench.clock, owner=bench.services.owner_id())
    for dry_run in (True, False):
        error = bench.error(ADD, {"in": draft(bench, password="not this one", dryRun=dry_run)})
        assert "password" in error["extensions"]["fields"]
        assert "not this one" not in str(error)


def test_a_repository_that_opens_with_a_kms_key(bench: Bench) -> None:
    blobs = bucket(bench)
    made = add(bench, password=None, kmsKey=KEY)["repository"]
    assert (made["encryption"], made["kmsKey"]) == ("KMS", KEY)
    with pytest.raises(WrongPassword, match="opens with no password"):
        opens(bench, blobs, PASSWORD)
    found = look(bench)
    assert (found["encryption"], found["kmsKey"]) == ("KMS", KEY)
    bench.data("mutation($in: IdInput!) { removeRepository(input: $in) { id } }", {"in": {"id": made["id"]}})
    error = bench.error(ADD, {"in": draft(bench, password=None, kmsKey=OTHER_KEY)})
    assert "kmsKey" in error["extensions"]["fields"]
    assert add(bench, password=None, kmsKey=KEY)["session"] is not None


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"password": None}, "password"),
        ({"password": "short"}, "password"),
        ({"kmsKey": KEY}, "kmsKey"),
        ({"password": None, "kmsKey": "alias/backups"}, "kmsKey"),
        ({"hint": "x" * 256}, "hint"),
    ],
)
def test_a_form_that_cannot_be(bench: Bench, given: dict[str, Any], path: str) -> None:
    error = bench.error(ADD, {"in": draft(bench, **given)})
    assert error["extensions"]["fields"].keys() == {path}


def test_a_folder_on_a_disk_has_no_classes(bench: Bench) -> None:
    error = bench.error(ADD, {"in": local(bench, storageClass="GLACIER")})
    assert error["extensions"]["fields"].keys() == {"storageClass"}


# ---- changing ---------------------------------------------------------------------------------------------------------


def test_name_and_description_change_without_touching_the_folder(bench: Bench) -> None:
    bucket(bench)
    made = add(bench)["repository"]
    bench.buckets["backups"] = AwsAccessDenied("S3 refused.", operation="s3:ListBucket", aws_code="AccessDenied")
    changed = update(bench, made["id"], name="archive room", description="cold")
    assert (changed["name"], changed["description"]) == ("archive room", "cold")


def test_a_new_password_counts_from_now_on_and_no_other(bench: Bench) -> None:
    blobs = bucket(bench)
    made = add(bench)["repository"]
    assert update(bench, made["id"], password="a newer password", hint="newer")["hint"] == "newer"
    opens(bench, blobs, "a newer password")
    with pytest.raises(WrongPassword):
        opens(bench, blobs, PASSWORD)
    with bench.store.transaction() as tx:
        row = tx.repositories.get(local_id("Repository", made["id"]))
    assert bench.services.open_repository(row).id == row.format_id


def test_a_password_changed_elsewhere_is_only_noted(bench: Bench) -> None:
    blobs = bucket(bench)
    made = add(bench)["repository"]
    Repository.open(blobs, PASSWORD, clock=bench.clock, owner=bench.services.owner_id()).change_secret("from the shell")
    error = bench.error(UPDATE, {"in": {"id": made["id"], "password": "neither of them"}})
    assert "password" in error["extensions"]["fields"]
    update(bench, made["id"], password="from the shell")
    opens(bench, blobs, "from the shell")


def test_from_a_password_to_a_key_and_back(bench: Bench) -> None:
    blobs = bucket(bench)
    made = add(bench)["repository"]
    changed = update(bench, made["id"], kmsKey=KEY)
    assert (changed["encryption"], changed["kmsKey"]) == ("KMS", KEY)
    changed = update(bench, made["id"], password=PASSWORD)
    assert (changed["encryption"], changed["kmsKey"]) == ("PASSWORD", None)
    opens(bench, blobs, PASSWORD)


def test_a_dry_run_changes_nothing(bench: Bench) -> None:
    blobs = bucket(bench)
    made = add(bench)["repository"]
    update(bench, made["id"], password="a newer password", dryRun=True)
    opens(bench, blobs, PASSWORD)


def test_an_owner_that_lost_its_repository_takes_it_back(bench: Bench) -> None:
    blobs = bucket(bench)
    made = add(bench)["repository"]
    Repository.open(blobs, PASSWORD, clock=bench.clock, owner=uuid4(), take_over=True)
    error = bench.error(UPDATE, {"in": {"id": made["id"], "hint": "x"}})
    assert error["extensions"]["code"] == "NOT_OWNER"
    update(bench, made["id"], takeOver=True)
    assert not look(bench)["foreign"]


def test_a_name_that_is_taken(bench: Bench) -> None:
    bucket(bench)
    add(bench)
    other = bench.data(ADD, {"in": local(bench)})["addRepository"]["repository"]
    error = bench.error(UPDATE, {"in": {"id": other["id"], "name": "main"}})
    assert error["extensions"]["fields"] == {"name": "Taken."}


# ---- upkeep -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mutation", "more", "kind"),
    [
        ("rescanRepository(input: {id: $id", "", "REPOSITORY_RESCAN"),
        ("checkRepository(input: {id: $id", ", level: CONTENT, shares: 5", "REPOSITORY_CHECK"),
        ("collectGarbage(input: {id: $id", "", "REPOSITORY_MAINTENANCE"),
    ],
)
def test_upkeep_is_a_session_that_operators_start(bench: Bench, mutation: str, more: str, kind: str) -> None:
    bucket(bench)
    id = add(bench)["repository"]["id"]

    def document(extra: str) -> str:
        session = "{ session { kind name log(first: 5) { message } } }"
        return f"mutation($id: ID!) {{ started: {mutation}{more}{extra}}}) {session} }}"

    assert bench.data(document(", dryRun: true"), {"id": id}, role=Role.OPERATOR)["started"]["session"] is None
    started = bench.data(document(', clientMutationId: "k"'), {"id": id}, role=Role.OPERATOR)["started"]["session"]
    assert started["kind"] == kind
    assert started["log"]
    again = bench.data(document(', clientMutationId: "k"'), {"id": id}, role=Role.OPERATOR)["started"]["session"]
    assert again == started
    assert bench.error(document(""), {"id": id}, role=Role.VIEWER)["extensions"]["code"] == "FORBIDDEN"
