"""Whether the roles a policy uses may do what it needs: asked of IAM, which knows, instead of by trying."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.domain.configuration import Area, Check, Finding
from server.domain.errors import AwsAccessDenied, HoldfastError
from server.domain.workload import Account, Place, place
from server.services.accounts import home_region
from server.services.context import Services
from server.services.wording import count

PERMISSIONS: Final = ("iam:GetRole", "iam:SimulatePrincipalPolicy")
AT_ONCE: Final = 50  # actions in one request
_ASSUMED: Final = re.compile(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+")


@dataclass(frozen=True, slots=True)
class Need:
    """``what`` for people: what the actions are needed for. ``on``: ARNs; ``asked``: a real ARN of each kind, which IAM can
    evaluate."""

    what: str
    actions: tuple[str, ...]
    on: tuple[str, ...] = ("*",)
    asked: tuple[str, ...] = ("*",)


@dataclass(slots=True)
class Needs:
    """By account."""

    accounts: dict[str, Account] = field(default_factory=dict)
    found: defaultdict[str, list[Need]] = field(default_factory=lambda: defaultdict(list))

    def add(self, account: Account, need: Need) -> None:
        self.accounts[str(account.id)] = account
        if need not in self.found[str(account.id)]:
            self.found[str(account.id)].append(need)


def checks(app: Services, account: Account, needs: Sequence[Need]) -> list[Check]:
    """The role can be assumed, and may do what is needed. Errors: none but those of the database."""
    where = place(account, home_region(account))
    try:
        identity = str(app.aws.call(where, "sts", "get_caller_identity")["Arn"])
    except HoldfastError as error:
        return [
            Check(
                area=Area.ACCOUNT,
                subject=account.name,
                finding=Finding.FAILED,
                message=error.message,
                remedy=error.remedy,
                path="scope.accountId",
                account=account.name,
                role_arn=account.role_arn,
            )
        ]
    found = [Check(area=Area.ACCOUNT, subject=account.name, message=f"Reached as {identity}.", account=account.name)]
    if identity.endswith(":root"):
        return [
            *found,
            _told(account, "The root user may do everything; use a role with just what is needed.", Finding.WARNING),
        ]
    try:
        principal = _principal(app, where, identity)
        return found + [_checked(app, where, account, principal, need) for need in needs]
    except AwsAccessDenied as refusal:
        text = f"What the role may do could not be checked: {refusal.message}"
        return [*found, _told(account, text, Finding.WARNING, missing=PERMISSIONS)]
    except HoldfastError as error:
        return [*found, _told(account, f"What the role may do could not be checked: {error.message}", Finding.WARNING)]


def _told(account: Account, text: str, finding: Finding, *, missing: tuple[str, ...] = ()) -> Check:
    return Check(
        area=Area.PERMISSIONS,
        subject=account.name,
        finding=finding,
        message=text,
        remedy="Allow iam:GetRole and iam:SimulatePrincipalPolicy, and test again." if missing else None,
        account=account.name,
        role_arn=account.role_arn,
        missing=missing,
    )


def _principal(app: Services, where: Place, identity: str) -> str:
    """Whom IAM can be asked about: an assumed role's session is nobody there, and its ARN lacks the role's path."""
    session = _ASSUMED.fullmatch(identity)
    if session is None:
        return identity
    partition, number, name = session.groups()
    if where.role_arn is not None and where.role_arn.endswith(f"/{name}"):
        return where.role_arn
    try:
        return str(app.aws.call(where, "iam", "get_role", RoleName=name)["Role"]["Arn"])
    except AwsAccessDenied:
        return f"arn:{partition}:iam::{number}:role/{name}"  # right for roles without a path


def _checked(app: Services, where: Place, account: Account, principal: str, need: Need) -> Check:
    results = list(_simulated(app, where, principal, need))
    denied = sorted({one["EvalActionName"] for one in results if one["EvalDecision"] != "allowed"})
    by_organisation = any(not one.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True) for one in results)
    unsure = sorted({name for one in results for name in one.get("MissingContextValues", ())})
    finding, remedy = Finding.PASSED, None
    text = "All actions it takes are allowed."
    if denied:
        finding, text = (
            Finding.FAILED,
            f"{count(len(denied), 'action')} needed for {need.what} not allowed: {', '.join(denied)}.",
        )
        remedy = (
            "Attach the exported policy to the role." if account.role_arn else "Attach the exported policy to its identity."
        )
        if by_organisation:
            remedy = (
                "A service control policy of the organization forbids it, whatever the role's own policies say: change that."
            )
    elif unsure:
        finding = Finding.WARNING
        text = f"Whether all that is needed for {need.what} is allowed depends on conditions: {', '.join(unsure)}."
    return Check(
        area=Area.PERMISSIONS,
        subject=need.what,
        finding=finding,
        message=text,
        remedy=remedy,
        account=account.name,
        role_arn=account.role_arn,
        missing=tuple(denied),
        on=need.on,
    )


def _simulated(app: Services, where: Place, principal: str, need: Need) -> Iterator[dict[str, Any]]:
    for start in range(0, len(need.actions), AT_ONCE):
        asked = {"PolicySourceArn": principal, "ActionNames": list(need.actions[start : start + AT_ONCE])}
        if need.asked != ("*",):
            asked["ResourceArns"] = list(need.asked)
        for page in app.aws.pages(where, "iam", "simulate_principal_policy", **asked):
            yield from page["EvaluationResults"]
