"""Storage and keys of an open repository joined: sealed JSON objects, writes that survive lost replies, the owner check."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import zstandard

from server.domain.errors import AlreadyThere, Damaged, NotFound, NotOwner, Unavailable
from server.domain.repository import StorageClass
from server.ports import Blob, Blobs, Clock
from server.repository import layout
from server.repository.crypto import CHECK_REMEDY, FORMAT_VERSION, Keys, canonical, checksum
from server.repository.runtime import REAL, Runtime

MAX_SEALED_SIZE = 256 * 1024 * 1024  # plain bytes of one sealed object: a mark list of several million packs
ATTEMPTS = 5
FIRST_DELAY = 0.2  # seconds, doubled each time, with full jitter

T = TypeVar("T")
_jitter = random.Random()  # noqa: S311  spreads retries, guards nothing


@dataclass(frozen=True, slots=True)
class Vault:
    """What the parts of the repository share. ``owner`` is the appliance that opened it, None when for reading only.
    ``storage_class`` is that of its data packs; everything else is always STANDARD."""

    blobs: Blobs
    keys: Keys
    clock: Clock
    owner: UUID | None
    runtime: Runtime = REAL
    storage_class: StorageClass = StorageClass.STANDARD

    @property
    def id(self) -> UUID:
        return self.keys.repository_id

    @property
    def writer(self) -> UUID:
        """The appliance that writes. NotOwner when the repository was opened for reading only."""
        if self.owner is None:
            raise NotOwner(
                f"The repository at {self.blobs.url} was opened for reading only.", remedy="Open it as its owner to change it."
            )
        return self.owner

    def pool(self, threads: int, name: str) -> Executor:
        """Whoever asks for one shuts it down."""
        return self.runtime.pools(threads, name)

    def new_id(self) -> bytes:
        """16 random bytes, for names."""
        return self.runtime.entropy(16)

    # -- patience

    def patiently(self, action: Callable[[], T]) -> T:
        """Try again when the store does not answer or throttles, a few times; other errors pass at once."""
        return patiently(self.clock, action)

    # -- whole objects

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        return self.patiently(lambda: self.blobs.get(name, start=start, length=length))

    def put_once(
        self,
        name: str,
        data: bytes | memoryview,
        *,
        lock_until: datetime | None = None,
        storage_class: StorageClass = StorageClass.STANDARD,
    ) -> Blob:
        """Write if absent. A write whose reply was lost is recognised as ours by its content.
        AlreadyThere when the name holds something else."""
        self.writer  # noqa: B018  refuses when opened for reading only
        return put_once(self.blobs, self.clock, name, data, lock_until=lock_until, storage_class=storage_class)

    def replace(self, name: str, data: bytes, version: str) -> Blob:
        """Write if the object still is ``version``. AlreadyThere when it is not, or is gone."""
        self.writer  # noqa: B018  refuses when opened for reading only

        def write() -> Blob:
            try:
                return self.blobs.put(name, data, if_version=version)
            except AlreadyThere:
                return self._ours_after_all(name, data)

        return self.patiently(write)

    def _ours_after_all(self, name: str, data: bytes) -> Blob:
        return _same_content(self.blobs, name, data)

    # -- sealed JSON

    def seal(self, name: str, kind: int, content: Mapping[str, Any]) -> bytes:
        return self.keys.seal(name, kind, zstandard.ZstdCompressor(level=3).compress(canonical(content)))

    def unseal(self, name: str, kind: int, data: bytes) -> dict[str, Any]:
        packed = self.keys.unseal(name, kind, data)
        try:
            if zstandard.frame_content_size(packed) > MAX_SEALED_SIZE:
                raise ValueError("too large")
            content = json.loads(zstandard.ZstdDecompressor().decompress(packed))
        except (zstandard.ZstdError, ValueError) as wrong:
            raise Damaged(f"{name} does not hold what it should.", remedy=CHECK_REMEDY, fields={"object": name}) from wrong
        if not isinstance(content, dict):
            raise Damaged(f"{name} does not hold what it should.", remedy=CHECK_REMEDY, fields={"object": name})
        return content

    def read_sealed(self, name: str, kind: int) -> dict[str, Any]:
        """NotFound, Damaged."""
        return self.unseal(name, kind, self.get(name))

    def read_versioned(self, name: str, kind: int) -> tuple[dict[str, Any], Blob] | None:
        """Content and the version it had (so that ``replace`` notices a change in between); None when absent."""
        for _ in range(ATTEMPTS):
            before = self.patiently(lambda: self.blobs.head(name))
            if before is None:
                return None
            try:
                content = self.read_sealed(name, kind)
            except NotFound:
                continue
            after = self.patiently(lambda: self.blobs.head(name))
            if after is not None and after.version == before.version:
                return content, after
        raise Unavailable(f"{name} changes faster than it can be read.", remedy="Try again.")

    # -- ownership

    def check_owner(self) -> None:
        """NotOwner when another appliance took the repository over."""
        owner = read_owner(self.blobs, self.clock)
        self.keys.verify(layout.OWNER, owner)
        if UUID(owner["owner"]) != self.writer:
            raise NotOwner(
                f"The repository at {self.blobs.url} now belongs to appliance {owner['owner']}.",
                remedy="Take it over in this appliance if the other one no longer uses it.",
            )

    # -- format version

    def upgrade(self) -> None:
        """Make it a version-2 repository if it is not yet. To be called before the first object is written that an older
        program must not ignore. Idempotent; two requests when there is nothing to do. NotOwner."""
        for _ in range(ATTEMPTS):
            before = self.patiently(lambda: self.blobs.head(layout.CONFIG))
            config = read_plain(self.blobs, self.clock, layout.CONFIG, "holdfast-repository")
            self.keys.verify(layout.CONFIG, config)
            if int(config["version"]) >= FORMAT_VERSION or before is None:
                return
            self.check_owner()
            raised = {key: value for key, value in config.items() if key not in ("checksum", "mac")}
            try:
                self.replace(layout.CONFIG, self.keys.signed({**raised, "version": FORMAT_VERSION}), before.version)
            except AlreadyThere:
                continue  # another worker of ours was faster: look again
            return
        raise Unavailable(f"{layout.CONFIG} changes faster than it can be read.", remedy="Try again.")


def patiently(clock: Clock, action: Callable[[], T]) -> T:
    delay = FIRST_DELAY
    for _ in range(ATTEMPTS - 1):
        try:
            return action()
        except Unavailable:
            clock.sleep(delay * (0.5 + _jitter.random() / 2))
            delay *= 2
    return action()


def _same_content(blobs: Blobs, name: str, data: bytes | memoryview) -> Blob:
    there = blobs.head(name)
    if there is not None and there.size == len(data) and blobs.get(name) == data:
        return there
    raise AlreadyThere(f"{name} exists already or has changed.", remedy="Read it again first.", fields={"object": name})


def put_once(
    blobs: Blobs,
    clock: Clock,
    name: str,
    data: bytes | memoryview,
    *,
    lock_until: datetime | None = None,
    storage_class: StorageClass = StorageClass.STANDARD,
) -> Blob:
    def write() -> Blob:
        try:
            return blobs.put(name, data, if_absent=True, lock_until=lock_until, storage_class=storage_class)
        except AlreadyThere:
            return _same_content(blobs, name, data)

    return patiently(clock, write)


def read_plain(blobs: Blobs, clock: Clock, name: str, expected: str) -> dict[str, Any]:
    """A plain JSON object of the repository whose checksum holds. NotFound, Damaged. Authenticity is the caller's to check."""
    raw = patiently(clock, lambda: blobs.get(name))
    damaged = Damaged(f"{name} of the repository is damaged.", remedy="Restore it from a copy.", fields={"object": name})
    try:
        content = json.loads(raw)
    except ValueError as wrong:
        raise damaged from wrong
    if not isinstance(content, dict) or content.get("format") != expected or content.get("checksum") != checksum(content):
        raise damaged
    return content


def read_owner(blobs: Blobs, clock: Clock) -> dict[str, Any]:
    return read_plain(blobs, clock, layout.OWNER, "holdfast-owner")
