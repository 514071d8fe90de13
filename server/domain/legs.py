"""The legs of protecting one resource: what becomes of each, which depends on which, and what follows. Pure."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from server.domain.restore import Leg
from server.domain.session import State


class TaskLeg(enum.Enum):
    """In the order they are made. GUEST: scripts before and after the snapshot."""

    GUEST = "guest"
    SNAPSHOT = "snapshot"
    REPLICA = "replica"
    BACKUP = "backup"
    VERIFICATION = "verification"
    ARCHIVE = "archive"


class LegState(enum.Enum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"

    @property
    def open(self) -> bool:
        return self in (LegState.PENDING, LegState.RUNNING)


@dataclass(frozen=True, slots=True)
class LegRecord:
    state: LegState = LegState.PENDING
    message: str = ""


Legs = Mapping[TaskLeg, LegRecord]

POINTS: Final[Mapping[TaskLeg, Leg]] = MappingProxyType(
    {
        TaskLeg.SNAPSHOT: Leg.SNAPSHOT,
        TaskLeg.REPLICA: Leg.REPLICA,
        TaskLeg.BACKUP: Leg.BACKUP,
        TaskLeg.ARCHIVE: Leg.ARCHIVE,
    }
)  # legs that make a restore point
NEEDS: Final[Mapping[TaskLeg, tuple[TaskLeg, ...]]] = MappingProxyType(
    {
        TaskLeg.REPLICA: (TaskLeg.SNAPSHOT,),
        TaskLeg.BACKUP: (TaskLeg.SNAPSHOT,),
        TaskLeg.VERIFICATION: (TaskLeg.SNAPSHOT, TaskLeg.BACKUP),
        TaskLeg.ARCHIVE: (TaskLeg.SNAPSHOT, TaskLeg.BACKUP),
    }
)


def planned(points: Collection[Leg], *, guest: bool, verify: bool) -> Legs:
    """Those of a task that makes ``points``. ``guest``: there are scripts; ``verify``: its backup is verified."""
    wanted = {leg for leg, point in POINTS.items() if point in points}
    wanted |= {TaskLeg.GUEST} if guest else set()
    wanted |= {TaskLeg.VERIFICATION} if verify and Leg.BACKUP in points else set()
    return {leg: LegRecord() for leg in TaskLeg if leg in wanted}


def following(legs: Legs) -> TaskLeg | None:
    return next((leg for leg in TaskLeg if leg in legs and legs[leg].state is LegState.PENDING), None)


def running(legs: Legs) -> TaskLeg | None:
    """The leg that is at work. While a guest waits for its snapshot, that is the snapshot."""
    return next((leg for leg in reversed(TaskLeg) if leg in legs and legs[leg].state is LegState.RUNNING), None)


def marked(legs: Legs, leg: TaskLeg, state: LegState, message: str = "") -> Legs:
    return {**legs, leg: LegRecord(state, message)}


def unmade(legs: Legs, leg: TaskLeg) -> Legs:
    """``leg`` made nothing: those that would build on it are left out."""
    reason = f"Left out: there is no {leg.value} to work with."
    skipped = (each for each in legs if leg in NEEDS.get(each, ()) and legs[each].state is LegState.PENDING)
    return {**legs, **{each: LegRecord(LegState.SKIPPED, reason) for each in skipped}}


def again(legs: Legs, failed: Collection[TaskLeg]) -> Legs:
    """The failed legs, and those left out because of them, are to be tried again. A snapshot goes with its guest's scripts."""
    redone = set(failed) | {
        leg for leg in legs if legs[leg].state is LegState.SKIPPED and any(need in failed for need in NEEDS.get(leg, ()))
    }
    if TaskLeg.SNAPSHOT in redone and TaskLeg.GUEST in legs:
        redone.add(TaskLeg.GUEST)
    return {leg: LegRecord(LegState.PENDING, legs[leg].message) if leg in redone else legs[leg] for leg in legs}


def outcome(legs: Legs) -> State:
    """Of the whole task: the worst of its legs."""
    states = {record.state for record in legs.values()}
    if LegState.ERROR in states:
        return State.ERROR
    return State.WARNING if LegState.WARNING in states else State.SUCCESS


def to_json(legs: Legs) -> dict[str, Any]:
    return {leg.value: {"state": record.state.value, "message": record.message} for leg, record in legs.items()}


def from_json(data: Mapping[str, Any]) -> Legs:
    found = {TaskLeg(name): LegRecord(LegState(each["state"]), each["message"]) for name, each in data.items()}
    return {leg: found[leg] for leg in TaskLeg if leg in found}
