"""Immutability: what a bucket must be like, and how long blocks are locked (generations of at most 25 days). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

GENERATION_DAYS: Final = 25  # all blocks written in one share an expiry, so a chain needs no lock renewed every day
MAX_DAYS: Final = 36_500  # what S3 takes

# -- buckets


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


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a bucket cannot hold a repository, and what to do."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``immutable``: what a repository made here now would be. With problems none may be made, and one that is there must not
    be written. ``warnings`` hinder nothing."""

    immutable: bool
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def judge(facts: BucketFacts, *, was_immutable: bool | None = None) -> Verdict:
    """``was_immutable``: of the repository that is there; None when it is to be made. It is fixed when the repository is made."""
    immutable = bool(facts.object_lock)
    problems = [*_of_versions(facts), *(_of_rule(rule) for rule in facts.lifecycle)]
    if not problems and was_immutable is not None and was_immutable != immutable:
        problems.append(_LOCK_ADDED if immutable else _LOCK_GONE)
    return Verdict(immutable, tuple(problems), tuple(_warnings(facts)))


_LOCK_ADDED: Final = Problem(
    "Object Lock was enabled on the bucket after the repository had been made.",
    "Make a new repository in this bucket, and let this one age out. Its points can still be restored.",
)
_LOCK_GONE: Final = Problem(
    "The repository is immutable, but its bucket says it has no Object Lock.",
    "Check that this is the bucket the repository was made in.",
)


def _of_versions(facts: BucketFacts) -> list[Problem]:
    if facts.versioning == "unknown" or facts.object_lock is None:
        missing = "; ".join(facts.unreadable)
        return [
            Problem(
                f"Whether the bucket has versions and Object Lock cannot be told: {missing}.",
                "Allow s3:GetBucketVersioning and s3:GetBucketObjectLockConfiguration on the bucket.",
            )
        ]
    if facts.object_lock and facts.versioning != "enabled":
        return [
            Problem(
                f"The bucket has Object Lock, but its versioning is {facts.versioning}, so nothing in it can be locked.",
                "Enable versioning on the bucket.",
            )
        ]
    if facts.versioning == "enabled" and not facts.object_lock:
        return [
            Problem(
                "The bucket has versioning but no Object Lock: deleted data would stay and cost, and yet not be protected.",
                "Enable Object Lock on the bucket, suspend its versioning, or choose another bucket.",
            )
        ]
    return []


def _of_rule(rule: str) -> Problem:
    return Problem(rule, "Take the repository's folder out of this rule: removed or moved objects make points unreadable.")


def _warnings(facts: BucketFacts) -> list[str]:
    found = []
    if facts.default_retention is not None:
        found.append(
            f"The bucket locks every new object for {facts.default_retention} days by default, also what is needed for a short "
            "time only. Backups get their own locks; what becomes superfluous stays, and costs, until its lock ends."
        )
    if facts.public:
        found.append("The bucket's policy lets anyone in. Block public access; a repository needs none.")
    if facts.encryption_key is not None:
        found.append(
            f"The bucket encrypts with the KMS key {facts.encryption_key}. Allow kms:GenerateDataKey and kms:Decrypt with it; "
            "disabled, it stops backups, and deleted, it makes every point unreadable."
        )
    if facts.object_lock is not None and facts.versioning != "unknown":
        found += [f"Not everything about the bucket could be asked: {each}." for each in facts.unreadable]
    return found


# -- locks


@dataclass(frozen=True, slots=True)
class LockRequest:
    """What a run asks for: ``schedule`` is the type it belongs to (daily, weekly, …), ``days`` the policy's retention.
    ValueError outside 1..MAX_DAYS - GENERATION_DAYS."""

    schedule: str
    days: int

    def __post_init__(self) -> None:
        if not 1 <= self.days <= MAX_DAYS - GENERATION_DAYS:
            raise ValueError(f"a lock is for 1 to {MAX_DAYS - GENERATION_DAYS} days, not {self.days}")


@dataclass(frozen=True, slots=True)
class Generation:
    """Begun at ``start``; everything written in it is locked until ``until`` = start + ``days`` of retention + 25 days."""

    start: datetime
    until: datetime
    days: int

    def serves(self, days: int, now: datetime) -> bool:
        """Whether a run at ``now`` that asks for ``days`` belongs to it."""
        return days == self.days and timedelta(0) <= now - self.start < timedelta(days=GENERATION_DAYS)


@dataclass(frozen=True, slots=True)
class Lock:
    """Of one point: everything it reaches is locked until ``until`` at least. ``generations``: the current one of each schedule
    type along the chain, so that the next run of any type goes on with its own."""

    schedule: str
    days: int
    generation: datetime
    until: datetime
    generations: Mapping[str, Generation] = field(default_factory=dict)


def lock_for(request: LockRequest, parent: Lock | None, now: datetime) -> Lock:
    """The lock of a run beginning at ``now`` (the store's clock) on top of ``parent``.

    The schedule's generation goes on while it is younger than 25 days and its retention is still the one asked for; the lock so
    is for retention + (25 - N) days, N days after it began, and ends for all its blocks together. Else a new one begins.
    """
    known = dict(parent.generations) if parent is not None else {}
    current = known.get(request.schedule)
    if current is None or not current.serves(request.days, now):
        start = now.replace(microsecond=0)
        current = Generation(start, start + timedelta(days=request.days + GENERATION_DAYS), request.days)
    known[request.schedule] = current
    return Lock(request.schedule, request.days, current.start, current.until, known)
