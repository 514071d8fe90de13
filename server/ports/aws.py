"""AWS: the control plane, and the data plane of EBS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from server.domain.workload import Place

BLOCK_SIZE = 512 * 1024  # the EBS direct unit, and ours


class Aws(Protocol):
    """Any AWS API call by its boto3 names (``ec2``, ``describe_instances``). Retries throttling and 5xx within limits."""

    def call(self, place: Place, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Errors: Throttled, Unavailable, AwsAccessDenied, AwsCredentials, AwsNotFound, AwsLimit, AwsRejected."""
        ...

    def pages(self, place: Place, service: str, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Each page of a paginated operation."""
        ...


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block to read. ``token`` "" means the block holds nothing any more (reads as zeros)."""

    index: int
    token: str


class Blocks(Protocol):
    """EBS direct. Blocks are BLOCK_SIZE bytes; content is verified (length and SHA-256) before it is returned."""

    def allocated(self, place: Place, snapshot_id: str, *, start_index: int = 0) -> Iterator[BlockRef]: ...

    def changed(self, place: Place, base_id: str, snapshot_id: str, *, start_index: int = 0) -> Iterator[BlockRef]:
        """Blocks that differ between two snapshots of one volume, ascending. Errors: AwsRejected when not comparable."""
        ...

    def read(self, place: Place, snapshot_id: str, block: BlockRef) -> bytes: ...

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
        """A new pending snapshot's id; the same ``token`` gives the same snapshot. ``encrypted``: under the default EBS key
        of the account and Region, whose policy every principal of the account may use through EBS."""
        ...

    def write(self, place: Place, snapshot_id: str, index: int, data: bytes) -> None: ...

    def complete(self, place: Place, snapshot_id: str, *, written: int) -> None:
        """Seal the snapshot after ``written`` distinct blocks. Idempotent. It is usable when EC2 says ``completed``."""
        ...
