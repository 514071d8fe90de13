"""SLA templates through the door: created, changed, cloned, refused while used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from server.api.graphql.scalars import local_id
from server.domain import keeping
from server.domain.access import Role
from server.domain.policy import Policy, PolicyKind, RunState
from tests.api.bench import Bench
from tests.contracts.entities import policy as make_policy

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
