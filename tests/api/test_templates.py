"""SLA and storage templates through the door: created, changed, cloned, refused while used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from server.api.graphql.scalars import global_id, local_id
from server.domain import keeping
from server.domain.access import Role
from server.domain.policy import Policy, PolicyKind, RunState
from server.domain.repository import Encryption, Repository, StorageClass
from tests.api.bench import Bench
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import repository as make_repository

SLA = """slaTemplate { id name description version updatedAt revision
    terms { snapshot { window { start end } daily { everyMinutes keep { amount unit } } weekly { days keep { amount unit } }
        monthly { months day { ordinal weekday day } keep { amount unit } } }
      replica { firstOf keep { amount unit } } backup { daily { everyMinutes } } archive { months keep { amount unit } }
      trackChanges target healthCheck { ordinal weekday } }
    versions { version since terms { target } } policies { name } }"""
CREATE = f"mutation($in: SlaTemplateInput!) {{ createSlaTemplate(input: $in) {{ {SLA} clientMutationId }} }}"
UPDATE = f"mutation($in: UpdateSlaTemplateInput!) {{ updateSlaTemplate(input: $in) {{ {SLA} }} }}"
CLONE = f"mutation($in: CloneTemplateInput!) {{ cloneSlaTemplate(input: $in) {{ {SLA} }} }}"
DELETE = "mutation($in: IdInput!) { deleteSlaTemplate(input: $in) { id } }"
LIST = "{ slaTemplates(first: 50) { totalCount edges { node { name } } } }"

STORAGE = """storageTemplate { id name revision updatedAt backup { default { name } regions { region repository { name } } }
    archive { default { name } } policies { name } }"""
CREATE_STORAGE = f"mutation($in: StorageTemplateInput!) {{ createStorageTemplate(input: $in) {{ {STORAGE} }} }}"
UPDATE_STORAGE = f"mutation($in: UpdateStorageTemplateInput!) {{ updateStorageTemplate(input: $in) {{ {STORAGE} }} }}"
CLONE_STORAGE = f"mutation($in: CloneTemplateInput!) {{ cloneStorageTemplate(input: $in) {{ {STORAGE} }} }}"
DELETE_STORAGE = "mutation($in: IdInput!) { deleteStorageTemplate(input: $in) { id } }"
REMOVE = "mutation($in: IdInput!) { removeRepository(input: $in) { id } }"

WEEK = {"amount": 7, "unit": "DAYS"}
HOURLY = {"window": {"start": 600, "end": 1080}, "daily": {"everyMinutes": 60, "keep": WEEK}}
ARCHIVES = {"months": [1, 7], "keep": {"amount": 6, "unit": "MONTHS"}}


def draft(**changes: Any) -> dict[str, Any]:
    return {"name": "gold", "terms": {"snapshot": HOURLY}, **changes}


def create(bench: Bench, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = bench.data(CREATE, {"in": draft(**changes)}, role=Role.OPERATOR)["createSlaTemplate"]
    template: dict[str, Any] = made["slaTemplate"]
    return template


def update(bench: Bench, made: dict[str, Any], **changes: Any) -> dict[str, Any]:
    given = {"id": made["id"], "revision": made["revision"], "template": draft(**changes)}
    changed: dict[str, Any] = bench.data(UPDATE, {"in": given}, role=Role.OPERATOR)["updateSlaTemplate"]["slaTemplate"]
    return changed


def fields(bench: Bench, document: str, given: dict[str, Any]) -> dict[str, str]:
    """What is wrong, by input path."""
    error = bench.error(document, {"in": given}, role=Role.OPERATOR)
    assert error["extensions"]["code"] == "INVALID_INPUT", error
    found: dict[str, str] = error["extensions"]["fields"]
    return found


def term_fields(bench: Bench, **terms: Any) -> dict[str, str]:
    return fields(bench, CREATE, draft(terms=terms))


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


def follow(bench: Bench, template_id: str, storage_id: str | None = None, **changes: Any) -> Policy:
    made = make_policy(
        bench.home,
        kind=PolicyKind.SLA,
        schedule=None,
        sla_template_id=local_id("SlaTemplate", template_id),
        storage_template_id=None if storage_id is None else local_id("StorageTemplate", storage_id),
        runs=RunState(),
        **changes,
    )
    with bench.store.transaction() as tx:
        tx.policies.add(made)
    return made


def activity(bench: Bench) -> list[str]:
    with bench.store.transaction() as tx:
        return [line.message for line in tx.activity.after(None, 100)]


# ---- SLA templates ----------------------------------------------------------------------------------------------------


def test_a_template_is_created_with_its_first_version(bench: Bench) -> None:
    made = create(
        bench,
        description=" for what matters ",
        terms={
            "snapshot": {
                **HOURLY,
                "weekly": {"days": ["SUNDAY", "MONDAY", "MONDAY"], "keep": WEEK},
                "monthly": {"months": [12, 1], "day": {"ordinal": "LAST", "weekday": "FRIDAY"}, "keep": WEEK},
            },
            "replica": {"firstOf": "WEEKLY", "keep": WEEK},
            "backup": {"daily": {"everyMinutes": 240, "keep": WEEK}},
            "archive": ARCHIVES,
            "healthCheck": {"ordinal": "SECOND", "weekday": "SUNDAY"},
        },
    )
    terms = made["terms"]
    assert (made["description"], made["version"], made["revision"]) == ("for what matters", 1, 1)
    assert terms["snapshot"]["window"] == {"start": 600, "end": 1080}
    assert terms["snapshot"]["weekly"] == {"days": ["MONDAY", "SUNDAY"], "keep": WEEK}
    assert terms["snapshot"]["monthly"]["months"] == [1, 12]
    assert terms["replica"] == {"firstOf": "WEEKLY", "keep": WEEK}
    assert terms["archive"] == ARCHIVES
    assert (terms["target"], terms["trackChanges"]) == (97, True), "the defaults"
    assert terms["healthCheck"] == {"ordinal": "SECOND", "weekday": "SUNDAY"}
    assert [one["version"] for one in made["versions"]] == [1]
    assert activity(bench) == ["operator created the SLA template gold."]
    node = bench.data("query($id: ID!) { node(id: $id) { ... on SlaTemplate { name } } }", {"id": made["id"]})["node"]
    assert node == {"name": "gold"}


def test_repeating_under_a_key_creates_one_and_a_dry_run_none(bench: Bench) -> None:
    create(bench, dryRun=True)
    assert bench.data(LIST)["slaTemplates"]["totalCount"] == 0
    assert create(bench, clientMutationId="k")["id"] == create(bench, clientMutationId="k", name="ignored")["id"]
    assert bench.data(LIST)["slaTemplates"]["totalCount"] == 1


def test_names_and_descriptions_have_their_limits(bench: Bench) -> None:
    assert fields(bench, CREATE, draft(name="  ")) == {"name": "Give the template a name."}
    assert fields(bench, CREATE, draft(name="n" * 128, description="d" * 256)) == {
        "name": "A name has at most 127 characters; this one has 128.",
        "description": "A description has at most 255 characters; this one has 256.",
    }
    create(bench, name="n" * 127, description="d" * 255)
    error = bench.error(CREATE, {"in": draft(name="N" * 127)})
    assert (error["message"], error["extensions"]["code"]) == (
        f"There is an SLA template named {'N' * 127} already.",
        "CONFLICT",
    )


def test_every_problem_of_the_terms_is_told_at_once(bench: Bench) -> None:
    found = term_fields(
        bench,
        snapshot={
            "window": {"start": -1, "end": 1440},
            "daily": {"everyMinutes": 7, "keep": {"amount": 0, "unit": "DAYS"}},
            "weekly": {"days": [], "keep": {"amount": 1189, "unit": "MONTHS"}},
            "monthly": {"months": [0], "day": {}, "keep": {"amount": 100, "unit": "YEARS"}},
        },
        replica={"firstOf": "YEARLY", "keep": {"amount": 1, "unit": "YEARS"}},
        archive={"months": [], "keep": {"amount": 36136, "unit": "DAYS"}},
        healthCheck={"ordinal": "LAST", "weekday": "SUNDAY"},
        target=101,
    )
    assert found == {
        "terms.snapshot.window.start": "A time of day is 0 to 1439 minutes after midnight.",
        "terms.snapshot.window.end": "A time of day is 0 to 1439 minutes after midnight.",
        "terms.snapshot.daily.everyMinutes": "Every 15, 20, 30 minutes, or every 1 to 24 whole hours.",
        "terms.snapshot.daily.keep": "Between 1 and 36135 days.",
        "terms.snapshot.weekly.days": "Choose at least one day of the week.",
        "terms.snapshot.weekly.keep": "Between 1 and 1188 months.",
        "terms.snapshot.monthly.months": "Months are 1 to 12.",
        "terms.snapshot.monthly.day": "Give a weekday and which of them, or a day's number: one of the two.",
        "terms.snapshot.monthly.keep": "Between 1 and 99 years.",
        "terms.replica.firstOf": "The first snapshot of each day, week or month.",
        "terms.replica.keep": "Kept for days or months, not for years.",
        "terms.archive": "Archives are made of backups: promise backups too.",
        "terms.archive.months": "Choose at least one month.",
        "terms.archive.keep": "Between 1 and 36135 days.",
        "terms.healthCheck": "A health check looks at backups: promise backups, or leave it out.",
        "terms.target": "The target is 1 to 100 percent.",
    }


@pytest.mark.parametrize("minutes", [15, 20, 30, 60, 120, 300, 1440])
def test_snapshots_may_come_every_part_of_an_hour_or_every_few_hours(bench: Bench, minutes: int) -> None:
    create(bench, terms={"snapshot": {"daily": {"everyMinutes": minutes, "keep": WEEK}}})


@pytest.mark.parametrize(("minutes", "told"), [(30, True), (90, True), (60, False), (1500, True), (0, True)])
def test_backups_come_every_few_whole_hours(bench: Bench, minutes: int, told: bool) -> None:
    given = {"snapshot": HOURLY, "backup": {"daily": {"everyMinutes": minutes, "keep": WEEK}}}
    if told:
        assert term_fields(bench, **given) == {"terms.backup.daily.everyMinutes": "Every 1 to 24 whole hours."}
    else:
        create(bench, terms=given)


def test_something_must_be_promised(bench: Bench) -> None:
    assert term_fields(bench) == {
        "terms.snapshot": "The template promises nothing yet: choose daily, weekly or monthly snapshots, or backups."
    }
    assert term_fields(bench, snapshot=HOURLY, backup={}) == {
        "terms.backup": "Choose daily, weekly or monthly backups, or leave backups out."
    }
    backups_only = {"backup": {"daily": {"everyMinutes": 240, "keep": WEEK}}}
    assert term_fields(bench, **backups_only, replica={"firstOf": "DAILY", "keep": WEEK}) == {
        "terms.replica": "Replicas are copies of promised snapshots: choose snapshots too."
    }
    create(bench, terms=backups_only)


def test_finishing_an_edit_always_updates_its_time_and_other_terms_are_a_version(bench: Bench) -> None:
    made = create(bench)
    bench.clock.sleep(60)
    same = update(bench, made)
    assert (same["version"], same["revision"]) == (1, 2)
    assert same["updatedAt"] > made["updatedAt"], "changed or not"
    bench.clock.sleep(60)
    other = update(bench, same, terms={"snapshot": HOURLY, "target": 90})
    assert other["version"] == 2
    assert [(one["version"], one["terms"]["target"]) for one in other["versions"]] == [(2, 90), (1, 97)]
    assert other["versions"][0]["since"] == other["updatedAt"]


def test_an_older_revision_is_refused(bench: Bench) -> None:
    made = create(bench)
    update(bench, made)
    error = bench.error(UPDATE, {"in": {"id": made["id"], "revision": 1, "template": draft()}})
    assert error["message"] == "gold was changed meanwhile: it is at revision 2, not 1."


def test_a_clone_has_the_terms_and_a_history_of_its_own(bench: Bench) -> None:
    made = update(bench, create(bench, description="first"), terms={"snapshot": HOURLY, "target": 90})
    copy = bench.data(CLONE, {"in": {"id": made["id"], "name": " silver "}})["cloneSlaTemplate"]["slaTemplate"]
    assert (copy["name"], copy["terms"], copy["version"]) == ("silver", made["terms"], 1)
    assert copy["id"] != made["id"]
    error = bench.error(CLONE, {"in": {"id": made["id"], "name": "gold"}})
    assert error["extensions"]["code"] == "CONFLICT"


def test_a_template_in_use_cannot_be_deleted(bench: Bench) -> None:
    made = create(bench)
    first = follow(bench, made["id"], name="a policy", replicas=())
    second = follow(bench, made["id"], name="b policy", replicas=())
    error = bench.error(DELETE, {"in": {"id": made["id"]}})
    assert error["message"] == "The policy a policy and 1 other policy use gold."
    found = bench.data("{ slaTemplates(first: 1) { edges { node { policies { name } } } } }")["slaTemplates"]["edges"]
    assert found[0]["node"]["policies"] == [{"name": "a policy"}, {"name": "b policy"}]
    with bench.store.transaction() as tx:
        tx.policies.remove(first.id)
        tx.policies.remove(second.id)
    bench.data(DELETE, {"in": {"id": made["id"], "dryRun": True}})
    bench.data(DELETE, {"in": {"id": made["id"]}})
    assert bench.error(DELETE, {"in": {"id": made["id"]}})["extensions"]["code"] == "NOT_FOUND"
    assert activity(bench)[-1] == "administrator deleted the SLA template gold."


def test_policies_are_planned_anew_when_the_terms_change(bench: Bench) -> None:
    """It is 12:00 UTC; the windows are read in N. Virginia and Frankfurt."""
    made = create(bench)
    policy = follow(bench, made["id"], replicas=(), next_run_at=bench.clock.now() + timedelta(days=9))
    update(bench, made, terms={"snapshot": {**HOURLY, "window": {"start": 840, "end": 900}}})
    with bench.store.transaction() as tx:
        planned = tx.policies.get(policy.id)
        run = keeping.next_run(planned, tx.sla_templates.get(local_id("SlaTemplate", made["id"])).terms, bench.clock.now())
    assert run is not None
    assert planned.next_run_at == run.slot.at
    assert run.slot.at.isoformat() == "2026-11-22T13:00:00+00:00", "14:00 in Frankfurt"


def test_terms_a_policy_has_no_place_for_are_refused(bench: Bench) -> None:
    made = create(bench)
    follow(bench, made["id"], name="web", replicas=())
    for terms, sentence in (
        ({"backup": HOURLY}, "The SLA template promises backups: choose a storage template."),
        ({"replica": {"firstOf": "DAILY", "keep": WEEK}}, "The SLA template promises replicas: say where they go."),
    ):
        given = {"id": made["id"], "revision": 1, "template": draft(terms={"snapshot": HOURLY, **terms})}
        error = bench.error(UPDATE, {"in": given})
        assert error["message"] == f"The policy web uses gold. {sentence}"
        assert error["extensions"]["code"] == "CONFLICT"


def test_a_viewer_looks_and_changes_nothing(bench: Bench) -> None:
    bench.data(LIST, role=Role.VIEWER)
    for document, given in ((CREATE, draft()), (DELETE, {"id": "x"}), (CLONE, {"id": "x", "name": "y"})):
        assert bench.error(document, {"in": given}, role=Role.VIEWER)["extensions"]["code"] == "FORBIDDEN"


# ---- storage templates ------------------------------------------------------------------------------------------------


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
