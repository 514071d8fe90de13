"""GraphQL over HTTP, WebSocket (graphql-transport-ws) and server-sent events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, cast

import orjson
from cross_web import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.types.unset import UNSET, UnsetType

from server.api.auth import bearer_of, close_socket, identify, open_socket
from server.api.graphql.context import Context
from server.api.graphql.errors import BAD_DOCUMENT
from server.api.graphql.schema import Schema

INIT_TIMEOUT = timedelta(seconds=10)
OPERATIONS_PER_SOCKET = 50
# The explorer's page loads its program from a public CDN; it exists only where HOLDFAST_GRAPHIQL is on.
EXPLORER_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' https://unpkg.com https://esm.sh; "
    "style-src 'self' 'unsafe-inline' https://unpkg.com https://esm.sh; img-src * data:; font-src * data:; "
    "worker-src blob:; connect-src 'self' ws: wss: https://unpkg.com https://esm.sh"
)

MakeContext = Callable[[Request | WebSocket], Context]


class TextSocket(ASGIWebSocketAdapter):
    """Frames are text, as the protocol says, though our encoder makes bytes."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        await self.ws.send_text(orjson.dumps(message).decode())


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    async def shutdown(self) -> None:
        await close_socket(self.context)
        await super().shutdown()


class GraphQLDoor(GraphQL[Context, None]):
    websocket_adapter_class = TextSocket
    graphql_transport_ws_handler_class = SocketHandler

    def __init__(self, schema: Schema, make_context: MakeContext, *, origins: list[str], explorer: bool) -> None:
        super().__init__(
            schema,
            graphql_ide="graphiql" if explorer else None,
            allow_queries_via_get=False,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL),
            connection_init_wait_timeout=INIT_TIMEOUT,
            max_subscriptions_per_connection=OPERATIONS_PER_SOCKET,
            allowed_origins=origins,
        )
        self._make_context = make_context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        try:
            response = await self.run(Request(scope, receive))
        except HTTPException as problem:
            response = _refused(problem)
        await response(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:  # noqa: ARG002  given
        context = self._make_context(request)
        if isinstance(request, WebSocket):
            context.socket = request  # its token comes with the first message
        else:
            await identify(context, bearer_of(request.headers.get("authorization")))
        return context

    async def on_ws_connect(self, context: Context) -> UnsetType | dict[str, object] | None:
        if not await open_socket(context):
            raise ConnectionRejectionError
        return cast("UnsetType", UNSET)

    async def render_graphql_ide(self, request: Request) -> Response:  # noqa: ARG002  given by the base class
        return HTMLResponse(self.graphql_ide_html, headers={"content-security-policy": EXPLORER_CSP})

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    def decode_json(self, data: str | bytes) -> Any:
        return orjson.loads(data)


def _refused(problem: HTTPException) -> Response:
    """A request that is no GraphQL request, answered in the shape of a GraphQL error."""
    error = {"message": problem.reason, "extensions": {"code": BAD_DOCUMENT}}
    return Response(orjson.dumps({"data": None, "errors": [error]}), problem.status_code, media_type="application/json")
