"""Made ``version-2`` (``python -m tests.repository.frozen.make_2 FOLDER``). Kept to show what it is; never run again for it.

The points of every frozen repository, made so that all that version 2 added is there: blocks found through the deduplication
index, in a pack that was compacted since; a block that was damaged and healed; a damage record, a catalog, a lock, a KMS slot.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.clock import FakeClock
from server.domain.immutability import BucketFacts, LockRequest
from server.ports import BlockRef
from server.repository import layout
from server.repository.check import check, record
from server.repository.crypto import canonical, make_slot
from server.repository.prune import collect
from server.repository.repository import Control, DiskInput, Kdf, KmsKey, Repository, Secret
from server.repository.runtime import REAL
from tests.repository.frozen.contents import FORGOTTEN, FULL, INCREMENT, OWNER, PARENTS, PASSWORDS, POINTS, Disk, block
from tests.repository.kms import KEY, MemoryKms

EARLY = UUID("00000000-0000-4000-8000-000000000000")  # forgotten and collected before the rest was made
_EARLY = (Disk("vol-root", 40 * 512 * 1024, {0: "boot", 3: "kernel", 7: "raw early"}),)
MIN_AGE = timedelta(hours=1)


def make(blobs: MemoryBlobs, clock: FakeClock, cache: Path) -> None:
    repo = Repository.create(
        blobs, PASSWORDS[0], clock=clock, owner=OWNER, hint="in order of appearance", runtime=replace(REAL, cache=cache)
    )
    add_slot(repo, PASSWORDS[1])
    add_slot(repo, KmsKey(KEY, MemoryKms(KEY)))
    back_up(repo, EARLY, _EARLY, clock)
    back_up(repo, FULL, POINTS[FULL], clock)
    repo.forget(EARLY)
    for _ in range(2):
        clock.advance(timedelta(days=1))
        report = collect(repo, min_age=MIN_AGE)
    assert report.compacted.packs == 1, report
    damage_and_record(repo, blobs)
    back_up(repo, INCREMENT, POINTS[INCREMENT], clock, lock=LockRequest("daily", 30))
    back_up(repo, FORGOTTEN, POINTS[FORGOTTEN], clock)
    repo.forget(FORGOTTEN)
    clock.advance(timedelta(days=1))
    collect(repo, min_age=MIN_AGE)  # marks the forgotten point's packs; the sweep never came
    assert list(check(repo, "content")) == []


def add_slot(repo: Repository, secret: Secret) -> None:
    slot = make_slot(repo.vault.keys, secret, created=repo.vault.clock.now(), kdf=Kdf(memory_kib=1024, passes=2))
    repo.vault.put_once(layout.key_slot(UUID(slot["id"])), canonical(slot))


def back_up(
    repo: Repository, point_id: UUID, disks: tuple[Disk, ...], clock: FakeClock, *, lock: LockRequest | None = None
) -> None:
    clock.advance(timedelta(days=1))
    run = repo.begin(point_id, parent=PARENTS.get(point_id), lock=lock)
    results = []
    for disk in disks:
        listed = set(disk.blocks if disk.changed is None else disk.changed)
        if disk.changed is not None:
            listed.update(index for start, end in run.suspects(disk.disk_id) for index in range(start, end))
        results.append(
            run.disk(
                DiskInput(disk_id=disk.disk_id, size_bytes=disk.size_bytes, document={"device": disk.disk_id}),
                blocks=[BlockRef(index, "t") for index in sorted(listed)],
                read=lambda ref, disk=disk: block(disk.blocks[ref.index]),  # type: ignore[misc]  # binds the loop's value
                mode="full" if disk.changed is None else "changed",
                control=Control(),
            )
        )
    run.commit(
        at=clock.now(),
        resource={"id": "i-0f01d", "name": "frozen"},
        document={"made": "for ever"},
        disks=results,
        retention={"days": 30, "schedule": "daily", "policy": "frozen"},
    )


def damage_and_record(repo: Repository, blobs: MemoryBlobs) -> None:
    """Alter the first block of the largest pack; a check notes it, so that the next backup heals it."""
    name = max(blobs.list(layout.PACKS), key=lambda blob: blob.size).name
    data = bytearray(blobs.get(name))
    data[100] ^= 1
    blobs.put(name, bytes(data))
    problems = list(check(repo, "content"))
    assert [(harm.point_id, harm.disk_id) for problem in problems for harm in problem.harm] == [(FULL, "vol-data")]
    record(repo, problems)


def main() -> None:
    clock = FakeClock(datetime(2026, 11, 1, tzinfo=UTC))
    blobs = MemoryBlobs(clock, facts=BucketFacts(versioning="enabled", object_lock=True))
    with tempfile.TemporaryDirectory() as cache:
        make(blobs, clock, Path(cache))
    folder = Path(sys.argv[1])
    for blob in blobs.list():
        target = folder / blob.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(blobs.get(blob.name))


if __name__ == "__main__":
    main()
