"""Immutability: what a bucket must be like, and how long blocks are locked (generations of at most 25 days). Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketFacts:
    """What a store says of itself. A local folder has none of it: all defaults.

    ``versioning``: "off", "enabled", "suspended", or "unknown" when it may not be asked. ``object_lock`` None: the same.
    ``default_retention`` in days, None without. ``encryption_key``: a KMS key other than AWS's own. ``lifecycle``: rules that
    would expire or move objects of the repository, one sentence each. ``public``: anyone may read. ``unreadable``: what may
    not be asked, with the permission that is missing.
    """

    versioning: str = "off"
    object_lock: bool | None = False
    default_mode: str | None = None  # "COMPLIANCE" or "GOVERNANCE"
    default_retention: int | None = None
    encryption: str | None = None  # "AES256", "aws:kms" or "aws:kms:dsse"
    encryption_key: str | None = None
    lifecycle: tuple[str, ...] = ()
    public: bool = False
    unreadable: tuple[str, ...] = ()
