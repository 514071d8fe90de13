"""Health checks of policies and checks of repositories: when they run, what they find and whom they tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.domain.access import SYSTEM, Caller, Role
from server.domain.errors import Conflict, Forbidden, InvalidInput
from server.domain.health import CheckLevel
from server.domain.immutability import BucketFacts
from server.domain.periods import Ordinal, Weekday
from server.domain.policy import HealthCheck
from server.domain.repository import StorageClass
from server.domain.restore import Health, Leg
from server.domain.session import Session, SessionKind, State
from server.ports import BLOCK_SIZE, Order, Select, Where
from server.services import checks, health_checks, maintenance, scheduling
from tests.services.engine.harness import Appliance, daily
from tests.services.engine.test_protection import DISK, block, run
from tests.services.engine.test_protection import points as points_of

SUNDAY = datetime(2026, 3, 29, 6, 30, tzinfo=UTC)  # the last of its month
PLAN = HealthCheck(ordinal=Ordinal.LAST, weekday=Weekday.SUNDAY)
SEVEN = daily((7, 19), backup=(7, 19))


def sessions(appliance: Appliance, kind: SessionKind) -> list[Session]:
    with appliance.app.store.transaction() as tx:
        return tx.sessions.page(Select(where=(Where("kind", "eq", kind),), order=(Order("created_at"),)))


def pass_time(appliance: Appliance, until: datetime) -> None:
    """Tick and work every quarter of an hour."""
    agenda = scheduling.Agenda()
    while appliance.clock.now() < until:
        scheduling.tick(appliance.app, agenda)
        appliance.work()
        appliance.clock.set(max(appliance.clock.now(), min(until, appliance.clock.now() + timedelta(minutes=15))))


def test_it_follows_the_first_session_of_its_day_once(appliance: Appliance) -> None:
    appliance.clock.set(SUNDAY - timedelta(days=1))
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account), schedule=SEVEN, health_check=PLAN)

    pass_time(appliance, SUNDAY + timedelta(minutes=20))
    assert sessions(appliance, SessionKind.HEALTH_CHECK) == [], "Saturday's runs are over; Sunday's first has not begun"
    pass_time(appliance, SUNDAY + timedelta(days=1))

    (check,) = sessions(appliance, SessionKind.HEALTH_CHECK)
    runs = sessions(appliance, SessionKind.POLICY_RUN)
    first = next(each for each in runs if each.created_at >= SUNDAY)
    assert first.ended_at is not None
    assert first.ended_at <= check.created_at < first.ended_at + timedelta(minutes=16)
    assert check.policy_id == policy.id
    assert check.state is State.SUCCESS, appliance.lines(check.id)
    assert check.name == "Health check of gold"
    told = appliance.lines(check.id)
    assert "vault: no damage found; every pack is there, and one of 12 shares of the blocks was read." in told


def test_damage_makes_points_incomplete_and_the_next_backup_heals(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    policy = appliance.policy(account, repository=repository)
    run(appliance, policy.id)
    (doomed,) = appliance.packs(repository)
    appliance.blobs[repository.id].delete([doomed])

    session = health_checks.start_health_check(appliance.app, SYSTEM, policy.id)
    assert session is not None
    appliance.work()

    assert appliance.session(session.id).state is State.ERROR
    (backup,) = points_of(appliance, Leg.BACKUP)
    assert backup.health is Health.INCOMPLETE
    told = "\n".join(appliance.lines(session.id))
    assert doomed in told
    assert "The backup of web-1 of 2026-03-02 06:30 UTC cannot be restored whole: disk vol-a, bytes 0 to" in told
    assert "1 restore point incomplete" in told

    appliance.clock.advance(timedelta(hours=12))
    healing = run(appliance, policy.id)
    assert healing.state is State.SUCCESS, appliance.lines(healing.id)
    assert [each.health for each in points_of(appliance, Leg.BACKUP)] == [Health.HEALTHY] * 2
    again = health_checks.start_health_check(appliance.app, SYSTEM, policy.id)
    assert again is not None
    appliance.work()
    assert appliance.session(again.id).state is State.SUCCESS, appliance.lines(again.id)


def test_it_is_started_by_hand_by_operators_when_there_is_something_to_check(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    policy = appliance.policy(account, repository=appliance.repository(account))
    with pytest.raises(InvalidInput, match="no backups to check"):
        health_checks.start_health_check(appliance.app, SYSTEM, policy.id)
    run(appliance, policy.id)
    viewer = Caller(user_id=None, name="eve", role=Role.VIEWER)
    with pytest.raises(Forbidden):
        health_checks.start_health_check(appliance.app, viewer, policy.id)
    assert health_checks.start_health_check(appliance.app, SYSTEM, policy.id, dry_run=True) is None
    health_checks.start_health_check(appliance.app, SYSTEM, policy.id)
    with pytest.raises(Conflict, match="running already"):
        health_checks.start_health_check(appliance.app, SYSTEM, policy.id)


# ---- checks of a repository -------------------------------------------------------------------------------------------


def check(appliance: Appliance, repository_id: object, level: CheckLevel, shares: int = 1) -> Session:
    session = maintenance.start_check(appliance.app, SYSTEM, repository_id, level=level, shares=shares)  # type: ignore[arg-type]  # an id
    assert session is not None
    appliance.work()
    return appliance.session(session.id)


@pytest.mark.parametrize("level", CheckLevel)
def test_a_sound_repository_passes_on_every_level(appliance: Appliance, level: CheckLevel) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    run(appliance, appliance.policy(account, repository=repository).id)
    session = check(appliance, repository.id, level)
    assert session.state is State.SUCCESS, appliance.lines(session.id)
    with appliance.app.store.transaction() as tx:
        assert tx.repositories.get(repository.id).checked_at == session.ended_at


def test_a_flipped_bit_is_found_by_reading_and_by_nothing_less(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account)
    run(appliance, appliance.policy(account, repository=repository).id)
    appliance.spoil(repository, appliance.packs(repository))
    assert check(appliance, repository.id, CheckLevel.AVAILABLE).state is State.SUCCESS
    session = check(appliance, repository.id, CheckLevel.CONTENT)
    assert session.state is State.ERROR
    (backup,) = points_of(appliance, Leg.BACKUP)
    assert backup.damage is not None
    assert [(each.disk_id, each.end - each.start) for each in backup.damage.ranges] == [("vol-a", BLOCK_SIZE)]
    once_more = check(appliance, repository.id, CheckLevel.STRUCTURE)
    assert once_more.state is State.ERROR, "what is known to be damaged is read again on every level"


def test_daily_checks_of_a_share_find_all_damage_within_as_many_days(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": {index: block(f"{index}") for index in range(6)}})
    repository = appliance.repository(account)
    run(appliance, appliance.policy(account, repository=repository).id)
    appliance.spoil(repository, appliance.packs(repository))
    states = []
    for _ in range(4):
        states.append(check(appliance, repository.id, CheckLevel.CONTENT, shares=4).state)
        appliance.clock.advance(timedelta(days=1))
    assert State.ERROR in states
    (backup,) = points_of(appliance, Leg.BACKUP)
    assert backup.health is Health.INCOMPLETE


def test_a_check_in_many_passes_goes_on_between_them(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PASS_BYTES", 1 << 10)
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": {index: block(f"{index}") for index in range(6)}})
    repository = appliance.repository(account)
    run(appliance, appliance.policy(account, repository=repository).id)
    appliance.spoil(repository, appliance.packs(repository))
    session = check(appliance, repository.id, CheckLevel.CONTENT)
    (task,) = appliance.tasks(session.id)
    assert session.state is State.ERROR
    assert task.document["result"] == {"problems": 1, "incompletePoints": 1, "healedPoints": 0}, "met in many passes, told once"
    assert sum("is damaged" in line for line in appliance.lines(session.id)) == 1, appliance.lines(session.id)


def test_what_somebody_deleted_in_a_locked_bucket_is_brought_back(appliance: Appliance) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    repository = appliance.repository(account, facts=BucketFacts(versioning="enabled", object_lock=True))
    run(appliance, appliance.policy(account, repository=repository).id)
    (hidden,) = appliance.packs(repository)
    appliance.blobs[repository.id].hide(hidden)
    assert appliance.packs(repository) == set()
    session = check(appliance, repository.id, CheckLevel.AVAILABLE)
    assert session.state is State.SUCCESS, appliance.lines(session.id)
    assert "vault: 1 object deleted or overwritten by others brought back." in appliance.lines(session.id)
    assert appliance.packs(repository) == {hidden}


def test_archives_are_not_read_and_only_content_has_shares(appliance: Appliance) -> None:
    account = appliance.account()
    cold = appliance.repository(account, "cold", storage_class=StorageClass.GLACIER)
    with pytest.raises(InvalidInput, match="archived"):
        maintenance.start_check(appliance.app, SYSTEM, cold.id, level=CheckLevel.CONTENT)
    with pytest.raises(InvalidInput, match="share") as caught:
        maintenance.start_check(appliance.app, SYSTEM, cold.id, level=CheckLevel.STRUCTURE, shares=3)
    assert "shares" in caught.value.fields
    assert maintenance.start_check(appliance.app, SYSTEM, cold.id, level=CheckLevel.AVAILABLE, dry_run=True) is None
    maintenance.start_check(appliance.app, SYSTEM, cold.id, level=CheckLevel.AVAILABLE)
    with pytest.raises(Conflict, match="running already"):
        maintenance.start_check(appliance.app, SYSTEM, cold.id, level=CheckLevel.AVAILABLE)
