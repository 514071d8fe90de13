"""What a run stored a moment ago, so that equal blocks of its disks are stored once."""

from __future__ import annotations

import threading

from server.repository.tree import Entry


class RecentIds:
    """The last content ids a run stored, so that equal blocks of its disks are stored once. FIFO, about 16 MiB when full."""

    def __init__(self, limit: int = 65_536) -> None:
        self._limit = limit
        self._entries: dict[bytes, Entry] = {}
        self._lock = threading.Lock()

    def get(self, content_id: bytes) -> Entry | None:
        return self._entries.get(content_id)

    def add(self, entry: Entry) -> None:
        with self._lock:
            self._entries[entry.id] = entry
            if len(self._entries) > self._limit:
                del self._entries[next(iter(self._entries))]

    def copy(self) -> RecentIds:
        """For the next disk: what it adds counts only once it is durable, that is when the disk succeeds."""
        twin = RecentIds(self._limit)
        with self._lock:
            twin._entries = dict(self._entries)
        return twin
