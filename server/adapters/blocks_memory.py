"""EBS direct in memory: snapshots as block maps. Passes the same contract tests as the real client; for tests and dry runs.

blocks = MemoryBlocks()
base = blocks.snapshot({0: b"..."}, size_gib=1, volume="vol-1")
refs = list(blocks.allocated(place, base))
"""

# ruff: noqa: ARG002 - the port names a place and a description; memory needs neither

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from server.domain.errors import AwsNotFound, AwsRejected
from server.domain.workload import Place
from server.ports import BLOCK_SIZE, BlockRef

BLOCKS_PER_GIB = 2**30 // BLOCK_SIZE


@dataclass(slots=True)
class _Snapshot:
    size_gib: int
    volume: str  # lineage: only snapshots of one volume can be compared
    pending: bool = False
    encrypted: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    blocks: dict[int, bytes] = field(default_factory=dict)


class MemoryBlocks:
    """``calls`` counts operations by name (``read``, ``write``, ``list``, ``changed``, ``start``, ``complete``).

    ``before`` is called with the operation's name ahead of each one and may raise, to rehearse failures.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _: None
        self._snapshots: dict[str, _Snapshot] = {}
        self._started: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    # ---- what a test does to the account

    def snapshot(self, content: Mapping[int, bytes], *, size_gib: int, volume: str, snapshot_id: str | None = None) -> str:
        """A completed snapshot of ``volume`` with this content. Blocks are padded with zeros to BLOCK_SIZE."""
        blocks = {index: _padded(data) for index, data in sorted(content.items())}
        with self._lock:
            name = snapshot_id or self._name()
            self._snapshots[name] = _Snapshot(size_gib=size_gib, volume=volume, blocks=blocks)
        return name

    def content(self, snapshot_id: str) -> dict[int, bytes]:
        """What the snapshot holds, index → block."""
        return dict(self._get(snapshot_id, "list").blocks)

    def tags(self, snapshot_id: str) -> dict[str, str]:
        return dict(self._get(snapshot_id, "list").tags)

    def remove(self, snapshot_id: str) -> None:
        with self._lock:
            self._snapshots.pop(snapshot_id, None)

    def __contains__(self, snapshot_id: str) -> bool:
        return snapshot_id in self._snapshots

    # ---- the port

    def allocated(self, place: Place, snapshot_id: str, *, start_index: int = 0) -> Iterator[BlockRef]:
        self._enter("list")
        blocks = self._readable(snapshot_id, "ListSnapshotBlocks").blocks
        for index in sorted(i for i in blocks if i >= start_index):
            yield BlockRef(index, _token(index, blocks[index]))

    def changed(self, place: Place, base_id: str, snapshot_id: str, *, start_index: int = 0) -> Iterator[BlockRef]:
        self._enter("changed")
        base = self._readable(base_id, "ListChangedBlocks")
        now = self._readable(snapshot_id, "ListChangedBlocks")
        if base.volume != now.volume:
            raise AwsRejected(
                f"Snapshots {base_id} and {snapshot_id} are not of one volume, so AWS cannot compare them.",
                operation="ebs:ListChangedBlocks",
                aws_code="UNRELATED_SNAPSHOTS",
                remedy="Back the disk up in full.",
            )
        for index in sorted(i for i in base.blocks.keys() | now.blocks.keys() if i >= start_index):
            data = now.blocks.get(index)
            if data != base.blocks.get(index):
                yield BlockRef(index, "" if data is None else _token(index, data))

    def read(self, place: Place, snapshot_id: str, block: BlockRef) -> bytes:
        self._enter("read")
        if not block.token:
            return bytes(BLOCK_SIZE)
        data = self._readable(snapshot_id, "GetSnapshotBlock").blocks.get(block.index)
        if data is None or _token(block.index, data) != block.token:
            raise AwsRejected(
                f"Block {block.index} of {snapshot_id} is not readable with this token.",
                operation="ebs:GetSnapshotBlock",
                aws_code="INVALID_BLOCK_TOKEN",
            )
        return data

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
        self._enter("start")
        with self._lock:
            if token not in self._started:
                name = self._started[token] = self._name()
                self._snapshots[name] = _Snapshot(
                    size_gib=size_gib, volume=name, pending=True, encrypted=encrypted, tags=dict(tags)
                )
            return self._started[token]

    def write(self, place: Place, snapshot_id: str, index: int, data: bytes) -> None:
        self._enter("write")
        if len(data) != BLOCK_SIZE:
            raise ValueError(f"a block has {BLOCK_SIZE} bytes, not {len(data)}")
        snapshot = self._get(snapshot_id, "PutSnapshotBlock")
        if not snapshot.pending:
            raise _refused(f"Snapshot {snapshot_id} is sealed.", "PutSnapshotBlock")
        if not 0 <= index < snapshot.size_gib * BLOCKS_PER_GIB:
            raise _refused(f"Block {index} is outside of {snapshot_id}.", "PutSnapshotBlock")
        with self._lock:
            snapshot.blocks[index] = bytes(data)

    def complete(self, place: Place, snapshot_id: str, *, written: int) -> None:
        self._enter("complete")
        snapshot = self._get(snapshot_id, "CompleteSnapshot")
        if snapshot.pending and written != len(snapshot.blocks):
            raise _refused(f"{snapshot_id} holds {len(snapshot.blocks)} blocks, not {written}.", "CompleteSnapshot")
        snapshot.pending = False

    # ---- parts

    def _enter(self, operation: str) -> None:
        with self._lock:
            self.calls[operation] += 1
        self.before(operation)

    def _name(self) -> str:
        return f"snap-{next(self._numbers):017x}"

    def _get(self, snapshot_id: str, operation: str) -> _Snapshot:
        try:
            return self._snapshots[snapshot_id]
        except KeyError:
            raise AwsNotFound(
                f"Snapshot {snapshot_id} does not exist.", operation=f"ebs:{operation}", aws_code="ResourceNotFoundException"
            ) from None

    def _readable(self, snapshot_id: str, operation: str) -> _Snapshot:
        snapshot = self._get(snapshot_id, operation)
        if snapshot.pending:
            raise _refused(f"Snapshot {snapshot_id} is not completed yet.", operation)
        return snapshot


def _refused(message: str, operation: str) -> AwsRejected:
    return AwsRejected(message, operation=f"ebs:{operation}", aws_code="ValidationException")


def _padded(data: bytes) -> bytes:
    if len(data) > BLOCK_SIZE:
        raise ValueError(f"a block has at most {BLOCK_SIZE} bytes, this one {len(data)}")
    return data + bytes(BLOCK_SIZE - len(data))


def _token(index: int, data: bytes) -> str:
    return f"{index}.{hashlib.sha256(data).hexdigest()[:16]}"
