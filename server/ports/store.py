"""The configuration database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from server.domain.access import Token, User
from server.domain.policy import Policy
from server.domain.preferences import Preferences, PriceList
from server.domain.promises import Asked, Kept, Membership, Promise
from server.domain.repository import Repository
from server.domain.restore import Leg, RestorePoint
from server.domain.session import Activity, Event, Level, Session, Task
from server.domain.templates import SlaTemplate, SlaTemplateVersion, StorageTemplate
from server.domain.workload import Account, Resource

Operator = Literal["eq", "ne", "in", "lt", "le", "gt", "ge", "contains", "is_null"]


@dataclass(frozen=True, slots=True)
class Where:
    """``field`` is an attribute of the entity. ``contains``: case-insensitive substring. ``is_null``: value is a bool."""

    field: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class Order:
    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """A list request. ``id`` is always the last order key; ``after`` holds the previous row's values of the order keys
    and its id (keyset paging), ``offset`` serves doors that page by number."""

    where: tuple[Where, ...] = ()
    order: tuple[Order, ...] = ()
    after: tuple[Any, ...] | None = None
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Group:
    """Entities that share a value: how many, the sum of one number field, the newest of one time field."""

    count: int
    total: int = 0
    newest: datetime | None = None


E = TypeVar("E")


class Collection(Protocol, Generic[E]):
    """Entities of one kind. Frozen dataclasses in, frozen dataclasses out. After a refused write the transaction goes on:
    a caller may catch Conflict and look at what is there."""

    def get(self, id: UUID, *, lock: bool = False) -> E:
        """NotFound. ``lock`` holds the row until the transaction ends."""
        ...

    def find(self, **equals: Any) -> E | None:
        """The first by id whose fields have these values; names are compared without regard to case."""
        ...

    def page(self, select: Select) -> list[E]: ...

    def count(self, select: Select) -> int: ...

    def groups(
        self, by: str, where: tuple[Where, ...] = (), *, total: str | None = None, newest: str | None = None
    ) -> dict[Any, Group]:
        """One statement: entities matching ``where``, grouped by the values of field ``by``; ``total`` names a number
        field to sum, ``newest`` a time field to take the latest of."""
        ...

    def many(self, ids: Iterable[UUID], *, lock: bool = False) -> dict[UUID, E]:
        """Those of ``ids`` that exist. ``lock`` holds their rows until the transaction ends."""
        ...

    def add(self, entity: E) -> None:
        """Conflict when a unique value is taken; ``fields`` names it."""
        ...

    def save(self, entity: E) -> None:
        """NotFound when it is gone. Entities with ``revision``: Conflict unless the stored revision is one less."""
        ...

    def remove(self, id: UUID) -> None:
        """NotFound; Conflict while something refers to it."""
        ...

    def put(self, entities: Sequence[E]) -> None:
        """Add those whose id is new, overwrite the others: one statement for all (inventory batches)."""
        ...


class Tasks(Collection[Task], Protocol):
    def claim(self, id: UUID, *, now: datetime, lease: timedelta) -> Task | None:
        """Take the task for one step: ``claims`` and ``fence`` raised, lease set, PENDING becomes RUNNING.
        None when it is final, not due yet (``due_at`` None: it waits for something else), or held by a live lease. So a
        repeated or late message does nothing, and never starts a second chain of messages."""
        ...

    def renew(self, id: UUID, fence: int, *, until: datetime) -> bool:
        """False when the fence has moved on: stop working."""
        ...

    def record(self, task: Task) -> bool:
        """Write handler and engine fields if ``task.fence`` still holds; False (nothing written) otherwise."""
        ...

    def overdue(self, *, now: datetime, grace: timedelta, limit: int) -> list[UUID]:
        """Open tasks due more than ``grace`` ago that no worker holds: their message was lost or their worker died."""
        ...

    def states(self, session_id: UUID) -> list[Task]:
        """All tasks of a session, by position, without locking."""
        ...


class Promises(Collection[Promise], Protocol):
    def kept(self, leg: Leg, asked: Sequence[Asked]) -> list[Kept]:
        """One statement: for each question, one row per stretch of membership it asks about."""
        ...

    def tried_in(self, leg: Leg, asked: Sequence[Asked], resource_ids: Sequence[UUID], limit: int) -> dict[UUID, list[UUID]]:
        """One statement: the newest ``limit`` sessions per resource that tried to keep these promises, newest first."""
        ...


class EventLog(Protocol):
    def append(
        self,
        session_id: UUID,
        level: Level,
        message: str,
        *,
        at: datetime,
        task_id: UUID | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """Numbered by the session's own counter under its row lock: no gap, no duplicate, commit order = number order."""
        ...

    def after(self, session_id: UUID, number: int, limit: int) -> list[Event]: ...


class ActivityLog(Protocol):
    def append(self, *, at: datetime, kind: str, subject_id: UUID | None, change: str, message: str) -> None: ...

    def after(self, cursor: str | None, limit: int) -> list[Activity]:
        """Oldest first; only lines no still-open transaction can precede, so a cursor never skips one."""
        ...

    def newest(self) -> str | None: ...


class Replies(Protocol):
    """Answers kept by ``clientMutationId``, so a repeated mutation returns the first answer."""

    def get(self, user_id: UUID, mutation: str, key: str) -> dict[str, Any] | None: ...

    def put(self, user_id: UUID, mutation: str, key: str, answer: Mapping[str, Any], *, at: datetime) -> None: ...


class Throttle(Protocol):
    """Counts failures by key (user name, address) in the database, so a restart does not reset them."""

    def failures(self, key: str, *, since: datetime) -> tuple[int, datetime | None]: ...

    def fail(self, key: str, *, at: datetime) -> None: ...

    def clear(self, key: str) -> None: ...


class Tx(Protocol):
    """One transaction. Committed when its block ends without an error. After commit, open tasks that were added, saved or
    recorded with a ``due_at`` and without a lease are sent to the queue (delayed until then), and sessions whose log grew
    are woken. A recorded task that keeps its lease is only reporting progress: its worker goes on, nothing is sent."""

    @property
    def accounts(self) -> Collection[Account]: ...
    @property
    def resources(self) -> Collection[Resource]: ...
    @property
    def policies(self) -> Collection[Policy]: ...
    @property
    def repositories(self) -> Collection[Repository]: ...
    @property
    def sessions(self) -> Collection[Session]: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def points(self) -> Collection[RestorePoint]: ...
    @property
    def sla_templates(self) -> Collection[SlaTemplate]: ...
    @property
    def sla_versions(self) -> Collection[SlaTemplateVersion]: ...
    @property
    def storage_templates(self) -> Collection[StorageTemplate]: ...
    @property
    def memberships(self) -> Collection[Membership]: ...
    @property
    def promises(self) -> Promises: ...
    @property
    def price_lists(self) -> Collection[PriceList]: ...
    @property
    def preferences(self) -> Collection[Preferences]: ...
    @property
    def users(self) -> Collection[User]: ...
    @property
    def tokens(self) -> Collection[Token]: ...
    @property
    def events(self) -> EventLog: ...
    @property
    def activity(self) -> ActivityLog: ...
    @property
    def replies(self) -> Replies: ...
    @property
    def throttle(self) -> Throttle: ...

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run once the transaction is durable; a failure there is logged, never raised."""
        ...

    def single(self, name: str) -> bool:
        """True if this transaction now is the only one holding the named advisory lock (released at its end)."""
        ...

    def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """A sealed value of the appliance, made once (its id, for instance)."""
        ...


class Store(Protocol):
    def transaction(self) -> AbstractContextManager[Tx]:
        """Errors: DatabaseDown."""
        ...

    def ping(self) -> None: ...
