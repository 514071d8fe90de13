"""Templates of SLA policies, what was promised to which resource and kept, the appliance's preferences and price lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from server.adapters.db.columns import Base, document, moment, name_length, objects, one_of, words
from server.domain.policy import DESCRIPTION_MAX
from server.domain.restore import Leg


class SlaTemplateRow(Base, table=True):
    __tablename__ = "sla_templates"
    __table_args__ = (
        name_length(),
        objects("terms"),
        CheckConstraint(f"char_length(description) <= {DESCRIPTION_MAX}", name="description"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("revision >= 1", name="revision"),
        Index("uq_sla_templates_name", text("lower(name)"), unique=True),
    )
    id: UUID = Field(primary_key=True)
    name: str = words()
    description: str = words()
    terms: dict[str, Any] = document()
    version: int
    created_at: datetime = moment()
    updated_at: datetime = moment()
    revision: int


class SlaVersionRow(Base, table=True):
    __tablename__ = "sla_template_versions"
    __table_args__ = (objects("terms"), UniqueConstraint("template_id", "version"))
    id: UUID = Field(primary_key=True)
    template_id: UUID = Field(foreign_key="sla_templates.id", ondelete="CASCADE")
    version: int
    since: datetime = moment()
    terms: dict[str, Any] = document()


class StorageTemplateRow(Base, table=True):
    """The repositories named inside the documents are guarded by the service that removes repositories."""

    __tablename__ = "storage_templates"
    __table_args__ = (
        name_length(),
        objects("backup"),
        CheckConstraint(f"char_length(description) <= {DESCRIPTION_MAX}", name="description"),
        CheckConstraint("revision >= 1", name="revision"),
        Index("uq_storage_templates_name", text("lower(name)"), unique=True),
    )
    id: UUID = Field(primary_key=True)
    name: str = words()
    description: str = words()
    backup: dict[str, Any] = document()
    archive: dict[str, Any] | None = document(null=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()
    revision: int


class MembershipRow(Base, table=True):
    __tablename__ = "memberships"
    __table_args__ = (
        CheckConstraint("left_at >= joined_at", name="leaves_after_joining"),
        Index("uq_memberships_open", "policy_id", "resource_id", unique=True, postgresql_where=text("left_at IS NULL")),
        Index("ix_memberships_policy_id", "policy_id", "joined_at"),
        Index("ix_memberships_resource_id", "resource_id"),
    )
    id: UUID = Field(primary_key=True)
    policy_id: UUID = Field(foreign_key="policies.id", ondelete="CASCADE")
    resource_id: UUID = Field(foreign_key="resources.id", ondelete="CASCADE")
    joined_at: datetime = moment()
    left_at: datetime | None = moment(null=True)


class PromiseRow(Base, table=True):
    __tablename__ = "promises"
    __table_args__ = (
        one_of("leg", Leg),
        UniqueConstraint("policy_id", "resource_id", "leg", "slot_at"),
        Index("ix_promises_slot_at", "policy_id", "slot_at"),
        Index("ix_promises_resource_id", "resource_id"),
        Index("ix_promises_session_id", "session_id"),
    )
    id: UUID = Field(primary_key=True)
    policy_id: UUID = Field(foreign_key="policies.id", ondelete="CASCADE")
    resource_id: UUID = Field(foreign_key="resources.id", ondelete="CASCADE")
    region: str = words()
    leg: str = words()
    slot_at: datetime = moment()
    made: bool
    session_id: UUID | None = Field(foreign_key="sessions.id", ondelete="SET NULL", nullable=True)
    at: datetime = moment()


class PriceListRow(Base, table=True):
    __tablename__ = "price_lists"
    __table_args__ = (objects("document"), UniqueConstraint("region"))
    id: UUID = Field(primary_key=True)
    region: str = words()
    published_at: datetime = moment()
    fetched_at: datetime = moment()
    document: dict[str, Any] = document()


class PreferencesRow(Base, table=True):
    __tablename__ = "preferences"
    id: UUID = Field(primary_key=True)
    obsolete_snapshots: dict[str, Any] | None = document(null=True)
    revision: int
