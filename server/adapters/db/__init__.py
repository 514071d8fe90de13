"""The configuration database: PostgreSQL through SQLModel tables and psycopg 3."""

from server.adapters.db.migrate import downgrade
from server.adapters.db.migrate import upgrade as migrate
from server.adapters.db.store import Database

__all__ = ["Database", "downgrade", "migrate"]
