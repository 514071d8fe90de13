"""Signing in and out, and who one is."""

from __future__ import annotations

from datetime import datetime

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.node import Node
from server.api.graphql.permissions import Public, requires
from server.api.graphql.scalars import Role, global_id
from server.domain import access as domain
from server.services import access


@requires(Public)
@strawberry.type
class User(Node):
    name: str
    role: Role

    @classmethod
    def of(cls, record: domain.User) -> User:
        return cls(id=global_id("User", record.id), name=record.name, role=record.role)


@strawberry.input
class SignInInput:
    username: str
    password: str


@strawberry.input
class RefreshTokenInput:
    refresh_token: str


@requires(Public)
@strawberry.type(description="Bearer tokens. expiresIn is the access token's life in seconds.")
class SignInPayload:
    access_token: str
    refresh_token: str
    expires_in: int
    issued_at: datetime
    user: User

    @classmethod
    def of(cls, grant: access.Grant) -> SignInPayload:
        return cls(
            access_token=grant.access_token,
            refresh_token=grant.refresh_token,
            expires_in=grant.expires_in,
            issued_at=grant.issued_at,
            user=User.of(grant.user),
        )


@requires(Public)
@strawberry.type
class Version:
    version: str


@strawberry.type
class AccessQuery:
    @strawberry.field
    @requires(domain.Role.VIEWER)
    async def me(self, info: Info) -> User:
        context = info.context
        return User.of(await in_thread(access.me, context.app, context.who()))

    @strawberry.field
    @requires(domain.Role.VIEWER)
    def version(self, info: Info) -> Version:
        return Version(version=info.context.version)


@strawberry.type
class AccessMutation:
    @strawberry.mutation(description="Exchange name and password for tokens.")
    @requires(Public)
    async def sign_in(self, info: Info, input: SignInInput) -> SignInPayload:
        context = info.context
        grant = await in_thread(
            access.sign_in,
            context.app,
            context.passwords,
            username=input.username,
            password=input.password,
            address=context.address,
        )
        return SignInPayload.of(grant)

    @strawberry.mutation(description="Exchange a refresh token for a new pair; the old one is used up.")
    @requires(Public)
    async def refresh_token(self, info: Info, input: RefreshTokenInput) -> SignInPayload:
        return SignInPayload.of(await in_thread(access.refresh, info.context.app, input.refresh_token))

    @strawberry.mutation(description="Revoke the tokens this sign-in made.")
    @requires(domain.Role.VIEWER)
    async def sign_out(self, info: Info) -> bool:
        context = info.context
        await in_thread(access.sign_out, context.app, context.who(), context.bearer or "")
        return True
