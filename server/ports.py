"""What the core needs from outside, as Protocols. Adapters implement them; ``bootstrap`` joins the two.

Every method raises only errors of ``domain.errors``; adapters translate foreign ones. Times are aware UTC datetimes,
sizes are bytes unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from server.domain.access import Token, User
from server.domain.policy import Policy
from server.domain.repository import Repository
from server.domain.restore import InstanceRestore, RestorePoint, VolumeRestore
from server.domain.session import Activity, Event, Level, Session, Task
from server.domain.workload import Account, Found, Place, Resource

BLOCK_SIZE = 512 * 1024  # the EBS direct unit, and ours


# ---- time -------------------------------------------------------------------------------------------------------------


class Clock(Protocol):
    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


# ---- AWS control plane ------------------------------------------------------------------------------------------------


class Aws(Protocol):
    """Any AWS API call by its boto3 names (``ec2``, ``describe_instances``). Retries throttling and 5xx within limits."""

    def call(self, place: Place, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Errors: Throttled, Unavailable, AwsAccessDenied, AwsCredentials, AwsNotFound, AwsLimit, AwsRejected."""
        ...

    def pages(self, place: Place, service: str, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Each page of a paginated operation."""
        ...


# ---- EBS direct data plane --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block to read. ``token`` "" means the block holds nothing any more (reads as zeros)."""

    index: int
    token: str


class Blocks(Protocol):
    """EBS direct. Blocks are BLOCK_SIZE bytes; content is verified (length and SHA-256) before it is returned."""

    def allocated(self, place: Place, snapshot_id: str, *, start_index: int = 0) -> Iterator[BlockRef]: ...

    def changed(self, place: Place, base_id: str, snapshot_id: str, *, start_index: int = 0) -> Iterator[BlockRef]:
        """Blocks that differ between two snapshots of one volume, ascending. Errors: AwsRejected when not comparable."""
        ...

    def read(self, place: Place, snapshot_id: str, block: BlockRef) -> bytes: ...

    def start(
        self,
        place: Place,
        *,
        size_gib: int,
        token: str,
        description: str,
        tags: Mapping[str, str],
        encrypted: bool = False,
    ) -> str:
        """A new pending snapshot's id; the same ``token`` gives the same snapshot. ``encrypted``: under the default EBS key
        of the account and Region, whose policy every principal of the account may use through EBS."""
        ...

    def write(self, place: Place, snapshot_id: str, index: int, data: bytes) -> None: ...

    def complete(self, place: Place, snapshot_id: str, *, written: int) -> None:
        """Seal the snapshot after ``written`` distinct blocks. Idempotent. It is usable when EC2 says ``completed``."""
        ...


# ---- object storage ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Blob:
    """An object as listed: ``version`` is its ETag-like content version; ``modified`` the store's own clock."""

    name: str
    size: int
    version: str
    modified: datetime


class Blobs(Protocol):
    """Objects in one folder. Names use ``/`` and never begin with it."""

    @property
    def url(self) -> str:
        """For people: ``s3://bucket/folder`` or ``file:///path``."""
        ...

    def put(self, name: str, data: bytes | memoryview, *, if_absent: bool = False, if_version: str | None = None) -> Blob:
        """Durable when it returns. AlreadyThere when a condition does not hold. StorageFull, Unavailable, AwsError."""
        ...

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """NotFound when absent. Fewer bytes than asked only at the object's end."""
        ...

    def head(self, name: str) -> Blob | None: ...

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        """In name order, strongly consistent."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Absent ones are no error."""
        ...

    def now(self) -> datetime:
        """The store's clock (S3: the Date header), to notice a skewed one of ours."""
        ...


# ---- the configuration database ---------------------------------------------------------------------------------------

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

    def many(self, ids: Iterable[UUID]) -> dict[UUID, E]: ...

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


# ---- sign-in ----------------------------------------------------------------------------------------------------------


class Passwords(Protocol):
    """Slow, salted hashing of passwords people chose."""

    def hash(self, password: str) -> str: ...

    def verify(self, hashed: str, password: str) -> bool:
        """In time that does not depend on where they differ; False also for a hash that cannot be read."""
        ...

    @property
    def decoy(self) -> str:
        """A hash nothing matches: verified in place of a missing one, so that both cost the same time."""
        ...

    def outdated(self, hashed: str) -> bool:
        """True when the parameters have been raised since: hash again at the next sign-in."""
        ...


# ---- queue and wake-ups -----------------------------------------------------------------------------------------------


class Jobs(Protocol):
    """A courier: may lose, repeat or delay. The database knows what is due."""

    def send(self, task_id: UUID, *, delay: timedelta = timedelta(0)) -> None: ...

    def ping(self) -> None: ...


class Wakeups(Protocol):
    """Hints that something changed. Losing one only delays a reader until its next look."""

    def wake(self, channel: str) -> None: ...

    def listen(self, *channels: str) -> AsyncIterator[None]:
        """Yields at once, then after each wake-up, and at least every few seconds."""
        ...


# ---- workloads --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a workload did just now. ``memo`` is stored and handed back next time (JSON). Not ``done``: ask again after
    ``wait`` seconds. A step may be repeated after a crash with an older memo; it must then find and adopt what it made."""

    memo: dict[str, Any] = field(default_factory=dict)
    done: bool = False
    wait: float = 0.0
    message: str = ""
    progress: float | None = None  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotJob:
    """``token`` is unique to the task: it goes into client tokens and the tag ``holdfast:task``."""

    place: Place
    resource: Resource
    token: str
    policy_name: str
    copy_tags: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSnapshot:
    """A disk inside a snapshot point. ``disk_id`` is stable across points (the volume id): it ties a disk to its past."""

    disk_id: str
    snapshot_id: str
    size_bytes: int
    document: dict[str, Any]  # device name, type, IOPS, KMS key, tags ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreJob:
    """``disks`` are completed snapshots in the target Region holding the data to bring back."""

    place: Place
    token: str
    record: dict[str, Any]  # the point's document: the resource as it was
    resource_name: str
    disks: tuple[DiskSnapshot, ...]


class Workload(Protocol):
    """One kind of thing in AWS. Speaks only to ports. Everything is idempotent by the job's token."""

    kind: str
    title: str
    permissions: Mapping[str, tuple[str, ...]]  # capability ("discover", "snapshot", "backup", "restore") → IAM actions

    def discover(self, place: Place) -> Iterator[Found]: ...

    def snapshot(self, job: SnapshotJob, memo: dict[str, Any]) -> Step:
        """When done, ``memo`` is the point's document: enough to restore, delete and read its disks."""
        ...

    def disks(self, document: Mapping[str, Any]) -> tuple[DiskSnapshot, ...]: ...

    def delete_snapshot(self, place: Place, document: Mapping[str, Any]) -> None:
        """What is gone already is no error."""
        ...

    def abandon(self, place: Place, token: str) -> None:
        """Remove whatever a failed or cancelled task with this token left behind (unfinished snapshots, volumes, instances)."""
        ...

    def restore_volumes(self, job: RestoreJob, options: VolumeRestore, memo: dict[str, Any]) -> Step:
        """When done, ``memo["volumes"]`` lists ``{"diskId", "volumeId"}``."""
        ...

    def restore_instance(self, job: RestoreJob, options: InstanceRestore, memo: dict[str, Any]) -> Step:
        """When done, ``memo["instanceId"]`` and ``memo["volumes"]``."""
        ...
