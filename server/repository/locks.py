"""Object Lock: everything a point reaches stays locked at least as long as the point (FORMAT.md §11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from server.domain.errors import Cancelled, NotFound
from server.domain.immutability import Lock
from server.ports import Blob
from server.repository import layout
from server.repository.control import Control
from server.repository.crypto import TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.fetch import Fetcher, NodeAt
from server.repository.moved import MAX_HOPS, read_record
from server.repository.opening import slots_in_force
from server.repository.tree import PAGE_BITS, decode_node, reached_packs
from server.repository.vault import Vault
from server.repository.walk import PackIndex

if TYPE_CHECKING:
    from server.repository.manifest import DiskRecord

BATCH = 1000  # objects extended in one call: the store works on many at once
NODE_GROUP = 64
READERS = 4


def reaches(blob: Blob, until: datetime) -> bool:
    """Whether this object (from ``head``) is locked so long already."""
    return blob.locked_until is not None and blob.locked_until >= until


def ensure(vault: Vault, blob: Blob, until: datetime) -> None:
    """Before the first reference to a pack found through the dedup index: lock it as long as the run needs it. NotFound when it
    is gone."""
    if not reaches(blob, until):
        vault.patiently(lambda: vault.blobs.extend_locks([blob.name], until))


def uphold(
    vault: Vault,
    lock: Lock,
    *,
    inherited: Lock | None,
    disks: Iterable[DiskRecord],
    since: datetime,
    control: Control | None = None,
    beat: Callable[[], None] = lambda: None,
) -> list[str]:
    """To be called before the manifest is put. ``disks``: those that share packs with a parent whose lock is ``inherited``;
    none without a parent. ``since``: the store's time when the run began: what is younger was locked when it was written, or by
    ``ensure``. ``beat`` is called between batches. Idempotent.

    Returns the names of packs that are neither there nor moved. Errors: Damaged (a tree cannot be read), Cancelled, the
    storage's.
    """
    extend(vault, [layout.CONFIG, *slots_in_force(vault)], lock.until)
    if inherited is not None and inherited.until >= lock.until:
        return []
    roots = [NodeAt(disk.root, disk.level, 0) for disk in disks if disk.root is not None]
    return secure(vault, roots, lock.until, since=since, control=control, beat=beat) if roots else []


def secure(
    vault: Vault,
    roots: Iterable[NodeAt],
    until: datetime,
    *,
    since: datetime | None = None,
    control: Control | None = None,
    beat: Callable[[], None] = lambda: None,
) -> list[str]:
    """Lock every pack below ``roots``, and what it forwards to, until ``until`` at least; longer locks stay. Memory: thirteen
    bytes per pack of the repository. As ``uphold``; ``since`` None: whatever its age."""
    hooks = control or Control()
    packs = _Reached(vault)
    pool = vault.pool(READERS, "locks")
    try:
        for root in roots:
            packs.walk(root, pool, hooks, beat)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    wanted = packs.names(since)
    while batch := list(islice(wanted, BATCH)):
        _stop_if_asked(hooks)
        beat()
        for name in extend(vault, batch, until):
            packs.stray(name)
    return packs.follow_moves(until)


def extend(vault: Vault, names: Iterable[str], until: datetime) -> list[str]:
    """Returns those that are gone."""
    left = list(names)
    gone: list[str] = []
    while left:
        try:
            vault.patiently(partial(vault.blobs.extend_locks, left, until))
        except NotFound as missing:
            name = missing.fields["object"]
            gone.append(name)
            left = [each for each in left if each != name]
        else:
            break
    return gone


class _Reached:
    """Packs that trees reach, of both types, marked in the list of all."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._fetcher = Fetcher(vault)
        self._listed = {prefix: PackIndex(vault.blobs.list(prefix)) for prefix in (layout.PACKS, layout.TREES)}
        self._strays: set[str] = set()  # names of packs that are reached and not there

    def walk(self, root: NodeAt, pool: Executor, hooks: Control, beat: Callable[[], None]) -> None:
        """Depth first by pages, so that few nodes wait."""
        stack = [[root]]
        while stack:
            _stop_if_asked(hooks)
            beat()
            group = stack.pop()
            parts = [group[at : at + NODE_GROUP] for at in range(0, len(group), NODE_GROUP)]
            for part, plains in zip(parts, pool.map(self._fetcher.plain_nodes, parts), strict=True):
                stack += [below for node, plain in zip(part, plains, strict=True) if (below := self._note(node, plain))]

    def _note(self, node: NodeAt, plain: bytes) -> list[NodeAt]:
        """Mark what this node says; its children that are nodes."""
        self._mark(layout.tree_pack(node.entry.pack[:16]), node.entry.pack)
        if node.level == 0:
            for pack in reached_packs(0, plain):
                self._mark(layout.data_pack(pack[:16]), pack)
            return []
        children = decode_node(self._vault.keys.tree, node.level, node.number, node.entry.id, plain)
        return [NodeAt(entry, node.level - 1, node.number << PAGE_BITS | slot) for slot, entry in children.items()]

    def _mark(self, name: str, pack: bytes) -> None:
        index = self._listed[layout.PACKS if name.startswith(layout.PACKS) else layout.TREES]
        if pack in index:
            index.mark(pack)
        else:
            self._strays.add(name)

    def stray(self, name: str) -> None:
        self._strays.add(name)

    def names(self, since: datetime | None) -> Iterator[str]:
        """Of marked packs not younger than ``since``."""
        for prefix, index in self._listed.items():
            for blob in self._vault.blobs.list(prefix):
                pack_id = layout.pack_id_of(blob.name)
                if pack_id is not None and index.marked(pack_id) and (since is None or blob.modified <= since):
                    yield blob.name

    def follow_moves(self, until: datetime) -> list[str]:
        """Lock the records of reached packs and the packs they forward to. Returns strays that were not moved."""
        done: set[str] = set()
        moved: set[str] = set()
        for _ in range(MAX_HOPS):
            records = {blob.name: pack for blob in self._vault.blobs.list(layout.MOVED) if (pack := self._pack_of(blob.name))}
            fresh = sorted(records.keys() - done)
            if not fresh:
                break
            extend(self._vault, fresh, until)
            moved |= {records[name] for name in fresh}
            done |= set(fresh)
            targets = sorted({target for name in fresh for target in self._targets(name, records[name])})
            self._strays |= set(extend(self._vault, targets, until))
        return sorted(self._strays - moved)

    def _pack_of(self, record: str) -> str | None:
        """The name of the pack it is about, when that is reached."""
        pack_id = layout.moved_pack_of(record)
        if pack_id is None:
            return None
        for prefix, name in ((layout.PACKS, layout.data_pack(pack_id)), (layout.TREES, layout.tree_pack(pack_id))):
            if self._listed[prefix].marked(pack_id) or name in self._strays:
                return name
        return None

    def _targets(self, record: str, pack: str) -> set[str]:
        """Names of packs it forwards to, marked as reached. Nothing when the record was replaced by a shorter trail."""
        data = pack.startswith(layout.PACKS)
        try:
            refs = {move.ref for move in read_record(self._vault, record, TYPE_DATA_PACK if data else TYPE_TREE_PACK)}
        except NotFound:
            return set()
        for ref in refs:
            self._listed[layout.PACKS if data else layout.TREES].mark(ref)
        return {layout.data_pack(ref[:16]) if data else layout.tree_pack(ref[:16]) for ref in refs}


def _stop_if_asked(hooks: Control) -> None:
    if hooks.cancelled():
        raise Cancelled("The backup was cancelled.")
