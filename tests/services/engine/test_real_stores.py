"""The life of a repository on what it really lies on: a folder of this disk, S3, and S3 with Object Lock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from server.adapters.blobs.local import LocalBlobs
from server.adapters.blobs.s3 import S3Blobs
from server.domain import repository as stored
from server.domain.access import SYSTEM
from server.domain.health import CheckLevel
from server.domain.repository import StorageClass, StorageKind
from server.domain.restore import Health, Leg
from server.domain.session import Session, State
from server.ports import Blobs
from server.repository import layout
from server.repository.crypto import HEADER_SIZE
from server.repository.repository import Repository
from server.services import health_checks, maintenance, repositories, repository_rescans
from server.services.repository_forms import NewRepository
from tests.contracts.buckets import DemoS3, demo_s3
from tests.services.engine.harness import PASSWORD, Appliance, RealTime, build
from tests.services.engine.test_protection import DISK, block, run
from tests.services.engine.test_protection import points as points_of

STORES = ["disk", "s3", "s3, locked", "s3, locked by default"]


@pytest.fixture(scope="module")
def s3() -> Iterator[DemoS3]:
    with demo_s3() as made:
        yield made


@pytest.fixture
def appliance(database_url: str, s3: DemoS3) -> Iterator[Appliance]:
    """In real time, as the stores are, on a cloud that answers at once."""
    made, database = build(database_url, clock=RealTime())
    made.cloud.workload.polls = 0
    opened: dict[UUID, Repository] = {}

    def blobs(row: stored.Repository) -> Blobs:
        if row.kind is StorageKind.LOCAL:
            return LocalBlobs(Path(row.location, row.prefix))
        return S3Blobs(s3.client, row.location, row.prefix)

    def open_repository(row: stored.Repository) -> Repository:
        if row.id not in opened:
            opened[row.id] = Repository.open(blobs(row), row.password, clock=made.clock, owner=made.app.owner_id())
        return opened[row.id]

    made.app = replace(made.app, open_blobs=blobs, open_repository=open_repository)
    yield made
    database.close()


def draft(appliance: Appliance, s3: DemoS3, store: str, account_id: UUID) -> NewRepository:
    disk = store == "disk"
    days = 1 if "default" in store else None
    location = "vault" if disk else s3.bucket(lock="locked" in store, retention_days=days)
    return NewRepository(
        name="vault",
        kind=StorageKind.LOCAL if disk else StorageKind.S3,
        account_id=None if disk else account_id,
        region=None if disk else "us-east-1",
        location=location,
        prefix="holdfast",
        password=PASSWORD,
    )


def finished(appliance: Appliance, session: Session | None) -> Session:
    assert session is not None
    appliance.work()
    return appliance.session(session.id)


@pytest.mark.parametrize("store", STORES)
def test_added_backed_up_verified_checked_rescanned_collected_and_healed(
    appliance: Appliance, s3: DemoS3, store: str, tmp_path: Path
) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    form = draft(appliance, s3, store, account.id)
    folder = repositories.inspect(appliance.app, SYSTEM, form, local_root=tmp_path)
    assert (folder.exists, folder.problems, folder.immutable) == (False, (), "locked" in store)
    repository = repositories.add(appliance.app, SYSTEM, form, local_root=tmp_path).repository
    assert (repository.immutable, repository.storage_class) == ("locked" in store, StorageClass.STANDARD)
    policy = appliance.policy(account, repository=repository, verify=True, backup_days=10)

    first = run(appliance, policy.id)
    assert first.state is State.SUCCESS, appliance.lines(first.id)
    (backup,) = points_of(appliance, Leg.BACKUP)
    assert backup.proven_at is not None
    assert (backup.locked_until is not None) is repository.immutable
    if backup.locked_until is not None:
        blobs = appliance.app.open_blobs(repository)
        heads = [blobs.head(blob.name) for blob in blobs.list(layout.PACKS)]
        assert {head.locked_until for head in heads if head} == {backup.locked_until}
        assert backup.locked_until - backup.at >= timedelta(days=34)

    for level in CheckLevel:
        done = finished(appliance, maintenance.start_check(appliance.app, SYSTEM, repository.id, level=level))
        assert done.state is State.SUCCESS, appliance.lines(done.id)
    done = finished(appliance, repository_rescans.start_rescan(appliance.app, SYSTEM, repository.id))
    assert done.state is State.SUCCESS, appliance.lines(done.id)
    done = finished(appliance, maintenance.start_collect_garbage(appliance.app, SYSTEM, repository.id))
    assert done.state is State.SUCCESS, appliance.lines(done.id)

    spoil(appliance, repository)
    done = finished(appliance, health_checks.start_health_check(appliance.app, SYSTEM, policy.id))
    told = appliance.lines(done.id)
    whole = all(point.health is Health.HEALTHY for point in points_of(appliance, Leg.BACKUP))
    assert (done.state is State.SUCCESS) == whole, told
    done = finished(appliance, maintenance.start_check(appliance.app, SYSTEM, repository.id, level=CheckLevel.CONTENT))
    assert done.state is State.ERROR, appliance.lines(done.id)

    appliance.cloud.machines["i-web-1"].volumes["vol-a"][1] = block("etc, changed")
    second = run(appliance, policy.id)
    assert second.state is State.SUCCESS, appliance.lines(second.id)
    done = finished(appliance, maintenance.start_check(appliance.app, SYSTEM, repository.id, level=CheckLevel.CONTENT))
    assert done.state is State.SUCCESS, appliance.lines(done.id)
    assert [point.health for point in points_of(appliance, Leg.BACKUP)] == [Health.HEALTHY] * 2


def spoil(appliance: Appliance, repository: stored.Repository) -> None:
    """Flip a bit of the first block of the data. In a locked bucket that is a newer version, locked alike."""
    blobs = appliance.app.open_blobs(repository)
    name = next(iter(blobs.list(layout.PACKS))).name
    head = blobs.head(name)
    content = bytearray(blobs.get(name))
    content[HEADER_SIZE + 8] ^= 1
    blobs.put(name, bytes(content), lock_until=head.locked_until if head else None)
