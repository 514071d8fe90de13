"""What is said of points is so: nothing is called whole, proven or lost without a look at it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from server.domain.access import SYSTEM
from server.domain.health import CheckLevel
from server.domain.immutability import BucketFacts
from server.domain.repository import Repository
from server.domain.restore import Health, Leg, RestorePoint
from server.domain.session import State
from server.repository import findings, layout
from server.services import archives, archiving, maintenance, repository_rescans, verification
from tests.services.engine.archive_estate import QUICK, Estate
from tests.services.engine.harness import Appliance, Killed
from tests.services.engine.test_protection import DISK, block, run
from tests.services.engine.test_protection import points as points_of
from tests.services.engine.test_repository_rescans import added_again, rescan
from tests.services.engine.test_restores import finished

LOCKED = BucketFacts(versioning="enabled", object_lock=True)


def backups(appliance: Appliance) -> list[RestorePoint]:
    return points_of(appliance, Leg.BACKUP)


def check(appliance: Appliance, repository: Repository, level: CheckLevel) -> State:
    session = maintenance.start_check(appliance.app, SYSTEM, repository.id, level=level)
    assert session is not None
    appliance.work()
    return appliance.session(session.id).state


def test_a_check_that_ended_early_calls_no_point_whole(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    account = appliance.account()
    repository = appliance.repository(account)
    for name in ("web-1", "web-2"):
        appliance.machine(account, name, {f"vol-{name}": {index: block(f"{name} {index}") for index in range(4)}})
    run(appliance, appliance.policy(account, repository=repository).id)
    blobs = appliance.blobs[repository.id]
    for name in appliance.packs(repository):
        blobs.put(name, blobs.get(name)[:60])
    assert check(appliance, repository, CheckLevel.STRUCTURE) is State.ERROR
    assert [point.health for point in backups(appliance)] == [Health.INCOMPLETE] * 2
    monkeypatch.setattr(findings, "MAX_FINDINGS", 2)
    assert check(appliance, repository, CheckLevel.STRUCTURE) is State.ERROR
    assert [point.health for point in backups(appliance)] == [Health.INCOMPLETE] * 2


def test_a_point_whose_manifest_is_gone_is_not_healed_by_a_check(appliance: Appliance) -> None:
    account = appliance.account()
    repository = appliance.repository(account)
    appliance.machine(account, "web-1", {"vol-a": DISK})
    run(appliance, appliance.policy(account, repository=repository).id)
    (backup,) = backups(appliance)
    appliance.spoil(repository, appliance.packs(repository))
    check(appliance, repository, CheckLevel.CONTENT)
    appliance.blobs[repository.id].delete([layout.point(backup.id)])
    check(appliance, repository, CheckLevel.STRUCTURE)
    assert [point.health for point in backups(appliance)] == [Health.INCOMPLETE]


# ---- proofs -----------------------------------------------------------------------------------------------------------


def test_what_was_never_proven_is_read_whole_before_an_increment_on_it_is(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": {256 * leaf: block(f"leaf {leaf}") for leaf in range(8)}})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository)
    run(appliance, policy.id)
    appliance.spoil(repository, appliance.packs(repository))  # and no check has noticed
    with appliance.app.store.transaction() as tx:
        current = tx.policies.get(policy.id)
        tx.policies.save(replace(current, verify=True, revision=current.revision + 1))
    appliance.clock.advance(timedelta(days=1))
    session = run(appliance, policy.id)
    assert session.state is not State.SUCCESS, appliance.lines(session.id)
    assert backups(appliance)[-1].proven_at is None


def test_nothing_is_proven_of_a_source_that_nobody_here_saw(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository)
    run(appliance, policy.id)
    with appliance.app.store.transaction() as tx:
        tx.policies.remove(policy.id)
    rescan(appliance, added_again(appliance, repository))
    (imported,) = backups(appliance)
    session = verification.start_verification(appliance.app, SYSTEM, [imported.id])
    assert session is not None
    appliance.work()
    assert appliance.session(session.id).state is State.SUCCESS
    assert backups(appliance)[0].proven_at is None
    assert any("what the source held is not known" in line for line in appliance.lines(session.id))


# ---- archives ---------------------------------------------------------------------------------------------------------


def test_an_archive_that_a_rescan_told_of_first_stays(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    appliance, real, first = estate.appliance, archiving._registered, iter([True])

    def killed_once(*arguments: Any) -> Any:
        if next(first, False):
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(archiving, "_registered", killed_once)
    (backup,) = points_of(appliance, Leg.BACKUP)
    started = archives.archive_points(appliance.app, SYSTEM, [backup.id], estate.archive.id, keep_days=365)
    assert started is not None
    with pytest.raises(Killed):
        appliance.work()
    appliance.jobs.lose()
    session = repository_rescans.start_rescan(appliance.app, SYSTEM, estate.archive.id)
    assert session is not None
    appliance.work(limit=timedelta(seconds=5))
    assert len(estate.archived()) == 1
    assert finished(appliance, started.id).state is State.SUCCESS, estate.lines(started.id)
    (point,) = estate.archived()
    assert point.content_roots
    restored = estate.restore(point, retrieval_mode=QUICK)
    assert finished(appliance, restored).state is State.SUCCESS, estate.lines(restored)


# ---- locked buckets ---------------------------------------------------------------------------------------------------


def test_a_repository_that_somebody_deleted_is_brought_back(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account, facts=LOCKED)
    run(appliance, appliance.policy(account, repository=repository).id)
    before = backups(appliance)
    blobs = appliance.blobs[repository.id]
    everything = [blob.name for blob in blobs.list()]
    for name in everything:
        blobs.hide(name)
    session = rescan(appliance, repository)
    assert session.state is State.SUCCESS, appliance.lines(session.id)
    assert f"vault: {len(everything)} objects deleted by others brought back." in appliance.lines(session.id)
    assert [point.id for point in backups(appliance)] == [point.id for point in before]
    assert check(appliance, repository, CheckLevel.CONTENT) is State.SUCCESS


@pytest.mark.parametrize("prefix", [layout.CONFIG, layout.KEYS])
def test_what_opens_a_repository_is_found_under_what_was_put_over_it(appliance: Appliance, prefix: str) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account, facts=LOCKED)
    run(appliance, appliance.policy(account, repository=repository).id)
    blobs = appliance.blobs[repository.id]
    for name in [blob.name for blob in blobs.list(prefix)]:
        blobs.put(name, b"pay")
    # What is open is kept open: as after a restart.
    again = replace(repository, id=uuid4(), name="restarted", location="as before")
    appliance.blobs[again.id] = blobs
    with appliance.app.store.transaction() as tx:
        tx.repositories.add(again)
    session = rescan(appliance, again)
    assert session.state is State.SUCCESS, appliance.lines(session.id)
