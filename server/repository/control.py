"""What a caller hands to a backup: the disk, hooks to follow, stop and resume it, and how hard to work."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from server.domain.errors import Damaged
from server.domain.repository import StorageClass
from server.repository.pack import ARCHIVE_PACK_SIZE, DATA_PACK_SIZE, PART_SIZE

PATIENCE = 10.0
ARCHIVE_PATIENCE = 1800.0


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
class Tuning:
    """Sizes and numbers the defaults of which were measured on two cores. Memory: about ``buffers`` parts plus ``threads``
    blocks plus 60 MiB.

    Up to ``threads`` read (network latency wants many), about ``cores`` of them compute at once; ``level`` is zstd's.
    ``pack_size`` None: as the repository's storage class wants it.
    """

    threads: int = 12
    cores: int = field(default_factory=lambda: max(2, os.cpu_count() or 2))
    batch: int = 8  # blocks per unit of work
    pack_size: int | None = None
    part_size: int = PART_SIZE  # what is put at once of a larger pack
    buffers: int = 5
    uploads: int = 4
    level: int = 1
    progress_every: float = 0.5  # seconds
    checkpoint_every: float = 8.0  # seconds, at the beginning; grows to 60 on long runs
    checkpoint_patience: float | None = None  # a pack that a checkpoint waits for is closed early after so long
    beat_every: float = 600.0

    def data_packs(self, storage_class: StorageClass) -> int:
        """Bytes of a data pack."""
        usual = DATA_PACK_SIZE if storage_class is StorageClass.STANDARD else ARCHIVE_PACK_SIZE
        return self.pack_size or usual

    def patience(self, storage_class: StorageClass) -> float:
        """Seconds. In an archive every object costs for 40 KiB more than it holds, and a request to retrieve it."""
        usual = PATIENCE if storage_class is StorageClass.STANDARD else ARCHIVE_PATIENCE
        return usual if self.checkpoint_patience is None else self.checkpoint_patience


def resume_index(checkpoint: str | None) -> int:
    """The first block index a resumed ``disk`` call needs: start the ``blocks`` iterable there. 0 without a checkpoint."""
    if checkpoint is None:
        return 0
    try:
        return int(json.loads(checkpoint)["next"])
    except (KeyError, TypeError, ValueError) as wrong:
        raise Damaged("The checkpoint cannot be read.", remedy="Start the disk again without it.") from wrong
