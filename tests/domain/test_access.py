"""Roles: each may do what those before it may. Secrets do not show when an entity is printed."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from server.domain.access import SYSTEM, Caller, Role, Token, TokenKind, User
from server.domain.errors import Forbidden
from server.domain.repository import Repository, StorageKind
from server.domain.workload import Account, place

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ID = UUID(int=1)
ORDER = [Role.VIEWER, Role.RESTORE_OPERATOR, Role.OPERATOR, Role.ADMINISTRATOR]


@pytest.mark.parametrize("needed", ORDER)
@pytest.mark.parametrize("held", ORDER)
def test_a_role_covers_itself_and_those_before_it(held: Role, needed: Role) -> None:
    caller = Caller(user_id=ID, name="ada", role=held)
    if ORDER.index(held) >= ORDER.index(needed):
        caller.require(needed)
        return
    with pytest.raises(Forbidden) as caught:
        caller.require(needed)
    assert needed.value in caught.value.message
    assert "ada" in caught.value.message
    assert caught.value.remedy


def test_every_role_is_in_the_order() -> None:
    assert set(ORDER) == set(Role)


def test_the_appliance_itself_may_do_everything() -> None:
    for role in Role:
        SYSTEM.require(role)


def test_no_secret_shows_in_a_repr() -> None:
    secret = "do-not-show-me"
    account = Account(id=ID, name="a", role_arn="arn", external_id=secret, aws_account_id=None, created_at=NOW)
    entities = [
        account,
        place(account, "us-east-1"),
        User(id=ID, name="ada", password_hash=secret, role=Role.VIEWER, created_at=NOW),
        Token(id=ID, user_id=ID, family=ID, kind=TokenKind.ACCESS, secret_hash=secret, issued_at=NOW, expires_at=NOW),
        Repository(
            id=ID, name="r", kind=StorageKind.S3, account_id=ID, region="r", location="b", password=secret, created_at=NOW
        ),
    ]
    assert not [entity for entity in entities if secret in repr(entity)]
