"""The only file that joins ports to adapters and workloads."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from dramatiq.brokers.redis import RedisBroker

from server.adapters import messaging
from server.adapters.aws import Boto3Aws
from server.adapters.blobs.local import LocalBlobs
from server.adapters.blobs.s3 import S3Blobs
from server.adapters.blobs.s3_bucket import BUCKET_ACTIONS, OBJECT_ACTIONS
from server.adapters.clock import SystemClock
from server.adapters.db import Database
from server.adapters.db.sealing import KEY_BYTES, Sealer
from server.adapters.ebs import EbsBlocks
from server.adapters.kms import PERMISSIONS as KMS_PERMISSIONS
from server.adapters.kms import AwsKms, key_region
from server.adapters.passwords import Argon2Passwords
from server.adapters.quota import Quotas
from server.domain.errors import HoldfastError, InvalidInput, Misconfigured
from server.domain.repository import Encryption, Repository, StorageKind
from server.domain.workload import place
from server.ports import Blobs, Clock, Kms, Workload
from server.repository.repository import KmsKey, Password, Secret
from server.repository.repository import Repository as OpenRepository
from server.repository.runtime import Runtime
from server.services.context import Services, StoragePermissions
from server.settings import Settings
from server.workloads import workloads

OPEN_REPOSITORIES: Final = 16  # kept open per process; one more closes the one unused longest
WAIT_MAX_SECONDS: Final = 15.0
APPLIANCE_ID: Final = "appliance-id"
STORAGE_PERMISSIONS: Final = StoragePermissions(bucket=BUCKET_ACTIONS, objects=OBJECT_ACTIONS, key=KMS_PERMISSIONS)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class App:
    """A process's adapters, joined. ``services`` is what use cases are handed."""

    settings: Settings
    clock: Clock
    store: Database
    aws: Boto3Aws
    blocks: EbsBlocks
    broker: RedisBroker
    jobs: messaging.RedisJobs
    wakeups: messaging.RedisWakeups
    passwords: Argon2Passwords
    workloads: Mapping[str, Workload]
    open_blobs: Callable[[Repository], Blobs]
    services: Services

    def close(self) -> None:
        """Give connections back."""
        self.blocks.close()
        self.broker.close()
        self.store.close()


def build(settings: Settings) -> App:
    """Join everything. Nothing is connected yet. Errors: Misconfigured."""
    clock = SystemClock()
    broker = messaging.open_broker(settings.need_redis_url())
    jobs = messaging.RedisJobs(broker, clock)
    wakeups = messaging.RedisWakeups(settings.need_redis_url())
    key = sealing_key(settings.secret_key_file)
    store = Database(settings.need_database_url(), sealing_key=key, clock=clock, jobs=jobs, wakeups=wakeups)
    quotas = Quotas.from_url(settings.need_redis_url(), clock)
    aws = Boto3Aws(clock, endpoint_url=settings.aws_endpoint_url, quotas=quotas)
    blocks = EbsBlocks(aws, clock, quotas=quotas)
    shelf = Repositories(settings, store, aws, clock)
    kinds = {each.kind: each for each in workloads(aws, clock)}
    services = Services(
        store=store,
        clock=clock,
        aws=aws,
        blocks=blocks,
        workloads=kinds,
        jobs=jobs,
        wakeups=wakeups,
        open_blobs=shelf.blobs,
        open_repository=shelf.open,
        open_kms=shelf.kms,
        owner_id=shelf.owner_id,
        sealing=Sealer(key),
        data_slots=threading.BoundedSemaphore(settings.worker_threads),
        storage_permissions=STORAGE_PERMISSIONS,
    )
    return App(
        settings=settings,
        clock=clock,
        store=store,
        aws=aws,
        blocks=blocks,
        broker=broker,
        jobs=jobs,
        wakeups=wakeups,
        passwords=Argon2Passwords(),
        workloads=kinds,
        open_blobs=shelf.blobs,
        services=services,
    )


def wait_until_ready(app: App, stop: threading.Event) -> bool:
    """Wait for the database and the queue, saying so; False when told to stop before they answered."""
    attempt = 0
    while not stop.is_set():
        try:
            app.store.ping()
            app.jobs.ping()
        except HoldfastError as error:
            attempt += 1
            _log.warning("Waiting: %s", error.sentence())
            stop.wait(min(WAIT_MAX_SECONDS, 0.5 * 2 ** min(attempt, 5)))
        else:
            return True
    return False


# ---- the key that seals secrets ---------------------------------------------------------------------------------------


def sealing_key(path: Path) -> bytes:
    """The key in ``path``; made on first use, 0600, whole or not at all, even if two processes start at once.

    Errors: Misconfigured when it cannot be read or made, or is not KEY_BYTES long.
    """
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise Misconfigured(
            f"The secret key file {path} cannot be used: {error.strerror}.",
            remedy="Make it readable for the user that runs Holdfast, or set HOLDFAST_SECRET_KEY_FILE.",
        ) from error
    if len(key) != KEY_BYTES:
        raise Misconfigured(
            f"The secret key file {path} has {len(key)} bytes instead of {KEY_BYTES}.",
            remedy="Restore it from its backup; without the right key the stored secrets cannot be read.",
        )
    return key


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid4().hex}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # fails if another process was first: then that key counts
        _sync_folder(path.parent)
    except FileExistsError:
        return
    finally:
        partial.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- repositories -----------------------------------------------------------------------------------------------------


class Repositories:
    """Opens repositories and keeps them open: deriving the key from a password is slow on purpose."""

    def __init__(self, settings: Settings, store: Database, aws: Boto3Aws, clock: Clock) -> None:
        self._root = settings.local_repository_root
        self._store = store
        self._aws = aws
        self._clock = clock
        self._runtime = Runtime(cache=settings.cache_folder, level=settings.compression_level)
        self._open: OrderedDict[tuple[object, ...], OpenRepository] = OrderedDict()
        self._lock = threading.Lock()
        self._opening: dict[tuple[object, ...], threading.Lock] = {}

    def owner_id(self) -> UUID:
        """This appliance's id, made on first use. Errors: DatabaseDown."""
        with self._store.transaction() as tx:
            return UUID(bytes=tx.secret(APPLIANCE_ID, lambda: uuid4().bytes))

    def blobs(self, repository: Repository) -> Blobs:
        """Its folder. Errors: InvalidInput for a local one outside the folder that is set for them, those of AWS."""
        if repository.kind is StorageKind.LOCAL:
            return LocalBlobs(self._local(repository))
        assert repository.account_id is not None  # the database refuses an S3 repository without one
        with self._store.transaction() as tx:
            account = tx.accounts.get(repository.account_id)
        client = self._aws.s3_client(place(account, repository.region or "us-east-1"))
        return S3Blobs(client, repository.location, repository.prefix)

    def kms(self, repository: Repository) -> Kms:
        """The service that holds its key, as the repository's account. Errors: those of the database."""
        assert repository.account_id is not None  # seen to when it was added
        assert repository.kms_key is not None
        with self._store.transaction() as tx:
            account = tx.accounts.get(repository.account_id)
        return AwsKms(self._aws, place(account, key_region(repository.kms_key)))

    def _secret(self, repository: Repository) -> Secret:
        if repository.encryption is Encryption.KMS:
            assert repository.kms_key is not None  # the database refuses one without the other
            return KmsKey(repository.kms_key, self.kms(repository))
        return Password(repository.password)

    def open(self, repository: Repository) -> OpenRepository:
        """Open, or still open. Another password or another place is another entry."""
        key = _identity(repository)
        with self._lock:
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:  # one thread derives the key, the others wait for it
            with self._lock:
                known = self._open.get(key)
                if known is not None:
                    self._open.move_to_end(key)
                    return known
            blobs = self.blobs(repository)
            opened = OpenRepository.open(
                blobs, self._secret(repository), clock=self._clock, owner=self.owner_id(), runtime=self._runtime
            )
            with self._lock:
                self._open[key] = opened
                while len(self._open) > OPEN_REPOSITORIES:
                    gone, _ = self._open.popitem(last=False)
                    self._opening.pop(gone, None)
            return opened

    def _local(self, repository: Repository) -> Path:
        folder = Path(repository.location, repository.prefix).resolve()
        root = self._root.resolve()
        if not folder.is_relative_to(root) or folder == root:
            wrong = f"A local repository must lie in a folder beneath {root}."
            raise InvalidInput(wrong, fields={"location": wrong}, remedy="Or set HOLDFAST_LOCAL_REPOSITORY_ROOT.")
        return folder


def _identity(repository: Repository) -> tuple[object, ...]:
    secret = repository.kms_key or hashlib.sha256(repository.password.encode()).digest()  # compared only
    where = (repository.kind, repository.account_id, repository.region, repository.location, repository.prefix)
    return (repository.id, *where, secret)
