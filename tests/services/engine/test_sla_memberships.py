"""Who belongs to which policy since when: joining and leaving, told once, written only when something changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from server.adapters.db import Database
from server.domain.access import SYSTEM
from server.domain.errors import NotFound
from server.domain.policy import Policy
from server.domain.promises import Membership
from server.domain.workload import Account, Resource
from server.ports import Order, Select
from server.services import memberships, rescans
from server.services.memberships import Change
from tests.services.engine.harness import BEGIN, Appliance, build

WRITES = ("INSERT", "UPDATE", "DELETE")


@pytest.fixture
def made(database_url: str) -> Iterator[tuple[Appliance, Database]]:
    appliance, database = build(database_url)
    yield appliance, database
    database.close()


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The SQL statements of the block, savepoints left out."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE")):
            seen.append(statement)

    event.listen(database._engine, "before_cursor_execute", note)
    yield seen
    event.remove(database._engine, "before_cursor_execute", note)


def servers(appliance: Appliance, account: Account, count: int, region: str = "us-east-1") -> list[Resource]:
    found = [
        Resource(
            id=uuid4(),
            account_id=account.id,
            workload=appliance.cloud.workload.kind,
            region=region,
            aws_id=f"i-{region}-{number:05}",
            name=f"server-{number:05}",
            tags={},
            state="running",
            size_bytes=1,
            document={},
            first_seen_at=BEGIN,
            last_seen_at=BEGIN,
        )
        for number in range(count)
    ]
    with appliance.app.store.transaction() as tx:
        tx.resources.put(found)
    return found


def refresh(appliance: Appliance, policy: Policy, *covered: Resource, hours: int = 0) -> Change:
    with appliance.app.store.transaction() as tx:
        return memberships.refresh(tx, policy, [one.id for one in covered], BEGIN + timedelta(hours=hours))


def stretches(appliance: Appliance) -> list[Membership]:
    with appliance.app.store.transaction() as tx:
        return tx.memberships.page(Select(order=(Order("joined_at"),), limit=1000))


def lines(appliance: Appliance) -> list[str]:
    with appliance.app.store.transaction() as tx:
        return [one.message for one in tx.activity.after(None, 100)]


def test_resources_join_and_leave_and_it_is_told(made: tuple[Appliance, Database]) -> None:
    appliance, _ = made
    account = appliance.account()
    policy = appliance.policy(account)
    one, two = servers(appliance, account, 2)
    assert refresh(appliance, policy, one) == Change(joined=1)
    assert refresh(appliance, policy, two, hours=1) == Change(joined=1, left=1)
    assert refresh(appliance, policy, two, hours=2) == Change()
    assert refresh(appliance, policy, one, two, hours=3) == Change(joined=1)
    hours = [(one.resource_id, one.joined_at - BEGIN, one.left_at and one.left_at - BEGIN) for one in stretches(appliance)]
    assert hours == [
        (one.id, timedelta(0), timedelta(hours=1)),
        (two.id, timedelta(hours=1), None),
        (one.id, timedelta(hours=3), None),
    ]
    assert lines(appliance) == [
        "server-00000 joined the policy gold.",
        "server-00001 joined the policy gold.",
        "server-00000 left the policy gold.",
        "server-00000 joined the policy gold.",
    ]


def test_ten_thousand_join_in_a_handful_of_statements_and_staying_writes_nothing(
    made: tuple[Appliance, Database],
) -> None:
    appliance, database = made
    account = appliance.account()
    policy = appliance.policy(account)
    many = servers(appliance, account, 10_000)
    with counted(database) as statements:
        assert refresh(appliance, policy, *many) == Change(joined=10_000)
    assert len(statements) <= 5, statements
    assert [len(lines(appliance)), lines(appliance)[0].endswith("and 9997 more joined the policy gold.")] == [1, True]
    with counted(database) as statements:
        assert refresh(appliance, policy, *many, hours=1) == Change()
    assert len(statements) == 2
    assert not [one for one in statements if one.startswith(WRITES)]


def test_a_disabled_policy_has_no_members(made: tuple[Appliance, Database]) -> None:
    appliance, _ = made
    account = appliance.account()
    policy = appliance.policy(account)
    (one,) = servers(appliance, account, 1)
    refresh(appliance, policy, one)
    assert refresh(appliance, replace(policy, enabled=False), one, hours=1) == Change(left=1)


def test_only_the_resources_looked_at_change(made: tuple[Appliance, Database]) -> None:
    appliance, _ = made
    account = appliance.account()
    policy = appliance.policy(account)
    here, there = servers(appliance, account, 1)[0], servers(appliance, account, 1, "eu-west-1")[0]
    refresh(appliance, policy, here, there)
    with appliance.app.store.transaction() as tx:
        assert memberships.refresh(tx, policy, [], BEGIN, among=[here.id]) == Change(left=1)
    assert [one.resource_id for one in stretches(appliance) if one.left_at is None] == [there.id]


def test_a_run_planned_before_somebody_joined_does_not_turn_time_around(made: tuple[Appliance, Database]) -> None:
    """``now`` of a run is the moment it was planned for."""
    appliance, _ = made
    account = appliance.account()
    policy = appliance.policy(account)
    (one,) = servers(appliance, account, 1)
    refresh(appliance, policy, one, hours=1)
    assert refresh(appliance, policy) == Change(left=1)
    (stretch,) = stretches(appliance)
    assert stretch.left_at == stretch.joined_at


def test_a_policy_that_is_gone_has_no_members(made: tuple[Appliance, Database]) -> None:
    appliance, _ = made
    policy = appliance.policy(appliance.account())
    with appliance.app.store.transaction() as tx:
        tx.policies.remove(policy.id)
    with pytest.raises(NotFound):
        refresh(appliance, policy)


def test_a_rescan_lets_what_is_new_join_and_what_is_gone_leave(made: tuple[Appliance, Database]) -> None:
    appliance, _ = made
    account = appliance.account()
    first, second = appliance.policy(account, name="first"), appliance.policy(account, name="second", priority=2)
    for name in ("web-1", "web-2"):
        appliance.cloud.add_machine(name, {}, tags={})

    def rescan() -> dict[UUID, UUID]:
        rescans.start_rescan(appliance.app, SYSTEM, account.id, regions=["us-east-1"])
        appliance.work()
        return {one.resource_id: one.policy_id for one in stretches(appliance) if one.left_at is None}

    found = rescan()
    assert list(found.values()) == [first.id, first.id], "the second comes after the first"
    del appliance.cloud.machines["i-web-2"]
    assert len(rescan()) == 1
    with appliance.app.store.transaction() as tx:
        tx.policies.save(replace(tx.policies.get(first.id), enabled=False, revision=2))
    assert list(rescan().values()) == [second.id]
