"""The whole way on real stores: a local folder and S3."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from server.adapters.blobs.local import LocalBlobs
from server.adapters.blobs.s3 import S3Blobs
from server.adapters.clock import SystemClock
from server.ports import BLOCK_SIZE, Blobs
from server.repository.check import check
from server.repository.prune import collect
from server.repository.repository import Control, DiskInput, Repository
from server.repository.restore import restore_disk_to_file
from tests.contracts.buckets import s3_server
from tests.repository.bed import OWNER, PASSWORD, QUICK, SMALL, Content, Source, block, refs

DISK = DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE)


@pytest.fixture
def s3() -> Iterator[Blobs]:
    with s3_server() as client:
        client.create_bucket(Bucket="holdfast")
        yield S3Blobs(client, "holdfast", "Veeam/Backup/main")


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_full_increment_restore_forget_collect(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    blobs: Blobs = request.getfixturevalue("s3") if kind == "s3" else LocalBlobs(tmp_path / "repository")
    clock = SystemClock()
    Repository.create(blobs, PASSWORD, clock=clock, owner=OWNER, kdf=QUICK)
    repo = Repository.open(blobs, PASSWORD, clock=clock, owner=OWNER)
    old: Content = {index: 5 * index + 5 for index in range(0, 600, 40)}
    new: Content = old | {40: 3, 599: 10}

    run = repo.begin(uuid4(), parent=None, tuning=SMALL)
    result = run.disk(DISK, blocks=refs(old), read=Source(old).read, mode="full", control=Control())
    first = run.commit(at=clock.now(), resource={"name": "web"}, document={}, disks=[result])
    run = repo.begin(uuid4(), parent=first.id, tuning=SMALL)
    result = run.disk(DISK, blocks=refs(new, [40, 599]), read=Source(new).read, mode="changed", control=Control())
    second = run.commit(at=clock.now(), resource={"name": "web"}, document={}, disks=[result])

    repo.forget(first.id)
    for _ in range(3):
        collect(repo, min_age=timedelta(0))
    assert [point.id for point in repo.points()] == [second.id]
    assert list(check(repo, "content")) == []
    target = tmp_path / "disk.img"
    restore_disk_to_file(repo, repo.point(second.id), "vol-1", target)
    with target.open("rb") as file:
        for index in range(600):
            assert file.read(BLOCK_SIZE) == block(new.get(index, 0))
    repo.forget(second.id)
    for _ in range(3):
        collect(repo, min_age=timedelta(0))
    assert {blob.name.partition("/")[0] for blob in blobs.list()} == {"config", "owner", "keys", "gc"}
