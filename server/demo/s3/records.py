"""Buckets and objects as they are recorded."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

COLUMNS = "key, file, size, etag, modified, headers"
VERSION_ID = "x-amz-version-id"


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    account: str
    region: str
    created: float


@dataclass(frozen=True, slots=True)
class Object:
    """A version of an object, or a delete marker. ``headers``: as S3 answers them, and our own, which begin with ``demo-``."""

    key: bytes
    file: str
    size: int
    etag: str
    modified: float
    headers: dict[str, str]

    @property
    def version_id(self) -> str:
        return self.headers.get(VERSION_ID, "null")

    @property
    def marker(self) -> bool:
        return not self.file

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Object:
        key, file, size, etag, modified, headers = row
        return cls(bytes(key), file, size, etag, modified, json.loads(headers))

    def row(self) -> tuple[Any, ...]:
        return (self.key, self.file, self.size, self.etag, self.modified, json.dumps(self.headers))


def find(db: sqlite3.Connection, bucket: str, key: bytes) -> Object | None:
    """The object: the newest version, unless that is a delete marker."""
    row = db.execute(f"SELECT {COLUMNS} FROM object WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()  # noqa: S608 (constants)
    return Object.of(row) if row else None
