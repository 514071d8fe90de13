"""Bring the database to this version's tables, or back. Safe to start twice at once: PostgreSQL lets one go first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.pool import NullPool

from server.adapters.db.failures import translated
from server.adapters.db.store import engine_url, lock_number
from server.domain.errors import Misconfigured

FOLDER = Path(__file__).parent / "migrations"

# Transaction numbers are the server's own. Lines restored onto another server may carry numbers it has yet to reach, which
# would hide them from readers until then; 0 sorts them first, in the order they were written.
FORGET_FOREIGN_TRANSACTIONS = text(
    "UPDATE activities SET xid = 0 WHERE xid >= (pg_snapshot_xmax(pg_current_snapshot())::text)::bigint"
)


def upgrade(url: str, revision: str = "head") -> None:
    """All steps up to ``revision`` in one transaction. DatabaseDown; Misconfigured when a newer version was here."""
    with _migrating(url) as (connection, config):
        command.upgrade(config, revision)
        if revision == "head":
            connection.execute(FORGET_FOREIGN_TRANSACTIONS)


def downgrade(url: str, revision: str = "base") -> None:
    """Back down to ``revision``; ``base`` removes every table and all data."""
    with _migrating(url) as (_connection, config):
        command.downgrade(config, revision)


def current_revision(url: str) -> str | None:
    """The revision the database is at; None when it was never migrated."""
    with translated(), _connection(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """The revision this version of the code needs."""
    head = ScriptDirectory(str(FOLDER)).get_current_head()
    assert head is not None, "the migrations folder is empty"
    return head


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    """A connection of its own in one transaction, without the store's time limits: a migration takes what it takes."""
    engine = create_engine(engine_url(url), poolclass=NullPool, connect_args={"connect_timeout": 5}, hide_parameters=True)
    with engine.begin() as connection:
        yield connection


@contextmanager
def _migrating(url: str) -> Iterator[tuple[Connection, Config]]:
    """The only migrator there is, until its transaction ends."""
    with translated(), _connection(url) as connection:
        connection.execute(select(func.pg_advisory_xact_lock(lock_number("migrate"))))
        config = Config()
        config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            yield connection, config
        except CommandError as error:
            raise Misconfigured(
                f"The database cannot be migrated: {error}",
                remedy="It was probably used by a newer version: start that version, or restore an older backup.",
            ) from error
