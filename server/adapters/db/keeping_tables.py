"""Small things a service remembers between requests: given answers, failed sign-ins, sealed values of the appliance."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Identity, Index, LargeBinary, Text
from sqlmodel import Field

from server.adapters.db.columns import Base, document, moment, objects


class ReplyRow(Base, table=True):
    __tablename__ = "replies"
    __table_args__ = (objects("answer"), Index("ix_replies_at", "at"))
    user_id: UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    mutation: str = Field(sa_type=Text, primary_key=True)
    key: str = Field(sa_type=Text, primary_key=True)
    answer: dict[str, Any] = document()
    at: datetime = moment()


class FailureRow(Base, table=True):
    """One failed attempt. ``key`` is hashed: people type passwords into the user name field."""

    __tablename__ = "sign_in_failures"
    __table_args__ = (Index("ix_sign_in_failures_key", "key", "at"), Index("ix_sign_in_failures_at", "at"))
    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    key: bytes = Field(sa_type=LargeBinary)
    at: datetime = moment()


class SecretRow(Base, table=True):
    __tablename__ = "secrets"
    name: str = Field(sa_type=Text, primary_key=True)
    sealed: bytes = Field(sa_type=LargeBinary)
