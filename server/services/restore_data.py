"""The data of a restore: out of a repository, retrieved from its archive first if need be, into new EBS snapshots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from server.domain.errors import Archived, Damaged, HoldfastError
from server.domain.repository import RetrievalMode
from server.domain.restore import IN_AWS, Leg, RestorePoint
from server.domain.session import Level
from server.domain.workload import Place
from server.ports import DiskSnapshot
from server.repository.manifest import Manifest
from server.repository.repository import Repository
from server.repository.verify import root_problems
from server.services import block_writer, thawing
from server.services.steps import Line, Next, Run
from server.services.wording import size

GIB: Final = 2**30
SEAL_POLL_SECONDS: Final = 3.0


def disks(run: Run, point: RestorePoint) -> tuple[DiskSnapshot, ...]:
    """The chosen disks, each with the snapshot that holds its data in the target Region, if made already."""
    chosen = run.task.document["disks"]
    made: dict[str, str] = run.task.document.get("snapshots", {})
    found = [disk for disk in run.app.workloads[point.workload].disks(point.document) if disk.disk_id in chosen]
    if point.leg in IN_AWS:
        return tuple(found)
    return tuple(replace(disk, snapshot_id=made.get(disk.disk_id, "")) for disk in found)


def retrieve(run: Run, point: RestorePoint) -> Next:
    """The stage ``retrieve``."""
    return thawing.begin(run, _order(run, point), stage="await")


def _order(run: Run, point: RestorePoint) -> thawing.Order:
    """What must be readable: the chosen disks, noted with the point when they are all it has."""
    document = run.task.document
    assert point.repository_id is not None  # archives have one
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(point.repository_id)
    whole = len(document["disks"]) == len(run.app.workloads[point.workload].disks(point.document))
    return thawing.Order(
        point=point,
        row=row,
        repository=run.app.open_repository(row),
        mode=RetrievalMode(document["options"]["retrieval_mode"]),
        days=int(document["options"]["retrieval_days"]),
        disks=() if whole else tuple(document["disks"]),
    )


def wait_readable(run: Run, point: RestorePoint) -> Next:
    """The stage ``await``."""
    order = _order(run, point)
    seen = thawing.look(run, order, again="retrieve")
    if isinstance(seen, Next):
        return seen
    asked_at = datetime.fromisoformat(run.task.document["thaw"]["askedAt"])
    return Next(
        stage="write",
        document=run.task.document,
        message="The data is readable.",
        lines=(Line(f"{run.task.name}: the archived data is readable."),),
        change=lambda tx: thawing.note_readable(tx, order, seen.until, asked_at),
    )


def write(run: Run, point: RestorePoint, where: Place) -> Next:
    """The stage ``write``, while a data slot is held."""
    if point.leg is not Leg.ARCHIVE:
        return _written(run, point, where, lambda: None)
    try:
        return _written(run, point, where, thawing.Keeper(run, _order(run, point)).tick)
    except Archived as error:
        text = f"{run.task.name}: {error.message} Retrieving it again."
        return Next(stage="retrieve", document=run.task.document, lines=(Line(text, Level.WARNING),))


def _written(run: Run, point: RestorePoint, where: Place, keep: Callable[[], None]) -> Next:
    """``keep`` is called every few seconds, and before each disk."""
    assert point.repository_id is not None  # points in a repository have one
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(point.repository_id)
    repository = run.app.open_repository(row)
    manifest = repository.point(point.id)
    _refuse_altered(repository, manifest, point)
    for disk in disks(run, point):
        if disk.disk_id in run.task.document["written"]:
            continue
        run.check()
        keep()
        snapshot_id = _begun(run, where, disk)
        written = block_writer.write_disk(run, where, repository, manifest, disk, snapshot_id, keep)
        run.app.blocks.complete(where, snapshot_id, written=written)
        document = run.task.document
        run.save({**document, "written": {**document["written"], disk.disk_id: written}, "checkpoint": None})
    line = Line(f"Restore: Processing {run.task.name} - 100%, {size(run.task.bytes_stored)} transferred.")
    return Next(stage="seal", document=run.task.document, message="Waiting for AWS to complete the data.", lines=(line,))


def _refuse_altered(repository: Repository, manifest: Manifest, point: RestorePoint) -> None:
    """Damaged unless the point holds what was read from its source, as the appliance remembers it."""
    for problem in root_problems(repository, manifest, point.content_roots):
        raise Damaged(problem.message, remedy="Restore another point; verify the repository.")


def _begun(run: Run, where: Place, disk: DiskSnapshot) -> str:
    """The temporary snapshot for ``disk``: started once, by a client token of task and disk."""
    known: str | None = run.task.document["snapshots"].get(disk.disk_id)
    if known is not None:
        return known
    snapshot_id = run.app.blocks.start(
        where,
        size_gib=-(-disk.size_bytes // GIB),
        token=f"{run.task.id}-{disk.disk_id}"[:64],
        description=f"Holdfast: temporary, restoring {disk.disk_id} of {run.task.name}",
        tags={"holdfast:task": str(run.task.id), "holdfast:temporary": "restore"},
        encrypted=bool(disk.document.get("encrypted")),
    )
    document = run.task.document
    run.save({**document, "snapshots": {**document["snapshots"], disk.disk_id: snapshot_id}})
    return snapshot_id


def seal(run: Run, where: Place) -> Next:
    """The stage ``seal``."""
    ids = sorted(run.task.document["snapshots"].values())
    answer = run.app.aws.call(where, "ec2", "describe_snapshots", SnapshotIds=ids)
    states = {each["SnapshotId"]: each["State"] for each in answer.get("Snapshots", ())}
    failed = [id for id in ids if states.get(id) == "error"]
    if failed:
        raise HoldfastError(f"AWS could not complete the snapshot {failed[0]} holding restored data.", remedy="Try again.")
    if any(states.get(id) != "completed" for id in ids):
        return Next(stage="seal", document=run.task.document, wait=SEAL_POLL_SECONDS)
    line = Line(f"{run.task.name}: data written, creating the target.")
    return Next(stage="create", document=run.task.document, message="Creating.", lines=(line,))
