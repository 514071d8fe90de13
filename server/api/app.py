"""The web application: every route, in one list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from server.api.auth import bearer_of, identify
from server.api.graphql.context import Context
from server.api.graphql.schema import schema
from server.api.graphql.transport import GraphQLDoor
from server.api.health import Readiness, alive
from server.api.middleware import BodyLimit, Requests
from server.api.rest.routes import Answer, rest_routes
from server.api.spa import Console
from server.ports import Passwords
from server.services.context import Services

THREADS = 16  # services at once; below the database's connection pool, so that none waits for a connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the web process is told. ``public_url`` is the address people use; ``frontend`` the built console."""

    version: str
    public_url: str
    local_root: Path
    frontend: Path
    graphiql: bool = False
    tls: bool = False


def create_app(app: Services, passwords: Passwords, setup: Setup) -> Starlette:
    make_context = _context_maker(app, passwords, setup)
    graphql = GraphQLDoor(schema, make_context, origins=[setup.public_url], explorer=setup.graphiql)
    routes: list[BaseRoute] = [
        Route("/healthz", alive),
        Route("/readyz", Readiness(app).__call__),
        Route("/graphql", graphql, methods=["GET", "POST"]),
        WebSocketRoute("/graphql", graphql),
        Mount("/api/v1", routes=rest_routes(_executor(make_context), public_url=setup.public_url)),
        Route("/api/{rest:path}", no_api, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        Mount("/", app=Console(setup.frontend)),
    ]
    middleware = [Middleware(Requests, tls=setup.tls), Middleware(BodyLimit)]
    return Starlette(routes=routes, middleware=middleware, lifespan=_lifespan)


async def no_api(_request: Request) -> JSONResponse:
    """Programs that mistake the address get JSON, not the console's page."""
    error = {"message": "There is no API here: it is at /graphql and /api/v1.", "extensions": {"code": "NOT_FOUND"}}
    return JSONResponse({"errors": [error]}, 404)


@asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def _context_maker(app: Services, passwords: Passwords, setup: Setup) -> Callable[[HTTPConnection], Context]:
    def make(request: HTTPConnection) -> Context:
        return Context(
            app=app,
            passwords=passwords,
            local_root=setup.local_root,
            version=setup.version,
            address=request.client.host if request.client else "",
            request_id=getattr(request.state, "request_id", ""),
        )

    return make


def _executor(make_context: Callable[[HTTPConnection], Context]) -> Callable[[Request, str, dict[str, Any]], Any]:
    """The schema as REST is handed it: an operation in, data and errors out, under the request's own token."""

    async def execute(request: Request, document: str, variables: dict[str, Any]) -> Answer:
        context = make_context(request)
        await identify(context, bearer_of(request.headers.get("authorization")))
        result = await schema.execute(document, variable_values=variables, context_value=context)
        return Answer(data=result.data or {}, errors=[dict(error.formatted) for error in result.errors or ()])

    return execute
