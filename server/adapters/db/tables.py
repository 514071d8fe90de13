"""The tables. Key columns are real columns, the rest of an entity is one JSONB document.

The constraints make wrong states impossible, whoever writes: a final state has its end time and an open one has none, a home
account exists once, a backup lies in a repository and a snapshot does not. What a CHECK cannot say (a final state is never
left, the home account is never removed) is a trigger, in the migrations.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlmodel import Field

from server.adapters.db.access_tables import TokenRow, UserRow
from server.adapters.db.columns import (
    OPEN,
    THIS_TRANSACTION,
    Base,
    big,
    document,
    ends_when_final,
    moment,
    name_length,
    not_negative,
    objects,
    one_of,
    starts_to_run,
    words,
)
from server.adapters.db.keeping_tables import FailureRow, ReplyRow, SecretRow
from server.adapters.db.promise_tables import (
    MembershipRow,
    PreferencesRow,
    PriceListRow,
    PromiseRow,
    SlaTemplateRow,
    SlaVersionRow,
    StorageTemplateRow,
)
from server.domain.policy import DESCRIPTION_MAX, PolicyKind
from server.domain.repository import Encryption, RepositoryState, StorageClass, StorageKind
from server.domain.restore import PROVEN_BY_RESTORE, PROVEN_BY_VERIFICATION, Health, Leg, PointState
from server.domain.session import Level, SessionKind, State, TaskKind
from server.domain.workload import AccountState


class AccountRow(Base, table=True):
    __tablename__ = "accounts"
    __table_args__ = (
        name_length(),
        one_of("state", AccountState),
        CheckConstraint("role_arn IS NOT NULL OR external_id IS NULL", name="home_has_no_external_id"),
        CheckConstraint("aws_account_id ~ '^[0-9]{12}$'", name="aws_account_id"),
        CheckConstraint("state <> 'available' OR problem IS NULL", name="available_without_problem"),
        CheckConstraint("revision >= 1", name="revision"),
        Index("uq_accounts_name", text("lower(name)"), unique=True),
        Index("uq_accounts_home", text("(role_arn IS NULL)"), unique=True, postgresql_where=text("role_arn IS NULL")),
        Index("uq_accounts_role_arn", "role_arn", unique=True),
    )
    id: UUID = Field(primary_key=True)
    name: str = words()
    role_arn: str | None = words(null=True)
    external_id: bytes | None = Field(sa_type=LargeBinary, nullable=True)  # sealed
    aws_account_id: str | None = words(null=True)
    state: str = words()
    problem: str | None = words(null=True)
    checked_at: datetime | None = moment(null=True)
    created_at: datetime = moment()
    revision: int


class ResourceRow(Base, table=True):
    __tablename__ = "resources"
    __table_args__ = (
        objects("tags", "document"),
        not_negative("size_bytes"),
        UniqueConstraint("account_id", "workload", "region", "aws_id"),
        Index("ix_resources_name", text("lower(name)"), "id"),
        Index("ix_resources_region", "region"),
    )
    id: UUID = Field(primary_key=True)
    account_id: UUID = Field(foreign_key="accounts.id", ondelete="CASCADE")
    workload: str = words()
    region: str = words()
    aws_id: str = words()
    name: str = words()
    tags: dict[str, str] = document()
    state: str = words()  # as AWS calls it: not ours to restrict
    size_bytes: int = big()
    document: dict[str, Any] = document()
    present: bool
    first_seen_at: datetime = moment()
    last_seen_at: datetime = moment()


class RepositoryRow(Base, table=True):
    __tablename__ = "repositories"
    __table_args__ = (
        name_length(),
        one_of("kind", StorageKind),
        one_of("state", RepositoryState),
        one_of("storage_class", StorageClass),
        one_of("encryption", Encryption),
        CheckConstraint("(encryption = 'kms') = (kms_key IS NOT NULL)", name="kms_key"),
        not_negative("stored_bytes"),
        CheckConstraint("kind <> 's3' OR account_id IS NOT NULL", name="s3_has_account"),
        CheckConstraint("location <> ''", name="location"),
        CheckConstraint("state <> 'available' OR problem IS NULL", name="available_without_problem"),
        CheckConstraint("revision >= 1", name="revision"),
        Index("uq_repositories_name", text("lower(name)"), unique=True),
        Index("uq_repositories_location", "kind", "location", "prefix", unique=True),
        Index("ix_repositories_account_id", "account_id"),
    )
    id: UUID = Field(primary_key=True)
    name: str = words()
    description: str = words()
    kind: str = words()
    account_id: UUID | None = Field(foreign_key="accounts.id", ondelete="RESTRICT", nullable=True)
    region: str | None = words(null=True)
    location: str = words()
    prefix: str = words()
    password: bytes = Field(sa_type=LargeBinary)  # sealed
    format_id: UUID | None = Field(nullable=True)
    state: str = words()
    problem: str | None = words(null=True)
    stored_bytes: int = big()
    storage_class: str = words()
    immutable: bool
    encryption: str = words()
    kms_key: str | None = words(null=True)
    hint: str = words()
    rescanned_at: datetime | None = moment(null=True)
    collected_at: datetime | None = moment(null=True)
    checked_at: datetime | None = moment(null=True)
    created_at: datetime = moment()
    revision: int


class PolicyRow(Base, table=True):
    """``document`` holds the nested parts, the scope among them; ``account_id`` is read out of it to refer to the account."""

    __tablename__ = "policies"
    __table_args__ = (
        name_length(),
        objects("document"),
        CheckConstraint(f"char_length(description) <= {DESCRIPTION_MAX}", name="description"),
        one_of("kind", PolicyKind),
        CheckConstraint("kind <> 'sla' OR sla_template_id IS NOT NULL", name="sla_has_template"),
        CheckConstraint("priority >= 1", name="priority"),
        CheckConstraint("edition BETWEEN 1 AND revision", name="edition"),
        CheckConstraint("revision >= 1", name="revision"),
        Index("uq_policies_name", text("lower(name)"), unique=True),
        Index("ix_policies_account_id", "account_id"),
        Index("ix_policies_repository_id", "repository_id"),
        Index("ix_policies_archive_repository_id", "archive_repository_id"),
        Index("ix_policies_sla_template_id", "sla_template_id"),
        Index("ix_policies_storage_template_id", "storage_template_id"),
        Index("ix_policies_last_session_id", "last_session_id"),
        Index("ix_policies_next_run_at", "next_run_at"),
    )
    id: UUID = Field(primary_key=True)
    name: str = words()
    description: str = words()
    workload: str = words()
    kind: str = words()
    enabled: bool
    priority: int
    account_id: UUID = Field(
        sa_column=Column(
            Uuid,
            Computed("(((document -> 'scope'::text) ->> 'account_id'::text))::uuid", persisted=True),
            ForeignKey("accounts.id", ondelete="RESTRICT"),
            nullable=False,
        )
    )
    repository_id: UUID | None = Field(foreign_key="repositories.id", ondelete="RESTRICT", nullable=True)
    archive_repository_id: UUID | None = Field(foreign_key="repositories.id", ondelete="RESTRICT", nullable=True)
    sla_template_id: UUID | None = Field(foreign_key="sla_templates.id", ondelete="RESTRICT", nullable=True)
    storage_template_id: UUID | None = Field(foreign_key="storage_templates.id", ondelete="RESTRICT", nullable=True)
    copy_tags: bool
    verify: bool
    next_run_at: datetime | None = moment(null=True)
    last_session_id: UUID | None = Field(
        sa_column=Column(Uuid, ForeignKey("sessions.id", ondelete="SET NULL", use_alter=True), nullable=True)
    )
    created_at: datetime = moment()
    updated_at: datetime = moment()
    edition: int
    revision: int
    document: dict[str, Any] = document()


class SessionRow(Base, table=True):
    __tablename__ = "sessions"
    __table_args__ = (
        one_of("kind", SessionKind),
        one_of("state", State),
        objects("document"),
        not_negative("last_event"),
        ends_when_final(),
        starts_to_run(),
        UniqueConstraint("key"),
        Index("ix_sessions_created_at", "created_at", "id"),
        Index("ix_sessions_policy_id", "policy_id", "created_at"),
        Index("ix_sessions_open", "created_at", postgresql_where=text(OPEN)),
    )
    id: UUID = Field(primary_key=True)
    kind: str = words()
    name: str = words()
    state: str = words()
    policy_id: UUID | None = Field(foreign_key="policies.id", ondelete="SET NULL", nullable=True)
    requested_by: str = words()
    reason: str = words()
    created_at: datetime = moment()
    started_at: datetime | None = moment(null=True)
    ended_at: datetime | None = moment(null=True)
    cancel_requested_at: datetime | None = moment(null=True)
    key: str | None = words(null=True)
    document: dict[str, Any] = document()
    last_event: int


class TaskRow(Base, table=True):
    __tablename__ = "tasks"
    __table_args__ = (
        one_of("kind", TaskKind),
        one_of("state", State),
        objects("document"),
        not_negative("progress_done", "progress_total", "bytes_read", "bytes_stored", "attempt", "claims", "fence", "position"),
        ends_when_final(),
        starts_to_run(),
        CheckConstraint(f"{OPEN} OR (due_at IS NULL AND lease_until IS NULL)", name="final_is_not_due"),
        Index(
            "uq_tasks_live_protect",
            "session_id",
            "resource_id",
            unique=True,
            postgresql_where=text(f"kind = 'protect' AND {OPEN}"),
        ),
        Index("ix_tasks_session_id", "session_id", "position"),
        Index("ix_tasks_resource_id", "resource_id"),
        Index("ix_tasks_due_at", "due_at", postgresql_where=text(OPEN)),
    )
    id: UUID = Field(primary_key=True)
    session_id: UUID = Field(foreign_key="sessions.id", ondelete="CASCADE")
    kind: str = words()
    name: str = words()
    resource_id: UUID | None = Field(foreign_key="resources.id", ondelete="SET NULL", nullable=True)
    position: int
    state: str = words()
    stage: str = words()
    document: dict[str, Any] = document()
    progress_done: int = big()
    progress_total: int = big()
    bytes_read: int = big()
    bytes_stored: int = big()
    message: str = words()
    error_code: str | None = words(null=True)
    attempt: int
    claims: int
    fence: int = big()
    due_at: datetime | None = moment(null=True)
    lease_until: datetime | None = moment(null=True)
    created_at: datetime = moment()
    started_at: datetime | None = moment(null=True)
    ended_at: datetime | None = moment(null=True)


class PointRow(Base, table=True):
    """Forgetting a repository forgets its points (their files stay); an account or resource with points is kept."""

    __tablename__ = "restore_points"
    __table_args__ = (
        one_of("leg", Leg),
        one_of("state", PointState),
        one_of("health", Health),
        objects("document", "content_roots"),
        not_negative("size_bytes", "stored_bytes"),
        CheckConstraint("(health = 'incomplete') = (damage IS NOT NULL)", name="damage"),
        CheckConstraint(f"proven_how IN ('{PROVEN_BY_VERIFICATION}', '{PROVEN_BY_RESTORE}')", name="proven_how"),
        CheckConstraint("(proven_at IS NULL) = (proven_how IS NULL)", name="proven"),
        CheckConstraint("leg = 'archive' OR retrieval IS NULL", name="archive"),
        CheckConstraint("leg IN ('archive', 'replica') OR source_id IS NULL", name="source"),
        CheckConstraint("jsonb_typeof(flags) = 'array'", name="flags"),
        CheckConstraint("NOT manual OR leg IN ('snapshot', 'replica')", name="manual"),
        CheckConstraint("(leg IN ('backup', 'archive')) = (repository_id IS NOT NULL)", name="repository_of_leg"),
        CheckConstraint("NOT base OR leg = 'snapshot'", name="base_is_snapshot"),
        Index("uq_restore_points_task_leg", "task_id", "leg", unique=True),
        Index("uq_restore_points_base", "resource_id", unique=True, postgresql_where=text("base AND state = 'available'")),
        Index("ix_restore_points_at", "at", "id"),
        Index("ix_restore_points_resource_id", "resource_id", "at"),
        Index("ix_restore_points_account_id", "account_id"),
        Index("ix_restore_points_policy_id", "policy_id"),
        Index("ix_restore_points_session_id", "session_id"),
        Index("ix_restore_points_repository_id", "repository_id"),
        Index("ix_restore_points_source_id", "source_id"),
        Index("ix_restore_points_expires_at", "expires_at", postgresql_where=text("state = 'available'")),
    )
    id: UUID = Field(primary_key=True)
    resource_id: UUID = Field(foreign_key="resources.id", ondelete="RESTRICT")
    resource_name: str = words()
    workload: str = words()
    account_id: UUID = Field(foreign_key="accounts.id", ondelete="RESTRICT")
    region: str = words()
    leg: str = words()
    at: datetime = moment()
    created_at: datetime = moment()
    state: str = words()
    policy_id: UUID | None = Field(foreign_key="policies.id", ondelete="SET NULL", nullable=True)
    session_id: UUID | None = Field(foreign_key="sessions.id", ondelete="SET NULL", nullable=True)
    task_id: UUID | None = Field(foreign_key="tasks.id", ondelete="SET NULL", nullable=True)
    repository_id: UUID | None = Field(foreign_key="repositories.id", ondelete="CASCADE", nullable=True)
    size_bytes: int = big()
    stored_bytes: int = big()
    base: bool
    flags: list[Any] = document()
    manual: bool
    slot_at: datetime | None = moment(null=True)
    health: str = words()
    damage: dict[str, Any] | None = document(null=True)
    proven_at: datetime | None = moment(null=True)
    proven_how: str | None = words(null=True)
    locked_until: datetime | None = moment(null=True)
    expires_at: datetime | None = moment(null=True)
    source_id: UUID | None = Field(foreign_key="restore_points.id", ondelete="SET NULL", nullable=True)
    retrieval: dict[str, Any] | None = document(null=True)
    content_roots: dict[str, Any] = document()
    document: dict[str, Any] = document()


class EventRow(Base, table=True):
    __tablename__ = "session_events"
    __table_args__ = (
        one_of("level", Level),
        objects("data"),
        CheckConstraint("number >= 1", name="number"),
        Index("ix_session_events_task_id", "task_id"),
    )
    session_id: UUID = Field(primary_key=True, foreign_key="sessions.id", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    at: datetime = moment()
    level: str = words()
    message: str = words()
    task_id: UUID | None = Field(foreign_key="tasks.id", ondelete="SET NULL", nullable=True)
    data: dict[str, Any] = document()


class ActivityRow(Base, table=True):
    """``xid`` is the writing transaction: readers stop before the oldest one still open, so they never skip a line."""

    __tablename__ = "activities"
    __table_args__ = (Index("ix_activities_xid", "xid", "id"),)
    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    xid: int = Field(sa_column=Column(BigInteger, server_default=text(THIS_TRANSACTION), nullable=False))
    at: datetime = moment()
    kind: str = words()
    subject_id: UUID | None = Field(nullable=True)  # refers to what may be gone
    change: str = words()
    message: str = words()


METADATA = Base.metadata  # all tables, those imported here among them

__all__ = [
    "METADATA",
    "FailureRow",
    "MembershipRow",
    "PreferencesRow",
    "PriceListRow",
    "PromiseRow",
    "ReplyRow",
    "SecretRow",
    "SlaTemplateRow",
    "SlaVersionRow",
    "StorageTemplateRow",
    "TokenRow",
    "UserRow",
]
