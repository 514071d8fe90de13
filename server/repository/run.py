"""A backup in progress: ``Repository.begin`` gives a ``BackupRun``; its disks are read, then the point is committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from server.domain.errors import Damaged
from server.ports import BlockRef
from server.repository.manifest import DiskRecord, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskInput:
    """A disk to back up. ``disk_id`` ties it to the same disk in the parent point; ``document`` is kept in the manifest."""

    disk_id: str
    size_bytes: int
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one ``BackupRun.disk`` call, counting what an interrupted attempt did before: ``bytes_done`` of the listed blocks are
    handled, ``bytes_read`` came from the source (not blocks with an empty token), ``bytes_stored`` are durable."""

    bytes_done: int
    bytes_read: int
    bytes_stored: int


@dataclass(frozen=True, slots=True)
class Control:
    """The caller's hooks, called on the thread that called ``disk``. ``cancelled`` is asked several times a second;
    ``progress`` comes about twice a second; ``save`` hands over a checkpoint of ≤ 1 KiB to keep until the disk is done."""

    cancelled: Callable[[], bool] = lambda: False
    progress: Callable[[Progress], None] = lambda _: None
    save: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class DiskResult:
    """A disk whose every byte is durable, waiting for ``BackupRun.commit``. Store it as ``to_json()`` between disks."""

    run: str
    record: DiskRecord

    def to_json(self) -> dict[str, Any]:
        return {"run": self.run, "record": self.record.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DiskResult:
        return cls(run=data["run"], record=DiskRecord.from_json(data["record"]))


def resume_index(checkpoint: str | None) -> int:
    """The first block index a resumed ``disk`` call needs: start the ``blocks`` iterable there. 0 without a checkpoint."""
    if checkpoint is None:
        return 0
    try:
        return int(json.loads(checkpoint)["next"])
    except (KeyError, TypeError, ValueError) as wrong:
        raise Damaged("The checkpoint cannot be read.", remedy="Start the disk again without it.") from wrong


class BackupRun:
    """One attempt (or a resumed one) to make the point ``point_id``. Not thread-safe: one disk after the other."""

    point_id: UUID
    committed: Manifest | None  # set when an earlier attempt already committed this point: nothing is left to do

    def accepts(self, checkpoint: str) -> bool:
        """Whether ``disk`` can go on from this checkpoint. False when the run it belongs to expired (FORMAT.md §8)."""
        raise NotImplementedError

    def disk(
        self,
        disk: DiskInput,
        *,
        blocks: Iterable[BlockRef],
        read: Callable[[BlockRef], bytes],
        mode: Literal["full", "changed"],
        control: Control,
        checkpoint: str | None = None,
    ) -> DiskResult:
        """Back up one disk; returns when everything of it is durable.

        ``blocks`` ascending by index; on resume from ``resume_index(checkpoint)``. ``read`` is called from several threads.
        Mode "changed": blocks not listed are inherited from the parent's disk of the same ``disk_id``; "full": they are zeros.
        A BlockRef with token "" reads as zeros without a ``read`` call.
        Errors: Cancelled, InvalidInput (order, size, mode without parent disk), NotFound (checkpoint of an expired run: start
        the disk again without), Damaged (the parent's tree), whatever ``read`` raises, and the storage's errors.
        """
        raise NotImplementedError

    def commit(
        self, *, at: datetime, resource: Mapping[str, Any], document: Mapping[str, Any], disks: Sequence[DiskResult]
    ) -> Manifest:
        """Make the point visible. Idempotent: once committed, the same point id returns the manifest that is there.
        Errors: NotFound when the run expired (start again), NotOwner, and the storage's."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Give up: what was written becomes garbage. Idempotent; harmless after a commit."""
        raise NotImplementedError
