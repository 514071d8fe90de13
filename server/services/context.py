"""What every use case is handed: the ports, joined by ``bootstrap``, under one name."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from server.domain import repository as stored
from server.domain.errors import Misconfigured
from server.ports import Aws, Blobs, Blocks, Clock, Jobs, Kms, Sealing, Store, Wakeups, Workload
from server.repository.repository import Repository

DEFAULT_DATA_SLOTS = 2  # resources whose data one worker process moves at once, when nothing else is set


def _data_slots() -> threading.Semaphore:
    return threading.BoundedSemaphore(DEFAULT_DATA_SLOTS)


def _no_kms(repository: stored.Repository) -> Kms:
    raise Misconfigured(f"{repository.name} needs a KMS key, and no key service is joined.", remedy="Join one in bootstrap.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePermissions:
    """IAM actions repositories need: on their bucket, on its objects, on the KMS key that opens them."""

    bucket: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Services:
    """The argument ``app`` of every use case. Made once per process, shared by its threads.

    ``open_repository`` returns an open, cached repository of the format engine; errors: NotFound, WrongPassword,
    ForeignFormat, NotOwner, Damaged, and those of its storage. ``open_kms``: the service that holds a repository's key.
    ``owner_id`` is this appliance's id, which repositories and snapshots are marked with; ``sealing`` is its secret key at
    work. ``data_slots`` bounds how many tasks of this process move disk data at the same time, and with it the memory they
    use.
    """

    store: Store
    clock: Clock
    aws: Aws
    blocks: Blocks
    workloads: Mapping[str, Workload]
    jobs: Jobs
    wakeups: Wakeups
    open_blobs: Callable[[stored.Repository], Blobs]
    open_repository: Callable[[stored.Repository], Repository]
    owner_id: Callable[[], UUID]
    sealing: Sealing
    open_kms: Callable[[stored.Repository], Kms] = _no_kms
    new_id: Callable[[], UUID] = uuid4
    random: random.Random = field(default_factory=random.Random)
    data_slots: threading.Semaphore = field(default_factory=_data_slots)
    storage_permissions: StoragePermissions = field(default_factory=StoragePermissions)
