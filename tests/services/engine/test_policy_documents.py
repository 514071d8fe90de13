"""Policies as code: compared, applied as a whole or not at all, and imported under free names."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from server.domain.access import Caller, Role
from server.domain.errors import Conflict, Forbidden, InvalidInput
from server.domain.policy import Policy
from server.domain.schedule import Daily, Rule, Schedule
from server.ports import Order, Select
from server.services import policy_documents as documents
from server.services import protection
from server.services.policy_documents import Action, Plan
from tests.services.engine.harness import Appliance

CALLER = Caller(user_id=None, name="ann", role=Role.OPERATOR)
DAILY = Schedule(daily=Daily(snapshot=Rule(slots=(7, 19), count=7)))


@pytest.fixture
def weekly(appliance: Appliance) -> Policy:
    """The policy there is."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": {0: b"x" * (512 * 1024)}})
    return appliance.policy(account, name="weekly", repository=appliance.repository(account), schedule=DAILY)


def exported(appliance: Appliance) -> dict[str, Any]:
    return documents.export(appliance.app, CALLER)


def stored(appliance: Appliance) -> list[Policy]:
    with appliance.app.store.transaction() as tx:
        return tx.policies.page(Select(order=(Order("priority"),)))


def planned(appliance: Appliance, wanted: Any, *, prune: bool = False) -> Plan:
    return documents.plan(appliance.app, CALLER, wanted, prune=prune)


def another(wanted: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    """The document with one more policy, like the first."""
    entry = {**copy.deepcopy(wanted["policies"][0]), "name": name, **changes}
    entry.pop("priority", None)
    return {**wanted, "policies": [*wanted["policies"], entry]}


def test_an_export_plans_no_change(appliance: Appliance, weekly: Policy) -> None:
    wanted = exported(appliance)
    assert wanted["policies"][0]["account"] == "home"
    assert wanted["policies"][0]["repository"] == "vault"
    assert wanted["policies"][0]["schedule"]["daily"]["snapshot"] == {"hours": [7, 19], "keep": 7}
    assert planned(appliance, wanted).empty


def test_a_plan_names_each_difference(appliance: Appliance, weekly: Policy) -> None:
    wanted = exported(appliance)
    wanted["policies"][0]["schedule"]["daily"]["snapshot"]["keep"] = 14
    wanted["policies"][0]["verify"] = True
    found = planned(appliance, another(wanted, "second"), prune=True)
    assert [(change.action, change.name) for change in found.changes] == [(Action.CHANGE, "weekly"), (Action.CREATE, "second")]
    changed = {one.path: (one.before, one.after) for one in found.changes[0].differences}
    assert changed == {"schedule.daily.snapshot.keep": (7, 14), "verify": (None, True)}
    assert found.changes[1].differences[0].path == "name"
    assert stored(appliance) == [weekly], "a plan changes nothing"


def test_applying_does_what_the_plan_said(appliance: Appliance, weekly: Policy) -> None:
    wanted = another(another(exported(appliance), "second", enabled=False), "third")
    wanted["policies"][0]["description"] = "changed"
    plan = planned(appliance, wanted)
    documents.apply(appliance.app, CALLER, wanted, digest=plan.digest)
    assert [(one.name, one.priority, one.enabled) for one in stored(appliance)] == [
        ("weekly", 1, True),
        ("second", 2, False),
        ("third", 3, True),
    ]
    first = stored(appliance)[0]
    assert (first.id, first.description, first.edition) == (weekly.id, "changed", weekly.edition + 1)
    said = {one.path: one.after for one in plan.changes[2].differences}
    assert said["priority"] == 3
    assert planned(appliance, exported(appliance)).empty
    again = documents.apply(appliance.app, CALLER, wanted)
    assert again.empty
    assert stored(appliance)[0].edition == first.edition, "what is as wanted is not written"


def test_a_dry_run_changes_nothing(appliance: Appliance, weekly: Policy) -> None:
    wanted = another(exported(appliance), "second")
    assert documents.apply(appliance.app, CALLER, wanted, dry_run=True).count(Action.CREATE) == 1
    assert stored(appliance) == [weekly]


def test_only_pruning_deletes(appliance: Appliance, weekly: Policy) -> None:
    empty = {"holdfast": 1, "policies": []}
    assert planned(appliance, empty).empty
    assert [change.action for change in planned(appliance, empty, prune=True).changes] == [Action.DELETE]
    documents.apply(appliance.app, CALLER, empty)
    assert stored(appliance) == [weekly]
    documents.apply(appliance.app, CALLER, empty, prune=True)
    assert stored(appliance) == []


def test_a_running_policy_is_not_deleted_and_nothing_else_is_done(appliance: Appliance, weekly: Policy) -> None:
    protection.start_policy(appliance.app, CALLER, weekly.id)
    entry = {**exported(appliance)["policies"][0], "name": "second"}
    wanted = {"holdfast": 1, "policies": [entry]}
    for dry_run in (True, False):
        with pytest.raises(Conflict, match="still running"):
            documents.apply(appliance.app, CALLER, wanted, prune=True, dry_run=dry_run)
        assert [one.name for one in stored(appliance)] == ["weekly"]


def test_one_wrong_entry_keeps_all_from_being_applied(appliance: Appliance, weekly: Policy) -> None:
    wanted = another(exported(appliance), "second")
    wanted["policies"][0]["description"] = "changed"
    wanted["policies"][1]["retries"] = 99
    wanted["policies"][1]["regions"] = []
    with pytest.raises(InvalidInput) as refused:
        documents.apply(appliance.app, CALLER, wanted)
    assert {"policies.1.retries", "policies.1.regions"} <= refused.value.fields.keys()
    assert stored(appliance) == [weekly]


def test_mistakes_in_writing_are_told_before_anything_else(appliance: Appliance, weekly: Policy) -> None:
    wanted = another(exported(appliance), "weekly", acount="home")
    with pytest.raises(InvalidInput) as refused:
        planned(appliance, wanted)
    assert refused.value.fields.keys() == {"policies.1.acount", "policies.1.name"}
    assert "twice" in refused.value.fields["policies.1.name"]


def test_a_plan_made_on_something_else_is_not_applied(appliance: Appliance, weekly: Policy) -> None:
    wanted = exported(appliance)
    wanted["policies"][0]["description"] = "first"
    plan = planned(appliance, wanted)
    documents.apply(appliance.app, CALLER, wanted)
    with pytest.raises(Conflict, match="changed since"):
        documents.apply(appliance.app, CALLER, wanted, digest=plan.digest)


def test_resources_go_by_their_ids_in_aws(appliance: Appliance, weekly: Policy) -> None:
    wanted = exported(appliance)
    wanted["policies"][0]["select"] = {"resources": ["i-web-1"], "tags": ["env=prod", "backup"]}
    documents.apply(appliance.app, CALLER, wanted)
    scope = stored(appliance)[0].scope
    assert len(scope.resource_ids) == 1
    assert exported(appliance)["policies"][0]["select"] == {
        "mode": "listed",
        "resources": ["i-web-1"],
        "tags": ["env=prod", "backup"],
    }
    wanted["policies"][0]["select"] = {"resources": ["i-gone"]}
    with pytest.raises(InvalidInput, match="no resource 'i-gone'"):
        planned(appliance, wanted)


def test_an_import_asks_for_free_names(appliance: Appliance, weekly: Policy) -> None:
    text = json.dumps(exported(appliance))
    with pytest.raises(Conflict, match="import it under another name"):
        documents.load(appliance.app, CALLER, text, names={})
    assert [one.name for one in documents.load(appliance.app, CALLER, text, names={"weekly": "copy"}, dry_run=True)] == ["copy"]
    assert stored(appliance) == [weekly]
    documents.load(appliance.app, CALLER, text, names={"weekly": "copy"})
    assert [(one.name, one.priority) for one in stored(appliance)] == [("weekly", 1), ("copy", 2)]


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "Line 1, column 2"), ("[" * 100_000, "too deep"), ('{"holdfast": 1, "policies": [{}]}', "cannot be read")],
)
def test_what_is_no_document_is_refused(appliance: Appliance, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        documents.load(appliance.app, CALLER, text, names={})


def test_who_may_do_what(appliance: Appliance, weekly: Policy) -> None:
    viewer = Caller(user_id=None, name="eve", role=Role.VIEWER)
    wanted = documents.export(appliance.app, viewer)
    with pytest.raises(Forbidden):
        documents.plan(appliance.app, viewer, wanted)
    with pytest.raises(Forbidden):
        documents.apply(appliance.app, viewer, wanted)
    with pytest.raises(InvalidInput, match="no policy named 'x'"):
        documents.export(appliance.app, viewer, named=["x"])
    assert len(documents.export(appliance.app, viewer, named=["WEEKLY"])["policies"]) == 1
