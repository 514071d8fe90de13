"""What people fill in about a repository, and what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from uuid import UUID

from server.domain.errors import InvalidInput
from server.domain.policy import DESCRIPTION_MAX, NAME_MAX
from server.domain.repository import StorageClass, StorageKind

PASSWORD_MIN = 8
PASSWORD_MAX = 1024
HINT_MAX = 255
PREFIX_MAX = 512
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(r"[\w!.*'()/=+@-]+")
KMS_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRepository:
    """``location`` is a bucket, or for LOCAL a folder: absolute, or relative to the folder local repositories lie in.

    ``kms_key`` (an ARN) in place of ``password``. ``storage_class`` and ``hint`` count for a new one; one that is there keeps
    its own. ``take_over``: also when another appliance owns it.
    """

    name: str
    description: str = ""
    kind: StorageKind
    account_id: UUID | None
    region: str | None
    location: str
    prefix: str
    password: str = field(default="", repr=False)
    kms_key: str | None = None
    hint: str = ""
    storage_class: StorageClass = StorageClass.STANDARD
    take_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryChange:
    """None: as it is. ``password`` or ``kms_key``: what opens it from now on. ``take_over``: become its owner again."""

    name: str | None = None
    description: str | None = None
    hint: str | None = None
    password: str | None = field(default=None, repr=False)
    kms_key: str | None = None
    take_over: bool = False


def refuse(fields: dict[str, str]) -> None:
    if fields:
        raise InvalidInput(next(iter(fields.values())), fields=fields)


def check_form(draft: NewRepository) -> None:
    fields = check_words(draft.name, draft.description, draft.hint)
    if draft.kms_key and draft.password:
        fields["kmsKey"] = "A repository opens with a password or with a key, not with both."
    else:
        fields.update(check_secret(draft.password, draft.kms_key))
    fields.update(check_place(draft))
    if draft.kind is StorageKind.LOCAL and draft.kms_key and draft.account_id is None:
        fields["accountId"] = "Choose the account that may use the key."
    if draft.kind is StorageKind.LOCAL and draft.storage_class is not StorageClass.STANDARD:
        fields["storageClass"] = "A folder on a disk has no storage classes."
    refuse(fields)


def check_words(name: str, description: str, hint: str) -> dict[str, str]:
    fields = {}
    if not 1 <= len(name.strip()) <= NAME_MAX:
        fields["name"] = f"A name has 1 to {NAME_MAX} characters."
    if len(description) > DESCRIPTION_MAX:
        fields["description"] = f"A description has at most {DESCRIPTION_MAX} characters."
    if len(hint) > HINT_MAX:
        fields["hint"] = f"A hint has at most {HINT_MAX} characters."
    return fields


def check_secret(password: str, kms_key: str | None) -> dict[str, str]:
    if kms_key:
        return {} if KMS_KEY.fullmatch(kms_key) else {"kmsKey": "A key's ARN looks like arn:aws:kms:REGION:ACCOUNT:key/ID."}
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        return {"password": f"A repository's password has {PASSWORD_MIN} to {PASSWORD_MAX} characters."}
    return {}


def check_place(draft: NewRepository) -> dict[str, str]:
    fields = {}
    prefix = draft.prefix.strip("/")
    if prefix and (len(prefix) > PREFIX_MAX or not PREFIX.fullmatch(prefix) or ".." in prefix.split("/")):
        fields["prefix"] = f"A folder is at most {PREFIX_MAX} letters, digits and !-_.*'()/=+@, without '..'."
    if draft.kind is StorageKind.LOCAL:
        if not draft.location.strip():
            fields["location"] = "Name the folder."
        return fields
    if not BUCKET.fullmatch(draft.location) or ".." in draft.location:
        fields["location"] = "A bucket's name has 3 to 63 small letters, digits, dots and hyphens."
    if draft.account_id is None:
        fields["accountId"] = "Choose the account whose bucket this is."
    if not draft.region:
        fields["region"] = "Choose the bucket's Region."
    return fields
