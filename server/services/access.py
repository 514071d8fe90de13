"""Who is calling: sign-in, tokens, the first administrator.

Tokens are 256 random bits; only their SHA-256 is stored (nothing to gain from a slow hash of so much randomness). A
refresh token works once: each use makes a new pair of the same family, and showing a used one again revokes the family,
because then somebody else has it too.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from server.domain.access import Caller, Role, Token, TokenKind, User
from server.domain.errors import InvalidInput, NotFound, TokenExpired, TooManyRequests, Unauthenticated
from server.ports import Passwords, Select, Tx, Where
from server.services.context import Services

ACCESS_LIFE = timedelta(hours=1)
REFRESH_LIFE = timedelta(hours=2)  # slides: every refresh starts it anew
TOKEN_BYTES = 32
ADMINISTRATOR = "admin"
PASSWORD_MIN = 8
PASSWORD_MAX = 1024  # longer ones only cost us hashing time
NAME_MAX = 128

FREE_FAILURES = 3  # typing errors cost nothing
WINDOW = timedelta(hours=1)  # older failures are forgotten
LONGEST_DELAY = timedelta(minutes=5)
USER_DELAY = timedelta(seconds=30)  # over all addresses: slows guessing, yet nobody can lock an administrator out
REUSE_KNOWN = timedelta(days=1)  # that long after its end, showing a used refresh token is still recognised
FORGOTTEN_AT_ONCE = 50
FAMILY_MAX = 1000  # tokens of one sign-in: a day of refreshing every few minutes

WRONG = "User name or password is wrong."


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A fresh pair of tokens. Shown once; only hashes stay here."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int  # seconds the access token lives
    issued_at: datetime
    user: User


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Behind a valid access token: who, until when, and by which sign-in."""

    caller: Caller
    expires_at: datetime
    family: UUID


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# ---- the first administrator ------------------------------------------------------------------------------------------


def ensure_administrator(app: Services, passwords: Passwords, chosen: str | None, *, keep: Callable[[str], None]) -> str | None:
    """On first start, make the administrator with the chosen or a random password.

    A password that was made up goes to ``keep`` before the user is stored, so that it cannot be lost, and is returned, to
    be shown once. None when it was chosen, or when somebody exists already.
    """
    with app.store.transaction() as tx:
        if tx.users.count(Select()) > 0:
            return None
    password = chosen if chosen is not None else secrets.token_urlsafe(15)
    check_password(password)
    user = User(
        id=app.new_id(),
        name=ADMINISTRATOR,
        password_hash=passwords.hash(password),
        role=Role.ADMINISTRATOR,
        created_at=app.clock.now(),
    )
    with app.store.transaction() as tx:
        if not tx.single("first-administrator") or tx.users.count(Select()) > 0:
            return None  # another process was first
        if chosen is None:
            keep(password)
        tx.users.add(user)
    return password if chosen is None else None


def check_password(password: str) -> None:
    """InvalidInput unless the password is long enough to be worth hashing."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise InvalidInput(
            f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.",
            fields={"password": f"{PASSWORD_MIN} to {PASSWORD_MAX} characters."},
        )


def reset_password(app: Services, caller: Caller, passwords: Passwords, name: str, password: str) -> None:
    """Set a user's password and end their sessions. Errors: Forbidden, NotFound, InvalidInput."""
    caller.require(Role.ADMINISTRATOR)
    check_password(password)
    hashed = passwords.hash(password)
    with app.store.transaction() as tx:
        user = tx.users.find(name=name)
        if user is None:
            raise NotFound(f"There is no user {name}.", remedy="Check the name.")
        tx.users.save(replace(user, password_hash=hashed))
        _revoke(tx, Where("user_id", "eq", user.id), app.clock.now())
        tx.throttle.clear(f"user:{user.name}")


# ---- signing in -------------------------------------------------------------------------------------------------------


def sign_in(app: Services, passwords: Passwords, *, username: str, password: str, address: str) -> Grant:
    """Exchange name and password for tokens.

    Errors: Unauthenticated with one wording for every cause; TooManyRequests after repeated failures of this user or
    from this address, the pause doubling with each.
    """
    name, now = username.strip()[:NAME_MAX], app.clock.now()
    limits = {f"user:{name}": USER_DELAY, f"address:{address}": LONGEST_DELAY, f"user:{name}@{address}": LONGEST_DELAY}
    with app.store.transaction() as tx:
        for key, longest in limits.items():
            _refuse_while_paused(tx, key, longest, now)
        for key in limits:  # counted before the check, so that many tries at once do not slip through together
            tx.throttle.fail(key, at=now)
        user = tx.users.find(name=name)
    # Somebody unknown costs as much time as a wrong password: the reply must not tell which names exist.
    hashed = user.password_hash if user is not None else passwords.decoy
    right = passwords.verify(hashed, password[:PASSWORD_MAX])
    if user is None or not right:
        raise Unauthenticated(WRONG, remedy="Check both, and try again.")
    renewed = passwords.hash(password) if passwords.outdated(user.password_hash) else None
    with app.store.transaction() as tx:
        for key in limits:
            tx.throttle.clear(key)
        _forget_expired(tx, now)
        if renewed is not None:
            tx.users.save(replace(user, password_hash=renewed))
        return _grant(tx, app, user, family=app.new_id(), now=now)


def pause_after(failures: int, longest: timedelta) -> timedelta:
    """How long to wait after that many failures in a row: none, then 1, 2, 4 ... seconds up to ``longest``."""
    if failures <= FREE_FAILURES:
        return timedelta(0)
    exponent = min(failures - FREE_FAILURES - 1, 16)
    return min(timedelta(seconds=2**exponent), longest)


def _refuse_while_paused(tx: Tx, key: str, longest: timedelta, now: datetime) -> None:
    failures, last = tx.throttle.failures(key, since=now - WINDOW)
    if last is None:
        return
    left = (last + pause_after(failures, longest) - now).total_seconds()
    if left > 0:
        raise TooManyRequests("Too many failed sign-ins.", retry_after=left, remedy=f"Try again in {math.ceil(left)} seconds.")


def _grant(tx: Tx, app: Services, user: User, *, family: UUID, now: datetime) -> Grant:
    def issue(kind: TokenKind, life: timedelta) -> str:
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        token = Token(
            id=app.new_id(),
            user_id=user.id,
            family=family,
            kind=kind,
            secret_hash=_digest(secret),
            issued_at=now,
            expires_at=now + life,
        )
        tx.tokens.add(token)
        return secret

    return Grant(
        access_token=issue(TokenKind.ACCESS, ACCESS_LIFE),
        refresh_token=issue(TokenKind.REFRESH, REFRESH_LIFE),
        expires_in=int(ACCESS_LIFE.total_seconds()),
        issued_at=now,
        user=user,
    )


# ---- using tokens -----------------------------------------------------------------------------------------------------


def refresh(app: Services, refresh_token: str) -> Grant:
    """Exchange a refresh token for a new pair. Errors: Unauthenticated; TokenExpired."""
    now = app.clock.now()
    with app.store.transaction() as tx:
        found = tx.tokens.find(secret_hash=_digest(refresh_token))
        token = None if found is None else tx.tokens.get(found.id, lock=True)  # two uses at once: one waits, then fails
        if token is None or token.kind is not TokenKind.REFRESH:
            raise Unauthenticated("This refresh token is not valid.", remedy="Sign in again.")
        stolen = token.revoked_at is not None
        if stolen:
            _revoke(tx, Where("family", "eq", token.family), now)
        elif token.expires_at > now:
            tx.tokens.save(replace(token, revoked_at=now))
            return _grant(tx, app, tx.users.get(token.user_id), family=token.family, now=now)
    if stolen:  # raised after the commit, which must keep the revocation
        raise Unauthenticated("This refresh token was used before; its sign-in has ended.", remedy="Sign in again.")
    raise TokenExpired("The refresh token has expired.", remedy="Sign in again.")


def sign_out(app: Services, caller: Caller, bearer: str) -> None:
    """Revoke every token of the sign-in that ``bearer`` belongs to. A token that is gone is no error."""
    caller.require(Role.VIEWER)
    now = app.clock.now()
    with app.store.transaction() as tx:
        token = tx.tokens.find(secret_hash=_digest(bearer))
        if token is not None:
            _revoke(tx, Where("family", "eq", token.family), now)


def authenticate(app: Services, bearer: str) -> Identity:
    """Who holds this access token. Errors: Unauthenticated; TokenExpired."""
    now = app.clock.now()
    with app.store.transaction() as tx:
        token = tx.tokens.find(secret_hash=_digest(bearer))
        if token is None or token.kind is not TokenKind.ACCESS or token.revoked_at is not None:
            raise Unauthenticated("This access token is not valid.", remedy="Sign in again.")
        if token.expires_at <= now:
            raise TokenExpired("The access token has expired.", remedy="Refresh it, or sign in again.")
        user = tx.users.get(token.user_id)
    caller = Caller(user_id=user.id, name=user.name, role=user.role)
    return Identity(caller=caller, expires_at=token.expires_at, family=token.family)


def me(app: Services, caller: Caller) -> User:
    caller.require(Role.VIEWER)
    if caller.user_id is None:
        raise NotFound("The appliance itself has no user.")
    with app.store.transaction() as tx:
        return tx.users.get(caller.user_id)


def _revoke(tx: Tx, whose: Where, now: datetime) -> None:
    live = Select(where=(whose, Where("revoked_at", "is_null", True)), limit=FAMILY_MAX)
    for token in tx.tokens.page(live):
        tx.tokens.save(replace(token, revoked_at=now))


def _forget_expired(tx: Tx, now: datetime) -> None:
    """Remove tokens that expired a while ago: a sign-in makes two, and takes more than two away."""
    old = Select(where=(Where("expires_at", "lt", now - REUSE_KNOWN),), limit=FORGOTTEN_AT_ONCE)
    for token in tx.tokens.page(old):
        tx.tokens.remove(token.id)
