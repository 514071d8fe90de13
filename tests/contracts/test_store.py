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
from server.domain.errors import Conflict, InvalidInput, NotFound
from server.domain.policy import TagMatch
from server.domain.repository import RepositoryState, StorageKind
from server.domain.restore import Leg, PointState
from server.domain.session import Level, SessionKind, State, TaskKind
from server.domain.workload import AccountState
from server.ports import Select, Store, Tx, Where
from tests.contracts import entities
from tests.contracts.entities import NOW, Courier

NOUNS = ["accounts", "resources", "repositories", "policies", "sessions", "tasks", "points", "users", "tokens"]


def world(tx: Tx) -> dict[str, Any]:
    """One entity of every kind, stored, with references between them."""
    made: dict[str, Any] = {"accounts": entities.account(), "users": entities.user()}
    made["resources"] = entities.resource(made["accounts"])
    made["repositories"] = entities.repository(made["accounts"])
    made["policies"] = entities.policy(made["accounts"], repository_id=made["repositories"].id)
    made["sessions"] = entities.session(policy_id=made["policies"].id, key="run-1")
    made["tasks"] = entities.task(made["sessions"], kind=TaskKind.PROTECT, resource_id=made["resources"].id)
    made["points"] = entities.point(
        made["resources"],
        leg=Leg.BACKUP,
        repository_id=made["repositories"].id,
        policy_id=made["policies"].id,
        session_id=made["sessions"].id,
        task_id=made["tasks"].id,
    )
    made["tokens"] = entities.token(made["users"])
    for noun in ("accounts", "users", "resources", "repositories", "policies", "sessions", "tasks", "points", "tokens"):
        getattr(tx, noun).add(made[noun])
    return made


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
        made = world(tx)[noun]
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
        made = world(tx)[noun]
        stranger = replace(made, id=uuid4())
        rows = getattr(tx, noun)
        for attempt in (lambda: rows.get(stranger.id), lambda: rows.save(stranger), lambda: rows.remove(stranger.id)):
            with pytest.raises(NotFound) as caught:
                attempt()
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
    with pytest.raises(LookupError), store.transaction() as tx:
        tx.sessions.add(made)
        tx.tasks.add(entities.task(made))
        tx.activity.append(at=NOW, kind="session", subject_id=made.id, change="created", message="x")
        tx.after_commit(lambda: ran.append("ran"))
        raise LookupError
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


def test_a_locked_row_waits_for_the_other_transaction(store: Database) -> None:
    made = entities.session()
    with store.transaction() as tx:
        tx.sessions.add(made)
    seen: list[str] = []
    started = threading.Event()

    def second() -> None:
        with store.transaction() as tx:
            started.set()
            seen.append(tx.sessions.get(made.id, lock=True).reason)

    with store.transaction() as tx:
        tx.sessions.get(made.id, lock=True)
        thread = threading.Thread(target=second)
        thread.start()
        assert started.wait(30)
        tx.tasks.add(entities.task(made))  # referring to a locked row is not held up
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


# ---- refused changes ----------------------------------------------------------------------------------------------------


def twins(tx: Tx) -> dict[str, tuple[Any, Any, str]]:
    """Per unique rule: a collection, a second entity that breaks it, and the field to blame."""
    made = world(tx)
    owner, thing, run = made["accounts"], made["resources"], made["sessions"]
    tx.accounts.add(entities.home())
    tx.points.add(entities.point(thing, base=True))
    store, job = made["repositories"], made["tasks"]
    return {
        "account name": (tx.accounts, entities.account(name=owner.name.upper()), "name"),
        "second home": (tx.accounts, entities.home(), "roleArn"),
        "role": (tx.accounts, entities.account(role_arn=owner.role_arn), "roleArn"),
        "resource": (tx.resources, replace(thing, id=uuid4()), "awsId"),
        "repository name": (tx.repositories, entities.repository(owner, name=store.name.upper()), "name"),
        "repository place": (tx.repositories, entities.repository(owner, location=store.location), "location"),
        "policy name": (tx.policies, entities.policy(owner, name=made["policies"].name.upper()), "name"),
        "session key": (tx.sessions, entities.session(key=run.key), "key"),
        "live protect task": (tx.tasks, replace(job, id=uuid4()), "resourceId"),
        "point of task": (tx.points, replace(made["points"], id=uuid4()), "taskId"),
        "base": (tx.points, entities.point(thing, base=True), "base"),
        "user name": (tx.users, entities.user(name=made["users"].name.upper()), "name"),
        "token": (tx.tokens, entities.token(made["users"], secret_hash=made["tokens"].secret_hash), "secretHash"),
        "id": (tx.users, entities.user(id=made["users"].id), "id"),
    }


TWINS = [
    "account name", "second home", "role", "resource", "repository name", "repository place", "policy name", "session key",
    "live protect task", "point of task", "base", "user name", "token", "id",
]  # fmt: skip


@pytest.mark.parametrize("rule", TWINS)
def test_a_second_of_what_is_unique_conflicts_and_the_transaction_goes_on(store: Database, rule: str) -> None:
    with store.transaction() as tx:
        cases = twins(tx)
        assert list(cases) == TWINS
        rows, second, blamed = cases[rule]
        before = rows.count(Select())
        with pytest.raises(Conflict) as caught:
            rows.add(second)
        assert list(caught.value.fields) == [blamed]
        assert rows.count(Select()) == before


def test_two_who_start_the_same_session_at_once_get_one(store: Database) -> None:
    won: list[int] = []

    def start(number: int) -> None:
        with store.transaction() as tx:
            try:
                tx.sessions.add(entities.session(key="slot"))
                won.append(number)
            except Conflict:
                assert tx.sessions.find(key="slot") is not None

    entities.together(6, start)
    assert len(won) == 1


def test_a_resource_may_be_protected_again_once_the_first_attempt_is_final(store: Database) -> None:
    with store.transaction() as tx:
        made = world(tx)
        job = made["tasks"]
        tx.tasks.save(replace(job, state=State.ERROR, due_at=None, ended_at=NOW))
        tx.tasks.add(replace(job, id=uuid4(), position=1))


def test_a_stale_revision_conflicts(store: Database) -> None:
    with store.transaction() as tx:
        made = world(tx)["policies"]
        tx.policies.save(replace(made, description="mine", revision=2))
        with pytest.raises(Conflict) as caught:
            tx.policies.save(replace(made, description="yours", revision=2))
        assert list(caught.value.fields) == ["revision"]
        with pytest.raises(Conflict):
            tx.policies.save(replace(made, description="yours", revision=1))
        assert tx.policies.get(made.id).description == "mine"


@pytest.mark.parametrize("noun", ["accounts", "repositories", "resources"])
def test_what_others_refer_to_cannot_be_removed(store: Database, noun: str) -> None:
    with store.transaction() as tx:
        made = world(tx)[noun]
        with pytest.raises(Conflict) as caught:
            getattr(tx, noun).remove(made.id)
        assert caught.value.remedy
        assert getattr(tx, noun).get(made.id) == made


def test_the_home_account_stays(store: Database) -> None:
    home = entities.home()
    with store.transaction() as tx:
        tx.accounts.add(home)
        with pytest.raises(Conflict, match="home account"):
            tx.accounts.remove(home.id)


def test_removing_follows_the_references(store: Database) -> None:
    with store.transaction() as tx:
        made = world(tx)
        tx.policies.remove(made["policies"].id)
        assert tx.sessions.get(made["sessions"].id).policy_id is None
        assert tx.points.get(made["points"].id).policy_id is None
        tx.sessions.remove(made["sessions"].id)
        assert tx.tasks.count(Select()) == 0
        assert tx.points.get(made["points"].id).task_id is None
        tx.repositories.remove(made["repositories"].id)
        assert tx.points.count(Select()) == 0
        tx.accounts.remove(made["accounts"].id)
        assert tx.resources.count(Select()) == 0
        tx.users.remove(made["users"].id)
        assert tx.tokens.count(Select()) == 0


def test_a_reference_to_what_is_gone_is_refused(store: Database) -> None:
    with pytest.raises(Conflict, match="gone"), store.transaction() as tx:
        tx.resources.add(entities.resource(entities.account()))


IMPOSSIBLE: dict[str, tuple[str, dict[str, Any]]] = {
    "ended but running": ("sessions", {"state": State.RUNNING, "started_at": NOW, "ended_at": NOW}),
    "final without end": ("sessions", {"state": State.SUCCESS}),
    "running without start": ("sessions", {"state": State.RUNNING}),
    "task ended but open": ("tasks", {"ended_at": NOW}),
    "negative progress": ("tasks", {"progress_done": -1}),
    "backup outside a repository": ("points", {"repository_id": None}),
    "snapshot in a repository": ("points", {"leg": Leg.SNAPSHOT}),
    "backup as tracking base": ("points", {"base": True}),
    "negative size": ("points", {"size_bytes": -1}),
    "nameless policy": ("policies", {"name": "", "revision": 2}),
    "policy name too long": ("policies", {"name": "x" * 128, "revision": 2}),
    "no priority": ("policies", {"priority": 0, "revision": 2}),
    "wrong account number": ("accounts", {"aws_account_id": "12345", "revision": 2}),
    "available with a problem": ("accounts", {"state": AccountState.AVAILABLE, "problem": "x", "revision": 2}),
    "S3 without account": ("repositories", {"account_id": None, "revision": 2}),
    "no place": ("repositories", {"location": "", "revision": 2}),
    "token older than itself": ("tokens", {"expires_at": NOW}),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_state_is_refused(store: Database, case: str) -> None:
    noun, changes = IMPOSSIBLE[case]
    with store.transaction() as tx:
        made = world(tx)[noun]
        with pytest.raises(InvalidInput):
            getattr(tx, noun).save(replace(made, **changes))
        assert getattr(tx, noun).get(made.id) == made


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (State.SUCCESS, State.RUNNING),
        (State.CANCELLED, State.SUCCESS),
        (State.ERROR, State.PENDING),
        (State.RUNNING, State.PENDING),
    ],
)
def test_states_never_go_back(store: Database, first: State, then: State) -> None:
    def at(state: State) -> dict[str, Any]:
        return {"state": state, "started_at": NOW, "ended_at": NOW if state.final else None}

    with store.transaction() as tx:
        run = entities.added_session(tx, kind=SessionKind.RESCAN, **at(first))
        job = entities.task(run, due_at=None, **at(first))
        tx.tasks.add(job)
        with pytest.raises(Conflict, match=f"{first.value} cannot become {then.value}"):
            tx.sessions.save(replace(run, **at(then)))
        with pytest.raises(Conflict, match=f"{first.value} cannot become {then.value}"):
            tx.tasks.save(replace(job, **at(then)))
        tx.sessions.save(replace(run, **at(first), reason="the same state is no step back"))


def test_text_the_database_cannot_hold_is_bad_input(store: Database) -> None:
    with store.transaction() as tx, pytest.raises(InvalidInput):
        tx.sessions.add(entities.session(reason="nul \x00 inside"))


def test_a_cancel_request_survives_a_writer_who_did_not_see_it(store: Database) -> None:
    made = entities.session()
    with store.transaction() as tx:
        tx.sessions.add(made)
        tx.sessions.save(replace(made, cancel_requested_at=NOW))
        tx.sessions.save(replace(made, state=State.RUNNING, started_at=NOW))
        stored = tx.sessions.get(made.id)
    assert (stored.cancel_requested_at, stored.state) == (NOW, State.RUNNING)


def test_a_policy_can_be_selected_by_the_account_of_its_scope(store: Database) -> None:
    owner, other = entities.account(), entities.account()
    mine, yours = entities.policy(owner), entities.policy(other)
    with store.transaction() as tx:
        for made in (owner, other):
            tx.accounts.add(made)
        for made_policy in (mine, yours):
            tx.policies.add(made_policy)
        assert tx.policies.page(Select(where=(Where("account_id", "eq", owner.id),))) == [mine]
        moved = replace(mine, scope=replace(mine.scope, account_id=other.id, tags=(TagMatch(key="x"),)), revision=2)
        tx.policies.save(moved)
        assert tx.policies.count(Select(where=(Where("account_id", "eq", other.id),))) == 2


def test_a_local_repository_needs_no_account(store: Database) -> None:
    made = entities.repository(
        entities.account(), kind=StorageKind.LOCAL, account_id=None, region=None, location="/backups", prefix=""
    )
    with store.transaction() as tx:
        tx.repositories.add(made)
        assert tx.repositories.get(made.id) == made


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
