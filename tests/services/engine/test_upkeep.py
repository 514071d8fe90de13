"""Rescans, deletions by hand, maintenance, and the small parts everything leans on."""

from __future__ import annotations

import random
import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import bootstrap
from server.domain.access import SYSTEM
from server.domain.errors import Conflict, InvalidInput, Misconfigured, NotFound
from server.domain.restore import Leg
from server.domain.session import SessionKind, State, TaskKind
from server.domain.workload import Resource
from server.ports import Order, Select
from server.services import backoff, maintenance, points, rescans, runs, tasks, wording
from server.services.handlers import HANDLERS
from server.services.steps import Done, Handler, Next, Run
from tests.services.engine.harness import Appliance
from tests.services.engine.test_protection import DISK, run
from tests.services.engine.test_protection import points as points_of


def inventory(appliance: Appliance) -> list[Resource]:
    with appliance.app.store.transaction() as tx:
        return tx.resources.page(Select(order=(Order("name"),), limit=1000))


def test_a_rescan_finds_new_changed_vanished_and_returned_machines(appliance: Appliance) -> None:
    account = appliance.account()
    cloud = appliance.cloud
    cloud.add_machine("a", {"vol-1": DISK}, {"env": "test"})
    cloud.add_machine("b", {"vol-2": DISK}, {})

    def rescan() -> list[str]:
        session = rescans.start_rescan(appliance.app, SYSTEM, account.id)
        appliance.work()
        assert appliance.session(session.id).state is State.SUCCESS
        appliance.clock.advance(timedelta(minutes=5))
        return appliance.lines(session.id)

    assert "us-east-1: 2 resources (2 GiB), 2 new." in rescan()
    first = {resource.name: resource for resource in inventory(appliance)}

    kept = cloud.machines.pop("i-b")
    cloud.machines["i-a"].tags["env"] = "production"
    assert "us-east-1: 1 resource (1 GiB), 1 gone." in rescan()
    second = {resource.name: resource for resource in inventory(appliance)}
    assert second["a"].tags == {"env": "production"}
    assert second["a"].id == first["a"].id
    assert second["a"].first_seen_at == first["a"].first_seen_at < second["a"].last_seen_at
    assert not second["b"].present

    cloud.machines["i-b"] = kept
    assert "us-east-1: 2 resources (2 GiB), 1 back." in rescan()
    assert all(resource.present for resource in inventory(appliance))


def test_many_machines_are_written_in_batches(appliance: Appliance) -> None:
    account = appliance.account()
    for number in range(2 * rescans.BATCH + 1):
        appliance.cloud.add_machine(f"m{number:04}", {f"vol-{number}": {}}, {})
    rescans.start_rescan(appliance.app, SYSTEM, account.id, regions=["us-east-1"])
    appliance.work()
    assert len(inventory(appliance)) == 2 * rescans.BATCH + 1


def test_a_rescan_that_is_covered_by_a_running_one_is_that_one(appliance: Appliance) -> None:
    account = appliance.account()
    first = rescans.start_rescan(appliance.app, SYSTEM, account.id)
    assert rescans.start_rescan(appliance.app, SYSTEM, account.id, regions=["us-east-1"]).id == first.id
    appliance.work()
    assert rescans.start_rescan(appliance.app, SYSTEM, account.id).id != first.id


def test_a_misspelt_region_is_named(appliance: Appliance) -> None:
    account = appliance.account()
    with pytest.raises(InvalidInput, match="us-esat-1") as caught:
        rescans.start_rescan(appliance.app, SYSTEM, account.id, regions=["us-esat-1"])
    assert "us-east-1" in caught.value.fields["regions"]


def test_points_are_deleted_where_they_lie(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository)
    run(appliance, policy.id)
    doomed = points_of(appliance, Leg.SNAPSHOT) + points_of(appliance, Leg.BACKUP)
    ids = [point.id for point in doomed]
    assert points.delete_points(appliance.app, SYSTEM, ids, dry_run=True) is None
    session = points.delete_points(appliance.app, SYSTEM, ids)
    assert session is not None
    with pytest.raises(Conflict, match="is being deleted already"):
        points.delete_points(appliance.app, SYSTEM, ids)
    appliance.work()
    assert appliance.session(session.id).state is State.SUCCESS, appliance.lines(session.id)
    assert appliance.cloud.snapshots == {}
    with pytest.raises(NotFound):
        appliance.app.open_repository(repository).point(doomed[1].id)

    after = run(appliance, policy.id)
    assert after.state is State.SUCCESS, "without a base or a parent the next backup is simply full"
    assert len(points_of(appliance, Leg.BACKUP)) == 1


def test_maintenance_marks_then_deletes_what_no_point_needs(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    run(appliance, appliance.policy(account, repository=repository).id)
    session = points.delete_points(appliance.app, SYSTEM, [points_of(appliance, Leg.BACKUP)[0].id])
    assert session is not None
    appliance.work()
    deleted = 0
    for _ in range(4):
        started = maintenance.start_collect_garbage(appliance.app, SYSTEM, repository.id)
        assert started is not None
        with pytest.raises(Conflict, match="is running already"):
            maintenance.start_collect_garbage(appliance.app, SYSTEM, repository.id)
        appliance.work()
        assert appliance.session(started.id).state is State.SUCCESS, appliance.lines(started.id)
        deleted += appliance.tasks(started.id)[0].document["result"]["deletedBytes"]
        appliance.clock.advance(maintenance.MIN_AGE + timedelta(minutes=1))
    assert deleted > 0
    with appliance.app.store.transaction() as tx:
        assert tx.repositories.get(repository.id).stored_bytes == 0


def test_every_kind_of_task_has_a_handler() -> None:
    assert set(HANDLERS) == set(TaskKind)


# ---- a running step notices within seconds, in real time --------------------------------------------------------------


def test_a_step_in_the_middle_of_its_work_hears_of_a_cancellation(appliance: Appliance) -> None:
    began = threading.Event()
    swept = threading.Event()

    def step(run: Run) -> Next | Done:
        began.set()
        for _ in range(1000):  # ten seconds at most; the cancellation ends it sooner
            threading.Event().wait(0.01)
            run.check()
        return Done(document={})

    def sweep(run: Run) -> None:
        swept.set()

    appliance.handlers = {TaskKind.PROTECT: Handler(step=step, cleanup=sweep)}
    with appliance.app.store.transaction() as tx:
        draft = runs.SessionDraft(kind=SessionKind.POLICY_RUN, name="long", requested_by="test")
        session = runs.begin(tx, appliance.app, draft, [runs.TaskDraft(kind=TaskKind.PROTECT, name="one")])
    worker = threading.Thread(target=appliance.work)
    worker.start()
    assert began.wait(10)
    tasks.request_cancel(appliance.app, SYSTEM, session.id)
    worker.join(timeout=5)
    assert not worker.is_alive(), "not cancelled within five seconds"
    assert swept.is_set()
    assert appliance.session(session.id).state is State.CANCELLED


def test_a_task_that_kills_its_workers_ends(appliance: Appliance) -> None:
    """The worker dies in the step each time, as with too little memory; the lease ends, the next one tries."""

    class Died(BaseException):
        pass

    def step(run: Run) -> Next | Done:
        raise Died

    appliance.handlers = {TaskKind.PROTECT: Handler(step=step)}
    with appliance.app.store.transaction() as tx:
        draft = runs.SessionDraft(kind=SessionKind.POLICY_RUN, name="deadly", requested_by="test")
        session = runs.begin(tx, appliance.app, draft, [runs.TaskDraft(kind=TaskKind.PROTECT, name="one")])
    deaths = 0
    for _ in range(40):
        try:
            appliance.work()
        except Died:
            deaths += 1
        appliance.clock.advance(20)
        appliance.tick()
    assert deaths == tasks.CLAIMS_MAX
    assert appliance.session(session.id).state is State.ERROR
    assert any("workers in a row stopped" in line for line in appliance.lines(session.id))


# ---- the key that seals secrets ---------------------------------------------------------------------------------------


def test_the_sealing_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "secret.key"
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(bootstrap.sealing_key(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_broken_key_file_stops_the_process_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_bytes(b"short")
    with pytest.raises(Misconfigured, match="5 bytes instead of 32") as caught:
        bootstrap.sealing_key(path)
    assert "backup" in (caught.value.remedy or "")
    with pytest.raises(Misconfigured, match="cannot be used"):
        bootstrap.sealing_key(tmp_path)  # a folder


# ---- words and waits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (1024, "1 KiB"), (524_288, "512 KiB"), (1_610_612_736, "1.5 GiB"), (2**50, "1 PiB")],
)
def test_sizes_read_well(number: int, text: str) -> None:
    assert wording.size(number) == text


@given(st.integers(min_value=0, max_value=2**62))
def test_sizes_stay_short(number: int) -> None:
    assert len(wording.size(number)) <= 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (47, "47 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (-3, "0.0 s")],
)
def test_spans_read_well(seconds: float, text: str) -> None:
    assert wording.span(timedelta(seconds=seconds)) == text


@given(st.integers(min_value=1, max_value=300), st.integers())
def test_waits_are_bounded_and_end(times: int, seed: int) -> None:
    rng = random.Random(seed)
    failure, throttle = backoff.after_failure(times, rng), backoff.after_throttling(times, rng)
    assert (failure is None) == (times >= backoff.ATTEMPTS_MAX)
    assert (throttle is None) == (times >= backoff.THROTTLES_MAX)
    assert failure is None or 0 < failure <= 60
    assert throttle is None or 0 < throttle <= 120
