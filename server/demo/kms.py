"""KMS that asks who calls: key policies, grants and identity policies decide, across accounts too; disabled keys do nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from moto.core.utils import unix_time
from moto.kms.models import Alias, Grant, Key, KmsBackend, kms_backends
from moto.kms.responses import KmsResponse

from server.demo import changes, identity, policies
from server.demo.errors import AwsError

_ARN = re.compile(r"arn:aws:kms:([a-z0-9-]+):(\d{12}):((?:key|alias)/.+)$")
_AWS_ALIAS: Final = "alias/aws/"
USES: Final = frozenset({
    "Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "Sign",
    "Verify",
})  # fmt: skip
ACROSS_ACCOUNTS: Final = USES | {
    "DescribeKey", "GetPublicKey", "GetKeyRotationStatus", "CreateGrant", "ListGrants", "RevokeGrant", "RetireGrant",
}  # fmt: skip
GRANTABLE: Final = frozenset({
    "Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo", "Sign",
    "Verify", "GetPublicKey", "CreateGrant", "RetireGrant", "DescribeKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "VerifyMac", "DeriveSharedSecret",
})  # fmt: skip
_UNGUARDED: Final = frozenset({"CreateKey", "ListKeys", "ListAliases", "GenerateRandom", "ListRetirableGrants", "RetireGrant"})
_PRINCIPAL = re.compile(
    r"arn:aws[a-z-]*:(?:iam|sts)::\d{12}:(?:root|(?:user|role|assumed-role|federated-user)/.+)$|[a-z0-9.-]+\.amazonaws\.com$"
)


def is_aws_managed(key: Key) -> bool:
    """Whether AWS made the key for the account (``aws/ebs`` ...): nobody else may ever use it."""
    return any(name.startswith(_AWS_ALIAS) for name in key.aliases)


def find(account: str, region: str, key_id: str) -> Key | None:
    """The key an id, alias or ARN stands for, as seen from ``account`` in ``region``. AWS's own keys appear when asked for."""
    if match := _ARN.match(key_id):
        if match[1] != region:
            return None
        account, key_id = match[2], match[3].removeprefix("key/")
    backend = kms_backends[account][region]
    name = backend.get_key_id_from_alias(key_id) if key_id.startswith("alias/") else key_id
    return backend.keys.get(name) if name else None


def permits(key: Key, caller_arn: str, action: str, context: Mapping[str, str] | None = None) -> bool:
    """Whether the caller may do ``action`` (``kms:Decrypt``) with the key.

    The key's account must allow it, by policy or grant; a policy that names an account leaves it to that account's policies.
    """
    context = {"kms:CallerAccount": policies.account_of(caller_arn), **(context or {})}
    document = policies.read(key.policy)
    if policies.decide([document], action, key.arn, context, caller_arn) == "explicitDeny":
        return False
    if _granted(key, caller_arn, action):
        return True
    statements = [
        statement
        for statement in policies.several(document.get("Statement"))
        if statement.get("Effect") == "Allow" and policies.applies(statement, action, key.arn, context, caller_arn)
    ]
    own = policies.account_of(caller_arn) == key.account_id
    if own and any(_names_caller(statement.get("Principal"), caller_arn) for statement in statements):
        return True
    return bool(statements) and identity.allowed(caller_arn, action, key.arn, context)


def _granted(key: Key, caller_arn: str, action: str) -> bool:
    names, operation = policies.names_of(caller_arn), action.removeprefix("kms:")
    return any(grant.grantee_principal in names and operation in grant.operations for grant in key.grants.values())


def _names_caller(principal: Any, caller_arn: str) -> bool:
    trusted = policies.several(principal.get("AWS")) if isinstance(principal, Mapping) else []
    return principal == "*" or bool({"*", *policies.names_of(caller_arn)} & set(trusted))


class NamedGrant(Grant):
    """With what AWS also tells of a grant."""

    def to_json(self) -> dict[str, Any]:
        account = getattr(self, "issuing_account", "")
        known = {**super().to_json(), "CreationDate": getattr(self, "created_at", 0.0), "IssuingAccount": account}
        return {name: value for name, value in known.items() if value is not None}


class DemoKmsBackend(KmsBackend):
    @property
    def flask_paths(self) -> dict[str, Callable[[Any, str, Any], Any]]:
        return {"/": DemoKmsResponse.dispatch}

    def create_alias(self, target_key_id: str, alias_name: str) -> Alias:
        alias = super().create_alias(target_key_id, alias_name)
        if alias_name.startswith(_AWS_ALIAS):
            key = self.keys[self.get_key_id(target_key_id)]
            key.key_manager, key.policy = "AWS", _aws_managed_policy(alias_name.removeprefix(_AWS_ALIAS), key)
        return alias

    def disable_key(self, key_id: str) -> None:
        super().disable_key(self.get_key_id(key_id))  # moto takes no ARN here, nor in the next three

    def enable_key(self, key_id: str) -> None:
        super().enable_key(self.get_key_id(key_id))

    def cancel_key_deletion(self, key_id: str) -> None:
        super().cancel_key_deletion(self.get_key_id(key_id))

    def schedule_key_deletion(self, key_id: str, pending_window_in_days: int) -> float:
        return super().schedule_key_deletion(self.get_key_id(key_id), pending_window_in_days)

    def create_grant(
        self, key_id: str, grantee_principal: str, operations: list[str], name: str, constraints: Any, retiring_principal: str
    ) -> tuple[str, str]:
        """A grant of the same name and content is the one that is there already, as in AWS."""
        key = self.describe_key(key_id)
        grant = NamedGrant(key.id, name, grantee_principal, operations, constraints, retiring_principal)
        for known in key.grants.values() if name else ():
            if all(
                getattr(known, part) == getattr(grant, part)
                for part in ("name", "grantee_principal", "operations", "constraints", "retiring_principal")
            ):
                return known.id, known.token
        grant.created_at, grant.issuing_account = unix_time(), f"arn:aws:iam::{key.account_id}:root"  # type: ignore[attr-defined]  # ours alone
        key.grants[grant.id] = grant
        changes.note("kms", self, "keys", key.id)
        return grant.id, grant.token

    def revoke_grant(self, key_id: str, grant_id: str) -> None:
        changes.note("kms", self, "keys", self.any_id_to_key_id(key_id))
        super().revoke_grant(key_id, grant_id)


def _aws_managed_policy(service: str, key: Key) -> str:
    via = {
        "StringEquals": {
            "kms:CallerAccount": key.account_id,
            "kms:ViaService": f"{'ec2' if service == 'ebs' else service}.{key.region}.amazonaws.com",
        }
    }
    uses = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"]
    reads = ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"]
    root = {"AWS": f"arn:aws:iam::{key.account_id}:root"}
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": uses, "Resource": "*", "Condition": via},
        {"Effect": "Allow", "Principal": root, "Action": reads, "Resource": "*"},
    ]
    return json.dumps({"Version": "2012-10-17", "Id": f"auto-{service}-2", "Statement": statements})


class DemoKmsResponse(KmsResponse):
    @property
    def _key_given(self) -> str:
        return str(self._get_param("KeyId") or self._get_param("TargetKeyId") or self._get_param("DestinationKeyId") or "")

    @property
    def kms_backend(self) -> KmsBackend:
        """The backend of the key's account, when the key is given by its ARN."""
        match = _ARN.match(self._key_given)
        return kms_backends[match[2] if match else self.current_account][self.region]

    def call_action(self) -> Any:
        self._admit(self._get_action())
        return super().call_action()

    def _admit(self, operation: str) -> None:
        given = self._key_given
        if operation in _UNGUARDED or not given:
            return
        if (match := _ARN.match(given)) and match[1] != self.region:
            raise AwsError("NotFoundException", f"Invalid arn {match[1]}")
        key = find(self.current_account, self.region, given)
        if key is None:
            return  # moto says what is wrong with it
        caller = self.headers["x-demo-caller-arn"]
        action = "kms:ReEncryptTo" if operation == "ReEncrypt" else f"kms:{operation}"
        foreign = key.account_id != self.current_account
        if (foreign and operation not in ACROSS_ACCOUNTS) or not permits(key, caller, action):
            raise _denied(caller, action, key.arn)
        if operation in USES and key.key_state != "Enabled":
            code = "DisabledException" if key.key_state == "Disabled" else "KMSInvalidStateException"
            raise AwsError(code, f"{key.arn} is {_STATES.get(key.key_state, key.key_state)}.")

    def create_grant(self) -> str:
        grantee, operations = self._get_param("GranteePrincipal") or "", self._get_param("Operations") or []
        for principal in filter(None, (grantee, self._get_param("RetiringPrincipal"))):
            if not _PRINCIPAL.match(principal):
                raise AwsError("InvalidArnException", f"ARN does not refer to a valid principal: {principal}")
        if unknown := set(operations) - GRANTABLE:
            raise AwsError("ValidationException", f"'{min(unknown)}' at 'operations' is not a grant operation.")
        return super().create_grant()

    def list_grants(self) -> str:
        answer = json.loads(super().list_grants())
        if grantee := self._get_param("GranteePrincipal"):
            answer["Grants"] = [grant for grant in answer["Grants"] if grant["GranteePrincipal"] == grantee]
        return json.dumps({"Grants": answer["Grants"], "Truncated": False})

    def retire_grant(self) -> str:
        """By its token, or by key and id: for the retiring principal, for a grantee that may, and for the key's account."""
        token, grant_id, caller = self._get_param("GrantToken"), self._get_param("GrantId"), self.headers["x-demo-caller-arn"]
        for key, grant in _grants(self.region):
            if not (grant.token == token if token else grant.id == grant_id and key.arn == self._get_param("KeyId")):
                continue
            names = policies.names_of(caller)
            retires = grant.retiring_principal in names
            retires |= grant.grantee_principal in names and "RetireGrant" in grant.operations
            if not retires and not (key.account_id == self.current_account and permits(key, caller, "kms:RetireGrant")):
                raise _denied(caller, "kms:RetireGrant", key.arn)
            key.grants.pop(grant.id)
            changes.note("kms", kms_backends[key.account_id][self.region], "keys", key.id)
            return "{}"
        raise AwsError("NotFoundException", "There is no such grant.")


_STATES: Final = {"Disabled": "disabled", "PendingDeletion": "pending deletion"}


def _grants(region: str) -> Iterator[tuple[Key, Grant]]:
    for account in list(kms_backends.keys()):
        for key in kms_backends[account][region].keys.values():
            for grant in list(key.grants.values()):
                yield key, grant


def _denied(caller: str, action: str, arn: str) -> AwsError:
    text = f"User: {caller} is not authorized to perform: {action} on resource: {arn}, which no policy or grant allows"
    return AwsError("AccessDeniedException", text)


def install() -> None:
    """Make moto build our KMS. Call once, before the first request."""
    kms_backends.backend = DemoKmsBackend
