"""AWS accounts: the home account, and others through IAM roles."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from uuid import UUID

from server.domain import regions as geography
from server.domain.access import Caller, Role
from server.domain.errors import (
    AwsAccessDenied,
    AwsCredentials,
    AwsError,
    AwsNotFound,
    AwsRejected,
    Conflict,
    HoldfastError,
    InvalidInput,
)
from server.domain.policy import NAME_MAX
from server.domain.workload import Account, AccountState, place
from server.ports import Select, Tx, Where
from server.services import replies
from server.services.context import Services

HOME = "Home account"
ROLE_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):iam::(\d{12}):role/[\w+=,.@/-]{1,512}")
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}")
POLICIES_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    name: str
    role_arn: str
    external_id: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionInfo:
    name: str
    title: str
    resources: int


def ensure_home(app: Services) -> Account:
    """The home account, made on first start. Errors: Conflict while another process is making it."""
    now = app.clock.now()
    made = Account(id=app.new_id(), name=HOME, role_arn=None, external_id=None, aws_account_id=None, created_at=now)
    with app.store.transaction() as tx:
        found = _home(tx)
        if found is None:
            tx.accounts.add(made)
        return found or made


def _home(tx: Tx) -> Account | None:
    rows = tx.accounts.page(Select(where=(Where("role_arn", "is_null", True),), limit=1))
    return rows[0] if rows else None


def add(app: Services, caller: Caller, draft: NewAccount, *, dry_run: bool = False, key: str | None = None) -> Account:
    """Add an account after assuming its role once. Errors: Forbidden, InvalidInput, Conflict, Unavailable."""
    caller.require(Role.ADMINISTRATOR)
    _check_form(draft)
    now = app.clock.now()
    account = Account(
        id=app.new_id(),
        name=draft.name.strip(),
        role_arn=draft.role_arn.strip(),
        external_id=draft.external_id or None,
        aws_account_id=None,
        created_at=now,
    )
    with app.store.transaction() as tx:
        known = replies.earlier(tx, caller, "addAccount", key)
        if known is not None:
            return tx.accounts.get(known)
        _refuse_twins(tx, account)
    account = replace(account, aws_account_id=_assume(app, account), state=AccountState.AVAILABLE, checked_at=app.clock.now())
    if dry_run:
        return account
    with app.store.transaction() as tx:
        _refuse_twins(tx, account)
        tx.accounts.add(account)
        message = f"{caller.name} added the account {account.name} ({account.aws_account_id})."
        tx.activity.append(at=now, kind="account", subject_id=account.id, change="created", message=message)
        replies.keep(tx, caller, "addAccount", key, account.id, at=now)
    return account


def _check_form(draft: NewAccount) -> None:
    fields = {}
    if not 1 <= len(draft.name.strip()) <= NAME_MAX:
        fields["name"] = f"A name has 1 to {NAME_MAX} characters."
    if not ROLE_ARN.fullmatch(draft.role_arn.strip()):
        fields["roleArn"] = "A role's ARN looks like arn:aws:iam::123456789012:role/HoldfastBackup."
    if draft.external_id and not EXTERNAL_ID.fullmatch(draft.external_id):
        fields["externalId"] = "An external id has 2 to 1224 characters: letters, digits and +=,.@:/-_."
    if fields:
        raise InvalidInput(next(iter(fields.values())), fields=fields)


def _refuse_twins(tx: Tx, account: Account) -> None:
    if tx.accounts.find(name=account.name) is not None:
        raise Conflict(f"There is an account named {account.name} already.", fields={"name": "Taken."})
    twin = tx.accounts.find(role_arn=account.role_arn)
    if twin is not None:
        raise Conflict(f"This role is the account {twin.name} already.", fields={"roleArn": "Added already."})


def _assume(app: Services, account: Account) -> str:
    """Assume the role and ask who that is: the AWS account id. InvalidInput says which field is wrong."""
    assert account.role_arn is not None
    match = ROLE_ARN.fullmatch(account.role_arn)
    assert match is not None
    region = geography.FIRST_OF_PARTITION[match[1]]
    try:
        answer = app.aws.call(place(account, region), "sts", "get_caller_identity")
    except (AwsAccessDenied, AwsNotFound, AwsRejected) as refusal:
        raise InvalidInput(
            refusal.message,
            remedy=refusal.remedy,
            fields={
                "roleArn": "Cannot be assumed.",
                "externalId": "Wrong or missing, if the role's trust policy asks for one.",
            },
        ) from refusal
    found = str(answer["Account"])
    if found != match[2]:
        raise InvalidInput(
            f"The role answered for account {found}, its ARN names {match[2]}.", fields={"roleArn": "Another account answered."}
        )
    return found


def check(app: Services, caller: Caller, id: UUID) -> Account:
    """Ask AWS whether the account answers; the finding is stored. Errors: Forbidden, NotFound."""
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        account = tx.accounts.get(id)
    number, state, problem = account.aws_account_id, AccountState.AVAILABLE, None
    try:
        number = str(app.aws.call(place(account, home_region(account)), "sts", "get_caller_identity")["Account"])
    except HoldfastError as error:
        state, problem = AccountState.UNAVAILABLE, _explain(error)
    with app.store.transaction() as tx:
        account = tx.accounts.get(id, lock=True)
        changed = replace(
            account,
            aws_account_id=number,
            state=state,
            problem=problem,
            checked_at=app.clock.now(),
            revision=account.revision + 1,
        )
        tx.accounts.save(changed)
        if state is not account.state:
            message = f"The account {account.name} is {state.value}." + (f" {problem}" if problem else "")
            at = app.clock.now()
            tx.activity.append(at=at, kind="account", subject_id=id, change="changed", message=message)
    return changed


def _explain(error: HoldfastError) -> str:
    if isinstance(error, AwsCredentials):
        return f"{error.message} {error.remedy or 'Give the appliance credentials: an instance profile, or AWS_* variables.'}"
    return error.sentence()


def home_region(account: Account) -> str:
    """Where calls that belong to no Region go for this account."""
    match = ROLE_ARN.fullmatch(account.role_arn or "")
    return geography.FIRST_OF_PARTITION[match[1] if match else "aws"]


def remove(app: Services, caller: Caller, id: UUID, *, dry_run: bool = False, key: str | None = None) -> UUID:
    """Forget an account, and with it the resources found there. Errors: Forbidden, NotFound, Conflict while it is needed."""
    caller.require(Role.ADMINISTRATOR)
    now = app.clock.now()
    with app.store.transaction() as tx:
        if replies.earlier(tx, caller, "removeAccount", key) is not None:
            return id
        account = tx.accounts.get(id, lock=True)
        _refuse_while_needed(tx, account)
        if dry_run:
            return id
        tx.accounts.remove(id)
        message = f"{caller.name} removed the account {account.name}."
        tx.activity.append(at=now, kind="account", subject_id=id, change="removed", message=message)
        replies.keep(tx, caller, "removeAccount", key, id, at=now)
    return id


def _refuse_while_needed(tx: Tx, account: Account) -> None:
    if account.is_home:
        raise Conflict("The home account cannot be removed: it is the appliance's own.")
    for policy in tx.policies.page(Select(limit=POLICIES_MAX)):
        if policy.scope.account_id == account.id:
            raise Conflict(f"The policy {policy.name} protects this account.", remedy="Delete the policy first.")
    mine = (Where("account_id", "eq", account.id),)
    used = tx.repositories.page(Select(where=mine, limit=1))
    if used:
        raise Conflict(f"The repository {used[0].name} is reached through this account.", remedy="Remove it first.")
    points = tx.points.count(Select(where=(*mine, Where("state", "ne", "deleted"))))
    if points:
        raise Conflict(f"{points} restore points belong to this account.", remedy="Delete them first.")


def regions(app: Services, caller: Caller, id: UUID | None) -> list[RegionInfo]:
    """The Regions the account can use; without an account all we know. Errors: Forbidden, NotFound, those of AWS."""
    caller.require(Role.VIEWER)
    present: tuple[Where, ...] = (Where("present", "eq", True),)
    with app.store.transaction() as tx:
        account = None if id is None else tx.accounts.get(id)
        counts = tx.resources.groups("region", present if id is None else (*present, Where("account_id", "eq", id)))
    names = sorted({*geography.TITLES, *counts}) if account is None else enabled_regions(app, account)
    return [
        RegionInfo(name=name, title=geography.title(name), resources=counts[name].count if name in counts else 0)
        for name in names
    ]


def enabled_regions(app: Services, account: Account) -> list[str]:
    """Names, sorted. Errors: those of AWS."""
    answer = app.aws.call(place(account, home_region(account)), "ec2", "describe_regions")
    return sorted(str(region["RegionName"]) for region in answer["Regions"])


def check_regions(app: Services, account: Account, names: tuple[str, ...], path: str) -> None:
    """InvalidInput (at ``path``) for names that are no Region. AWS is asked only about names we do not know."""
    unknown = [name for name in names if name not in geography.TITLES]
    if not unknown:
        return
    try:
        enabled = enabled_regions(app, account)
    except AwsError:
        enabled = []  # without an answer, the names we know are all we have
    for name in unknown:
        if name not in enabled:
            guess = geography.nearest(name)
            hint = f" Did you mean {guess}?" if guess else ""
            raise InvalidInput(f"{name!r} is not an AWS Region.{hint}", fields={path: f"Unknown Region {name!r}.{hint}"})
