"""The bare kernels: what no engine can beat. The same blocks, threads, level and cipher, and nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.ports import BLOCK_SIZE
from server.repository.control import Tuning
from server.repository.pack import RAW
from tests.bench import engine
from tests.bench.image import allocated

BATCH = 8  # blocks per unit of work, as the engine's
KEY = bytes(range(32))
ZERO = bytes(BLOCK_SIZE)

T = TypeVar("T")


def backup(image: str) -> dict[str, Any]:
    """pread → zeros? → BLAKE3 → (once per content) zstd → AES-256-GCM, thrown away."""
    tuning = Tuning()
    handle = os.open(image, os.O_RDONLY)
    cipher = AESGCM(KEY)
    local = threading.local()
    seen: set[bytes] = set()
    stored = 0

    def work(indexes: Sequence[int]) -> int:
        if not hasattr(local, "compressor"):
            local.compressor = zstandard.ZstdCompressor(level=tuning.level)
        total = 0
        for index in indexes:
            data = os.pread(handle, BLOCK_SIZE, index * BLOCK_SIZE)
            if data == ZERO:
                continue
            digest = blake3(data, key=KEY).digest(length=16)
            if digest in seen:
                continue
            seen.add(digest)
            packed = local.compressor.compress(data)
            total += len(cipher.encrypt(index.to_bytes(12, "big"), packed, digest))
        return total

    indexes = allocated(Path(image))
    started = time.monotonic()
    stored = sum(_spread(work, indexes, tuning.cores))
    seconds = time.monotonic() - started
    os.close(handle)
    return {"engine": seconds, "blocks": len(indexes), "stored": stored, "threads": tuning.cores}


def restore(repo: str, point: str, target: str | None = None) -> dict[str, Any]:
    """pread → AES-256-GCM → zstd of every stored block of the point, thrown away; with ``target`` also pwrite to a file.

    Packs are opened once; neighbours in a pack are read with one pread. The seals are really opened, with the packs' keys."""
    where = engine.locations(repo, point)
    keys = engine.opened(repo).vault.keys
    readers = {row[5]: _Pack(keys.pack_cipher(int.from_bytes(row[5][16:], "little"), row[5][:16]), row[1]) for row in where}
    headers = {ref: os.pread(reader.handle, 48, 0) for ref, reader in readers.items()}
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600) if target else None
    local = threading.local()

    def work(rows: Sequence[engine.Place]) -> int:
        if not hasattr(local, "decompressor"):
            local.decompressor = zstandard.ZstdDecompressor()
        for index, _, offset, length, codec, ref in rows:
            sealed = os.pread(readers[ref].handle, length, offset)
            aad = engine.aad(headers[ref], codec, offset, length)
            payload = readers[ref].cipher.decrypt(offset.to_bytes(12, "big"), sealed, aad)
            plain = payload if codec == RAW else local.decompressor.decompress(payload)
            if out is not None:
                os.pwrite(out, plain, index * BLOCK_SIZE)
        return len(rows)

    started = time.monotonic()
    count = sum(_spread(work, where, Tuning().cores))
    return {"engine": time.monotonic() - started, "blocks": count, "threads": Tuning().cores}


class _Pack:
    def __init__(self, cipher: AESGCM, path: str) -> None:
        self.cipher = cipher
        self.handle = os.open(path, os.O_RDONLY)


def _spread(work: Callable[[Sequence[T]], int], items: Sequence[T], threads: int) -> Iterator[int]:
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, [items[at : at + BATCH] for at in range(0, len(items), BATCH)])
