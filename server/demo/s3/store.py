"""Buckets and objects: rows in the ledger, bodies in files named by random ids, published by the row that names them.

An object is replaced by committing a new row; the old file is removed after. Files no row names are swept at start.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from server.demo.errors import AwsError
from server.demo.ledger import Ledger
from server.demo.s3.intake import Body

COLUMNS = "key, file, size, etag, modified, headers"


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    account: str
    region: str
    created: float


@dataclass(frozen=True, slots=True)
class Object:
    key: bytes
    file: str
    size: int
    etag: str
    modified: float
    headers: dict[str, str]

    @classmethod
    def of(cls, row: tuple[bytes, str, int, str, float, str]) -> Object:
        key, file, size, etag, modified, headers = row
        return cls(bytes(key), file, size, etag, modified, json.loads(headers))


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
    def __init__(self, folder: Path, ledger: Ledger) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._ledger = ledger
        self._sweep()

    def _sweep(self) -> None:
        db = self._ledger.reader
        known = {row[0] for row in db.execute("SELECT file FROM object UNION ALL SELECT file FROM part")}
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
                db.execute("INSERT INTO bucket VALUES (?, ?, ?, ?)", (name, account, region, time.time()))
            elif row[0] != account:
                raise AwsError("BucketAlreadyExists", "The requested bucket name is not available.", 409)
            elif region != "us-east-1":  # there, S3 answers success for historical reasons
                raise AwsError("BucketAlreadyOwnedByYou", "Your previous request to create the bucket succeeded.", 409)

    def delete_bucket(self, name: str) -> None:
        with self._ledger.write() as db:
            if db.execute("SELECT 1 FROM object WHERE bucket = ? LIMIT 1", (name,)).fetchone():
                raise AwsError("BucketNotEmpty", "The bucket you tried to delete is not empty", 409)
            db.execute("DELETE FROM bucket WHERE name = ?", (name,))

    # ---- objects

    def find(self, bucket: str, key: bytes) -> Object | None:
        return _find(self._ledger.reader, bucket, key)

    def put(self, bucket: str, key: bytes, body: Body, etag: str, headers: dict[str, str], condition: Condition) -> Object:
        """Publish a received body. Errors: AwsError of the condition; then the body is gone."""
        made = Object(key, body.file, body.size, etag, time.time(), headers)
        self._publish(bucket, made, condition, _nothing_more)
        return made

    def _publish(self, bucket: str, made: Object, condition: Condition, also: Callable[[sqlite3.Connection], None]) -> None:
        try:
            with self._ledger.write() as db:
                old = _find(db, bucket, made.key)
                condition.check(old)
                row = (bucket, made.key, made.file, made.size, made.etag, made.modified, json.dumps(made.headers))
                db.execute("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                also(db)
        except BaseException:
            self.discard(made.file)
            raise
        if old is not None:
            self.discard(old.file)

    def delete(self, bucket: str, key: bytes, condition: Condition = ALWAYS) -> None:
        with self._ledger.write() as db:
            old = _find(db, bucket, key)
            if condition.match is not None and old is not None:
                condition.check(old)
            db.execute("DELETE FROM object WHERE bucket = ? AND key = ?", (bucket, key))
        if old is not None:
            self.discard(old.file)

    def scan(self, bucket: str, start: bytes, end: bytes | None, limit: int) -> Iterator[Object]:
        """Objects with ``start <= key < end``, in the byte order of their UTF-8 keys."""
        bound, arguments = ("", (bucket, start)) if end is None else (" AND key < ?", (bucket, start, end))
        query = f"SELECT {COLUMNS} FROM object WHERE bucket = ? AND key >= ?{bound} ORDER BY key LIMIT {int(limit)}"  # noqa: S608 (constants and an integer)
        for row in self._ledger.reader.execute(query, arguments).fetchall():
            yield Object.of(row)

    # ---- multipart uploads

    def start_upload(self, upload_id: str, bucket: str, key: bytes, headers: dict[str, str]) -> None:
        with self._ledger.write() as db:
            db.execute("INSERT INTO upload VALUES (?, ?, ?, ?, ?)", (upload_id, bucket, key, json.dumps(headers), time.time()))

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
            row = (upload_id, number, body.file, body.size, etag, time.time())
            db.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?)", row)
        if old:
            self.discard(old[0])

    def parts(self, upload_id: str) -> list[tuple[int, str, int, str, float]]:
        """(number, file, size, etag, modified), by number."""
        query = "SELECT number, file, size, etag, modified FROM part WHERE upload = ? ORDER BY number"
        return self._ledger.reader.execute(query, (upload_id,)).fetchall()

    def finish_upload(self, upload_id: str, bucket: str, made: Object, condition: Condition) -> None:
        """Publish the joined parts and forget the upload. Errors: AwsError of the condition."""
        files = [part[1] for part in self.parts(upload_id)]
        self._publish(bucket, made, condition, lambda db: _forget_upload(db, upload_id))
        self.discard(*files)

    def abort_upload(self, upload_id: str) -> None:
        files = [part[1] for part in self.parts(upload_id)]
        with self._ledger.write() as db:
            _forget_upload(db, upload_id)
        self.discard(*files)


def _nothing_more(_: sqlite3.Connection) -> None:
    """Nothing but the object changes."""


def no_such_upload() -> AwsError:
    return AwsError("NoSuchUpload", "The specified multipart upload does not exist.", 404)


def _find(db: sqlite3.Connection, bucket: str, key: bytes) -> Object | None:
    row = db.execute(f"SELECT {COLUMNS} FROM object WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()  # noqa: S608 (constants)
    return Object.of(row) if row else None


def _forget_upload(db: sqlite3.Connection, upload_id: str) -> None:
    db.execute("DELETE FROM upload WHERE id = ?", (upload_id,))
    db.execute("DELETE FROM part WHERE upload = ?", (upload_id,))
