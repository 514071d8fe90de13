"""The scheduler process: looks at the clock every two seconds. Two of them are safe; the database decides who ticks."""

from __future__ import annotations

import logging
import threading
from typing import Final

from server import bootstrap
from server.adapters.logging import configure
from server.domain.errors import HoldfastError
from server.jobs.stopping import on_signals
from server.services import scheduling
from server.services.context import Services
from server.settings import Settings

TICK_SECONDS: Final = 2.0
PAUSE_MAX_SECONDS: Final = 15.0  # between looks while something we need is down

_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Tick until SIGTERM or SIGINT."""
    configure(settings.log_format, settings.log_level, process="scheduler")
    stop = threading.Event()
    on_signals(stop)
    app = bootstrap.build(settings)
    if bootstrap.wait_until_ready(app, stop):
        _log.info("Scheduler ready.")
        loop(app.services, stop)
    app.close()
    _log.info("Scheduler stopped.")


def loop(app: Services, stop: threading.Event) -> None:
    """Tick until ``stop``; slower while ticks fail, and one log line per outage rather than one per tick."""
    agenda = scheduling.Agenda()
    failures = 0
    while not stop.is_set():
        try:
            scheduling.tick(app, agenda)
        except HoldfastError as error:
            failures += 1
            if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th …
                _log.warning("No tick (%d in a row): %s", failures, error.sentence())
        except Exception:
            failures += 1
            _log.exception("A tick failed unexpectedly")
        else:
            if failures:
                _log.info("Ticking again after %d failed ticks.", failures)
            failures = 0
        stop.wait(min(PAUSE_MAX_SECONDS, TICK_SECONDS * 2 ** min(failures, 4)))
