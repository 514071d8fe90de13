"""A policy run: who is protected, and what happens to each of them.

A run is one session with a PROTECT task per covered resource and a RETENTION task that waits for them. A PROTECT task goes
``start`` → ``snapshot`` → (snapshot point registered) → ``backup`` → (backup point registered → ``heal`` → ``verify`` →) done;
``again`` clears the way for another attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from server.domain import keeping
from server.domain.access import Caller, Role
from server.domain.errors import Conflict, HoldfastError, NotFound
from server.domain.periods import Frequency
from server.domain.policy import Policy, rank
from server.domain.restore import Leg, RestorePoint
from server.domain.schedule import Flags, manual_flags
from server.domain.scope import verdict
from server.domain.session import Level, Session, SessionKind, Task, TaskKind
from server.domain.workload import Account, Place, Resource, place
from server.ports import Order, Select, SnapshotJob, Tx, Where
from server.services import backups, runs, verification
from server.services.context import Services
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count, size

PAGE: Final = 500  # resources read at a time
POLICIES_MAX: Final = 1000  # rivals looked at: more policies than an appliance has
_ORDERED: Final = ("policy", "repository", "copyTags", "flags", "slotAt", "kept", "verify", "retries")  # what a task was given
RETRY_SECONDS: Final = 60.0  # between attempts at a failed resource of a scheduled run

CLAIMED: Final = "The resource is already protected by another policy"  # a wording report scripts look for


# ---- starting ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Whom a run of a policy protects: ``covered`` with the reason, ``claimed`` with the policy that comes first."""

    covered: tuple[tuple[Resource, str], ...]
    claimed: tuple[tuple[Resource, Policy], ...]


def coverage(tx: Tx, policy: Policy) -> Coverage:
    """Resolve the scope of ``policy`` now, minus what enabled policies of higher priority claim."""
    rivals = _rivals(tx, policy)
    covered, claimed = [], []
    for resource in _candidates(tx, policy):
        answer = verdict(policy.scope, resource)
        if not answer.covered:
            continue
        rival = next((each for each in rivals if verdict(each.scope, resource).covered), None)
        if rival is None:
            covered.append((resource, answer.reason))
        else:
            claimed.append((resource, rival))
    return Coverage(covered=tuple(covered), claimed=tuple(claimed))


def _candidates(tx: Tx, policy: Policy) -> Iterator[Resource]:
    where = (
        Where("account_id", "eq", policy.scope.account_id),
        Where("workload", "eq", policy.workload),
        Where("region", "in", policy.scope.regions),
        Where("present", "eq", True),
    )
    after: tuple[Any, ...] | None = None
    while True:
        rows = tx.resources.page(Select(where=where, order=(Order("name"),), after=after, limit=PAGE))
        yield from rows
        if len(rows) < PAGE:
            return
        after = (rows[-1].name, rows[-1].id)


def _rivals(tx: Tx, policy: Policy) -> list[Policy]:
    """Enabled policies that come before this one, first first."""
    where = (Where("workload", "eq", policy.workload), Where("enabled", "eq", True))
    rows = tx.policies.page(Select(where=where, limit=POLICIES_MAX))
    return sorted((each for each in rows if each.id != policy.id and rank(each) < rank(policy)), key=rank)


def start_policy(
    app: Services,
    caller: Caller,
    policy_id: UUID,
    *,
    backup: bool = True,
    archive: bool = False,
    reason: str = "",
    dry_run: bool = False,
    key: str | None = None,
) -> Session | None:
    """Run a policy now, disabled or not. ``backup`` False makes snapshots only; ``archive``: archives, too. None when ``dry_run``.

    Errors: Forbidden, NotFound, Conflict while its previous run is not over.
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        policy = tx.policies.get(policy_id, lock=True)
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        refuse_while_running(tx, policy)
        if dry_run:
            return None
        legs = frozenset({Leg.SNAPSHOT, Leg.BACKUP} if backup and policy.repository_id is not None else {Leg.SNAPSHOT})
        if archive and policy.archive_repository_id is not None:
            legs |= {Leg.ARCHIVE}
        flags = manual_flags(policy.schedule, legs)
        order = RunOrder(requested_by=caller.name, reason=reason, flags=flags, retries=0, key=key)
        return start_run(tx, app, policy, order, next_run_at=policy.next_run_at)


def refuse_while_running(tx: Tx, policy: Policy) -> None:
    """Conflict while the policy's previous session is not over."""
    if policy.last_session_id is None:
        return
    try:
        last = tx.sessions.get(policy.last_session_id)
    except NotFound:
        return
    if not last.state.final:
        raise Conflict(
            f"The policy {policy.name} is still running, since {last.created_at:%Y-%m-%d %H:%M} UTC.",
            remedy="Wait for the session to end, or cancel it.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """How a run was asked for. ``flags``: the legs it makes and what their points count for. ``slot_at``: when it was planned, None
    by hand. ``retries``: further attempts at resources that fail (scheduled runs only)."""

    requested_by: str
    reason: str = ""
    flags: Flags
    slot_at: datetime | None = None
    retries: int
    key: str | None = None
    remarks: tuple[tuple[Level, str], ...] = ()


def start_run(tx: Tx, app: Services, policy: Policy, order: RunOrder, *, next_run_at: datetime | None) -> Session:
    """Add the run's session and tasks and note it in the policy (whose row the transaction holds)."""
    found = coverage(tx, policy)
    backup = Leg.BACKUP in order.flags and policy.repository_id is not None
    drafts = [_protect_draft(policy, resource, order, backup) for resource, _ in found.covered]
    drafts.append(runs.TaskDraft(kind=TaskKind.RETENTION, name="Retention", waits=bool(drafts)))
    draft = runs.SessionDraft(
        kind=SessionKind.POLICY_RUN,
        name=policy.name,
        requested_by=order.requested_by,
        reason=order.reason,
        policy_id=policy.id,
        key=order.key,
        document={"backup": backup},
        opening=(*order.remarks, *_opening(policy, found, backup)),
    )
    session = runs.begin(tx, app, draft, drafts)
    noted = replace(policy, last_session_id=session.id, next_run_at=next_run_at, revision=policy.revision + 1)
    tx.policies.save(noted)
    return session


def _protect_draft(policy: Policy, resource: Resource, order: RunOrder, backup: bool) -> runs.TaskDraft:
    return runs.TaskDraft(
        kind=TaskKind.PROTECT,
        name=resource.name or resource.aws_id,
        resource_id=resource.id,
        progress_total=resource.size_bytes if backup else 0,
        document={
            "policy": policy.name,
            "repository": str(policy.repository_id) if backup else None,
            "copyTags": policy.copy_tags,
            "flags": {leg.value: sorted(flag.value for flag in order.flags[leg]) for leg in order.flags},
            "slotAt": order.slot_at.isoformat() if order.slot_at else None,
            "kept": _kept(policy, order),
            "verify": policy.verify and backup,
            "retries": order.retries,
            "attempt": 0,
        },
    )


def _kept(policy: Policy, order: RunOrder) -> dict[str, Any]:
    """``{"days", "schedule"}``: how long the backup's longest flag keeps it, and that flag."""
    rules = keeping.rules(policy, None)[Leg.BACKUP]
    now = datetime(2000, 1, 1)  # noqa: DTZ001  only its distance to the end counts
    periods = {flag: rules[flag].period for flag in order.flags.get(Leg.BACKUP, ()) if flag in rules}
    days = {flag: (period.after(now) - now).days for flag, period in periods.items() if period is not None}
    longest = max(days, key=lambda flag: days[flag], default=None)
    return {"days": days[longest], "schedule": longest.value} if longest else {}


def _opening(policy: Policy, found: Coverage, backup: bool) -> Iterator[tuple[Level, str]]:
    what = "snapshots and backups" if backup else "snapshots"
    if found.covered:
        total = sum(resource.size_bytes for resource, _ in found.covered)
        yield Level.INFO, f"{policy.name}: making {what} of {count(len(found.covered), 'resource')} ({size(total)} of disks)."
    else:
        yield Level.WARNING, f"{policy.name}: no resource is covered now. Rescan the account, or widen the policy's scope."
    for resource, rival in found.claimed:
        yield Level.INFO, f"{resource.name or resource.aws_id}: {CLAIMED}: {rival.name}"


# ---- the task ---------------------------------------------------------------------------------------------------------


def _subject(run: Run) -> tuple[Resource, Place]:
    with run.app.store.transaction() as tx:
        resource = tx.resources.get(_resource_id(run.task))
        account: Account = tx.accounts.get(resource.account_id)
    return resource, place(account, resource.region)


def _resource_id(task: Task) -> UUID:
    assert task.resource_id is not None  # every PROTECT task is made for a resource
    return task.resource_id


def token(task: Task) -> str:
    """The mark on everything this task makes in AWS; a new one for each attempt, whose predecessor was swept."""
    attempt = task.document.get("attempt", 0)
    return f"{task.id}-{attempt}" if attempt else str(task.id)


def flags_of(task: Task, leg: Leg) -> tuple[Frequency, ...]:
    """What the task's point of ``leg`` counts for."""
    return tuple(Frequency(value) for value in task.document["flags"].get(leg.value, ()))


def snapshot_point_id(task: Task) -> UUID:
    """Derived, so that a repeated step registers the same point."""
    return uuid5(task.id, "snapshot")


def _step(run: Run) -> Next | Done:
    stage = run.task.stage
    if stage == "start":
        line = Line(f"Creating snapshot: Processing {run.task.name}.")
        document = {**run.task.document, "at": run.app.clock.now().isoformat()}
        return Next(stage="snapshot", document=document, message="Creating snapshot.", lines=(line,))
    if stage == "snapshot":
        return _snapshot(run)
    if stage == "again":
        _sweep(run)
        attempt = int(run.task.document["attempt"]) + 1
        kept = {key: value for key, value in run.task.document.items() if key in _ORDERED}
        return Next(stage="start", document={**kept, "attempt": attempt})
    if stage == backups.HEAL:
        return backups.heal(run)
    if stage == verification.STAGE:
        return verification.step(run)
    return backups.step(run, snapshot_point_id(run.task))


def _snapshot(run: Run) -> Next | Done:
    document = run.task.document
    resource, where = _subject(run)
    workload = run.app.workloads[resource.workload]
    job = SnapshotJob(
        place=where,
        resource=resource,
        token=token(run.task),
        policy_name=document["policy"],
        copy_tags=document["copyTags"],
    )
    step = workload.snapshot(job, dict(document.get("memo", {})))
    if not step.done:
        waiting = {**document, "memo": step.memo}
        return Next(stage="snapshot", document=waiting, wait=step.wait, message=step.message or "Creating snapshot.")
    disks = workload.disks(step.memo)
    now = run.app.clock.now()
    point = RestorePoint(
        id=snapshot_point_id(run.task),
        resource_id=resource.id,
        resource_name=resource.name or resource.aws_id,
        workload=resource.workload,
        account_id=resource.account_id,
        region=resource.region,
        leg=Leg.SNAPSHOT,
        at=datetime.fromisoformat(document["at"]),
        created_at=now,
        flags=flags_of(run.task, Leg.SNAPSHOT),
        slot_at=datetime.fromisoformat(document["slotAt"]) if document["slotAt"] else None,
        policy_id=run.session.policy_id,
        session_id=run.session.id,
        task_id=run.task.id,
        size_bytes=sum(disk.size_bytes for disk in disks),
        document=step.memo,
    )
    text = f"{run.task.name}: snapshot of {count(len(disks), 'volume')} created ({size(point.size_bytes)})."
    return _registered(run, point, Line(text, Level.SUCCESS))


def _registered(run: Run, point: RestorePoint, line: Line) -> Next | Done:
    def change(tx: Tx) -> None:
        tx.points.add(point)
        message = f"{point.resource_name}: snapshot created."
        tx.activity.append(at=point.created_at, kind="restore_point", subject_id=point.id, change="created", message=message)

    kept = {key: value for key, value in run.task.document.items() if key != "memo"}
    document = {**kept, "result": {"snapshotPointId": str(point.id)}}
    if document["repository"] is None:
        return Done(message="Snapshot created.", document={"result": document["result"]}, lines=(line,), change=change)
    return Next(stage="backup", document=document, message="Backing up.", lines=(line,), change=change)


def _sweep(run: Run) -> None:
    """Remove what an attempt left in AWS and in the repository, unless it became a point."""
    resource, where = _subject(run)
    if backups.registered(run.task):
        return
    if "result" not in run.task.document:
        run.app.workloads[resource.workload].abandon(where, token(run.task))
    else:
        backups.abandon(run)


def _second_chance(run: Run, error: HoldfastError) -> Next | None:
    """Scheduled runs try failed resources again: the backup alone if the snapshot is there, else all of it."""
    left = int(run.task.document.get("retries", 0))
    if left <= 0:
        return None
    text = f"{run.task.name}: {error.message} Another attempt follows in {RETRY_SECONDS:.0f} s ({left} left)."
    stage = run.task.stage if backups.registered(run.task) else "backup" if "result" in run.task.document else "again"
    return Next(
        stage=stage,
        document={**run.task.document, "retries": left - 1},
        wait=RETRY_SECONDS,
        message=error.message,
        lines=(Line(text, Level.WARNING, {"code": error.code}),),
    )


HANDLER: Final = Handler(step=_step, cleanup=_sweep, second_chance=_second_chance)
