"""A repository on a store that can misbehave, and disks as plain dicts to compare with."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from uuid import UUID, uuid4

from server.adapters.blobs.faulty import Faults, FaultyBlobs
from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.clock import FakeClock
from server.domain.immutability import BucketFacts, LockRequest
from server.ports import BLOCK_SIZE, BlockRef
from server.repository.manifest import Manifest
from server.repository.repository import Control, DiskInput, DiskResult, Kdf, Repository, Tuning, resume_index
from server.repository.restore import read_blocks

PASSWORD = "correct horse"
OWNER = UUID(int=1)
QUICK = Kdf(memory_kib=64, passes=1)  # the real costs would be most of the suite's time
START = datetime(2026, 3, 1, tzinfo=UTC)
SMALL = Tuning(threads=3, cores=2, batch=4, pack_size=2 * 1024 * 1024, buffers=3, uploads=2)
EAGER = replace(SMALL, checkpoint_every=0.0)  # a checkpoint after every leaf

Content = dict[int, int]  # block index → seed of its content; 0 is a block of zeros


@lru_cache(maxsize=64)
def block(seed: int) -> bytes:
    """512 KiB of reproducible content: zeros, well compressible, or (every fifth seed) not at all."""
    if seed == 0:
        return bytes(BLOCK_SIZE)
    if seed % 5 == 0:
        return random.Random(seed).randbytes(BLOCK_SIZE)
    return seed.to_bytes(16, "big") * (BLOCK_SIZE // 16)


class Source:
    """What ``read`` of a backup reads from. Counts, and can be told to do something at a block."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.read_indexes: list[int] = []
        self.at: Callable[[int], None] = lambda _: None

    def read(self, ref: BlockRef) -> bytes:
        assert ref.token, "a block with an empty token must not be read"
        self.at(ref.index)
        self.read_indexes.append(ref.index)
        return block(self.content[ref.index])


@dataclass
class Bed:
    """Everything a test needs; ``blobs`` is what the repository talks to, ``inner`` what is behind it."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(START))
    seed: int = 1
    facts: BucketFacts = field(default_factory=BucketFacts)

    def __post_init__(self) -> None:
        self.inner = MemoryBlobs(self.clock, facts=self.facts)
        self.blobs = FaultyBlobs(self.inner, self.clock, seed=self.seed)
        self.repo = Repository.create(self.blobs, PASSWORD, clock=self.clock, owner=OWNER, kdf=QUICK)

    def reopen(self, faults: Faults | None = None) -> Repository:
        """As a new process would."""
        self.blobs.revive(faults)
        self.repo = Repository.open(self.blobs, PASSWORD, clock=self.clock, owner=OWNER)
        return self.repo

    def days(self, days: float) -> None:
        self.clock.advance(timedelta(days=days))

    def names(self, prefix: str = "") -> list[str]:
        return [blob.name for blob in self.inner.list(prefix)]

    def packs(self) -> list[str]:
        return self.names("packs/") + self.names("trees/")

    def backup(
        self,
        content: Content,
        *,
        blocks: int = 600,
        changed: Iterable[int] | None = None,
        parent: UUID | None = None,
        point: UUID | None = None,
        source: Source | None = None,
        disk_id: str = "vol-1",
        tuning: Tuning = SMALL,
        lock: LockRequest | None = None,
    ) -> tuple[Manifest, DiskResult]:
        """One point of one disk. ``changed`` None: full, of the keys of ``content``; else an increment on ``parent``.
        An index of ``changed`` that ``content`` lacks is listed with an empty token."""
        run = self.repo.begin(point or uuid4(), parent=parent, tuning=tuning, lock=lock)
        result = run.disk(
            DiskInput(disk_id=disk_id, size_bytes=blocks * BLOCK_SIZE),
            blocks=refs(content, changed),
            read=(source or Source(content)).read,
            mode="full" if changed is None else "changed",
            control=Control(),
        )
        return run.commit(at=self.clock.now(), resource={"id": "i-1"}, document={}, disks=[result]), result

    def restored(self, manifest: Manifest, disk_id: str = "vol-1") -> dict[int, bytes]:
        return dict(read_blocks(self.repo, manifest, disk_id, threads=2))


def refs(content: Content, changed: Iterable[int] | None = None, start: int = 0) -> list[BlockRef]:
    indexes = sorted(content if changed is None else changed)
    return [BlockRef(index, f"t{index}" if index in content else "") for index in indexes if index >= start]


def plain(content: Content) -> dict[int, bytes]:
    """What a restore must yield: every block that is not zero."""
    return {index: block(seed) for index, seed in content.items() if seed}


Mode = Literal["full", "changed"]


def resume_from(checkpoint: str | None, content: Content, changed: Iterable[int] | None) -> list[BlockRef]:
    return refs(content, changed, resume_index(checkpoint))
