"""Rescans of repositories: imports with recorded retention, lost and returned points, repositories that cannot be opened."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from server.domain.access import SYSTEM
from server.domain.errors import Conflict, NotFound
from server.domain.immutability import BucketFacts
from server.domain.periods import Frequency
from server.domain.repository import Repository, RepositoryState
from server.domain.restore import Leg, PointState, RestorePoint
from server.domain.session import Session, SessionKind, State
from server.ports import Order, Select, Where
from server.repository.repository import Repository as Engine
from server.services import maintenance, points, repositories, repository_rescans, scheduling, verification
from server.services.repository_forms import RepositoryChange
from tests.services.engine.harness import PASSWORD, Appliance
from tests.services.engine.test_protection import DISK, block, run
from tests.services.engine.test_protection import points as points_of


def rescan(appliance: Appliance, repository: Repository) -> Session:
    session = repository_rescans.start_rescan(appliance.app, SYSTEM, repository.id)
    assert session is not None
    appliance.work()
    return appliance.session(session.id)


def added_again(appliance: Appliance, old: Repository) -> Repository:
    """Forget a repository and its points, as a new appliance would know nothing of them, and add its folder."""
    repositories.remove(appliance.app, SYSTEM, old.id)
    new = replace(old, id=uuid4(), name=f"{old.name}, again")
    appliance.blobs[new.id] = appliance.blobs[old.id]
    with appliance.app.store.transaction() as tx:
        tx.repositories.add(new)
    return new


def backups(appliance: Appliance) -> list[RestorePoint]:
    return points_of(appliance, Leg.BACKUP)


def row(appliance: Appliance, repository: Repository) -> Repository:
    with appliance.app.store.transaction() as tx:
        return tx.repositories.get(repository.id)


def test_an_existing_folder_brings_its_points_with_their_recorded_retention(appliance: Appliance) -> None:
    account = appliance.account()
    machine = appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository, backup_days=9)
    run(appliance, policy.id)
    appliance.clock.advance(timedelta(hours=1))
    run(appliance, policy.id)
    before = backups(appliance)
    with appliance.app.store.transaction() as tx:
        tx.policies.remove(policy.id)
        for point in points_of(appliance, Leg.SNAPSHOT):
            tx.points.remove(point.id)
    new = added_again(appliance, repository)
    assert backups(appliance) == []
    with appliance.app.store.transaction() as tx:
        tx.resources.remove(machine.id)

    session = rescan(appliance, new)

    assert session.state is State.SUCCESS, appliance.lines(session.id)
    assert "vault, again: 2 restore points, 2 new." in appliance.lines(session.id)
    after = backups(appliance)
    assert [point.id for point in after] == [point.id for point in before]
    assert [point.expires_at for point in after] == [point.at + timedelta(days=9) for point in before]
    assert [point.flags for point in after] == [(Frequency.DAILY,)] * 2
    assert [point.document["volumes"] for point in after] == [point.document["volumes"] for point in before]
    with appliance.app.store.transaction() as tx:
        resource = tx.resources.get(after[0].resource_id)
    assert (resource.aws_id, resource.name, resource.present) == ("i-web-1", "web-1", False)
    assert row(appliance, new).rescanned_at == session.ended_at

    session = rescan(appliance, new)
    assert "vault, again: 2 restore points." in appliance.lines(session.id), "nothing is imported twice"


def test_an_imported_point_is_verified_with_what_it_says_of_itself(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository)
    run(appliance, policy.id)
    with appliance.app.store.transaction() as tx:
        tx.policies.remove(policy.id)
    rescan(appliance, added_again(appliance, repository))
    (imported,) = backups(appliance)
    assert imported.content_roots == {}, "nobody here saw the source"
    session = verification.start_verification(appliance.app, SYSTEM, [imported.id])
    assert session is not None
    appliance.work()
    assert appliance.session(session.id).state is State.SUCCESS, appliance.lines(session.id)


def test_a_point_deleted_behind_our_back_is_told_lost_and_one_recalled_comes_back(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository)
    run(appliance, policy.id)
    appliance.clock.advance(timedelta(hours=1))
    run(appliance, policy.id)
    first, second = backups(appliance)
    engine = appliance.app.open_repository(repository)
    engine.forget(first.id)

    session = rescan(appliance, repository)

    assert session.state is State.WARNING
    assert "The backup of web-1 of 2026-03-02 06:30 UTC is not in the repository any more." in appliance.lines(session.id)
    assert [point.id for point in backups(appliance)] == [second.id]

    engine.recall(first.id)
    session = rescan(appliance, repository)
    assert session.state is State.SUCCESS
    assert "vault: 2 restore points, 1 back." in appliance.lines(session.id)
    assert [point.id for point in backups(appliance)] == [first.id, second.id]


def test_a_damaged_manifest_is_told_and_does_not_keep_the_others_out(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository)
    run(appliance, policy.id)
    appliance.clock.advance(timedelta(hours=1))
    run(appliance, policy.id)
    first, second = backups(appliance)
    name = f"points/{first.id}"
    content = bytearray(appliance.blobs[repository.id].get(name))
    content[-1] ^= 1
    appliance.blobs[repository.id].put(name, bytes(content))
    with appliance.app.store.transaction() as tx:
        tx.policies.remove(policy.id)
    session = rescan(appliance, added_again(appliance, repository))
    assert session.state is State.WARNING
    assert any(f"{first.id}" in line and "cannot be read" in line for line in appliance.lines(session.id))
    assert [point.id for point in backups(appliance)] == [second.id]


def test_a_backup_imported_before_it_could_tell_of_itself_is_one_point(appliance: Appliance) -> None:
    """A rescan between a backup's commit in the repository and its entry in the database."""
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository)
    run(appliance, policy.id)
    (told,) = backups(appliance)
    with appliance.app.store.transaction() as tx:
        tx.points.remove(told.id)
    rescan(appliance, repository)
    (imported,) = backups(appliance)
    assert (imported.id, imported.task_id) == (told.id, None)


@pytest.mark.parametrize("trouble", ["taken over", "another password"])
def test_a_repository_that_cannot_be_opened_says_why_until_it_can(appliance: Appliance, trouble: str) -> None:
    account = appliance.account()
    repository = appliance.repository(account)
    blobs = appliance.blobs[repository.id]
    stranger = uuid4()
    if trouble == "taken over":
        Engine.open(blobs, PASSWORD, clock=appliance.clock, owner=stranger, take_over=True)
    else:
        Engine.open(blobs, PASSWORD, clock=appliance.clock, owner=appliance.app.owner_id()).change_secret("another one")

    session = rescan(appliance, repository)

    assert session.state is State.ERROR
    assert row(appliance, repository).state is RepositoryState.UNAVAILABLE
    assert (str(stranger) if trouble == "taken over" else "password") in (row(appliance, repository).problem or "")

    change = RepositoryChange(take_over=trouble == "taken over", password=None)
    if trouble == "another password":
        change = replace(change, password="another one")
    changed = repositories.update(appliance.app, SYSTEM, repository.id, change)
    assert (changed.state, changed.problem) == (RepositoryState.AVAILABLE, None)
    assert rescan(appliance, repository).state is State.SUCCESS


def test_object_lock_enabled_later_is_told_before_backups_fail(appliance: Appliance) -> None:
    account = appliance.account()
    repository = appliance.repository(account)
    appliance.blobs[repository.id]._facts = BucketFacts(versioning="enabled", object_lock=True)
    session = rescan(appliance, repository)
    assert session.state is State.WARNING
    assert "Object Lock was enabled" in (row(appliance, repository).problem or "")


def test_every_repository_is_rescanned_and_collected_once_a_day(appliance: Appliance) -> None:
    account = appliance.account()
    repository = appliance.repository(account)
    agenda = scheduling.Agenda()
    for _ in range(8):
        scheduling.tick(appliance.app, agenda)
        appliance.work()
        appliance.clock.advance(timedelta(hours=6))
    with appliance.app.store.transaction() as tx:
        where = Where("kind", "eq", SessionKind.REPOSITORY_RESCAN)
        assert tx.sessions.count(Select(where=(where,))) == 2
    assert row(appliance, repository).collected_at is not None


# ---- locked buckets ---------------------------------------------------------------------------------------------------

LOCKED = BucketFacts(versioning="enabled", object_lock=True)


@pytest.mark.parametrize("default_retention", [None, 3])
def test_backup_retention_and_collection_work_on_a_locked_bucket(appliance: Appliance, default_retention: int | None) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account, facts=replace(LOCKED, default_retention=default_retention))
    policy = appliance.policy(account, repository=repository, backup_days=10, snapshots=1, verify=True)
    first = run(appliance, policy.id)
    assert first.state is State.SUCCESS, appliance.lines(first.id)
    (backup,) = backups(appliance)
    assert backup.locked_until is not None
    lock = backup.locked_until - backup.at
    assert timedelta(days=35) <= lock < timedelta(days=35, minutes=1), "retention and the 25 days of a generation"

    for day in range(1, 14):
        appliance.clock.advance(timedelta(days=1))
        appliance.cloud.machines["i-web-1"].volumes["vol-a"][1] = block(f"day {day}")
        session = run(appliance, policy.id)
        assert session.state is State.SUCCESS, appliance.lines(session.id)
        started = maintenance.start_collect_garbage(appliance.app, SYSTEM, repository.id)
        assert started is not None
        appliance.work()
        assert appliance.session(started.id).state is State.SUCCESS, appliance.lines(started.id)

    kept = backups(appliance)
    assert len(kept) == 10, "retention goes on; the locks only keep the data"
    assert {point.locked_until for point in kept} == {backup.locked_until}, "one generation, one expiry"
    with pytest.raises(NotFound):
        appliance.app.open_repository(repository).point(backup.id)


def test_a_locked_point_cannot_be_deleted_by_hand_before_its_lock_ends(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account, facts=LOCKED)
    run(appliance, appliance.policy(account, repository=repository, backup_days=10).id)
    (backup,) = backups(appliance)
    with pytest.raises(Conflict, match="is immutable: its data is locked until"):
        points.delete_points(appliance.app, SYSTEM, [backup.id])
    appliance.clock.advance(timedelta(days=36))
    assert points.delete_points(appliance.app, SYSTEM, [backup.id]) is not None


# ---- the end of a recorded retention ----------------------------------------------------------------------------------


def daily(appliance: Appliance, days: int) -> None:
    agenda = scheduling.Agenda()
    for _ in range(days):
        appliance.clock.advance(timedelta(days=1))
        scheduling.tick(appliance.app, agenda)
        appliance.work()


def test_what_no_policy_looks_after_goes_by_the_retention_it_was_made_with(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account), backup_days=5)
    run(appliance, policy.id)
    with appliance.app.store.transaction() as tx:
        tx.policies.remove(policy.id)
    daily(appliance, 4)
    assert len(backups(appliance)) == 1
    daily(appliance, 2)
    assert backups(appliance) == []
    with appliance.app.store.transaction() as tx:
        gone = tx.points.page(Select(where=(Where("leg", "eq", Leg.BACKUP),), order=(Order("at"),)))
    assert [point.state for point in gone] == [PointState.DELETED]


def test_a_policy_that_protects_the_resource_into_the_repository_overrides_an_imported_retention(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    old = appliance.policy(account, name="old", repository=repository, backup_days=2)
    run(appliance, old.id)
    with appliance.app.store.transaction() as tx:
        tx.policies.remove(old.id)
        for point in points_of(appliance, Leg.SNAPSHOT):
            tx.points.remove(point.id)
    appliance.policy(account, name="new", repository=repository, backup_days=30)
    daily(appliance, 5)
    assert len(backups(appliance)) == 1
