"""How an S3 bucket is set up, as far as that matters to a repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from server.adapters.blobs.s3_bucket import NOT_DONE_HERE, PERMISSIONS, S3Bucket
from server.adapters.blobs.s3_versions import Versions
from server.domain.errors import AwsAccessDenied, AwsNotFound, AwsRejected
from server.domain.immutability import BucketFacts

Answer = Mapping[str, Any]

_NONE_SET: Final = (
    "ObjectLockConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NoSuchLifecycleConfiguration",
    "NoSuchBucketPolicy",
)
_DAYS_OF_YEAR: Final = 365  # as Object Lock counts them


def facts_of(bucket: S3Bucket, versions: Versions) -> BucketFacts:
    client, name = bucket.client, bucket.name
    unreadable: list[str] = []

    def asked(operation: str, action: Callable[[], Any]) -> Answer | None:
        """None when it may not be asked; empty when nothing is set."""
        try:
            answer: Answer = bucket.call(operation, action)
        except AwsAccessDenied:
            unreadable.append(f"{operation} needs {PERMISSIONS[operation][0]}")
            return None
        except (AwsNotFound, AwsRejected) as error:
            if error.aws_code in (*_NONE_SET, *NOT_DONE_HERE):
                return {}
            raise
        return answer

    versioning = asked("GetBucketVersioning", lambda: {"Status": versions.ask_status()})
    lock = asked("GetObjectLockConfiguration", lambda: client.get_object_lock_configuration(Bucket=name))
    encryption = asked("GetBucketEncryption", lambda: client.get_bucket_encryption(Bucket=name))
    lifecycle = asked("GetBucketLifecycleConfiguration", lambda: client.get_bucket_lifecycle_configuration(Bucket=name))
    policy = asked("GetBucketPolicyStatus", lambda: client.get_bucket_policy_status(Bucket=name))
    algorithm, key = _encryption(encryption or {})
    mode, days = _default_retention(lock or {})
    return BucketFacts(
        versioning="unknown" if versioning is None else versioning["Status"],
        object_lock=None if lock is None else "ObjectLockConfiguration" in lock,
        default_mode=mode,
        default_retention=days,
        encryption=algorithm,
        encryption_key=key,
        lifecycle=tuple(_rules(lifecycle or {}, bucket.folder)),
        public=(policy or {}).get("PolicyStatus", {}).get("IsPublic", False),
        unreadable=tuple(unreadable),
    )


def _default_retention(answer: Answer) -> tuple[str | None, int | None]:
    default = answer.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention")
    if default is None:
        return None, None
    return default.get("Mode"), default.get("Days", default.get("Years", 0) * _DAYS_OF_YEAR)


def _encryption(answer: Answer) -> tuple[str | None, str | None]:
    for rule in answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", []):
        if default := rule.get("ApplyServerSideEncryptionByDefault"):
            return default.get("SSEAlgorithm"), default.get("KMSMasterKeyID")
    return None, None


def _rules(answer: Answer, folder: str) -> Iterator[str]:
    """The rules that would expire or move current objects of the folder, one sentence each. Ours have no tags; older versions
    and unfinished uploads may go."""
    for rule in answer.get("Rules", []):
        chosen = rule.get("Filter", {})
        joined = chosen.get("And", {})
        prefix = rule.get("Prefix") or chosen.get("Prefix") or joined.get("Prefix") or ""
        tagged = "Tag" in chosen or "Tags" in joined
        if rule.get("Status") != "Enabled" or tagged or not (folder.startswith(prefix) or prefix.startswith(folder)):
            continue
        name = rule.get("ID") or prefix or "unnamed"
        expiration = rule.get("Expiration", {})
        if "Days" in expiration or "Date" in expiration:
            yield f"Lifecycle rule {name!r} expires objects {_when(expiration)}."
        for transition in rule.get("Transitions", []):
            yield f"Lifecycle rule {name!r} moves objects to {transition.get('StorageClass')} {_when(transition)}."


def _when(action: Answer) -> str:
    return f"after {action['Days']} days" if "Days" in action else f"on {action['Date']:%Y-%m-%d}"
