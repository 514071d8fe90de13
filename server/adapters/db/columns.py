"""The vocabulary the tables are written in: kinds of columns and the constraints that recur."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from server.domain.policy import NAME_MAX

OPEN_STATES = ("pending", "running")
OPEN = "state IN ('pending', 'running')"

THIS_TRANSACTION = "(pg_current_xact_id()::text)::bigint"  # 64 bits wide, never wraps

NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


class Base(SQLModel):
    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMES)


def one_of(column: str, values: type[enum.Enum]) -> CheckConstraint:
    listed = ", ".join(f"'{member.value}'" for member in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def name_length(longest: int = NAME_MAX) -> CheckConstraint:
    return CheckConstraint(f"char_length(name) BETWEEN 1 AND {longest}", name="name")


def objects(*columns: str) -> CheckConstraint:
    return CheckConstraint(" AND ".join(f"jsonb_typeof({column}) = 'object'" for column in columns), name="document")


def not_negative(*columns: str) -> CheckConstraint:
    return CheckConstraint(" AND ".join(f"{column} >= 0" for column in columns), name="not_negative")


def ends_when_final() -> CheckConstraint:
    return CheckConstraint(f"({OPEN}) = (ended_at IS NULL)", name="ended_when_final")


def starts_to_run() -> CheckConstraint:
    return CheckConstraint("state <> 'running' OR started_at IS NOT NULL", name="started_to_run")


def moment(*, null: bool = False) -> Any:
    return Field(sa_type=DateTime(timezone=True), nullable=null)


def big() -> Any:
    return Field(sa_type=BigInteger)


def words(*, null: bool = False) -> Any:
    return Field(sa_type=Text, nullable=null)


def document(*, null: bool = False) -> Any:
    return Field(sa_type=JSONB(none_as_null=True), nullable=null)
