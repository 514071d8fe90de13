"""Tasks of the Store contract: leases, fences, what is due and what is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from server.adapters.clock import FakeClock
from server.adapters.db import Database
from server.domain.session import State, Task
from server.ports import Select
from tests.contracts import entities
from tests.contracts.entities import NOW, Courier

LEASE = timedelta(seconds=30)


def stored(store: Database, **changes: Any) -> Task:
    with store.transaction() as tx:
        made = entities.task(entities.added_session(tx), **changes)
        tx.tasks.add(made)
    return made


def claim(store: Database, task: Task, at: datetime = NOW) -> Task | None:
    with store.transaction() as tx:
        return tx.tasks.claim(task.id, now=at, lease=LEASE)


def claimed(store: Database, **changes: Any) -> Task:
    held = claim(store, stored(store, **changes))
    assert held is not None
    return held


# ---- claiming -----------------------------------------------------------------------------------------------------------


def test_a_claim_takes_the_task_for_the_length_of_its_lease(store: Database) -> None:
    task = stored(store)
    held = claim(store, task)
    assert held == replace(task, state=State.RUNNING, claims=1, fence=1, lease_until=NOW + LEASE, started_at=NOW)
    assert claim(store, task) is None
    assert claim(store, task, NOW + LEASE - timedelta(milliseconds=1)) is None
    again = claim(store, task, NOW + LEASE)
    assert again is not None
    assert (again.claims, again.fence, again.started_at) == (2, 2, NOW)


def test_of_many_workers_one_gets_the_task(store: Database) -> None:
    task = stored(store)
    won: list[Task] = []

    def work(_number: int) -> None:
        held = claim(store, task)
        if held is not None:
            won.append(held)

    entities.together(8, work)
    assert [held.fence for held in won] == [1]


@pytest.mark.parametrize(
    "changes",
    [
        {"due_at": None},
        {"due_at": NOW + timedelta(seconds=2)},
        {"state": State.SUCCESS, "ended_at": NOW, "due_at": None},
        {"state": State.CANCELLED, "ended_at": NOW, "due_at": None},
        {"state": State.RUNNING, "started_at": NOW, "lease_until": NOW + timedelta(seconds=1)},
    ],
    ids=["waits for something else", "not due yet", "done", "cancelled", "held"],
)
def test_a_task_that_is_not_to_be_worked_on_is_not_claimed(store: Database, changes: dict[str, Any]) -> None:
    task = stored(store, **changes)
    assert claim(store, task) is None
    with store.transaction() as tx:
        assert tx.tasks.get(task.id) == task
        assert tx.tasks.claim(uuid4(), now=NOW, lease=LEASE) is None


def test_a_message_a_moment_early_is_not_lost(store: Database) -> None:
    assert claim(store, stored(store, due_at=NOW + timedelta(milliseconds=900))) is not None


# ---- holding ------------------------------------------------------------------------------------------------------------


def test_a_lease_is_renewed_while_its_fence_holds(store: Database) -> None:
    held = claimed(store)
    until = NOW + timedelta(minutes=5)
    with store.transaction() as tx:
        assert tx.tasks.renew(held.id, held.fence, until=until)
        assert tx.tasks.get(held.id).lease_until == until
    assert claim(store, held, until) is not None
    with store.transaction() as tx:
        assert not tx.tasks.renew(held.id, held.fence, until=until + LEASE)
        assert not tx.tasks.renew(uuid4(), 1, until=until)


def test_a_released_or_final_task_has_no_lease_to_renew(store: Database) -> None:
    held = claimed(store)
    with store.transaction() as tx:
        assert tx.tasks.record(replace(held, lease_until=None))
        assert not tx.tasks.renew(held.id, held.fence, until=NOW + LEASE)
        assert tx.tasks.record(replace(held, state=State.SUCCESS, ended_at=NOW, lease_until=None, due_at=None))
        assert not tx.tasks.renew(held.id, held.fence, until=NOW + LEASE)


def test_a_worker_records_while_its_fence_holds_and_writes_nothing_after(store: Database) -> None:
    held = claimed(store)
    moved = replace(
        held, stage="backup", document={"checkpoint": "abc"}, progress_done=5, progress_total=9, claims=0, message="On it."
    )
    with store.transaction() as tx:
        assert tx.tasks.record(moved)
        assert tx.tasks.get(held.id) == moved
    taken_over = claim(store, held, NOW + LEASE)
    assert taken_over is not None
    with store.transaction() as tx:
        assert not tx.tasks.record(replace(moved, stage="late"))
        assert tx.tasks.get(held.id) == taken_over


def test_recording_does_not_move_where_a_task_belongs(store: Database) -> None:
    held = claimed(store)
    with store.transaction() as tx:
        other = entities.added_session(tx)
        assert tx.tasks.record(
            replace(held, session_id=other.id, name="renamed", position=7, created_at=NOW + LEASE, stage="next")
        )
        assert tx.tasks.get(held.id) == replace(held, stage="next")


def test_a_final_task_is_neither_due_nor_held_and_takes_no_more_records(store: Database) -> None:
    held = claimed(store)
    final = replace(held, state=State.SUCCESS, ended_at=NOW)
    with store.transaction() as tx:
        assert tx.tasks.record(final)
        assert tx.tasks.get(held.id) == replace(final, due_at=None, lease_until=None)
        assert not tx.tasks.record(replace(held, message="too late"))


def test_saving_never_moves_the_fence(store: Database) -> None:
    task = stored(store)
    held = claim(store, task)
    assert held is not None
    with store.transaction() as tx:
        tx.tasks.save(replace(task, state=State.RUNNING, started_at=NOW, message="from an old copy"))
        assert tx.tasks.get(task.id).fence == held.fence


# ---- finding ------------------------------------------------------------------------------------------------------------


def test_overdue_tasks_are_open_late_and_not_held(store: Database) -> None:
    late = stored(store, due_at=NOW - timedelta(minutes=5))
    later = stored(store, due_at=NOW - timedelta(minutes=4))
    dead = {"state": State.RUNNING, "started_at": NOW, "due_at": NOW - timedelta(minutes=3)}
    orphan = stored(store, **dead, lease_until=NOW - timedelta(seconds=1))
    stored(store, **dead, lease_until=NOW + timedelta(seconds=1))
    stored(store, due_at=NOW - timedelta(seconds=59))
    stored(store, due_at=None)
    stored(store, state=State.SUCCESS, ended_at=NOW, due_at=None)
    with store.transaction() as tx:
        found = tx.tasks.overdue(now=NOW, grace=timedelta(minutes=1), limit=10)
        assert found == [late.id, later.id, orphan.id]
        assert tx.tasks.overdue(now=NOW, grace=timedelta(minutes=1), limit=2) == [late.id, later.id]


def test_the_states_of_a_session_are_its_tasks_by_position(store: Database) -> None:
    with store.transaction() as tx:
        run, other = entities.added_session(tx), entities.added_session(tx)
        made = [entities.task(run, position=position) for position in (2, 0, 1)]
        for task in (*made, entities.task(other)):
            tx.tasks.add(task)
        assert tx.tasks.states(run.id) == sorted(made, key=lambda task: task.position)
        assert tx.tasks.states(uuid4()) == []
        assert tx.tasks.count(Select()) == 4


# ---- sending ------------------------------------------------------------------------------------------------------------


def test_a_recorded_task_is_sent_when_its_worker_lets_go(store: Database, courier: Courier, clock: FakeClock) -> None:
    held = claimed(store)
    courier.sent.clear()
    later = clock.now() + timedelta(seconds=15)
    with store.transaction() as tx:
        tx.tasks.record(replace(held, progress_done=1))
    assert courier.sent == []
    with store.transaction() as tx:
        tx.tasks.record(replace(held, lease_until=None, due_at=later))
    assert courier.sent == [(held.id, timedelta(seconds=15))]


def test_what_was_decided_last_in_a_transaction_is_sent_once(store: Database, courier: Courier) -> None:
    with store.transaction() as tx:
        task = entities.task(entities.added_session(tx))
        tx.tasks.add(task)
        tx.tasks.save(replace(task, due_at=NOW + timedelta(seconds=9)))
    assert courier.sent == [(task.id, timedelta(seconds=9))]
    with store.transaction() as tx:
        tx.tasks.save(replace(task, due_at=NOW))
        tx.tasks.save(replace(task, state=State.CANCELLED, ended_at=NOW, due_at=None))
    assert len(courier.sent) == 1


def test_a_record_that_lost_its_fence_sends_nothing(store: Database, courier: Courier) -> None:
    held = claimed(store)
    claim(store, held, NOW + LEASE)
    courier.sent.clear()
    with store.transaction() as tx:
        assert not tx.tasks.record(replace(held, lease_until=None, due_at=NOW))
    assert courier.sent == []


def test_tasks_put_together_are_all_sent(store: Database, courier: Courier) -> None:
    with store.transaction() as tx:
        run = entities.added_session(tx)
        made = [entities.task(run, position=position) for position in range(3)]
        tx.tasks.put(made)
    assert [id for id, _delay in courier.sent] == [task.id for task in made]
