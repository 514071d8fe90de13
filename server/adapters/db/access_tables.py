"""Who may sign in, and who has."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from server.adapters.db.columns import Base, moment, name_length, one_of, words
from server.domain.access import Role, TokenKind


class UserRow(Base, table=True):
    __tablename__ = "users"
    __table_args__ = (
        name_length(),
        one_of("role", Role),
        Index("uq_users_name", text("lower(name)"), unique=True),
    )
    id: UUID = Field(primary_key=True)
    name: str = words()
    password_hash: str = words()
    role: str = words()
    created_at: datetime = moment()


class TokenRow(Base, table=True):
    __tablename__ = "tokens"
    __table_args__ = (
        one_of("kind", TokenKind),
        CheckConstraint("expires_at > issued_at", name="expires_after_issue"),
        UniqueConstraint("secret_hash"),
        Index("ix_tokens_user_id", "user_id"),
        Index("ix_tokens_family", "family"),
        Index("ix_tokens_expires_at", "expires_at"),
    )
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    family: UUID
    kind: str = words()
    secret_hash: str = words()
    issued_at: datetime = moment()
    expires_at: datetime = moment()
    revoked_at: datetime | None = moment(null=True)
