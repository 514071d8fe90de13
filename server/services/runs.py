"""Sessions begin and end here, whatever they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from server.domain.session import Level, Session, SessionKind, State, Task, TaskKind, outcome
from server.ports import Group, Order, Select, Tx, Where
from server.services.context import Services
from server.services.wording import count, size, span

_ENDINGS = {
    State.SUCCESS: ("finished successfully", Level.SUCCESS),
    State.WARNING: ("finished with warnings", Level.WARNING),
    State.ERROR: ("failed", Level.ERROR),
    State.CANCELLED: ("was cancelled", Level.WARNING),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDraft:
    """A task to be. ``waits``: it becomes due when all tasks before it have ended."""

    kind: TaskKind
    name: str
    document: dict[str, Any] = field(default_factory=dict)
    resource_id: UUID | None = None
    progress_total: int = 0
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDraft:
    """A session to be. A draft whose ``key`` was used before makes no second session."""

    kind: SessionKind
    name: str
    requested_by: str
    reason: str = ""
    policy_id: UUID | None = None
    key: str | None = None
    document: dict[str, Any] = field(default_factory=dict)
    opening: tuple[tuple[Level, str], ...] = ()  # first lines of the log


def begin(tx: Tx, app: Services, draft: SessionDraft, tasks: Sequence[TaskDraft]) -> Session:
    """Add the session and its tasks (at least one); the tasks are sent when the transaction commits.

    Returns the earlier session when ``draft.key`` names one. Errors: Conflict when two transactions race for one key.
    """
    if draft.key is not None:
        earlier = tx.sessions.find(key=draft.key)
        if earlier is not None:
            return earlier
    now = app.clock.now()
    session = Session(
        id=app.new_id(),
        kind=draft.kind,
        name=draft.name,
        policy_id=draft.policy_id,
        requested_by=draft.requested_by,
        reason=draft.reason,
        created_at=now,
        key=draft.key,
        document=draft.document,
    )
    tx.sessions.add(session)
    for level, line in draft.opening:
        tx.events.append(session.id, level, line, at=now)
    for position, task in enumerate(tasks):
        tx.tasks.add(_task(app, session, position, task, now))
    message = f"{draft.name}: started by {draft.requested_by}."
    tx.activity.append(at=now, kind="session", subject_id=session.id, change="created", message=message)
    return tx.sessions.get(session.id)


def _task(app: Services, session: Session, position: int, draft: TaskDraft, now: datetime) -> Task:
    return Task(
        id=app.new_id(),
        session_id=session.id,
        kind=draft.kind,
        name=draft.name,
        resource_id=draft.resource_id,
        position=position,
        document=draft.document,
        progress_total=draft.progress_total,
        due_at=None if draft.waits else now,
        created_at=now,
    )


def settle(tx: Tx, app: Services, session_id: UUID) -> None:
    """After a task ended (its row written, the session locked): wake tasks that waited for it, or end the session.

    Counts by state, and looks at one task: sessions have thousands of them."""
    of_session = (Where("session_id", "eq", session_id),)
    counts = tx.tasks.groups("state", of_session, total="bytes_read")
    state = outcome(counts)
    now = app.clock.now()
    if state is None:
        _release(tx, session_id, now)
        return
    session = tx.sessions.get(session_id)
    if session.state.final:
        return
    ending, level = _ENDINGS[state]
    started = session.started_at or session.created_at
    stored = tx.tasks.groups("state", of_session, total="bytes_stored")
    line = f"{session.name}: {ending} in {span(now - started)}{_totals(counts, stored)}."
    tx.events.append(session_id, level, line, at=now, data={"state": state.value})
    session = tx.sessions.get(session_id)  # again: the append has counted on
    tx.sessions.save(replace(session, state=state, started_at=started, ended_at=now))
    tx.activity.append(at=now, kind="session", subject_id=session_id, change="ended", message=line)


def _release(tx: Tx, session_id: UUID, now: datetime) -> None:
    """A task that waited for those before it, all of which have ended."""
    unfinished = (Where("session_id", "eq", session_id), Where("state", "in", (State.PENDING, State.RUNNING)))
    first = tx.tasks.page(Select(where=unfinished, order=(Order("position"),), limit=1))
    for task in first:
        if task.state is State.PENDING and task.due_at is None:
            tx.tasks.save(replace(task, due_at=now))


def _totals(counts: Mapping[State, Group], stored: Mapping[State, Group]) -> str:
    bytes_read = sum(group.total for group in counts.values())
    bytes_stored = sum(group.total for group in stored.values())
    failed = counts[State.ERROR].count if State.ERROR in counts else 0
    parts = []
    if failed:
        parts.append(f"{count(failed, 'task')} of {sum(group.count for group in counts.values())} failed")
    if bytes_read:
        parts.append(f"{size(bytes_read)} read, {size(bytes_stored)} stored")
    return f" ({'; '.join(parts)})" if parts else ""
