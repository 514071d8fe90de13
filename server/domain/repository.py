"""A repository as the appliance knows it: a folder in a bucket, or on a disk, in the Holdfast format."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


class StorageKind(enum.Enum):
    S3 = "s3"
    LOCAL = "local"


class StorageClass(enum.Enum):
    """Of a repository's packs. The others are archives: cheap to keep, hours to read."""

    STANDARD = "standard"
    GLACIER = "glacier"  # S3 Glacier Flexible Retrieval
    DEEP_ARCHIVE = "deep_archive"  # S3 Glacier Deep Archive


class RetrievalMode(enum.Enum):
    EXPEDITED = "expedited"
    STANDARD = "standard"
    BULK = "bulk"


class RepositoryState(enum.Enum):
    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """``location`` is the bucket (S3) or absolute folder (local); ``prefix`` the folder inside the bucket.

    ``password`` is sealed at rest and never leaves the appliance.
    """

    id: UUID
    name: str
    description: str = ""
    kind: StorageKind
    account_id: UUID | None  # S3: whose credentials open the bucket
    region: str | None
    location: str
    prefix: str = ""
    password: str = field(repr=False)
    format_id: UUID | None = None  # the id inside the repository itself
    state: RepositoryState = RepositoryState.AVAILABLE
    problem: str | None = None
    stored_bytes: int = 0
    created_at: datetime
    revision: int = 1
