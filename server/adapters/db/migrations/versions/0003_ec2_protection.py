"""Policies of two kinds with schedules of four frequencies, templates, replicas and archives; points with flags; what was
promised and kept; price lists and preferences."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

DAYS_MAX = 36135  # what the older version takes

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEMPLATES = """
CREATE TABLE sla_templates (
    id UUID NOT NULL CONSTRAINT pk_sla_templates PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    terms JSONB NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    revision INTEGER NOT NULL,
    CONSTRAINT ck_sla_templates_name CHECK (char_length(name) BETWEEN 1 AND 127),
    CONSTRAINT ck_sla_templates_document CHECK (jsonb_typeof(terms) = 'object'),
    CONSTRAINT ck_sla_templates_description CHECK (char_length(description) <= 255),
    CONSTRAINT ck_sla_templates_version CHECK (version >= 1),
    CONSTRAINT ck_sla_templates_revision CHECK (revision >= 1)
);
CREATE UNIQUE INDEX uq_sla_templates_name ON sla_templates (lower(name));
CREATE TABLE sla_template_versions (
    id UUID NOT NULL CONSTRAINT pk_sla_template_versions PRIMARY KEY,
    template_id UUID NOT NULL CONSTRAINT fk_sla_template_versions_template_id REFERENCES sla_templates (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    terms JSONB NOT NULL,
    CONSTRAINT ck_sla_template_versions_document CHECK (jsonb_typeof(terms) = 'object'),
    CONSTRAINT uq_sla_template_versions_template_id_version UNIQUE (template_id, version)
);
CREATE TABLE storage_templates (
    id UUID NOT NULL CONSTRAINT pk_storage_templates PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    backup JSONB NOT NULL,
    archive JSONB,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    revision INTEGER NOT NULL,
    CONSTRAINT ck_storage_templates_name CHECK (char_length(name) BETWEEN 1 AND 127),
    CONSTRAINT ck_storage_templates_document CHECK (jsonb_typeof(backup) = 'object'),
    CONSTRAINT ck_storage_templates_description CHECK (char_length(description) <= 255),
    CONSTRAINT ck_storage_templates_revision CHECK (revision >= 1)
);
CREATE UNIQUE INDEX uq_storage_templates_name ON storage_templates (lower(name));
CREATE TABLE price_lists (
    id UUID NOT NULL CONSTRAINT pk_price_lists PRIMARY KEY,
    region TEXT NOT NULL,
    published_at TIMESTAMPTZ NOT NULL,
    fetched_at TIMESTAMPTZ NOT NULL,
    document JSONB NOT NULL,
    CONSTRAINT ck_price_lists_document CHECK (jsonb_typeof(document) = 'object'),
    CONSTRAINT uq_price_lists_region UNIQUE (region)
);
CREATE TABLE preferences (
    id UUID NOT NULL CONSTRAINT pk_preferences PRIMARY KEY,
    obsolete_snapshots JSONB,
    revision INTEGER NOT NULL
);
"""

POLICIES = """
ALTER TABLE policies
    ADD COLUMN kind TEXT NOT NULL DEFAULT 'schedule',
    ADD COLUMN archive_repository_id UUID,
    ADD COLUMN sla_template_id UUID,
    ADD COLUMN storage_template_id UUID,
    ADD COLUMN edition INTEGER NOT NULL DEFAULT 1,
    ADD CONSTRAINT fk_policies_archive_repository_id FOREIGN KEY (archive_repository_id)
        REFERENCES repositories (id) ON DELETE RESTRICT,
    ADD CONSTRAINT fk_policies_sla_template_id FOREIGN KEY (sla_template_id) REFERENCES sla_templates (id) ON DELETE RESTRICT,
    ADD CONSTRAINT fk_policies_storage_template_id FOREIGN KEY (storage_template_id)
        REFERENCES storage_templates (id) ON DELETE RESTRICT,
    ADD CONSTRAINT ck_policies_kind CHECK (kind IN ('schedule', 'sla')),
    ADD CONSTRAINT ck_policies_sla_has_template CHECK (kind <> 'sla' OR sla_template_id IS NOT NULL),
    ADD CONSTRAINT ck_policies_edition CHECK (edition BETWEEN 1 AND revision);
ALTER TABLE policies ALTER COLUMN kind DROP DEFAULT, ALTER COLUMN edition DROP DEFAULT;
CREATE INDEX ix_policies_archive_repository_id ON policies (archive_repository_id);
CREATE INDEX ix_policies_sla_template_id ON policies (sla_template_id);
CREATE INDEX ix_policies_storage_template_id ON policies (storage_template_id);
CREATE TABLE memberships (
    id UUID NOT NULL CONSTRAINT pk_memberships PRIMARY KEY,
    policy_id UUID NOT NULL CONSTRAINT fk_memberships_policy_id REFERENCES policies (id) ON DELETE CASCADE,
    resource_id UUID NOT NULL CONSTRAINT fk_memberships_resource_id REFERENCES resources (id) ON DELETE CASCADE,
    joined_at TIMESTAMPTZ NOT NULL,
    left_at TIMESTAMPTZ,
    CONSTRAINT ck_memberships_leaves_after_joining CHECK (left_at >= joined_at)
);
CREATE UNIQUE INDEX uq_memberships_open ON memberships (policy_id, resource_id) WHERE left_at IS NULL;
CREATE INDEX ix_memberships_policy_id ON memberships (policy_id, joined_at);
CREATE INDEX ix_memberships_resource_id ON memberships (resource_id);
CREATE TABLE promises (
    id UUID NOT NULL CONSTRAINT pk_promises PRIMARY KEY,
    policy_id UUID NOT NULL CONSTRAINT fk_promises_policy_id REFERENCES policies (id) ON DELETE CASCADE,
    resource_id UUID NOT NULL CONSTRAINT fk_promises_resource_id REFERENCES resources (id) ON DELETE CASCADE,
    region TEXT NOT NULL,
    leg TEXT NOT NULL,
    slot_at TIMESTAMPTZ NOT NULL,
    made BOOLEAN NOT NULL,
    session_id UUID CONSTRAINT fk_promises_session_id REFERENCES sessions (id) ON DELETE SET NULL,
    at TIMESTAMPTZ NOT NULL,
    CONSTRAINT ck_promises_leg CHECK (leg IN ('snapshot', 'replica', 'backup', 'archive')),
    CONSTRAINT uq_promises_policy_id_resource_id_leg_slot_at UNIQUE (policy_id, resource_id, leg, slot_at)
);
CREATE INDEX ix_promises_slot_at ON promises (policy_id, slot_at);
CREATE INDEX ix_promises_resource_id ON promises (resource_id);
CREATE INDEX ix_promises_session_id ON promises (session_id);
"""

# What daily schedules made so far counts as daily; archives made by hand and imported points keep a retention of their own.
POINTS = """
ALTER TABLE restore_points
    ADD COLUMN flags JSONB NOT NULL DEFAULT '[]',
    ADD COLUMN manual BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN slot_at TIMESTAMPTZ,
    DROP CONSTRAINT ck_restore_points_health_of_repository,
    DROP CONSTRAINT ck_restore_points_archive,
    ADD CONSTRAINT ck_restore_points_archive CHECK (leg = 'archive' OR retrieval IS NULL),
    ADD CONSTRAINT ck_restore_points_source CHECK (leg IN ('archive', 'replica') OR source_id IS NULL),
    ADD CONSTRAINT ck_restore_points_flags CHECK (jsonb_typeof(flags) = 'array'),
    ADD CONSTRAINT ck_restore_points_manual CHECK (NOT manual OR leg IN ('snapshot', 'replica'));
UPDATE restore_points SET flags = '["daily"]' WHERE leg IN ('snapshot', 'backup');
ALTER TABLE restore_points ALTER COLUMN flags DROP DEFAULT, ALTER COLUMN manual DROP DEFAULT;
CREATE INDEX ix_restore_points_expires_at ON restore_points (expires_at) WHERE state = 'available';
"""

SESSION_KINDS = (
    "'policy_run', 'rescan', 'volume_restore', 'instance_restore', 'delete_points', 'repository_maintenance', 'health_check', "
    "'repository_check', 'repository_rescan', 'verification', 'archive', 'retrieval'"
)
TASK_KINDS = (
    "'protect', 'retention', 'rescan', 'restore_volumes', 'restore_instance', 'delete_points', 'collect_garbage', "
    "'check_chain', 'check_repository', 'rescan_repository', 'verify_point', 'archive_point', 'retrieve_point'"
)
KINDS = """
ALTER TABLE sessions DROP CONSTRAINT ck_sessions_kind, ADD CONSTRAINT ck_sessions_kind CHECK (kind IN ({sessions}));
ALTER TABLE tasks DROP CONSTRAINT ck_tasks_kind, ADD CONSTRAINT ck_tasks_kind CHECK (kind IN ({tasks}));
"""
WORK = KINDS.format(
    sessions=f"{SESSION_KINDS}, 'retention', 'manual_snapshot', 'prices'",
    tasks=f"{TASK_KINDS}, 'manual_snapshot', 'read_prices'",
)

# Snapshots made by hand would count as policies' own: they are forgotten, stay in AWS, and are found there after an upgrade.
DOWN = """
DELETE FROM restore_points WHERE manual;
DELETE FROM sessions WHERE kind IN ('retention', 'manual_snapshot', 'prices');
DELETE FROM tasks WHERE kind IN ('manual_snapshot', 'read_prices');
DELETE FROM policies WHERE kind = 'sla';
DROP INDEX ix_restore_points_expires_at;
UPDATE restore_points SET source_id = NULL WHERE leg = 'replica';
UPDATE restore_points SET health = 'healthy', damage = NULL WHERE repository_id IS NULL;
ALTER TABLE restore_points
    ADD CONSTRAINT ck_restore_points_health_of_repository CHECK (health = 'healthy' OR repository_id IS NOT NULL),
    DROP CONSTRAINT ck_restore_points_archive,
    DROP COLUMN flags,
    DROP COLUMN manual,
    DROP COLUMN slot_at,
    DROP CONSTRAINT ck_restore_points_source,
    ADD CONSTRAINT ck_restore_points_archive CHECK (leg = 'archive' OR (source_id IS NULL AND retrieval IS NULL));
DROP TABLE promises, memberships;
ALTER TABLE policies
    DROP CONSTRAINT ck_policies_edition,
    DROP COLUMN kind,
    DROP COLUMN archive_repository_id,
    DROP COLUMN sla_template_id,
    DROP COLUMN storage_template_id,
    DROP COLUMN edition;
DROP TABLE preferences, price_lists, storage_templates, sla_template_versions, sla_templates;
"""


def upgrade() -> None:
    for statements in (TEMPLATES, POLICIES, POINTS, WORK):
        op.execute(statements)
    _convert(_schedules)


def downgrade() -> None:
    _convert(_daily_schedules)
    for statements in (DOWN, KINDS.format(sessions=SESSION_KINDS, tasks=TASK_KINDS)):
        op.execute(statements)


def _convert(change: Any) -> None:
    connection = op.get_bind()
    for id, document in connection.execute(sa.text("SELECT id, document FROM policies")).all():
        statement = sa.text("UPDATE policies SET document = CAST(:document AS JSONB) WHERE id = :id")
        connection.execute(statement, {"id": id, "document": json.dumps(change(document))})


def _schedules(document: dict[str, Any]) -> dict[str, Any]:
    """Daily hours with one retention become rules per leg."""
    kept = document["retention"]
    days = {"amount": kept["backup_days"], "unit": "days"}
    old = document.get("schedule")
    new = None
    if old is not None:
        backup = {"slots": old["backup_hours"], "period": days} if old["backup_hours"] else None
        snapshot = {"slots": old["snapshot_hours"], "count": kept["snapshots"]}
        new = {"timezone": old["timezone"], "daily": {"days": old["days"], "snapshot": snapshot, "backup": backup}}
    return {**document, "schedule": new, "retention": {"snapshots": kept["snapshots"], "backups": days}}


def _daily_schedules(document: dict[str, Any]) -> dict[str, Any]:
    """The daily part of a schedule is what the older version knows. It keeps everything as long as the longest of the parts,
    and as many snapshots as all of them together: going back deletes nothing."""
    kept, new = document["retention"], document.get("schedule") or {}
    parts = [new[name] for name in ("daily", "weekly", "monthly", "yearly") if new.get(name)]
    backups = [part["backup"]["period"] for part in parts if part.get("backup")]
    counts = [part["snapshot"]["count"] for part in parts if part.get("snapshot")]
    retention = {
        "snapshots": max(kept["snapshots"], sum(counts)),
        "backup_days": min(DAYS_MAX, max(_days(period) for period in (kept["backups"], *backups))),
    }
    daily = new.get("daily")
    old = None
    if daily and daily.get("enabled", True):
        old = {
            "snapshot_hours": daily["snapshot"]["slots"],
            "backup_hours": (daily.get("backup") or {}).get("slots", []),
            "days": daily["days"],
            "timezone": new["timezone"],
        }
    return {**document, "schedule": old, "retention": retention}


def _days(period: dict[str, Any]) -> int:
    """At least as long."""
    days: int = period["amount"] * {"days": 1, "months": 31, "years": 366}[period["unit"]]
    return days
