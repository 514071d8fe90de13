"""Buckets and objects: rows in the ledger, bodies in files named by random ids, published by the row that names them.

An object is replaced by committing a new row; files no row names any more are removed after, and swept at start.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from server.demo import clock
from server.demo.errors import AwsError
from server.demo.ledger import Ledger
from server.demo.s3 import locks, versions
from server.demo.s3.intake import Body
from server.demo.s3.records import COLUMNS, Bucket, Object, find


@dataclass(frozen=True, slots=True)
class Condition:
    """If-Match / If-None-Match of a write."""

    match: str | None
    none_match: str | None

    def check(self, present: Object | None) -> None:
        """Errors: AwsError PreconditionFailed, NoSuchKey."""
        if self.none_match is not None:
            if self.none_match != "*":
                raise AwsError("NotImplemented", "A header you provided implies functionality that is not implemented", 501)
            if present is not None:
                raise precondition_failed("If-None-Match")
        if self.match is not None:
            if present is None:
                raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
            if self.match != "*" and self.match.strip('"') != present.etag.strip('"'):
                raise precondition_failed("If-Match")


ALWAYS = Condition(None, None)


def precondition_failed(header: str) -> AwsError:
    return AwsError(
        "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412, Condition=header
    )


class ObjectStore:
    """``retrieval_seconds``: how long standard retrieval of an archived object takes here."""

    def __init__(self, folder: Path, ledger: Ledger, retrieval_seconds: float = 0.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.retrieval_seconds = retrieval_seconds
        self._ledger = ledger
        self._sweep()

    def _sweep(self) -> None:
        db = self._ledger.reader
        known = {
            row[0]
            for row in db.execute("SELECT file FROM object UNION ALL SELECT file FROM older UNION ALL SELECT file FROM part")
        }
        for path in self.folder.glob("??/*"):
            if path.name not in known:
                path.unlink()

    def path(self, file: str) -> Path:
        return self.folder / file[:2] / file

    def open(self, file: str) -> int:
        return os.open(self.path(file), os.O_RDONLY)

    def discard(self, *files: str) -> None:
        for file in files:
            self.path(file).unlink(missing_ok=True)

    # ---- buckets

    def bucket(self, name: str) -> Bucket | None:
        row = self._ledger.reader.execute(
            "SELECT name, account, region, created FROM bucket WHERE name = ?", (name,)
        ).fetchone()
        return Bucket(*row) if row else None

    def buckets(self, account: str) -> list[Bucket]:
        query = "SELECT name, account, region, created FROM bucket WHERE account = ? ORDER BY name"
        return [Bucket(*row) for row in self._ledger.reader.execute(query, (account,))]

    def create_bucket(self, name: str, account: str, region: str) -> None:
        """Errors: AwsError BucketAlreadyExists, BucketAlreadyOwnedByYou."""
        with self._ledger.write() as db:
            row = db.execute("SELECT account FROM bucket WHERE name = ?", (name,)).fetchone()
            if row is None:
                db.execute("INSERT INTO bucket VALUES (?, ?, ?, ?)", (name, account, region, clock.now()))
            elif row[0] != account:
                raise AwsError("BucketAlreadyExists", "The requested bucket name is not available.", 409)
            elif region != "us-east-1":  # there, S3 answers success for historical reasons
                raise AwsError("BucketAlreadyOwnedByYou", "Your previous request to create the bucket succeeded.", 409)

    def delete_bucket(self, name: str) -> None:
        with self._ledger.write() as db:
            for table in ("object", "older"):
                if db.execute(f"SELECT 1 FROM {table} WHERE bucket = ? LIMIT 1", (name,)).fetchone():  # noqa: S608 (constants)
                    raise AwsError("BucketNotEmpty", "The bucket you tried to delete is not empty", 409)
            db.execute("DELETE FROM bucket WHERE name = ?", (name,))
            db.execute("DELETE FROM setting WHERE bucket = ?", (name,))

    # ---- settings of a bucket, as documents

    def setting(self, bucket: str, name: str) -> bytes | None:
        query = "SELECT body FROM setting WHERE bucket = ? AND name = ?"
        row = self._ledger.reader.execute(query, (bucket, name)).fetchone()
        return None if row is None else bytes(row[0])

    def set(self, bucket: str, name: str, body: bytes | None) -> None:
        with self._ledger.write() as db:
            if body is None:
                db.execute("DELETE FROM setting WHERE bucket = ? AND name = ?", (bucket, name))
            else:
                db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?, ?)", (bucket, name, body))

    # ---- objects

    def find(self, bucket: str, key: bytes, version_id: str | None = None) -> Object | None:
        """The object, or one of its versions, which may be a delete marker."""
        db = self._ledger.reader
        return find(db, bucket, key) if version_id is None else versions.named(db, bucket, key, version_id)

    def newest(self, bucket: str, key: bytes) -> Object | None:
        """The newest version, also when it is a delete marker."""
        return next((each.item for each in versions.of_key(self._ledger.reader, bucket, key)), None)

    def put(self, bucket: str, key: bytes, body: Body, etag: str, headers: dict[str, str], condition: Condition) -> Object:
        """Publish a received body. Errors: AwsError of the condition; then the body is gone."""
        made = Object(key, body.file, body.size, etag, clock.now(), headers)
        return self._publish(bucket, made, condition, _nothing_more)

    def _publish(self, bucket: str, made: Object, condition: Condition, also: Callable[[sqlite3.Connection], None]) -> Object:
        try:
            with self._ledger.write() as db:
                condition.check(find(db, bucket, made.key))
                stored, gone = versions.write(db, bucket, made)
                also(db)
        except BaseException:
            self.discard(made.file)
            raise
        self.discard(*gone)
        return stored

    def delete(self, bucket: str, key: bytes, condition: Condition = ALWAYS) -> Object | None:
        """As far as versioning allows; the delete marker it made, if any."""
        with self._ledger.write() as db:
            old = find(db, bucket, key)
            if condition.match is not None and old is not None:
                condition.check(old)
            marker, gone = versions.mark_deleted(db, bucket, key, clock.now())
        self.discard(*gone)
        return marker

    def delete_version(self, bucket: str, key: bytes, version_id: str, *, bypass: bool) -> Object | None:
        """For good; what was deleted. Errors: AwsError AccessDenied when a lock protects it."""
        with self._ledger.write() as db:
            old = versions.named(db, bucket, key, version_id)
            if old is None:
                return None
            locks.refuse_removal(old, bypass=bypass)
            gone = versions.remove(db, bucket, key, version_id)
        self.discard(*gone)
        return old

    def change(self, bucket: str, item: Object, decide: Callable[[Object], dict[str, str]]) -> None:
        """Other headers for a version: ``decide`` makes them from what it is now. Errors: its own; AwsError NoSuchVersion."""
        with self._ledger.write() as db:
            now = versions.named(db, bucket, item.key, item.version_id)
            if now is None:
                raise AwsError("NoSuchVersion", "The specified version does not exist.", 404)
            versions.change(db, bucket, now, decide(now))

    def scan_versions(self, bucket: str, start: bytes, below: int, end: bytes | None, limit: int) -> list[versions.Listed]:
        return list(versions.scan(self._ledger.reader, bucket, start, below, end, limit))

    def number_of(self, bucket: str, key: bytes, version_id: str) -> int:
        """Errors: AwsError InvalidArgument."""
        for each in versions.of_key(self._ledger.reader, bucket, key):
            if each.item.version_id == version_id:
                return each.number
        raise AwsError("InvalidArgument", "Invalid version id specified", 400)

    def scan(self, bucket: str, start: bytes, end: bytes | None, limit: int) -> Iterator[Object]:
        """Objects with ``start <= key < end``, in the byte order of their UTF-8 keys."""
        bound, arguments = ("", (bucket, start)) if end is None else (" AND key < ?", (bucket, start, end))
        query = f"SELECT {COLUMNS} FROM object WHERE bucket = ? AND key >= ?{bound} ORDER BY key LIMIT {int(limit)}"  # noqa: S608 (constants and an integer)
        for row in self._ledger.reader.execute(query, arguments).fetchall():
            yield Object.of(row)

    # ---- multipart uploads

    def start_upload(self, upload_id: str, bucket: str, key: bytes, headers: dict[str, str]) -> None:
        with self._ledger.write() as db:
            db.execute("INSERT INTO upload VALUES (?, ?, ?, ?, ?)", (upload_id, bucket, key, json.dumps(headers), clock.now()))

    def upload_headers(self, upload_id: str, bucket: str, key: bytes) -> dict[str, str]:
        """Errors: AwsError NoSuchUpload."""
        query = "SELECT headers FROM upload WHERE id = ? AND bucket = ? AND key = ?"
        row = self._ledger.reader.execute(query, (upload_id, bucket, key)).fetchone()
        if row is None:
            raise no_such_upload()
        headers: dict[str, str] = json.loads(row[0])
        return headers

    def uploads(self, bucket: str, prefix: bytes) -> list[tuple[str, bytes, float]]:
        query = "SELECT id, key, started FROM upload WHERE bucket = ? ORDER BY key, started"
        rows = self._ledger.reader.execute(query, (bucket,)).fetchall()
        return [(upload, bytes(key), at) for upload, key, at in rows if bytes(key).startswith(prefix)]

    def put_part(self, upload_id: str, number: int, body: Body, etag: str) -> None:
        with self._ledger.write() as db:
            if db.execute("SELECT 1 FROM upload WHERE id = ?", (upload_id,)).fetchone() is None:
                self.discard(body.file)
                raise no_such_upload()
            old = db.execute("SELECT file FROM part WHERE upload = ? AND number = ?", (upload_id, number)).fetchone()
            row = (upload_id, number, body.file, body.size, etag, clock.now())
            db.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?)", row)
        if old:
            self.discard(old[0])

    def parts(self, upload_id: str) -> list[tuple[int, str, int, str, float]]:
        """(number, file, size, etag, modified), by number."""
        query = "SELECT number, file, size, etag, modified FROM part WHERE upload = ? ORDER BY number"
        return self._ledger.reader.execute(query, (upload_id,)).fetchall()

    def finish_upload(self, upload_id: str, bucket: str, made: Object, condition: Condition) -> Object:
        """Publish the joined parts and forget the upload. Errors: AwsError of the condition."""
        files = [part[1] for part in self.parts(upload_id)]
        stored = self._publish(bucket, made, condition, lambda db: _forget_upload(db, upload_id))
        self.discard(*files)
        return stored

    def abort_upload(self, upload_id: str) -> None:
        files = [part[1] for part in self.parts(upload_id)]
        with self._ledger.write() as db:
            _forget_upload(db, upload_id)
        self.discard(*files)


def _nothing_more(_: sqlite3.Connection) -> None:
    """Nothing but the object changes."""


def no_such_upload() -> AwsError:
    return AwsError("NoSuchUpload", "The specified multipart upload does not exist.", 404)


def _forget_upload(db: sqlite3.Connection, upload_id: str) -> None:
    db.execute("DELETE FROM upload WHERE id = ?", (upload_id,))
    db.execute("DELETE FROM part WHERE upload = ?", (upload_id,))
