"""The Store contract on PostgreSQL: entities in, entities out; what is refused, and how it is said."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from server.adapters.clock import FakeClock
from server.adapters.db import Database
from server.domain.access import Role
from server.domain.errors import Conflict, NotFound
from server.domain.repository import RepositoryState
from server.domain.restore import PointState
from server.domain.session import Level, State
from server.domain.workload import AccountState
from server.ports import Select, Store, Tx
from tests.contracts import entities
from tests.contracts.entities import NOW, Courier

NOUNS = ["accounts", "resources", "repositories", "policies", "sessions", "tasks", "points", "users", "tokens"]


CHANGES: dict[str, dict[str, Any]] = {
    "accounts": {"state": AccountState.UNAVAILABLE, "problem": "No.", "external_id": "other", "revision": 2},
    "resources": {"tags": {}, "present": False, "size_bytes": 0, "document": {"a": [1, 2.5, None, "ü"]}},
    "repositories": {"state": RepositoryState.UNAVAILABLE, "password": "battery", "stored_bytes": 1 << 50, "revision": 2},
    "policies": {"schedule": None, "description": "Weekly.", "enabled": False, "next_run_at": NOW, "revision": 2},
    "sessions": {"state": State.ERROR, "started_at": NOW, "ended_at": NOW, "reason": "because"},
    "tasks": {"state": State.RUNNING, "started_at": NOW, "stage": "backup", "bytes_read": 1 << 45, "error_code": "THROTTLED"},
    "points": {"state": PointState.DELETING, "stored_bytes": 7},
    "users": {"role": Role.VIEWER, "password_hash": "$argon2id$other"},
    "tokens": {"revoked_at": NOW},
}


# ---- in and out -------------------------------------------------------------------------------------------------------


def test_it_is_a_store(store: Database) -> None:
    port: Store = store
    port.ping()
    with port.transaction() as tx:
        assert tx.accounts.count(Select()) == 0


@pytest.mark.parametrize("noun", NOUNS)
def test_an_entity_comes_back_as_it_was_stored_and_as_it_was_changed(store: Database, noun: str) -> None:
    with store.transaction() as tx:
        made = entities.world(tx)[noun]
    with store.transaction() as tx:
        rows = getattr(tx, noun)
        assert rows.get(made.id) == made
        assert rows.many([made.id, uuid4()]) == {made.id: made}
        changed = replace(made, **CHANGES[noun])
        rows.save(changed)
    with store.transaction() as tx:
        assert getattr(tx, noun).get(made.id) == changed
        assert getattr(tx, noun).page(Select()) == [changed]


@pytest.mark.parametrize("noun", NOUNS)
def test_what_is_not_there_is_not_found(store: Database, noun: str) -> None:
    with store.transaction() as tx:
        made = entities.world(tx)[noun]
        stranger = replace(made, id=uuid4())
        rows = getattr(tx, noun)
        for attempt, argument in ((rows.get, stranger.id), (rows.save, stranger), (rows.remove, stranger.id)):
            with pytest.raises(NotFound) as caught:
                attempt(argument)
            assert caught.value.remedy
        assert rows.many([]) == {}


def test_find_takes_equal_values_none_and_names_in_any_case(store: Database) -> None:
    home, other = entities.home(name="Home"), entities.account(name="Straße")
    with store.transaction() as tx:
        tx.accounts.add(home)
        tx.accounts.add(other)
        assert tx.accounts.find(role_arn=None) == home
        assert tx.accounts.find(name="HOME") == home
        assert tx.accounts.find(name="straße", state=AccountState.UNCHECKED) == other
        assert tx.accounts.find(name="home", state=AccountState.AVAILABLE) is None


def test_many_entities_are_put_at_once_new_and_known(store: Database) -> None:
    owner = entities.account()
    first = [entities.resource(owner) for _ in range(1200)]
    with store.transaction() as tx:
        tx.accounts.add(owner)
        tx.resources.put(first[:800])
    later = [replace(item, state="stopped", document={"n": number}) for number, item in enumerate(first)]
    with store.transaction() as tx:
        tx.resources.put(later)
        tx.resources.put([])
    with store.transaction() as tx:
        assert tx.resources.many(item.id for item in first) == {item.id: item for item in later}


def test_putting_what_another_row_already_is_conflicts(store: Database) -> None:
    with store.transaction() as tx:
        known = entities.added_resource(tx)
        with pytest.raises(Conflict) as caught:
            tx.resources.put([replace(known, id=uuid4())])
        assert list(caught.value.fields) == ["awsId"]
        assert tx.resources.get(known.id) == known


# ---- transactions -----------------------------------------------------------------------------------------------------


def test_an_error_undoes_the_whole_transaction_and_nothing_is_sent(store: Database, courier: Courier) -> None:
    made, ran = entities.session(), list[str]()

    def work(tx: Tx) -> None:
        tx.sessions.add(made)
        tx.tasks.add(entities.task(made))
        tx.activity.append(at=NOW, kind="session", subject_id=made.id, change="created", message="x")
        tx.after_commit(lambda: ran.append("ran"))
        raise LookupError

    with pytest.raises(LookupError):
        store.run(work)
    with store.transaction() as tx:
        assert tx.sessions.count(Select()) == 0
    assert (courier.sent, courier.woken, ran) == ([], [], [])


def test_after_commit_tasks_are_sent_with_their_delay_and_readers_are_woken(
    store: Database, courier: Courier, clock: FakeClock
) -> None:
    made = entities.session()
    now, soon, late = (entities.task(made, due_at=NOW + timedelta(seconds=s)) for s in (-5, 0, 90))
    resting = entities.task(made, due_at=None)
    with store.transaction() as tx:
        tx.sessions.add(made)
        for task in (now, soon, late, resting):
            tx.tasks.add(task)
        tx.events.append(made.id, Level.INFO, "begun", at=NOW)
        tx.events.append(made.id, Level.INFO, "going on", at=NOW)
        tx.activity.append(at=NOW, kind="session", subject_id=made.id, change="created", message="x")
        assert (courier.sent, courier.woken) == ([], [])
    assert courier.sent == [(now.id, timedelta(0)), (soon.id, timedelta(0)), (late.id, timedelta(seconds=90))]
    assert courier.woken == [f"session:{made.id}", "activity"]


def test_what_fails_after_commit_is_logged_and_not_raised(
    store: Database, courier: Courier, caplog: pytest.LogCaptureFixture
) -> None:
    courier.broken = True
    made, ran = entities.session(), list[str]()

    def explode() -> None:
        raise RuntimeError("too late to matter")

    with store.transaction() as tx:
        tx.sessions.add(made)
        tx.tasks.add(entities.task(made))
        tx.after_commit(explode)
        tx.after_commit(lambda: ran.append("ran"))
    assert ran == ["ran"]
    assert len(caplog.records) == 2
    with store.transaction() as tx:
        assert tx.sessions.get(made.id) == made


@pytest.mark.parametrize("many", [False, True], ids=["one row", "many rows"])
def test_a_locked_row_waits_for_the_other_transaction(store: Database, many: bool) -> None:
    made = entities.session()
    with store.transaction() as tx:
        tx.sessions.add(made)
    seen: list[str] = []
    started = threading.Event()

    def second() -> None:
        with store.transaction() as tx:
            started.set()
            found = tx.sessions.many([made.id], lock=True)[made.id] if many else tx.sessions.get(made.id, lock=True)
            seen.append(found.reason)

    with store.transaction() as tx:
        tx.sessions.get(made.id, lock=True)
        thread = threading.Thread(target=second)
        thread.start()
        assert started.wait(30)
        with store.transaction() as third:
            third.tasks.add(entities.task(made))  # referring to a locked row is not held up
        tx.sessions.save(replace(made, reason="first"))
        assert seen == []
    thread.join(30)
    assert seen == ["first"]


def test_only_one_transaction_at_a_time_is_single(store: Database) -> None:
    with store.transaction() as first, store.transaction() as second:
        assert first.single("tick")
        assert not second.single("tick")
        assert second.single("tock")
        assert first.single("tick")
    with store.transaction() as third:
        assert third.single("tick")


def test_work_that_loses_a_deadlock_is_repeated(store: Database) -> None:
    pair = [entities.session(), entities.session()]
    with store.transaction() as tx:
        for made in pair:
            tx.sessions.add(made)
    both_hold_one = threading.Barrier(2)
    tries = [0, 0]

    def crossing(number: int) -> None:
        def work(tx: Tx) -> None:
            tries[number] += 1
            tx.sessions.get(pair[number].id, lock=True)
            if tries[number] == 1:
                both_hold_one.wait(30)
            tx.sessions.get(pair[1 - number].id, lock=True)

        store.run(work)

    entities.together(2, crossing)
    assert sorted(tries) == [1, 2]


def test_work_that_is_refused_is_not_repeated(store: Database) -> None:
    tries = []

    def work(tx: Tx) -> None:
        tries.append(tx)
        tx.sessions.get(uuid4())

    with pytest.raises(NotFound):
        store.run(work)
    assert len(tries) == 1
    assert store.run(lambda tx: tx.sessions.count(Select())) == 0


# ---- small things kept --------------------------------------------------------------------------------------------------


def test_an_answer_is_kept_per_user_mutation_and_key(store: Database) -> None:
    ada, bob = entities.user(), entities.user()
    with store.transaction() as tx:
        for made in (ada, bob):
            tx.users.add(made)
        tx.replies.put(ada.id, "createPolicy", "k1", {"policy": "p"}, at=NOW)
        with pytest.raises(Conflict) as caught:
            tx.replies.put(ada.id, "createPolicy", "k1", {"policy": "q"}, at=NOW)
        assert list(caught.value.fields) == ["clientMutationId"]
        assert tx.replies.get(ada.id, "createPolicy", "k1") == {"policy": "p"}
        for other in ((bob.id, "createPolicy", "k1"), (ada.id, "deletePolicy", "k1"), (ada.id, "createPolicy", "k2")):
            assert tx.replies.get(*other) is None
        tx.replies.put(bob.id, "createPolicy", "k1", {}, at=NOW + timedelta(days=8))
        assert tx.replies.get(ada.id, "createPolicy", "k1") is None


def test_failures_are_counted_by_key_and_time_until_cleared(store: Database) -> None:
    with store.transaction() as tx:
        for minute in (0, 1, 2):
            tx.throttle.fail("name:ada", at=NOW + timedelta(minutes=minute))
        tx.throttle.fail("x" * 100_000, at=NOW)
        assert tx.throttle.failures("name:ada", since=NOW + timedelta(minutes=1)) == (2, NOW + timedelta(minutes=2))
        assert tx.throttle.failures("name:bob", since=NOW) == (0, None)
        tx.throttle.clear("name:ada")
        assert tx.throttle.failures("name:ada", since=NOW) == (0, None)
        assert tx.throttle.failures("x" * 100_000, since=NOW) == (1, NOW)
        tx.throttle.fail("name:bob", at=NOW + timedelta(days=2))
        assert tx.throttle.failures("x" * 100_000, since=NOW) == (0, None)


def test_a_secret_is_made_once_even_by_many_at_once(store: Database) -> None:
    values: list[bytes] = []

    def ask(_number: int) -> None:
        with store.transaction() as tx:
            values.append(tx.secret("appliance-id", lambda: uuid4().bytes))

    entities.together(6, ask)
    assert len(values) == 6
    assert len(set(values)) == 1
    with store.transaction() as tx:
        assert UUID(bytes=tx.secret("appliance-id", lambda: b"never used")).bytes == values[0]
