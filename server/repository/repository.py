"""An open repository: points listed, read, begun, forgotten and recalled; created and opened with a password."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from server.ports import Blobs, Clock
from server.repository.manifest import DiskRecord, Manifest, PointSummary
from server.repository.run import BackupRun, Control, DiskInput, DiskResult, Progress, resume_index

__all__ = [
    "BackupRun",
    "Control",
    "DiskInput",
    "DiskRecord",
    "DiskResult",
    "Manifest",
    "PointSummary",
    "Progress",
    "Repository",
    "resume_index",
]


class Repository:
    id: UUID

    @classmethod
    def create(cls, blobs: Blobs, password: str, *, clock: Clock, owner: UUID, hint: str = "") -> Repository:
        """A new repository in an empty folder. Errors: AlreadyThere when one is there, and the storage's."""
        raise NotImplementedError

    @classmethod
    def open(cls, blobs: Blobs, password: str, *, clock: Clock, owner: UUID, take_over: bool = False) -> Repository:
        """Errors: NotFound, WrongPassword, ForeignFormat, NotOwner (unless ``take_over``), Damaged, and the storage's."""
        raise NotImplementedError

    def points(self) -> Iterator[PointSummary]:
        """Every visible point, in no particular order (by id). Forgotten ones are left out."""
        raise NotImplementedError

    def point(self, point_id: UUID) -> Manifest:
        """Errors: NotFound (also when forgotten), Damaged."""
        raise NotImplementedError

    def begin(self, point_id: UUID, *, parent: UUID | None) -> BackupRun:
        """Start (or, after a crash, go on with) a point. Pins what the run uses against collection. NotFound: parent gone."""
        raise NotImplementedError

    def forget(self, point_id: UUID) -> None:
        """Hide the point; its data goes with the second collection after. Idempotent."""
        raise NotImplementedError

    def recall(self, point_id: UUID) -> None:
        """Undo ``forget``. NotFound once its data has begun to be deleted."""
        raise NotImplementedError
