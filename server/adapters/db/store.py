"""``ports.Store`` on PostgreSQL: transactions, and what is sent once they are durable."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import Connection, Engine, create_engine, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from server.adapters.db import failures, mapping
from server.adapters.db.failures import translated
from server.adapters.db.keeping import Failures, ReplyRows, secret
from server.adapters.db.logs import ActivityLines, SessionEvents
from server.adapters.db.promises import PromiseRows
from server.adapters.db.rows import Rows
from server.adapters.db.sealing import Sealer
from server.adapters.db.tasks import TaskRows
from server.domain.access import Token, User
from server.domain.errors import HoldfastError
from server.domain.policy import Policy
from server.domain.preferences import Preferences, PriceList
from server.domain.promises import Membership
from server.domain.repository import Repository
from server.domain.restore import RestorePoint
from server.domain.session import Session
from server.domain.templates import SlaTemplate, SlaTemplateVersion, StorageTemplate
from server.domain.workload import Account, Resource
from server.ports import Clock, Jobs, Wakeups

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECTIONS = 10  # kept open per process
EXTRA_CONNECTIONS = 10  # opened under load
ATTEMPTS = 4  # of work that lost against another transaction

# Limits of one statement, one wait for a lock, one forgotten transaction: nothing waits for ever.
SERVER_SETTINGS = (
    "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s -c timezone=UTC -c jit=off"
)


def engine_url(url: str) -> URL:
    """``url`` for psycopg 3. Misconfigured when it is no PostgreSQL URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise failures.bad_url() from None  # the cause would show the URL, password and all
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise failures.bad_url()
    return parsed.set(drivername="postgresql+psycopg")


def open_engine(url: str) -> Engine:
    parsed = engine_url(url)
    own = parsed.query.get("options", "")
    options = f"{SERVER_SETTINGS} {own if isinstance(own, str) else ' '.join(own)}".strip()
    return create_engine(
        parsed,
        pool_size=CONNECTIONS,
        max_overflow=EXTRA_CONNECTIONS,
        pool_timeout=10,  # seconds
        pool_pre_ping=True,
        pool_recycle=1800,  # seconds; firewalls forget silent connections
        isolation_level="READ COMMITTED",
        connect_args={"connect_timeout": 5, "options": options, "application_name": "holdfast"},
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        hide_parameters=True,  # values may be secrets; they have no place in an error's text
    )


class Transaction:
    """``ports.Tx``: one connection, and what to do after its commit."""

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        self._connection = connection
        self._sealer = sealer
        self.due: dict[UUID, datetime] = {}
        self.awake: dict[str, None] = {}  # channels, in order
        self.actions: list[Callable[[], None]] = []

    @cached_property
    def accounts(self) -> Rows[Account]:
        return Rows(mapping.ACCOUNTS, self._connection, self._sealer)

    @cached_property
    def resources(self) -> Rows[Resource]:
        return Rows(mapping.RESOURCES, self._connection, self._sealer)

    @cached_property
    def policies(self) -> Rows[Policy]:
        return Rows(mapping.POLICIES, self._connection, self._sealer)

    @cached_property
    def repositories(self) -> Rows[Repository]:
        return Rows(mapping.REPOSITORIES, self._connection, self._sealer)

    @cached_property
    def sessions(self) -> Rows[Session]:
        return Rows(mapping.SESSIONS, self._connection, self._sealer)

    @cached_property
    def tasks(self) -> TaskRows:
        return TaskRows(self._connection, self._sealer, self._set_due)

    @cached_property
    def points(self) -> Rows[RestorePoint]:
        return Rows(mapping.POINTS, self._connection, self._sealer)

    @cached_property
    def sla_templates(self) -> Rows[SlaTemplate]:
        return Rows(mapping.SLA_TEMPLATES, self._connection, self._sealer)

    @cached_property
    def sla_versions(self) -> Rows[SlaTemplateVersion]:
        return Rows(mapping.SLA_VERSIONS, self._connection, self._sealer)

    @cached_property
    def storage_templates(self) -> Rows[StorageTemplate]:
        return Rows(mapping.STORAGE_TEMPLATES, self._connection, self._sealer)

    @cached_property
    def memberships(self) -> Rows[Membership]:
        return Rows(mapping.MEMBERSHIPS, self._connection, self._sealer)

    @cached_property
    def promises(self) -> PromiseRows:
        return PromiseRows(self._connection, self._sealer)

    @cached_property
    def price_lists(self) -> Rows[PriceList]:
        return Rows(mapping.PRICE_LISTS, self._connection, self._sealer)

    @cached_property
    def preferences(self) -> Rows[Preferences]:
        return Rows(mapping.PREFERENCES, self._connection, self._sealer)

    @cached_property
    def users(self) -> Rows[User]:
        return Rows(mapping.USERS, self._connection, self._sealer)

    @cached_property
    def tokens(self) -> Rows[Token]:
        return Rows(mapping.TOKENS, self._connection, self._sealer)

    @cached_property
    def events(self) -> SessionEvents:
        return SessionEvents(self._connection, self._sealer, self._wake)

    @cached_property
    def activity(self) -> ActivityLines:
        return ActivityLines(self._connection, self._wake)

    @cached_property
    def replies(self) -> ReplyRows:
        return ReplyRows(self._connection)

    @cached_property
    def throttle(self) -> Failures:
        return Failures(self._connection)

    def after_commit(self, action: Callable[[], None]) -> None:
        self.actions.append(action)

    def single(self, name: str) -> bool:
        with translated():
            return bool(self._connection.scalar(select(func.pg_try_advisory_xact_lock(lock_number(name)))))

    def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        return secret(self._connection, self._sealer, name, make)

    def _set_due(self, task_id: UUID, due_at: datetime | None) -> None:
        if due_at is None:
            self.due.pop(task_id, None)
        else:
            self.due[task_id] = due_at

    def _wake(self, channel: str) -> None:
        self.awake[channel] = None


def lock_number(name: str) -> int:
    """A 64-bit advisory lock number for ``name``."""
    return int.from_bytes(hashlib.blake2b(f"holdfast:{name}".encode(), digest_size=8).digest(), "big", signed=True)


class Database:
    """``ports.Store``. Without ``jobs`` or ``wakeups`` nothing is sent; the scheduler finds due tasks anyway."""

    def __init__(
        self, url: str, *, sealing_key: bytes, clock: Clock, jobs: Jobs | None = None, wakeups: Wakeups | None = None
    ) -> None:
        self._engine = open_engine(url)
        self._sealer = Sealer(sealing_key)
        self._clock = clock
        self._jobs = jobs
        self._wakeups = wakeups

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with translated(), self._engine.begin() as connection:
            tx = Transaction(connection, self._sealer)
            yield tx
        self._deliver(tx)

    def run(self, work: Callable[[Transaction], T]) -> T:
        """``work`` in a transaction of its own, repeated when PostgreSQL aborts it in favour of another (deadlock,
        serialisation): only for work that does nothing outside the transaction."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.transaction() as tx:
                    return work(tx)
            except HoldfastError as error:
                if attempt == ATTEMPTS or not failures.retryable(error):
                    raise
                self._clock.sleep(0.02 * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def ping(self) -> None:
        with translated(), self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Give all connections back to the server."""
        self._engine.dispose()

    def _deliver(self, tx: Transaction) -> None:
        """Send what the commit made due. The database knows it all: what fails here is found by the scheduler's sweep."""
        actions = list(tx.actions)
        if self._jobs is not None and tx.due:
            now, send = self._clock.now(), self._jobs.send
            actions += [_call(send, task, delay=max(due - now, timedelta(0))) for task, due in tx.due.items()]
        if self._wakeups is not None:
            actions += [_call(self._wakeups.wake, channel) for channel in tx.awake]
        for action in actions:
            try:
                action()
            except Exception:  # the change is durable; whatever the courier says cannot undo it
                log.warning("An action after commit failed; the scheduler's sweep makes up for it.", exc_info=True)


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[], None]:
    def call() -> None:
        function(*args, **kwargs)

    return call
