"""What the frozen repositories hold: disks as {block index: kind of content}, the same for every format version."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from uuid import UUID

from server.ports import BLOCK_SIZE

OWNER = UUID("00000000-0000-4000-8000-00000000f01d")
FULL = UUID("00000000-0000-4000-8000-000000000001")
INCREMENT = UUID("00000000-0000-4000-8000-000000000002")
FORGOTTEN = UUID("00000000-0000-4000-8000-000000000003")
PASSWORDS = ("first password", "zweites Paßwort")
GIB = 1024**3

Blocks = dict[int, str]


@dataclass(frozen=True, slots=True)
class Disk:
    """``changed``: the block indexes an increment lists, None in a full."""

    disk_id: str
    size_bytes: int
    blocks: Blocks
    changed: frozenset[int] | None = None


def block(kind: str) -> bytes:
    """512 KiB: ``zero``, ``raw…`` (does not compress), or anything else: words in an order that the name decides."""
    if kind == "zero":
        return bytes(BLOCK_SIZE)
    seed = random.Random(hashlib.sha256(kind.encode()).digest())  # its methods are the same in every Python
    if kind.startswith("raw"):
        return seed.randbytes(BLOCK_SIZE)
    words = [f"{kind}-{number} " for number in range(200)]
    line = "".join(words[int(seed.random() * len(words))] for _ in range(500)).encode()
    return (line * (BLOCK_SIZE // len(line) + 1))[:BLOCK_SIZE]


_ROOT: Blocks = {0: "boot", 1: "kernel", 2: "zero", 3: "kernel", 17: "etc", 39: "end"}
_DATA: Blocks = {0: "label", 5: "raw noise", 300: "table", 70 * 2048: "far away", 80 * 2048 - 1: "last"}

# 20 MiB, and 80 GiB of nearly nothing (three levels of nodes); then the first grows to a size that is no whole block.
_FULL = (Disk("vol-root", 40 * BLOCK_SIZE, _ROOT), Disk("vol-data", 80 * GIB, _DATA))
_INCREMENT = (
    Disk(
        "vol-root",
        400 * BLOCK_SIZE + 1000,
        {**_ROOT, 1: "kernel 2", 17: "zero", 255: "log", 256: "log 2", 400: "tail"},
        frozenset({1, 17, 255, 256, 400}),
    ),
    Disk("vol-data", 80 * GIB, {**_DATA, 300: "table 2", 70 * 2048: "zero"}, frozenset({300, 70 * 2048})),
)
_FORGOTTEN = (Disk("vol-root", 40 * BLOCK_SIZE, {0: "boot 3", 39: "end"}),)

POINTS: dict[UUID, tuple[Disk, ...]] = {FULL: _FULL, INCREMENT: _INCREMENT, FORGOTTEN: _FORGOTTEN}
PARENTS: dict[UUID, UUID | None] = {FULL: None, INCREMENT: FULL, FORGOTTEN: None}
