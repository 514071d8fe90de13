"""What a backup reads of its source: all allocated blocks, or those that changed and those the previous one holds damaged."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from server.domain import repository as stored
from server.domain.errors import AwsAccessDenied, AwsNotFound, AwsRejected, NotFound
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import Level
from server.domain.workload import Place, place
from server.ports import BlockRef, DiskSnapshot, Order, Select, Tx, Where
from server.repository.repository import Repository
from server.services import legs
from server.services.context import Services
from server.services.steps import Run
from server.services.wording import count

# What AWS answers where changes cannot be listed: a base that is gone, a Region or role without that call
INCOMPARABLE: Final = (AwsNotFound, AwsRejected, AwsAccessDenied)
_CHECK_EVERY: Final = 5_000  # blocks counted between looks at the cancel flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the leg works on. ``previous``: this resource's newest backup in this repository; ``comparable``: the snapshot
    behind it is still there, as far as is known here."""

    snapshot: RestorePoint
    previous: RestorePoint | None
    comparable: bool
    row: stored.Repository
    repository: Repository
    place: Place
    disks: tuple[DiskSnapshot, ...]


def load(run: Run, snapshot_point: UUID) -> Job:
    repository_id = UUID(run.task.document["repository"])
    with run.app.store.transaction() as tx:
        snapshot = tx.points.get(snapshot_point)
        if snapshot.state is not PointState.AVAILABLE:
            raise NotFound("The snapshot was deleted before it was backed up.", remedy="Run the policy again.")
        row = tx.repositories.get(repository_id)
        account = tx.accounts.get(snapshot.account_id)
        previous = _previous(tx, snapshot.resource_id, repository_id)
        comparable = previous is not None and _comparable(tx, previous)
    return Job(
        snapshot=snapshot,
        previous=previous,
        comparable=comparable,
        row=row,
        repository=run.app.open_repository(row),
        place=place(account, snapshot.region),
        disks=run.app.workloads[snapshot.workload].disks(snapshot.document),
    )


def _previous(tx: Tx, resource_id: UUID, repository_id: UUID) -> RestorePoint | None:
    where = (
        Where("resource_id", "eq", resource_id),
        Where("repository_id", "eq", repository_id),
        Where("leg", "eq", Leg.BACKUP),
        Where("state", "eq", PointState.AVAILABLE),
    )
    rows = tx.points.page(Select(where=where, order=(Order("at", descending=True),), limit=1))
    return rows[0] if rows else None


def _comparable(tx: Tx, backup: RestorePoint) -> bool:
    """False when the snapshot the backup was made from has been deleted: where changes are not tracked, nothing holds it."""
    if backup.task_id is None:
        return True  # made by another appliance: a try will tell
    snapshot = tx.points.many([legs.snapshot_id(backup.task_id)]).get(legs.snapshot_id(backup.task_id))
    return snapshot is None or snapshot.state is PointState.AVAILABLE


def plan_for(run: Run, job: Job, *, parent: RestorePoint | None) -> dict[str, Any]:
    """``{"parent": id | None, "disks": {disk id: {"base": snapshot id | None, "blocks": number to handle}}}``."""
    bases: dict[str, str] = {}
    if parent is not None and not job.comparable:
        text = f"{run.task.name}: the snapshot behind the previous backup is gone; what is read is compared with that backup."
        run.log(text)
    elif parent is not None:
        past = run.app.workloads[parent.workload].disks(parent.document)
        bases = {disk.disk_id: disk.snapshot_id for disk in past}
    disks = {}
    for disk in job.disks:
        base = bases.get(disk.disk_id)
        try:
            blocks = counted(run, listed(run.app, job.place, disk, base, 0))
        except INCOMPARABLE as error:
            if base is None:
                raise
            run.log(no_base(run, disk, error.message), Level.WARNING)
            base, blocks = None, counted(run, listed(run.app, job.place, disk, None, 0))
        disks[disk.disk_id] = {"base": base, "blocks": blocks}
    started = run.app.clock.now().isoformat()
    return {"parent": str(parent.id) if parent else None, "disks": disks, "started": started}


def no_base(run: Run, disk: DiskSnapshot, why: str) -> str:
    return f"{run.task.name}: {disk.disk_id} cannot be compared with its previous snapshot, so all of it is read. {why}"


def listed(app: Services, where: Place, disk: DiskSnapshot, base: str | None, start: int) -> Iterator[BlockRef]:
    if base is None:
        return app.blocks.allocated(where, disk.snapshot_id, start_index=start)
    return app.blocks.changed(where, base, disk.snapshot_id, start_index=start)


def counted(run: Run, refs: Iterator[BlockRef]) -> int:
    number = 0
    for number, _ in enumerate(refs, start=1):
        if number % _CHECK_EVERY == 0:
            run.check()
    return number


def with_suspects(
    run: Run, job: Job, disk: DiskSnapshot, changed: Iterator[BlockRef], ranges: Sequence[tuple[int, int]], start: int
) -> Iterator[BlockRef]:
    """The changed blocks, and those from ``start`` on that the previous backup holds damaged: read from the source again."""
    blocks = sum(end - begin for begin, end in ranges)
    text = f"{run.task.name}: {disk.disk_id}: {count(blocks, 'block')} of the previous backup damaged, read again."
    run.log(text, Level.WARNING, disk=disk.disk_id, blocks=blocks)
    return _once(heapq.merge(changed, _allocated(run, job, disk, ranges, start), key=_index))


def _index(ref: BlockRef) -> int:
    return ref.index


def _once(refs: Iterator[BlockRef]) -> Iterator[BlockRef]:
    """Ascending; of several with one index the first."""
    last = -1
    for ref in refs:
        if ref.index != last:
            last = ref.index
            yield ref


def _allocated(run: Run, job: Job, disk: DiskSnapshot, ranges: Sequence[tuple[int, int]], start: int) -> Iterator[BlockRef]:
    """Every index in ``ranges`` from ``start`` on; with an empty token where the snapshot holds nothing."""
    for begin, end in ranges:
        following = max(begin, start)
        if following >= end:
            continue
        for ref in run.app.blocks.allocated(job.place, disk.snapshot_id, start_index=following):
            if ref.index >= end:
                break
            yield from (BlockRef(index, "") for index in range(following, ref.index))
            yield ref
            following = ref.index + 1
        yield from (BlockRef(index, "") for index in range(following, end))
