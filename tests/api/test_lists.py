"""Lists: cursors, filters, orders, totals, and a number of statements that does not grow with the rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from server.api.graphql.scalars import global_id, split_id
from server.domain.access import Role
from server.domain.policy import PolicyKind
from server.domain.restore import Leg, PointState
from server.domain.scope import Scope, SelectionMode, TagMatch
from server.domain.session import Level, State
from server.domain.workload import Resource
from tests.api.bench import Bench
from tests.contracts import entities
from tests.contracts.entities import NOW
from tests.contracts.entities import point as make_point
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import repository as make_repository
from tests.contracts.entities import resource as make_resource
from tests.contracts.entities import session as make_session
from tests.contracts.entities import storage_template as make_storage_template
from tests.contracts.entities import task as make_task
from tests.contracts.entities import template as make_template

RESOURCES = """query($first: Int!, $after: String, $offset: Int! = 0, $filter: ResourceFilter, $order: [ResourceOrder!]) {
  resources(first: $first, after: $after, offset: $offset, filter: $filter, order: $order) {
    edges { node { id name } cursor } pageInfo { hasNextPage endCursor }
  }
}"""


def add_servers(bench: Bench, count: int, **changes: Any) -> list[Resource]:
    made = [make_resource(bench.home, name=f"server-{number:03}", **changes) for number in range(count)]
    with bench.store.transaction() as tx:
        for one in made:
            tx.resources.add(one)
    return made


def names(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["name"] for edge in page["edges"]]


# ---- paging -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order", [None, [{"field": "NAME", "direction": "DESC"}], [{"field": "REGION"}, {"field": "SIZE_BYTES"}]]
)
def test_following_cursors_gives_every_row_once_and_in_order(bench: Bench, order: Any) -> None:
    servers = add_servers(bench, 23)
    seen: list[str] = []
    after = None
    while True:
        page = bench.data(RESOURCES, {"first": 5, "after": after, "order": order})["resources"]
        seen += names(page)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        assert len(page["edges"]) == 5
    assert sorted(seen) == sorted(one.name for one in servers)
    if order is None:
        assert seen == sorted(seen)


def test_rows_added_behind_the_cursor_do_not_shift_the_next_page(bench: Bench) -> None:
    add_servers(bench, 6)
    first = bench.data(RESOURCES, {"first": 3})["resources"]
    with bench.store.transaction() as tx:
        tx.resources.add(make_resource(bench.home, name="server-000a"))
    rest = bench.data(RESOURCES, {"first": 10, "after": first["pageInfo"]["endCursor"]})["resources"]
    assert names(rest) == ["server-003", "server-004", "server-005"]


def test_an_offset_counts_rows(bench: Bench) -> None:
    add_servers(bench, 6)
    assert names(bench.data(RESOURCES, {"first": 2, "offset": 3})["resources"]) == ["server-003", "server-004"]


def test_an_empty_list_has_no_cursor(bench: Bench) -> None:
    page = bench.data(RESOURCES, {"first": 5})["resources"]
    assert page == {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}


def test_a_cursor_of_another_order_is_refused(bench: Bench) -> None:
    add_servers(bench, 3)
    cursor = bench.data(RESOURCES, {"first": 1})["resources"]["pageInfo"]["endCursor"]
    error = bench.error(RESOURCES, {"first": 1, "after": cursor, "order": [{"field": "REGION"}]})
    assert error["extensions"]["fields"] == {"after": "Start from the top."}


def test_the_total_is_counted_only_when_asked_for(bench: Bench) -> None:
    add_servers(bench, 7)
    bench.header()
    without = bench.count_statements(lambda: bench.data("{ resources(first: 2) { edges { node { name } } } }"))
    bench.statements.clear()
    found = bench.data('{ resources(first: 2, filter: {search: "SERVER-00"}) { totalCount } }')
    assert found["resources"]["totalCount"] == 7
    assert without == 1
    assert len([text for text in bench.statements if "count(*)" in text]) == 1


# ---- filters ----------------------------------------------------------------------------------------------------------


def test_resources_can_be_filtered_by_protection_and_state(bench: Bench) -> None:
    add_servers(bench, 2, tags={"Environment": "production"})
    with bench.store.transaction() as tx:
        tx.resources.add(make_resource(bench.home, name="lab", tags={}))
        tx.resources.add(make_resource(bench.home, name="gone", tags={"Environment": "production"}, present=False))
        scope = Scope(
            account_id=bench.home.id,
            regions=("us-east-1",),
            mode=SelectionMode.LISTED,
            tags=(TagMatch(key="Environment", value="production"),),
        )
        tx.policies.add(make_policy(bench.home, scope=scope))

    def found(**filter: Any) -> list[str]:
        return names(bench.data(RESOURCES, {"first": 10, "filter": filter})["resources"])

    assert found(protection="PROTECTED") == ["server-000", "server-001"]
    assert found(protection="UNPROTECTED") == ["lab"]
    assert found(present=False) == ["gone"]
    assert found(search="ERVER-001") == ["server-001"]
    assert found(accountId=bench.home_id, region="us-east-1", workload="ec2", present=True, search="lab") == ["lab"]
    assert found(region="eu-west-1") == []
    assert found(protection="PROTECTED", search="000") == ["server-000"]


def test_points_can_be_filtered(bench: Bench) -> None:
    [server] = add_servers(bench, 1)
    repository = make_repository(bench.home)
    with bench.store.transaction() as tx:
        tx.repositories.add(repository)
        tx.points.add(make_point(server, at=NOW - timedelta(days=2)))
        tx.points.add(make_point(server, leg=Leg.BACKUP, repository_id=repository.id, at=NOW))
        tx.points.add(make_point(server, state=PointState.DELETED, at=NOW - timedelta(days=9)))
    document = "query($f: RestorePointFilter) { restorePoints(first: 10, filter: $f) { edges { node { leg state at } } } }"

    def found(**filter: Any) -> list[str]:
        return [edge["node"]["leg"] for edge in bench.data(document, {"f": filter})["restorePoints"]["edges"]]

    assert found() == ["BACKUP", "SNAPSHOT", "SNAPSHOT"]  # newest first
    assert found(state="AVAILABLE") == ["BACKUP", "SNAPSHOT"]
    assert found(leg="BACKUP") == ["BACKUP"]
    assert found(manual=False, leg="BACKUP") == ["BACKUP"]
    assert found(manual=True) == []
    assert found(repositoryId=global_id("Repository", repository.id)) == ["BACKUP"]
    assert found(resourceId=global_id("Resource", uuid4())) == []
    assert found(**{"from": "2026-11-22T00:00:00Z"}) == ["BACKUP"]
    assert found(to="2026-11-20T00:00:00Z") == ["SNAPSHOT"]


# ---- one statement per relation, however many rows --------------------------------------------------------------------


def add_history(bench: Bench, count: int) -> None:
    """As many servers, policies, sessions with tasks, and points as ``count``."""
    servers = [make_resource(bench.home) for _ in range(count)]
    repository = make_repository(bench.home)
    with bench.store.transaction() as tx:
        tx.repositories.add(repository)
        for server in servers:
            policy = make_policy(bench.home, repository_id=repository.id)
            session = make_session(policy_id=policy.id, state=State.RUNNING, started_at=NOW)
            tx.resources.add(server)
            tx.policies.add(policy)
            template, storage = make_template(), make_storage_template(repository)
            tx.sla_templates.add(template)
            tx.storage_templates.add(storage)
            follows = {"sla_template_id": template.id, "storage_template_id": storage.id, "schedule": None}
            tx.policies.add(make_policy(bench.home, kind=PolicyKind.SLA, **follows))
            tx.sessions.add(session)
            tx.events.append(session.id, Level.INFO, "a line", at=NOW)
            for position in range(2):
                tx.tasks.add(make_task(session, position=position, resource_id=server.id, progress_done=5, progress_total=10))
            where = {"policy_id": policy.id, "session_id": session.id, "repository_id": repository.id}
            tx.points.add(make_point(server, leg=Leg.BACKUP, **where))


WIDE = {
    "resources": """{ resources(first: 100) { totalCount edges { node { name account { name } pointCount lastPointAt legs
        protection { reason since considered { covered reason policy { name repository { name account { name } } } } }
    } } } }""",
    "policies": """{ policies(first: 100) { edges { node { name resourceCount repository { name pointCount }
        archiveRepository { name } replicas { account { name } } slaTemplate { name terms { target } }
        storageTemplate { name backup { default { name } } } lastSession { name }
        scope { account { name } resources { name } excludedResources { name } } } } } }""",
    "sessions": """{ sessions(first: 100) { edges { node { name policy { name } progressDone progressTotal bytesRead bytesStored
        tasks { name state resource { name account { name } } } } } } }""",
    "points": """{ restorePoints(first: 100) { edges { node { at resource { name } policy { name } session { name }
        repository { name } disks { diskId } } } } }""",
    "repositories": "{ repositories(first: 100) { edges { node { name account { name } pointCount } } } }",
    "accounts": "{ accounts(first: 100) { edges { node { name isHome } } } }",
    "overview": "{ overview { protectedCount pointCount runningSessions { name } lastSessions { name policy { name } } } }",
}


@pytest.mark.parametrize("noun", WIDE)
def test_statements_do_not_grow_with_the_rows(bench: Bench, noun: str) -> None:
    document = WIDE[noun]
    bench.header(Role.VIEWER)

    def ask() -> None:
        bench.data(document, role=Role.VIEWER)

    add_history(bench, 2)
    few = bench.count_statements(ask)
    add_history(bench, 18)
    many = bench.count_statements(ask)
    assert many == few <= 20, bench.statements


# ---- objects by id ----------------------------------------------------------------------------------------------------


def test_anything_can_be_read_by_its_id(bench: Bench) -> None:
    add_history(bench, 1)
    lists = ("accounts", "resources", "policies", "repositories", "restorePoints")
    asked = " ".join(f"{name}(first: 1) {{ edges {{ node {{ id }} }} }}" for name in lists)
    found = bench.data(f"{{ {asked} sessions(first: 1) {{ edges {{ node {{ id tasks {{ id }} }} }} }} me {{ id }} }}")
    ids = [found[name]["edges"][0]["node"]["id"] for name in (*lists, "sessions")] + [found["me"]["id"]]
    ids.append(found["sessions"]["edges"][0]["node"]["tasks"][0]["id"])
    for id in ids:
        node = bench.data("query($id: ID!) { node(id: $id) { id __typename } }", {"id": id})["node"]
        assert node == {"id": id, "__typename": split_id(id)[0]}


def test_what_is_gone_is_null_and_what_is_no_id_is_an_error(bench: Bench) -> None:
    document = "query($id: ID!) { node(id: $id) { id } }"
    assert bench.data(document, {"id": global_id("Session", uuid4())}) == {"node": None}
    assert bench.data(document, {"id": global_id("User", uuid4())}) == {"node": None}
    assert bench.error(document, {"id": "rubbish"})["extensions"]["code"] == "INVALID_INPUT"
    assert bench.error(document, {"id": global_id("Unicorn", uuid4())})["extensions"]["code"] == "INVALID_INPUT"


def test_a_session_shows_its_log_in_pieces(bench: Bench) -> None:
    session = make_session()
    with bench.store.transaction() as tx:
        tx.sessions.add(session)
        for number in range(1, 8):
            tx.events.append(session.id, Level.INFO, f"line {number}", at=NOW, data={"n": number})
    document = """query($id: ID!, $after: Int) { node(id: $id) { ... on Session { lastEvent log(first: 3, after: $after) {
        number at level message data taskId } } } }"""
    node = bench.data(document, {"id": global_id("Session", session.id), "after": 4})["node"]
    assert [line["number"] for line in node["log"]] == [5, 6, 7]
    assert node["log"][0] == {
        "number": 5,
        "at": "2026-11-22T12:00:00.123456Z",
        "level": "INFO",
        "message": "line 5",
        "data": {"n": 5},
        "taskId": None,
    }
    assert node["lastEvent"] == 7


def test_the_overview_adds_up(bench: Bench) -> None:
    add_history(bench, 3)
    with bench.store.transaction() as tx:
        scope = Scope(account_id=bench.home.id, regions=("us-east-1",))
        tx.policies.add(make_policy(bench.home, scope=scope))
        tx.sessions.add(make_session(created_at=NOW - timedelta(days=3), state=State.ERROR, started_at=NOW, ended_at=NOW))
    found = bench.data("""{ overview { resourceCount protectedCount policyCount repositoryCount pointCount
        sourceBytes storedBytes sessionsLastDay { state count } runningSessions { state } lastSessions { state } } }""")[
        "overview"
    ]
    assert found["resourceCount"] == found["protectedCount"] == 3
    assert found["policyCount"] == 7  # each history has one of either kind
    assert (found["repositoryCount"], found["pointCount"]) == (1, 3)
    assert found["sourceBytes"] == 3 * (5 << 40)
    assert found["sessionsLastDay"] == [{"state": "RUNNING", "count": 3}]
    assert len(found["runningSessions"]) == 3
    assert len(found["lastSessions"]) == 4


def test_the_health_and_the_proof_of_points(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        entities.world(tx)
    document = """query($health: Health) { restorePoints(first: 5, filter: {health: $health}) { edges { node {
        health damage { foundAt ranges { diskId start end } more } provenAt provenHow lockedUntil expiresAt
        repository { incompletePointCount pointCount } } } } }"""
    (edge,) = bench.data(document, {"health": "INCOMPLETE"})["restorePoints"]["edges"]
    node = edge["node"]
    assert node["damage"]["ranges"] == [{"diskId": "vol-1", "start": 0, "end": 1 << 19}]
    assert node["damage"]["more"] == 2
    assert node["provenHow"] == "RESTORE"
    assert node["repository"] == {"incompletePointCount": 1, "pointCount": 1}
    assert bench.data(document, {"health": "HEALTHY"})["restorePoints"]["edges"] == []
