"""Archives are made from backups alone, in proportion to what changed, kept as long as asked, and locked where locks are."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import Conflict, Forbidden, HoldfastError, InvalidInput
from server.domain.immutability import BucketFacts
from server.domain.repository import StorageClass
from server.domain.restore import Leg, RestorePoint
from server.domain.session import State
from server.repository.retrieval import needed
from server.services import archives, repository_rescans, scheduling, tasks
from server.services import points as deletion
from tests.services.engine.archive_estate import DATA, QUICK, ROOT, Estate
from tests.services.engine.harness import Killed
from tests.services.engine.test_protection import block, points
from tests.services.engine.test_restores import contents, finished

DAY = timedelta(days=1)


def test_an_archive_is_made_from_the_backup_alone(estate: Estate) -> None:
    (backup,) = points(estate.appliance, Leg.BACKUP)
    estate.appliance.cloud.calls.clear()
    estate.appliance.cloud.blocks.calls.clear()
    session_id = estate.store(backup, keep_days=400)
    assert estate.appliance.session(session_id).state is State.SUCCESS, estate.lines(session_id)
    assert not estate.appliance.cloud.calls
    assert not estate.appliance.cloud.blocks.calls
    (point,) = estate.archived()
    assert (point.source_id, point.repository_id, point.at) == (backup.id, estate.archive.id, backup.at)
    assert point.expires_at == backup.at + timedelta(days=400)
    assert point.size_bytes == backup.size_bytes
    (task,) = estate.appliance.tasks(session_id)
    assert task.bytes_read == (len(ROOT) + len(DATA)) * 512 * 1024
    blobs = estate.appliance.blobs[estate.archive.id]
    assert {blob.storage_class for blob in blobs.list("packs/")} == {StorageClass.GLACIER}


def test_an_increment_reads_and_stores_in_proportion_to_what_changed(estate: Estate) -> None:
    estate.store(*points(estate.appliance, Leg.BACKUP))
    volume = estate.appliance.cloud.machines["i-web-1"].volumes["vol-a"]
    volume[4], volume[400] = block("changed"), block("changed too")
    session_id = estate.store(estate.backup())
    (task,) = estate.appliance.tasks(session_id)
    assert task.bytes_read == 2 * 512 * 1024
    assert "incremental archive created: 1 MiB read" in estate.lines(session_id)
    assert estate.archived()[1].stored_bytes < estate.archived()[0].stored_bytes / 5


def test_points_of_one_resource_follow_each_other(estate: Estate) -> None:
    first = points(estate.appliance, Leg.BACKUP)[0]
    estate.appliance.cloud.machines["i-web-1"].volumes["vol-b"][0] = block("changed")
    second = estate.backup()
    session_id = estate.store(second, first)
    assert [point.source_id for point in estate.archived()] == [first.id, second.id]
    assert [task.bytes_read for task in estate.appliance.tasks(session_id)] == [(len(ROOT) + len(DATA)) * 524288, 524288]


def test_a_short_keeping_is_told_to_cost_the_minimum(estate: Estate) -> None:
    session_id = estate.store(*points(estate.appliance, Leg.BACKUP), keep_days=30)
    assert "billed for at least 90 days" in estate.lines(session_id)


def test_an_immutable_archive_locks_everything_a_point_reaches(estate: Estate) -> None:
    appliance, account = estate.appliance, estate.archive.account_id
    assert account is not None
    with appliance.app.store.transaction() as tx:
        home = tx.accounts.get(account)
    locked = BucketFacts(versioning="enabled", object_lock=True)
    estate.archive = appliance.repository(home, "locked", storage_class=StorageClass.GLACIER, facts=locked)
    estate.store(*points(appliance, Leg.BACKUP), keep_days=100)
    appliance.clock.advance(40 * DAY)  # another generation: what both points share is locked anew
    appliance.cloud.machines["i-web-1"].volumes["vol-a"][4] = block("changed")
    estate.store(estate.backup(), keep_days=100)
    newest = estate.archived()[-1]
    assert newest.locked_until is not None
    assert newest.expires_at is not None
    assert newest.locked_until >= newest.expires_at
    blobs = appliance.blobs[estate.archive.id]
    until = [head.locked_until for name in _reached(estate, newest) if (head := blobs.head(name)) is not None]
    assert len(until) > 1
    assert all(each is not None and each >= newest.locked_until for each in until)


def _reached(estate: Estate, point: RestorePoint) -> list[str]:
    repository = estate.appliance.app.open_repository(estate.archive)
    return needed(repository, repository.point(point.id))


@pytest.mark.parametrize("border", range(1, 20, 4))
def test_killed_anywhere_one_whole_archive_point_comes_of_it(estate: Estate, border: int) -> None:
    borders = iter(range(10_000))
    appliance = estate.appliance
    (backup,) = points(appliance, Leg.BACKUP)
    started = archives.archive_points(appliance.app, SYSTEM, [backup.id], estate.archive.id, keep_days=365)
    assert started is not None
    appliance.store.deadly = lambda: next(borders) == border
    try:
        appliance.work()
    except Killed:
        appliance.jobs.lose()
    appliance.store.deadly = lambda: False
    assert finished(appliance, started.id).state is State.SUCCESS, estate.lines(started.id)
    (point,) = estate.archived()
    restored = estate.restore(point, retrieval_mode=QUICK)
    assert finished(appliance, restored).state is State.SUCCESS, estate.lines(restored)
    assert contents(appliance, restored) == {"vol-a": ROOT, "vol-b": DATA}


def test_what_cannot_be_archived_is_refused(estate: Estate) -> None:
    appliance, archive = estate.appliance, estate.archive.id
    (backup,), (snapshot,) = points(appliance, Leg.BACKUP), points(appliance, Leg.SNAPSHOT)
    assert backup.repository_id is not None

    def refused(error: type[HoldfastError], point: RestorePoint, repository: UUID = archive, keep_days: int = 365) -> str:
        with pytest.raises(error) as refusal:
            archives.archive_points(appliance.app, SYSTEM, [point.id], repository, keep_days=keep_days)
        return refusal.value.message

    assert "only backups" in refused(InvalidInput, snapshot)
    assert "is no archive" in refused(InvalidInput, backup, backup.repository_id)
    assert "between 1 and" in refused(InvalidInput, backup, keep_days=0)
    appliance.clock.advance(10 * DAY)
    assert "older than 10 days" in refused(InvalidInput, backup, keep_days=10)
    with pytest.raises(Forbidden):
        archives.archive_points(
            appliance.app, Caller(user_id=None, name="eve", role=Role.RESTORE_OPERATOR), [backup.id], archive, keep_days=9
        )
    assert archives.archive_points(appliance.app, SYSTEM, [backup.id], archive, keep_days=365, dry_run=True) is None
    started = archives.archive_points(appliance.app, SYSTEM, [backup.id], archive, keep_days=365)
    assert started is not None
    assert "just now" in refused(Conflict, backup)
    with pytest.raises(Conflict, match="archived"):
        deletion.delete_points(appliance.app, SYSTEM, [backup.id])
    appliance.work()
    assert "already" in refused(Conflict, backup)


def test_cancelled_it_leaves_no_point(estate: Estate) -> None:
    appliance = estate.appliance
    (backup,) = points(appliance, Leg.BACKUP)
    session = archives.archive_points(appliance.app, SYSTEM, [backup.id], estate.archive.id, keep_days=365)
    assert session is not None
    tasks.request_cancel(appliance.app, SYSTEM, session.id)
    assert finished(appliance, session.id).state is State.CANCELLED
    assert estate.archived() == []
    assert list(appliance.app.open_repository(estate.archive).points()) == []


def test_a_deleted_archive_is_forgotten_by_its_repository(stored: Estate) -> None:
    session = deletion.delete_points(stored.appliance.app, SYSTEM, [stored.archived()[0].id])
    assert session is not None
    assert finished(stored.appliance, session.id).state is State.SUCCESS
    assert stored.archived() == []
    assert list(stored.appliance.app.open_repository(stored.archive).points()) == []


def test_at_the_end_of_its_keeping_an_archive_goes_by_itself(stored: Estate) -> None:
    appliance = stored.appliance
    (point,) = stored.archived()
    assert point.expires_at is not None
    appliance.clock.set(point.expires_at.replace(hour=5) - DAY)
    for left in (1, 0):
        scheduling.tick(appliance.app, scheduling.Agenda())
        appliance.work()
        assert len(stored.archived()) == left
        appliance.clock.advance(2 * DAY)
    assert list(appliance.app.open_repository(stored.archive).points()) == []


def test_an_imported_archive_knows_its_source_and_its_keeping(stored: Estate) -> None:
    appliance = stored.appliance
    (point,) = stored.archived()
    with appliance.app.store.transaction() as tx:
        tx.points.remove(point.id)
        repository_rescans.begin_rescan(tx, appliance.app, stored.archive, requested_by="a test", key=None)
    appliance.work()
    (found,) = stored.archived()
    assert (found.id, found.source_id, found.expires_at) == (point.id, point.source_id, point.expires_at)
