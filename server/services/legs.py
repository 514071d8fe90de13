"""The legs of a PROTECT task: one ends, the next begins, what failed is tried again, and promises are noted.

A task's document holds ``flags`` (leg → frequencies its point counts for), ``slots`` (leg → the planned moment it fulfils),
``legs`` (``domain.legs``), the failed legs of this attempt in ``failed``, and what the leg at work keeps for itself; the latter
goes when the leg ends. A leg that failed is cleaned up after (``cleaning``) before the next begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid5

from server.domain import legs as domain
from server.domain.errors import Damaged, HoldfastError, LegImpossible
from server.domain.legs import Legs, LegState, TaskLeg
from server.domain.periods import Frequency
from server.domain.promises import Promise
from server.domain.restore import Leg, RestorePoint
from server.domain.session import Level, Task
from server.ports import Tx
from server.services import verification
from server.services.steps import Change, Done, Line, Next, Run

RETRY_SECONDS: Final = 60.0  # before the failed legs of a scheduled run are tried again
GUEST_PRE: Final = "guest-pre"
GUEST_POST: Final = "guest-post"
SNAPSHOT: Final = "snapshot"
REPLICA: Final = "replica"
BACKUP: Final = "backup"
HEAL: Final = "heal"  # points a check found damaged are looked at again after a backup
VERIFY: Final = verification.STAGE
ARCHIVE: Final = "archive"
CLEAN: Final = "clean"  # what a failed leg left is being removed
ONWARD: Final = "onward"  # what follows is to be found: at once, or after a while, when failed legs are tried again
STAGES: Final[Mapping[TaskLeg, str]] = MappingProxyType(
    {
        TaskLeg.GUEST: GUEST_PRE,
        TaskLeg.SNAPSHOT: SNAPSHOT,
        TaskLeg.REPLICA: REPLICA,
        TaskLeg.BACKUP: BACKUP,
        TaskLeg.VERIFICATION: VERIFY,
        TaskLeg.ARCHIVE: ARCHIVE,
    }
)
_BY_STAGE: Final = {stage: leg for leg, stage in STAGES.items()} | {GUEST_POST: TaskLeg.GUEST, HEAL: TaskLeg.BACKUP}
_LASTING: Final[tuple[str, ...]] = (
    "region",
    "flags",
    "slots",
    "repository",
    "archive",
    "replica",
    "kept",
    "archiveKept",
    "retries",
    "attempt",
    "legs",
    "failed",
    "guest",
    "verify",
    "resume",
    "result",
    "errorCode",
)
_TOLD: Final[tuple[str, ...]] = ("result", "legs", "flags", "slots")  # what is left of it when the task has ended
_RESUMED: Final = (TaskLeg.BACKUP, TaskLeg.ARCHIVE)  # what they read and stored so far is kept between attempts
GUEST_OPEN: Final = "open"  # of the key ``guest``: the pre-snapshot script was begun, the post-snapshot one is due
GUEST_OVER: Final = "over"


def of(task: Task) -> Legs:
    return domain.from_json(task.document["legs"])


def token(task: Task) -> str:
    """The mark on everything this task makes in AWS; a new one for each attempt, whose predecessor was cleaned up after."""
    attempt = task.document.get("attempt", 0)
    return f"{task.id}-{attempt}" if attempt else str(task.id)


def snapshot_id(task: Task | UUID) -> UUID:
    """Of the snapshot's point: derived, so that a repeated step registers the same point."""
    return uuid5(task if isinstance(task, UUID) else task.id, "snapshot")


def flags_of(task: Task, leg: Leg) -> tuple[Frequency, ...]:
    """What the task's point of ``leg`` counts for."""
    return tuple(Frequency(value) for value in task.document["flags"].get(leg.value, ()))


def slot_of(task: Task, leg: Leg) -> datetime | None:
    """The planned moment the task's point of ``leg`` fulfils; None in runs by hand."""
    text = task.document["slots"].get(leg.value)
    return datetime.fromisoformat(text) if text else None


# ---- one leg ends -----------------------------------------------------------------------------------------------------


def close(
    run: Run,
    leg: TaskLeg,
    *,
    state: LegState = LegState.SUCCESS,
    message: str = "",
    result: Mapping[str, Any] | None = None,
    lines: Iterable[Line] = (),
    change: Change | None = None,
    first: str | None = None,
    **more: Any,
) -> Next | Done:
    """The leg has come to its end, and made the point it is for. ``first``: a stage before what follows; ``more`` goes into the
    document."""
    document = {**run.task.document, **more}
    document["legs"] = domain.to_json(domain.marked(of(run.task), leg, state, message))
    document["result"] = {**document.get("result", {}), **(result or {})}
    change = _with_promises(run, [leg], change, made=True)
    if first is not None:
        return Next(stage=first, document=document, lines=tuple(lines), change=change)
    return onward(run, document, lines=tuple(lines), change=change)


def close_harmed(run: Run, end: Done) -> Next | Done:
    """The verification has found differences: another one would find the same, and what is damaged is not archived."""
    legs = domain.marked(of(run.task), TaskLeg.VERIFICATION, LegState.ERROR, end.message)
    lost = [leg for leg in (TaskLeg.ARCHIVE,) if leg in legs and legs[leg].state is LegState.PENDING]
    for leg in lost:
        legs = domain.marked(legs, leg, LegState.SKIPPED, "Left out: the backup is incomplete.")
    document = {**run.task.document, "legs": domain.to_json(legs), "errorCode": Damaged.code}
    document["result"] = {**document.get("result", {}), **end.document["result"]}
    return onward(run, document, lines=end.lines, change=_with_promises(run, lost, end.change, made=False))


def give_up(run: Run, leg: TaskLeg, error: HoldfastError) -> Next:
    """The leg has made nothing: what needs it is left out, the rest goes on; the failed leg may be tried again later. One that
    moves data goes on then where it stopped; others are cleaned up after, and begin anew."""
    impossible = isinstance(error, LegImpossible)
    state = LegState.WARNING if impossible else LegState.ERROR
    before = of(run.task)
    legs = domain.unmade(domain.marked(before, leg, state, error.sentence()), leg)
    document = {**run.task.document, "legs": domain.to_json(legs)}
    left = 0 if impossible else int(document["retries"])
    stage = ONWARD if left > 0 and leg in _RESUMED else CLEAN
    if stage == ONWARD:
        document["resume"] = {**document.get("resume", {}), leg.value: _without(run.task.document, *_LASTING)}
    else:
        document["cleaning"] = leg.value
    if not impossible:
        document = {**document, "failed": [*document.get("failed", ()), leg.value], "errorCode": error.code}
    text, level = f"{run.task.name}: {error.sentence()}", Level.WARNING if impossible else Level.ERROR
    if left > 0:
        text = f"{run.task.name}: {error.message} Another attempt follows in {RETRY_SECONDS:.0f} s ({left} left)."
        level = Level.WARNING
    lost = [each for each in legs if each is leg or before[each].state is not legs[each].state]
    change = _with_promises(run, lost, None, made=False)
    stage = GUEST_POST if _frozen(document) else stage
    return Next(stage=stage, document=document, lines=(Line(text, level, {"code": error.code}),), change=change)


def second_chance(run: Run, error: HoldfastError) -> Next | None:
    """The engine's hook: a step failed for good."""
    stage, document = run.task.stage, run.task.document
    if stage == CLEAN:
        text = f"{run.task.name}: what was begun could not be removed: {error.sentence()} It carries the tag "
        line = Line(f"{text}holdfast:task={token(run.task)}.", Level.WARNING, {"code": error.code})
        return Next(stage=ONWARD, document=_without(document, "cleaning"), lines=(line,))
    leg = _BY_STAGE.get(stage)
    if leg is None:
        return None
    if stage in (HEAL, GUEST_POST):  # the point is there, and stays
        line = Line(f"{run.task.name}: {error.sentence()}", Level.WARNING, {"code": error.code})
        legs = of(run.task)
        if legs[leg].state is not LegState.ERROR:
            legs = domain.marked(legs, leg, LegState.WARNING, error.sentence())
        more = {"legs": domain.to_json(legs), **({"guest": GUEST_OVER} if stage == GUEST_POST else {})}
        return Next(stage=ONWARD, document={**document, **more}, lines=(line,))
    if stage == GUEST_PRE:
        legs = domain.marked(of(run.task), leg, LegState.ERROR, error.sentence())
        run.save({**document, "legs": domain.to_json(legs)})
        leg = TaskLeg.SNAPSHOT
    return give_up(run, leg, error)


def _without(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


# ---- what follows -----------------------------------------------------------------------------------------------------


def onward(run: Run, document: dict[str, Any], *, lines: tuple[Line, ...] = (), change: Change | None = None) -> Next | Done:
    """Thaw the guest, clean up, the next leg, another attempt, or the end."""
    legs = domain.from_json(document["legs"])
    first = _before_others(legs, document)
    if first is not None:
        return Next(stage=first, document=document, lines=lines, change=change)
    lasting = {key: document[key] for key in _LASTING if key in document}
    leg = domain.following(legs)
    if leg is not None:
        return _enter(run, leg, legs, lasting, lines, change)
    failed = [TaskLeg(name) for name in lasting.get("failed", ())]
    if failed and lasting["retries"] > 0:
        anew = domain.to_json(domain.again(legs, failed))
        attempt = {"attempt": lasting["attempt"] + 1, "retries": lasting["retries"] - 1}
        following = _without({**lasting, **attempt, "legs": anew}, "failed", "errorCode", "guest")
        text = f"Another attempt follows: {legs[failed[0]].message}"
        return Next(stage=ONWARD, document=following, wait=RETRY_SECONDS, message=text, lines=lines, change=change)
    return _ended(legs, lasting, lines, change)


def _before_others(legs: Legs, document: Mapping[str, Any]) -> str | None:
    """The stage that comes before the next leg, if any."""
    if legs[TaskLeg.SNAPSHOT].state is LegState.RUNNING:  # AWS is at it: the guest was thawed meanwhile
        return SNAPSHOT
    if _frozen(document):
        return GUEST_POST
    return CLEAN if "cleaning" in document else None


def _frozen(document: Mapping[str, Any]) -> bool:
    """The post-snapshot script is due: nothing more is read from the guest's disks."""
    return document.get("guest") == GUEST_OPEN and not domain.from_json(document["legs"])[TaskLeg.SNAPSHOT].state.open


def _enter(
    run: Run, leg: TaskLeg, legs: Legs, document: dict[str, Any], lines: tuple[Line, ...], change: Change | None
) -> Next:
    resumed = document.get("resume", {})
    document = {**document, "legs": domain.to_json(domain.marked(legs, leg, LegState.RUNNING))}
    document["resume"] = _without(resumed, leg.value)
    if leg is TaskLeg.GUEST:
        document["guest"] = GUEST_OPEN
    if leg is TaskLeg.SNAPSHOT:
        document["at"] = run.app.clock.now().isoformat()
        lines = (*lines, Line(f"Creating snapshot: Processing {run.task.name}."))
    if leg is TaskLeg.ARCHIVE:
        kept = document["archiveKept"]
        document |= {
            "pointId": document["result"]["backupPointId"],
            "repositoryId": document["archive"],
            "keepDays": kept["days"],
            "retention": kept,
        }
    document |= resumed.get(leg.value, {})
    return Next(stage=STAGES[leg], document=document, message=_MESSAGES[leg], lines=lines, change=change)


_MESSAGES: Final = {
    TaskLeg.GUEST: "Preparing the guest.",
    TaskLeg.SNAPSHOT: "Creating snapshot.",
    TaskLeg.REPLICA: "Replicating.",
    TaskLeg.BACKUP: "Backing up.",
    TaskLeg.VERIFICATION: "Verifying.",
    TaskLeg.ARCHIVE: "Archiving.",
}


def _ended(legs: Legs, document: Mapping[str, Any], lines: tuple[Line, ...], change: Change | None) -> Done:
    worst = next((record.message for record in legs.values() if record.state is LegState.ERROR), None)
    worst = worst or next((record.message for record in legs.values() if record.state is LegState.WARNING), None)
    return Done(
        state=domain.outcome(legs),
        message=worst or _summary(legs),
        error_code=document.get("errorCode"),
        document={key: document[key] for key in _TOLD if key in document},
        lines=lines,
        change=change,
    )


def _summary(legs: Legs) -> str:
    made = [leg.value for leg in domain.POINTS if leg in legs and legs[leg].state is LegState.SUCCESS]
    text = ", ".join(made[:-1]) + f" and {made[-1]}" if len(made) > 1 else "".join(made)
    verified = TaskLeg.VERIFICATION in legs and legs[TaskLeg.VERIFICATION].state is LegState.SUCCESS
    return f"{text.capitalize()} created{', backup verified' if verified else ''}."


# ---- promises ---------------------------------------------------------------------------------------------------------


def _with_promises(run: Run, ended: Iterable[TaskLeg], change: Change | None, *, made: bool) -> Change | None:
    """``change``, and a row per promised point of the legs that ended: whether it was made."""
    rows = [row for leg in ended if leg in domain.POINTS and (row := _promise(run, domain.POINTS[leg], made)) is not None]
    if not rows:
        return change

    def both(tx: Tx) -> None:
        if change is not None:
            change(tx)
        tx.promises.put(rows)

    return both


def _promise(run: Run, leg: Leg, made: bool) -> Promise | None:
    slot, policy_id, resource_id = slot_of(run.task, leg), run.session.policy_id, run.task.resource_id
    if slot is None or policy_id is None or resource_id is None or not flags_of(run.task, leg):
        return None
    return Promise(
        id=uuid5(policy_id, f"{resource_id}/{leg.value}/{slot.timestamp():.0f}"),
        policy_id=policy_id,
        resource_id=resource_id,
        region=run.task.document["region"],
        leg=leg,
        slot_at=slot,
        made=made,
        session_id=run.session.id,
        at=run.app.clock.now(),
    )


def marked(run: Run, point: RestorePoint, leg: Leg) -> RestorePoint:
    """``point`` with what it counts for, the slot it fulfils, and who made it."""
    return replace(
        point,
        leg=leg,
        flags=flags_of(run.task, leg),
        slot_at=slot_of(run.task, leg),
        policy_id=run.session.policy_id,
        session_id=run.session.id,
        task_id=run.task.id,
    )
