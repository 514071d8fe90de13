"""Compliance of SLA policies, from the rows runs leave to the charts: numbers, drill-down, and how many statements it takes.

London in November is on UTC, so its windows are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from server.api.graphql.scalars import global_id
from server.domain.access import SYSTEM, Role
from server.domain.periods import Frequency, Period
from server.domain.policy import Policy, PolicyKind, RunState, TemplateUse
from server.domain.promises import Membership, Promise
from server.domain.restore import Leg
from server.domain.scope import Scope
from server.domain.session import Session, State
from server.domain.sla import DailyPlan, LegPlan, SlaTerms, Window
from server.domain.templates import SlaTemplate, SlaTemplateVersion
from server.domain.workload import Resource
from server.services import compliance
from server.services.compliance import Chart
from tests.api.bench import Bench
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import resource as make_resource
from tests.contracts.entities import session as make_session
from tests.contracts.entities import template as make_template

LONDON = "eu-west-2"
MADE = datetime(2026, 11, 20, tzinfo=UTC)
CHART = """query($id: ID!, $leg: Leg!, $period: Frequency!, $asItWas: Boolean! = false, $last: Int) { node(id: $id) {
    ... on Policy { compliance(leg: $leg, period: $period, asItWas: $asItWas, last: $last) {
      start end state percent target met missed removed } } } }"""
ENTRY = """query($id: ID!, $start: DateTime!, $first: Int! = 100, $period: Frequency! = DAILY) {
    complianceEntry(policyId: $id, leg: SNAPSHOT, period: $period, start: $start, first: $first) {
      resource { name } state percent made expected removed sessions { name } } }"""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def day_of(number: int, *hours: int) -> list[datetime]:
    """Moments of 20 November plus ``number`` days."""
    return [MADE + timedelta(days=number, hours=hour) for hour in hours]


def terms(start: int, end: int, hours: int, **changes: Any) -> SlaTerms:
    window = Window(start=start * 60, end=end * 60)
    return SlaTerms(snapshot=LegPlan(window=window, daily=DailyPlan(every_minutes=hours * 60, keep=Period(7))), **changes)


def promising(bench: Bench, given: SlaTerms, **changes: Any) -> tuple[Policy, SlaTemplate]:
    """An SLA policy made on the 20th, whose promises are dealt with up to now."""
    template = make_template(terms=given, created_at=MADE, updated_at=MADE)
    uses = (TemplateUse(template_id=template.id, since=MADE),)
    policy = make_policy(
        bench.home,
        kind=PolicyKind.SLA,
        schedule=None,
        sla_template_id=template.id,
        scope=Scope(account_id=bench.home.id, regions=(LONDON,)),
        runs=RunState(handled={LONDON: bench.clock.now()}, templates=uses),
        **{"created_at": MADE, "updated_at": MADE, **changes},
    )
    with bench.store.transaction() as tx:
        tx.sla_templates.add(template)
        tx.sla_versions.add(SlaTemplateVersion(id=uuid4(), template_id=template.id, version=1, since=MADE, terms=given))
        tx.policies.add(policy)
    return policy, template


def instance(
    bench: Bench,
    policy: Policy,
    made: Iterable[datetime],
    *,
    failed: Iterable[datetime] = (),
    joined: datetime = MADE,
    left: datetime | None = None,
    session: Session | None = None,
    **changes: Any,
) -> Resource:
    """A member with the promises that were kept, and those that were tried in vain."""
    resource = make_resource(bench.home, region=LONDON, **changes)
    tried = [(when, True) for when in made] + [(when, False) for when in failed]
    with bench.store.transaction() as tx:
        tx.resources.add(resource)
        tx.memberships.add(Membership(id=uuid4(), policy_id=policy.id, resource_id=resource.id, joined_at=joined, left_at=left))
        tx.promises.put(
            [
                Promise(
                    id=uuid4(),
                    policy_id=policy.id,
                    resource_id=resource.id,
                    region=LONDON,
                    leg=Leg.SNAPSHOT,
                    slot_at=when,
                    made=success,
                    session_id=None if session is None else session.id,
                    at=when,
                )
                for when, success in tried
            ]
        )
    return resource


def chart(bench: Bench, policy: Policy, leg: str = "SNAPSHOT", period: str = "DAILY", **more: Any) -> list[dict[str, Any]]:
    given = {"id": global_id("Policy", policy.id), "leg": leg, "period": period, **more}
    found: list[dict[str, Any]] = bench.data(CHART, given, role=Role.VIEWER)["node"]["compliance"]
    return found


def behind(bench: Bench, policy: Policy, start: str = "2026-11-21T00:00:00Z", **more: Any) -> list[dict[str, Any]]:
    given = {"id": global_id("Policy", policy.id), "start": start, **more}
    found: list[dict[str, Any]] = bench.data(ENTRY, given, role=Role.VIEWER)["complianceEntry"]
    return found


@pytest.fixture
def worked(bench: Bench) -> Policy:
    """Hourly 10:00 to 18:00, target 97. On the 21st A has all eight; B joined at 12:30 and has three of the five since."""
    policy, _ = promising(bench, terms(10, 18, 1))
    instance(bench, policy, day_of(1, *range(10, 18)), name="A")
    instance(bench, policy, day_of(1, 13, 14, 15), failed=day_of(1, 16, 17), joined=at("2026-11-21 12:30"), name="B")
    return policy


def test_example_a_policy_of_100_and_75_percent_is_at_87_5_and_missed(bench: Bench, worked: Policy) -> None:
    entry = chart(bench, worked)[-1]
    assert entry == {
        "start": "2026-11-21T00:00:00Z",
        "end": "2026-11-22T00:00:00Z",
        "state": "MISSED",
        "percent": 87.5,
        "target": 97,
        "met": 1,
        "missed": 1,
        "removed": 0,
    }
    found = behind(bench, worked)
    assert [(one["resource"]["name"], one["state"], one["percent"], one["made"], one["expected"]) for one in found] == [
        ("B", "MISSED", 75.0, 6, 8),
        ("A", "MET", 100.0, 8, 8),
    ]


def test_example_an_edited_template_recomputes_history_and_as_it_was_stays(bench: Bench) -> None:
    """Two-hourly 10:00 to 14:00 with both made is 100 %; hourly, four expected, it is 50 %."""
    policy, template = promising(bench, terms(10, 14, 2))
    instance(bench, policy, day_of(1, 10, 12))
    assert [one["percent"] for one in chart(bench, policy)][1] == 100
    document = "mutation($in: UpdateSlaTemplateInput!) { updateSlaTemplate(input: $in) { slaTemplate { version } } }"
    hourly = {"window": {"start": 600, "end": 840}, "daily": {"everyMinutes": 60, "keep": {"amount": 7}}}
    edited = {"name": "edited", "terms": {"snapshot": hourly}}
    given = {"id": global_id("SlaTemplate", template.id), "revision": 1, "template": edited}
    assert bench.data(document, {"in": given})["updateSlaTemplate"]["slaTemplate"]["version"] == 2
    assert [(one["percent"], one["state"]) for one in chart(bench, policy)][1] == (50, "MISSED")
    assert [(one["percent"], one["state"]) for one in chart(bench, policy, asItWas=True)][1] == (100, "MET")


def test_assigning_another_template_recomputes_history_too(bench: Bench) -> None:
    policy, _ = promising(bench, terms(10, 14, 2))
    instance(bench, policy, day_of(1, 10, 12))
    other = make_template(terms=terms(10, 14, 1), created_at=MADE, updated_at=MADE)
    with bench.store.transaction() as tx:
        tx.sla_templates.add(other)
        tx.sla_versions.add(SlaTemplateVersion(id=uuid4(), template_id=other.id, version=1, since=MADE, terms=other.terms))
        uses = (*policy.runs.templates, TemplateUse(template_id=other.id, since=bench.clock.now()))
        tx.policies.save(
            replace(
                tx.policies.get(policy.id),
                sla_template_id=other.id,
                runs=RunState(handled=policy.runs.handled, templates=uses),
                revision=2,
            )
        )
    assert chart(bench, policy)[1]["percent"] == 50
    assert chart(bench, policy, asItWas=True)[1]["percent"] == 100


def test_a_chart_begins_with_the_policy_and_ends_with_the_last_finished_period(bench: Bench, worked: Policy) -> None:
    """It is 12:00 on the 22nd, in the middle of the window."""
    assert [one["start"][:10] for one in chart(bench, worked)] == ["2026-11-20", "2026-11-21"]
    bench.clock.set(at("2026-11-22 18:00"))
    asked = Chart(Leg.SNAPSHOT, Frequency.DAILY)
    entries = compliance.charts(bench.services, SYSTEM, [worked], asked)[worked.id]
    assert [one.span.first.day for one in entries] == [20, 21, 22]


def test_an_entry_waits_for_the_last_session_of_the_period(bench: Bench, worked: Policy) -> None:
    with bench.store.transaction() as tx:
        running = make_session(
            policy_id=worked.id,
            state=State.RUNNING,
            started_at=MADE,
            document={"slotAt": at("2026-11-21 17:00").isoformat()},
        )
        tx.sessions.add(running)
    assert [one["start"][:10] for one in chart(bench, worked)] == ["2026-11-20"]


def test_charts_have_at_most_14_days_12_weeks_and_12_months(bench: Bench) -> None:
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    policy, _ = promising(bench, terms(10, 11, 1), created_at=long_ago, updated_at=long_ago)
    assert [len(chart(bench, policy, period=one)) for one in ("DAILY", "WEEKLY", "MONTHLY")] == [14, 12, 12]
    assert {one["state"] for one in chart(bench, policy)} == {"NOT_AVAILABLE"}, "no instance"
    assert {one["state"] for one in chart(bench, policy, period="WEEKLY")} == {"NOT_CONFIGURED"}
    for period in ("DAILY", "WEEKLY", "MONTHLY"):
        months = [one["start"] for one in chart(bench, policy, leg="ARCHIVE", period=period)]
        assert months == [one["start"] for one in chart(bench, policy, period="MONTHLY")], "archives ignore days and weeks"


def test_what_was_removed_is_shown_once_and_not_judged(bench: Bench, worked: Policy) -> None:
    instance(bench, worked, day_of(1, 10), left=at("2026-11-21 11:30"), name="C")
    entry = chart(bench, worked, last=1)[0]
    assert (entry["percent"], entry["met"], entry["missed"], entry["removed"]) == (87.5, 1, 1, 1)
    shown = behind(bench, worked)[1]
    assert (shown["resource"]["name"], shown["removed"], shown["state"], shown["percent"]) == ("C", True, "NOT_AVAILABLE", None)
    assert "C" in [one["resource"]["name"] for one in behind(bench, worked, start="2026-11-20T00:00:00Z")]


def test_the_sessions_behind_an_instance_are_the_newest_that_tried(bench: Bench) -> None:
    policy, _ = promising(bench, terms(10, 18, 1))
    sessions = [make_session(name=f"run {number}", policy_id=policy.id) for number in (1, 2)]
    with bench.store.transaction() as tx:
        tx.sessions.put(sessions)
        for one in sessions:
            tx.sessions.save(one)
    resource = instance(bench, policy, day_of(1, 10), session=sessions[0])
    with bench.store.transaction() as tx:
        later = [
            Promise(
                id=uuid4(),
                policy_id=policy.id,
                resource_id=resource.id,
                region=LONDON,
                leg=Leg.SNAPSHOT,
                slot_at=when,
                made=False,
                session_id=session_id,
                at=when,
            )
            for when, session_id in zip(day_of(1, 11, 12), (sessions[1].id, None), strict=True)
        ]
        tx.promises.put(later)
    (found,) = behind(bench, policy)
    assert [one["name"] for one in found["sessions"]] == ["run 2", "run 1"], "one is gone from the log"
    assert (found["made"], found["expected"]) == (1, 8)


def test_schedule_based_policies_promise_nothing(bench: Bench) -> None:
    policy = make_policy(bench.home)
    with bench.store.transaction() as tx:
        tx.policies.add(policy)
    assert chart(bench, policy) == []
    assert behind(bench, policy) == []


def test_what_is_asked_wrongly_is_told(bench: Bench, worked: Policy) -> None:
    id = global_id("Policy", worked.id)
    error = bench.error(CHART, {"id": id, "leg": "SNAPSHOT", "period": "YEARLY"})
    assert error["message"] == "Promises are judged by the day, the week or the month."
    error = bench.error(CHART, {"id": id, "leg": "SNAPSHOT", "period": "DAILY", "last": 15})
    assert error["message"] == "last must be 1 to 14, not 15."
    error = bench.error(ENTRY, {"id": id, "start": "2026-11-17T00:00:00Z", "period": "WEEKLY"})
    assert error["message"] == "No weekly entry begins on 2026-11-17; that day is in the one of 2026-11-16."
    error = bench.error(ENTRY, {"id": id, "start": "2026-11-17T00:00:00Z", "first": 101})
    assert error["extensions"]["fields"] == {"first": "1 to 100."}


def test_charts_of_a_list_take_a_fixed_number_of_statements(bench: Bench) -> None:
    document = """{ policies(first: 100) { edges { node { name
        snapshots: compliance(leg: SNAPSHOT, period: DAILY, last: 1) { state percent }
        archives: compliance(leg: ARCHIVE, period: DAILY, last: 1) { state } } } } }"""
    bench.header(Role.VIEWER)

    def add() -> None:
        policy, _ = promising(bench, terms(10, 18, 1))
        for _ in range(3):
            instance(bench, policy, day_of(1, *range(10, 18)))

    add()
    few = bench.count_statements(lambda: bench.data(document, role=Role.VIEWER))
    for _ in range(9):
        add()
    found: dict[str, Any] = {}
    many = bench.count_statements(lambda: found.update(bench.data(document, role=Role.VIEWER)))
    assert many == few <= 7, bench.statements
    states = [edge["node"]["snapshots"] for edge in found["policies"]["edges"]]
    assert states == [[{"state": "MET", "percent": 100.0}]] * 10
