"""Looking after what is kept: collections, rescans, checks and verifications, each a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from server.api.graphql.context import Info
from server.api.graphql.node import IdInput
from server.api.graphql.permissions import requires
from server.api.graphql.scalars import CheckLevel
from server.domain.access import Role

if TYPE_CHECKING:
    from server.api.graphql.sessions import SessionPayload

LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]


@strawberry.input
class CheckRepositoryInput:
    id: strawberry.ID
    level: CheckLevel
    shares: int = strawberry.field(
        default=1, description="CONTENT reads one of so many shares of all blocks, another each day; 1: all of them."
    )
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.input
class VerifyPointsInput:
    ids: list[strawberry.ID]
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.type
class UpkeepMutation:
    @strawberry.mutation(description="Free the space of forgotten points, and pack what is left more tightly when worth it.")
    @requires(Role.OPERATOR)
    async def collect_garbage(self, info: Info, input: IdInput) -> LazySessionPayload:
        from server.api.graphql.operations import collect_garbage

        return await collect_garbage(info, input)

    @strawberry.mutation(description="Look what points a repository holds: import new ones, note lost ones.")
    @requires(Role.OPERATOR)
    async def rescan_repository(self, info: Info, input: IdInput) -> LazySessionPayload:
        from server.api.graphql.operations import rescan_repository

        return await rescan_repository(info, input)

    @strawberry.mutation(description="Is everything in a repository there and intact? Damage names points, disks and bytes.")
    @requires(Role.OPERATOR)
    async def check_repository(self, info: Info, input: CheckRepositoryInput) -> LazySessionPayload:
        from server.api.graphql.operations import check_repository

        return await check_repository(info, input)

    @strawberry.mutation(description="Run a policy's health check now.")
    @requires(Role.OPERATOR)
    async def start_health_check(self, info: Info, input: IdInput) -> LazySessionPayload:
        from server.api.graphql.operations import start_health_check

        return await start_health_check(info, input)

    @strawberry.mutation(description="Read all of these backups and compare them with what was read from the source.")
    @requires(Role.OPERATOR)
    async def verify_restore_points(self, info: Info, input: VerifyPointsInput) -> LazySessionPayload:
        from server.api.graphql.operations import verify_restore_points

        return await verify_restore_points(info, input)
