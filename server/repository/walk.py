"""Walking trees: leaves of a disk in order, and what many points reach, in little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice

from server.ports import Blob
from server.repository import layout
from server.repository.fetch import Fetcher, NodeAt
from server.repository.tree import PAGE_BITS, Entry, Slots

LEAF_GROUP = 16  # leaves asked for at once: often neighbours in one tree pack, so one request
LEAF_AHEAD = 2  # groups being fetched while another is used


def leaf_refs(fetcher: Fetcher, at: NodeAt, first_leaf: int = 0) -> Iterator[NodeAt]:
    """Leaves below ``at`` in ascending order, from number ``first_leaf`` on. Reads pages as it comes to them."""
    if at.level == 0:
        if at.number >= first_leaf:
            yield at
        return
    below = at.level - 1
    span_bits = PAGE_BITS * below  # leaves under a child, as a power of two
    for slot, entry in fetcher.node(at).items():
        number = at.number << PAGE_BITS | slot
        if (number + 1) << span_bits > first_leaf:
            yield from leaf_refs(fetcher, NodeAt(entry, below, number), first_leaf)


def leaves(
    fetcher: Fetcher, root: Entry | None, level: int, pool: Executor, *, first_leaf: int = 0
) -> Iterator[tuple[int, Slots]]:
    """Number and entries of each leaf, ascending, fetched ahead."""
    if root is None:
        return
    refs = leaf_refs(fetcher, NodeAt(root, level, 0), first_leaf)
    ahead: deque[tuple[list[NodeAt], Future[list[Slots]]]] = deque()
    more = True
    while more or ahead:
        while more and len(ahead) < LEAF_AHEAD:
            group = list(islice(refs, LEAF_GROUP))
            more = bool(group)
            if group:
                ahead.append((group, pool.submit(fetcher.nodes, group)))
        if ahead:
            group, future = ahead.popleft()
            for at, slots in zip(group, future.result(), strict=True):
                yield at.number, slots


class Visited:
    """Items seen, by pack and offset: four bytes each."""

    def __init__(self) -> None:
        self._offsets: dict[bytes, array[int]] = {}

    def add(self, entry: Entry) -> bool:
        """True when it was not seen before."""
        offsets = self._offsets.get(entry.pack)
        if offsets is None:
            offsets = self._offsets[entry.pack] = array("I")
        at = bisect_left(offsets, entry.offset)
        if at < len(offsets) and offsets[at] == entry.offset:
            return False
        offsets.insert(at, entry.offset)
        return True


class PackIndex:
    """Packs as listed, with a mark each: thirteen bytes per pack. Two packs whose ids begin with the same 64 bits are taken
    for one, which for collection only means keeping one more. ``id_of`` finds the pack's id in a name; names that give the same
    one follow each other and count once."""

    def __init__(self, blobs: Iterable[Blob], id_of: Callable[[str], bytes | None] = layout.pack_id_of) -> None:
        self._ids = array("Q")
        self._sizes = array("I")
        for blob in blobs:
            pack_id = id_of(blob.name)
            if pack_id is None:
                continue
            key = int.from_bytes(pack_id[:8], "big")
            if not self._ids or self._ids[-1] != key:
                self._ids.append(key)
                self._sizes.append(blob.size)
        self._marks = bytearray(len(self._ids))

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, pack: bytes) -> bool:
        return self._find(pack) is not None

    def mark(self, pack: bytes) -> None:
        at = self._find(pack)
        if at is not None:
            self._marks[at] = 1

    def marked(self, pack: bytes) -> bool:
        at = self._find(pack)
        return at is not None and self._marks[at] == 1

    def size(self, pack: bytes) -> int | None:
        """None when there is no such pack."""
        at = self._find(pack)
        return None if at is None else self._sizes[at]

    def marked_count(self) -> int:
        return self._marks.count(1)

    def _find(self, pack: bytes) -> int | None:
        key = int.from_bytes(pack[:8], "big")
        at = bisect_left(self._ids, key)
        return at if at < len(self._ids) and self._ids[at] == key else None
