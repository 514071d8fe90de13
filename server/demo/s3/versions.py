"""Versions of objects. The newest of a key is its object, unless it is a delete marker; the others lie in a table beside.

All functions work inside the caller's transaction. Files they return are no longer named by any row.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

from server.demo.s3.records import COLUMNS, VERSION_ID, Object, find

CURRENT = 2**62  # the number of the current object among its versions


@dataclass(frozen=True, slots=True)
class Listed:
    """A version as listed; the higher the number, the newer."""

    number: int
    item: Object
    newest: bool


def status(db: sqlite3.Connection, bucket: str) -> str | None:
    """``Enabled``, ``Suspended``, or None when versioning was never set."""
    row = db.execute("SELECT body FROM setting WHERE bucket = ? AND name = 'versioning'", (bucket,)).fetchone()
    return None if row is None else bytes(row[0]).decode()


def write(db: sqlite3.Connection, bucket: str, made: Object) -> tuple[Object, list[str]]:
    """Make ``made`` the object of its key. The object as stored, and files that can go."""
    gone, version_id = _make_room(db, bucket, made.key)
    if version_id is not None:
        made = replace(made, headers={**made.headers, VERSION_ID: version_id})
    _insert_current(db, bucket, made)
    return made, gone


def mark_deleted(db: sqlite3.Connection, bucket: str, key: bytes, now: float) -> tuple[Object | None, list[str]]:
    """A deletion that names no version. The delete marker it made, if any, and files that can go."""
    gone, version_id = _make_room(db, bucket, key)
    if version_id is None:
        return None, gone
    marker = Object(key, "", 0, "", now, {VERSION_ID: version_id})
    _insert_older(db, bucket, marker)
    return marker, gone


def named(db: sqlite3.Connection, bucket: str, key: bytes, version_id: str) -> Object | None:
    return next((each.item for each in of_key(db, bucket, key) if each.item.version_id == version_id), None)


def remove(db: sqlite3.Connection, bucket: str, key: bytes, version_id: str) -> list[str]:
    """Remove this version for good; the one below it takes its place."""
    for each in of_key(db, bucket, key):
        if each.item.version_id == version_id:
            _drop(db, bucket, key, each.number)
            _promote(db, bucket, key)
            return [each.item.file] if each.item.file else []
    return []


def change(db: sqlite3.Connection, bucket: str, item: Object, headers: dict[str, str]) -> None:
    """Other headers for a version."""
    for each in of_key(db, bucket, item.key):
        if each.item.version_id == item.version_id:
            where, extra = ("object", ()) if each.number == CURRENT else ("older", (each.number,))
            number = "" if where == "object" else " AND number = ?"
            query = f"UPDATE {where} SET headers = ? WHERE bucket = ? AND key = ?{number}"  # noqa: S608 (constants)
            db.execute(query, (json.dumps(headers), bucket, item.key, *extra))


def of_key(db: sqlite3.Connection, bucket: str, key: bytes) -> Iterator[Listed]:
    """The newest first."""
    current = find(db, bucket, key)
    if current is not None:
        yield Listed(CURRENT, current, newest=True)
    query = f"SELECT number, {COLUMNS} FROM older WHERE bucket = ? AND key = ? ORDER BY number DESC"  # noqa: S608 (constants)
    for position, (number, *row) in enumerate(db.execute(query, (bucket, key)).fetchall()):
        yield Listed(number, Object.of(tuple(row)), newest=current is None and position == 0)


def scan(db: sqlite3.Connection, bucket: str, start: bytes, below: int, end: bytes | None, limit: int) -> Iterator[Listed]:
    """Versions of keys from ``start`` on and before ``end``, of ``start`` itself only those numbered below ``below``."""
    where = "bucket = ? AND key >= ?" + ("" if end is None else " AND key < ?")
    arguments = (bucket, start) if end is None else (bucket, start, end)
    query = (
        f"SELECT {CURRENT} AS number, {COLUMNS} FROM object WHERE {where} UNION ALL "  # noqa: S608 (constants and integers)
        f"SELECT number, {COLUMNS} FROM older WHERE {where} ORDER BY key, number DESC"
    )
    last: bytes | None = start if below <= CURRENT else None  # whose newest version was on an earlier page
    for number, *row in db.execute(query, (*arguments, *arguments)):
        item = Object.of(tuple(row))
        if item.key == start and number >= below:
            continue
        if limit == 0:
            return
        limit -= 1
        yield Listed(number, item, newest=item.key != last)
        last = item.key


def _make_room(db: sqlite3.Connection, bucket: str, key: bytes) -> tuple[list[str], str | None]:
    """Move the current object away. Files that can go, and the id the next version gets."""
    current, state = find(db, bucket, key), status(db, bucket)
    db.execute("DELETE FROM object WHERE bucket = ? AND key = ?", (bucket, key))
    if state is None:
        return ([current.file] if current else []), None
    if current is not None:
        _insert_older(db, bucket, current)
    if state == "Enabled":
        return [], uuid4().hex
    return remove_null(db, bucket, key), "null"


def remove_null(db: sqlite3.Connection, bucket: str, key: bytes) -> list[str]:
    """Suspended versioning has one version without an id, which is replaced."""
    gone = []
    for each in of_key(db, bucket, key):
        if each.item.version_id == "null":
            _drop(db, bucket, key, each.number)
            gone += [each.item.file] if each.item.file else []
    return gone


def _drop(db: sqlite3.Connection, bucket: str, key: bytes, number: int) -> None:
    if number == CURRENT:
        db.execute("DELETE FROM object WHERE bucket = ? AND key = ?", (bucket, key))
    else:
        db.execute("DELETE FROM older WHERE bucket = ? AND key = ? AND number = ?", (bucket, key, number))


def _promote(db: sqlite3.Connection, bucket: str, key: bytes) -> None:
    newest = next(of_key(db, bucket, key), None)
    if newest is not None and newest.number != CURRENT and not newest.item.marker:
        _drop(db, bucket, key, newest.number)
        _insert_current(db, bucket, newest.item)


def _insert_current(db: sqlite3.Connection, bucket: str, item: Object) -> None:
    db.execute("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?)", (bucket, *item.row()))


def _insert_older(db: sqlite3.Connection, bucket: str, item: Object) -> None:
    query = "SELECT COALESCE(MAX(number), 0) + 1 FROM older WHERE bucket = ? AND key = ?"
    (number,) = db.execute(query, (bucket, item.key)).fetchone()
    key, *rest = item.row()
    db.execute("INSERT INTO older VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (bucket, key, number, *rest))
