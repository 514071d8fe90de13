"""STS that checks: a role must exist, must trust the caller, and must be given its external id."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.sts.models import STSBackend, sts_backends
from moto.sts.responses import TokenResponse

from server.demo import policies
from server.demo.credentials import STANDING_KEYS, Key
from server.demo.errors import AwsError

PARTITION = "aws"
SESSION_SECONDS_MIN, SESSION_SECONDS_MAX = 900, 43_200
_ROLE_ARN = re.compile(r"arn:aws:iam::(\d{12}):role/(?:[\w+=,.@/-]*/)?([\w+=,.@-]{1,64})$")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}$")


class DemoStsBackend(STSBackend):
    @property
    def flask_paths(self) -> dict[str, Callable[[Any, str, Any], Any]]:
        return {"/": DemoStsResponse.dispatch}


class DemoStsResponse(TokenResponse):
    def get_caller_identity(self) -> ActionResult:
        key = STANDING_KEYS.get(self.headers["x-demo-access-key"])
        if key:
            return ActionResult({"UserId": "AIDADEMO", "Account": key.account, "Arn": key.arn})
        return super().get_caller_identity()

    def assume_role(self) -> ActionResult:
        arn, session_name = self._get_param("RoleArn") or "", self._get_param("RoleSessionName") or ""
        seconds = self._get_int_param("DurationSeconds", 3600)
        match = _ROLE_ARN.match(arn)
        if not match:
            raise AwsError("ValidationError", f"{arn} is invalid")
        if not _SESSION_NAME.match(session_name):
            raise AwsError(
                "ValidationError",
                f"Value '{session_name}' at 'roleSessionName' failed to satisfy constraint: [\\w+=,.@-]{{2,64}}",
            )
        if not SESSION_SECONDS_MIN <= seconds <= SESSION_SECONDS_MAX:
            raise AwsError("ValidationError", f"Value '{seconds}' at 'durationSeconds' must be between 900 and 43200 seconds")
        account, name = match.groups()
        role = next((r for r in iam_backends[account][PARTITION].roles.values() if r.name == name and r.arn == arn), None)
        caller = self.headers["x-demo-caller-arn"]
        if role is None or not trusts(role.assume_role_policy_document, caller, self._get_param("ExternalId")):
            raise AwsError(
                "AccessDenied", f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}", 403
            )
        if seconds > int(role.max_session_duration or 3600):
            raise AwsError("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        _forget_expired(account)
        return super().assume_role()


def trusts(policy: str | dict[str, Any] | None, caller_arn: str, external_id: str | None) -> bool:
    """Whether a trust policy lets the caller assume the role. Denials win; a condition nobody can judge never holds."""
    context = {} if external_id is None else {"sts:ExternalId": external_id}
    return policies.decide([policies.read(policy)], "sts:AssumeRole", context=context, principal=caller_arn) == "allowed"


def _forget_expired(account: str) -> None:
    backend = sts_backends[account][PARTITION]
    known = iam_backends[account][PARTITION].access_keys
    for role in [role for role in backend.assumed_roles if role.expiration < utcnow()]:
        backend.assumed_roles.remove(role)
        known.pop(role.access_key_id, None)


def find_key(access_key: str) -> Key | None:
    """A key made here: by assuming a role, or for an IAM user."""
    for account in list(sts_backends.keys()):
        backend = sts_backends[account].get(PARTITION)
        for role in list(backend.assumed_roles) if backend else ():
            if role.access_key_id == access_key:
                expires = role.expiration.replace(tzinfo=UTC).timestamp()
                return Key(role.account_id, role.secret_access_key, role.arn, role.session_token, expires)
    for account in list(iam_backends.keys()):
        users = iam_backends[account].get(PARTITION)
        key = users.access_keys.get(access_key) if users else None
        if key is not None and key.user_name and key.status == "Active":
            return Key(account, key.secret_access_key, f"arn:aws:iam::{account}:user/{key.user_name}")
    return None


def install() -> None:
    """Make moto build our STS. Call once, before the first request."""
    sts_backends.backend = DemoStsBackend
