"""What emulated volumes and snapshots hold: maps from block index to a place in a file.

A *place* is ``file number << 32 | slot``; slots are BLOCK_SIZE bytes. File 1 is ours and only ever appended to (slots freed by
deleted disks are used again after a restart); others are imported images, read in place. A snapshot is a copy of a map, so it
costs no data. A block absent from a map was never written and reads as zeros.
"""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from server.demo.ledger import Ledger

BLOCK_SIZE = 524_288
OWN_FILE = 1
_SLOT_BITS = 32
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_HASHED_AT_ONCE = 256  # blocks per transaction
_REMEMBER = "INSERT OR REPLACE INTO digest (place, sha256) VALUES (?, ?)"
ZERO_DIGEST = hashlib.sha256(bytes(BLOCK_SIZE)).digest()


@dataclass(frozen=True, slots=True)
class Disk:
    """A volume or a snapshot. Snapshots of one ``lineage`` can be compared."""

    number: int
    name: str
    size_gib: int
    lineage: str

    @property
    def block_count(self) -> int:
        return self.size_gib * (1 << 30) // BLOCK_SIZE


class BlockStore:
    def __init__(self, folder: Path, ledger: Ledger) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ledger = ledger
        self._files: dict[int, int] = {}
        self._slots_lock = threading.Lock()
        with ledger.write() as db:
            db.execute("INSERT OR IGNORE INTO file (number, path) VALUES (?, ?)", (OWN_FILE, str(folder / "blocks.dat")))
            self._free, self._end = self._find_free_slots(db)
        own = os.open(folder / "blocks.dat", os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(own, self._end * BLOCK_SIZE)
        self._files[OWN_FILE] = own

    @staticmethod
    def _find_free_slots(db: sqlite3.Connection) -> tuple[list[int], int]:
        top = (OWN_FILE + 1) << _SLOT_BITS
        db.execute("DELETE FROM digest WHERE place NOT IN (SELECT place FROM map)")
        used = {row[0] & _SLOT_MASK for row in db.execute("SELECT DISTINCT place FROM map WHERE place < ?", (top,))}
        end = max(used, default=-1) + 1
        return [slot for slot in range(end - 1, -1, -1) if slot not in used], end

    # ---- disks

    def create(self, name: str, size_gib: int, *, source: str | None = None) -> None:
        """A new disk, empty or with ``source``'s present content (and lineage)."""
        with self._ledger.write() as db:
            origin = self._find(db, source) if source else None
            lineage = origin.lineage if origin else name
            cursor = db.execute("INSERT INTO disk (name, size_gib, lineage) VALUES (?, ?, ?)", (name, size_gib, lineage))
            if origin:
                db.execute(
                    "INSERT INTO map (disk, block, place) SELECT ?, block, place FROM map WHERE disk = ?",
                    (cursor.lastrowid, origin.number),
                )

    def delete(self, name: str) -> None:
        with self._ledger.write() as db:
            disk = self._find(db, name)
            if disk:
                db.execute("DELETE FROM map WHERE disk = ?", (disk.number,))
                db.execute("DELETE FROM disk WHERE number = ?", (disk.number,))

    def resize(self, name: str, size_gib: int) -> None:
        with self._ledger.write() as db:
            db.execute("UPDATE disk SET size_gib = ? WHERE name = ?", (size_gib, name))

    def find(self, name: str) -> Disk | None:
        return self._find(self._ledger.reader, name)

    def find_now(self, name: str) -> Disk | None:
        """As ``find``, but sees what the transaction under way has made."""
        with self._ledger.write() as db:
            return self._find(db, name)

    def count(self, name: str) -> int:
        """How many blocks were ever written, the transaction under way included."""
        with self._ledger.write() as db:
            query = "SELECT count(*) FROM map JOIN disk ON disk.number = map.disk WHERE disk.name = ?"
            return int(db.execute(query, (name,)).fetchone()[0])

    @staticmethod
    def _find(db: sqlite3.Connection, name: str | None) -> Disk | None:
        row = db.execute("SELECT number, name, size_gib, lineage FROM disk WHERE name = ?", (name,)).fetchone()
        return Disk(*row) if row else None

    # ---- content

    def read(self, place: int) -> bytes:
        data = os.pread(self._descriptor(place >> _SLOT_BITS), BLOCK_SIZE, (place & _SLOT_MASK) * BLOCK_SIZE)
        return data if len(data) == BLOCK_SIZE else data + bytes(BLOCK_SIZE - len(data))

    def digest(self, place: int, data: bytes | None = None) -> bytes:
        """SHA-256 of the block at ``place``: remembered, since places are never rewritten while in use."""
        row = self._ledger.reader.execute("SELECT sha256 FROM digest WHERE place = ?", (place,)).fetchone()
        if row:
            return bytes(row[0])
        value = hashlib.sha256(self.read(place) if data is None else data).digest()
        with self._ledger.write() as db:
            db.execute(_REMEMBER, (place, value))
        return value

    def put(self, disk: Disk, block: int, data: bytes, digest: bytes | None = None, *, fresh: bool = False) -> None:
        """Write one block. ``fresh`` marks it as uploaded, for the count at completion."""
        place = self._append(data)
        with self._ledger.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO map (disk, block, place, fresh) VALUES (?, ?, ?, ?)",
                (disk.number, block, place, int(fresh)),
            )
            db.execute(_REMEMBER, (place, hashlib.sha256(data).digest() if digest is None else digest))

    def _append(self, data: bytes) -> int:
        with self._slots_lock:
            if self._free:
                slot = self._free.pop()
            else:
                slot, self._end = self._end, self._end + 1
        written = os.pwrite(self._files[OWN_FILE], data, slot * BLOCK_SIZE)
        if written != len(data):
            raise OSError("the disk took only part of a block; it may be full")
        return OWN_FILE << _SLOT_BITS | slot

    def import_image(self, disk: Disk, path: Path) -> int:
        """The sparse raw image at ``path`` becomes the content of ``disk``; the file is read in place from now on.

        Returns the number of blocks that hold data. Errors: OSError; ValueError when the image is larger than the disk.
        """
        with self._ledger.write() as db:
            db.execute("INSERT OR IGNORE INTO file (path) VALUES (?)", (str(path.resolve()),))
            number = int(db.execute("SELECT number FROM file WHERE path = ?", (str(path.resolve()),)).fetchone()[0])
            blocks = sorted(set(_data_blocks(self._descriptor(number))))
            if blocks and blocks[-1] >= disk.block_count:
                raise ValueError(f"{path.name} is larger than {disk.size_gib} GiB")
            db.execute("DELETE FROM map WHERE disk = ?", (disk.number,))
            db.executemany(
                "INSERT INTO map (disk, block, place) VALUES (?, ?, ?)",
                ((disk.number, block, number << _SLOT_BITS | block) for block in blocks),
            )
        self._remember_digests(disk)
        return len(blocks)

    def _remember_digests(self, disk: Disk) -> None:
        """Hash an image once, in large transactions, so that no reader has to wait for it."""
        query = "SELECT place FROM map WHERE disk = ? AND place NOT IN (SELECT place FROM digest) ORDER BY block"
        places = [int(row[0]) for row in self._ledger.reader.execute(query, (disk.number,))]
        for begin in range(0, len(places), _HASHED_AT_ONCE):
            rows = [(place, hashlib.sha256(self.read(place)).digest()) for place in places[begin : begin + _HASHED_AT_ONCE]]
            with self._ledger.write() as db:
                db.executemany(_REMEMBER, rows)

    def _descriptor(self, number: int) -> int:
        descriptor = self._files.get(number)
        if descriptor is None:
            with self._ledger.write() as db:  # the file may have been recorded in the transaction under way
                path = db.execute("SELECT path FROM file WHERE number = ?", (number,)).fetchone()[0]
                descriptor = self._files[number] = os.open(path, os.O_RDONLY)
        return descriptor

    # ---- listing

    def blocks(self, disk: Disk, *, start: int = 0, limit: int = -1) -> list[tuple[int, int]]:
        """(index, place) of written blocks from index ``start`` on, ascending."""
        query = "SELECT block, place FROM map WHERE disk = ? AND block >= ? ORDER BY block LIMIT ?"
        return self._ledger.reader.execute(query, (disk.number, start, limit)).fetchall()

    def changes(
        self, first: Disk | None, second: Disk, *, start: int = 0, limit: int = -1
    ) -> list[tuple[int, int | None, int | None]]:
        """(index, place in first, place in second) where the two differ, from index ``start`` on, ascending."""
        query = """
            SELECT block, max(a), max(b) FROM (
                SELECT block, place AS a, NULL AS b FROM map WHERE disk = ? AND block >= ?
                UNION ALL SELECT block, NULL, place FROM map WHERE disk = ? AND block >= ?)
            GROUP BY block HAVING max(a) IS NOT max(b) ORDER BY block LIMIT ?"""
        number = first.number if first else -1
        return self._ledger.reader.execute(query, (number, start, second.number, start, limit)).fetchall()

    def uploaded(self, disk: Disk) -> list[bytes]:
        """Digests of the blocks marked fresh, by index."""
        query = "SELECT sha256 FROM map JOIN digest USING (place) WHERE disk = ? AND fresh = 1 ORDER BY block"
        return [bytes(row[0]) for row in self._ledger.reader.execute(query, (disk.number,))]

    def settle(self, disk: Disk) -> None:
        """The upload is complete: no block is fresh any more."""
        with self._ledger.write() as db:
            db.execute("UPDATE map SET fresh = 0 WHERE disk = ? AND fresh = 1", (disk.number,))

    def digests(self, disk: Disk) -> Iterator[tuple[int, bytes]]:
        """(index, SHA-256) of every block that is not all zeros, ascending. Slow the first time (reads everything)."""
        for block, place in self.blocks(disk):
            digest = self.digest(place)
            if digest != ZERO_DIGEST:
                yield block, digest

    def churn(self, disk: Disk, percent: float, seed: int) -> list[int]:
        """Rewrite ``percent`` of the written blocks with noise, as a busy guest would. Returns their indexes."""
        source = random.Random(seed)
        blocks = [block for block, _ in self.blocks(disk)]
        if not blocks:
            return []
        chosen = sorted(source.sample(blocks, min(len(blocks), max(1, round(len(blocks) * percent / 100)))))
        for block in chosen:
            self.put(disk, block, source.randbytes(BLOCK_SIZE))
        return chosen


def _data_blocks(descriptor: int) -> Iterator[int]:
    """Indexes of blocks that overlap data of a sparse file (holes are skipped by the file system)."""
    position, size = 0, os.fstat(descriptor).st_size
    while position < size:
        try:
            begin = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        position = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield from range(begin // BLOCK_SIZE, (position + BLOCK_SIZE - 1) // BLOCK_SIZE)
