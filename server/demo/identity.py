"""What the account's principals may do, by the policies attached to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote

from moto.iam.models import iam_backends

from server.demo import policies
from server.demo.credentials import STANDING_KEYS

PARTITION: Final = "aws"
ADMINISTRATOR: Final = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_STANDING: Final = {key.arn for key in STANDING_KEYS.values()}
_ARN = re.compile(r"arn:aws:(?:iam|sts)::(\d{12}):(user|role|assumed-role|group)/(.+)$")


class NoSuchPrincipal(Exception):
    """There is no user, role or group of this ARN."""


def documents_of(arn: str) -> Sequence[policies.Document]:
    """The policies of a user (with its groups'), role, role session or group. Errors: NoSuchPrincipal."""
    if arn in _STANDING or arn.endswith(":root"):
        return [ADMINISTRATOR]
    match = _ARN.match(arn)
    if not match:
        raise NoSuchPrincipal
    backend = iam_backends[match[1]][PARTITION]
    kind, name = match[2], match[3]
    owners: list[Any]
    name = name.split("/")[0] if kind == "assumed-role" else name.rsplit("/", 1)[-1]
    if kind == "user":
        user = backend.users.get(name)
        owners = [user, *(group for group in backend.groups.values() if user in group.users)]
    elif kind == "group":
        owners = [backend.groups.get(name)]
    else:
        owners = [next((role for role in backend.roles.values() if role.name == name), None)]
    if owners[0] is None:
        raise NoSuchPrincipal
    return [document for owner in owners for document in _attached(owner)]


def _attached(owner: Any) -> list[policies.Document]:
    inline = [policies.read(_decoded(text)) for text in owner.policies.values()]
    managed = [policies.read(_default(policy)) for policy in owner.managed_policies.values()]
    return inline + managed


def _default(policy: Any) -> Any:
    return next(version.document for version in policy.versions if version.is_default)


def _decoded(document: Any) -> Any:
    """moto keeps some inline documents as they came, in URL encoding."""
    return unquote(document) if isinstance(document, str) and document.startswith("%7B") else document


def allowed(arn: str, action: str, resource: str = "*", context: policies.Context | None = None) -> bool:
    """Whether the principal's own policies allow it. A principal that is gone may do nothing."""
    try:
        documents = documents_of(arn)
    except NoSuchPrincipal:
        return False
    return policies.decide(documents, action, resource, context) == "allowed"
