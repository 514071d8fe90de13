"""A claimed task: its lease is renewed in the background, and its row is written only while the lease holds.

The fence makes two workers harmless: whoever claims later raises it, and writes with the older number are refused.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Final

from server.domain.errors import Cancelled, HoldfastError
from server.domain.session import Level, Session, Task
from server.services.context import Services
from server.services.steps import Change, Line

LEASE: Final = timedelta(seconds=15)
TICK_SECONDS: Final = 1.0  # progress, cancellation
RENEW_SECONDS: Final = 3.0  # five chances before the lease ends

_log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Another worker holds the task now; stop and write nothing."""


class Interrupted(Exception):
    """This worker is stopping; give the task back."""


class Lease:
    """The running step's hold on a task. Implements ``steps.Run``. Use as a context manager."""

    def __init__(self, app: Services, task: Task, session: Session, stop: threading.Event) -> None:
        self._app = app
        self._session = session
        self._stop = stop
        self._task = task
        self._lock = threading.RLock()  # guards _task and _unwritten between the step and the ticker
        self._unwritten = False
        self._cancelled = session.cancel_requested_at is not None
        self._lost = False
        self._closed = threading.Event()
        self._renewed = app.clock.monotonic()
        self._ticker = threading.Thread(target=self._tick_until_closed, name=f"lease-{task.id}", daemon=True)
        self.heeds_cancel = True

    def __enter__(self) -> Lease:
        self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed.set()
        self._ticker.join(timeout=TICK_SECONDS)

    # ---- what handlers see (steps.Run) --------------------------------------------------------------------------------

    @property
    def app(self) -> Services:
        return self._app

    @property
    def task(self) -> Task:
        return self._task

    @property
    def session(self) -> Session:
        return self._session

    @property
    def cancel_requested(self) -> bool:
        return self._cancelled

    def check(self) -> None:
        if not self._lost and self._overslept():
            with self._lock:
                self._renew()  # the process stood still; another worker may have taken over
        if self._lost:
            raise LeaseLost
        if self._stop.is_set():
            raise Interrupted
        if self._cancelled and self.heeds_cancel:
            raise Cancelled("Cancelled on request.")

    def halted(self) -> bool:
        return self._lost or self._overslept() or self._stop.is_set() or (self._cancelled and self.heeds_cancel)

    def _overslept(self) -> bool:
        """By the wall clock, which goes on while a machine is suspended."""
        until = self._task.lease_until
        return until is not None and self._app.clock.now() >= until

    def progress(self, *, done: int, total: int, read: int = 0, stored: int = 0, message: str = "") -> None:
        with self._lock:
            self._task = replace(
                self._task,
                progress_done=min(done, total),
                progress_total=total,
                bytes_read=read,
                bytes_stored=stored,
                message=message or self._task.message,
            )
            self._unwritten = True

    def save(self, document: dict[str, Any]) -> None:
        moved = document != self._task.document
        if moved:  # progress was made: earlier failures no longer count
            self.write(replace(self._task, document=document, claims=0, attempt=0))

    def log(self, message: str, level: Level = Level.INFO, **data: Any) -> None:
        if self._lost:
            return
        with self._app.store.transaction() as tx:
            tx.events.append(
                self._session.id, level, message, at=self._app.clock.now(), task_id=self._task.id, data=data or None
            )

    # ---- what the engine does -----------------------------------------------------------------------------------------

    def write(self, task: Task, *, lines: Sequence[Line] = (), change: Change | None = None) -> None:
        """Write ``task``, lines and ``change`` in one transaction and keep the lease. LeaseLost when it is not ours."""
        with self._lock:
            now = self._app.clock.now()
            self._commit(replace(task, lease_until=now + LEASE), lines, change)
            self._renewed = self._app.clock.monotonic()

    def release(self, task: Task, *, lines: Sequence[Line] = (), change: Change | None = None) -> None:
        """Write ``task`` and let it go: it is sent again for its ``due_at``."""
        with self._lock:
            self._commit(replace(task, lease_until=None), lines, change)
            self._lost = True  # no longer ours: the ticker must not touch it

    def _commit(self, task: Task, lines: Sequence[Line], change: Change | None) -> None:
        if self._lost:
            raise LeaseLost
        with self._app.store.transaction() as tx:
            if lines or change is not None:
                tx.sessions.get(task.session_id, lock=True)  # always before the task's row: one lock order, no deadlock
            if not tx.tasks.record(task):
                self._lost = True
                raise LeaseLost
            for line in lines:
                at = self._app.clock.now()
                tx.events.append(task.session_id, line.level, line.message, at=at, task_id=task.id, data=line.data or None)
            if change is not None:
                change(tx)
        self._task = task
        self._unwritten = False

    # ---- in the background --------------------------------------------------------------------------------------------

    def _tick_until_closed(self) -> None:
        while not self._closed.wait(TICK_SECONDS):
            try:
                self._tick()
            except LeaseLost:
                return
            except HoldfastError as error:
                _log.warning("The lease of task %s could not be renewed: %s", self._task.id, error.sentence())
                if self._app.clock.monotonic() - self._renewed > LEASE.total_seconds():
                    self._lost = True  # another worker may have it by now
                    return

    def _tick(self) -> None:
        with self._lock:
            if self._lost or self._closed.is_set():
                raise LeaseLost
            due = self._app.clock.monotonic() - self._renewed >= RENEW_SECONDS
            if self._unwritten:
                self.write(self._task)
            elif due:
                self._renew()
        if not self._cancelled:
            with self._app.store.transaction() as tx:
                self._cancelled = tx.sessions.get(self._session.id).cancel_requested_at is not None

    def _renew(self) -> None:
        started = self._app.clock.monotonic()
        until = self._app.clock.now() + LEASE
        with self._app.store.transaction() as tx:
            held = tx.tasks.renew(self._task.id, self._task.fence, until=until)
        if not held:
            self._lost = True
            raise LeaseLost
        self._renewed = started
        self._task = replace(self._task, lease_until=until)
