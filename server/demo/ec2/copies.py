"""Copies of snapshots, within an account or into another: who may make them, with which key, and how they fail later.

As in AWS, a copy that lacks a key is accepted first and ends in the state ``error``; only what is wrong with the request itself
is refused at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.utils import random_snapshot_id
from moto.kms.models import Key

from server.demo import kms
from server.demo.ec2.lifecycle import UPLOAD_VOLUME_ID, TimedSnapshot, VolumeFacts

COPIES_MAX: Final = 20  # under way at a time into one Region of one account
NO_KEY: Final = "Given key ID is not accessible"
SOURCE_NEEDS: Final = ("kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:ReEncryptFrom")
TARGET_NEEDS: Final = ("kms:DescribeKey", "kms:CreateGrant", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptTo")


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRequest:
    """``caller``: the ARN of who copies. ``kms_key``: an id, an alias or an ARN, as sent."""

    source_id: str
    source_region: str
    caller: str
    description: str
    encrypted: bool
    kms_key: str | None


class CopiedSnapshot(TimedSnapshot):
    """``pending``, then ``completed``, or ``error`` with a message when a key could not be used."""

    def __init__(self, backend: Any, source: Any, description: str, kms_key_arn: str | None, failure: str | None) -> None:
        volume = VolumeFacts(UPLOAD_VOLUME_ID, source.volume_size, kms_key_arn is not None, kms_key_arn)
        super().__init__(
            backend, random_snapshot_id(), volume, description, encrypted=kms_key_arn is not None, kms_key_id=kms_key_arn
        )
        self.failure = failure
        self.ready_at = self.begun_at + backend.pace.copy


def copy(backend: Any, request: CopyRequest) -> CopiedSnapshot:
    """A copy into ``backend``'s account and Region. Errors: EC2ClientError."""
    source = visible_snapshot(backend.account_id, request.source_region, request.source_id)
    if source is None:
        raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{request.source_id}' does not exist.")
    if source.status != "completed":
        raise EC2ClientError("IncorrectState", f"Snapshot is in invalid state - {source.status}")
    if request.kms_key and not (request.encrypted or source.encrypted):
        raise EC2ClientError(
            "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set to true."
        )
    under_way = sum(
        1 for known in backend.snapshots.values() if isinstance(known, CopiedSnapshot) and known.status == "pending"
    )
    if under_way >= COPIES_MAX:
        raise EC2ClientError(
            "ResourceLimitExceeded",
            f"Too many snapshot copies in progress. The limit is {COPIES_MAX} for this destination region.",
        )
    key_arn, failure = _key_of_copy(backend, request, source)
    description = request.description or f"[Copied {request.source_id} from {request.source_region}]"
    made = CopiedSnapshot(backend, source, description, key_arn, failure)
    backend.snapshots[made.id] = made
    backend.note_snapshot(made.id)
    backend.blocks.create(made.id, made.size, source=None if failure else source.id)
    made.measure(backend.blocks)
    return made


def _key_of_copy(backend: Any, request: CopyRequest, source: Any) -> tuple[str | None, str | None]:
    """The ARN of the key the copy gets (None: it is not encrypted), and why it will fail, if it will."""
    if not (source.encrypted or request.encrypted or request.kms_key or backend.get_ebs_encryption_by_default()):
        return None, None
    failure = None
    if source.encrypted:
        key = kms.find(source.owner_id, request.source_region, source.kms_key_id or "")
        failure = None if _usable(key, request.caller, request.source_region, SOURCE_NEEDS) else NO_KEY
    at_home = source.owner_id == backend.account_id and request.source_region == backend.region_name
    if request.kms_key:
        wanted = request.kms_key
    elif source.encrypted and at_home:
        wanted = source.kms_key_id
    else:
        wanted = backend.default_key_arn()
    target = kms.find(backend.account_id, backend.region_name, wanted)
    if target is None or not _usable(target, request.caller, backend.region_name, TARGET_NEEDS):
        return (target.arn if target else wanted), NO_KEY
    return target.arn, failure


def _usable(key: Key | None, caller: str, region: str, actions: tuple[str, ...]) -> bool:
    if key is None or key.key_state != "Enabled":
        return False
    context = {"kms:ViaService": f"ec2.{region}.amazonaws.com", "kms:GrantIsForAWSResource": "true"}
    return all(kms.permits(key, caller, action, context) for action in actions)


def visible_snapshot(account: str, region: str, snapshot_id: str) -> Any | None:
    """The snapshot if the account owns it or it is shared with the account (or with all)."""
    for owner in list(ec2_backends.keys()):
        backend = ec2_backends[owner].get(region)  # not []: that would make a backend, from whatever thread this is
        snapshot = backend.snapshots.get(snapshot_id) if backend else None
        if snapshot is not None and (
            owner == account
            or account in snapshot.create_volume_permission_userids
            or "all" in snapshot.create_volume_permission_groups
        ):
            return snapshot
    return None


# ---- sharing


def share(backend: Any, snapshot_id: str, accounts: set[str], groups: set[str]) -> None:
    """Let others make volumes and copies of it. Errors: EC2ClientError."""
    snapshot = backend.get_snapshot(snapshot_id)
    if bad := sorted(account for account in accounts if not (account.isdigit() and len(account) == 12)):
        raise EC2ClientError("InvalidParameterValue", f"The account id '{bad[0]}' is not valid.")
    if groups - {"all"}:
        raise EC2ClientError("InvalidParameterValue", f"Value ({min(groups - {'all'})}) for parameter group is invalid.")
    if snapshot.encrypted and (accounts or groups):
        key = kms.find(backend.account_id, backend.region_name, snapshot.kms_key_id or "")
        if key is not None and kms.is_aws_managed(key):
            raise EC2ClientError("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
        if groups:
            raise EC2ClientError("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly")
    backend.note_snapshot(snapshot_id)
    snapshot.create_volume_permission_userids |= accounts
    snapshot.create_volume_permission_groups |= groups


def unshare(backend: Any, snapshot_id: str, accounts: set[str], groups: set[str]) -> None:
    """Errors: EC2ClientError InvalidSnapshot.NotFound."""
    snapshot = backend.get_snapshot(snapshot_id)
    backend.note_snapshot(snapshot_id)
    snapshot.create_volume_permission_userids -= accounts
    snapshot.create_volume_permission_groups -= groups


def unshare_all(backend: Any, snapshot_id: str) -> None:
    """Errors: EC2ClientError InvalidSnapshot.NotFound."""
    snapshot = backend.get_snapshot(snapshot_id)
    unshare(backend, snapshot_id, set(snapshot.create_volume_permission_userids), set(snapshot.create_volume_permission_groups))
