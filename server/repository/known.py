"""What is stored already besides the parent's tree: blocks of this run, and through the deduplication index of any other."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime

from server.domain.errors import NotFound
from server.repository import layout, locks
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.damage import Damage
from server.repository.dedup import DedupIndex
from server.repository.recent import RecentIds
from server.repository.tree import Entry
from server.repository.vault import Vault
from server.repository.walk import PackIndex

REMEMBERED_PACKS = 8192  # that were looked for: about 1 MiB


class KnownBlocks:
    """Thread-safe. ``doomed`` packs are about to be deleted, ``damage`` is what cannot be read: neither is referred to. Packs
    of other runs are locked until ``lock_until`` before they are."""

    def __init__(
        self,
        vault: Vault,
        *,
        recent: RecentIds,
        index: DedupIndex | None,
        doomed: PackIndex,
        damage: Damage,
        lock_until: datetime | None,
    ) -> None:
        self._vault = vault
        self._recent = recent
        self._index = index
        self._doomed = doomed
        self._damage = damage
        self._lock_until = lock_until
        self._there: OrderedDict[bytes, bool] = OrderedDict()
        self._upgraded = False
        self._lock = threading.Lock()

    def find(self, content_id: bytes) -> Entry | None:
        recent = self._recent.get(content_id)
        if recent is not None or self._index is None:
            return recent
        entry = self._index.get(content_id)
        if entry is None or entry.pack in self._doomed or self._damage.hurts(TYPE_DATA_PACK, entry):
            return None
        return entry if self._usable(entry.pack) else None

    def add(self, entry: Entry) -> None:
        """Stored by this run a moment ago."""
        self._recent.add(entry)

    def _usable(self, pack: bytes) -> bool:
        """The index may name packs long gone: the store is asked once per pack and run."""
        with self._lock:
            known = self._there.get(pack)
        if known is None:
            known = self._claim(layout.data_pack(pack[:16]))
            with self._lock:
                self._there[pack] = known
                if len(self._there) > REMEMBERED_PACKS:
                    self._there.popitem(last=False)
        return known

    def _claim(self, name: str) -> bool:
        """Before the first reference to a pack another run wrote. False when it is gone."""
        blob = self._vault.patiently(lambda: self._vault.blobs.head(name))
        if blob is None:
            return False
        if self._lock_until is not None:
            try:
                locks.ensure(self._vault, blob, self._lock_until)
            except NotFound:
                return False
        if not self._upgraded:
            self._vault.upgrade()  # collectors of version 1 do not wait for runs that refer to any pack
            self._upgraded = True
        return True
