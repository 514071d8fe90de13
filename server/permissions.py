"""The IAM policies Holdfast needs, made from what its parts declare beside their calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from server.adapters.blobs.s3_bucket import BUCKET_ACTIONS, OBJECT_ACTIONS
from server.adapters.kms import PERMISSIONS as KMS_PERMISSIONS
from server.domain.errors import InvalidInput
from server.services.configuration_roles import PERMISSIONS as CHECKS
from server.services.prices import PERMISSIONS as PRICES
from server.workloads import WORKLOADS

REPOSITORY_OBJECTS: Final = OBJECT_ACTIONS
REPOSITORY_BUCKET: Final = BUCKET_ACTIONS
ACCOUNT: Final = ("ec2:DescribeRegions", "sts:GetCallerIdentity")
_VERSION: Final = "2012-10-17"  # of the policy language; AWS knows one newer than 2008


class Declared(Protocol):
    """What is read here of a workload's class."""

    @property
    def kind(self) -> str: ...
    @property
    def permissions(self) -> Mapping[str, Sequence[str]]: ...


def permission_policy(
    only: str | None = None,
    *,
    buckets: Sequence[str] = (),
    roles: Sequence[str] = (),
    keys: Sequence[str] = (),
    workloads: Sequence[Declared] = WORKLOADS,
) -> str:
    """A policy as JSON: one statement per workload and capability, the repository buckets, the roles to assume,
    the KMS keys that open repositories (ARNs).

    ``only``: the kind of one workload. Errors: InvalidInput for an unknown one.
    """
    chosen = [workload for workload in workloads if only in (None, workload.kind)]
    if not chosen:
        known = ", ".join(workload.kind for workload in workloads)
        raise InvalidInput(f"There is no workload {only!r}.", remedy=f"Known ones: {known}.")
    statements = [_statement("Account", ACCOUNT), _statement("Prices", PRICES), _statement("Checks", CHECKS)]
    for workload in chosen:
        statements += _of_workload(workload.kind, workload.permissions)
    names = buckets or ("BUCKET",)
    statements.append(_statement("RepositoryBucket", REPOSITORY_BUCKET, [f"arn:aws:s3:::{name}" for name in names]))
    statements.append(_statement("RepositoryObjects", REPOSITORY_OBJECTS, [f"arn:aws:s3:::{name}/*" for name in names]))
    if keys:
        statements.append(_statement("RepositoryKeys", KMS_PERMISSIONS, list(keys)))
    if roles:
        statements.append(_statement("OtherAccounts", ("sts:AssumeRole",), list(roles)))
    return json.dumps({"Version": _VERSION, "Statement": statements}, indent=2)


def trust_policy(trusted: str, external_id: str) -> str:
    """Who may assume the role Holdfast uses in another account: ``trusted`` (an ARN), with the external id only."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": trusted},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    return json.dumps({"Version": _VERSION, "Statement": [statement]}, indent=2)


def _of_workload(kind: str, permissions: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    return [_statement(f"{kind}-{capability}", actions) for capability, actions in permissions.items()]


def _statement(title: str, actions: Sequence[str], resources: Sequence[str] = ("*",)) -> dict[str, Any]:
    """``title`` becomes the Sid, which may hold letters and digits only."""
    sid = "".join(part[:1].upper() + part[1:] for part in title.replace("_", "-").split("-"))
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}
