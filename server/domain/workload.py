"""What can be protected: accounts, Regions, resources."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5


class AccountState(enum.Enum):
    UNCHECKED = "unchecked"
    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An AWS account. ``role_arn`` None is the home account: the appliance's own credentials."""

    id: UUID
    name: str
    role_arn: str | None
    external_id: str | None = field(repr=False)  # sealed: never shown, never logged
    aws_account_id: str | None  # known after the first check
    state: AccountState = AccountState.UNCHECKED
    problem: str | None = None
    checked_at: datetime | None = None
    created_at: datetime
    revision: int = 1

    @property
    def is_home(self) -> bool:
        return self.role_arn is None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an AWS call goes: which account's credentials, which Region. Hashable, so clients are cached by it."""

    account_id: UUID
    role_arn: str | None
    external_id: str | None = field(repr=False)
    region: str


def place(account: Account, region: str) -> Place:
    return Place(account.id, account.role_arn, account.external_id, region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A resource as discovered in AWS. ``document`` is the workload's own record, JSON-ready; ``size_bytes`` what it holds."""

    aws_id: str
    name: str
    region: str
    tags: dict[str, str]
    state: str
    size_bytes: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A protectable thing, kept after it vanished from AWS as long as points of it exist (``present`` False)."""

    id: UUID
    account_id: UUID
    workload: str  # key in WORKLOADS: "ec2"
    region: str
    aws_id: str
    name: str
    tags: dict[str, str]
    state: str
    size_bytes: int
    document: dict[str, Any]
    present: bool = True
    first_seen_at: datetime
    last_seen_at: datetime


def resource_id(account_id: UUID, workload: str, region: str, aws_id: str) -> UUID:
    """Derived, so that whoever finds the same thing gives it the same id."""
    return uuid5(account_id, f"{workload}/{region}/{aws_id}")
