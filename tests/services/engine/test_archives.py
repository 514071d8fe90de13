"""Archives from end to end on a small cloud: made from backups alone, in proportion to what changed; restored after a wait."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest

from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import Conflict, Forbidden, HoldfastError, InvalidInput, Throttled
from server.domain.repository import Repository, RetrievalMode, StorageClass
from server.domain.restore import PROVEN_BY_RESTORE, Leg, RestorePoint, Retrieval, RetrievalState, VolumeRestore
from server.domain.session import State
from server.services import archives, restores, retrievals, tasks
from server.services import points as deletion
from tests.services.engine.harness import Appliance, Killed
from tests.services.engine.test_protection import block, points, run
from tests.services.engine.test_restores import contents, finished

DAY = timedelta(days=1)
ROOT = {index: block(f"root {index}") for index in range(0, 600, 4)}
DATA = {0: block("zero"), 300: block("three hundred")}
QUICK = RetrievalMode.EXPEDITED


@dataclass
class Estate:
    """A machine backed up once, and an archive repository beside the standard one."""

    appliance: Appliance
    policy: UUID
    archive: Repository

    def backup(self) -> RestorePoint:
        self.appliance.clock.advance(timedelta(hours=1))
        session = run(self.appliance, self.policy)
        assert session.state is State.SUCCESS, self.appliance.lines(session.id)
        return points(self.appliance, Leg.BACKUP)[-1]

    def store(self, *sources: RestorePoint, keep_days: int = 365) -> UUID:
        ids = [source.id for source in sources]
        session = archives.archive_points(self.appliance.app, SYSTEM, ids, self.archive.id, keep_days=keep_days)
        assert session is not None
        self.appliance.work()
        return session.id

    def archived(self) -> list[RestorePoint]:
        return points(self.appliance, Leg.ARCHIVE)

    def restore(self, point: RestorePoint, **changes: object) -> UUID:
        wanted = VolumeRestore(account_id=point.account_id, region="us-east-1", zone="us-east-1b")
        options = replace(wanted, **changes)  # type: ignore[arg-type]  # named by the tests below
        session = restores.start_volume_restore(self.appliance.app, SYSTEM, point.id, options)
        assert session is not None
        return session.id

    def retrieve(self, *, mode: RetrievalMode = QUICK, days: int = 1) -> UUID:
        ids = [point.id for point in self.archived()]
        session = retrievals.retrieve_points(self.appliance.app, SYSTEM, ids, mode=mode, days=days)
        assert session is not None
        return session.id

    def state(self) -> Retrieval:
        (point,) = self.archived()
        assert point.retrieval is not None
        return point.retrieval

    def lines(self, session_id: UUID) -> str:
        return "\n".join(self.appliance.lines(session_id))


@pytest.fixture
def estate(appliance: Appliance) -> Estate:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": ROOT, "vol-b": DATA})
    policy = appliance.policy(account, repository=appliance.repository(account))
    made = Estate(appliance, policy.id, appliance.repository(account, "glacier", storage_class=StorageClass.GLACIER))
    made.backup()
    return made


@pytest.fixture
def stored(estate: Estate) -> Estate:
    """The backup is archived; the machine's disks are empty since."""
    session_id = estate.store(*points(estate.appliance, Leg.BACKUP))
    assert estate.appliance.session(session_id).state is State.SUCCESS, estate.lines(session_id)
    estate.appliance.cloud.machines["i-web-1"].volumes = {"vol-a": {}, "vol-b": {}}
    return estate


# ---- making them ------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("border", range(1, 20, 2))
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


# ---- restoring from them ----------------------------------------------------------------------------------------------


def test_a_restore_asks_waits_without_a_worker_and_goes_on(stored: Estate) -> None:
    appliance = stored.appliance
    (point,) = stored.archived()
    session_id = stored.restore(point, retrieval_mode=RetrievalMode.STANDARD)
    begun = appliance.clock.now()
    appliance.work(limit=timedelta(hours=2))
    (task,) = appliance.tasks(session_id)
    assert (task.state, task.stage, task.lease_until) == (State.RUNNING, "await", None)
    assert stored.state().state is RetrievalState.REQUESTED
    appliance.work(limit=timedelta(hours=10))
    assert finished(appliance, session_id).state is State.SUCCESS, stored.lines(session_id)
    assert timedelta(hours=5) <= appliance.clock.now() - begun <= timedelta(hours=5, minutes=30)
    assert contents(appliance, session_id) == {"vol-a": ROOT, "vol-b": DATA}
    assert stored.state().state is RetrievalState.AVAILABLE
    (point,) = stored.archived()
    assert point.proven_how == PROVEN_BY_RESTORE


def test_one_disk_retrieves_its_own_packs_and_is_not_noted_as_the_point(stored: Estate) -> None:
    (point,) = stored.archived()
    session_id = stored.restore(point, disks=("vol-b",), retrieval_mode=QUICK)
    assert finished(stored.appliance, session_id).state is State.SUCCESS, stored.lines(session_id)
    assert contents(stored.appliance, session_id) == {"vol-b": DATA}
    assert stored.archived()[0].retrieval is None
    assert stored.archived()[0].proven_at is None
    blobs = stored.appliance.blobs[stored.archive.id]
    heads = [blobs.head(blob.name) for blob in blobs.list("packs/")]
    assert [head is not None and head.availability is not None for head in heads].count(True) == 1 < len(heads)


def test_a_retrieved_point_is_restored_at_once(stored: Estate) -> None:
    appliance = stored.appliance
    assert finished(appliance, stored.retrieve()).state is State.SUCCESS
    (point,) = stored.archived()
    begun = appliance.clock.now()
    session_id = stored.restore(point)
    assert finished(appliance, session_id).state is State.SUCCESS, stored.lines(session_id)
    assert appliance.clock.now() - begun < timedelta(minutes=2)
    assert "readable already" in stored.lines(session_id)


def test_copies_that_end_during_a_restore_get_another_day(stored: Estate) -> None:
    appliance = stored.appliance
    finished(appliance, stored.retrieve())
    until = stored.state().available_until
    assert until is not None
    session_id = stored.restore(stored.archived()[0])
    late = iter([until - timedelta(minutes=30), until + timedelta(hours=20)])

    def slowly(operation: str) -> None:
        if operation == "write" and appliance.cloud.blocks.calls["write"] in (40, 100):
            appliance.clock.set(next(late))

    appliance.cloud.blocks.before = slowly
    assert finished(appliance, session_id).state is State.SUCCESS, stored.lines(session_id)
    assert contents(appliance, session_id) == {"vol-a": ROOT, "vol-b": DATA}
    assert "they are kept until" in stored.lines(session_id)
    later = stored.state().available_until
    assert later is not None
    assert later >= until + DAY


def test_copies_that_ended_before_the_writing_are_retrieved_again(stored: Estate) -> None:
    appliance = stored.appliance
    finished(appliance, stored.retrieve())
    until = stored.state().available_until
    assert until is not None
    session_id = stored.restore(stored.archived()[0], retrieval_mode=QUICK)
    appliance.work(until=lambda: appliance.tasks(session_id)[0].stage == "write")
    appliance.clock.set(until + timedelta(hours=1))
    assert finished(appliance, session_id).state is State.SUCCESS, stored.lines(session_id)
    assert contents(appliance, session_id) == {"vol-a": ROOT, "vol-b": DATA}


def test_a_cancelled_restore_withdraws_its_request(stored: Estate) -> None:
    session_id = stored.restore(stored.archived()[0])
    stored.appliance.work(limit=timedelta(minutes=30))
    tasks.request_cancel(stored.appliance.app, SYSTEM, session_id)
    assert finished(stored.appliance, session_id).state is State.CANCELLED
    assert stored.archived()[0].retrieval is None
    assert not stored.appliance.cloud.volumes


def test_a_mode_the_class_does_not_have_is_refused(estate: Estate) -> None:
    account = estate.archive.account_id
    assert account is not None
    with estate.appliance.app.store.transaction() as tx:
        home = tx.accounts.get(account)
    estate.archive = estate.appliance.repository(home, "deep", storage_class=StorageClass.DEEP_ARCHIVE)
    estate.store(*points(estate.appliance, Leg.BACKUP))
    (point,) = estate.archived()
    with pytest.raises(InvalidInput) as refused:
        estate.restore(point, retrieval_mode=QUICK)
    assert set(refused.value.fields) == {"retrievalMode"}
    with pytest.raises(InvalidInput) as refused:
        estate.retrieve(mode=QUICK)
    assert set(refused.value.fields) == {"mode"}
    session_id = estate.restore(point)
    estate.appliance.work(limit=timedelta(hours=13))
    assert finished(estate.appliance, session_id).state is State.SUCCESS


# ---- retrievals -------------------------------------------------------------------------------------------------------


def test_a_retrieval_is_requested_available_extended_and_expires(stored: Estate) -> None:
    appliance = stored.appliance
    session_id = stored.retrieve(mode=RetrievalMode.BULK, days=3)
    appliance.work(limit=timedelta(hours=1))
    assert stored.state().state is RetrievalState.REQUESTED
    with pytest.raises(Conflict):
        stored.retrieve()
    appliance.work(limit=timedelta(hours=13))
    assert finished(appliance, session_id).state is State.SUCCESS, stored.lines(session_id)
    until = stored.state().available_until
    assert stored.state().state is RetrievalState.AVAILABLE
    assert until is not None
    extension = retrievals.extend_retrieval(appliance.app, SYSTEM, stored.archived()[0].id, days=2)
    assert extension is not None
    assert finished(appliance, extension.id).state is State.SUCCESS, stored.lines(extension.id)
    assert stored.state().available_until == until + 2 * DAY
    appliance.clock.set(until + 2 * DAY)
    with pytest.raises(Conflict, match="expired"):
        retrievals.extend_retrieval(appliance.app, SYSTEM, stored.archived()[0].id, days=1)
    assert finished(appliance, stored.retrieve()).state is State.SUCCESS


def test_a_cancelled_retrieval_is_found_by_the_next(stored: Estate) -> None:
    appliance = stored.appliance
    session_id = stored.retrieve(mode=RetrievalMode.STANDARD)
    appliance.work(limit=timedelta(hours=1))
    tasks.request_cancel(appliance.app, SYSTEM, session_id)
    assert finished(appliance, session_id).state is State.CANCELLED
    assert stored.archived()[0].retrieval is None
    appliance.clock.advance(timedelta(hours=5))
    again = stored.retrieve(mode=RetrievalMode.STANDARD)
    assert finished(appliance, again).state is State.SUCCESS
    assert "readable already" in stored.lines(again)


def test_a_throttled_retrieval_goes_on(stored: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = stored.appliance.blobs[stored.archive.id]
    real, turns = blobs.retrieve, iter(range(10_000))

    def sometimes(name: str, *, mode: RetrievalMode, days: int) -> None:
        if next(turns) % 7 < 6:
            raise Throttled("Slow down.")
        real(name, mode=mode, days=days)

    monkeypatch.setattr(blobs, "retrieve", sometimes)
    session_id = stored.retrieve()
    assert finished(stored.appliance, session_id).state is State.SUCCESS, stored.lines(session_id)


def test_an_estimate_counts_what_is_not_readable_yet(stored: Estate) -> None:
    appliance = stored.appliance
    (point,) = stored.archived()
    whole = retrievals.estimate(appliance.app, SYSTEM, point.id, mode=RetrievalMode.STANDARD, days=2)
    part = retrievals.estimate(appliance.app, SYSTEM, point.id, mode=RetrievalMode.STANDARD, days=2, disks=["vol-b"])
    assert 0 < part.size_bytes < whole.size_bytes
    assert whole.cost.total > part.cost.total > 0
    assert (whole.ready_from, whole.ready_by) == tuple(appliance.clock.now() + timedelta(hours=hours) for hours in (3, 5))
    assert whole.exact_region
    finished(appliance, stored.retrieve())
    after = retrievals.estimate(appliance.app, SYSTEM, point.id, mode=RetrievalMode.STANDARD, days=2)
    assert (after.packs, after.cost.total, after.readable_bytes) == (0, 0, whole.size_bytes)


def test_only_archives_are_retrieved(stored: Estate) -> None:
    (backup,) = points(stored.appliance, Leg.BACKUP)
    with pytest.raises(InvalidInput, match="only archives"):
        retrievals.retrieve_points(stored.appliance.app, SYSTEM, [backup.id], mode=QUICK, days=1)
    with pytest.raises(Forbidden):
        retrievals.retrieve_points(
            stored.appliance.app,
            Caller(user_id=None, name="eve", role=Role.VIEWER),
            [stored.archived()[0].id],
            mode=QUICK,
            days=1,
        )


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
    appliance.tick()
    appliance.work()
    assert len(stored.archived()) == 1
    appliance.clock.advance(2 * DAY)
    appliance.tick()
    appliance.work()
    assert stored.archived() == []
    assert list(appliance.app.open_repository(stored.archive).points()) == []
