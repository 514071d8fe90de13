"""The two logs of the Store contract: no reader ever misses a line or sees one twice."""

from __future__ import annotations

import random
import threading
from uuid import UUID, uuid4

import psycopg
import pytest

from server.adapters.db import Database
from server.adapters.db.migrate import upgrade
from server.domain.errors import InvalidInput, NotFound
from server.domain.session import Activity, Event, Level
from server.ports import Tx
from tests.contracts import entities
from tests.contracts.entities import NOW


def say(tx: Tx, message: str) -> None:
    tx.activity.append(at=NOW, kind="policy", subject_id=None, change="changed", message=message)


def read(store: Database, cursor: str | None = None, limit: int = 100) -> list[Activity]:
    with store.transaction() as tx:
        return tx.activity.after(cursor, limit)


def messages(lines: list[Activity]) -> list[str]:
    return [line.message for line in lines]


# ---- a session's events -----------------------------------------------------------------------------------------------


def test_events_are_numbered_from_one_and_read_from_any_number(store: Database) -> None:
    with store.transaction() as tx:
        run = entities.added_session(tx)
        job = entities.task(run)
        tx.tasks.add(job)
        first = tx.events.append(run.id, Level.INFO, "Begun.", at=NOW)
        second = tx.events.append(run.id, Level.WARNING, "Hm.", at=NOW, task_id=job.id, data={"bytes": 1 << 40})
        assert first == Event(session_id=run.id, number=1, at=NOW, level=Level.INFO, message="Begun.")
        assert second == Event(
            session_id=run.id, number=2, at=NOW, level=Level.WARNING, message="Hm.", task_id=job.id, data={"bytes": 1 << 40}
        )
        assert tx.events.after(run.id, 0, 10) == [first, second]
        assert tx.events.after(run.id, 1, 10) == [second]
        assert tx.events.after(run.id, 0, 1) == [first]
        assert tx.events.after(run.id, 2, 10) == []
        assert tx.sessions.get(run.id).last_event == 2
        tx.sessions.save(run)
        assert tx.sessions.get(run.id).last_event == 2


def test_there_is_no_event_without_a_session(store: Database) -> None:
    with store.transaction() as tx, pytest.raises(NotFound):
        tx.events.append(uuid4(), Level.INFO, "to nobody", at=NOW)


def test_an_undone_event_leaves_no_gap(store: Database) -> None:
    with store.transaction() as tx:
        run = entities.added_session(tx)
        tx.events.append(run.id, Level.INFO, "one", at=NOW)

    def undone(tx: Tx) -> None:
        tx.events.append(run.id, Level.INFO, "undone", at=NOW)
        raise LookupError

    with pytest.raises(LookupError):
        store.run(undone)
    with store.transaction() as tx:
        assert tx.events.append(run.id, Level.INFO, "two", at=NOW).number == 2


def test_a_reader_beside_many_writers_sees_each_event_once_in_order(store: Database) -> None:
    with store.transaction() as tx:
        run = entities.added_session(tx)
    writers, each = 5, 20
    seen: list[int] = []

    def work(number: int) -> None:
        if number < writers:
            for line in range(each):
                with store.transaction() as tx:
                    tx.events.append(run.id, Level.INFO, f"{number}.{line}", at=NOW)
            return
        while len(seen) < writers * each:
            with store.transaction() as tx:
                seen.extend(event.number for event in tx.events.after(run.id, seen[-1] if seen else 0, 7))

    entities.together(writers + 1, work)
    assert seen == list(range(1, writers * each + 1))


# ---- activity -----------------------------------------------------------------------------------------------------------


def test_activity_is_read_oldest_first_and_resumed_after_any_line(store: Database) -> None:
    subject = uuid4()
    with store.transaction() as tx:
        assert tx.activity.newest() is None
        tx.activity.append(at=NOW, kind="session", subject_id=subject, change="created", message="a")
        say(tx, "b")
    with store.transaction() as tx:
        say(tx, "c")
    lines = read(store)
    first = lines[0]
    assert messages(lines) == ["a", "b", "c"]
    assert first == Activity(cursor=first.cursor, at=NOW, kind="session", subject_id=subject, change="created", message="a")
    assert [messages(read(store, line.cursor)) for line in lines] == [["b", "c"], ["c"], []]
    assert messages(read(store, None, 2)) == ["a", "b"]
    with store.transaction() as tx:
        assert tx.activity.newest() == lines[-1].cursor


def test_a_line_is_held_back_while_an_earlier_transaction_is_open(store: Database) -> None:
    with store.transaction() as early:
        say(early, "written first, committed last")
        with store.transaction() as late:
            say(late, "written last, committed first")
        assert read(store) == []
        with store.transaction() as tx:
            assert tx.activity.newest() is None
    assert messages(read(store)) == ["written first, committed last", "written last, committed first"]


def test_a_line_of_an_older_transaction_written_later_is_not_skipped(store: Database) -> None:
    """Line numbers and transaction numbers disagree: the older transaction writes its line after the younger one's."""
    with store.transaction() as old:
        entities.added_session(old)  # takes its transaction number here
        with store.transaction() as young:
            say(young, "young")
        say(old, "old")
        cursor = read(store)[-1].cursor if read(store) else None
    assert cursor is None
    assert messages(read(store, cursor)) == ["old", "young"]


def test_a_transaction_that_is_undone_holds_nothing_back(store: Database) -> None:
    with pytest.raises(LookupError):
        store.run(_undone)
    with store.transaction() as tx:
        say(tx, "after")
    assert messages(read(store)) == ["after"]


def _undone(tx: Tx) -> None:
    say(tx, "undone")
    raise LookupError


def test_a_reader_beside_many_writers_sees_each_line_once(store: Database) -> None:
    writers, each = 5, 15
    seen: list[str] = []
    finished = threading.Semaphore(0)

    def write(number: int) -> None:
        rng = random.Random(number)
        for line in range(each):
            with store.transaction() as tx:
                if rng.random() < 0.5:
                    entities.added_session(tx)
                for part in range(rng.randrange(1, 4)):
                    say(tx, f"{number}.{line}.{part}")
        finished.release()

    def follow() -> None:
        cursor, done = None, 0
        while True:
            done += finished.acquire(blocking=False)
            lines = read(store, cursor, 4)
            seen.extend(messages(lines))
            if lines:
                cursor = lines[-1].cursor
            elif done == writers:
                return

    entities.together(writers + 1, lambda number: write(number) if number < writers else follow())
    everything = messages(read(store, None, 10_000))
    assert seen == everything
    assert len(set(seen)) == len(seen) >= writers * each


@pytest.mark.parametrize("cursor", ["", "5", "5.", ".5", "a.b", "-1.5", "1.2.3", "1. 2", "٣.٤", f"{2**63}.1", "9" * 40 + ".1"])
def test_what_is_no_cursor_is_bad_input(store: Database, cursor: str) -> None:
    with store.transaction() as tx, pytest.raises(InvalidInput):
        tx.activity.after(cursor, 1)


def test_lines_and_cursors_survive_a_move_to_another_server(store: Database, database_url: str) -> None:
    """A restored database carries transaction numbers the new server has yet to reach."""
    with store.transaction() as tx:
        for message in "abc":
            say(tx, message)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE activities SET xid = xid + 1000000000")
    old_id = read_ids(database_url)[1]
    assert read(store) == []
    upgrade(database_url)
    with store.transaction() as tx:
        say(tx, "d")
    assert messages(read(store)) == ["a", "b", "c", "d"]
    assert messages(read(store, f"{2**62}.{old_id}")) == ["c", "d"]


def read_ids(database_url: str) -> list[int]:
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM activities ORDER BY id")]


def test_the_subject_may_be_gone(store: Database) -> None:
    with store.transaction() as tx:
        run = entities.added_session(tx)
        tx.activity.append(at=NOW, kind="session", subject_id=run.id, change="removed", message="gone")
        tx.sessions.remove(run.id)
    assert read(store)[0].subject_id == UUID(str(run.id))
