"""Archived points are read back after a wait: restores ask, wait without a worker and go on; copies are kept, and end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import Conflict, Forbidden, InvalidInput, Throttled
from server.domain.repository import RetrievalMode, StorageClass
from server.domain.restore import PROVEN_BY_RESTORE, Leg, RetrievalState
from server.domain.session import State
from server.services import retrievals, tasks
from tests.services.engine.archive_estate import DATA, QUICK, ROOT, Estate
from tests.services.engine.test_protection import points
from tests.services.engine.test_restores import contents, finished

DAY = timedelta(days=1)


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


def test_a_restore_beside_a_retrieval_waits_for_the_same_copies(stored: Estate) -> None:
    appliance = stored.appliance
    retrieval = stored.retrieve(mode=RetrievalMode.STANDARD, days=5)
    appliance.work(limit=timedelta(hours=1))
    requested = stored.state()
    restore = stored.restore(stored.archived()[0], retrieval_mode=RetrievalMode.STANDARD)
    appliance.work(limit=timedelta(minutes=10))
    assert stored.state() == requested
    tasks.request_cancel(appliance.app, SYSTEM, restore)
    assert finished(appliance, restore).state is State.CANCELLED
    assert stored.state() == requested, "the retrieval people asked for goes on"
    appliance.work(limit=timedelta(hours=6))
    assert finished(appliance, retrieval).state is State.SUCCESS, stored.lines(retrieval)
    assert stored.state().state is RetrievalState.AVAILABLE


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
