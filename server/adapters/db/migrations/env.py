"""Run by Alembic for every command. The caller hands over an open connection inside a transaction."""

from __future__ import annotations

from alembic import context

from server.adapters.db.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
