"""Made ``version-1`` with the engine of commit 226b94f, the last to make repositories of format version 1:
``python -m tests.repository.frozen.make_1 FOLDER``. Kept to show what the folder is; never run again for it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.clock import FakeClock
from server.ports import BlockRef
from server.repository import layout
from server.repository.crypto import canonical, make_password_slot
from server.repository.prune import collect
from server.repository.repository import Control, DiskInput, Kdf, Repository
from tests.repository.frozen.contents import FORGOTTEN, OWNER, PARENTS, PASSWORDS, POINTS, Disk, block


def make(blobs: MemoryBlobs, clock: FakeClock) -> Repository:
    repo = Repository.create(blobs, PASSWORDS[0], clock=clock, owner=OWNER, hint="in order of appearance")
    slot = make_password_slot(repo.vault.keys, PASSWORDS[1], created=clock.now(), kdf=Kdf(memory_kib=1024, passes=2))
    repo.vault.put_once(layout.key_slot(UUID(slot["id"])), canonical(slot))
    for point_id, disks in POINTS.items():
        clock.advance(timedelta(days=1))
        back_up(repo, point_id, disks, clock)
    repo.forget(FORGOTTEN)
    clock.advance(timedelta(days=1))
    collect(repo, min_age=timedelta(hours=1))  # marks the forgotten point's packs; the sweep never came
    return repo


def back_up(repo: Repository, point_id: UUID, disks: tuple[Disk, ...], clock: FakeClock) -> None:
    run = repo.begin(point_id, parent=PARENTS[point_id])
    results = [
        run.disk(
            DiskInput(disk_id=disk.disk_id, size_bytes=disk.size_bytes, document={"device": disk.disk_id}),
            blocks=[BlockRef(index, "t") for index in sorted(disk.blocks if disk.changed is None else disk.changed)],
            read=lambda ref, disk=disk: block(disk.blocks[ref.index]),  # type: ignore[misc]  # binds the loop's value
            mode="full" if disk.changed is None else "changed",
            control=Control(),
        )
        for disk in disks
    ]
    run.commit(at=clock.now(), resource={"id": "i-0f01d", "name": "frozen"}, document={"made": "for ever"}, disks=results)


def main() -> None:
    clock = FakeClock(datetime(2026, 3, 1, tzinfo=UTC))
    blobs = MemoryBlobs(clock)
    make(blobs, clock)
    folder = Path(sys.argv[1])
    for blob in blobs.list():
        target = folder / blob.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(blobs.get(blob.name))


if __name__ == "__main__":
    main()
