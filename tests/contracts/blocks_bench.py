"""Benches for the ``Blocks`` port: something to write to, snapshot and read, in memory and on the demo account."""

from __future__ import annotations

from typing import Protocol
from uuid import uuid4

from server.adapters.blocks_memory import MemoryBlocks
from server.adapters.ebs import EbsBlocks
from server.ports import BLOCK_SIZE, Blocks
from tests.demo_account import HOME, REGION, Site
from tests.waiting import until


class Bench(Protocol):
    """A volume that a test writes to and snapshots, and the port that reads the snapshots."""

    blocks: Blocks

    def write(self, index: int, fill: int) -> None: ...

    def snapshot(self) -> str: ...

    def other_volume(self) -> Bench: ...

    def settle(self, snapshot_id: str) -> None:
        """Wait until a completed upload can be read."""
        ...


class MemoryBench:
    def __init__(self, blocks: MemoryBlocks, name: str = "vol-1") -> None:
        self.blocks: Blocks = blocks
        self._memory = blocks
        self._name = name
        self._content: dict[int, bytes] = {}

    def write(self, index: int, fill: int) -> None:
        self._content[index] = filled(fill)

    def snapshot(self) -> str:
        return self._memory.snapshot(self._content, size_gib=1, volume=self._name)

    def other_volume(self) -> MemoryBench:
        return MemoryBench(self._memory, "vol-2")

    def settle(self, snapshot_id: str) -> None:
        assert snapshot_id in self._memory


class DemoBench:
    def __init__(self, blocks: EbsBlocks, region: Site) -> None:
        self.blocks: Blocks = blocks
        self._client = blocks
        self._region = region
        self.volume = str(region.call("create_volume", AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"])

    def write(self, index: int, fill: int) -> None:
        self._region.account.write(self.volume, index, fill)

    def snapshot(self) -> str:
        snapshot = str(self._region.call("create_snapshot", VolumeId=self.volume)["SnapshotId"])
        self.settle(snapshot)
        return snapshot

    def other_volume(self) -> DemoBench:
        return DemoBench(self._client, self._region)

    def settle(self, snapshot_id: str) -> None:
        until(
            lambda: self._region.call("describe_snapshots", SnapshotIds=[snapshot_id])["Snapshots"][0]["State"] == "completed"
        )


def filled(fill: int) -> bytes:
    return bytes([fill]) * BLOCK_SIZE


def upload(bench: Bench, content: dict[int, int], token: str = "") -> str:
    snapshot = bench.blocks.start(
        HOME, size_gib=1, token=token or uuid4().hex, description="restore", tags={"holdfast:task": "t"}
    )
    for index, fill in content.items():
        bench.blocks.write(HOME, snapshot, index, filled(fill))
    return snapshot
