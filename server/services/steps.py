"""The contract between the engine and the handlers of tasks: what a handler is given, and what it answers.

A handler is called again and again, once per *step*, until it answers ``Done``. It keeps its place in the task's ``stage``
and ``document`` (JSON). Any step may be repeated after a crash with an older document, so every effect it has must be found
and adopted by the repeated step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from server.domain.errors import HoldfastError
from server.domain.session import Level, Session, State, Task
from server.ports import Tx
from server.services.context import Services

Change = Callable[[Tx], None]  # written in the same transaction as the step's result


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the session's log."""

    message: str
    level: Level = Level.INFO
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """Go on at ``stage`` with ``document``, in ``wait`` seconds (0: at once)."""

    stage: str
    document: dict[str, Any]
    wait: float = 0.0
    message: str = ""
    lines: tuple[Line, ...] = ()
    change: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The task has ended in ``state``. ``document["result"]`` is what callers see of it. ``error_code``: of what failed."""

    state: State = State.SUCCESS
    message: str = ""
    error_code: str | None = None
    document: dict[str, Any]
    lines: tuple[Line, ...] = ()
    change: Change | None = None


class Run(Protocol):
    """A claimed task, as its handler sees it."""

    @property
    def app(self) -> Services: ...
    @property
    def task(self) -> Task: ...
    @property
    def session(self) -> Session: ...

    def check(self) -> None:
        """Raise if the step must stop now: cancelled, worker stopping, or the task taken over. Call between blocks."""
        ...

    def halted(self) -> bool:
        """True when ``check`` would raise."""
        ...

    def progress(self, *, done: int, total: int, read: int = 0, stored: int = 0, message: str = "") -> None:
        """Bytes so far, and what is being done. Cheap: written at most once a second."""
        ...

    def save(self, document: dict[str, Any]) -> None:
        """Make ``document`` durable within the step, so a repeated step resumes from it."""
        ...

    def log(self, message: str, level: Level = Level.INFO, **data: Any) -> None:
        """Append a line to the session's log now."""
        ...


@dataclass(frozen=True, slots=True)
class Handler:
    """How tasks of one kind run. ``cleanup`` removes what a failed or cancelled task left; ``second_chance`` may turn a
    failure into another attempt."""

    step: Callable[[Run], Next | Done]
    cleanup: Callable[[Run], None] | None = None
    second_chance: Callable[[Run, HoldfastError], Next | None] | None = None
