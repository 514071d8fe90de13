"""The guest leg: people's scripts in the guest, before its snapshot and as soon as the moment of the data is fixed."""

from __future__ import annotations

from typing import Any, Final

from server.domain import legs as domain
from server.domain.errors import Conflict
from server.domain.legs import LegState, TaskLeg
from server.domain.restore import Leg
from server.domain.session import Level
from server.domain.workload import Place, Resource
from server.ports import GuestJob, GuestStep
from server.ports.workload import Moment
from server.services import legs, run_terms
from server.services.steps import Done, Line, Next, Run

THAW_STEPS: Final = 20  # of a workload, until a script has been sent: it waits between none of them
_MEMO: Final = "guestMemo"


def pre(run: Run, resource: Resource, where: Place) -> Next | Done:
    """The stage ``guest-pre``. When it fails, no snapshot is made."""
    step = _step(run, resource, where, "pre", run.task.document.get(_MEMO, {}))
    if not step.done:
        return _waiting(run, step)
    document = {key: value for key, value in run.task.document.items() if key != _MEMO}
    if step.outcome == "failed":
        marked = domain.marked(legs.of(run.task), TaskLeg.GUEST, LegState.ERROR, step.message)
        run.save({**document, "legs": domain.to_json(marked)})
        refusal = Conflict(f"No snapshot was made: {step.message}", remedy="See the script and its log in the guest.")
        return legs.give_up(run, TaskLeg.SNAPSHOT, refusal)
    state = {"done": LegState.RUNNING, "skipped": LegState.SKIPPED, "warning": LegState.WARNING}[step.outcome]
    marked = domain.marked(legs.of(run.task), TaskLeg.GUEST, state, step.message)
    return legs.onward(run, {**document, "legs": domain.to_json(marked)}, lines=_lines(run, step))


def post(run: Run, resource: Resource, where: Place) -> Next | Done:
    """The stage ``guest-post``: whatever became of the pre-snapshot script, as it may have frozen something."""
    step = _step(run, resource, where, "post", run.task.document.get(_MEMO, {}))
    if not step.done:
        return _waiting(run, step)
    document = {key: value for key, value in run.task.document.items() if key != _MEMO}
    marked = domain.marked(legs.of(run.task), TaskLeg.GUEST, *_both(run, step))
    document = {**document, "legs": domain.to_json(marked), "guest": legs.GUEST_OVER}
    return legs.onward(run, document, lines=_lines(run, step))


def thaw(run: Run, resource: Resource, where: Place) -> None:
    """The task ends early: have the post-snapshot script sent, if it is due; nobody waits for its end."""
    if run.task.document.get("guest") != legs.GUEST_OPEN:
        return
    memo: dict[str, Any] = {}
    for _ in range(THAW_STEPS):
        step = _step(run, resource, where, "post", memo)
        if step.done or step.wait > 0:
            return
        memo = step.memo


def _step(run: Run, resource: Resource, where: Place, moment: Moment, memo: dict[str, Any]) -> GuestStep:
    terms = run_terms.of(run.session)
    job = GuestJob(
        place=where,
        resource=resource,
        token=token(run),
        policy_name=terms.policy,
        guest=terms.guest,
        moment=moment,
        for_backup=Leg.BACKUP.value in run.task.document["flags"],
    )
    return run.app.workloads[resource.workload].guest(job, memo)


def token(run: Run) -> str:
    """Not the snapshot's: when that is given up, the script that thaws the guest goes on."""
    return f"{legs.token(run.task)}-guest"


def _waiting(run: Run, step: GuestStep) -> Next:
    return Next(
        stage=run.task.stage,
        document={**run.task.document, _MEMO: step.memo},
        wait=step.wait,
        message=step.message or "Waiting for the guest.",
    )


def _lines(run: Run, step: GuestStep) -> tuple[Line, ...]:
    if not step.message:
        return ()
    level = Level.WARNING if step.outcome in ("warning", "failed") else Level.INFO
    return (Line(f"{run.task.name}: {step.message}", level),)


def _both(run: Run, step: GuestStep) -> tuple[LegState, str]:
    """What both scripts come to. A post-snapshot script that fails is a warning: the snapshot is there."""
    earlier = legs.of(run.task)[TaskLeg.GUEST]
    mine = {"done": LegState.SUCCESS, "skipped": LegState.SKIPPED}.get(step.outcome, LegState.WARNING)
    before = LegState.SUCCESS if earlier.state is LegState.RUNNING else earlier.state
    worst = next(each for each in (*_WORST_FIRST, before) if each in (before, mine))
    told = [each for each, state in ((earlier.message, before), (step.message, mine)) if each and state is worst]
    return worst, " ".join(told) or " ".join(filter(None, (earlier.message, step.message)))


_WORST_FIRST: Final = (LegState.ERROR, LegState.WARNING, LegState.SUCCESS, LegState.SKIPPED)
