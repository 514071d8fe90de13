"""Sizes, spans and counts as people read them: the words of session logs."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from server.domain.repository import StorageClass

CLASS_NAMES: Final = {
    StorageClass.STANDARD: "S3 Standard",
    StorageClass.GLACIER: "S3 Glacier Flexible Retrieval",
    StorageClass.DEEP_ARCHIVE: "S3 Glacier Deep Archive",
}

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(number: int) -> str:
    """``0 bytes``, ``512 KiB``, ``1.5 GiB``: one decimal below ten, none above."""
    value = float(number)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    if unit == "bytes":
        return count(number, "byte")
    return f"{value:.1f} {unit}" if value < 10 and value != int(value) else f"{value:.0f} {unit}"


def span(length: timedelta) -> str:
    """``2.4 s``, ``47 s``, ``3 min 5 s``, ``2 h 10 min``."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rate(number: int, length: timedelta) -> str:
    """Bytes over time: ``210 MiB/s``; "" when the time is too short to mean anything."""
    seconds = length.total_seconds()
    return f"{size(round(number / seconds))}/s" if seconds >= 0.1 else ""


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 snapshot``, ``3 snapshots``."""
    return f"{number} {singular}" if number == 1 else f"{number} {plural or singular + 's'}"
