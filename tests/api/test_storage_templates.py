"""Storage templates through the door: created, changed, cloned, refused while used; repositories they name stay."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from server.api.graphql.scalars import global_id
from server.domain.access import Role
from server.domain.repository import Encryption, Repository, StorageClass
from tests.api.bench import Bench
from tests.api.test_templates import ARCHIVES, HOURLY, activity, create, fields, follow
from tests.contracts.entities import repository as make_repository

STORAGE = """storageTemplate { id name revision updatedAt backup { default { name } regions { region repository { name } } }
    archive { default { name } } policies { name } }"""
CREATE_STORAGE = f"mutation($in: StorageTemplateInput!) {{ createStorageTemplate(input: $in) {{ {STORAGE} }} }}"
UPDATE_STORAGE = f"mutation($in: UpdateStorageTemplateInput!) {{ updateStorageTemplate(input: $in) {{ {STORAGE} }} }}"
CLONE_STORAGE = f"mutation($in: CloneTemplateInput!) {{ cloneStorageTemplate(input: $in) {{ {STORAGE} }} }}"
DELETE_STORAGE = "mutation($in: IdInput!) { deleteStorageTemplate(input: $in) { id } }"
REMOVE = "mutation($in: IdInput!) { removeRepository(input: $in) { id } }"


def repositories(bench: Bench) -> tuple[Repository, Repository]:
    """One for backups and one for archives."""
    vault = make_repository(bench.home, name="vault")
    ice = make_repository(bench.home, name="ice", storage_class=StorageClass.GLACIER)
    with bench.store.transaction() as tx:
        tx.repositories.put([vault, ice])
    return vault, ice


def storage(bench: Bench, vault: Repository, ice: Repository | None = None, **changes: Any) -> dict[str, Any]:
    archive = None if ice is None else {"defaultId": global_id("Repository", ice.id)}
    return {"name": "places", "backup": {"defaultId": global_id("Repository", vault.id)}, "archive": archive, **changes}


def make_storage(bench: Bench, given: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = bench.data(CREATE_STORAGE, {"in": given}, role=Role.OPERATOR)["createStorageTemplate"]
    template: dict[str, Any] = made["storageTemplate"]
    return template


def test_a_storage_template_names_a_default_and_repositories_by_region(bench: Bench) -> None:
    vault, ice = repositories(bench)
    near = {"region": "eu-central-1", "repositoryId": global_id("Repository", vault.id)}
    given = storage(bench, vault, ice)
    given["backup"]["regions"] = [near]
    made = make_storage(bench, given)
    assert made["backup"] == {
        "default": {"name": "vault"},
        "regions": [{"region": "eu-central-1", "repository": {"name": "vault"}}],
    }
    assert made["archive"] == {"default": {"name": "ice"}}
    assert activity(bench) == ["operator created the storage template places."]


@pytest.mark.parametrize("character", "/\\\"':|<>+=;,?!*%#^@&$.")
def test_a_storage_templates_name_has_no_special_characters(bench: Bench, character: str) -> None:
    vault, _ = repositories(bench)
    found = fields(bench, CREATE_STORAGE, storage(bench, vault, name=f"a{character}b"))
    assert found["name"].endswith(f"; this one has {character}.")


def test_repositories_must_exist_and_be_of_the_right_class(bench: Bench) -> None:
    vault, ice = repositories(bench)
    missing = global_id("Repository", UUID(int=7))
    assert fields(bench, CREATE_STORAGE, storage(bench, ice, vault)) == {
        "backup.default": "ice is an archive: back up into another one, and archive from there.",
        "archive.default": "vault is no archive: choose one of a Glacier class.",
    }
    given = storage(bench, vault, archive={"defaultId": missing})
    given["backup"]["regions"] = [{"region": "eu-west-1", "repositoryId": missing}]
    assert fields(bench, CREATE_STORAGE, given) == {
        "archive.default": "There is no such repository.",
        "backup.regions": "There is no such repository.",
    }


def test_regions_are_known_and_listed_once(bench: Bench) -> None:
    vault, _ = repositories(bench)
    id = global_id("Repository", vault.id)

    def told(*names: str) -> str:
        given = storage(bench, vault)
        given["backup"]["regions"] = [{"region": name, "repositoryId": id} for name in names]
        return fields(bench, CREATE_STORAGE, given)["backup.regions"]

    assert told("eu-centrl-1") == "There is no Region eu-centrl-1: did you mean eu-central-1?"
    assert told("here") == "'here' is no Region's name."
    assert told("eu-west-1", "eu-west-1") == "eu-west-1 is listed twice: give each Region one repository."


def test_a_password_and_a_key_may_open_the_two_repositories_of_a_template(bench: Bench) -> None:
    """Every repository is encrypted, so backups and archives always are alike in that."""
    vault, ice = repositories(bench)
    key = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    with bench.store.transaction() as tx:
        locked = make_repository(bench.home, storage_class=StorageClass.GLACIER, encryption=Encryption.KMS, kms_key=key)
        tx.repositories.add(locked)
    make_storage(bench, storage(bench, vault, locked))
    make_storage(bench, storage(bench, vault, ice, name="other"))


def test_an_immutable_repository_is_welcome(bench: Bench) -> None:
    """A template always promises something, so there is always a schedule, which such a repository asks for."""
    locked = make_repository(bench.home, immutable=True)
    with bench.store.transaction() as tx:
        tx.repositories.add(locked)
    make_storage(bench, storage(bench, locked))


def test_a_repository_a_template_names_cannot_be_removed(bench: Bench) -> None:
    vault, ice = repositories(bench)
    made = make_storage(bench, storage(bench, vault, ice))
    for one in (vault, ice):
        error = bench.error(REMOVE, {"in": {"id": global_id("Repository", one.id)}})
        assert error["message"] == f"The storage template places names {one.name}."
        assert error["extensions"]["code"] == "CONFLICT"
    bench.data(DELETE_STORAGE, {"in": {"id": made["id"]}})
    bench.data(REMOVE, {"in": {"id": global_id("Repository", ice.id)}})


def test_a_storage_template_is_edited_cloned_and_refused_while_used(bench: Bench) -> None:
    vault, ice = repositories(bench)
    made = make_storage(bench, storage(bench, vault, ice))
    bench.clock.sleep(60)
    given = {"id": made["id"], "revision": 1, "template": storage(bench, vault, ice)}
    same = bench.data(UPDATE_STORAGE, {"in": given})["updateStorageTemplate"]["storageTemplate"]
    assert same["updatedAt"] > made["updatedAt"], "changed or not"
    copy = bench.data(CLONE_STORAGE, {"in": {"id": made["id"], "name": "copies"}})["cloneStorageTemplate"]["storageTemplate"]
    assert copy["backup"] == made["backup"]
    backups = {"snapshot": HOURLY, "backup": HOURLY, "archive": ARCHIVES}
    policy = follow(bench, create(bench, terms=backups)["id"], made["id"], name="web", replicas=())
    error = bench.error(DELETE_STORAGE, {"in": {"id": made["id"]}})
    assert error["message"] == "The policy web uses places."
    given = {"id": made["id"], "revision": 2, "template": storage(bench, vault)}
    error = bench.error(UPDATE_STORAGE, {"in": given})
    assert error["message"] == (
        "The policy web uses places. The SLA template promises archives, and places names no place for them."
    )
    with bench.store.transaction() as tx:
        tx.policies.remove(policy.id)
    bench.data(DELETE_STORAGE, {"in": {"id": made["id"]}})


def test_lists_of_templates_take_a_fixed_number_of_statements(bench: Bench) -> None:
    vault, ice = repositories(bench)
    bench.header(Role.VIEWER)
    document = """{ slaTemplates(first: 50) { edges { node { name versions { version } policies { name } } } }
        storageTemplates(first: 50) { edges { node { name policies { name } backup { default { name } regions { region } }
          archive { default { name } } } } } }"""

    def add(number: int) -> None:
        template = create(bench, name=f"sla {number}")
        place = make_storage(bench, storage(bench, vault, ice, name=f"storage {number}"))
        follow(bench, template["id"], place["id"], replicas=())

    add(1)
    few = bench.count_statements(lambda: bench.data(document, role=Role.VIEWER))
    for number in range(2, 8):
        add(number)
    many = bench.count_statements(lambda: bench.data(document, role=Role.VIEWER))
    assert many == few == 6, bench.statements
