"""Sessions and tasks: states, and which may follow which. The state machine every job goes through.

A session is one run of anything; its tasks are the parts. A task moves through *stages* its handler names (opaque here);
its *state* moves along ``PENDING → RUNNING → SUCCESS | WARNING | ERROR | CANCELLED`` and never back.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


class State(enum.Enum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (State.PENDING, State.RUNNING)


NEXT: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.RUNNING, State.ERROR, State.CANCELLED}),
    State.RUNNING: frozenset({State.SUCCESS, State.WARNING, State.ERROR, State.CANCELLED}),
    State.SUCCESS: frozenset(),
    State.WARNING: frozenset(),
    State.ERROR: frozenset(),
    State.CANCELLED: frozenset(),
}


class SessionKind(enum.Enum):
    POLICY_RUN = "policy_run"
    RESCAN = "rescan"
    VOLUME_RESTORE = "volume_restore"
    INSTANCE_RESTORE = "instance_restore"
    DELETE_POINTS = "delete_points"
    REPOSITORY_MAINTENANCE = "repository_maintenance"
    HEALTH_CHECK = "health_check"
    REPOSITORY_CHECK = "repository_check"
    REPOSITORY_RESCAN = "repository_rescan"
    VERIFICATION = "verification"
    ARCHIVE = "archive"
    RETRIEVAL = "retrieval"
    RETENTION = "retention"
    MANUAL_SNAPSHOT = "manual_snapshot"
    PRICES = "prices"


class TaskKind(enum.Enum):
    """Which handler advances the task."""

    PROTECT = "protect"  # one resource of a policy run
    RETENTION = "retention"  # after the resources of a policy run, and once a day
    RESCAN = "rescan"  # one Region of one account
    RESTORE_VOLUMES = "restore_volumes"
    RESTORE_INSTANCE = "restore_instance"
    DELETE_POINTS = "delete_points"
    COLLECT_GARBAGE = "collect_garbage"
    CHECK_CHAIN = "check_chain"  # one resource's points in one repository
    CHECK_REPOSITORY = "check_repository"
    RESCAN_REPOSITORY = "rescan_repository"
    VERIFY_POINT = "verify_point"
    ARCHIVE_POINT = "archive_point"
    RETRIEVE_POINT = "retrieve_point"
    MANUAL_SNAPSHOT = "manual_snapshot"
    READ_PRICES = "read_prices"  # one Region's


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    id: UUID
    kind: SessionKind
    name: str  # what people see: the policy's or resource's name
    state: State = State.PENDING
    policy_id: UUID | None = None
    requested_by: str  # user name, or "schedule"
    reason: str = ""  # why, as typed by the person
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    key: str | None = None  # unique: the same key never makes a second session (schedule slot, clientMutationId)
    document: dict[str, Any] = field(default_factory=dict)
    last_event: int = 0  # number of the newest log event


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One part of a session. ``stage`` and ``document`` belong to the handler; the rest to the engine.

    ``due_at`` is when it wants to be advanced next; ``lease_until`` and ``fence`` guard against two workers at once;
    ``claims`` counts claims since the last recorded progress, so a task that kills its worker ends.
    """

    id: UUID
    session_id: UUID
    kind: TaskKind
    name: str
    resource_id: UUID | None = None
    position: int = 0
    state: State = State.PENDING
    stage: str = "start"
    document: dict[str, Any] = field(default_factory=dict)
    progress_done: int = 0  # bytes
    progress_total: int = 0  # bytes; 0: unknown
    bytes_read: int = 0
    bytes_stored: int = 0
    message: str = ""  # why it is where it is, one sentence
    error_code: str | None = None
    attempt: int = 0  # failed attempts so far, of this stage
    claims: int = 0
    fence: int = 0
    due_at: datetime | None = None
    lease_until: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Level(enum.Enum):
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a session's durable log, numbered from 1 without gaps."""

    session_id: UUID
    number: int
    at: datetime
    level: Level
    message: str
    task_id: UUID | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One line of what happens on the appliance, across sessions. ``cursor`` grows; readers resume after it."""

    cursor: str
    at: datetime
    kind: str  # "session", "policy", "sla_template", "storage_template", "repository", "account", "resource", "restore_point"
    subject_id: UUID | None
    change: str  # "created" | "changed" | "removed" | "started" | "ended"
    message: str


def may_follow(current: State, following: State) -> bool:
    return following in NEXT[current]


def outcome(states: Iterable[State]) -> State | None:
    """The session's final state from its tasks', or None while one is still open. Worst wins; no task at all is a success.

    Cancelled outranks all: a run somebody stopped is not reported as failed.
    """
    seen = set(states)
    if any(not state.final for state in seen):
        return None
    for state in (State.CANCELLED, State.ERROR, State.WARNING):
        if state in seen:
            return state
    return State.SUCCESS
