"""Who is calling, over HTTP and over sockets: the bearer token in, a ``Caller`` in the context."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool

from server.api.graphql.context import Context
from server.domain.errors import HoldfastError, TokenExpired, Unauthenticated
from server.services import access

log = structlog.get_logger(__name__)

RECHECK_SECONDS = 15.0  # a revoked token keeps a stream open at most this long
BEARER_MAX = 512  # ours have 43 characters
EXPIRED = 4401  # WebSocket close codes of the graphql-transport-ws protocol
FORBIDDEN = 4403


def bearer_of(header: str | None) -> str | None:
    """The token in an ``Authorization`` header, if there is one."""
    scheme, _, token = (header or "").strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and 0 < len(token) <= BEARER_MAX else None


async def identify(context: Context, bearer: str | None) -> None:
    """Find out who holds the token. Without one, or with a bad one, the context keeps no caller but the reason."""
    context.bearer = bearer
    if bearer is None:
        context.caller = None
        context.refusal = Unauthenticated("Sign in first.", remedy="Send the header Authorization: Bearer <token>.")
        return
    try:
        identity = await run_in_threadpool(access.authenticate, context.app, bearer)
    except HoldfastError as problem:
        context.caller, context.refusal = None, problem
        return
    context.caller, context.refusal = identity.caller, None
    context.expires_at = identity.expires_at
    context.checked_at = context.app.clock.monotonic()


async def recheck(context: Context) -> None:
    """For streams: TokenExpired once the token's time is over, Unauthenticated soon after it was revoked."""
    now = context.app.clock.now()
    if context.expires_at is not None and now >= context.expires_at:
        raise TokenExpired("The access token has expired.", remedy="Refresh it and resume from the last number.")
    if context.app.clock.monotonic() - context.checked_at < RECHECK_SECONDS:
        return
    await identify(context, context.bearer)
    context.who()


async def open_socket(context: Context) -> bool:
    """Take the token from the connection's first message; start the watcher that ends the socket with it."""
    await identify(context, bearer_of(_authorization(context.connection_params)))
    if context.caller is None:
        return False
    context.watcher = asyncio.create_task(_watch(context))
    return True


def _authorization(params: dict[str, Any] | None) -> str | None:
    for name, value in (params or {}).items():
        if name.lower() == "authorization" and isinstance(value, str):
            return value
    return None


async def _watch(context: Context) -> None:
    """Close the socket when its token expires or is revoked."""
    assert context.socket is not None
    while True:
        left = RECHECK_SECONDS
        if context.expires_at is not None:
            left = (context.expires_at - context.app.clock.now()).total_seconds()
        await asyncio.sleep(max(0.05, min(left, RECHECK_SECONDS)))
        try:
            context.checked_at = float("-inf")
            await recheck(context)
        except Unauthenticated as problem:
            log.info("socket closed", reason=problem.code)
            await context.socket.close(EXPIRED, problem.message)
            return
        except HoldfastError as problem:  # the database is away: not the token's fault, ask again later
            log.warning("token not checked", reason=problem.code)


async def close_socket(context: Context) -> None:
    """The connection is over: stop watching."""
    if context.watcher is not None:
        context.watcher.cancel()
        await asyncio.gather(context.watcher, return_exceptions=True)
