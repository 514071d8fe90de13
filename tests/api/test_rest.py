"""The REST slice as its published clients use it: names, case, paging, revisions, problems."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from graphql import parse, validate

from server.api.graphql.schema import schema
from server.api.rest import routes
from server.domain.access import Role
from server.domain.session import Level, SessionKind, State
from tests.api.bench import PASSWORD, Bench
from tests.contracts.entities import NOW
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import resource as make_resource
from tests.contracts.entities import session as make_session
from tests.contracts.entities import task as make_task

V10 = {"x-api-version": "1.0-rev0"}


def get(bench: Bench, path: str, headers: dict[str, str] | None = None, **params: Any) -> Any:
    answer = bench.client.get(f"/api/v1{path}", params=params, headers={**bench.header(Role.VIEWER), **(headers or {})})
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["errorCode"] == code
    assert body["details"] == body["detail"]
    return body


def sign_in(bench: Bench, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
    form = {"grant_type": "Password", "Username": "viewer", "password": PASSWORD, "mfa_token": "", **fields}
    return bench.client.post("/api/v1/token", data=form, headers=headers)


# ---- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(routes.OPERATIONS.glob("*.graphql")), ids=lambda file: file.stem)
def test_every_operation_file_is_valid_against_the_schema(file: Any) -> None:
    assert validate(schema._schema, parse(file.read_text())) == []


def test_paths_match_without_regard_to_case(bench: Bench) -> None:
    assert get(bench, "/System/VERSION")["version"] == "1.2.3"
    assert get(bench, "/virtualmachines/")["results"] == []


# ---- token ------------------------------------------------------------------------------------------------------------


def test_password_grant_in_any_case(bench: Bench) -> None:
    bench.header(Role.VIEWER)
    answer = sign_in(bench)
    assert answer.status_code == 200
    body = answer.json()
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 3600
    assert body[".issued"] == "2026-11-22T12:00:00.123456Z"
    assert body[".expires"] == "2026-11-22T13:00:00.123456Z"
    assert body["username"] == "viewer"
    assert len(body["access_token"]) >= 32  # what one client trusts
    assert "mfa_token" not in body  # its mere presence means "MFA needed" to another


def test_before_1_2_times_have_no_zone(bench: Bench) -> None:
    bench.header(Role.VIEWER)
    assert sign_in(bench, V10).json()[".issued"] == "2026-11-22T12:00:00.123456"


def test_refresh_grant_gives_a_new_pair_and_sign_out_revokes_it(bench: Bench) -> None:
    bench.header(Role.VIEWER)
    first = sign_in(bench).json()
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "username": ""}
    second = bench.client.post("/api/v1/token", data=form).json()
    assert second["access_token"] != first["access_token"]
    headers = {"authorization": f"Bearer {second['access_token']}"}
    assert bench.client.get("/api/v1/system/version", headers=headers).status_code == 200
    gone = bench.client.delete("/api/v1/token", headers=headers)
    assert (gone.status_code, gone.content) == (204, b"")
    problem(bench.client.get("/api/v1/system/version", headers=headers), 401, "InvalidToken")


def test_wrong_credentials_and_malformed_forms(bench: Bench) -> None:
    bench.header(Role.VIEWER)
    body = problem(sign_in(bench, password="wrong"), 401, "InvalidToken")
    assert body["details"].startswith("User name or password is wrong.")
    assert problem(sign_in(bench, grant_type="mfa"), 400, "UnexpectedContent")["errors"] == {
        "grant_type": ["password or refresh_token."]
    }
    assert "password" in problem(sign_in(bench, password=""), 400, "UnexpectedContent")["errors"]
    wrong = bench.client.post("/api/v1/token", json={"grant_type": "password"})
    assert "must be a form" in problem(wrong, 400, "UnexpectedContent")["details"]


def test_too_many_failures_are_a_429_with_retry_after(bench: Bench) -> None:
    bench.header(Role.VIEWER)
    for _ in range(4):
        sign_in(bench, password="wrong")
    answer = sign_in(bench)
    problem(answer, 429, "AccessDenied")
    assert int(answer.headers["retry-after"]) >= 1


# ---- problems and revisions -------------------------------------------------------------------------------------------


def test_missing_wrong_and_expired_tokens_differ(bench: Bench) -> None:
    ask = "/api/v1/sessions"
    none = problem(bench.client.get(ask), 401, "InvalidToken")
    assert none["type"].endswith("/api/v1/problems/noAccessToken")
    wrong = problem(bench.client.get(ask, headers={"authorization": "Bearer wrong"}), 401, "InvalidToken")
    assert wrong["type"].endswith("/invalidAccessToken")
    headers = bench.header(Role.VIEWER)
    bench.clock.advance(timedelta(hours=2))
    expired = problem(bench.client.get(ask, headers=headers), 401, "ExpiredToken")
    assert expired["type"].endswith("/expiredAccessToken")
    page = bench.client.get(expired["type"].removeprefix(str(bench.client.base_url).rstrip("/")))
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


def test_unknown_addresses_methods_and_ids(bench: Bench) -> None:
    headers = bench.header(Role.VIEWER)
    problem(bench.client.get("/api/v1/nothing", headers=headers), 404, "InvalidURI")
    problem(bench.client.delete("/api/v1/sessions", headers=headers), 405, "MethodNotAllowed")
    problem(bench.client.get(f"/api/v1/sessions/{uuid4()}", headers=headers), 404, "NotFound")
    problem(bench.client.get("/api/v1/sessions/no-uuid/log", headers=headers), 404, "NotFound")
    problem(bench.client.get(f"/api/v1/sessions/{uuid4()}/log", headers=headers), 404, "NotFound")


@pytest.mark.parametrize(
    ("header", "page"),
    [("1.8", "invalidApiVersion"), ("7.0-rev0", "unsupportedApiVersion"), ("1.0-rev0, 1.8-rev0", "ambiguousApiVersion")],
)
def test_bad_revision_headers(bench: Bench, header: str, page: str) -> None:
    answer = bench.client.get("/api/v1/sessions", headers={**bench.header(Role.VIEWER), "x-api-version": header})
    assert problem(answer, 400, "UnexpectedContent")["type"].endswith(page)


@pytest.mark.parametrize(
    "params",
    [{"Limit": "-2"}, {"Offset": "-1"}, {"Offset": "x"}, {"Status": "Sleeping"}, {"Sort": "colourAsc"}, {"FromUtc": "soon"},
     {"PolicyId": "7"}],
)  # fmt: skip
def test_bad_parameters_name_themselves(bench: Bench, params: dict[str, str]) -> None:
    answer = bench.client.get("/api/v1/sessions", params=params, headers=bench.header(Role.VIEWER))
    assert list(problem(answer, 400, "UnexpectedContent")["errors"]) == list(params)


def test_unknown_and_empty_parameters_are_ignored(bench: Bench) -> None:
    assert (
        get(bench, "/virtualMachines/policies", virtualMachineId="", usn=0, offset=0, limit=30, colour="red")["totalCount"] == 0
    )


# ---- sessions ---------------------------------------------------------------------------------------------------------


def add_sessions(bench: Bench, count: int) -> list[UUID]:
    """Finished policy runs, one a minute, the later the longer."""
    made = []
    with bench.store.transaction() as tx:
        for number in range(count):
            begun = NOW + timedelta(minutes=number)
            one = make_session(
                name=f"run-{number:03}",
                created_at=begun,
                started_at=begun,
                ended_at=begun + timedelta(seconds=count - number),
                state=State.SUCCESS,
                reason="because",
            )
            tx.sessions.add(one)
            made.append(one.id)
    return made


def test_a_session_reads_as_clients_expect(bench: Bench) -> None:
    [id] = add_sessions(bench, 1)
    old = get(bench, f"/sessions/{str(id).upper()}", V10)
    assert old["id"] == str(id)
    assert old["type"] == "Policy"
    assert old["executionStartTime"] == "2026-11-22T12:00:00.123456"
    assert old["executionDuration"] == 1000
    assert (old["status"], old["result"]) == ("Succeeded", "Success")
    assert "name" not in old
    base = f"{str(bench.client.base_url).rstrip('/')}/api/v1/sessions/{id}"
    assert old["_links"][0] == {"method": "GET", "rel": "self", "href": base}
    new = get(bench, f"/sessions/{id}")
    assert new["name"] == "run-000"
    assert new["extendedSessionType"] == "PolicySnapshot"
    assert new["executionStopTime"] == "2026-11-22T12:00:01.123456Z"


def test_the_log_of_a_session(bench: Bench) -> None:
    [id] = add_sessions(bench, 1)
    with bench.store.transaction() as tx:
        for number in range(150):
            tx.events.append(id, Level.INFO, f"line {number}", at=NOW)
        tx.events.append(id, Level.ERROR, "broken", at=NOW)
    log = get(bench, f"/sessions/{id}/log")
    assert log["sessionId"] == str(id)
    assert len(log["log"]) == 151
    assert log["log"][0]["message"] == "line 0"
    assert log["log"][-1] | {} == {
        "logTime": "2026-11-22T12:00:00.123456Z",
        "status": "Error",
        "message": "broken",
        "executionStartTime": "2026-11-22T12:00:00.123456Z",
        "executionDuration": 0,
    }


def test_offset_limit_and_no_limit(bench: Bench) -> None:
    ids = [str(id) for id in add_sessions(bench, 230)]

    def names(**params: Any) -> list[str]:
        body = get(bench, "/sessions", Sort="startTimeAsc", **params)
        assert body["totalCount"] == 230
        return [row["id"] for row in body["results"]]

    assert names(Limit=-1) == ids
    assert names() == ids
    assert names(Offset=5, Limit=120) == ids[5:125]
    assert names(offset=228, LIMIT=50) == ids[228:]
    assert names(Limit=0) == []
    assert names(Offset=500) == []


def test_sessions_sort_by_duration_which_the_schema_cannot(bench: Bench) -> None:
    ids = [str(id) for id in add_sessions(bench, 12)]
    rows = get(bench, "/sessions", Sort="durationAsc", Offset=1, Limit=3)
    assert [row["id"] for row in rows["results"]] == ids[::-1][1:4]
    assert rows["totalCount"] == 12


def test_sessions_filter_by_status_type_time_policy_and_instance(bench: Bench) -> None:
    policy, other, server = make_policy(bench.home), make_policy(bench.home), make_resource(bench.home)
    running = make_session(policy_id=policy.id, created_at=NOW + timedelta(days=1), state=State.PENDING)
    restore = make_session(kind=SessionKind.VOLUME_RESTORE, state=State.ERROR, started_at=NOW, ended_at=NOW)
    with bench.store.transaction() as tx:
        tx.policies.add(policy)
        tx.policies.add(other)
        tx.resources.add(server)
        tx.sessions.add(running)
        tx.sessions.add(restore)
        tx.tasks.add(make_task(running, resource_id=server.id))

    def found(**params: Any) -> set[str]:
        return {row["id"] for row in get(bench, "/sessions", **params)["results"]}

    one, two = str(running.id), str(restore.id)
    assert found() == {one, two}
    assert found(Status="running") == {one}
    assert found(Status="Running,Failed") == {one, two}
    assert found(status=["Running", "Succeeded"]) == {one}
    assert found(Status="NeverExecuted") == set()
    assert found(Types="RestoreTask") == {two}
    assert found(Types="Job") == set()
    assert found(PolicyId=str(policy.id)) == {one}
    assert found(PolicyId=str(other.id)) == set()
    assert found(VmId=str(server.id)) == {one}
    assert found(FromUtc="2026-11-23") == {one}
    assert found(FromUtc="2026-11-23T12:00:00") == {one}
    assert found(ToUtc="2026-11-23T00:00:00Z") == {two}
