"""The worker process: takes tasks from the queue until it is told to stop, then gives the running ones back at once."""

from __future__ import annotations

import logging
import threading
from typing import Final

import dramatiq

from server import bootstrap
from server.adapters import messaging
from server.adapters.logging import configure
from server.domain.errors import HoldfastError
from server.jobs import actors
from server.jobs.stopping import on_signals
from server.settings import Settings

POLL_MS: Final = 250  # an idle queue is looked at this often; also how precise delays are
LIGHT_THREADS: Final = 4  # beside the data slots: polls, cancellations and deletions never queue behind disk data
STOP_SECONDS: Final = 20.0  # running steps notice the stop between two blocks or calls

_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Tasks running then are handed to other workers."""
    configure(settings.log_format, settings.log_level, process="worker")
    told, stop = threading.Event(), threading.Event()
    on_signals(told)
    app = bootstrap.build(settings)
    if not bootstrap.wait_until_ready(app, told):
        return
    worker = dramatiq.Worker(
        app.broker, worker_threads=settings.worker_threads + LIGHT_THREADS, worker_timeout=POLL_MS, queues={messaging.QUEUE}
    )
    actors.declare(app.broker, queue=messaging.QUEUE, actor=messaging.ACTOR, app=app.services, stop=stop, taken=app.jobs.taken)
    worker.start()
    _log.info("Worker ready with %d threads.", settings.worker_threads)
    told.wait()
    _log.info("Worker stopping: running tasks are given back.")
    for consumer in list(worker.consumers.values()):
        consumer.pause()  # what is given back is for others to take
    stop.set()
    worker.stop(timeout=round(STOP_SECONDS * 1000))
    _close(app)
    _log.info("Worker stopped.")


def _close(app: bootstrap.App) -> None:
    try:
        app.close()
    except HoldfastError as error:
        _log.warning("While stopping: %s", error.sentence())
