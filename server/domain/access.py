"""Who is calling, and what a role may do."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from server.domain.errors import Forbidden


class Role(enum.Enum):
    """Ordered: each role may do what those before it may."""

    VIEWER = "viewer"
    RESTORE_OPERATOR = "restore_operator"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    def covers(self, needed: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The signed-in user behind a request, or the appliance itself."""

    user_id: UUID | None
    name: str
    role: Role

    def require(self, needed: Role) -> None:
        """Raise Forbidden unless the caller's role covers ``needed``."""
        if not self.role.covers(needed):
            raise Forbidden(
                f"This needs the role {needed.value}; {self.name} has {self.role.value}.",
                remedy="Ask an administrator for the role.",
            )


SYSTEM = Caller(user_id=None, name="holdfast", role=Role.ADMINISTRATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    id: UUID
    name: str
    password_hash: str = field(repr=False)
    role: Role
    created_at: datetime


class TokenKind(enum.Enum):
    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token as stored: only its hash. ``family`` ties the pairs one sign-in made, revoked together."""

    id: UUID
    user_id: UUID
    family: UUID
    kind: TokenKind
    secret_hash: str = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
