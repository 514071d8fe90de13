"""The point manifest: what a restore point is made of. Stored sealed under ``points/<id>``; immutable (FORMAT.md §7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from server.domain.errors import Damaged
from server.repository.tree import Entry, entry_from_json, entry_to_json

MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRecord:
    """One disk of a point.

    ``root`` is the tree's top node (None: the disk holds only zeros) at ``level``; ``content_root`` (hex) commits to the
    disk's size and content, whatever the packs. Counts: ``blocks`` non-zero blocks of the disk; ``blocks_read`` asked of the
    source, ``blocks_written`` stored anew by this point, ``stored_bytes`` of packs it added, of which ``metadata_bytes`` trees.
    """

    disk_id: str
    size_bytes: int
    document: dict[str, Any] = field(default_factory=dict)
    level: int
    root: Entry | None
    content_root: str
    blocks: int
    blocks_read: int
    blocks_written: int
    stored_bytes: int
    metadata_bytes: int

    def to_json(self) -> dict[str, Any]:
        return {
            "diskId": self.disk_id,
            "sizeBytes": self.size_bytes,
            "document": self.document,
            "level": self.level,
            "root": entry_to_json(self.root) if self.root else None,
            "contentRoot": self.content_root,
            "blocks": self.blocks,
            "blocksRead": self.blocks_read,
            "blocksWritten": self.blocks_written,
            "storedBytes": self.stored_bytes,
            "metadataBytes": self.metadata_bytes,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DiskRecord:
        return cls(
            disk_id=data["diskId"],
            size_bytes=data["sizeBytes"],
            document=dict(data["document"]),
            level=data["level"],
            root=entry_from_json(data["root"]) if data["root"] is not None else None,
            content_root=data["contentRoot"],
            blocks=data["blocks"],
            blocks_read=data["blocksRead"],
            blocks_written=data["blocksWritten"],
            stored_bytes=data["storedBytes"],
            metadata_bytes=data["metadataBytes"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A restore point. ``resource`` and ``document`` are the caller's: what was protected and how to rebuild it.

    ``archive``: of an archive point, what it was made from (``archive.Origin``).
    """

    id: UUID
    at: datetime
    parent: UUID | None
    resource: dict[str, Any]
    document: dict[str, Any]
    disks: tuple[DiskRecord, ...]
    archive: dict[str, Any] | None = None

    def disk(self, disk_id: str) -> DiskRecord | None:
        return next((disk for disk in self.disks if disk.disk_id == disk_id), None)

    @property
    def size_bytes(self) -> int:
        return sum(disk.size_bytes for disk in self.disks)

    @property
    def stored_bytes(self) -> int:
        return sum(disk.stored_bytes for disk in self.disks)

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "version": MANIFEST_VERSION,
            "id": str(self.id),
            "at": self.at.isoformat(),
            "parent": str(self.parent) if self.parent else None,
            "resource": self.resource,
            "document": self.document,
            "disks": [disk.to_json() for disk in self.disks],
        }
        if self.archive is not None:
            content["archive"] = self.archive
        return content

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """Unknown keys are ignored, so later versions may add some. Damaged when a known one is missing or wrong."""
        try:
            return cls(
                id=UUID(data["id"]),
                at=datetime.fromisoformat(data["at"]),
                parent=UUID(data["parent"]) if data["parent"] else None,
                resource=dict(data["resource"]),
                document=dict(data["document"]),
                disks=tuple(DiskRecord.from_json(disk) for disk in data["disks"]),
                archive=dict(data["archive"]) if data.get("archive") is not None else None,
            )
        except (KeyError, TypeError, ValueError) as wrong:
            raise Damaged(f"A point manifest is not well formed ({wrong!r}).", remedy="Run a repository check.") from wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSummary:
    """A line of ``Repository.points``. ``stored_bytes`` is what this point added to the repository."""

    id: UUID
    at: datetime
    parent: UUID | None
    resource: dict[str, Any]
    disks: int
    size_bytes: int
    stored_bytes: int

    @classmethod
    def of(cls, manifest: Manifest) -> PointSummary:
        return cls(
            id=manifest.id,
            at=manifest.at,
            parent=manifest.parent,
            resource=manifest.resource,
            disks=len(manifest.disks),
            size_bytes=manifest.size_bytes,
            stored_bytes=manifest.stored_bytes,
        )
