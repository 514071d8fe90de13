"""Repositories with classes, locks and keys; the health and the proof of restore points; checks, rescans, archives."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

REPOSITORIES = """
ALTER TABLE repositories
    ADD COLUMN storage_class TEXT NOT NULL DEFAULT 'standard',
    ADD COLUMN immutable BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN encryption TEXT NOT NULL DEFAULT 'password',
    ADD COLUMN kms_key TEXT,
    ADD COLUMN hint TEXT NOT NULL DEFAULT '',
    ADD COLUMN rescanned_at TIMESTAMPTZ,
    ADD COLUMN collected_at TIMESTAMPTZ,
    ADD COLUMN checked_at TIMESTAMPTZ,
    ADD CONSTRAINT ck_repositories_storage_class CHECK (storage_class IN ('standard', 'glacier', 'deep_archive')),
    ADD CONSTRAINT ck_repositories_encryption CHECK (encryption IN ('password', 'kms')),
    ADD CONSTRAINT ck_repositories_kms_key CHECK ((encryption = 'kms') = (kms_key IS NOT NULL));
ALTER TABLE repositories
    ALTER COLUMN storage_class DROP DEFAULT,
    ALTER COLUMN immutable DROP DEFAULT,
    ALTER COLUMN encryption DROP DEFAULT,
    ALTER COLUMN hint DROP DEFAULT;
ALTER TABLE policies ADD COLUMN verify BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE policies ALTER COLUMN verify DROP DEFAULT;
"""

POINTS = """
ALTER TABLE restore_points
    ADD COLUMN health TEXT NOT NULL DEFAULT 'healthy',
    ADD COLUMN damage JSONB,
    ADD COLUMN proven_at TIMESTAMPTZ,
    ADD COLUMN proven_how TEXT,
    ADD COLUMN locked_until TIMESTAMPTZ,
    ADD COLUMN expires_at TIMESTAMPTZ,
    ADD COLUMN source_id UUID,
    ADD COLUMN retrieval JSONB,
    ADD COLUMN content_roots JSONB NOT NULL DEFAULT '{}',
    DROP CONSTRAINT ck_restore_points_document,
    ADD CONSTRAINT ck_restore_points_document CHECK (
        jsonb_typeof(document) = 'object' AND jsonb_typeof(content_roots) = 'object'
    ),
    ADD CONSTRAINT ck_restore_points_health CHECK (health IN ('healthy', 'incomplete')),
    ADD CONSTRAINT ck_restore_points_health_of_repository CHECK (health = 'healthy' OR repository_id IS NOT NULL),
    ADD CONSTRAINT ck_restore_points_damage CHECK ((health = 'incomplete') = (damage IS NOT NULL)),
    ADD CONSTRAINT ck_restore_points_proven_how CHECK (proven_how IN ('verification', 'restore')),
    ADD CONSTRAINT ck_restore_points_proven CHECK ((proven_at IS NULL) = (proven_how IS NULL)),
    ADD CONSTRAINT ck_restore_points_archive CHECK (leg = 'archive' OR (source_id IS NULL AND retrieval IS NULL)),
    ADD CONSTRAINT fk_restore_points_source_id FOREIGN KEY(source_id) REFERENCES restore_points (id) ON DELETE SET NULL;
ALTER TABLE restore_points
    ALTER COLUMN health DROP DEFAULT,
    ALTER COLUMN content_roots DROP DEFAULT;
CREATE INDEX ix_restore_points_source_id ON restore_points (source_id);
"""

WORK = """
ALTER TABLE sessions
    DROP CONSTRAINT ck_sessions_kind,
    ADD CONSTRAINT ck_sessions_kind CHECK (
        kind IN ('policy_run', 'rescan', 'volume_restore', 'instance_restore', 'delete_points', 'repository_maintenance',
        'health_check', 'repository_check', 'repository_rescan', 'verification', 'archive', 'retrieval')
    );
ALTER TABLE tasks
    DROP CONSTRAINT ck_tasks_kind,
    ADD CONSTRAINT ck_tasks_kind CHECK (
        kind IN ('protect', 'retention', 'rescan', 'restore_volumes', 'restore_instance', 'delete_points', 'collect_garbage',
        'check_chain', 'check_repository', 'rescan_repository', 'verify_point', 'archive_point', 'retrieve_point')
    );
"""

# Sessions of kinds the older version does not know are history it cannot show.
WORK_DOWN = """
DELETE FROM sessions WHERE kind IN
    ('health_check', 'repository_check', 'repository_rescan', 'verification', 'archive', 'retrieval');
DELETE FROM tasks WHERE kind IN
    ('check_chain', 'check_repository', 'rescan_repository', 'verify_point', 'archive_point', 'retrieve_point');
ALTER TABLE sessions
    DROP CONSTRAINT ck_sessions_kind,
    ADD CONSTRAINT ck_sessions_kind CHECK (
        kind IN ('policy_run', 'rescan', 'volume_restore', 'instance_restore', 'delete_points', 'repository_maintenance')
    );
ALTER TABLE tasks
    DROP CONSTRAINT ck_tasks_kind,
    ADD CONSTRAINT ck_tasks_kind CHECK (
        kind IN ('protect', 'retention', 'rescan', 'restore_volumes', 'restore_instance', 'delete_points', 'collect_garbage')
    );
"""

POINTS_DOWN = """
ALTER TABLE restore_points
    DROP CONSTRAINT ck_restore_points_document,
    DROP COLUMN health,
    DROP COLUMN damage,
    DROP COLUMN proven_at,
    DROP COLUMN proven_how,
    DROP COLUMN locked_until,
    DROP COLUMN expires_at,
    DROP COLUMN source_id,
    DROP COLUMN retrieval,
    DROP COLUMN content_roots,
    ADD CONSTRAINT ck_restore_points_document CHECK (jsonb_typeof(document) = 'object');
"""

REPOSITORIES_DOWN = """
ALTER TABLE policies DROP COLUMN verify;
ALTER TABLE repositories
    DROP COLUMN storage_class,
    DROP COLUMN immutable,
    DROP COLUMN encryption,
    DROP COLUMN kms_key,
    DROP COLUMN hint,
    DROP COLUMN rescanned_at,
    DROP COLUMN collected_at,
    DROP COLUMN checked_at;
"""


def upgrade() -> None:
    for statements in (REPOSITORIES, POINTS, WORK):
        op.execute(statements)


def downgrade() -> None:
    for statements in (WORK_DOWN, POINTS_DOWN, REPOSITORIES_DOWN):
        op.execute(statements)
