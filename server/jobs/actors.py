"""The one actor. It takes an id, lets the engine advance that task, and never fails: the database knows what is left to do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from uuid import UUID

import dramatiq
import structlog

from server.domain.errors import HoldfastError
from server.domain.session import Task
from server.services.context import Services
from server.services.handlers import HANDLERS
from server.services.tasks import advance

_log = logging.getLogger(__name__)


def declare(
    broker: dramatiq.Broker,
    *,
    queue: str,
    actor: str,
    app: Services,
    stop: threading.Event,
    taken: Callable[[UUID], None],
) -> None:
    """Let workers of ``broker`` run tasks. ``taken`` is told of each message before the database is asked."""

    def run_task(task_id: str) -> None:
        id = UUID(task_id)
        taken(id)
        with structlog.contextvars.bound_contextvars(task_id=task_id, session_id=None):
            try:
                advance(app, id, HANDLERS, stop, claimed=_name_session)
            except HoldfastError as error:
                _log.warning("Task put off: %s", error.sentence())
            except Exception:
                _log.exception("Task put off after an unexpected error")

    dramatiq.actor(actor_name=actor, queue_name=queue, broker=broker)(run_task)


def _name_session(task: Task) -> None:
    structlog.contextvars.bind_contextvars(session_id=str(task.session_id))
