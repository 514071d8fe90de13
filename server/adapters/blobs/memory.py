"""Objects in memory: for tests and trials."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime

from server.adapters.blobs.names import checked
from server.domain.errors import AlreadyThere, NotFound
from server.ports import Blob, Clock


class MemoryBlobs:
    """``clock`` plays the store's own clock. Thread-safe."""

    def __init__(self, clock: Clock, *, name: str = "memory") -> None:
        self._clock = clock
        self._name = name
        self._objects: dict[str, tuple[Blob, bytes]] = {}
        self._lock = threading.Lock()
        self._writes = 0

    @property
    def url(self) -> str:
        return f"memory://{self._name}"

    def put(self, name: str, data: bytes | memoryview, *, if_absent: bool = False, if_version: str | None = None) -> Blob:
        content = bytes(data)
        with self._lock:
            there = self._objects.get(checked(name))
            if if_absent and there is not None:
                raise AlreadyThere(f"{name} exists already.", fields={"object": name})
            if if_version is not None and (there is None or there[0].version != if_version):
                raise AlreadyThere(f"{name} has changed.", fields={"object": name})
            self._writes += 1
            blob = Blob(name, len(content), str(self._writes), self._clock.now())
            self._objects[name] = (blob, content)
        return blob

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        with self._lock:
            there = self._objects.get(checked(name))
        if there is None:
            raise NotFound(f"{self.url} has no object {name}.")
        return there[1][start : None if length is None else start + length]

    def head(self, name: str) -> Blob | None:
        with self._lock:
            there = self._objects.get(checked(name))
        return there[0] if there else None

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        with self._lock:
            names = sorted(name for name in self._objects if name.startswith(prefix) and name > after)
        for name in names:
            blob = self.head(name)
            if blob is not None:
                yield blob

    def delete(self, names: Sequence[str]) -> None:
        with self._lock:
            for name in names:
                self._objects.pop(checked(name), None)

    def now(self) -> datetime:
        return self._clock.now()
