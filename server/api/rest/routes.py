"""The REST API as a table: method, path, operation file, and how request and answer are mapped. Add a row, not a handler."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import Receive, Scope, Send

from server.api.rest import machines, policies, sessions, tokens
from server.api.rest.problems import INVALID, MISSING, NO_ROUTE, WRONG_METHOD, Problem, answer, from_errors, page
from server.api.rest.shim import (
    Call,
    Sorting,
    Window,
    collect,
    derived_id,
    global_id,
    link,
    locally_sorted,
    plain_id,
    query_of,
    read_uuid,
    revision_of,
)

OPERATIONS = Path(__file__).parent / "operations"
LOG_LINES_MAX = 10_000
LOG_PAGE = 100
PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation gave: the schema's data and its errors as clients see them."""

    data: dict[str, Any]
    errors: list[dict[str, Any]]


Execute = Callable[[Request, str, dict[str, Any]], Awaitable[Answer]]
Handler = Callable[[Execute, Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Row:
    method: str
    path: str  # ``{name}`` stands for one part
    handle: Handler

    def match(self, path: str) -> dict[str, str] | None:
        found = _pattern(self.path).fullmatch(path)
        return None if found is None else found.groupdict()


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)), re.IGNORECASE)


@cache
def operation(name: str) -> str:
    """The text of ``operations/<name>.graphql``."""
    return (OPERATIONS / f"{name}.graphql").read_text(encoding="utf-8")


async def run(execute: Execute, call: Call, name: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Data of an operation; Problem for its first error."""
    found = await execute(call.request, operation(name), variables)
    if found.errors:
        raise from_errors(found.errors, signed="authorization" in call.request.headers)
    return found.data


def reply(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


class Noun(Protocol):
    """A module that maps one collection: its filters, its sorting, one item."""

    def ask_list(self, call: Call, /) -> dict[str, Any]: ...

    def sort_list(self, call: Call, /) -> Sorting: ...

    def show(self, call: Call, node: dict[str, Any], /) -> dict[str, Any]: ...


# ---- what kinds of rows there are ---------------------------------------------------------------------------------------


def listing(name: str, root: str, noun: Noun) -> Handler:
    """A collection: filters, then search, sort, offset, limit; all pages of the schema's list behind one of REST's."""

    async def handle(execute: Execute, call: Call) -> Response:
        window, order, variables = Window.of(call), noun.sort_list(call), noun.ask_list(call)
        everything = Window(0, -1) if order.local else window

        async def fetch(paging: dict[str, Any]) -> dict[str, Any]:
            asked = {**variables, **paging, "order": order.order or None}
            found: dict[str, Any] = (await run(execute, call, name, asked))[root]
            return found

        nodes, total = await collect(fetch, everything)
        rows = [noun.show(call, node) for node in nodes]
        if order.local:
            rows = locally_sorted(rows, order.local)[window.offset : window.offset + window.rows]
        if window.limit == 0:
            rows = []
        itself = link(call, "self", call.request.url.path.removeprefix(PREFIX))
        return reply({"totalCount": total, "results": rows, "_links": [itself]})

    return handle


def single(name: str, kind: str, parameter: str, show: Callable[[Call, dict[str, Any]], dict[str, Any]]) -> Handler:
    """One object by its UUID; 404 when it is gone, or the id is none."""

    async def handle(execute: Execute, call: Call) -> Response:
        node = (await run(execute, call, name, {"id": object_id(call, kind, parameter)}))["node"]
        if not node:
            raise Problem(MISSING, f"There is no {kind.lower()} {call.path[parameter]}.")
        return reply(show(call, node))

    return handle


def object_id(call: Call, kind: str, parameter: str) -> str:
    try:
        return global_id(kind, read_uuid(call.path[parameter], parameter))
    except Problem:
        raise Problem(MISSING, f"There is no {kind.lower()} {call.path[parameter]}.") from None


def plain(name: str, show: Callable[[Call, dict[str, Any]], dict[str, Any]]) -> Handler:
    """An operation without input."""

    async def handle(execute: Execute, call: Call) -> Response:
        return reply(show(call, await run(execute, call, name, {})))

    return handle


async def token(execute: Execute, call: Call) -> Response:
    name, variables = tokens.ask(call)
    return reply(tokens.login(call, await run(execute, call, name, variables)))


async def sign_out(execute: Execute, call: Call) -> Response:
    await run(execute, call, "sign_out", {})
    return Response(status_code=204)


async def session_log(execute: Execute, call: Call) -> Response:
    id = object_id(call, "Session", "id")
    lines: list[dict[str, Any]] = []
    while len(lines) < LOG_LINES_MAX:
        after = lines[-1]["number"] if lines else 0
        node = (await run(execute, call, "session_log", {"id": id, "first": LOG_PAGE, "after": after}))["node"]
        if not node:
            raise Problem(MISSING, f"There is no session {call.path['id']}.")
        lines += node["log"]
        if len(node["log"]) < LOG_PAGE:
            break
    return reply({"sessionId": plain_id(id), "log": [sessions.show_line(call, line) for line in lines]})


async def machine_list(execute: Execute, call: Call) -> Response:
    """Regions are names here and UUIDs at clients: ``RegionId`` is looked up before the list is read."""
    wanted = call.query.get("regionid")
    if wanted:
        known = (await run(execute, call, "regions", {}))["regions"]
        names = [one["name"] for one in known if {one["name"], derived_id("region", one["name"])} & set(map(str.lower, wanted))]
        call = replace(call, query={**call.query, "regionid": names or ["none"]})
    return await listing("machines", "resources", machines)(execute, call)


ROWS: Sequence[Row] = (
    Row("POST", "/token", token),
    Row("DELETE", "/token", sign_out),
    Row("GET", "/system/version", plain("version", tokens.version)),
    Row("GET", "/sessions", listing("sessions", "sessions", sessions)),
    Row("GET", "/sessions/{id}", single("session", "Session", "id", sessions.show)),
    Row("GET", "/sessions/{id}/log", session_log),
    Row("GET", "/virtualMachines", machine_list),
    Row(
        "GET",
        "/virtualMachines/policies",
        listing("policies", "policies", policies),
    ),
)


# ---- the door -----------------------------------------------------------------------------------------------------------


class RestDoor:
    """Finds the row of a request, reads the request, answers errors as problems."""

    def __init__(self, execute: Execute, *, public_url: str) -> None:
        self._execute = execute
        self._base = public_url.rstrip("/") + PREFIX

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except Problem as problem:
            response = answer(problem, request, self._base)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = request.url.path.removeprefix(PREFIX).rstrip("/") or "/"
        if path.lower().startswith("/problems/"):
            found = page(path.rpartition("/")[2])
            if found is not None:
                return found
        row, parameters = self._row(request.method, path)
        form = await _form(request) if row.method in ("POST", "PUT") else {}
        call = Call(request, revision_of(request), self._base, parameters, query_of(request), form)
        return await row.handle(self._execute, call)

    @staticmethod
    def _row(method: str, path: str) -> tuple[Row, dict[str, str]]:
        others = False
        for row in ROWS:
            found = row.match(path)
            if found is None:
                continue
            if row.method == method:
                return row, found
            others = True
        if others:
            raise Problem(WRONG_METHOD, f"{method} is not possible at {path}.")
        raise Problem(NO_ROUTE, f"There is nothing at {path}.")


async def _form(request: Request) -> dict[str, str]:
    """Form fields with names in lower case. Problem for any other body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(INVALID, f"The body must be a form (application/x-www-form-urlencoded), not {kind or 'nothing'}.")
    try:
        async with request.form(max_fields=50) as form:
            return {name.lower(): value for name, value in form.items() if isinstance(value, str)}
    except HTTPException as problem:
        raise Problem(INVALID, problem.detail) from problem


def rest_routes(execute: Execute, *, public_url: str) -> list[BaseRoute]:
    return [Mount("/", app=RestDoor(execute, public_url=public_url))]
