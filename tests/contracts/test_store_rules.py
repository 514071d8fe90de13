"""What the Store refuses: seconds of what is unique, removals of what is used, states that cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from server.adapters.db import Database
from server.domain.errors import Conflict, InvalidInput
from server.domain.repository import Encryption, StorageKind
from server.domain.restore import Health, Leg
from server.domain.scope import TagMatch
from server.domain.session import SessionKind, State
from server.domain.workload import AccountState
from server.ports import Select, Tx, Where
from tests.contracts import entities
from tests.contracts.entities import NOW

# ---- refused changes ----------------------------------------------------------------------------------------------------


def twins(tx: Tx) -> dict[str, tuple[Any, Any, str]]:
    """Per unique rule: a collection, a second entity that breaks it, and the field to blame."""
    made = entities.world(tx)
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
        made = entities.world(tx)
        job = made["tasks"]
        tx.tasks.save(replace(job, state=State.ERROR, due_at=None, ended_at=NOW))
        tx.tasks.add(replace(job, id=uuid4(), position=1))


def test_a_stale_revision_conflicts(store: Database) -> None:
    with store.transaction() as tx:
        made = entities.world(tx)["policies"]
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
        made = entities.world(tx)[noun]
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
        made = entities.world(tx)
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
    "a KMS repository without a key": ("repositories", {"encryption": Encryption.KMS, "revision": 2}),
    "a key without KMS": ("repositories", {"kms_key": "arn:aws:kms:…", "revision": 2}),
    "incomplete without damage": ("points", {"damage": None}),
    "whole with damage": ("points", {"health": Health.HEALTHY}),
    "proven at no time": ("points", {"proven_at": None}),
    "proven somehow": ("points", {"proven_how": "by prayer"}),
    "a backup that is being retrieved": ("points", {"leg": Leg.BACKUP}),
    "no place": ("repositories", {"location": "", "revision": 2}),
    "token older than itself": ("tokens", {"expires_at": NOW}),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_state_is_refused(store: Database, case: str) -> None:
    noun, changes = IMPOSSIBLE[case]
    with store.transaction() as tx:
        made = entities.world(tx)[noun]
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


def test_what_is_over_leaves_no_trace_in_a_point(store: Database) -> None:
    with store.transaction() as tx:
        made = entities.world(tx)["points"]
        healed = replace(made, health=Health.HEALTHY, damage=None, retrieval=None, proven_at=None, proven_how=None)
        tx.points.save(healed)
        assert tx.points.get(made.id) == healed
        assert tx.points.count(Select(where=(Where("health", "eq", Health.INCOMPLETE),))) == 0


def test_a_local_repository_needs_no_account(store: Database) -> None:
    made = entities.repository(
        entities.account(), kind=StorageKind.LOCAL, account_id=None, region=None, location="/backups", prefix=""
    )
    with store.transaction() as tx:
        tx.repositories.add(made)
        assert tx.repositories.get(made.id) == made
