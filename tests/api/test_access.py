"""Signing in, tokens and their ends, over GraphQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from server.domain.access import SYSTEM, Role
from server.domain.errors import InvalidInput, Misconfigured, NotFound, TooManyRequests, Unauthenticated
from server.ports import Select
from server.services import access
from tests.api.bench import PASSWORD, Bench

SIGN_IN = """mutation($u: String!, $p: String!) {
    signIn(input: {username: $u, password: $p}) { accessToken refreshToken expiresIn user { name role } }
}"""
REFRESH = "mutation($t: String!) { refreshToken(input: {refreshToken: $t}) { accessToken refreshToken } }"
ME = "{ me { name role } }"


def sign_in(bench: Bench, name: str = "administrator", password: str = PASSWORD) -> dict[str, Any]:
    grant: dict[str, Any] = bench.data(SIGN_IN, {"u": name, "p": password}, role=None)["signIn"]
    return grant


def me(bench: Bench, token: str) -> dict[str, Any]:
    answer: dict[str, Any] = bench.client.post(
        "/graphql", json={"query": ME}, headers={"authorization": f"Bearer {token}"}
    ).json()
    return answer


def test_a_user_signs_in_and_is_who_they_are(bench: Bench) -> None:
    bench.header()
    grant = sign_in(bench)
    assert grant["expiresIn"] == 3600
    assert grant["user"] == {"name": "administrator", "role": "ADMINISTRATOR"}
    assert me(bench, grant["accessToken"])["data"]["me"]["name"] == "administrator"


def test_tokens_and_passwords_are_not_stored_as_they_are(bench: Bench) -> None:
    bench.header()
    grant = sign_in(bench)
    with bench.store._engine.connect() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM tokens, users").all())
    assert grant["accessToken"] not in rows
    assert grant["refreshToken"] not in rows
    assert PASSWORD not in rows
    assert "$argon2id$" in rows


@pytest.mark.parametrize(("name", "password"), [("administrator", "wrong"), ("nobody", PASSWORD)])
def test_every_failed_sign_in_reads_the_same(bench: Bench, name: str, password: str) -> None:
    bench.header()
    error = bench.error(SIGN_IN, {"u": name, "p": password}, role=None)
    assert error["message"] == "User name or password is wrong."
    assert error["extensions"]["code"] == "UNAUTHENTICATED"


def test_an_unknown_user_costs_a_password_check_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    verify = bench.passwords.verify

    def counting(hashed: str, password: str) -> bool:
        checked.append(hashed)
        return verify(hashed, password)

    monkeypatch.setattr(bench.passwords, "verify", counting)
    bench.error(SIGN_IN, {"u": "nobody", "p": "x"}, role=None)
    assert checked == [bench.passwords.decoy]


def test_repeated_failures_pause_sign_in_for_longer_and_longer(bench: Bench) -> None:
    bench.header()
    for _ in range(access.FREE_FAILURES + 1):
        assert bench.error(SIGN_IN, {"u": "administrator", "p": "wrong"}, role=None)["extensions"]["code"] == "UNAUTHENTICATED"
    refused = bench.error(SIGN_IN, {"u": "administrator", "p": PASSWORD}, role=None)["extensions"]
    assert refused["code"] == "TOO_MANY_REQUESTS"
    assert refused["retryAfter"] == 1.0
    bench.clock.advance(1.1)
    bench.error(SIGN_IN, {"u": "administrator", "p": "wrong"}, role=None)
    assert bench.error(SIGN_IN, {"u": "administrator", "p": PASSWORD}, role=None)["extensions"]["retryAfter"] == 2.0
    bench.clock.advance(2.1)
    sign_in(bench)
    sign_in(bench)  # a success clears the count


def test_guessing_from_many_addresses_is_slowed_but_locks_nobody_out(bench: Bench) -> None:
    bench.header()
    for number in range(60):
        bench.clock.advance(31)
        with pytest.raises(Unauthenticated):
            access.sign_in(bench.services, bench.passwords, username="administrator", password="x", address=f"10.0.0.{number}")
    with pytest.raises(TooManyRequests) as refused:
        access.sign_in(bench.services, bench.passwords, username="administrator", password=PASSWORD, address="10.1.1.1")
    assert refused.value.retry_after <= access.USER_DELAY.total_seconds()


def test_access_tokens_live_an_hour(bench: Bench) -> None:
    bench.header()
    token = sign_in(bench)["accessToken"]
    bench.clock.advance(access.ACCESS_LIFE - timedelta(seconds=1))
    assert me(bench, token)["data"]["me"]
    bench.clock.advance(1)
    error = me(bench, token)["errors"][0]
    assert error["extensions"]["code"] == "TOKEN_EXPIRED"
    assert error["extensions"]["remedy"] == "Refresh it, or sign in again."


def test_refreshing_slides_and_uses_the_old_token_up(bench: Bench) -> None:
    bench.header()
    grant = sign_in(bench)
    for _ in range(3):
        bench.clock.advance(access.REFRESH_LIFE - timedelta(minutes=1))
        used = grant["refreshToken"]
        grant = bench.data(REFRESH, {"t": used}, role=None)["refreshToken"]
        assert me(bench, grant["accessToken"])["data"]["me"]["name"] == "administrator"
    bench.clock.advance(access.REFRESH_LIFE)
    assert bench.error(REFRESH, {"t": grant["refreshToken"]}, role=None)["extensions"]["code"] == "TOKEN_EXPIRED"


def test_a_refresh_token_used_twice_ends_the_whole_sign_in(bench: Bench) -> None:
    bench.header()
    first = sign_in(bench)
    second = bench.data(REFRESH, {"t": first["refreshToken"]}, role=None)["refreshToken"]
    error = bench.error(REFRESH, {"t": first["refreshToken"]}, role=None)
    assert error["message"] == "This refresh token was used before; its sign-in has ended."
    assert me(bench, second["accessToken"])["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert bench.error(REFRESH, {"t": second["refreshToken"]}, role=None)["extensions"]["code"] == "UNAUTHENTICATED"


def test_an_access_token_is_no_refresh_token_and_the_other_way_round(bench: Bench) -> None:
    bench.header()
    grant = sign_in(bench)
    assert bench.error(REFRESH, {"t": grant["accessToken"]}, role=None)["extensions"]["code"] == "UNAUTHENTICATED"
    assert me(bench, grant["refreshToken"])["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_signing_out_ends_this_sign_in_and_no_other(bench: Bench) -> None:
    bench.header()
    one, two = sign_in(bench), sign_in(bench)
    gone = {"authorization": f"Bearer {one['accessToken']}"}
    assert bench.client.post("/graphql", json={"query": "mutation { signOut }"}, headers=gone).json() == {
        "data": {"signOut": True}
    }
    assert me(bench, one["accessToken"])["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert bench.error(REFRESH, {"t": one["refreshToken"]}, role=None)["extensions"]["code"] == "UNAUTHENTICATED"
    assert me(bench, two["accessToken"])["data"]["me"]


def test_first_start_makes_one_administrator(bench: Bench) -> None:
    kept: list[str] = []
    made = access.ensure_administrator(bench.services, bench.passwords, None, keep=kept.append)
    assert made is not None
    assert len(made) >= 16
    assert kept == [made]
    assert sign_in(bench, access.ADMINISTRATOR, made)["user"]["role"] == "ADMINISTRATOR"
    assert access.ensure_administrator(bench.services, bench.passwords, "another password", keep=kept.append) is None
    assert bench.error(SIGN_IN, {"u": "admin", "p": "another password"}, role=None)


def test_a_made_up_password_that_cannot_be_kept_makes_nobody(bench: Bench) -> None:
    def fail(_password: str) -> None:
        raise Misconfigured("The file cannot be written.")

    with pytest.raises(Misconfigured):
        access.ensure_administrator(bench.services, bench.passwords, None, keep=fail)
    assert access.ensure_administrator(bench.services, bench.passwords, None, keep=lambda _: None)


def test_first_start_takes_a_chosen_password_and_refuses_a_short_one(bench: Bench) -> None:
    kept: list[str] = []
    with pytest.raises(InvalidInput):
        access.ensure_administrator(bench.services, bench.passwords, "short", keep=kept.append)
    assert access.ensure_administrator(bench.services, bench.passwords, "long enough", keep=kept.append) is None
    assert kept == []
    assert sign_in(bench, "admin", "long enough")


def test_a_new_password_ends_all_sign_ins(bench: Bench) -> None:
    bench.header()
    old = sign_in(bench)
    access.reset_password(bench.services, SYSTEM, bench.passwords, "administrator", "a newer password")
    assert me(bench, old["accessToken"])["errors"]
    assert bench.error(SIGN_IN, {"u": "administrator", "p": PASSWORD}, role=None)
    assert sign_in(bench, password="a newer password")
    with pytest.raises(NotFound):
        access.reset_password(bench.services, SYSTEM, bench.passwords, "nobody", "a newer password")


def test_a_password_hashed_with_weaker_parameters_is_hashed_again(bench: Bench) -> None:
    bench.header()
    from server.adapters.passwords import Argon2Passwords

    stronger = Argon2Passwords(time_cost=2, memory_kib=16, lanes=1)
    access.sign_in(bench.services, stronger, username="administrator", password=PASSWORD, address="a")
    with bench.store.transaction() as tx:
        user = tx.users.find(name="administrator")
    assert user is not None
    assert "m=16,t=2" in user.password_hash
    assert sign_in(bench)


def test_roles_are_ordered() -> None:
    assert Role.ADMINISTRATOR.covers(Role.VIEWER)
    assert not Role.OPERATOR.covers(Role.ADMINISTRATOR)


def test_tokens_long_expired_are_removed(bench: Bench) -> None:
    bench.header()
    bench.clock.advance(timedelta(days=3))
    sign_in(bench)
    with bench.store.transaction() as tx:
        assert tx.tokens.count(Select()) == 2
