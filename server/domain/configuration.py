"""What testing a policy's configuration found, and the IAM policy that would cure what is missing. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class Area(enum.Enum):
    POLICY = "policy"  # its own settings
    ACCOUNT = "account"  # its role can be assumed
    PERMISSIONS = "permissions"
    REGION = "region"
    ENDPOINT = "endpoint"  # the network reaches AWS
    REPLICA = "replica"
    KEY = "key"
    REPOSITORY = "repository"
    GUEST = "guest"


class Finding(enum.Enum):
    PASSED = "passed"
    WARNING = "warning"  # could not be checked, or some resources will lack a leg
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. ``path``: the input behind it. ``missing``: IAM actions that are not allowed on ``on``
    (ARNs) for ``account``, whose role is ``role_arn``."""

    area: Area
    subject: str
    finding: Finding = Finding.PASSED
    message: str
    remedy: str | None = None
    path: str | None = None
    account: str | None = None
    role_arn: str | None = None
    missing: tuple[str, ...] = ()
    on: tuple[str, ...] = ("*",)


_WORST = (Finding.FAILED, Finding.WARNING)


def worst(checks: Iterable[Check]) -> Finding:
    found = {check.finding for check in checks}
    return next((finding for finding in _WORST if finding in found), Finding.PASSED)


def missing_policy(checks: Iterable[Check], account: str | None = None) -> dict[str, Any] | None:
    """An IAM policy document that allows what is missing, of one account or of all; None when nothing is."""
    wanted: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for check in checks:
        if check.missing and account in (None, check.account):
            wanted.setdefault((_sid(check), check.on), set()).update(check.missing)
    statements = [
        {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": list(on)}
        for (sid, on), actions in sorted(wanted.items())
    ]
    return {"Version": "2012-10-17", "Statement": statements} if statements else None


def _sid(check: Check) -> str:
    """Letters and digits only, as IAM wants it."""
    words = re.findall(r"[A-Za-z0-9]+", f"{check.account or ''} {check.subject}")
    return "".join(word[:1].upper() + word[1:] for word in words)[:64] or "Missing"
