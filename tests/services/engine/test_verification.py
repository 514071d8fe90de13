"""The verification leg: a backup is read again and compared with its source; damage is found, told, healed by the next run."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import AwsAccessDenied, Conflict, Forbidden, InvalidInput
from server.domain.restore import PROVEN_BY_VERIFICATION, Health, Leg, PointState, RestorePoint
from server.domain.session import SessionKind, State
from server.ports import BLOCK_SIZE
from server.services import points, protection, tasks, verification
from tests.services.engine.harness import Appliance, Killed, daily
from tests.services.engine.test_protection import DISK, block, run
from tests.services.engine.test_protection import points as points_of


def point(appliance: Appliance, id: UUID) -> RestorePoint:
    with appliance.app.store.transaction() as tx:
        return tx.points.get(id)


def backups(appliance: Appliance) -> list[RestorePoint]:
    return points_of(appliance, Leg.BACKUP)


def test_every_backup_of_a_verifying_policy_is_proven(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK, "vol-b": {3: block("data")}})
    policy = appliance.policy(account, repository=appliance.repository(account), verify=True)

    first = run(appliance, policy.id)

    assert first.state is State.SUCCESS, appliance.lines(first.id)
    (backup,) = backups(appliance)
    assert backup.proven_how == PROVEN_BY_VERIFICATION
    assert backup.proven_at is not None
    assert set(backup.content_roots) == {"vol-a", "vol-b"}
    assert "web-1: verification: 2.5 MiB read, all as it was at the source." in appliance.lines(first.id)

    appliance.cloud.machines["i-web-1"].volumes["vol-a"][1] = block("etc, changed")
    appliance.clock.advance(timedelta(days=1))
    second = run(appliance, policy.id)

    assert second.state is State.SUCCESS, appliance.lines(second.id)
    proven = [each.proven_at for each in backups(appliance)]
    assert None not in proven
    result = next(task for task in appliance.tasks(second.id) if task.kind.value == "protect").document["result"]
    assert BLOCK_SIZE <= result["verifiedBytes"] <= 2 * 5 * BLOCK_SIZE, "what is new, and a share of what is old"


def test_a_policy_that_does_not_verify_proves_nothing(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    run(appliance, appliance.policy(account, repository=appliance.repository(account)).id)
    (backup,) = backups(appliance)
    assert backup.proven_at is None
    assert backup.content_roots.keys() == {"vol-a"}, "captured all the same: a later verification compares with them"


def test_a_backup_spoilt_in_the_bucket_fails_its_verification_and_the_next_run_heals_it(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository, verify=True)
    run(appliance, policy.id)
    (whole,) = backups(appliance)
    appliance.spoil(repository, appliance.packs(repository))

    session = verification.start_verification(appliance.app, SYSTEM, [whole.id])
    assert session is not None
    appliance.work()

    assert appliance.session(session.id).state is State.ERROR
    hurt = point(appliance, whole.id)
    assert hurt.health is Health.INCOMPLETE
    assert hurt.damage is not None
    assert [(each.disk_id, each.end - each.start) for each in hurt.damage.ranges] == [("vol-a", BLOCK_SIZE)]
    told = appliance.lines(session.id)
    assert any(f"disk vol-a, bytes {hurt.damage.ranges[0].start} to" in line for line in told), told

    appliance.clock.advance(timedelta(days=1))
    appliance.cloud.blocks.calls.clear()
    healing = run(appliance, policy.id)

    told = appliance.lines(healing.id)
    assert healing.state is State.SUCCESS, told
    assert "web-1: vol-a: 1 block of the previous backup damaged, read again." in told
    assert "web-1: 1 damaged restore point healthy again." in told
    assert appliance.cloud.blocks.calls["read"] == 1, "nothing else was read: nothing else had changed"
    assert [each.health for each in backups(appliance)] == [Health.HEALTHY, Health.HEALTHY]
    assert point(appliance, whole.id).damage is None


def test_an_old_point_stays_incomplete_when_the_source_has_changed_since(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": {0: block("only")}})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository, verify=True)
    run(appliance, policy.id)
    (old,) = backups(appliance)
    appliance.spoil(repository, appliance.packs(repository))
    verification.start_verification(appliance.app, SYSTEM, [old.id])
    appliance.work()
    appliance.cloud.machines["i-web-1"].volumes["vol-a"][0] = block("another")
    appliance.clock.advance(timedelta(days=1))

    session = run(appliance, policy.id)

    assert session.state is State.SUCCESS, "the new backup is whole"
    assert any("still damaged" in line for line in appliance.lines(session.id))
    assert [each.health for each in backups(appliance)] == [Health.INCOMPLETE, Health.HEALTHY]


def test_a_backup_that_is_not_what_the_source_held_is_found_although_nothing_is_damaged(appliance: Appliance) -> None:
    """Whoever holds the repository's keys could write another, sound point: the roots kept here tell."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    run(appliance, appliance.policy(account, repository=appliance.repository(account)).id)
    (backup,) = backups(appliance)
    with appliance.app.store.transaction() as tx:
        tx.points.save(replace(backup, content_roots={"vol-a": "00" * 32}))
    session = verification.start_verification(appliance.app, SYSTEM, [backup.id])
    assert session is not None
    appliance.work()
    assert appliance.session(session.id).state is State.ERROR
    assert any("its content root is another" in line for line in appliance.lines(session.id))
    assert point(appliance, backup.id).health is Health.INCOMPLETE


def test_a_point_whose_manifest_is_damaged_is_found_and_the_next_backup_is_a_full_one(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository, verify=True)
    run(appliance, policy.id)
    (old,) = backups(appliance)
    name = f"points/{old.id}"
    content = bytearray(appliance.blobs[repository.id].get(name))
    content[-1] ^= 1
    appliance.blobs[repository.id].put(name, bytes(content))
    session = verification.start_verification(appliance.app, SYSTEM, [old.id])
    assert session is not None
    appliance.work()
    assert appliance.session(session.id).state is State.ERROR
    appliance.clock.advance(timedelta(days=1))
    appliance.cloud.blocks.calls.clear()

    following = run(appliance, policy.id)

    assert following.state is State.SUCCESS, appliance.lines(following.id)
    assert any("the previous backup is damaged, so all of the source is read" in line for line in appliance.lines(following.id))
    assert appliance.cloud.blocks.calls["read"] == len(DISK)
    assert [each.health for each in backups(appliance)] == [Health.INCOMPLETE, Health.HEALTHY]


# ---- stopping and going on --------------------------------------------------------------------------------------------


def long_disk() -> dict[int, bytes]:
    """A block in each of eight leaves, so that there is something to be cut into slices."""
    return {256 * leaf: block(f"leaf {leaf}") for leaf in range(8)}


class Slots(threading.BoundedSemaphore):
    """One slot, that counts how often it was taken, and is not given any more ``refuse_after`` so many times."""

    def __init__(self, refuse_after: int = 1_000_000) -> None:
        super().__init__(1)
        self.taken = 0
        self.refuse_after = refuse_after

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if self.taken >= self.refuse_after:
            return False
        got = super().acquire(blocking, timeout)
        self.taken += got
        return got


def test_a_slot_is_held_for_one_slice_at_a_time(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "SLICE_BYTES", 2 * BLOCK_SIZE)
    slots = Slots()
    appliance.app = replace(appliance.app, data_slots=slots)
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": long_disk()})
    policy = appliance.policy(account, repository=appliance.repository(account), verify=True)
    session = run(appliance, policy.id)
    assert session.state is State.SUCCESS, appliance.lines(session.id)
    assert slots.taken > 2, "one for the backup, several for the verification"
    assert slots.acquire(blocking=False), "given back"
    assert "web-1: verification: 4 MiB read, all as it was at the source." in appliance.lines(session.id)


def test_without_a_free_slot_the_verification_waits_without_holding_a_worker(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    run(appliance, appliance.policy(account, repository=appliance.repository(account)).id)
    slots = Slots()
    appliance.app = replace(appliance.app, data_slots=slots)
    session = verification.start_verification(appliance.app, SYSTEM, [backups(appliance)[0].id])
    assert session is not None
    with slots:
        appliance.work(limit=timedelta(minutes=1))
        (task,) = appliance.tasks(session.id)
        assert (task.state, task.message, task.lease_until) == (State.RUNNING, "Waiting for a free worker.", None)
    appliance.work()
    assert appliance.session(session.id).state is State.SUCCESS


def test_a_verification_goes_on_after_a_kill_at_any_moment(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "SLICE_BYTES", 2 * BLOCK_SIZE)
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": long_disk()})
    run(appliance, appliance.policy(account, repository=appliance.repository(account)).id)
    (backup,) = backups(appliance)
    deaths = 0
    for border in range(4, 30):
        session = verification.start_verification(appliance.app, SYSTEM, [backup.id])
        assert session is not None
        (task,) = appliance.tasks(session.id)
        borders = iter(range(1_000))
        appliance.store.deadly = lambda borders=borders, border=border: next(borders) == border  # type: ignore[misc]  # its own
        try:
            appliance.advance(task.id)
        except Killed:
            deaths += 1
        appliance.store.deadly = lambda: False
        appliance.clock.advance(timedelta(minutes=1))  # the dead worker's lease ends
        appliance.advance(task.id)
        appliance.work()
        assert appliance.session(session.id).state is State.SUCCESS, (border, appliance.lines(session.id))
    assert deaths > 10
    assert point(appliance, backup.id).proven_at is not None


def test_a_cancelled_verification_leaves_the_backup_and_proves_nothing(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository, verify=True)
    slots = Slots(refuse_after=1)  # the backup gets one, the verification has to wait
    appliance.app = replace(appliance.app, data_slots=slots)
    session = protection.start_policy(appliance.app, SYSTEM, policy.id)
    assert session is not None
    appliance.work(limit=timedelta(minutes=1))
    assert appliance.tasks(session.id)[0].stage == verification.STAGE

    asked = appliance.clock.now()
    tasks.request_cancel(appliance.app, SYSTEM, session.id)
    appliance.work()

    ended = appliance.session(session.id)
    assert ended.state is State.CANCELLED
    assert ended.ended_at is not None
    assert ended.ended_at - asked <= timedelta(seconds=5)
    (backup,) = backups(appliance)
    assert backup.proven_at is None
    assert appliance.app.open_repository(repository).point(backup.id).id == backup.id, "nothing of it was removed"


def test_a_verification_that_fails_for_good_is_tried_again_without_another_backup(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    schedule = daily((7,), backup=(7,))
    policy = appliance.policy(account, repository=repository, verify=True, retries=2, schedule=schedule)
    appliance.clock.set(appliance.clock.now().replace(hour=7, minute=0))
    refusals = iter([True])
    blobs, get = appliance.blobs[repository.id], appliance.blobs[repository.id].get

    def refuse_once(name: str, *, start: int = 0, length: int | None = None) -> bytes:
        if name.startswith("packs/") and next(refusals, False):
            raise AwsAccessDenied("S3 refused.", operation="s3:GetObject", aws_code="AccessDenied")
        return get(name, start=start, length=length)

    blobs.get = refuse_once  # type: ignore[method-assign]  # the bucket's own, for once
    appliance.tick()
    appliance.work()
    with appliance.app.store.transaction() as tx:
        last = tx.policies.get(policy.id).last_session_id
    assert last is not None
    assert appliance.session(last).state is State.SUCCESS, appliance.lines(last)
    assert any("S3 refused. Another attempt follows in 60 s" in line for line in appliance.lines(last))
    assert appliance.cloud.calls["snapshot"] <= 2, "one snapshot, asked for twice at most"
    assert [each.proven_at is not None for each in backups(appliance)] == [True]


# ---- on request -------------------------------------------------------------------------------------------------------


def test_only_backups_that_are_there_are_verified(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    run(appliance, appliance.policy(account, repository=appliance.repository(account)).id)
    (snapshot,), (backup,) = points_of(appliance, Leg.SNAPSHOT), backups(appliance)
    viewer = Caller(user_id=None, name="eve", role=Role.VIEWER)
    with pytest.raises(Forbidden):
        verification.start_verification(appliance.app, viewer, [backup.id])
    with pytest.raises(InvalidInput, match="is no backup"):
        verification.start_verification(appliance.app, SYSTEM, [snapshot.id])
    with pytest.raises(InvalidInput, match="Name the restore points"):
        verification.start_verification(appliance.app, SYSTEM, [])
    assert verification.start_verification(appliance.app, SYSTEM, [backup.id], dry_run=True) is None
    points.delete_points(appliance.app, SYSTEM, [backup.id])
    with pytest.raises(Conflict, match="being deleted"):
        verification.start_verification(appliance.app, SYSTEM, [backup.id])


def test_a_point_deleted_before_its_turn_is_told(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    run(appliance, appliance.policy(account, repository=appliance.repository(account)).id)
    (backup,) = backups(appliance)
    session = verification.start_verification(appliance.app, SYSTEM, [backup.id])
    assert session is not None
    assert session.kind is SessionKind.VERIFICATION
    with appliance.app.store.transaction() as tx:
        tx.points.save(replace(backup, state=PointState.DELETED))
    appliance.work()
    assert appliance.session(session.id).state is State.ERROR
    assert any("was deleted before it was verified" in line for line in appliance.lines(session.id))
