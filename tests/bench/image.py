"""A disk image as backups meet it: ext4 with real files (programs, libraries, documentation) and generated ones."""

from __future__ import annotations

import os
import random
import shutil
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from server.ports import BLOCK_SIZE
from tests.bench.processes import command

MIB = 1024**2
SEED = 20260301
PAGE = 4096
LINES = 10_000  # generated at once
_Content = Callable[[random.Random], bytes]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sizes in MiB: the disk, real files, and generated logs, tables and media (which do not compress)."""

    disk: int
    real: int
    logs: int
    tables: int
    media: int


FULL = Recipe(disk=8192, real=2350, logs=250, tables=150, media=300)
QUICK = Recipe(disk=1024, real=300, logs=32, tables=20, media=40)


def make(path: Path, recipe: Recipe) -> None:
    """A sparse image at ``path``: zeros are holes. Same files on the same machine, whenever it is made."""
    staging = path.with_suffix(".files")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _copy_real(staging / "real", recipe.real * MIB)
        _write(staging / "var" / "log", "app", recipe.logs * MIB, _log_lines)
        _write(staging / "var" / "lib", "table", recipe.tables * MIB, _table_rows)
        _write(staging / "srv", "media", recipe.media * MIB, _noise)
        with path.open("wb") as file:
            file.truncate(recipe.disk * MIB)
        command(["mkfs.ext4", "-q", "-F", "-E", "hash_seed=6f1c9a52-4b1e-4a3d-9c38-1d6c1a5e3b01", "-d", staging, path])
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def allocated(path: Path) -> list[int]:
    """Blocks of 512 KiB the image file has data in, ascending: what an EBS snapshot would list."""
    found: list[int] = []
    size = path.stat().st_size
    handle = os.open(path, os.O_RDONLY)
    try:
        at = 0
        while at < size:
            try:
                start = os.lseek(handle, at, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                break
            end = os.lseek(handle, start, os.SEEK_HOLE)
            first = start // BLOCK_SIZE
            found.extend(range(max(first, found[-1] + 1 if found else 0), -(-end // BLOCK_SIZE)))
            at = end
    finally:
        os.close(handle)
    return found


def change(path: Path, blocks: list[int]) -> None:
    """Overwrite whole blocks with pages of other blocks in a new order: new content that compresses like the old."""
    chance = random.Random(SEED)
    sources = allocated(path)
    with path.open("r+b") as file:
        for index in blocks:
            pages: list[bytes] = []
            for source in chance.choices(sources, k=8):
                file.seek(source * BLOCK_SIZE)
                data = file.read(BLOCK_SIZE)
                cut = [data[at : at + PAGE] for at in range(0, BLOCK_SIZE, PAGE)]
                pages += chance.sample(cut, k=16)
            file.seek(index * BLOCK_SIZE)
            file.write(b"".join(pages))


def _copy_real(target: Path, limit: int) -> None:
    """Files of the system and of this environment, picked evenly by a hash of their names, until ``limit`` bytes."""
    roots = [Path("/usr"), Path(sys.prefix)]
    picked = sorted(_regular_files(roots), key=lambda found: (zlib.crc32(found[0].encode()), found[0]))
    total = 0
    for name, size in picked:
        if total + size > limit:
            continue
        total += size
        copy = target / name.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(name, copy)
        if total > limit - MIB:
            break
    _write(target / "filled", "app", max(0, limit - total), _log_lines)  # a system smaller than that


def _regular_files(roots: list[Path]) -> Iterator[tuple[str, int]]:
    seen: set[tuple[int, int]] = set()
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode) and os.access(path, os.R_OK) and (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    yield path, found.st_size


def _write(folder: Path, stem: str, size: int, content: _Content) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(f"{SEED} {stem}")
    number = 0
    while size > 0:
        part = min(size, 16 * MIB)
        with (folder / f"{stem}-{number:04}").open("wb") as file:
            written = 0
            while written < part:
                data = content(chance)[: part - written]
                file.write(data)
                written += len(data)
        size -= part
        number += 1


def _log_lines(chance: random.Random) -> bytes:
    second = chance.randrange(86_400)
    return "".join(
        f"2026-03-01T{(second + n // 40) % 86_400:05}.{chance.getrandbits(20):06} worker-{n % 7} INFO request "
        f"id={chance.getrandbits(64):016x} path=/api/v1/orders/{chance.randrange(100_000)} status=200 bytes={n * 13 % 9973}\n"
        for n in range(LINES)
    ).encode()


def _table_rows(chance: random.Random) -> bytes:
    return b"".join(
        n.to_bytes(8, "big") + chance.randbytes(8) + b"customer %06d" % chance.randrange(10**6) + bytes(13)
        for n in range(LINES)
    )


def _noise(chance: random.Random) -> bytes:
    return chance.randbytes(MIB)
