"""Whether an account is still the one it was: a role, or keys, of another account would find nothing of ours there."""

from __future__ import annotations

from server.domain.errors import AwsRejected
from server.domain.workload import Account, place
from server.services.context import Services


def require_same(app: Services, account: Account, region: str) -> None:
    """Errors: AwsRejected when another AWS account answers than the one that was added, and those of AWS."""
    answering = str(app.aws.call(place(account, region), "sts", "get_caller_identity")["Account"])
    if account.aws_account_id not in (None, answering):
        raise AwsRejected(
            f"{account.name} is answered for by account {answering}, not {account.aws_account_id}: what it does not hold is "
            "not taken for deleted.",
            remedy="Correct the role or the keys of the account.",
        )
