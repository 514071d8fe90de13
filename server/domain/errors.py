"""Every error Holdfast raises on purpose. Doors map leaves to their own wording; a test proves each leaf is mapped.

HoldfastError
├── InvalidInput            the caller's input is wrong; ``fields`` says where
├── NotFound                no such thing, or it is gone
├── Conflict                true now, may be false later: name taken, in use, already running
├── LegImpossible           asked for in the policy, and impossible as things are: a leg ends as a warning
├── Unauthenticated         who are you
│   └── TokenExpired
├── Forbidden               your role does not allow this
├── TooManyRequests         slow down; ``retry_after`` seconds
├── LimitExceeded           a query or input is larger than the limit
├── Cancelled               the user stopped it
├── Unavailable             a service we need does not answer; trying again later may help
│   ├── DatabaseDown
│   ├── QueueDown
│   └── Throttled           AWS asks us to slow down
├── StorageFull             no space left where we write
├── AwsError                AWS refused; ``aws_code`` and ``operation`` say what
│   ├── AwsAccessDenied
│   ├── AwsCredentials      missing, wrong or expired credentials
│   ├── AwsNotFound
│   ├── AwsLimit            a quota of the account is used up
│   └── AwsRejected         any other refusal
├── RepositoryError
│   ├── WrongPassword
│   ├── Damaged             content does not match its checksum; ``fields`` names points, disks and ranges
│   ├── ForeignFormat       not a Holdfast repository, or a newer version
│   ├── NotOwner            another appliance owns the repository
│   ├── Archived            in a Glacier class: must be retrieved before it can be read
│   └── AlreadyThere        a conditional write lost: the object exists or has changed
└── Misconfigured           settings are wrong; the process must not start
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar


class HoldfastError(Exception):
    """Base. ``message`` is for people, ``remedy`` says what to do, ``fields`` maps input paths to problems."""

    code: ClassVar[str] = "INTERNAL"
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str | None = None, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.fields: dict[str, str] = dict(fields or {})

    def sentence(self) -> str:
        """Message and remedy as one text, for logs and terminals."""
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class InvalidInput(HoldfastError):
    code = "INVALID_INPUT"


class NotFound(HoldfastError):
    code = "NOT_FOUND"


class Conflict(HoldfastError):
    code = "CONFLICT"


class LegImpossible(HoldfastError):
    code = "NOT_POSSIBLE"


class Unauthenticated(HoldfastError):
    code = "UNAUTHENTICATED"


class TokenExpired(Unauthenticated):
    code = "TOKEN_EXPIRED"


class Forbidden(HoldfastError):
    code = "FORBIDDEN"


class TooManyRequests(HoldfastError):
    code = "TOO_MANY_REQUESTS"

    def __init__(self, message: str, *, retry_after: float, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class LimitExceeded(HoldfastError):
    code = "LIMIT_EXCEEDED"


class Cancelled(HoldfastError):
    code = "CANCELLED"


class Unavailable(HoldfastError):
    code = "UNAVAILABLE"
    transient = True


class DatabaseDown(Unavailable):
    code = "DATABASE_DOWN"


class QueueDown(Unavailable):
    code = "QUEUE_DOWN"


class Throttled(Unavailable):
    code = "THROTTLED"


class StorageFull(HoldfastError):
    code = "STORAGE_FULL"
    transient = True  # space is freed by people and by retention; the retry limit still ends it


class AwsError(HoldfastError):
    """AWS refused a call. ``operation`` is ``service:Operation``, ``aws_code`` the code AWS gave."""

    code = "AWS_ERROR"

    def __init__(self, message: str, *, operation: str = "", aws_code: str = "", remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.operation = operation
        self.aws_code = aws_code


class AwsAccessDenied(AwsError):
    code = "AWS_ACCESS_DENIED"


class AwsCredentials(AwsError):
    code = "AWS_CREDENTIALS"


class AwsNotFound(AwsError):
    code = "AWS_NOT_FOUND"


class AwsLimit(AwsError):
    code = "AWS_LIMIT"


class AwsRejected(AwsError):
    code = "AWS_REJECTED"


class RepositoryError(HoldfastError):
    code = "REPOSITORY_ERROR"


class WrongPassword(RepositoryError):
    code = "WRONG_PASSWORD"


class Damaged(RepositoryError):
    code = "DAMAGED"


class ForeignFormat(RepositoryError):
    code = "FOREIGN_FORMAT"


class NotOwner(RepositoryError):
    code = "NOT_OWNER"


class Archived(RepositoryError):
    code = "ARCHIVED"


class AlreadyThere(RepositoryError):
    code = "ALREADY_THERE"


class Misconfigured(HoldfastError):
    code = "MISCONFIGURED"


def tree(root: type[HoldfastError] = HoldfastError) -> Iterator[type[HoldfastError]]:
    """The error classes, root first: what a door's table must cover."""
    yield root
    for child in root.__subclasses__():
        yield from tree(child)
