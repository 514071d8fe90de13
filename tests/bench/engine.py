"""Holdfast's side: each function runs in a process of its own and times what it did (seconds)."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from server.adapters.blobs.local import LocalBlobs
from server.adapters.clock import SystemClock
from server.domain.errors import NotFound
from server.ports import BLOCK_SIZE, BlockRef
from server.repository import layout
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.fetch import Fetcher
from server.repository.manifest import DiskRecord
from server.repository.pack import KIND_BLOCK, item_aad, read_footer
from server.repository.repository import Control, DiskInput, Password, Repository
from server.repository.restore import restore_disk_to_file
from server.repository.tree import LEAF_BITS
from server.repository.walk import leaves
from tests.bench.image import allocated

PASSWORD = Password("correct horse battery staple")
OWNER = UUID(int=1)
DISK = "vol-0123456789abcdef0"
Place = tuple[int, str, int, int, int, bytes]  # block index, pack's file, offset, length, codec, pack reference
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def opened(repo: str) -> Repository:
    """The repository in folder ``repo``, made when there is none."""
    blobs, clock = LocalBlobs(Path(repo)), SystemClock()
    try:
        return Repository.open(blobs, PASSWORD, clock=clock, owner=OWNER)
    except NotFound:
        return Repository.create(blobs, PASSWORD, clock=clock, owner=OWNER)


def create(repo: str) -> dict[str, Any]:
    Path(repo).mkdir(parents=True)
    return {"id": str(opened(repo).id)}


def backup(
    repo: str, image: str, point: str, parent: str | None = None, changed: list[int] | None = None, holes: bool = False
) -> dict[str, Any]:
    """``changed`` None: full, of the blocks the image file has data in, or with ``holes`` of every block. ``engine``: from
    begin to commit."""
    repository = opened(repo)
    size = os.stat(image).st_size
    full = list(range(size // BLOCK_SIZE)) if holes else allocated(Path(image))
    listed = full if changed is None else changed
    handle = os.open(image, os.O_RDONLY)
    started = time.monotonic()
    run = repository.begin(UUID(point), parent=UUID(parent) if parent else None)
    result = run.disk(
        DiskInput(disk_id=DISK, size_bytes=size),
        blocks=(BlockRef(index, "t") for index in listed),
        read=lambda ref: os.pread(handle, BLOCK_SIZE, ref.index * BLOCK_SIZE),
        mode="full" if changed is None else "changed",
        control=Control(),
    )
    run.commit(at=NOON, resource={"id": "i-1"}, document={}, disks=[result])
    engine = time.monotonic() - started
    os.close(handle)
    return {"engine": engine, "blocks": len(listed), **_counts(result.record)}


def _counts(record: DiskRecord) -> dict[str, int]:
    kept = ("blocks_written", "stored_bytes", "metadata_bytes")
    return {key: value for key, value in asdict(record).items() if key in kept}


def restore(repo: str, point: str, target: str) -> dict[str, Any]:
    repository = opened(repo)
    started = time.monotonic()
    count = restore_disk_to_file(repository, repository.point(UUID(point)), DISK, Path(target))
    return {"engine": time.monotonic() - started, "blocks": count}


def footprint(repo: str) -> dict[str, int]:
    """Bytes of all objects, and of those everything that is not a sealed block: nodes, footers, manifests, state."""
    repository = opened(repo)
    vault = repository.vault
    stored = blocks = 0
    for blob in vault.blobs.list():
        stored += blob.size
        if blob.name.startswith(layout.PACKS):
            _, items = read_footer(vault.keys, TYPE_DATA_PACK, blob.name, vault.get(blob.name))
            blocks += sum(item.length for item in items)
    return {"stored": stored, "metadata": stored - blocks}


def locations(repo: str, point: str) -> list[Place]:
    """Where each block of the point lies, ascending."""
    repository = opened(repo)
    disk = repository.point(UUID(point)).disks[0]
    found: list[Place] = []
    with repository.vault.pool(2, "bench") as pool:
        for number, slots in leaves(Fetcher(repository.vault), disk.root, disk.level, pool):
            for slot, entry in slots.items():
                path = str(Path(repo) / layout.data_pack(entry.pack[:16]))
                found.append((number << LEAF_BITS | slot, path, entry.offset, entry.length, entry.codec, entry.pack))
    return found


def aad(header: bytes, codec: int, offset: int, length: int) -> bytes:
    """What seals a block to its place in its pack."""
    return item_aad(header, KIND_BLOCK, codec, offset, length)
