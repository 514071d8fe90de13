"""What every resolver gets: the services, the caller, the request's loaders. And the way into a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import strawberry
from starlette.concurrency import run_in_threadpool

from server.domain.access import Caller
from server.domain.errors import HoldfastError, Unauthenticated
from server.ports import Passwords
from server.services.context import Services

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from server.api.graphql.loaders import Loaders

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class Context:
    """One request, or one WebSocket connection. ``refusal`` says why there is no caller."""

    app: Services
    passwords: Passwords
    local_root: Path  # local repositories lie beneath it
    version: str
    address: str
    request_id: str
    bearer: str | None = field(default=None, repr=False)
    caller: Caller | None = None
    refusal: HoldfastError | None = None
    expires_at: datetime | None = None  # of the access token
    checked_at: float = 0.0  # when the token was looked up, by the monotonic clock
    loaders: Loaders | None = None
    socket: WebSocket | None = None
    connection_params: dict[str, Any] | None = None
    watcher: asyncio.Task[None] | None = None  # closes the socket when its token ends

    def who(self) -> Caller:
        """The caller; Unauthenticated (or why the token was refused) when there is none."""
        if self.caller is None:
            raise self.refusal or Unauthenticated("Sign in first.", remedy="Send a bearer token.")
        return self.caller


Info: TypeAlias = strawberry.Info[Context, None]


async def in_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a synchronous service away from the event loop."""
    return await run_in_threadpool(work, *args, **kwargs)
