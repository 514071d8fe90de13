"""The demo cloud's records: one SQLite file. Bytes of blocks and objects lie in files beside it.

Every change of one request is one transaction, so a kill at any moment leaves either all or nothing of it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS document (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (
    service TEXT NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL, part TEXT NOT NULL, key TEXT NOT NULL, body BLOB,
    PRIMARY KEY (service, account, region, part, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS once (
    scope TEXT PRIMARY KEY, request BLOB NOT NULL, result TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS disk (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size_gib INTEGER NOT NULL, lineage TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS map (
    disk INTEGER NOT NULL, block INTEGER NOT NULL, place INTEGER NOT NULL, fresh INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (disk, block)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digest (place INTEGER PRIMARY KEY, sha256 BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS bucket (
    name TEXT PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object (
    bucket TEXT NOT NULL, key BLOB NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified REAL NOT NULL, headers TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS older (
    bucket TEXT NOT NULL, key BLOB NOT NULL, number INTEGER NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified REAL NOT NULL, headers TEXT NOT NULL, PRIMARY KEY (bucket, key, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS setting (
    bucket TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (bucket, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, headers TEXT NOT NULL, started REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS part (
    upload TEXT NOT NULL, number INTEGER NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified REAL NOT NULL, PRIMARY KEY (upload, number)) WITHOUT ROWID;
"""


class Ledger:
    """One writer at a time, under a lock; any number of readers, a connection per thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._local = threading.local()
        self._writer = self._open()
        self._writer.executescript(SCHEMA)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # no fsync per commit; a killed process loses nothing
        connection.execute("PRAGMA cache_size=-16384")  # 16 MiB
        return connection

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's connection for reading what is committed."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction; nested calls in the same thread join it."""
        with self._lock:
            if self._writer.in_transaction:
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def document(self, name: str) -> bytes | None:
        row = self.reader.execute("SELECT body FROM document WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def keep(self, name: str, body: bytes) -> None:
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO document (name, body) VALUES (?, ?)", (name, body))

    def close(self) -> None:
        with self._lock:
            self._writer.close()
