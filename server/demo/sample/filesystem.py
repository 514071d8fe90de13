"""Disk images without root: a GPT written here, file systems by mkfs, all in sparse files."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import uuid
import zlib
from pathlib import Path

SECTOR = 512
ENTRIES, ENTRY_SIZE = 128, 128
ENTRY_SECTORS = ENTRIES * ENTRY_SIZE // SECTOR
PARTITION_OFFSET = 1024 * 1024  # first partition, aligned as every partitioning tool does
LINUX_DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
GIB = 1 << 30
_TOOL_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")  # not on an ordinary user's PATH


class ToolMissing(Exception):
    """A file system tool is not installed."""


def tool(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_TOOL_FOLDERS))


def write_gpt(image: Path, size: int, name: str) -> int:
    """A protective MBR and a GPT with one partition over the whole disk. Returns the partition's bytes.

    ``size``: bytes of the disk, a multiple of the sector. The file is made sparse and exactly that long.
    """
    sectors = size // SECTOR
    first, last = PARTITION_OFFSET // SECTOR, sectors - ENTRY_SECTORS - 2
    disk_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.disk.holdfast")
    part_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.part.holdfast")
    label = name[:36].encode("utf-16-le").ljust(72, b"\0")
    entry = LINUX_DATA.bytes_le + part_id.bytes_le + struct.pack("<QQQ", first, last, 0) + label
    entries = entry.ljust(ENTRIES * ENTRY_SIZE, b"\0")
    with image.open("wb") as out:
        out.truncate(size)
        out.write(_protective_mbr(sectors))
        out.write(_header(1, sectors - 1, 2, sectors, disk_id, entries))
        out.seek(2 * SECTOR)
        out.write(entries)
        out.seek((sectors - 1 - ENTRY_SECTORS) * SECTOR)
        out.write(entries)
        out.write(_header(sectors - 1, 1, sectors - 1 - ENTRY_SECTORS, sectors, disk_id, entries))
    return (last - first + 1) * SECTOR


def _protective_mbr(sectors: int) -> bytes:
    record = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF))
    return bytes(446) + record + bytes(48) + b"\x55\xaa"


def _header(own: int, other: int, table: int, sectors: int, disk_id: uuid.UUID, entries: bytes) -> bytes:
    def packed(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            b"EFI PART",
            0x00010000,
            92,
            checksum,
            0,
            own,
            other,
            2 + ENTRY_SECTORS,
            sectors - ENTRY_SECTORS - 2,
            disk_id.bytes_le,
            table,
            ENTRIES,
            ENTRY_SIZE,
            zlib.crc32(entries),
        )

    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")


def make_ext4(image: Path, size: int, tree: Path, name: str) -> None:
    """A GPT disk whose partition is ext4 with the files of ``tree``. Errors: ToolMissing, subprocess.CalledProcessError."""
    mkfs = tool("mkfs.ext4")
    if mkfs is None:
        raise ToolMissing("mkfs.ext4 is not installed: install e2fsprogs")
    blocks = write_gpt(image, size, name) // 4096
    identity = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.fs.holdfast"))
    options = f"offset={PARTITION_OFFSET},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,hash_seed={identity}"
    command = [mkfs, "-q", "-F", "-b", "4096", "-m", "1", "-L", name[:16], "-U", identity, "-E", options]
    _run([*command, "-d", str(tree), str(image), str(blocks)])


def make_xfs(image: Path, size: int, tree: Path, name: str) -> None:
    """An XFS disk without partitions, as data volumes on AWS often are. Names in ``tree`` must have no blanks."""
    mkfs = tool("mkfs.xfs")
    if mkfs is None:
        raise ToolMissing("mkfs.xfs is not installed: install xfsprogs")
    with image.open("wb") as out:
        out.truncate(size)
    prototype = image.with_suffix(".proto")
    try:
        lines: list[str] = ["/", "0 0", "d--755 0 0"]
        _describe(tree, 1, lines)
        lines.append("$")
        prototype.write_text("\n".join(lines) + "\n")
        identity = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.fs.holdfast"))
        _run([mkfs, "-q", "-f", "-m", f"uuid={identity}", "-L", name[:12], "-p", str(prototype), str(image)])
    finally:
        prototype.unlink(missing_ok=True)


def _describe(folder: Path, depth: int, lines: list[str]) -> None:
    indent = " " * depth
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            lines.append(f"{indent}{entry.name} l--777 0 0 {entry.readlink()}")
        elif entry.is_dir():
            lines.append(f"{indent}{entry.name} d--755 0 0")
            _describe(entry, depth + 1, lines)
            lines.append(f"{indent}$")
        else:
            lines.append(f"{indent}{entry.name} ---644 0 0 {entry}")


def _run(command: list[str]) -> None:
    environment = {**os.environ, "E2FSPROGS_FAKE_TIME": "1780000000", "SOURCE_DATE_EPOCH": "1780000000", "LC_ALL": "C"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
