"""Repository upkeep: collecting what no restore point needs any more, and checks on request."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import Conflict, InvalidInput
from server.domain.health import CheckLevel, daily_share
from server.domain.repository import Repository, StorageClass
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.ports import Select, Tx, Where
from server.repository.control import Control
from server.repository.prune import CollectReport, collect
from server.services import checks, runs
from server.services.context import Services
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count, size

MIN_AGE: Final = timedelta(hours=24)  # younger objects may belong to a backup that has not said so yet
OPEN_MAX: Final = 100  # running maintenance sessions looked at


def start_collect_garbage(
    app: Services, caller: Caller, repository_id: UUID, *, dry_run: bool = False, key: str | None = None
) -> Session | None:
    """Collect unreferenced data now. None when ``dry_run``. Errors: Forbidden, NotFound, Conflict while it is being done."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        repository = tx.repositories.get(repository_id, lock=True)
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        if _running(tx, SessionKind.REPOSITORY_MAINTENANCE, repository_id):
            raise Conflict(f"Maintenance of {repository.name} is running already.")
        if dry_run:
            return None
        return begin_maintenance(tx, app, repository, requested_by=caller.name, key=key)


def start_check(
    app: Services,
    caller: Caller,
    repository_id: UUID,
    *,
    level: CheckLevel,
    shares: int = 1,
    dry_run: bool = False,
    key: str | None = None,
) -> Session | None:
    """Look at everything in a repository now. With CONTENT, one of ``shares`` shares of all blocks is read, another each day.

    None when ``dry_run``. Errors: Forbidden, NotFound, InvalidInput, Conflict while a check of it is running.
    """
    caller.require(Role.OPERATOR)
    plan = checks.Plan(level=level, share=daily_share(app.clock.now(), shares), shares=shares)
    if shares != 1 and level is not CheckLevel.CONTENT:
        raise InvalidInput("Only a check of the content reads a share of the blocks.", fields={"shares": "Leave it out."})
    with app.store.transaction() as tx:
        repository = tx.repositories.get(repository_id, lock=True)
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        if level is CheckLevel.CONTENT and repository.storage_class is not StorageClass.STANDARD:
            wrong = f"The blocks in {repository.name} are archived and cannot be read: check their availability."
            raise InvalidInput(wrong, fields={"level": wrong})
        if _running(tx, SessionKind.REPOSITORY_CHECK, repository_id):
            raise Conflict(f"A check of {repository.name} is running already.")
        if dry_run:
            return None
        document = {"repositoryId": str(repository.id)}
        draft = runs.SessionDraft(
            kind=SessionKind.REPOSITORY_CHECK,
            name=f"Check {repository.name}",
            requested_by=caller.name,
            key=key,
            document=document,
            opening=((Level.INFO, checks.opening(repository, plan)),),
        )
        task = {**document, "plan": plan.to_json()}
        return runs.begin(tx, app, draft, [runs.TaskDraft(kind=TaskKind.CHECK_REPOSITORY, name=repository.name, document=task)])


def _running(tx: Tx, kind: SessionKind, repository_id: UUID) -> bool:
    where = (Where("kind", "eq", kind), Where("state", "in", (State.PENDING, State.RUNNING)))
    sessions = tx.sessions.page(Select(where=where, limit=OPEN_MAX))
    return any(session.document.get("repositoryId") == str(repository_id) for session in sessions)


def begin_maintenance(tx: Tx, app: Services, repository: Repository, *, requested_by: str, key: str | None) -> Session:
    """Add the session and its task."""
    document = {"repositoryId": str(repository.id)}
    draft = runs.SessionDraft(
        kind=SessionKind.REPOSITORY_MAINTENANCE,
        name=f"Maintenance of {repository.name}",
        requested_by=requested_by,
        key=key,
        document=document,
        opening=((Level.INFO, f"Looking for data in {repository.name} that no restore point needs."),),
    )
    return runs.begin(tx, app, draft, [runs.TaskDraft(kind=TaskKind.COLLECT_GARBAGE, name=repository.name, document=document)])


def _step(run: Run) -> Next | Done:
    """Repeated after a crash: every write of a collection may be the last one of its process."""
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(UUID(run.task.document["repositoryId"]))
    repository = run.app.open_repository(row)
    report = collect(repository, min_age=MIN_AGE, control=Control(cancelled=run.halted))

    def change(tx: Tx) -> None:
        current = tx.repositories.get(row.id, lock=True)
        left = max(0, current.stored_bytes - report.deleted_bytes)
        collected = run.app.clock.now()
        tx.repositories.save(replace(current, stored_bytes=left, collected_at=collected, revision=current.revision + 1))

    result = {
        "deletedObjects": report.deleted_objects,
        "deletedBytes": report.deleted_bytes,
        "markedObjects": report.marked_objects,
        "markedBytes": report.marked_bytes,
    }
    text = _sentence(row, report)
    return Done(message=text, document={"result": result}, lines=(Line(text, Level.SUCCESS, result),), change=change)


def _sentence(row: Repository, report: CollectReport) -> str:
    if report.waiting:
        return f"{row.name}: data marked by the last collection is kept for {MIN_AGE.days} day before it is deleted."
    gone = f"{count(report.deleted_objects, 'object')} ({size(report.deleted_bytes)}) deleted"
    marked = f"{count(report.marked_objects, 'object')} ({size(report.marked_bytes)}) marked for the next collection"
    return f"{row.name}: {gone}, {marked}."


def _check(run: Run) -> Next | Done:
    repository_id = UUID(run.task.document["repositoryId"])

    def finish(tx: Tx, now: datetime) -> None:
        current = tx.repositories.get(repository_id, lock=True)
        tx.repositories.save(replace(current, checked_at=now, revision=current.revision + 1))

    return checks.step(run, finish=finish)


HANDLER: Final = Handler(step=_step)
CHECK: Final = Handler(step=_check)
