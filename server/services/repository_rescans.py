"""Rescan of a repository: what points it holds is made the appliance's knowledge. New ones are imported, lost ones noted.

Points are compared by their names, so a point known already costs nothing; only the manifests of unknown ones are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import Damaged, ForeignFormat, HoldfastError, NotFound
from server.domain.immutability import judge
from server.domain.periods import Frequency
from server.domain.repository import Repository, RepositoryState, StorageClass
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.domain.workload import Account, Resource, resource_id
from server.ports import Order, Select, Tx, Where
from server.repository import layout
from server.repository.dedup import refill
from server.repository.manifest import Manifest
from server.repository.repository import Control
from server.repository.repository import Repository as Engine
from server.services import runs
from server.services.context import Services
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count

PAGE: Final = 500
BATCH: Final = 64  # manifests read, and points imported, at a time
READERS: Final = 8  # manifests read at once
OPEN_MAX: Final = 100  # running rescans looked at
TOLD_MAX: Final = 100  # lost or unreadable points named in the log

T = TypeVar("T")


# ---- starting ---------------------------------------------------------------------------------------------------------


def start_rescan(
    app: Services, caller: Caller, repository_id: UUID, *, dry_run: bool = False, key: str | None = None
) -> Session | None:
    """Rescan now; the rescan that is running is returned instead of a second one. None when ``dry_run``.

    Errors: Forbidden, NotFound.
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        repository = tx.repositories.get(repository_id, lock=True)
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        if dry_run:
            return None
        return begin_rescan(tx, app, repository, requested_by=caller.name, key=key)


def begin_rescan(tx: Tx, app: Services, repository: Repository, *, requested_by: str, key: str | None) -> Session:
    """Add the session and its task, unless one for the repository is open."""
    where = (Where("kind", "eq", SessionKind.REPOSITORY_RESCAN), Where("state", "in", (State.PENDING, State.RUNNING)))
    for session in tx.sessions.page(Select(where=where, limit=OPEN_MAX)):
        if session.document.get("repositoryId") == str(repository.id) and session.cancel_requested_at is None:
            return session
    document = {"repositoryId": str(repository.id)}
    draft = runs.SessionDraft(
        kind=SessionKind.REPOSITORY_RESCAN,
        name=f"Rescan {repository.name}",
        requested_by=requested_by,
        key=key,
        document=document,
        opening=((Level.INFO, f"Looking for restore points in {repository.name}."),),
    )
    task = runs.TaskDraft(kind=TaskKind.RESCAN_REPOSITORY, name=repository.name, document=document)
    return runs.begin(tx, app, draft, [task])


# ---- the task ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Counts:
    seen: int = 0
    new: int = 0
    back: int = 0
    lost: int = 0
    unreadable: int = 0


def _step(run: Run) -> Next | Done:
    """Repeated after a crash from the beginning: what was imported before is known then, and costs nothing."""
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(UUID(run.task.document["repositoryId"]))
    if row.immutable:
        _uncover(run, row)
    with run.app.store.transaction() as tx:
        known = dict(_known(tx, row.id))  # before the folder is listed: see _lost and _returned
    repository, problem = _opened(run, row)
    shown = set(_visible(repository))
    counts = _Counts(seen=len(shown))
    fresh = sorted(shown - known.keys())
    for done, batch in enumerate(_batches(fresh, BATCH)):
        run.check()
        run.progress(done=done * BATCH, total=len(fresh), message=f"Importing {count(len(fresh), 'restore point')}.")
        _import(run, row, repository, batch, counts)
    _returned(run, [id for id, state in known.items() if id in shown and state is PointState.DELETED], counts)
    _lost(run, repository, [id for id, state in known.items() if id not in shown and state is PointState.AVAILABLE], counts)
    if packs := refill(repository.vault, Control(cancelled=run.halted)):
        run.log(f"Deduplication will find the blocks of {count(packs, 'pack')} written before.")
    return _told(run, row, counts, problem)


def _opened(run: Run, row: Repository) -> tuple[Engine, str | None]:
    """The repository, and why it cannot be written although it can be read: its bucket was changed. What keeps it from being
    opened is noted for people, and raised."""
    try:
        verdict = judge(run.app.open_blobs(row).facts(), was_immutable=row.immutable)
        return _open(run, row), verdict.problems[0].message if verdict.problems else None
    except HoldfastError as refusal:
        if not refusal.transient:
            with run.app.store.transaction() as tx:
                current = tx.repositories.get(row.id, lock=True)
                tx.repositories.save(_reached(current, refusal.sentence()))
        raise


def _uncover(run: Run, row: Repository) -> None:
    """Where objects are locked, a deletion by somebody else only hides them."""
    blobs = run.app.open_blobs(row)
    found = [name for name in blobs.hidden() if blobs.reveal(name)]
    if found:
        text = f"{row.name}: {count(len(found), 'object')} deleted by others brought back."
        run.log(text, Level.WARNING, objects=found[:TOLD_MAX])


def _open(run: Run, row: Repository) -> Engine:
    """Where objects are locked, also when somebody has overwritten what is needed to open it."""
    try:
        return run.app.open_repository(row)
    except (Damaged, ForeignFormat):
        if not row.immutable:
            raise
    blobs = run.app.open_blobs(row)
    for name in [layout.CONFIG, *(blob.name for blob in blobs.list(layout.KEYS))]:
        blobs.reveal(name)
    return run.app.open_repository(row)


def _reached(current: Repository, problem: str | None) -> Repository:
    state = RepositoryState.AVAILABLE if problem is None else RepositoryState.UNAVAILABLE
    return replace(current, state=state, problem=problem, revision=current.revision + 1)


def _known(tx: Tx, repository_id: UUID) -> Iterator[tuple[UUID, PointState]]:
    after: tuple[Any, ...] | None = None
    while True:
        select = Select(where=(Where("repository_id", "eq", repository_id),), order=(Order("id"),), after=after, limit=PAGE)
        rows = tx.points.page(select)
        yield from ((row.id, row.state) for row in rows)
        if len(rows) < PAGE:
            return
        after = (rows[-1].id,)


def _visible(repository: Engine) -> Iterator[UUID]:
    """Ids of the points that are there and not forgotten."""
    hidden = set(repository.forgotten())
    for blob in repository.vault.blobs.list(layout.POINTS):
        point_id = layout.uuid_of(blob.name)
        if point_id is not None and point_id not in hidden:
            yield point_id


# ---- new points -------------------------------------------------------------------------------------------------------


def _import(run: Run, row: Repository, repository: Engine, batch: Sequence[UUID], counts: _Counts) -> None:
    with repository.vault.pool(READERS, "import") as pool:
        found = list(pool.map(partial(_read, repository), batch))
    sound = [one for one in found if isinstance(one, Manifest)]
    for problem in (one for one in found if isinstance(one, HoldfastError)):
        counts.unreadable += 1
        if counts.unreadable <= TOLD_MAX:
            run.log(f"A restore point cannot be read: {problem.sentence()}", Level.WARNING, code=problem.code)
    now = run.app.clock.now()
    with run.app.store.transaction() as tx:
        owners = _accounts(tx, row)
        there = tx.points.many(manifest.id for manifest in sound)
        sources = tx.points.many(UUID(manifest.archive["point"]) for manifest in sound if manifest.archive)
        for manifest in sound:
            if manifest.id in there:
                continue  # a backup that ended meanwhile has told of it itself
            resource = _resource(tx, manifest, owners, now)
            tx.points.add(_point(row, manifest, resource, sources, now))
            counts.new += 1


def _read(repository: Engine, point_id: UUID) -> Manifest | HoldfastError | None:
    """None when it has just been forgotten."""
    try:
        return repository.point(point_id)
    except NotFound:
        return None
    except (Damaged, ForeignFormat) as problem:
        return problem


def _accounts(tx: Tx, row: Repository) -> dict[str, Account]:
    """Accounts by their AWS number; "" : whose points of unknown accounts are."""
    found = tx.accounts.page(Select(order=(Order("created_at"),), limit=PAGE))
    owners = {account.aws_account_id: account for account in found if account.aws_account_id}
    fallback = next((each for each in found if each.id == row.account_id), None) or next(each for each in found if each.is_home)
    return {**owners, "": fallback}


def _resource(tx: Tx, manifest: Manifest, owners: dict[str, Account], now: datetime) -> Resource:
    """The protected thing as the inventory knows it; added, as one that is not in AWS now, when it does not."""
    told = manifest.resource
    owner = owners.get(str(told.get("awsAccountId")), owners[""])
    workload, region, aws_id = str(told.get("workload", "ec2")), str(told.get("region", "")), str(told.get("awsId", ""))
    known = tx.resources.find(account_id=owner.id, workload=workload, region=region, aws_id=aws_id)
    if known is not None:
        return known
    made = Resource(
        id=resource_id(owner.id, workload, region, aws_id),
        account_id=owner.id,
        workload=workload,
        region=region,
        aws_id=aws_id,
        name=str(told.get("name", aws_id)),
        tags={},
        state="",
        size_bytes=manifest.size_bytes,
        document={},
        present=False,
        first_seen_at=now,
        last_seen_at=manifest.at,
    )
    tx.resources.add(made)
    return made


def _point(
    row: Repository, manifest: Manifest, resource: Resource, sources: Mapping[UUID, RestorePoint], now: datetime
) -> RestorePoint:
    """``sources``: points the appliance knows that archives were made from."""
    days = (manifest.retention or {}).get("days")
    source = sources.get(UUID(manifest.archive["point"])) if manifest.archive else None
    return RestorePoint(
        id=manifest.id,
        resource_id=resource.id,
        resource_name=resource.name or resource.aws_id,
        workload=resource.workload,
        account_id=resource.account_id,
        region=resource.region,
        leg=Leg.BACKUP if row.storage_class is StorageClass.STANDARD else Leg.ARCHIVE,
        at=manifest.at,
        created_at=now,
        repository_id=row.id,
        size_bytes=manifest.size_bytes,
        stored_bytes=manifest.stored_bytes,
        expires_at=manifest.at + timedelta(days=days) if isinstance(days, int) else None,
        flags=_flags(row, manifest),
        locked_until=manifest.lock.until if manifest.lock else None,
        source_id=source.id if source and row.storage_class is not StorageClass.STANDARD else None,
        document=manifest.document,
    )


def _flags(row: Repository, manifest: Manifest) -> tuple[Frequency, ...]:
    """What the point counted for where it was made. Backups of before there were flags were made daily; archives, by hand."""
    names = (manifest.retention or {}).get("flags")
    if names is None:
        return (Frequency.DAILY,) if row.storage_class is StorageClass.STANDARD else ()
    return tuple(frequency for frequency in Frequency if frequency.value in names)


# ---- points that came back, or went -----------------------------------------------------------------------------------


def _returned(run: Run, ids: Sequence[UUID], counts: _Counts) -> None:
    """Deleted here before the folder was listed, and listed: somebody recalled them."""
    for id in ids:
        with run.app.store.transaction() as tx:
            point = tx.points.get(id, lock=True)
            if point.state is PointState.DELETED:
                tx.points.save(replace(point, state=PointState.AVAILABLE))
                counts.back += 1


def _lost(run: Run, repository: Engine, ids: Sequence[UUID], counts: _Counts) -> None:
    """Known before the folder was listed, and not listed. One that this appliance deletes meanwhile is not lost."""
    for id in ids:
        run.check()
        if not isinstance(_read(repository, id), type(None)):
            continue
        with run.app.store.transaction() as tx:
            point = tx.points.get(id, lock=True)
            if point.state is not PointState.AVAILABLE:
                continue
            tx.points.save(replace(point, state=PointState.DELETED, base=False))
        counts.lost += 1
        if counts.lost <= TOLD_MAX:
            what = f"The {point.leg.value} of {point.resource_name} of {point.at:%Y-%m-%d %H:%M} UTC"
            run.log(f"{what} is not in the repository any more.", Level.WARNING, pointId=str(id))


def _told(run: Run, row: Repository, counts: _Counts, problem: str | None) -> Done:
    now = run.app.clock.now()

    def change(tx: Tx) -> None:
        current = tx.repositories.get(row.id, lock=True)
        tx.repositories.save(replace(_reached(current, problem), rescanned_at=now))

    parts = [count(counts.seen, "restore point")]
    changes = ((counts.new, "new"), (counts.back, "back"), (counts.lost, "lost"), (counts.unreadable, "unreadable"))
    parts += [f"{number} {what}" for number, what in changes if number]
    text = f"{row.name}: {', '.join(parts)}."
    result = {"points": counts.seen, "new": counts.new + counts.back, "lost": counts.lost, "unreadable": counts.unreadable}
    state = State.WARNING if counts.lost or counts.unreadable or problem else State.SUCCESS
    lines = [Line(f"{row.name}: backups will fail: {problem}", Level.WARNING)] if problem else []
    lines.append(Line(text, Level.WARNING if state is State.WARNING else Level.SUCCESS, result))
    return Done(state=state, message=text, document={"result": result}, lines=tuple(lines), change=change)


def _batches(items: Iterable[T], length: int) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(islice(source, length)):
        yield batch


HANDLER: Final = Handler(step=_step)
