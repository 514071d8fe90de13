"""Reading archived points back: which packs their disks need, asking the store for readable copies, and how far it is.

Trees, manifests and everything else but data packs are kept readable, so all of this works on a point nobody can read yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from server.domain.errors import Cancelled, Damaged, NotFound
from server.domain.repository import RetrievalMode, StorageClass
from server.ports import Blob
from server.repository import layout
from server.repository.crypto import CHECK_REMEDY, TYPE_DATA_PACK
from server.repository.fetch import Fetcher, NodeAt
from server.repository.manifest import DiskRecord, Manifest
from server.repository.moved import read_moves
from server.repository.repository import Repository
from server.repository.tree import reached_packs
from server.repository.vault import Vault
from server.repository.walk import LEAF_GROUP, leaf_refs

AT_ONCE = 16  # requests under way; S3 takes up to 1,000 retrievals a second
GROUP = 256  # packs between two looks at the cancel flag

Halted = Callable[[], bool]


def needed(repo: Repository, manifest: Manifest, disk_ids: Collection[str] = ()) -> list[str]:
    """Names of the data packs these disks (none: all) are in, ascending; also those that hold other copies of their blocks.
    Reads trees only; memory grows with the number of packs. Errors: NotFound (no such disk), Damaged (a tree), the storage's.
    """
    unknown = set(disk_ids) - {disk.disk_id for disk in manifest.disks}
    if unknown:
        raise NotFound(f"Point {manifest.id} has no disk {', '.join(sorted(unknown))}.")
    fetcher = Fetcher(repo.vault)
    packs: set[bytes] = set()
    for disk in manifest.disks:
        if not disk_ids or disk.disk_id in disk_ids:
            _collect(fetcher, disk, packs)
    _follow(repo.vault, packs)
    return sorted(layout.data_pack(pack) for pack in packs)


def _collect(fetcher: Fetcher, disk: DiskRecord, packs: set[bytes]) -> None:
    if disk.root is None:
        return
    leaves = leaf_refs(fetcher, NodeAt(disk.root, disk.level, 0))
    while group := list(islice(leaves, LEAF_GROUP)):
        for plain in fetcher.plain_nodes(group):
            packs.update(ref[:16] for ref in reached_packs(0, plain))


def _follow(vault: Vault, packs: set[bytes]) -> None:
    """Add the packs that items of ``packs`` were moved to, by healing; take away those that are gone since."""
    recorded = {layout.moved_pack_of(blob.name) for blob in vault.blobs.list(layout.MOVED)}
    unseen = packs & recorded
    while unseen:
        pack = unseen.pop()
        targets = {move.ref[:16] for record in read_moves(vault, TYPE_DATA_PACK, pack) for move in record}
        unseen |= targets & recorded - packs
        packs |= targets
        if _blob(vault, layout.data_pack(pack)) is None:
            packs.discard(pack)


@dataclass(frozen=True, slots=True)
class Survey:
    """Of packs a point needs: all of them, and those in an archive class nobody has asked for. ``ongoing`` are being
    retrieved; ``until``: when the first of the readable copies ends."""

    packs: int = 0
    size_bytes: int = 0
    asleep: int = 0
    asleep_bytes: int = 0
    ongoing: int = 0
    until: datetime | None = None


def survey(repo: Repository, names: Sequence[str], *, halted: Halted = lambda: False) -> Survey:
    """One request per pack. Errors: Damaged (a pack is missing), Cancelled, the storage's."""
    packs = size = asleep = asleep_bytes = ongoing = 0
    until: datetime | None = None
    for blob in _heads(repo, names, halted):
        packs += 1
        size += blob.size
        if blob.storage_class is StorageClass.STANDARD:
            continue
        copy = blob.availability
        if copy is None:
            asleep += 1
            asleep_bytes += blob.size
        elif copy.ongoing:
            ongoing += 1
        else:
            until = _earlier(until, copy.until)
    return Survey(packs, size, asleep, asleep_bytes, ongoing, until)


def ask(
    repo: Repository,
    names: Sequence[str],
    *,
    mode: RetrievalMode,
    days: int,
    least: datetime,
    halted: Halted = lambda: False,
) -> int:
    """Ask for a copy, kept ``days``, of every archived pack that has none lasting until ``least``; how many were asked for.

    Idempotent: what is under way goes on. Errors: InvalidInput (a mode the class does not have), and those of ``survey``.
    """
    asked = 0
    for group in _groups(names):
        wanted = [blob.name for blob in _heads(repo, group, halted) if _lacking(blob, least)]
        with repo.vault.pool(AT_ONCE, "retrieve") as pool:
            for _ in pool.map(lambda name: _retrieve(repo, name, mode, days), wanted):
                asked += 1
    return asked


def _retrieve(repo: Repository, name: str, mode: RetrievalMode, days: int) -> None:
    repo.vault.patiently(lambda: repo.vault.blobs.retrieve(name, mode=mode, days=days))


def _lacking(blob: Blob, least: datetime) -> bool:
    if blob.storage_class is StorageClass.STANDARD:
        return False
    copy = blob.availability
    return copy is None or (not copy.ongoing and copy.until is not None and copy.until < least)


@dataclass(frozen=True, slots=True)
class Arrived:
    """``packs``: how many of the names, from the first on, are readable; ``until``: when the first of their copies ends
    (None: never, they are not archived). ``lost``: the next one's copy ended or was never asked for."""

    packs: int
    until: datetime | None
    lost: bool = False


def arrived(
    repo: Repository,
    names: Sequence[str],
    *,
    start: int = 0,
    until: datetime | None = None,
    halted: Halted = lambda: False,
) -> Arrived:
    """How far retrieval is: the packs before ``start`` are known to be readable, until ``until``. Stops looking soon behind the
    first that is not. Errors: as ``survey``."""
    at = start
    for group in _groups(names[start:]):
        for blob in _heads(repo, group, halted):
            copy = blob.availability
            if blob.storage_class is not StorageClass.STANDARD:
                if copy is None or copy.ongoing:
                    return Arrived(at, until, lost=copy is None)
                until = _earlier(until, copy.until)
            at += 1
    return Arrived(at, until)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _heads(repo: Repository, names: Sequence[str], halted: Halted) -> Iterator[Blob]:
    with repo.vault.pool(AT_ONCE, "head") as pool:
        for group in _groups(names):
            if halted():
                raise Cancelled("The retrieval was stopped.")
            yield from pool.map(lambda name: _head(repo, name), group)


def _groups(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[at : at + GROUP] for at in range(0, len(names), GROUP))


def _blob(vault: Vault, name: str) -> Blob | None:
    return vault.patiently(lambda: vault.blobs.head(name))


def _head(repo: Repository, name: str) -> Blob:
    blob = _blob(repo.vault, name)
    if blob is None:
        raise Damaged(f"{name} is missing.", remedy=CHECK_REMEDY, fields={"object": name})
    return blob
