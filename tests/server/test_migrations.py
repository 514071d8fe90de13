"""Migrations: up, down and up again, safe to start twice, and in step with the tables the code declares."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from server.adapters.db import downgrade, migrate
from server.adapters.db.migrate import current_revision, newest_revision
from server.adapters.db.tables import METADATA
from server.domain.errors import DatabaseDown, Misconfigured

T = TypeVar("T")

TABLES = {
    "accounts", "activities", "memberships", "policies", "preferences", "price_lists", "promises", "replies", "repositories",
    "resources", "restore_points", "secrets", "session_events", "sessions", "sign_in_failures", "sla_template_versions",
    "sla_templates", "storage_templates", "tasks", "tokens", "users",
}  # fmt: skip

CONSTRAINTS = """
    SELECT rel.relname, con.conname, pg_get_constraintdef(con.oid)
    FROM pg_constraint con JOIN pg_class rel ON rel.oid = con.conrelid
    WHERE con.connamespace = 'public'::regnamespace AND rel.relname <> 'alembic_version'
"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity, generation_expression
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""
LEFT_OVER = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%'
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""


def ask(url: str, *questions: str) -> list[set[Any]]:
    return within(url, lambda connection: [{tuple(row) for row in connection.execute(text(q))} for q in questions])


def within(url: str, work: Callable[[Connection], T]) -> T:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        return work(connection)


def test_up_down_and_up_again(empty_database_url: str) -> None:
    url = empty_database_url
    assert current_revision(url) is None
    migrate(url)
    assert current_revision(url) == newest_revision()
    first = ask(url, COLUMNS, CONSTRAINTS, INDEXES)
    assert {row[0] for row in first[0]} == TABLES
    downgrade(url)
    assert current_revision(url) is None
    assert ask(url, LEFT_OVER) == [set()]
    migrate(url)
    assert ask(url, COLUMNS, CONSTRAINTS, INDEXES) == first


def test_migrating_twice_changes_nothing(empty_database_url: str) -> None:
    migrate(empty_database_url)
    first = ask(empty_database_url, COLUMNS, CONSTRAINTS, INDEXES)
    migrate(empty_database_url)
    assert ask(empty_database_url, COLUMNS, CONSTRAINTS, INDEXES) == first


def test_the_declared_tables_are_the_migrated_ones(database_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    assert within(database_url, differences) == []


def test_every_declared_check_index_and_default_is_in_the_migrations(database_url: str, empty_database_url: str) -> None:
    """Alembic compares neither CHECKs nor expressions: PostgreSQL's own words for both ways of making the tables do."""
    within(empty_database_url, METADATA.create_all)
    declared, migrated = (ask(url, COLUMNS, CONSTRAINTS, INDEXES) for url in (empty_database_url, database_url))
    for ours, theirs in zip(declared, migrated, strict=True):
        assert ours ^ theirs == set()


def test_two_migrators_at_once_are_safe(empty_database_url: str) -> None:
    barrier, errors = threading.Barrier(3), list[BaseException]()

    def run() -> None:
        try:
            barrier.wait(30)
            migrate(empty_database_url)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert current_revision(empty_database_url) == newest_revision()


def test_a_failed_migration_leaves_nothing_behind(empty_database_url: str) -> None:
    within(empty_database_url, lambda connection: connection.execute(text("CREATE TABLE secrets (in_the_way int)")))
    with pytest.raises(Misconfigured, match="secrets"):
        migrate(empty_database_url)
    assert ask(empty_database_url, LEFT_OVER) == [{("secrets",)}]


def test_a_database_of_a_newer_version_is_left_alone(database_url: str) -> None:
    within(database_url, lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    before = ask(database_url, COLUMNS)
    with pytest.raises(Misconfigured, match="9999") as caught:
        migrate(database_url)
    assert "newer version" in (caught.value.remedy or "")
    assert ask(database_url, COLUMNS) == before


def test_no_server_to_migrate_on() -> None:
    with pytest.raises(DatabaseDown):
        migrate("postgresql://holdfast@no-such-host.invalid/holdfast")


def test_an_address_that_is_none_shows_no_password() -> None:
    with pytest.raises(Misconfigured) as caught:
        migrate("mysql://root:hunter2@localhost/x")
    assert "hunter2" not in caught.value.sentence()


def test_nothing_of_the_password_is_lost_on_the_way(database_url: str) -> None:
    """Percent signs and the like in the URL reach the server as they were meant."""

    def set_password(connection: Connection) -> None:
        connection.execute(text("CREATE ROLE odd LOGIN SUPERUSER PASSWORD 'a%b@c:d/e'"))

    within(database_url, set_password)
    try:
        odd = make_url(database_url).set(username="odd", password="a%b@c:d/e").render_as_string(hide_password=False)
        assert current_revision(odd) == newest_revision()
        migrate(odd)
    finally:
        within(database_url, lambda connection: connection.execute(text("DROP ROLE odd")))
