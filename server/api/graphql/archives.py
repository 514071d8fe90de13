"""Archived points: made from backups, retrieved for some days before they can be read, and what both cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.scalars import Long, RetrievalMode, RetrievalState, StorageClass, local_id
from server.domain import archive, cost
from server.domain.access import Role
from server.domain.repository import Repository
from server.domain.restore import RestorePoint
from server.services import retrievals

if TYPE_CHECKING:
    from server.api.graphql.sessions import SessionPayload

LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]


@requires(Role.VIEWER)
@strawberry.type(description="A readable copy of an archived point: asked for, there, or over.")
class Retrieval:
    state: RetrievalState
    mode: RetrievalMode
    days: int
    requested_at: datetime
    expected_from: datetime = strawberry.field(description="When S3 says the copy is there, at the earliest.")
    expected_by: datetime = strawberry.field(description="And at the latest.")
    available_until: datetime | None

    @classmethod
    def of(cls, point: RestorePoint, row: Repository, now: datetime) -> Retrieval | None:
        record = archive.current(point.retrieval, now)
        if record is None:
            return None
        expected_from, expected_by = archive.expected(row.storage_class, record.mode, record.requested_at)
        return cls(
            state=record.state,
            mode=record.mode,
            days=record.days,
            requested_at=record.requested_at,
            expected_from=expected_from,
            expected_by=expected_by,
            available_until=record.available_until,
        )


@requires(Role.VIEWER)
@strawberry.type(description="What keeping an archived point costs; estimated from list prices, for the data it added.")
class ArchiveCost:
    storage_class: StorageClass
    usd_per_month: float
    minimum_until: datetime = strawberry.field(description="Deleted before, the rest of its minimum duration is charged.")
    usd_if_deleted_now: float
    prices_of: str = strawberry.field(description="The day of the price list.")
    exact_region: bool = strawberry.field(description="False: the Region's own prices are unknown; a dear one's are used.")

    @classmethod
    def of(cls, point: RestorePoint, row: Repository, prices: cost.Prices, now: datetime) -> ArchiveCost:
        kept = {row.storage_class: cost.Stored(1, point.stored_bytes)}
        minimum = timedelta(days=cost.MINIMUM_DAYS[row.storage_class])
        age = now - point.created_at
        return cls(
            storage_class=row.storage_class,
            usd_per_month=cost.monthly(prices, kept),
            minimum_until=point.created_at + minimum,
            usd_if_deleted_now=cost.early_deletion(prices, row.storage_class, point.stored_bytes, age),
            prices_of=prices.published.isoformat(),
            exact_region=prices.exact,
        )


@requires(Role.RESTORE_OPERATOR)
@strawberry.type(description="What retrieving would take and cost; packs and sizeBytes are what is not readable yet.")
class RetrievalEstimate:
    storage_class: StorageClass
    packs: int
    size_bytes: Long
    readable_bytes: Long
    usd: float
    usd_retrieval: float
    usd_requests: float
    usd_copies: float = strawberry.field(description="For the readable copies, kept for the days asked.")
    ready_from: datetime
    ready_by: datetime
    prices_of: str
    exact_region: bool

    @classmethod
    def of(cls, found: retrievals.Estimate) -> RetrievalEstimate:
        return cls(
            storage_class=found.storage_class,
            packs=found.packs,
            size_bytes=Long(found.size_bytes),
            readable_bytes=Long(found.readable_bytes),
            usd=found.cost.total,
            usd_retrieval=found.cost.retrieval,
            usd_requests=found.cost.requests,
            usd_copies=found.cost.copies,
            ready_from=found.ready_from,
            ready_by=found.ready_by,
            prices_of=found.prices_of.isoformat(),
            exact_region=found.exact_region,
        )


@strawberry.input
class ArchivePointsInput:
    point_ids: list[strawberry.ID]
    repository_id: strawberry.ID
    keep_days: int
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.input
class RetrievePointsInput:
    point_ids: list[strawberry.ID]
    mode: RetrievalMode = RetrievalMode.STANDARD
    days: int = 1
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.input
class ExtendRetrievalInput:
    point_id: strawberry.ID
    days: int
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.type
class ArchiveQuery:
    @strawberry.field(description="What retrieving a point, or some of its disks, would take and cost. Reads the repository.")
    @requires(Role.RESTORE_OPERATOR)
    async def estimate_retrieval(
        self,
        info: Info,
        point_id: strawberry.ID,
        mode: RetrievalMode = RetrievalMode.STANDARD,
        days: int = 1,
        disks: list[str] | None = None,
    ) -> RetrievalEstimate:
        context = info.context
        found = await in_thread(
            retrievals.estimate,
            context.app,
            context.who(),
            local_id("RestorePoint", point_id, "pointId"),
            mode=mode,
            days=days,
            disks=disks or (),
        )
        return RetrievalEstimate.of(found)


@strawberry.type
class ArchiveMutation:
    @strawberry.mutation(description="Copy backups into an archive repository, each kept until its data is so many days old.")
    @requires(Role.OPERATOR)
    async def archive_points(self, info: Info, input: ArchivePointsInput) -> LazySessionPayload:
        from server.api.graphql.operations import archive_points

        return await archive_points(info, input)

    @strawberry.mutation(description="Make archived points readable for some days. Cancel the session to withdraw.")
    @requires(Role.RESTORE_OPERATOR)
    async def retrieve_points(self, info: Info, input: RetrievePointsInput) -> LazySessionPayload:
        from server.api.graphql.operations import retrieve_points

        return await retrieve_points(info, input)

    @strawberry.mutation(description="Keep a readable copy so many days longer than it would be kept now.")
    @requires(Role.RESTORE_OPERATOR)
    async def extend_retrieval(self, info: Info, input: ExtendRetrievalInput) -> LazySessionPayload:
        from server.api.graphql.operations import extend_retrieval

        return await extend_retrieval(info, input)
