"""PostgreSQL's errors in our words. Nothing of SQLAlchemy or psycopg passes this file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import exc

from server.domain.errors import (
    Conflict,
    DatabaseDown,
    HoldfastError,
    InvalidInput,
    Misconfigured,
    StorageFull,
    Unavailable,
)

# Unique constraint → (input path, sentence).
TAKEN: dict[str, tuple[str, str]] = {
    "uq_accounts_name": ("name", "An account of this name exists already."),
    "uq_accounts_home": ("roleArn", "The home account exists already."),
    "uq_accounts_role_arn": ("roleArn", "An account with this role exists already."),
    "uq_resources_account_id_workload_region_aws_id": ("awsId", "This resource is known already."),
    "uq_repositories_name": ("name", "A repository of this name exists already."),
    "uq_repositories_location": ("location", "A repository at this place is registered already."),
    "uq_policies_name": ("name", "A policy of this name exists already."),
    "uq_sla_templates_name": ("name", "An SLA template of this name exists already."),
    "uq_sla_template_versions_template_id_version": ("version", "The template was changed at the same moment."),
    "uq_storage_templates_name": ("name", "A storage template of this name exists already."),
    "uq_memberships_open": ("resourceId", "The policy protects this resource already."),
    "uq_promises_policy_id_resource_id_leg_slot_at": ("slotAt", "This promised point is noted already."),
    "uq_price_lists_region": ("region", "Prices of this Region are kept already."),
    "uq_sessions_key": ("key", "This session was started already."),
    "uq_tasks_live_protect": ("resourceId", "The session is protecting this resource already."),
    "uq_restore_points_task_leg": ("taskId", "The task has made this restore point already."),
    "uq_restore_points_base": ("base", "Another snapshot of the resource is its change-tracking base; release that first."),
    "uq_users_name": ("name", "A user of this name exists already."),
    "uq_tokens_secret_hash": ("secretHash", "This token exists already."),
    "pk_replies": ("clientMutationId", "The same mutation is being answered right now."),
}

# Foreign key → what still refers to the row somebody wants to remove.
IN_USE: dict[str, str] = {
    "fk_policies_account_id": "A policy protects resources of this account.",
    "fk_policies_repository_id": "A policy stores its backups in this repository.",
    "fk_policies_archive_repository_id": "A policy archives into this repository.",
    "fk_policies_sla_template_id": "A policy follows this SLA template.",
    "fk_policies_storage_template_id": "A policy stores by this template.",
    "fk_repositories_account_id": "A repository is opened with this account.",
    "fk_restore_points_account_id": "Restore points of this account exist.",
    "fk_restore_points_resource_id": "Restore points of this resource exist.",
}

RETRYABLE = frozenset({"40001", "40P01"})  # serialisation failure, deadlock: the same work may succeed now
GONE = frozenset({"57P01", "57P02", "57P03", "53300", "25P03"})  # shut down, starting, too many connections, idle too long


@contextmanager
def translated() -> Iterator[None]:
    """Raise ours for PostgreSQL's."""
    try:
        yield
    except exc.DBAPIError as error:
        raise translate(error) from error
    except exc.StatementError as error:  # a value of ours has no form in the database: our own mistake, shown as it is
        raise (error.orig or error) from error
    except exc.TimeoutError as error:
        raise DatabaseDown(
            "All connections to the database are busy.", remedy="Try again; if it stays, lower the load or restart the service."
        ) from error


def bad_url() -> Misconfigured:
    return Misconfigured(
        "The database address is not a PostgreSQL URL.",
        remedy="Set HOLDFAST_DATABASE_URL to postgresql://user:password@host:5432/name.",
    )


def sqlstate(error: BaseException | None) -> str:
    """The five-character code of a wrapped PostgreSQL error, "" when there is none."""
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    return (original.sqlstate or "") if isinstance(original, psycopg.Error) else ""


def retryable(error: HoldfastError) -> bool:
    return sqlstate(error.__cause__) in RETRYABLE


def translate(error: exc.DBAPIError) -> HoldfastError:
    state = sqlstate(error)
    if error.connection_invalidated or state in GONE or state.startswith("08"):
        return _down(error)
    if state.startswith("23"):
        return _integrity(error, state)
    if state in RETRYABLE:
        return Unavailable("The database had to abort this change because of another one.", remedy="Try again.")
    return _by_state(error, state)


def _by_state(error: exc.DBAPIError, state: str) -> HoldfastError:
    if state == "57014":
        return Unavailable("The database took too long to answer.", remedy="Try again with a narrower question.")
    if state == "55P03":
        return Unavailable("Another change holds the same row for too long.", remedy="Try again.")
    if state in ("53100", "58030"):
        return StorageFull("The database's disk is full.", remedy="Free space on the database server.")
    if state in ("42P01", "42703", "3F000"):
        return Misconfigured("The database lacks tables this version needs.", remedy="Run `holdfast migrate`.")
    if state in ("42P07", "42710", "42723"):  # duplicate table, object, function
        return Misconfigured(f"The database is used for something else: {_first_line(error)}", remedy="Give Holdfast its own.")
    if state.startswith("28") or state in ("3D000", "42501"):
        return Misconfigured(f"The database refuses us: {_first_line(error)}", remedy="Check HOLDFAST_DATABASE_URL.")
    if state.startswith("22") or isinstance(error, exc.DataError):
        return InvalidInput("A value cannot be stored: it holds a character or number the database refuses.")
    if state == "":
        return _down(error)
    return Unavailable(f"The database answered {state}: {_first_line(error)}", remedy="See the database's own log.")


def _down(error: exc.DBAPIError) -> HoldfastError:
    reason = _first_line(error)
    for sign in ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry"):
        if sign in reason:
            return Misconfigured(f"The database refuses us: {reason}", remedy="Check HOLDFAST_DATABASE_URL.")
    return DatabaseDown(
        f"The database does not answer: {reason}", remedy="Check that PostgreSQL runs and HOLDFAST_DATABASE_URL is right."
    )


def _integrity(error: exc.DBAPIError, state: str) -> HoldfastError:
    diagnosis = error.orig.diag if isinstance(error.orig, psycopg.Error) else None
    name = (diagnosis.constraint_name if diagnosis else None) or ""
    if state == "23505":
        path, sentence = TAKEN.get(name, ("id", "This exists already."))
        return Conflict(sentence, fields={path: sentence})
    if state == "23503":
        if diagnosis and "still referenced" in (diagnosis.message_detail or ""):
            return Conflict(IN_USE.get(name, "Something still refers to this."), remedy="Remove what refers to it first.")
        return Conflict("Something this refers to is gone.", remedy="Load it again and repeat.", fields={"id": name})
    if diagnosis and name.startswith("tg_"):  # raised by our own triggers, in words for people
        said = diagnosis.message_primary or ""
        return Conflict(f"{said[:1].upper()}{said[1:]}.", remedy="Load it again.")
    sentence = (diagnosis.message_primary if diagnosis and state == "23514" else None) or "A needed value is missing."
    return InvalidInput(
        f"This is not a possible state: {sentence}", fields={name: "Refused by the database."} if name else None
    )


def _first_line(error: exc.DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else "no reason given"
