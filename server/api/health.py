"""Is the process alive, and can it do its work."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from server.domain.errors import HoldfastError
from server.services.context import Services

log = structlog.get_logger(__name__)


def _answer(body: object, status: int) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


async def alive(_request: Request) -> Response:
    return _answer({"status": "ok"}, 200)


class Readiness:
    """200 when database and queue answer; 503 that names the part which does not. Why is in the log: anybody may ask here."""

    def __init__(self, app: Services) -> None:
        self._app = app

    async def __call__(self, _request: Request) -> Response:
        parts: dict[str, Callable[[], None]] = {"database": self._app.store.ping, "queue": self._app.jobs.ping}
        found = {name: await run_in_threadpool(_look, name, ping) for name, ping in parts.items()}
        ready = all(state == "ok" for state in found.values())
        return _answer({"status": "ready" if ready else "not ready", "parts": found}, 200 if ready else 503)


def _look(name: str, ping: Callable[[], None]) -> str:
    try:
        ping()
    except HoldfastError as problem:
        log.warning("not ready", part=name, reason=problem.sentence())
        return problem.code
    return "ok"
