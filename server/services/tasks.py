"""The job engine: claims a task, runs its steps, records what came of them, and ends it.

The database is the truth. A message only says "look at this task"; lost, late and doubled ones do no harm, because a task
is taken by an atomic claim (a lease with a fence), and the scheduler sends again what is overdue. A killed worker's task is
claimed by another when its lease ends. A failed or cancelled task passes through the stage ``ENDING``, in which its
handler's cleanup runs, so that a kill there is survived too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import Cancelled, Conflict, DatabaseDown, HoldfastError, NotFound, Throttled, Unavailable
from server.domain.session import Level, Session, SessionKind, State, Task, TaskKind
from server.ports import Tx
from server.services import backoff, runs
from server.services.context import Services
from server.services.leases import LEASE, Interrupted, Lease, LeaseLost
from server.services.steps import Done, Handler, Line, Next
from server.services.wording import span

ENDING: Final = "ending"  # the engine's own stage: what a failed or cancelled task left is being removed
CLAIMS_MAX: Final = 12  # claims without progress: the task kills its workers
EARLY: Final = timedelta(seconds=0.5)  # messages may come this much before the time
_KEY: Final = "engine"  # the engine's corner of a task's document
_LASTING: Final[tuple[str, ...]] = ("result", "legs", "flags", "slots")  # left of the document of a task that ended early

_log = logging.getLogger(__name__)

Handlers = Mapping[TaskKind, Handler]


def _nobody(_task: Task) -> None:
    """Who need not know which task was claimed."""


def advance(
    app: Services,
    task_id: UUID,
    handlers: Handlers,
    stop: threading.Event,
    *,
    claimed: Callable[[Task], None] = _nobody,
) -> None:
    """Run the task's steps until it waits, ends, is taken over, or ``stop`` is set (then it is given back at once).

    ``claimed`` is told before the first step. Errors: DatabaseDown; the lease ends by itself then and the task is sent again.
    """
    mine = None if stop.is_set() else _claim(app, task_id)
    if mine is None:
        return
    task, session = mine
    claimed(task)
    with Lease(app, task, session, stop) as lease:
        handler = handlers[task.kind]
        try:
            while _step(lease, handler):
                pass
        except LeaseLost:
            _log.info("Task %s is no longer ours.", task_id)


def _claim(app: Services, task_id: UUID) -> tuple[Task, Session] | None:
    now = app.clock.now()
    with app.store.transaction() as tx:
        try:
            seen = tx.tasks.get(task_id)
        except NotFound:
            return None
        if seen.state.final or seen.due_at is None or seen.due_at > now + EARLY:
            return None  # an old or early message; the right one comes, or the scheduler sends it
        session = tx.sessions.get(seen.session_id, lock=seen.state is State.PENDING)
        task = tx.tasks.claim(task_id, now=now, lease=LEASE)
        if task is None:
            return None
        if session.state is State.PENDING:
            tx.sessions.save(replace(session, state=State.RUNNING, started_at=now))
            message = f"{session.name}: running."
            tx.activity.append(at=now, kind="session", subject_id=session.id, change="started", message=message)
            session = tx.sessions.get(session.id)
        return replace(task, started_at=task.started_at or now), session


# ---- one step ---------------------------------------------------------------------------------------------------------


def _step(lease: Lease, handler: Handler) -> bool:
    """True when the next step can follow at once."""
    if lease.task.stage == ENDING:
        return _clean_up(lease, handler)
    try:
        if lease.task.claims > CLAIMS_MAX:
            raise HoldfastError(
                f"Given up: {lease.task.claims - 1} workers in a row stopped while running this.",
                remedy="See the workers' logs; too little memory is the usual reason.",
            )
        lease.check()
        result = handler.step(lease)
        return _finish(lease, result) if isinstance(result, Done) else _go_on(lease, result)
    except Interrupted:
        return _give_back(lease)
    except Cancelled as error:
        return _stopped(lease, handler, error)
    except (DatabaseDown, LeaseLost):
        raise
    except HoldfastError as error:
        return _failed(lease, handler, error)
    except Exception as error:
        _log.exception("Task %s failed in stage %s", lease.task.id, lease.task.stage)
        return _failed(lease, handler, HoldfastError(f"Internal error: {type(error).__name__}: {error}"))


def _go_on(lease: Lease, result: Next) -> bool:
    document = _without_engine(result.document)
    moved = result.stage != lease.task.stage or document != _without_engine(lease.task.document)
    task = replace(
        lease.task,
        stage=result.stage,
        document=document,
        message=result.message or lease.task.message,
        attempt=0 if moved else lease.task.attempt,
        claims=0,
        due_at=_later(lease, result.wait),
    )
    if result.wait > 0:
        lease.release(task, lines=result.lines, change=result.change)
        return False
    lease.write(task, lines=result.lines, change=result.change)
    return True


def _give_back(lease: Lease) -> bool:
    """The worker stops: another may have the task now."""
    task = lease.task
    lease.release(replace(task, due_at=lease.app.clock.now(), claims=max(0, task.claims - 1)))
    _log.info("Task %s given back.", task.id)
    return False


def _stopped(lease: Lease, handler: Handler, error: Cancelled) -> bool:
    """A handler saw ``halted``: find out why."""
    lease.heeds_cancel = False
    try:
        lease.check()
    except Interrupted:
        return _give_back(lease)
    if not lease.cancel_requested:  # it stopped because this process had stood still; the lease is good again
        lease.heeds_cancel = True
        return _failed(lease, handler, Unavailable("The worker was held up."))
    message = "Cancelling: removing what was begun." if handler.cleanup else ""
    return _end(lease, State.CANCELLED, error, (Line(f"{lease.task.name}: {message}"),) if message else ())


def _failed(lease: Lease, handler: Handler, error: HoldfastError) -> bool:
    if error.transient and _retry_later(lease, error):
        return False
    if handler.second_chance is not None:
        again = handler.second_chance(lease, error)
        if again is not None:
            return _go_on(lease, again)
    line = Line(f"{lease.task.name}: {error.sentence()}", Level.ERROR, {"code": error.code})
    return _end(lease, State.ERROR, error, (line,))


def _retry_later(lease: Lease, error: HoldfastError) -> bool:
    """Plan another try of this step; False when enough is enough. Throttling is no failure and has its own count."""
    task, rng = lease.task, lease.app.random
    corner = dict(task.document.get(_KEY, {}))
    attempt = task.attempt
    if isinstance(error, Throttled):
        times = corner["throttled"] = int(corner.get("throttled", 0)) + 1
        wait = backoff.after_throttling(times, rng)
    else:
        times = attempt = attempt + 1
        wait = backoff.after_failure(times, rng)
    if wait is None:
        return False
    text = f"{task.name}: {error.message} Trying again in {span(timedelta(seconds=wait))}."
    loud = times & (times - 1) == 0  # the 1st, 2nd, 4th, 8th …: the log tells, without filling up
    lease.release(
        replace(
            task,
            attempt=attempt,
            document={**task.document, _KEY: corner},
            message=error.message,
            claims=0,
            due_at=_later(lease, wait),
        ),
        lines=(Line(text, Level.WARNING, {"code": error.code}),) if loud else (),
    )
    return True


# ---- endings ----------------------------------------------------------------------------------------------------------


def _end(lease: Lease, state: State, error: HoldfastError, lines: tuple[Line, ...]) -> bool:
    """Enter ``ENDING``; how it will end is stored first."""
    corner = {"state": state.value, "message": error.sentence(), "code": error.code}
    task = replace(lease.task, stage=ENDING, attempt=0, claims=0, due_at=lease.app.clock.now())
    task = replace(task, document={**task.document, _KEY: corner}, message=error.message, error_code=error.code)
    lease.write(task, lines=lines)
    return True


def _clean_up(lease: Lease, handler: Handler) -> bool:
    lease.heeds_cancel = False
    lines: tuple[Line, ...] = ()
    try:
        lease.check()
        if handler.cleanup is not None and lease.task.claims <= CLAIMS_MAX:
            handler.cleanup(lease)
    except Interrupted:
        return _give_back(lease)
    except (DatabaseDown, LeaseLost):
        raise
    except HoldfastError as error:
        if error.transient and _retry_later(lease, error):
            return False
        lines = (_left_behind(lease, error.sentence()),)
    except Exception as error:
        _log.exception("Cleaning up after task %s failed", lease.task.id)
        lines = (_left_behind(lease, f"Internal error: {type(error).__name__}."),)
    corner = lease.task.document.get(_KEY, {})
    document = {key: lease.task.document[key] for key in _LASTING if key in lease.task.document}
    state = State(corner.get("state", State.ERROR.value))
    done = Done(state=state, message=str(corner.get("message", "")), document=document, lines=lines)
    return _finish(lease, done)


def _left_behind(lease: Lease, why: str) -> Line:
    text = f"{lease.task.name}: what was begun could not be removed: {why} It carries the tag holdfast:task={lease.task.id}."
    return Line(text, Level.WARNING)


def _finish(lease: Lease, done: Done) -> bool:
    def change(tx: Tx) -> None:
        if done.change is not None:
            done.change(tx)
        runs.settle(tx, lease.app, lease.task.session_id)

    task = lease.task
    whole = done.state in (State.SUCCESS, State.WARNING)
    lease.release(
        replace(
            task,
            state=done.state,
            document=done.document,
            message=done.message,
            error_code=None if whole else done.error_code or task.error_code,
            progress_done=task.progress_total if whole else task.progress_done,
            claims=0,
            due_at=None,
            ended_at=lease.app.clock.now(),
        ),
        lines=done.lines,
        change=change,
    )
    return False


def _later(lease: Lease, wait: float) -> datetime:
    return lease.app.clock.now() + timedelta(seconds=wait)


def _without_engine(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != _KEY}


# ---- cancelling -------------------------------------------------------------------------------------------------------

_RESTORES = frozenset({SessionKind.VOLUME_RESTORE, SessionKind.INSTANCE_RESTORE, SessionKind.RETRIEVAL})


def request_cancel(app: Services, caller: Caller, session_id: UUID) -> Session:
    """Ask a session to stop. Tasks not begun end here; running ones within seconds, after removing what they made.

    A second request changes nothing. Errors: NotFound, Conflict when the session has ended, Forbidden.
    """
    caller.require(Role.RESTORE_OPERATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        session = tx.sessions.get(session_id, lock=True)
        if session.kind not in _RESTORES:
            caller.require(Role.OPERATOR)
        if session.state.final:
            raise Conflict(f"{session.name} has already ended.")
        if session.cancel_requested_at is not None:
            return session
        tx.events.append(session_id, Level.WARNING, f"{caller.name} asked to cancel.", at=now)
        session = tx.sessions.get(session_id)
        tx.sessions.save(replace(session, cancel_requested_at=now))
        for task in tx.tasks.states(session_id):
            if not task.state.final:
                _cancel_task(tx, app, task.id)
        runs.settle(tx, app, session_id)
        return tx.sessions.get(session_id)


def _cancel_task(tx: Tx, app: Services, task_id: UUID) -> None:
    now = app.clock.now()
    task = tx.tasks.get(task_id, lock=True)
    if task.state is State.PENDING:
        message = "Cancelled before it began."
        tx.tasks.save(replace(task, state=State.CANCELLED, message=message, due_at=None, ended_at=now))
    elif task.state is State.RUNNING and task.stage != ENDING and task.lease_until is None:
        tx.tasks.save(replace(task, due_at=now))
