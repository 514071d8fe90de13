"""The first tables: accounts, resources, policies, repositories, sessions and tasks with their log, restore points, people."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INVENTORY = """
CREATE TABLE accounts (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    role_arn TEXT,
    external_id BYTEA,
    aws_account_id TEXT,
    state TEXT NOT NULL,
    problem TEXT,
    checked_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    revision INTEGER NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT ck_accounts_name CHECK (char_length(name) BETWEEN 1 AND 127),
    CONSTRAINT ck_accounts_state CHECK (state IN ('unchecked', 'available', 'unavailable')),
    CONSTRAINT ck_accounts_home_has_no_external_id CHECK (role_arn IS NOT NULL OR external_id IS NULL),
    CONSTRAINT ck_accounts_aws_account_id CHECK (aws_account_id ~ '^[0-9]{12}$'),
    CONSTRAINT ck_accounts_available_without_problem CHECK (state <> 'available' OR problem IS NULL),
    CONSTRAINT ck_accounts_revision CHECK (revision >= 1)
);
CREATE UNIQUE INDEX uq_accounts_home ON accounts ((role_arn IS NULL)) WHERE role_arn IS NULL;
CREATE UNIQUE INDEX uq_accounts_name ON accounts (lower(name));
CREATE UNIQUE INDEX uq_accounts_role_arn ON accounts (role_arn);

CREATE TABLE resources (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    workload TEXT NOT NULL,
    region TEXT NOT NULL,
    aws_id TEXT NOT NULL,
    name TEXT NOT NULL,
    tags JSONB NOT NULL,
    state TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    document JSONB NOT NULL,
    present BOOLEAN NOT NULL,
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_resources PRIMARY KEY (id),
    CONSTRAINT ck_resources_document CHECK (jsonb_typeof(tags) = 'object' AND jsonb_typeof(document) = 'object'),
    CONSTRAINT ck_resources_not_negative CHECK (size_bytes >= 0),
    CONSTRAINT uq_resources_account_id_workload_region_aws_id UNIQUE (account_id, workload, region, aws_id),
    CONSTRAINT fk_resources_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE INDEX ix_resources_name ON resources (lower(name), id);
CREATE INDEX ix_resources_region ON resources (region);
"""

PROTECTION = """
CREATE TABLE repositories (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    kind TEXT NOT NULL,
    account_id UUID,
    region TEXT,
    location TEXT NOT NULL,
    prefix TEXT NOT NULL,
    password BYTEA NOT NULL,
    format_id UUID,
    state TEXT NOT NULL,
    problem TEXT,
    stored_bytes BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    revision INTEGER NOT NULL,
    CONSTRAINT pk_repositories PRIMARY KEY (id),
    CONSTRAINT ck_repositories_name CHECK (char_length(name) BETWEEN 1 AND 127),
    CONSTRAINT ck_repositories_kind CHECK (kind IN ('s3', 'local')),
    CONSTRAINT ck_repositories_state CHECK (state IN ('available', 'unavailable')),
    CONSTRAINT ck_repositories_not_negative CHECK (stored_bytes >= 0),
    CONSTRAINT ck_repositories_s3_has_account CHECK (kind <> 's3' OR account_id IS NOT NULL),
    CONSTRAINT ck_repositories_location CHECK (location <> ''),
    CONSTRAINT ck_repositories_available_without_problem CHECK (state <> 'available' OR problem IS NULL),
    CONSTRAINT ck_repositories_revision CHECK (revision >= 1),
    CONSTRAINT fk_repositories_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE RESTRICT
);
CREATE INDEX ix_repositories_account_id ON repositories (account_id);
CREATE UNIQUE INDEX uq_repositories_location ON repositories (kind, location, prefix);
CREATE UNIQUE INDEX uq_repositories_name ON repositories (lower(name));

CREATE TABLE policies (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    workload TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    priority INTEGER NOT NULL,
    account_id UUID GENERATED ALWAYS AS ((((document -> 'scope'::text) ->> 'account_id'::text))::uuid) STORED NOT NULL,
    repository_id UUID,
    copy_tags BOOLEAN NOT NULL,
    next_run_at TIMESTAMPTZ,
    last_session_id UUID,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    revision INTEGER NOT NULL,
    document JSONB NOT NULL,
    CONSTRAINT pk_policies PRIMARY KEY (id),
    CONSTRAINT ck_policies_name CHECK (char_length(name) BETWEEN 1 AND 127),
    CONSTRAINT ck_policies_document CHECK (jsonb_typeof(document) = 'object'),
    CONSTRAINT ck_policies_description CHECK (char_length(description) <= 255),
    CONSTRAINT ck_policies_priority CHECK (priority >= 1),
    CONSTRAINT ck_policies_revision CHECK (revision >= 1),
    CONSTRAINT fk_policies_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE RESTRICT,
    CONSTRAINT fk_policies_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id) ON DELETE RESTRICT
);
CREATE INDEX ix_policies_account_id ON policies (account_id);
CREATE INDEX ix_policies_last_session_id ON policies (last_session_id);
CREATE INDEX ix_policies_next_run_at ON policies (next_run_at);
CREATE INDEX ix_policies_repository_id ON policies (repository_id);
CREATE UNIQUE INDEX uq_policies_name ON policies (lower(name));
"""

WORK = """
CREATE TABLE sessions (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    policy_id UUID,
    requested_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    cancel_requested_at TIMESTAMPTZ,
    key TEXT,
    document JSONB NOT NULL,
    last_event INTEGER NOT NULL,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT ck_sessions_kind CHECK (
        kind IN ('policy_run', 'rescan', 'volume_restore', 'instance_restore', 'delete_points',
        'repository_maintenance')
    ),
    CONSTRAINT ck_sessions_state CHECK (state IN ('pending', 'running', 'success', 'warning', 'error', 'cancelled')),
    CONSTRAINT ck_sessions_document CHECK (jsonb_typeof(document) = 'object'),
    CONSTRAINT ck_sessions_not_negative CHECK (last_event >= 0),
    CONSTRAINT ck_sessions_ended_when_final CHECK ((state IN ('pending', 'running')) = (ended_at IS NULL)),
    CONSTRAINT ck_sessions_started_to_run CHECK (state <> 'running' OR started_at IS NOT NULL),
    CONSTRAINT uq_sessions_key UNIQUE (key),
    CONSTRAINT fk_sessions_policy_id FOREIGN KEY(policy_id) REFERENCES policies (id) ON DELETE SET NULL
);
CREATE INDEX ix_sessions_created_at ON sessions (created_at, id);
CREATE INDEX ix_sessions_open ON sessions (created_at) WHERE state IN ('pending', 'running');
CREATE INDEX ix_sessions_policy_id ON sessions (policy_id, created_at);

CREATE TABLE tasks (
    id UUID NOT NULL,
    session_id UUID NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    resource_id UUID,
    position INTEGER NOT NULL,
    state TEXT NOT NULL,
    stage TEXT NOT NULL,
    document JSONB NOT NULL,
    progress_done BIGINT NOT NULL,
    progress_total BIGINT NOT NULL,
    bytes_read BIGINT NOT NULL,
    bytes_stored BIGINT NOT NULL,
    message TEXT NOT NULL,
    error_code TEXT,
    attempt INTEGER NOT NULL,
    claims INTEGER NOT NULL,
    fence BIGINT NOT NULL,
    due_at TIMESTAMPTZ,
    lease_until TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    CONSTRAINT pk_tasks PRIMARY KEY (id),
    CONSTRAINT ck_tasks_kind CHECK (
        kind IN ('protect', 'retention', 'rescan', 'restore_volumes', 'restore_instance', 'delete_points',
        'collect_garbage')
    ),
    CONSTRAINT ck_tasks_state CHECK (state IN ('pending', 'running', 'success', 'warning', 'error', 'cancelled')),
    CONSTRAINT ck_tasks_document CHECK (jsonb_typeof(document) = 'object'),
    CONSTRAINT ck_tasks_not_negative CHECK (
        progress_done >= 0 AND progress_total >= 0 AND bytes_read >= 0 AND bytes_stored >= 0 AND attempt >= 0 AND
        claims >= 0 AND fence >= 0 AND position >= 0
    ),
    CONSTRAINT ck_tasks_ended_when_final CHECK ((state IN ('pending', 'running')) = (ended_at IS NULL)),
    CONSTRAINT ck_tasks_started_to_run CHECK (state <> 'running' OR started_at IS NOT NULL),
    CONSTRAINT ck_tasks_final_is_not_due CHECK (
        state IN ('pending', 'running') OR (due_at IS NULL AND lease_until IS NULL)
    ),
    CONSTRAINT fk_tasks_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE,
    CONSTRAINT fk_tasks_resource_id FOREIGN KEY(resource_id) REFERENCES resources (id) ON DELETE SET NULL
);
CREATE INDEX ix_tasks_due_at ON tasks (due_at) WHERE state IN ('pending', 'running');
CREATE INDEX ix_tasks_resource_id ON tasks (resource_id);
CREATE INDEX ix_tasks_session_id ON tasks (session_id, position);
CREATE UNIQUE INDEX uq_tasks_live_protect ON tasks (session_id, resource_id)
    WHERE kind = 'protect' AND state IN ('pending', 'running');

CREATE TABLE session_events (
    session_id UUID NOT NULL,
    number INTEGER NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    task_id UUID,
    data JSONB NOT NULL,
    CONSTRAINT pk_session_events PRIMARY KEY (session_id, number),
    CONSTRAINT ck_session_events_level CHECK (level IN ('info', 'success', 'warning', 'error')),
    CONSTRAINT ck_session_events_document CHECK (jsonb_typeof(data) = 'object'),
    CONSTRAINT ck_session_events_number CHECK (number >= 1),
    CONSTRAINT fk_session_events_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE,
    CONSTRAINT fk_session_events_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE SET NULL
);
CREATE INDEX ix_session_events_task_id ON session_events (task_id);
"""

POINTS = """
CREATE TABLE restore_points (
    id UUID NOT NULL,
    resource_id UUID NOT NULL,
    resource_name TEXT NOT NULL,
    workload TEXT NOT NULL,
    account_id UUID NOT NULL,
    region TEXT NOT NULL,
    leg TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    state TEXT NOT NULL,
    policy_id UUID,
    session_id UUID,
    task_id UUID,
    repository_id UUID,
    size_bytes BIGINT NOT NULL,
    stored_bytes BIGINT NOT NULL,
    base BOOLEAN NOT NULL,
    document JSONB NOT NULL,
    CONSTRAINT pk_restore_points PRIMARY KEY (id),
    CONSTRAINT ck_restore_points_leg CHECK (leg IN ('snapshot', 'replica', 'backup', 'archive')),
    CONSTRAINT ck_restore_points_state CHECK (state IN ('available', 'deleting', 'deleted')),
    CONSTRAINT ck_restore_points_document CHECK (jsonb_typeof(document) = 'object'),
    CONSTRAINT ck_restore_points_not_negative CHECK (size_bytes >= 0 AND stored_bytes >= 0),
    CONSTRAINT ck_restore_points_repository_of_leg CHECK ((leg IN ('backup', 'archive')) = (repository_id IS NOT NULL)),
    CONSTRAINT ck_restore_points_base_is_snapshot CHECK (NOT base OR leg = 'snapshot'),
    CONSTRAINT fk_restore_points_resource_id FOREIGN KEY(resource_id) REFERENCES resources (id) ON DELETE RESTRICT,
    CONSTRAINT fk_restore_points_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE RESTRICT,
    CONSTRAINT fk_restore_points_policy_id FOREIGN KEY(policy_id) REFERENCES policies (id) ON DELETE SET NULL,
    CONSTRAINT fk_restore_points_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE SET NULL,
    CONSTRAINT fk_restore_points_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT fk_restore_points_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id) ON DELETE CASCADE
);
CREATE INDEX ix_restore_points_account_id ON restore_points (account_id);
CREATE INDEX ix_restore_points_at ON restore_points (at, id);
CREATE INDEX ix_restore_points_policy_id ON restore_points (policy_id);
CREATE INDEX ix_restore_points_repository_id ON restore_points (repository_id);
CREATE INDEX ix_restore_points_resource_id ON restore_points (resource_id, at);
CREATE INDEX ix_restore_points_session_id ON restore_points (session_id);
CREATE UNIQUE INDEX uq_restore_points_base ON restore_points (resource_id) WHERE base AND state = 'available';
CREATE UNIQUE INDEX uq_restore_points_task_leg ON restore_points (task_id, leg);
"""

PEOPLE = """
CREATE TABLE users (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT ck_users_name CHECK (char_length(name) BETWEEN 1 AND 127),
    CONSTRAINT ck_users_role CHECK (role IN ('viewer', 'restore_operator', 'operator', 'administrator'))
);
CREATE UNIQUE INDEX uq_users_name ON users (lower(name));

CREATE TABLE tokens (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    family UUID NOT NULL,
    kind TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    issued_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ,
    CONSTRAINT pk_tokens PRIMARY KEY (id),
    CONSTRAINT ck_tokens_kind CHECK (kind IN ('access', 'refresh')),
    CONSTRAINT ck_tokens_expires_after_issue CHECK (expires_at > issued_at),
    CONSTRAINT uq_tokens_secret_hash UNIQUE (secret_hash),
    CONSTRAINT fk_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_tokens_expires_at ON tokens (expires_at);
CREATE INDEX ix_tokens_family ON tokens (family);
CREATE INDEX ix_tokens_user_id ON tokens (user_id);

CREATE TABLE replies (
    user_id UUID NOT NULL,
    mutation TEXT NOT NULL,
    key TEXT NOT NULL,
    answer JSONB NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_replies PRIMARY KEY (user_id, mutation, key),
    CONSTRAINT ck_replies_document CHECK (jsonb_typeof(answer) = 'object'),
    CONSTRAINT fk_replies_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_replies_at ON replies (at);

CREATE TABLE sign_in_failures (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    key BYTEA NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_sign_in_failures PRIMARY KEY (id)
);
CREATE INDEX ix_sign_in_failures_at ON sign_in_failures (at);
CREATE INDEX ix_sign_in_failures_key ON sign_in_failures (key, at);
"""

APPLIANCE = """
CREATE TABLE activities (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    xid BIGINT DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    kind TEXT NOT NULL,
    subject_id UUID,
    change TEXT NOT NULL,
    message TEXT NOT NULL,
    CONSTRAINT pk_activities PRIMARY KEY (id)
);
CREATE INDEX ix_activities_xid ON activities (xid, id);

CREATE TABLE secrets (
    name TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    CONSTRAINT pk_secrets PRIMARY KEY (name)
);
"""


# Policies and sessions refer to each other: the second half of the circle.
LAST_SESSION = """
ALTER TABLE policies ADD CONSTRAINT fk_policies_last_session_id
    FOREIGN KEY(last_session_id) REFERENCES sessions (id) ON DELETE SET NULL;
"""

# A final state is never left, and nothing that runs becomes pending again: whatever a late writer believes.
STATES_GO_FORWARD = """
CREATE FUNCTION holdfast_refuse_going_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a % that is % cannot become %', TG_ARGV[0], OLD.state, NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;
CREATE TRIGGER tg_sessions_state BEFORE UPDATE OF state ON sessions FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state NOT IN ('pending', 'running') OR NEW.state = 'pending'))
    EXECUTE FUNCTION holdfast_refuse_going_back('session');
CREATE TRIGGER tg_tasks_state BEFORE UPDATE OF state ON tasks FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state NOT IN ('pending', 'running') OR NEW.state = 'pending'))
    EXECUTE FUNCTION holdfast_refuse_going_back('task');
"""

# Every appliance has the account whose credentials it runs with.
HOME_STAYS = """
CREATE FUNCTION holdfast_refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the home account cannot be removed'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;
CREATE TRIGGER tg_accounts_home BEFORE DELETE ON accounts FOR EACH ROW
    WHEN (OLD.role_arn IS NULL) EXECUTE FUNCTION holdfast_refuse_removal();
"""

UP = (INVENTORY, PROTECTION, WORK, POINTS, PEOPLE, APPLIANCE, LAST_SESSION, STATES_GO_FORWARD, HOME_STAYS)

DOWN = """
ALTER TABLE policies DROP CONSTRAINT fk_policies_last_session_id;
DROP TABLE secrets, activities, sign_in_failures, replies, tokens, users, restore_points, session_events, tasks, sessions,
    policies, repositories, resources, accounts;
DROP FUNCTION holdfast_refuse_going_back();
DROP FUNCTION holdfast_refuse_removal();
"""


def upgrade() -> None:
    for statements in UP:
        op.execute(statements)


def downgrade() -> None:
    op.execute(DOWN)
