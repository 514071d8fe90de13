"""Whether replicas can be made where a policy wants them: the target's account and Region, its key, and the sources' keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from server.domain import keeping
from server.domain.configuration import Area, Check, Finding
from server.domain.errors import AwsError
from server.domain.replicas import ReplicaTarget
from server.domain.workload import Resource, place
from server.services import accounts
from server.services.configuration_subject import Subject, names
from server.services.context import Services
from server.services.wording import count

DEFAULT_KEY: Final = "alias/aws/ebs"
KEYS_MAX: Final = 50  # source keys looked at in one Region
AWS_MANAGED: Final = "AWS"


def target(app: Services, subject: Subject, at: int, wanted: ReplicaTarget) -> list[Check]:
    """The ``at``-th replica target. Errors: those of AWS."""
    account, path = subject.accounts[wanted.account_id], f"replicas.{at}"
    check = Check(area=Area.REPLICA, subject=f"{wanted.region} of {account.name}", message="Enabled.", account=account.name)
    if wanted.region not in accounts.enabled_regions(app, account):
        text = f"{wanted.region} is not enabled for {account.name}."
        remedy = "Enable the Region in that account, or choose another one."
        return [replace(check, finding=Finding.FAILED, message=text, remedy=remedy, path=f"{path}.region")]
    if not wanted.encrypt:
        return [check, *_unencrypted(app, subject, wanted, path)]
    return [check, _target_key(app, subject, wanted, path)]


def _unencrypted(app: Services, subject: Subject, wanted: ReplicaTarget, path: str) -> list[Check]:
    """Without a key for the copies, those of encrypted disks cannot be made."""
    regions = wanted.regions or subject.policy.scope.regions
    hurt = [resource for resource in subject.covered if resource.region in regions and _keys(app, subject, resource)]
    if not hurt:
        return []
    text = f"{count(len(hurt), 'resource')} with encrypted disks would get no replica: {names(hurt)}."
    remedy = "Switch encryption on for this target and choose a key."
    check = Check(area=Area.REPLICA, subject=wanted.region, finding=Finding.WARNING, message=text, remedy=remedy)
    return [replace(check, path=f"{path}.encrypt")]


def _target_key(app: Services, subject: Subject, wanted: ReplicaTarget, path: str) -> Check:
    account = subject.accounts[wanted.account_id]
    name = wanted.kms_key or DEFAULT_KEY
    check = Check(area=Area.KEY, subject=name, message="Can be used.", path=f"{path}.kmsKey", account=account.name)
    try:
        key = app.aws.call(place(account, wanted.region), "kms", "describe_key", KeyId=name)["KeyMetadata"]
    except AwsError as error:
        return replace(check, finding=Finding.FAILED, message=error.message, remedy=error.remedy)
    wrong = _unusable(key, wanted.region)
    return check if wrong is None else replace(check, finding=Finding.FAILED, message=wrong[0], remedy=wrong[1])


def _unusable(key: dict[str, Any], region: str | None) -> tuple[str, str] | None:
    """Why EBS cannot encrypt with the key, and what to do."""
    arn, state = str(key.get("Arn", "")), str(key.get("KeyState", ""))
    if region is not None and arn and arn.split(":")[3] != region:
        return f"The key lies in {arn.split(':')[3]}.", f"Choose a key in {region}."
    if not key.get("Enabled") or state != "Enabled":
        return f"The key's state is {state or 'disabled'}.", "Enable it, or cancel its deletion."
    if (
        key.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT"
        or key.get("KeyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT"
    ):
        return "EBS encrypts with symmetric keys only.", "Choose a symmetric key for encryption."
    return None


# ---- the sources' keys ------------------------------------------------------------------------------------------------


def source_keys(app: Services, subject: Subject, region: str) -> list[Check]:
    """The keys covered disks of the Region are encrypted with: usable, and such that another account can have replicas."""
    users: dict[str, list[Resource]] = {}
    for resource in subject.covered_in(region):
        for key in _keys(app, subject, resource):
            users.setdefault(key, []).append(resource)
    wanted = keeping.replica_target(subject.policy, region)
    abroad = wanted is not None and wanted.account_id != subject.policy.scope.account_id
    found = [_source_key(app, subject, region, key, users[key], abroad=abroad) for key in sorted(users)[:KEYS_MAX]]
    if len(users) > KEYS_MAX:
        text = f"Only {KEYS_MAX} of {len(users)} keys were looked at."
        found.append(Check(area=Area.KEY, subject=region, finding=Finding.WARNING, message=text))
    return found


def _keys(app: Services, subject: Subject, resource: Resource) -> set[str]:
    workload = app.workloads.get(resource.workload)
    disks = workload.sources(resource, subject.policy.scope.excluded_volumes) if workload else ()
    return {disk.kms_key or DEFAULT_KEY for disk in disks if disk.encrypted}


def _source_key(app: Services, subject: Subject, region: str, key: str, users: list[Resource], *, abroad: bool) -> Check:
    check = Check(area=Area.KEY, subject=key, message=f"Can be used; it encrypts disks of {names(users)}.")
    try:
        known = app.aws.call(place(subject.source, region), "kms", "describe_key", KeyId=key)["KeyMetadata"]
    except AwsError as error:
        text = f"{error.message} It encrypts disks of {names(users)}."
        return replace(check, finding=Finding.WARNING, message=text, remedy=error.remedy)
    wrong = _unusable(known, None)
    if wrong is not None:
        return replace(
            check, finding=Finding.FAILED, message=f"{wrong[0]} It encrypts disks of {names(users)}.", remedy=wrong[1]
        )
    if abroad and known.get("KeyManager") == AWS_MANAGED:
        text = f"Snapshots under AWS's own key cannot be shared, so {names(users)} would get no replica in another account."
        remedy = "Encrypt the disks with a key of your own, or keep replicas in the same account."
        return replace(check, finding=Finding.FAILED, message=text, remedy=remedy, path="replicas")
    return check
