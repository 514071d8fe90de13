"""Restores: the same bytes come back, whatever happens on the way, and nothing half-made stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import AwsAccessDenied, AwsRejected, Conflict, Forbidden, InvalidInput, Throttled, Unavailable
from server.domain.replicas import ReplicaTarget
from server.domain.restore import InstanceRestore, Leg, RestorePoint, VolumeRestore
from server.domain.session import Session, State
from server.ports import Select
from server.services import points as deletion
from server.services import restores, tasks
from tests.services.engine.harness import Appliance, Killed
from tests.services.engine.test_protection import DISK, block, points, run

BIG = {index: block(f"block {index}") for index in range(0, 400, 3)}


@pytest.fixture
def protected(appliance: Appliance) -> Appliance:
    """One machine with two volumes, snapshotted and backed up; its disks have changed since."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": BIG, "vol-b": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account))
    assert run(appliance, policy.id).state is State.SUCCESS
    appliance.cloud.machines["i-web-1"].volumes = {"vol-a": {}, "vol-b": {}}
    return appliance


def target(point: RestorePoint, **changes: object) -> VolumeRestore:
    wanted = VolumeRestore(account_id=point.account_id, region="us-east-1", zone="us-east-1b")
    return replace(wanted, **changes)  # type: ignore[arg-type]  # named by the tests below


def begin(appliance: Appliance, leg: Leg, **changes: object) -> UUID:
    (point,) = points(appliance, leg)
    session = restores.start_volume_restore(appliance.app, SYSTEM, point.id, target(point, **changes))
    assert session is not None
    return session.id


def contents(appliance: Appliance, session_id: UUID) -> dict[str, dict[int, bytes]]:
    """Source volume → content of the volume restored from it."""
    result = appliance.tasks(session_id)[0].document["result"]
    return {each["diskId"]: appliance.cloud.content[each["volumeId"]] for each in result["volumes"]}


def finished(appliance: Appliance, session_id: UUID) -> Session:
    for _ in range(30):
        appliance.work()
        if appliance.session(session_id).state.final:
            break
        appliance.clock.advance(timedelta(seconds=5))
        appliance.tick()
    return appliance.session(session_id)


@pytest.mark.parametrize("leg", [Leg.BACKUP, Leg.SNAPSHOT])
def test_volumes_come_back_with_the_same_bytes(protected: Appliance, leg: Leg) -> None:
    session_id = begin(protected, leg)
    before = set(protected.cloud.snapshots)
    assert finished(protected, session_id).state is State.SUCCESS, protected.lines(session_id)
    assert contents(protected, session_id) == {"vol-a": BIG, "vol-b": DISK}
    assert set(protected.cloud.snapshots) == before
    if leg is Leg.SNAPSHOT:
        assert protected.cloud.blocks.calls["write"] == 0


def test_a_replica_is_restored_where_it_is_and_nowhere_else(appliance: Appliance) -> None:
    account, other = appliance.account(), appliance.account("dr")
    appliance.machine(account, "web-1", {"vol-a": DISK})
    place = ReplicaTarget(account_id=other.id, region="eu-central-1")
    assert run(appliance, appliance.policy(account, replicas=(place,)).id).state is State.SUCCESS
    with pytest.raises(InvalidInput, match="A replica is restored in its own account"):
        begin(appliance, Leg.REPLICA, account_id=account.id)
    with pytest.raises(InvalidInput, match="A replica is restored in its own Region, eu-central-1"):
        begin(appliance, Leg.REPLICA)
    session_id = begin(appliance, Leg.REPLICA, region="eu-central-1", zone="eu-central-1a")
    assert finished(appliance, session_id).state is State.SUCCESS, appliance.lines(session_id)
    assert contents(appliance, session_id) == {"vol-a": DISK}
    assert appliance.cloud.blocks.calls["write"] == 0


def test_temporary_snapshots_are_removed(protected: Appliance) -> None:
    there = set(protected.cloud.blocks._snapshots)
    session_id = begin(protected, Leg.BACKUP)
    finished(protected, session_id)
    assert protected.cloud.blocks.calls["start"] == 2
    assert set(protected.cloud.blocks._snapshots) == there


def test_the_data_of_an_encrypted_disk_travels_encrypted(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK, "vol-b": DISK})
    appliance.cloud.encrypted = {"vol-b"}
    assert run(appliance, appliance.policy(account, repository=appliance.repository(account)).id).state is State.SUCCESS
    there = set(appliance.cloud.blocks._snapshots)
    seen = []

    def look(operation: str) -> None:
        if operation == "complete":
            seen.append({id: each.encrypted for id, each in appliance.cloud.blocks._snapshots.items() if id not in there})

    appliance.cloud.blocks.before = look
    finished(appliance, begin(appliance, Leg.BACKUP))
    assert list(seen[-1].values()) == [False, True]


def test_what_could_not_be_restored_as_it_was_is_a_warning_in_the_log(protected: Appliance) -> None:
    protected.cloud.warnings = ["The instance profile web is gone: restored without one."]
    session_id = begin(protected, Leg.BACKUP)
    assert finished(protected, session_id).state is State.WARNING
    assert "web-1: The instance profile web is gone: restored without one." in protected.lines(session_id)
    assert len(contents(protected, session_id)) == 2


def test_cancelling_once_the_target_is_there_leaves_it_there(protected: Appliance) -> None:
    session_id = begin(protected, Leg.BACKUP)
    temporary = set(protected.cloud.blocks._snapshots)

    def cancel(operation: str) -> None:
        if operation == "delete_snapshot" and protected.session(session_id).cancel_requested_at is None:
            tasks.request_cancel(protected.app, SYSTEM, session_id)
            raise Throttled("Slow down.")

    protected.cloud.before = cancel
    assert finished(protected, session_id).state is State.CANCELLED
    assert len(protected.cloud.volumes) == 2
    assert set(protected.cloud.blocks._snapshots) == temporary


def test_one_disk_alone(protected: Appliance) -> None:
    session_id = begin(protected, Leg.BACKUP, disks=("vol-b",))
    finished(protected, session_id)
    assert contents(protected, session_id) == {"vol-b": DISK}


def test_an_instance_comes_back_under_its_new_name(protected: Appliance) -> None:
    (point,) = points(protected, Leg.BACKUP)
    options = InstanceRestore(account_id=point.account_id, region="us-east-1", name="web-1-again")
    session = restores.start_instance_restore(protected.app, SYSTEM, point.id, options)
    assert session is not None
    assert finished(protected, session.id).state is State.SUCCESS, protected.lines(session.id)
    machine = protected.cloud.machines["i-web-1-again"]
    assert sorted(map(len, machine.volumes.values())) == sorted([len(BIG), len(DISK)])
    assert protected.tasks(session.id)[0].document["result"]["instanceId"] == "i-web-1-again"


@pytest.mark.parametrize("border", range(2, 40, 3))
def test_killed_anywhere_the_bytes_are_still_right(protected: Appliance, border: int) -> None:
    session_id = begin(protected, Leg.BACKUP)
    borders = iter(range(10_000))
    protected.store.deadly = lambda: next(borders) == border
    try:
        protected.work()
    except Killed:
        protected.jobs.lose()
    protected.store.deadly = lambda: False
    assert finished(protected, session_id).state is State.SUCCESS, protected.lines(session_id)
    assert contents(protected, session_id) == {"vol-a": BIG, "vol-b": DISK}
    assert len(protected.cloud.volumes) == 2, "no volume twice"


def test_a_resumed_restore_goes_on_from_its_checkpoint(protected: Appliance) -> None:
    """A write fails two thirds through; time passes between writes, so checkpoints were kept."""
    written = [0]

    def clockwork(operation: str) -> None:
        if operation != "write":
            return
        written[0] += 1
        protected.clock.advance(0.2)
        if written[0] == 90:
            raise Unavailable("EBS does not answer.")

    protected.cloud.blocks.before = clockwork
    session_id = begin(protected, Leg.BACKUP)
    assert finished(protected, session_id).state is State.SUCCESS, protected.lines(session_id)
    assert contents(protected, session_id)["vol-a"] == BIG
    assert written[0] < len(BIG) + len(DISK) + 60, "what a checkpoint covered was not written again"


def test_cancelling_leaves_nothing_behind(protected: Appliance) -> None:
    def cancel_midway(operation: str) -> None:
        if operation == "write" and protected.cloud.blocks.calls["write"] == 20:
            protected.stop.set()  # the engine gives the task back, as a stopping worker does

    protected.cloud.blocks.before = cancel_midway
    session_id = begin(protected, Leg.BACKUP)
    there = set(protected.cloud.blocks._snapshots)
    protected.work(until=protected.stop.is_set)
    protected.stop.clear()
    tasks.request_cancel(protected.app, Caller(user_id=None, name="rita", role=Role.RESTORE_OPERATOR), session_id)
    assert finished(protected, session_id).state is State.CANCELLED
    assert set(protected.cloud.blocks._snapshots) == there
    assert protected.cloud.volumes == {}


def test_a_failed_restore_leaves_nothing_behind(protected: Appliance) -> None:
    def refuse(operation: str) -> None:
        if operation == "restore_volumes":
            raise AwsAccessDenied("You are not authorized to perform ec2:CreateVolume.", remedy="Allow it.")

    protected.cloud.before = refuse
    there = set(protected.cloud.blocks._snapshots)
    session_id = begin(protected, Leg.BACKUP)
    assert finished(protected, session_id).state is State.ERROR
    assert set(protected.cloud.blocks._snapshots) == there
    assert "web-1: You are not authorized to perform ec2:CreateVolume. Allow it." in protected.lines(session_id)


def test_snapshots_that_cannot_be_removed_are_a_warning_not_a_failure(protected: Appliance) -> None:
    def refuse(operation: str) -> None:
        if operation == "delete_snapshot":
            raise AwsRejected("Not now.")

    protected.cloud.before = refuse
    session_id = begin(protected, Leg.BACKUP)
    assert finished(protected, session_id).state is State.WARNING
    assert contents(protected, session_id) == {"vol-a": BIG, "vol-b": DISK}


Change = Callable[[RestorePoint], VolumeRestore]


@pytest.mark.parametrize(
    ("leg", "change", "field", "says"),
    [
        (Leg.BACKUP, lambda point: target(point, zone="us-east-1z"), "zone", "us-east-1a, us-east-1b, us-east-1c"),
        (Leg.BACKUP, lambda point: target(point, zone=""), "zone", "none given"),
        (Leg.BACKUP, lambda point: target(point, region="us-esat-1"), "region", "eu-central-1, us-east-1"),
        (Leg.BACKUP, lambda point: target(point, disks=("vol-x",)), "disks", "has no disk vol-x; it has vol-a, vol-b"),
        (Leg.BACKUP, lambda point: target(point, volume_type="gp9"), "volumeType", "gp9"),
        (Leg.SNAPSHOT, lambda point: target(point, region="eu-central-1"), "region", "use a backup"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(
    protected: Appliance, leg: Leg, change: Change, field: str, says: str
) -> None:
    (point,) = points(protected, leg)
    with pytest.raises(InvalidInput) as caught:
        restores.start_volume_restore(protected.app, SYSTEM, point.id, change(point))
    assert says in caught.value.fields[field]


def test_a_dry_run_checks_and_starts_nothing(protected: Appliance) -> None:
    (point,) = points(protected, Leg.BACKUP)
    with protected.app.store.transaction() as tx:
        before = tx.sessions.count(Select())
    assert restores.start_volume_restore(protected.app, SYSTEM, point.id, target(point), dry_run=True) is None
    with protected.app.store.transaction() as tx:
        assert tx.sessions.count(Select()) == before


def test_viewers_may_not_restore(protected: Appliance) -> None:
    (point,) = points(protected, Leg.BACKUP)
    with pytest.raises(Forbidden):
        restores.start_volume_restore(
            protected.app, Caller(user_id=None, name="eve", role=Role.VIEWER), point.id, target(point)
        )


def test_a_point_being_restored_from_is_not_deleted_and_a_deleted_one_not_restored(protected: Appliance) -> None:
    (point,) = points(protected, Leg.BACKUP)
    session_id = begin(protected, Leg.BACKUP)
    with pytest.raises(Conflict, match="is in use: it is being made, read, restored from or archived"):
        deletion.delete_points(protected.app, SYSTEM, [point.id])
    finished(protected, session_id)
    removal = deletion.delete_points(protected.app, SYSTEM, [point.id])
    assert removal is not None
    with pytest.raises(Conflict, match="has been deleted"):
        restores.start_volume_restore(protected.app, SYSTEM, point.id, target(point))
    assert finished(protected, removal.id).state is State.SUCCESS
    assert points(protected, Leg.BACKUP) == []
