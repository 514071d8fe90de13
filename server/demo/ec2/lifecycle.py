"""Things that take time in AWS: volumes, snapshots, attachments and instances whose state follows the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from moto.ec2.models.elastic_block_store import Snapshot, Volume, VolumeAttachment
from moto.ec2.models.instances import InstanceState

from server.demo.blockstore import BLOCK_SIZE, BlockStore

UPLOAD_VOLUME_ID = "vol-ffffffff"  # what AWS shows for snapshots made through EBS direct
GP3_THROUGHPUT_DEFAULT = 125
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
ON_THE_WAY = {"running": "pending", "stopped": "stopping", "terminated": "shutting-down"}


@dataclass(frozen=True, slots=True)
class Pace:
    """How long transitions take, in seconds."""

    snapshot: float = 1.0
    copy: float = 1.5
    volume: float = 0.4
    attachment: float = 0.3
    instance: float = 1.0
    command: float = 0.5  # in a guest, through Systems Manager
    retrieval: float = 10.0  # of an archived object by standard retrieval

    @classmethod
    def scaled(cls, factor: float) -> Pace:
        base = cls()
        return cls(*(getattr(base, field.name) * factor for field in fields(cls)))


class TimedVolume(Volume):
    """``creating`` for a while, then ``available``; ``in-use`` while attached or detaching."""

    def __init__(self, ec2_backend: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(ec2_backend, *args, **kwargs)
        self.ready_at = time.time() + ec2_backend.pace.volume
        self.leaving: TimedAttachment | None = None
        if self.volume_type == "gp3" and self.throughput is None:
            self.throughput = GP3_THROUGHPUT_DEFAULT
        if self.volume_type == "gp2" and self.iops is None:
            self.iops = min(16_000, max(100, 3 * int(self.size)))

    @property
    def status(self) -> str:
        if self.attachments:
            return "in-use"
        return "creating" if time.time() < self.ready_at else "available"

    @property
    def attachments(self) -> list[VolumeAttachment]:
        if self.attachment:
            return [self.attachment]
        if self.leaving is not None and time.time() < self.leaving.settled_at:
            return [self.leaving]
        return []


class TimedAttachment(VolumeAttachment):
    """``attaching`` → ``attached``; ``detaching`` until the volume is free."""

    def __init__(self, volume: Volume, instance: Any, device: str, status: str) -> None:
        self.settled_at = time.time() + volume.ec2_backend.pace.attachment
        super().__init__(volume, instance, device, status)

    @property
    def status(self) -> str:
        if time.time() >= self.settled_at:
            return self._status
        return {"attached": "attaching", "detached": "detaching"}.get(self._status, self._status)

    @status.setter
    def status(self, value: str) -> None:
        self._status = value
        if value == "detached":
            self.settled_at = time.time() + self.volume.ec2_backend.pace.attachment

    @property
    def state(self) -> str:
        return self.status

    @property
    def delete_on_termination(self) -> bool:
        block = self.instance.block_device_mapping.get(self.device)
        return bool(block is not None and block.delete_on_termination)


class TimedSnapshot(Snapshot):
    """``pending`` with growing progress, then ``completed``. One made by upload stays pending until it is completed.

    ``failure``: what ends it in the state ``error`` instead. ``full_snapshot_size_in_bytes``: of all blocks it holds.
    """

    failure: str | None = None
    full_snapshot_size_in_bytes: int | None = None

    def __init__(self, ec2_backend: Any, snapshot_id: str, volume: Any, *args: Any, **kwargs: Any) -> None:
        self.begun_at = time.time()
        self.ready_at: float | None = self.begun_at + ec2_backend.pace.snapshot
        self.uploading = False
        self.upload_timeout = 60 * 60.0
        self.size = int(volume.size)
        facts = VolumeFacts(volume.id, self.size, bool(volume.encrypted), volume.kms_key_id)
        super().__init__(ec2_backend, snapshot_id, facts, *args, **kwargs)
        if self.kms_key_id is None:
            self.kms_key_id = facts.kms_key_id

    @property
    def status(self) -> str:
        if self.uploading:
            return "error" if time.time() > self.begun_at + self.upload_timeout else "pending"
        if self.ready_at is not None and time.time() < self.ready_at:
            return "pending"
        return "error" if self.failure else "completed"

    @status.setter
    def status(self, value: str) -> None:
        """moto sets "completed" at birth; the clock decides instead."""

    @property
    def state_message(self) -> str | None:
        return self.failure if self.status == "error" else None

    @property
    def completion_time(self) -> datetime | None:
        """By the account's clock; the wait itself is real time."""
        waited = 0.0 if self.ready_at is None else max(0.0, self.ready_at - self.begun_at)
        return self.start_time + timedelta(seconds=waited) if self.status == "completed" else None

    def measure(self, blocks: BlockStore) -> None:
        """Note how much it holds, once its blocks are known."""
        self.full_snapshot_size_in_bytes = blocks.count(self.id) * BLOCK_SIZE

    @property
    def volume_size(self) -> int:
        return self.size

    @property
    def progress(self) -> str:
        if self.status != "pending":
            return "100%" if self.status == "completed" else ""
        if self.uploading or self.ready_at is None or self.ready_at <= self.begun_at:
            return "0%"
        return f"{min(99, int(100 * (time.time() - self.begun_at) / (self.ready_at - self.begun_at)))}%"

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        if filter_name == "volume-size":
            return str(self.size)
        return super().get_filter_value(filter_name, method_name)

    def begin_upload(self, timeout_minutes: int) -> None:
        self.uploading = True
        self.upload_timeout = timeout_minutes * 60.0

    def finish_upload(self, blocks: BlockStore) -> None:
        self.uploading = False
        self.ec2_backend.note_snapshot(self.id)
        self.measure(blocks)
        self.begun_at = time.time()
        self.ready_at = self.begun_at + self.ec2_backend.pace.snapshot


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What a snapshot remembers of its volume, which may be gone, or (``UPLOAD_VOLUME_ID``) never was."""

    id: str
    size: int
    encrypted: bool
    kms_key_id: str | None


class TimedState(InstanceState):
    """An instance state that passes through its transitional name (``pending``, ``stopping`` ...) before it is reached."""

    seconds = 1.0  # set once by the cloud before any instance exists

    def __init__(self, name: str = "pending", code: int = 0) -> None:
        self._goal = name
        self._settled_at = time.time() + self.seconds
        del code  # follows from the name

    @property
    def name(self) -> str:
        return self._goal if time.time() >= self._settled_at else ON_THE_WAY.get(self._goal, self._goal)

    @name.setter
    def name(self, value: str) -> None:
        if value != self._goal:
            self._goal = value
            self._settled_at = time.time() + self.seconds

    @property
    def code(self) -> int:
        return CODES[self.name]

    @code.setter
    def code(self, value: int) -> None:
        """moto sets the code after the name; it follows from the name."""

    def settle(self) -> None:
        """Be there at once."""
        self._settled_at = 0.0

    def __copy__(self) -> InstanceState:
        return InstanceState(self.name, self.code)
