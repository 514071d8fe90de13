"""Backup, retention and collection on the demo account's S3: a bucket with Object Lock, and one with default retention too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from server.adapters.blobs.s3 import S3Blobs
from server.adapters.clock import SystemClock
from server.domain.immutability import LockRequest, judge
from server.ports import BLOCK_SIZE
from server.repository import layout
from server.repository.check import check
from server.repository.manifest import Manifest
from server.repository.prune import collect
from server.repository.repository import Control, DiskInput, Repository
from server.repository.restore import read_blocks
from tests.contracts.buckets import DemoS3, demo_s3
from tests.repository.bed import OWNER, PASSWORD, QUICK, SMALL, Content, Source, plain, refs

DISK = DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE)
FULL: Content = {index: index + 5 for index in range(0, 600, 40)}


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoS3]:
    with demo_s3() as found:
        yield found


def backed_up(
    repo: Repository, content: Content, lock: LockRequest, *, parent: UUID | None = None, changed: list[int] | None = None
) -> Manifest:
    run = repo.begin(uuid4(), parent=parent, lock=lock, tuning=SMALL)
    mode = "full" if changed is None else "changed"
    source = Source(content)
    result = run.disk(DISK, blocks=refs(content, changed), read=source.read, mode=mode, control=Control())  # type: ignore[arg-type]  # one of the two
    return run.commit(at=SystemClock().now(), resource={"name": "web"}, document={}, disks=[result])


@pytest.mark.parametrize("retention_days", [None, 1], ids=["locked", "default retention"])
def test_everything_works_and_nothing_locked_goes(demo: DemoS3, retention_days: int | None) -> None:
    bucket = demo.bucket(lock=True, retention_days=retention_days)
    blobs = S3Blobs(demo.client, bucket, "Veeam/Backup/main")
    verdict = judge(blobs.facts())
    assert (verdict.immutable, verdict.problems, len(verdict.warnings)) == (True, (), 0 if retention_days is None else 1)
    Repository.create(blobs, PASSWORD, clock=SystemClock(), owner=OWNER, kdf=QUICK)
    repo = Repository.open(blobs, PASSWORD, clock=SystemClock(), owner=OWNER)

    first = backed_up(repo, FULL, LockRequest("daily", 7))
    new = FULL | {40: 3, 599: 10}
    second = backed_up(repo, new, LockRequest("weekly", 30), parent=first.id, changed=[40, 599])
    assert first.lock is not None
    assert second.lock is not None
    packs = [blob.name for prefix in (layout.PACKS, layout.TREES) for blob in blobs.list(prefix)]
    ends = [head.locked_until for head in map(blobs.head, packs) if head is not None]
    assert all(end is not None and end >= first.lock.until for end in ends)
    assert ends.count(second.lock.until) >= 2

    repo.forget(first.id)
    repo.recall(first.id)
    assert {point.id for point in repo.points()} == {first.id, second.id}
    repo.forget(first.id)
    for _ in range(3):
        collect(repo, min_age=timedelta(0))
    repo = Repository.open(blobs, PASSWORD, clock=SystemClock(), owner=OWNER)
    assert [point.id for point in repo.points()] == [second.id]
    assert {blob.name for blob in blobs.list()} >= {*packs, layout.point(first.id)}
    assert list(check(repo, "content")) == []
    assert dict(read_blocks(repo, repo.point(second.id), "vol-1", threads=2)) == plain(new)
    third = backed_up(repo, {80: 7}, LockRequest("weekly", 30), parent=second.id, changed=[80])
    assert third.lock is not None
    assert third.lock.until == second.lock.until


def test_an_intruder_hides_only(demo: DemoS3) -> None:
    bucket = demo.bucket(lock=True)
    blobs = S3Blobs(demo.client, bucket)
    repo = Repository.create(blobs, PASSWORD, clock=SystemClock(), owner=OWNER, kdf=QUICK)
    manifest = backed_up(repo, FULL, LockRequest("daily", 7))
    names = [blob.name for blob in blobs.list()]
    versions = demo.client.list_object_versions(Bucket=bucket)["Versions"]
    targets = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
    kept = demo.client.delete_objects(Bucket=bucket, Delete={"Objects": targets})["Errors"]  # type: ignore[typeddict-item]  # plain dicts
    assert {error["Key"] for error in kept} >= {layout.CONFIG, layout.point(manifest.id), *(n for n in names if "keys/" in n)}
    demo.client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names]})
    assert list(blobs.list()) == []
    for name in names:
        blobs.reveal(name)
    reopened = Repository.open(blobs, PASSWORD, clock=SystemClock(), owner=None)
    assert dict(read_blocks(reopened, reopened.point(manifest.id), "vol-1", threads=2)) == plain(FULL)
