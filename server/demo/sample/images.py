"""The sample's disk images: built once, kept in the data folder with a list of the files they hold."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.demo.sample.content import MIB, Tree, Writer
from server.demo.sample.filesystem import GIB, PARTITION_OFFSET, make_ext4, make_xfs, tool

VERSION = 1  # raise it when what is generated changes
Size = Literal["small", "full"]


@dataclass(frozen=True, slots=True)
class Image:
    """A raw disk image; ``manifest`` is JSON: filesystem, offset, files (path → size, sha256), links."""

    name: str
    path: Path
    size_gib: int

    @property
    def manifest(self) -> Path:
        return self.path.with_suffix(".files.json")


@dataclass(frozen=True, slots=True)
class _Recipe:
    fill: Callable[[Tree, bool], None]
    size_gib: dict[Size, int]
    kind: Literal["ext4", "xfs"] = "ext4"


def _system(tree: Tree, full: bool) -> None:
    """A root disk: configuration, programs, libraries, logs."""
    count = 1500 if full else 120
    tree.add_text("etc/hostname", "ip-10-0-0-12\n")
    tree.add_text("etc/os-release", 'NAME="Sample Linux"\nVERSION_ID="12"\nPRETTY_NAME="Sample Linux 12"\n')
    tree.add_text("etc/fstab", "LABEL=root / ext4 defaults 0 1\n")
    tree.add_text("etc/empty", "")
    tree.add_text("home/ops/Über uns – Notizen.txt", "Grüße aus Zürich\n" * 40)
    for number in range(count):
        folder, size = f"usr/lib/python3/module_{number % 40:02d}", 600 + (number * 7919) % 24_000
        tree.add(f"{folder}/part_{number:04d}.py", "source", size)
    for number in range(40 if full else 6):
        tree.add(f"usr/bin/tool-{number:02d}", "noise", (400 + 137 * number % 2600) * 1024)
    for number in range(30 if full else 4):
        tree.add(f"var/log/service-{number:02d}.log", "log", (200 + 97 * number % 1900) * 1024)
    tree.add_link("usr/bin/python", "tool-00")
    tree.add_link("var/log/current.log", "service-00.log")
    tree.add_sparse("var/lib/lastlog", (64 if full else 8) * MIB, 5)


def _database(tree: Tree, full: bool) -> None:
    """A data disk: large tables, their log, dumps and attachments. Full: about 1.7 GiB."""
    unit = MIB if full else MIB // 64
    for number in range(14):
        tree.add(f"pgdata/base/16384/{24576 + number}", "table", 64 * unit)
    for number in range(8):
        tree.add(f"pgdata/pg_wal/0000000100000000000000{number:02X}", "table", 16 * unit)
    for number in range(48):
        tree.add(f"attachments/{number % 8:02d}/{number:08d}.jpg", "noise", (4 + number % 13) * unit)
    for number in range(4):
        tree.add(f"exports/orders-2026-{number + 1:02d}.json", "json", 48 * unit)
    tree.add_sparse("pgdata/global/preallocated", 256 * unit, 8)
    tree.add_text("pgdata/PG_VERSION", "18\n")


def _logs(tree: Tree, full: bool) -> None:
    """A log disk: many text files, some already compressed. No blanks in names (mkfs.xfs)."""
    unit = MIB if full else MIB // 16
    for number in range(24):
        tree.add(f"app/2026-11-{number + 1:02d}.log", "log", 4 * unit)
    for number in range(12):
        tree.add(f"archive/2026-10-{number + 1:02d}.log.gz", "noise", 3 * unit)
    for number in range(60):
        tree.add(f"events/shard_{number:03d}.json", "json", unit // 4)


def recipes() -> dict[str, _Recipe]:
    log_kind: Literal["ext4", "xfs"] = "xfs" if tool("mkfs.xfs") else "ext4"
    return {
        "system": _Recipe(_system, {"small": 1, "full": 4}),
        "database": _Recipe(_database, {"small": 1, "full": 6}),
        "logs": _Recipe(_logs, {"small": 1, "full": 2}, log_kind),
    }


def build(folder: Path, name: str, size: Size) -> Image:
    """The image, from the folder or made now. Errors: ToolMissing, OSError, subprocess.CalledProcessError."""
    recipe = recipes()[name]
    folder.mkdir(parents=True, exist_ok=True)
    image = Image(name, (folder / f"{name}-{size}-v{VERSION}.img").resolve(), recipe.size_gib[size])
    if image.path.exists() and image.manifest.exists():
        return image
    work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
    try:
        tree = Tree(work / "tree", Writer(f"{name}-{size}"))
        tree.root.mkdir()
        recipe.fill(tree, size == "full")
        draft = work / "disk.img"
        (make_ext4 if recipe.kind == "ext4" else make_xfs)(draft, image.size_gib * GIB, tree.root, name)
        document = {
            "filesystem": recipe.kind,
            "offset": PARTITION_OFFSET if recipe.kind == "ext4" else 0,
            "files": {path: {"size": length, "sha256": digest} for path, (length, digest) in sorted(tree.files.items())},
            "links": dict(sorted(tree.links.items())),
        }
        image.manifest.write_text(json.dumps(document, indent=1, ensure_ascii=False))
        os.replace(draft, image.path)  # last: an image that exists is complete
    finally:
        shutil.rmtree(work)
    return image
