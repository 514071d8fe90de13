"""Policies that are cloned, ordered, widened, stopped; those that follow templates; and what a preview finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from server.api.graphql.scalars import global_id, local_id
from server.domain.access import Role
from server.domain.periods import Period, Weekday
from server.domain.policy import Policy
from server.domain.repository import StorageClass
from server.domain.session import SessionKind, State
from server.domain.sla import DailyPlan, LegPlan, SlaTerms, WeeklyPlan, Window
from server.domain.templates import Location
from tests.api.bench import Bench
from tests.api.test_policies import CREATE, activity, create, daily, draft, preview
from tests.contracts.entities import NOW
from tests.contracts.entities import repository as make_repository
from tests.contracts.entities import resource as make_resource
from tests.contracts.entities import session as make_session
from tests.contracts.entities import storage_template as make_storage_template
from tests.contracts.entities import template as make_template

UPDATE = """mutation($in: UpdatePolicyInput!) {
  updatePolicy(input: $in) { policy { name edition nextRunAt slaTemplate { name } } } }"""
CLONE = "mutation($in: ClonePolicyInput!) { clonePolicy(input: $in) { policy { id name enabled priority edition } } }"
MOVE = "mutation($in: MovePolicyInput!) { movePolicy(input: $in) { policy { name priority } } }"
ADD = """mutation($in: AddToPolicyInput!) { addToPolicy(input: $in) { policy {
  edition scope { resources { name } excludedResources { name } } } } }"""
STOP = "mutation($in: IdInput!) { stopPolicy(input: $in) { sessions { name state cancelRequested } } }"
FOR = "query($ids: [ID!]!) { policiesFor(resourceIds: $ids) { name } }"
LISTED = "{ policies(first: 50, order: {field: PRIORITY}) { edges { node { name priority kind } } } }"
ALL_EAST = {"regions": ["us-east-1"], "mode": "ALL"}


def stored(bench: Bench, id: str) -> Policy:
    with bench.store.transaction() as tx:
        return tx.policies.get(local_id("Policy", id))


def priorities(bench: Bench) -> dict[str, int]:
    return {edge["node"]["name"]: edge["node"]["priority"] for edge in bench.data(LISTED)["policies"]["edges"]}


# ---- editing ----------------------------------------------------------------------------------------------------------


def test_a_run_does_not_disturb_who_is_editing(bench: Bench) -> None:
    made = create(bench)
    policy = stored(bench, made["id"])
    with bench.store.transaction() as tx:
        tx.policies.save(replace(policy, next_run_at=NOW + timedelta(days=1), revision=policy.revision + 1))
    changed = {"id": made["id"], "edition": made["edition"], "policy": draft(bench, name="renamed")}
    assert bench.data(UPDATE, {"in": changed})["updatePolicy"]["policy"]["edition"] == 2
    assert stored(bench, made["id"]).revision == 3


def test_a_run_that_is_due_is_not_lost_to_an_edit(bench: Bench) -> None:
    made = create(bench)  # due at 18:00
    bench.clock.advance(6 * 3600 + 1)
    same = {"id": made["id"], "edition": 1, "policy": draft(bench, description="said better")}
    answer = bench.data(UPDATE, {"in": same})["updatePolicy"]["policy"]
    assert answer["nextRunAt"] == made["nextRunAt"] == "2026-11-22T18:00:00Z"
    other = {"id": made["id"], "edition": 2, "policy": draft(bench, schedule=daily([18, 20]))}
    assert bench.data(UPDATE, {"in": other})["updatePolicy"]["policy"]["nextRunAt"] == "2026-11-22T20:00:00Z"


def test_the_kind_of_a_policy_stays(bench: Bench) -> None:
    made = create(bench)
    changed = draft(bench, kind="SLA", schedule=None)
    error = bench.error(UPDATE, {"in": {"id": made["id"], "edition": 1, "policy": changed}})
    assert error["extensions"]["fields"].keys() == {"kind"}


def test_an_immutable_repository_needs_a_schedule(bench: Bench) -> None:
    repository = make_repository(bench.home, name="locked", immutable=True)
    with bench.store.transaction() as tx:
        tx.repositories.add(repository)
    locked = {"repositoryId": global_id("Repository", repository.id)}
    error = bench.error(CREATE, {"in": draft(bench, schedule=None, **locked)})
    sentence = "locked is immutable: a schedule says how long its points stay locked. Add one."
    assert error["extensions"]["fields"] == {"schedule": sentence}
    create(bench, **locked)


def test_archives_go_into_an_archive(bench: Bench) -> None:
    repository, other = make_repository(bench.home), make_repository(bench.home, name="other")
    with bench.store.transaction() as tx:
        tx.repositories.put([repository, other])
    ids = {"repositoryId": repository.id, "archiveRepositoryId": other.id}
    error = bench.error(CREATE, {"in": draft(bench, **{name: global_id("Repository", id) for name, id in ids.items()})})
    assert error["extensions"]["fields"] == {
        "archiveRepositoryId": "other is no archive: choose a repository of an S3 Glacier class."
    }


# ---- cloning, ordering ------------------------------------------------------------------------------------------------


def test_a_clone_is_the_same_but_for_its_name_and_switched_off(bench: Bench) -> None:
    made = create(bench, tags=[{"key": "a", "value": "b"}])
    order = {"id": made["id"], "name": " copy ", "clientMutationId": "once"}
    clone = bench.data(CLONE, {"in": order}, role=Role.OPERATOR)["clonePolicy"]["policy"]
    assert (clone["name"], clone["enabled"], clone["priority"], clone["edition"]) == ("copy", False, 2, 1)
    assert bench.data(CLONE, {"in": order}, role=Role.OPERATOR)["clonePolicy"]["policy"] == clone
    one, two = stored(bench, made["id"]), stored(bench, clone["id"])
    assert replace(two, id=one.id, name=one.name, enabled=True, priority=1, next_run_at=one.next_run_at) == one
    assert two.next_run_at is None
    assert bench.error(CLONE, {"in": {"id": made["id"], "name": "copy"}})["extensions"]["code"] == "CONFLICT"
    bench.data(CLONE, {"in": {"id": made["id"], "name": "not made", "dryRun": True}})
    assert priorities(bench) == {"nightly": 1, "copy": 2}


def test_moving_orders_the_policies_of_one_kind_and_numbers_them_anew(bench: Bench) -> None:
    ids = {}
    for name, at in (("a", 3), ("b", 3), ("c", 8)):
        ids[name] = create(bench, name=name, priority=at)["id"]
        bench.clock.advance(1)
    promising(bench, "s")

    def move(name: str, to: str, **more: Any) -> list[str]:
        moved = bench.data(MOVE, {"in": {"id": ids[name], "to": to, **more}})["movePolicy"]["policy"]
        assert moved["name"] == name
        found = priorities(bench)
        assert found.pop("s") == 1
        assert more or sorted(found.values()) == [1, 2, 3]
        return sorted(found, key=lambda one: found[one])

    assert move("c", "TOP") == ["c", "a", "b"]
    assert move("c", "DOWN") == ["a", "c", "b"]
    assert move("b", "UP") == ["a", "b", "c"]
    assert move("a", "BOTTOM") == ["b", "c", "a"]
    assert move("a", "DOWN") == ["b", "c", "a"]
    assert move("a", "TOP", dryRun=True) == ["b", "c", "a"]
    assert activity(bench)[-1] == "administrator moved the policy a to place 3 of 3."


# ---- members ----------------------------------------------------------------------------------------------------------


def test_resources_are_added_to_a_policy_that_reaches_them(bench: Bench) -> None:
    web, app = make_resource(bench.home, name="web"), make_resource(bench.home, name="app", tags={"keep": "out"})
    far = make_resource(bench.home, name="far", region="eu-west-1")
    with bench.store.transaction() as tx:
        tx.resources.put([web, app, far])
    excluded = [global_id("Resource", app.id)]
    scope = {**ALL_EAST, "accountId": bench.home_id, "mode": "LISTED", "tags": [{"key": "x"}], "excludedResourceIds": excluded}
    id = create(bench, scope=scope)["id"]
    create(bench, name="elsewhere", scope={**scope, "regions": ["eu-west-1"]})

    def add(*wanted: UUID, **more: Any) -> dict[str, Any]:
        ids = [global_id("Resource", one) for one in wanted]
        return {"in": {"policyId": id, "resourceIds": ids, **more}}

    reaching = bench.data(FOR, {"ids": [global_id("Resource", one.id) for one in (web, app)]})
    assert reaching["policiesFor"] == [{"name": "nightly"}]
    assert bench.data(FOR, {"ids": [global_id("Resource", one.id) for one in (web, far)]})["policiesFor"] == []
    for wrong, sentence in (([], "Name 1 to 1000 resources."), ([UUID(int=9)], "1 of these resources are not known")):
        assert sentence in bench.error(FOR, {"ids": [global_id("Resource", id) for id in wrong]})["message"]
    bench.data(ADD, add(web.id, app.id, dryRun=True))
    added = bench.data(ADD, add(web.id, app.id, clientMutationId="k"))["addToPolicy"]["policy"]
    assert added["edition"] == 2
    assert [one["name"] for one in added["scope"]["resources"]] == ["web", "app"]
    assert added["scope"]["excludedResources"] == []
    assert bench.data(ADD, add(web.id, app.id, clientMutationId="k"))["addToPolicy"]["policy"] == added
    error = bench.error(ADD, add(far.id))
    assert error["message"] == "far is in eu-west-1: add this Region to the policy nightly first."


def test_a_tag_that_excludes_is_not_overruled(bench: Bench) -> None:
    server = make_resource(bench.home, name="lab", tags={"keep": "out"})
    with bench.store.transaction() as tx:
        tx.resources.add(server)
    id = create(bench, scope={**ALL_EAST, "accountId": bench.home_id, "excludedTags": [{"key": "keep"}]})["id"]
    error = bench.error(ADD, {"in": {"policyId": id, "resourceIds": [global_id("Resource", server.id)]}})
    assert error["extensions"]["fields"] == {"resourceIds": "lab: Excluded by tag keep."}


def test_stopping_cancels_what_runs(bench: Bench) -> None:
    id = create(bench)["id"]
    policy_id = local_id("Policy", id)
    with bench.store.transaction() as tx:
        tx.sessions.add(make_session(name="over", policy_id=policy_id, state=State.SUCCESS, started_at=NOW, ended_at=NOW))
        for name in ("run", "check"):
            tx.sessions.add(make_session(name=name, kind=SessionKind.POLICY_RUN, policy_id=policy_id))
    assert len(bench.data(STOP, {"in": {"id": id, "dryRun": True}})["stopPolicy"]["sessions"]) == 2
    stopped = bench.data(STOP, {"in": {"id": id}}, role=Role.OPERATOR)["stopPolicy"]["sessions"]
    assert {one["name"]: one["cancelRequested"] for one in stopped} == {"run": True, "check": True}


# ---- policies that follow templates -----------------------------------------------------------------------------------


def promising(bench: Bench, name: str = "gold", plan: LegPlan | None = None, **changes: Any) -> dict[str, Any]:
    """An SLA policy whose template promises hourly snapshots around the clock, or ``plan``."""
    terms = SlaTerms(snapshot=plan or LegPlan(daily=DailyPlan(every_minutes=60, keep=Period(2))))
    template = make_template(terms=terms)
    with bench.store.transaction() as tx:
        tx.sla_templates.add(template)
    given = {"kind": "SLA", "schedule": None, "slaTemplateId": global_id("SlaTemplate", template.id), **changes}
    return create(bench, name=name, **given)


NEXT_HOUR = datetime(2026, 11, 22, 13, tzinfo=UTC)


def test_a_policy_made_while_its_window_is_open_runs_at_once(bench: Bench) -> None:
    # 12:00 UTC is 07:00 in Virginia and 13:00 in Frankfurt.
    window = Window(start=6 * 60, end=8 * 60)
    plan = LegPlan(window=window, daily=DailyPlan(every_minutes=60, keep=Period(2)))
    scope = {**ALL_EAST, "accountId": bench.home_id, "regions": ["us-east-1", "eu-central-1"]}
    made = stored(bench, promising(bench, plan=plan, scope=scope)["id"])
    assert made.next_run_at == NOW
    opened = datetime(2026, 11, 22, 11, tzinfo=UTC)
    assert made.runs.handled == {"us-east-1": opened - timedelta(microseconds=1), "eu-central-1": NOW}
    assert made.runs.templates[0].template_id == made.sla_template_id


def test_a_policy_made_while_no_window_is_open_waits(bench: Bench) -> None:
    opens_at_13 = LegPlan(window=Window(start=8 * 60, end=9 * 60), daily=DailyPlan(every_minutes=60, keep=Period(2)))
    made = stored(bench, promising(bench, plan=opens_at_13)["id"])
    assert (made.next_run_at, made.runs.handled) == (NEXT_HOUR, {"us-east-1": NOW})


def test_an_open_window_that_asks_for_nothing_today_starts_nothing(bench: Bench) -> None:
    tomorrow = Weekday((NOW + timedelta(days=1)).weekday())
    made = stored(bench, promising(bench, plan=LegPlan(weekly=WeeklyPlan(days=(tomorrow,), keep=Period(30))))["id"])
    assert made.next_run_at == datetime(2026, 11, 23, 5, tzinfo=UTC)  # midnight in Virginia


def test_templates_followed_are_remembered(bench: Bench) -> None:
    made = promising(bench)
    first = stored(bench, made["id"])
    template = make_template(name="platinum")
    repository = make_repository(bench.home)
    storage = make_storage_template(repository)
    with bench.store.transaction() as tx:
        tx.sla_templates.add(template)
        tx.repositories.add(repository)
        tx.storage_templates.add(storage)
    bench.clock.advance(60)
    ids = {
        "slaTemplateId": global_id("SlaTemplate", template.id),
        "storageTemplateId": global_id("StorageTemplate", storage.id),
    }
    changed = draft(bench, name="gold", kind="SLA", schedule=None, **ids)
    answer = bench.data(UPDATE, {"in": {"id": made["id"], "edition": 1, "policy": changed}})["updatePolicy"]["policy"]
    assert answer["slaTemplate"] == {"name": "platinum"}
    used = stored(bench, made["id"]).runs.templates
    assert [one.template_id for one in used] == [first.sla_template_id, template.id]
    assert used[1].since == NOW + timedelta(seconds=60)


def test_switched_on_again_nothing_is_made_up_for(bench: Bench) -> None:
    made = promising(bench)
    switch = "mutation($in: IdInput!) { %s(input: $in) { policy { enabled nextRunAt edition } } }"
    off = bench.data(switch % "disablePolicy", {"in": {"id": made["id"]}})["disablePolicy"]["policy"]
    assert off == {"enabled": False, "nextRunAt": None, "edition": 2}
    bench.clock.advance(1800)
    on = bench.data(switch % "enablePolicy", {"in": {"id": made["id"]}})["enablePolicy"]["policy"]
    assert on == {"enabled": True, "nextRunAt": "2026-11-22T13:00:00Z", "edition": 3}
    assert stored(bench, made["id"]).runs.handled == {"us-east-1": NOW + timedelta(seconds=1800)}


def test_resources_belong_to_an_sla_policy_from_when_it_is_made(bench: Bench) -> None:
    server = make_resource(bench.home, name="web")
    with bench.store.transaction() as tx:
        tx.resources.add(server)
    made = promising(bench)
    with bench.store.transaction() as tx:
        member = tx.memberships.find(policy_id=local_id("Policy", made["id"]))
    assert member is not None
    assert (member.resource_id, member.joined_at, member.left_at) == (server.id, NOW, None)


# ---- previews ---------------------------------------------------------------------------------------------------------


def test_a_preview_lists_every_problem_and_offers_what_is_missing(bench: Bench) -> None:
    weekly = {"hour": 7, "snapshot": {"slots": [0], "count": 1}, "backup": {"slots": [0, 4], "period": {"amount": 30}}}
    monthly = {"hour": 9, "day": {"ordinal": "LAST", "weekday": "FRIDAY"}, "snapshot": {"slots": [1], "count": 1}}
    found = preview(bench, name="", schedule={"weekly": weekly, "monthly": monthly})
    assert {one["path"] for one in found["problems"]} == {
        "name",
        "schedule.weekly.backup.slots",
        "schedule.monthly.hour",
        "repositoryId",
    }
    assert found["inherited"] == [{"path": "schedule.monthly.hour", "source": "WEEKLY", "hour": 7, "day": None}]
    assert found["additions"] == [{"path": "schedule.weekly.snapshot.slots", "slots": [0, 4]}]
    assert (found["scheduleText"], found["nextRuns"], found["keeps"]) == ("", [], [])


def test_a_preview_of_ids_that_are_none_says_so(bench: Bench) -> None:
    found = preview(bench, repositoryId="nonsense")
    assert found["problems"] == [{"path": "repositoryId", "message": "Not an id."}]


def test_a_preview_of_a_change_does_not_meet_itself(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.resources.add(make_resource(bench.home, name="web"))
    made = create(bench)
    assert preview(bench)["problems"] == [{"path": "name", "message": "There is a policy named nightly already."}]
    assert preview(bench)["covered"][0]["claimedBy"] == {"name": "nightly"}
    again = preview(bench, id=made["id"])
    assert again["problems"] == []
    assert (again["coveredCount"], again["covered"][0]["claimedBy"]) == (1, None)
    assert bench.data("{ policies(first: 5) { totalCount } }")["policies"]["totalCount"] == 1


def test_a_preview_warns(bench: Bench) -> None:
    repository, archive = (
        make_repository(bench.home),
        make_repository(bench.home, name="cold", storage_class=StorageClass.GLACIER),
    )
    with bench.store.transaction() as tx:
        tx.repositories.put([repository, archive])
    monthly = {
        "hour": 7,
        "day": {"weekday": "MONDAY"},
        "snapshot": {"slots": [], "count": 1},
        "archive": {"slots": [1], "period": {"amount": 1, "unit": "MONTHS"}},
    }
    hours = daily([7], backup={"slots": [7], "period": {"amount": 30}}) | {"monthly": monthly}
    ids = {"repositoryId": repository.id, "archiveRepositoryId": archive.id}
    found = preview(bench, schedule=hours, **{name: global_id("Repository", id) for name, id in ids.items()})
    assert found["problems"] == []
    assert found["warnings"] == [
        "cold charges for 90 days at least, also for archives that are kept for 1 month.",
        "It covers nothing now; what matches later joins by itself.",
    ]
    assert {leg["leg"] for run in found["nextRuns"] for leg in run["legs"]} == {"SNAPSHOT", "BACKUP", "ARCHIVE"}


def test_a_preview_of_an_sla_policy_tells_each_regions_runs(bench: Bench) -> None:
    repository = make_repository(bench.home)
    template = make_template(terms=SlaTerms(snapshot=LegPlan(daily=DailyPlan(every_minutes=720, keep=Period(2)))))
    storage = make_storage_template(repository, backup=Location(default_id=repository.id))
    with bench.store.transaction() as tx:
        tx.repositories.add(repository)
        tx.sla_templates.add(template)
        tx.storage_templates.add(storage)
    scope = {**ALL_EAST, "accountId": bench.home_id, "regions": ["us-east-1", "eu-central-1"]}
    found = preview(bench, kind="SLA", schedule=None, scope=scope, slaTemplateId=global_id("SlaTemplate", template.id))
    assert found["problems"] == []
    assert found["scheduleText"] == "Snapshots every 12 hours around the clock (each Region's own time; 97 % promised)"
    assert [(run["at"], run["regions"]) for run in found["nextRuns"][:2]] == [
        ("2026-11-22T17:00:00Z", ["us-east-1"]),
        ("2026-11-22T23:00:00Z", ["eu-central-1"]),
    ]
