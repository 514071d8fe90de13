"""Snapshots as EBS direct sees them: looked up by who asks, started by upload, completed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.utils import random_snapshot_id

from server.demo import kms
from server.demo.blockstore import BlockStore
from server.demo.ec2.copies import visible_snapshot
from server.demo.ec2.lifecycle import UPLOAD_VOLUME_ID as UPLOAD_VOLUME_ID
from server.demo.ec2.lifecycle import TimedSnapshot, VolumeFacts

UPLOADS_MAX = 100  # pending snapshots per account and Region


class TooManyUploads(Exception):
    """AWS allows 100 pending uploads per account and Region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    size_gib: int
    description: str
    parent_id: str | None
    tags: dict[str, str]
    encrypted: bool
    kms_key_arn: str | None
    timeout_minutes: int


def snapshot(account: str, region: str, snapshot_id: str) -> Any | None:
    """The snapshot, if the account may see it."""
    return visible_snapshot(account, region, snapshot_id)


def may_read(snapshot: Any, caller_arn: str) -> bool:
    """Whether the caller may decrypt blocks of an encrypted snapshot."""
    key = kms.find(snapshot.owner_id, snapshot.ec2_backend.region_name, snapshot.kms_key_id or "")
    context = {"kms:ViaService": f"ec2.{snapshot.ec2_backend.region_name}.amazonaws.com"}
    return key is not None and key.key_state == "Enabled" and kms.permits(key, caller_arn, "kms:Decrypt", context)


def start(account: str, region: str, upload: NewUpload, blocks: BlockStore) -> TimedSnapshot:
    """A pending snapshot to put blocks into. Errors: TooManyUploads."""
    backend: Any = ec2_backends[account][region]
    if sum(1 for known in backend.snapshots.values() if getattr(known, "uploading", False)) >= UPLOADS_MAX:
        raise TooManyUploads
    volume = VolumeFacts(UPLOAD_VOLUME_ID, upload.size_gib, upload.encrypted, upload.kms_key_arn)
    made = TimedSnapshot(
        backend, random_snapshot_id(), volume, upload.description, encrypted=upload.encrypted, kms_key_id=upload.kms_key_arn
    )
    made.begin_upload(upload.timeout_minutes)
    backend.snapshots[made.id] = made
    backend.note_snapshot(made.id)
    made.add_tags(upload.tags)
    blocks.create(made.id, upload.size_gib, source=upload.parent_id)
    made.measure(blocks)
    return made
