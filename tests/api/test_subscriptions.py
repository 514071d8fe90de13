"""Live logs over WebSocket and server-sent events: complete, in order, resumable, and gone with the token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from server.api import auth
from server.api.graphql import transport
from server.api.graphql.scalars import global_id
from server.domain.access import Role
from server.domain.session import Level, State
from server.services import access
from tests.api.bench import Bench
from tests.contracts.entities import session as make_session

EVENTS = "subscription($id: ID!, $after: Int! = 0) { sessionEvents(id: $id, after: $after) { number message level } }"
ACTIVITY = "subscription($after: String) { activity(after: $after) { cursor kind change message subjectId } }"


@contextmanager
def socket(bench: Bench, *, init: bool = True, **more: Any) -> Iterator[ClientConnection]:
    url = str(bench.client.base_url).replace("http", "ws") + "/graphql"
    subprotocols: Any = ["graphql-transport-ws"]
    with connect(url, subprotocols=subprotocols, max_queue=None, **more) as connection:
        if init:
            send(connection, type="connection_init", payload=bench.header(Role.VIEWER))
            assert receive(connection) == {"type": "connection_ack"}
        yield connection


def send(connection: ClientConnection, **message: Any) -> None:
    connection.send(json.dumps(message))


def receive(connection: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(connection.recv(timeout=20))
    return message


def subscribe(connection: ClientConnection, document: str, variables: dict[str, Any], id: str = "1") -> None:
    send(connection, type="subscribe", id=id, payload={"query": document, "variables": variables})


def next_event(connection: ClientConnection) -> dict[str, Any]:
    message = receive(connection)
    assert message["type"] == "next", message
    event: dict[str, Any] = message["payload"]["data"]["sessionEvents"]
    return event


def close_code(connection: ClientConnection) -> int | None:
    """The code the server closed with; None when there was still a message."""
    try:
        receive(connection)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else -1
    return None


def new_session(bench: Bench) -> UUID:
    made = make_session(state=State.RUNNING, started_at=bench.clock.now())
    with bench.store.transaction() as tx:
        tx.sessions.add(made)
    return made.id


def write(bench: Bench, session: UUID, count: int, start: int = 1) -> None:
    for number in range(start, start + count):
        with bench.store.transaction() as tx:
            tx.events.append(session, Level.INFO, f"line {number}", at=bench.clock.now())


def finish(bench: Bench, session: UUID) -> None:
    with bench.store.transaction() as tx:
        tx.events.append(session, Level.SUCCESS, "done", at=bench.clock.now())
        current = tx.sessions.get(session)
        tx.sessions.save(replace(current, state=State.SUCCESS, ended_at=bench.clock.now()))


def test_backlog_then_live_then_the_end(bench: Bench) -> None:
    session = new_session(bench)
    write(bench, session, 3)
    with socket(bench) as connection:
        subscribe(connection, EVENTS, {"id": global_id("Session", session)})
        assert [next_event(connection)["number"] for _ in range(3)] == [1, 2, 3]
        write(bench, session, 2, start=4)
        assert [next_event(connection)["message"] for _ in range(2)] == ["line 4", "line 5"]
        finish(bench, session)
        assert next_event(connection) == {"number": 6, "message": "done", "level": "SUCCESS"}
        assert receive(connection) == {"id": "1", "type": "complete"}


def test_a_finished_session_is_told_whole_and_ends(bench: Bench) -> None:
    session = new_session(bench)
    write(bench, session, 450)  # more than two chunks
    finish(bench, session)
    with socket(bench) as connection:
        subscribe(connection, EVENTS, {"id": global_id("Session", session)})
        assert [next_event(connection)["number"] for _ in range(451)] == list(range(1, 452))
        assert receive(connection)["type"] == "complete"


def test_resuming_gives_neither_gap_nor_duplicate_while_many_write(bench: Bench) -> None:
    session = new_session(bench)
    total, seen = 120, 0
    writers = [threading.Thread(target=write, args=(bench, session, total // 4)) for _ in range(4)]
    for writer in writers:
        writer.start()
    while seen < total:  # a new connection every few lines, each resuming after the last number
        with socket(bench) as connection:
            subscribe(connection, EVENTS, {"id": global_id("Session", session), "after": seen})
            for _ in range(min(17, total - seen)):
                number = next_event(connection)["number"]
                assert number == seen + 1
                seen = number
    for writer in writers:
        writer.join()
    finish(bench, session)
    with socket(bench) as connection:
        subscribe(connection, EVENTS, {"id": global_id("Session", session), "after": seen})
        assert next_event(connection)["message"] == "done"
        assert receive(connection)["type"] == "complete"


def test_resuming_after_the_last_line_ends_at_once(bench: Bench) -> None:
    session = new_session(bench)
    finish(bench, session)
    with socket(bench) as connection:
        subscribe(connection, EVENTS, {"id": global_id("Session", session), "after": 1})
        assert receive(connection)["type"] == "complete"


def test_an_unknown_session_is_an_error_not_a_wait(bench: Bench) -> None:
    with socket(bench) as connection:
        subscribe(connection, EVENTS, {"id": global_id("Session", uuid4())})
        message = receive(connection)
        errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
        assert errors[0]["extensions"]["code"] == "NOT_FOUND"


def test_activity_resumes_after_a_cursor_and_starts_with_news_without_one(bench: Bench) -> None:
    def note(text: str) -> None:
        with bench.store.transaction() as tx:
            tx.activity.append(at=bench.clock.now(), kind="policy", subject_id=bench.home.id, change="changed", message=text)

    def next_line(connection: ClientConnection) -> dict[str, Any]:
        line: dict[str, Any] = receive(connection)["payload"]["data"]["activity"]
        return line

    note("before")
    with bench.store.transaction() as tx:
        begin = tx.activity.newest()
    note("old")
    note("older news")
    with socket(bench) as connection:
        subscribe(connection, ACTIVITY, {"after": begin})
        first = next_line(connection)
        assert first["message"] == "old"
        assert first["subjectId"] == global_id("Policy", bench.home.id)
    with socket(bench) as connection:
        subscribe(connection, ACTIVITY, {"after": first["cursor"]})
        assert next_line(connection)["message"] == "older news"
        note("live")
        assert next_line(connection)["message"] == "live"


def test_queries_and_mutations_work_over_the_socket_too(bench: Bench) -> None:
    with socket(bench) as connection:
        subscribe(connection, "{ me { name } }", {})
        assert receive(connection)["payload"]["data"]["me"]["name"] == "viewer"
        assert receive(connection)["type"] == "complete"
        subscribe(connection, 'mutation { rescan(input: {accountId: "x"}) { session { id } } }', {}, id="2")
        assert receive(connection)["payload"][0]["extensions"]["code"] == "FORBIDDEN"


def test_server_sent_events_carry_the_same(bench: Bench) -> None:
    session = new_session(bench)
    write(bench, session, 2)
    finish(bench, session)
    body = {"query": EVENTS, "variables": {"id": global_id("Session", session), "after": 1}}
    headers = {**bench.header(Role.VIEWER), "accept": "text/event-stream"}
    with bench.client.stream("POST", "/graphql", json=body, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        text = "".join(response.iter_text())
    events = [
        json.loads(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:") and len(line) > 6
    ]
    assert [event["data"]["sessionEvents"]["number"] for event in events if event.get("data")] == [2, 3]
    assert "event: complete" in text


def test_server_sent_events_need_a_token(bench: Bench) -> None:
    body = {"query": EVENTS, "variables": {"id": global_id("Session", uuid4())}}
    response = bench.client.post("/graphql", json=body, headers={"accept": "text/event-stream"})
    assert "UNAUTHENTICATED" in response.text


# ---- who may hold a socket open ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload", [{}, {"authorization": "Bearer wrong"}, {"authorization": 7}, {"Authorization": "Basic abc"}]
)
def test_a_socket_without_a_valid_token_is_closed(bench: Bench, payload: dict[str, Any]) -> None:
    with socket(bench, init=False) as connection:
        send(connection, type="connection_init", payload=payload)
        with pytest.raises(ConnectionClosed) as closed:
            receive(connection)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == auth.FORBIDDEN


def test_subscribing_before_the_token_is_refused(bench: Bench) -> None:
    with socket(bench, init=False) as connection:
        subscribe(connection, "{ me { name } }", {})
        with pytest.raises(ConnectionClosed) as closed:
            receive(connection)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def test_a_silent_socket_is_closed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.GraphQLDoor, "connection_init_wait_timeout", timedelta(milliseconds=50), raising=False)
    door_timeout = transport.INIT_TIMEOUT
    assert door_timeout == timedelta(seconds=10)
    with socket(bench, init=False) as connection, pytest.raises(ConnectionClosed) as closed:
        connection.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4408


def test_a_page_of_another_origin_may_not_open_a_socket(bench: Bench) -> None:
    with pytest.raises(InvalidStatus) as refused, socket(bench, init=False, origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403


def test_the_consoles_own_origin_may(bench: Bench) -> None:
    with socket(bench, origin=str(bench.client.base_url).rstrip("/")) as connection:
        subscribe(connection, "{ me { name } }", {})
        assert receive(connection)["type"] == "next"


def test_the_socket_ends_with_its_token(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "RECHECK_SECONDS", 0.1)
    session = new_session(bench)
    with socket(bench) as connection:
        subscribe(connection, EVENTS, {"id": global_id("Session", session)})
        bench.clock.advance(access.ACCESS_LIFE)
        code = None
        while code is None:
            code = close_code(connection)
    assert code == auth.EXPIRED


def test_the_socket_ends_soon_after_signing_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "RECHECK_SECONDS", 0.1)
    with socket(bench) as connection:
        bench.data("mutation { signOut }", role=Role.VIEWER)
        with pytest.raises(ConnectionClosed) as closed:
            receive(connection)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == auth.EXPIRED


def test_a_stream_of_events_ends_with_its_token(bench: Bench) -> None:
    session = new_session(bench)
    headers = {**bench.header(Role.VIEWER), "accept": "text/event-stream"}
    body = {"query": EVENTS, "variables": {"id": global_id("Session", session)}}
    write(bench, session, 1)
    with bench.client.stream("POST", "/graphql", json=body, headers=headers) as response:
        lines = response.iter_lines()
        assert any("line 1" in line for line in lines)
        bench.clock.advance(access.ACCESS_LIFE)
        write(bench, session, 1, start=2)
        rest = "\n".join(lines)
    assert "TOKEN_EXPIRED" in rest
    assert "line 2" not in rest
