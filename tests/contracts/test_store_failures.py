"""When PostgreSQL is away, wrong, slow or full of another appliance's secrets: our errors, with words that help."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from server.adapters.clock import SystemClock
from server.adapters.db import Database
from server.adapters.db.sealing import Sealer
from server.domain.errors import DatabaseDown, HoldfastError, Misconfigured, Unavailable
from server.ports import Select, Tx
from tests.contracts import entities
from tests.contracts.entities import KEY


@contextmanager
def opened(url: str, key: bytes = KEY) -> Iterator[Database]:
    database = Database(url, sealing_key=key, clock=SystemClock())
    try:
        yield database
    finally:
        database.close()


def asked(url: str) -> HoldfastError:
    """The error that a first question brings."""
    with opened(url) as store, pytest.raises(HoldfastError) as caught, store.transaction() as tx:
        tx.accounts.count(Select())
    return caught.value


def changed(
    url: str, *, user: str | None = None, password: str | None = None, port: int | None = None, path: str | None = None
) -> str:
    parts = urlsplit(url)
    who = f"{user or parts.username}:{password or parts.password}"
    return urlunsplit(parts._replace(netloc=f"{who}@{parts.hostname}:{port or parts.port}", path=path or parts.path))


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = asked(f"postgresql://holdfast:hunter2@127.0.0.1:{free.getsockname()[1]}/holdfast")
    assert isinstance(error, DatabaseDown)
    assert "refused" in error.message
    assert "HOLDFAST_DATABASE_URL" in (error.remedy or "")
    assert "hunter2" not in error.sentence()


def test_the_host_has_no_such_name() -> None:
    assert isinstance(asked("postgresql://holdfast@no-such-host.invalid/holdfast"), DatabaseDown)


def test_the_database_does_not_exist(database_url: str) -> None:
    error = asked(changed(database_url, path="/nowhere"))
    assert isinstance(error, Misconfigured)
    assert "nowhere" in error.message


def test_the_password_is_wrong(database_url: str) -> None:
    error = asked(changed(database_url, password="hunter2"))
    assert isinstance(error, Misconfigured)
    assert "hunter2" not in error.sentence()


def test_the_tables_are_missing(empty_database_url: str) -> None:
    error = asked(empty_database_url)
    assert isinstance(error, Misconfigured)
    assert "holdfast migrate" in (error.remedy or "")


@pytest.mark.parametrize(
    "url", ["mysql://root:hunter2@host/db", "not a url: hunter2", "", "sqlite:///x.db", "postgresql://h:hunter2/x"]
)
def test_the_address_is_none_of_postgresql(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Database(url, sealing_key=KEY, clock=SystemClock())
    assert "hunter2" not in caught.value.sentence()
    assert "hunter2" not in str(caught.value.__cause__)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_usual_spelling_of_the_address_is_taken(database_url: str, scheme: str) -> None:
    with opened(urlunsplit(urlsplit(database_url)._replace(scheme=scheme))) as store:
        store.ping()


def disconnect_all(url: str) -> None:
    """Cut the store's connections to this database, on the server's side."""
    with psycopg.connect(url) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'holdfast' AND datname = current_database()"
        )


def test_a_connection_that_dies_in_a_transaction_is_an_outage_and_the_next_one_works(
    store: Database, database_url: str
) -> None:
    def work(tx: Tx) -> None:
        entities.added_session(tx)
        disconnect_all(database_url)
        tx.sessions.count(Select())

    with pytest.raises(DatabaseDown):
        store.run(work)
    with store.transaction() as tx:
        assert tx.sessions.count(Select()) == 0


def test_connections_that_died_meanwhile_are_replaced_unseen(store: Database, database_url: str) -> None:
    store.ping()
    disconnect_all(database_url)
    store.ping()


def test_waiting_for_a_row_ends(store: Database, database_url: str) -> None:
    with store.transaction() as tx:
        made = entities.added_session(tx)
    with opened(f"{database_url}?options=-c%20lock_timeout%3D50ms") as hasty, store.transaction() as tx:
        tx.sessions.get(made.id, lock=True)
        with pytest.raises(Unavailable, match="same row"), hasty.transaction() as other:
            other.sessions.get(made.id, lock=True)


def test_a_statement_that_takes_too_long_ends(store: Database, database_url: str) -> None:
    with store.transaction() as tx:
        made = entities.added_session(tx)
    with opened(f"{database_url}?options=-c%20statement_timeout%3D50ms") as hasty, store.transaction() as tx:
        tx.sessions.get(made.id, lock=True)
        with pytest.raises(Unavailable, match="too long to answer"), hasty.transaction() as other:
            other.sessions.get(made.id, lock=True)


# ---- sealed values ------------------------------------------------------------------------------------------------------


def test_secrets_are_unreadable_in_the_database(store: Database, database_url: str) -> None:
    owner = entities.account(external_id="between-us")
    with store.transaction() as tx:
        tx.accounts.add(owner)
        tx.repositories.add(entities.repository(owner, password="correct horse"))
        tx.secret("appliance", lambda: b"sixteen byte key")
    with psycopg.connect(database_url) as connection:
        for table, plain in (("accounts", b"between-us"), ("repositories", b"correct horse"), ("secrets", b"sixteen byte key")):
            with connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)".encode()) as copy:
                content = b"".join(bytes(chunk) for chunk in copy)
            assert content
            assert plain not in content


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    sealer = Sealer(KEY)
    first, second = (sealer.seal(b"x", place="t/c/1") for _ in range(2))
    assert first != second
    assert sealer.open(first, place="t/c/1") == sealer.open(second, place="t/c/1") == b"x"


def test_another_key_opens_nothing_and_says_so(store: Database, database_url: str) -> None:
    owner = entities.account(external_id="between-us")
    with store.transaction() as tx:
        tx.accounts.add(owner)
        tx.secret("appliance", lambda: b"value")
    with opened(database_url, key=bytes(32)) as stranger, stranger.transaction() as tx:
        with pytest.raises(Misconfigured, match="another key") as caught:
            tx.accounts.get(owner.id)
        assert "HOLDFAST_SECRET_KEY_FILE" in (caught.value.remedy or "")
        with pytest.raises(Misconfigured, match="another key"):
            tx.secret("appliance", lambda: b"other")


def test_a_secret_copied_to_another_row_does_not_open(store: Database, database_url: str) -> None:
    mine, yours = entities.account(external_id="mine"), entities.account(external_id="yours")
    with store.transaction() as tx:
        tx.accounts.add(mine)
        tx.accounts.add(yours)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE accounts SET external_id = (SELECT external_id FROM accounts WHERE id = %s) WHERE id = %s",
            (yours.id, mine.id),
        )
    with store.transaction() as tx:
        with pytest.raises(Misconfigured):
            tx.accounts.get(mine.id)
        assert tx.accounts.get(yours.id) == yours
        tx.accounts.save(replace(mine, external_id="new", revision=2))
        assert tx.accounts.get(mine.id).external_id == "new"


@pytest.mark.parametrize("damaged", [b"", b"\x01", b"\x02" + bytes(40), b"\x01" + bytes(40)])
def test_a_damaged_secret_is_refused(damaged: bytes) -> None:
    with pytest.raises(Misconfigured):
        Sealer(KEY).open(damaged, place="t/c/1")


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(Misconfigured, match="16 bytes"):
        Sealer(bytes(16))
