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


class Encryption(enum.Enum):
    """What opens a repository: a password people know, or a key of AWS KMS."""

    PASSWORD = "password"  # noqa: S105  # the word, not one
    KMS = "kms"


class RepositoryState(enum.Enum):
    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """``location`` is the bucket (S3) or absolute folder (local); ``prefix`` the folder inside the bucket.

    ``password`` is sealed at rest and never leaves the appliance; "" with KMS, where ``kms_key`` is the key's ARN. ``hint``
    reminds people of the password. ``immutable``: the bucket locks what is written. ``stored_bytes`` is an estimate between
    collections. The last three times: when each kind of upkeep last succeeded.
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
    storage_class: StorageClass = StorageClass.STANDARD
    immutable: bool = False
    encryption: Encryption = Encryption.PASSWORD
    kms_key: str | None = None
    hint: str = ""
    rescanned_at: datetime | None = None
    collected_at: datetime | None = None
    checked_at: datetime | None = None
    created_at: datetime
    revision: int = 1
