"""Pins: what a run in progress uses is not collected (FORMAT.md §11, §12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from server.domain.errors import AlreadyThere, Conflict, Damaged, NotFound
from server.domain.immutability import Lock
from server.ports import Blob
from server.repository import layout
from server.repository.crypto import CHECK_REMEDY, TYPE_PIN
from server.repository.vault import Vault

PIN_LIFE = timedelta(days=3)  # without renewal
ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class PinRecord:
    """``since`` is the store's time when the run began; ``beats`` counts renewals, so that each write differs. ``lock``: what
    everything the run writes is locked with, so that an attempt that goes on with it does the same."""

    point_id: UUID
    run: str
    parent: UUID | None
    since: datetime
    beats: int
    expired: bool = False
    lock: Lock | None = None

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "point": str(self.point_id),
            "run": self.run,
            "parent": str(self.parent) if self.parent else None,
            "since": self.since.isoformat(),
            "beats": self.beats,
            "expired": self.expired,
        }
        return content if self.lock is None else {**content, "lock": self.lock.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PinRecord:
        try:
            return cls(
                UUID(data["point"]),
                data["run"],
                UUID(data["parent"]) if data["parent"] else None,
                datetime.fromisoformat(data["since"]),
                int(data["beats"]),
                bool(data["expired"]),
                Lock.from_json(data["lock"]) if data.get("lock") is not None else None,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as wrong:
            raise Damaged("A pin is not well formed.", remedy=CHECK_REMEDY) from wrong


class Pin:
    """The pin this process holds for ``point_id``; ``acquire`` makes or adopts it."""

    def __init__(self, vault: Vault, record: PinRecord, version: str) -> None:
        self._vault = vault
        self._version = version
        self.record = record

    @classmethod
    def acquire(cls, vault: Vault, point_id: UUID, parent: UUID | None) -> Pin:
        """Go on with the live run of this point and parent, else begin a new one (the old one's packs become garbage)."""
        name = layout.pin(point_id)
        for _ in range(ATTEMPTS):
            found = read_pin(vault, point_id)
            fresh = PinRecord(point_id, vault.new_id().hex(), parent, vault.patiently(vault.blobs.now), 0)
            try:
                if found is None:
                    blob = vault.put_once(name, vault.seal(name, TYPE_PIN, fresh.to_json()))
                    return cls(vault, fresh, blob.version)
                record, there = found
                if record.parent == parent and not is_expired(record, there, fresh.since):
                    fresh = replace(record, beats=record.beats + 1)
                blob = vault.replace(name, vault.seal(name, TYPE_PIN, fresh.to_json()), there.version)
                return cls(vault, fresh, blob.version)
            except AlreadyThere:
                continue
        raise Conflict(f"Point {point_id} is being begun elsewhere at the same time.", remedy="Try again.")

    def renew(self) -> None:
        """NotFound when the run expired or another one took its place: everything it wrote may be gone."""
        name = layout.pin(self.record.point_id)
        for _ in range(ATTEMPTS):
            record = replace(self.record, beats=self.record.beats + 1)
            try:
                blob = self._vault.replace(name, self._vault.seal(name, TYPE_PIN, record.to_json()), self._version)
            except AlreadyThere:
                self._catch_up()
                continue
            self.record, self._version = record, blob.version
            return
        raise Conflict(f"Point {self.record.point_id} is written by two runs at the same time.", remedy="Try again.")

    def release(self) -> None:
        """Idempotent. Another run's pin is left alone."""
        found = read_pin(self._vault, self.record.point_id)
        if found is not None and found[0].run == self.record.run:
            remove_pin(self._vault, self.record.point_id)

    def bind(self, lock: Lock) -> None:
        """Record what the run locks its objects with, unless another process that works on it has done so. As ``renew``."""
        for _ in range(ATTEMPTS):
            if self.record.lock is not None:
                return
            self.record = replace(self.record, lock=lock)
            self.renew()
        raise Conflict(f"Point {self.record.point_id} is written by two runs at the same time.", remedy="Try again.")

    def _catch_up(self) -> None:
        """Another process resumed the same run and renewed its pin: take that version, if it still is our run."""
        found = read_pin(self._vault, self.record.point_id)
        if found is None or found[0].run != self.record.run or found[0].expired:
            raise expired_run(self.record.point_id)
        self.record, self._version = found[0], found[1].version


def remove_pin(vault: Vault, point_id: UUID) -> None:
    """Idempotent. Where the bucket locks whatever is written the pin stays, marked as of no run, until collection can delete
    it."""
    name = layout.pin(point_id)
    for _ in range(ATTEMPTS):
        if not vault.patiently(lambda: vault.blobs.delete([name])):
            return
        found = read_pin(vault, point_id)
        if found is None or found[0].expired or _expire(vault, name, *found):
            return
    raise Conflict(f"The pin of point {point_id} is written by two runs at the same time.", remedy="Try again.")


def expired_run(point_id: UUID) -> NotFound:
    return NotFound(
        f"The interrupted backup {point_id} expired or was begun anew; what it had stored may be gone.",
        remedy="Back up its disks again from the beginning.",
    )


def is_expired(record: PinRecord, blob: Blob, store_now: datetime) -> bool:
    return record.expired or blob.modified + PIN_LIFE < store_now


def read_pin(vault: Vault, point_id: UUID) -> tuple[PinRecord, Blob] | None:
    found = vault.read_versioned(layout.pin(point_id), TYPE_PIN)
    return None if found is None else (PinRecord.from_json(found[0]), found[1])


def live_pins(vault: Vault) -> Iterator[PinRecord]:
    """Pins of runs in progress. Marks expired ones (conditionally: a renewal in the same moment wins), and removes those
    marked long ago."""
    store_now = vault.patiently(vault.blobs.now)
    for listed in vault.blobs.list(layout.PINS):
        point_id = layout.uuid_of(listed.name)
        found = read_pin(vault, point_id) if point_id else None
        if found is None:
            continue
        record, blob = found
        if not is_expired(record, blob, store_now):
            yield record
        elif record.expired:
            if blob.modified + PIN_LIFE < store_now:
                vault.blobs.delete([listed.name])
        elif not _expire(vault, listed.name, record, blob):
            yield record


def _expire(vault: Vault, name: str, record: PinRecord, blob: Blob) -> bool:
    try:
        vault.replace(name, vault.seal(name, TYPE_PIN, replace(record, expired=True).to_json()), blob.version)
    except AlreadyThere:
        return False
    return True
