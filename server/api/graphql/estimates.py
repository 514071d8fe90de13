"""What policies cost: estimates from list prices, what points really take, and the prices themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.policy_inputs import PolicyInput
from server.api.graphql.scalars import Leg, Long, global_id, local_id
from server.domain import estimate as domain
from server.domain import regions as geography
from server.domain.access import Role
from server.domain.cost import PriceSource
from server.domain.errors import InvalidInput
from server.domain.estimate import Component, totals
from server.domain.repository import StorageClass
from server.services import actual_costs, estimates, prices

if TYPE_CHECKING:
    from server.api.graphql.sessions import SessionPayload

LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]

ROWS_MAX = 500
strawberry.enum(PriceSource, description="The table bundled with this version, or AWS's price list.")
strawberry.enum(Component, name="CostComponent", description="What is paid for. BASE: the change-tracking base.")
DEFAULTS = domain.Assumptions()


@strawberry.input(description="Percent, for resources no backup has measured yet.")
class AssumptionsInput:
    change: float = strawberry.field(default=DEFAULTS.change, description="Of a disk's data that changes a day.")
    used: float = strawberry.field(default=DEFAULTS.used, description="Of a disk that holds data.")
    stored: float = strawberry.field(default=DEFAULTS.stored, description="Of what is read that is left when it is stored.")

    def read(self) -> domain.Assumptions:
        return domain.Assumptions(change=self.change, used=self.used, stored=self.stored)


@requires(Role.VIEWER)
@strawberry.type(description="List prices of one Region in USD; a GiB is what AWS calls a GB.")
class RegionPrices:
    region: str
    title: str
    source: PriceSource
    published: str = strawberry.field(description="The day of the price list.")
    fetched_at: datetime | None
    exact: bool = strawberry.field(description="False: the Region's own prices are unknown; a dear one's are used.")
    missing: list[str] = strawberry.field(description="Rates AWS's list did not have; they are the bundled ones.")
    snapshot_gib: float = strawberry.field(description="A GiB of snapshot for a month.")
    standard_gib: float = strawberry.field(description="A GiB in S3 Standard for a month.")
    glacier_gib: float
    deep_archive_gib: float
    blocks_read: float = strawberry.field(description="1,000 blocks of 512 KiB read through the EBS direct APIs.")
    uploads: float = strawberry.field(description="1,000 uploads to S3 Standard.")

    @classmethod
    def of(cls, book: prices.Book) -> RegionPrices:
        listed = book.prices
        return cls(
            region=listed.region,
            title=geography.title(listed.region),
            source=listed.source,
            published=listed.published.isoformat(),
            fetched_at=book.fetched_at,
            exact=listed.exact,
            missing=list(listed.missing),
            snapshot_gib=listed.snapshot,
            standard_gib=listed.storage[StorageClass.STANDARD].month,
            glacier_gib=listed.storage[StorageClass.GLACIER].month,
            deep_archive_gib=listed.storage[StorageClass.DEEP_ARCHIVE].month,
            blocks_read=listed.direct.reads,
            uploads=listed.storage[StorageClass.STANDARD].put,
        )


@requires(Role.VIEWER)
@strawberry.type(description="USD a month.")
class CostPart:
    component: Component
    usd: float


@requires(Role.VIEWER)
@strawberry.type(description="USD a month.")
class CostOfLeg:
    leg: Leg
    usd: float
    parts: list[CostPart]

    @classmethod
    def all(cls, amounts: Mapping[tuple[Leg, Component], float]) -> list[CostOfLeg]:
        return [
            cls(
                leg=leg,
                usd=sum(parts.values()),
                parts=[CostPart(component=component, usd=usd) for component, usd in parts.items()],
            )
            for leg, parts in estimates.legs(amounts)
        ]


@requires(Role.VIEWER)
@strawberry.type
class CostLine:
    leg: Leg
    component: Component
    what: str
    region: str = strawberry.field(description="Whose prices.")
    quantity: float
    unit: str
    usd: float = strawberry.field(description="A month.")


@requires(Role.VIEWER)
@strawberry.type(description="What protecting one resource costs a month.")
class CostRow:
    record: strawberry.Private[domain.Row]
    resource_id: strawberry.ID
    name: str
    aws_id: str
    region: str
    size_bytes: Long = strawberry.field(description="Of its disks but for excluded ones.")
    measured: bool = strawberry.field(description="Its change rate was measured by its backups.")
    change: float | None = strawberry.field(description="Percent of its data a day, where measured.")
    usd: float
    legs: list[CostOfLeg]

    @classmethod
    def of(cls, row: domain.Row) -> CostRow:
        one = row.subject
        return cls(
            record=row,
            resource_id=global_id("Resource", one.id),
            name=one.name,
            aws_id=one.aws_id,
            region=one.region,
            size_bytes=Long(one.size_bytes),
            measured=one.measured.change is not None,
            change=None if one.measured.change is None else one.measured.change * 100,
            usd=row.usd,
            legs=CostOfLeg.all(totals([row])),
        )

    @strawberry.field
    def lines(self) -> list[CostLine]:
        return [
            CostLine(
                leg=line.leg,
                component=line.component,
                what=line.what,
                region=line.region,
                quantity=line.quantity,
                unit=line.unit,
                usd=line.usd,
            )
            for line in self.record.lines
        ]


@requires(Role.VIEWER)
@strawberry.type(description="Shares used where nothing was measured, in percent.")
class Assumptions:
    change: float
    used: float
    stored: float


@requires(Role.VIEWER)
@strawberry.type(description="USD a month once every retention has filled; list prices, before tax and discounts.")
class CostEstimate:
    record: strawberry.Private[estimates.Estimate]
    usd: float
    legs: list[CostOfLeg]
    resource_count: int
    measured_count: int
    assumptions: Assumptions
    prices: list[RegionPrices]
    notes: list[str] = strawberry.field(description="What the estimate rests on, and what it leaves out.")

    @classmethod
    def of(cls, found: estimates.Estimate) -> CostEstimate:
        assumed = found.assumed
        return cls(
            record=found,
            usd=found.usd,
            legs=CostOfLeg.all(found.totals),
            resource_count=len(found.rows),
            measured_count=found.measured,
            assumptions=Assumptions(change=assumed.change, used=assumed.used, stored=assumed.stored),
            prices=[RegionPrices.of(book) for book in found.books],
            notes=list(found.notes),
        )

    @strawberry.field(description="Resources, the dearest first.")
    def rows(self, first: int, offset: int = 0) -> list[CostRow]:
        if not 1 <= first <= ROWS_MAX or offset < 0:
            raise InvalidInput(f"Ask for 1 to {ROWS_MAX} rows.", fields={"first": f"1 to {ROWS_MAX}."})
        return [CostRow.of(row) for row in self.record.rows[offset : offset + first]]

    @strawberry.field(description="All rows and the totals, as comma-separated values.")
    def csv(self) -> str:
        return estimates.as_csv(self.record)


@requires(Role.VIEWER)
@strawberry.type(
    description="What a policy's points of one leg take now, and what the assumptions alone would have said of them."
)
class ActualCost:
    leg: Leg
    points: int
    gib: float
    usd: float = strawberry.field(description="A month.")
    estimated_gib: float
    estimated_usd: float
    read_gib: float = strawberry.field(description="Read from the sources in the last 30 days.")
    exact: bool = strawberry.field(description="The bytes are known; else they follow from the measured change rate.")


@strawberry.input
class RefreshPricesInput:
    regions: list[str] | None = strawberry.field(default=None, description="Null: all Regions in use.")
    dry_run: bool = False
    client_mutation_id: str | None = None


@strawberry.type
class EstimateQuery:
    @strawberry.field(description="What a policy would cost, saved like this; id: of the one it would replace.")
    @requires(Role.VIEWER)
    async def estimate_policy(
        self,
        info: Info,
        input: PolicyInput,
        id: strawberry.ID | None = None,
        assumptions: AssumptionsInput | None = None,
    ) -> CostEstimate:
        context = info.context
        found = await in_thread(
            estimates.of_draft,
            context.app,
            context.who(),
            input.read(),
            (assumptions or AssumptionsInput()).read(),
            id=None if id is None else local_id("Policy", id),
        )
        return CostEstimate.of(found)

    @strawberry.field(description="What a policy costs as it is.")
    @requires(Role.VIEWER)
    async def policy_estimate(self, info: Info, id: strawberry.ID, assumptions: AssumptionsInput | None = None) -> CostEstimate:
        context = info.context
        assumed = (assumptions or AssumptionsInput()).read()
        return CostEstimate.of(
            await in_thread(estimates.of_policy, context.app, context.who(), local_id("Policy", id), assumed)
        )

    @strawberry.field(description="What the points of a policy really take, leg by leg.")
    @requires(Role.VIEWER)
    async def policy_actual_costs(
        self, info: Info, id: strawberry.ID, assumptions: AssumptionsInput | None = None
    ) -> list[ActualCost]:
        context = info.context
        assumed = (assumptions or AssumptionsInput()).read()
        found = await in_thread(actual_costs.of_policy, context.app, context.who(), local_id("Policy", id), assumed)
        return [
            ActualCost(
                leg=one.leg,
                points=one.points,
                gib=one.gib,
                usd=one.usd,
                estimated_gib=one.estimated_gib,
                estimated_usd=one.estimated_usd,
                read_gib=one.read_gib,
                exact=one.exact,
            )
            for one in found
        ]

    @strawberry.field(description="The prices estimates use, of every Region in use.")
    @requires(Role.VIEWER)
    async def prices(self, info: Info) -> list[RegionPrices]:
        return [RegionPrices.of(book) for book in await in_thread(prices.known, info.context.app, info.context.who())]


@strawberry.type
class EstimateMutation:
    @strawberry.mutation(description="Read AWS's price list now. It is read once a week by itself.")
    @requires(Role.OPERATOR)
    async def refresh_prices(self, info: Info, input: RefreshPricesInput) -> LazySessionPayload:
        from server.api.graphql.operations import refresh_prices

        return await refresh_prices(info, input)
