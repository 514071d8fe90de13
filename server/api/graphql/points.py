"""Restore points: what can be brought back."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from server.api.graphql.archives import ArchiveCost, Retrieval
from server.api.graphql.connections import Connection, Direction, connect, ordering
from server.api.graphql.context import Info
from server.api.graphql.loaders import loaders
from server.api.graphql.node import Node
from server.api.graphql.permissions import requires
from server.api.graphql.point_types import BaseCost, Damage, PointDisk
from server.api.graphql.policies import Policy
from server.api.graphql.repositories import Repository
from server.api.graphql.resources import Resource
from server.api.graphql.scalars import (
    JSON,
    Frequency,
    Health,
    Leg,
    Long,
    PointState,
    RetrievalMode,
    global_id,
    local_id,
)
from server.domain import restore as domain
from server.domain.access import Role
from server.ports import Order, Where
from server.services.points import PointSet

if TYPE_CHECKING:
    from server.api.graphql.sessions import Session, SessionPayload

LazySession = Annotated["Session", strawberry.lazy("server.api.graphql.sessions")]
LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]


@strawberry.enum(description="How a point's content was last compared with what was read from the source.")
class Proof(enum.Enum):
    VERIFICATION = domain.PROVEN_BY_VERIFICATION
    RESTORE = domain.PROVEN_BY_RESTORE


@requires(Role.VIEWER)
@strawberry.type(description="One moment of one resource in one place.")
class RestorePoint(Node):
    record: strawberry.Private[domain.RestorePoint]
    resource_name: str
    workload: str
    region: str
    leg: Leg
    at: datetime
    created_at: datetime
    state: PointState
    size_bytes: Long
    stored_bytes: Long
    is_change_tracking_base: bool
    flags: list[Frequency] = strawberry.field(description="The schedules it counts for; none: it is temporary.")
    manual: bool = strawberry.field(description="Made by hand, outside every policy and chain.")
    slot_at: datetime | None = strawberry.field(description="When the run that made it was planned.")
    health: Health = strawberry.field(description="INCOMPLETE: part of it cannot be read; the next backup heals what it can.")
    damage: Damage | None
    proven_at: datetime | None
    proven_how: Proof | None
    locked_until: datetime | None = strawberry.field(description="Nobody can delete its data before.")
    expires_at: datetime | None = strawberry.field(description="Its recorded retention; counts while no policy looks after it.")

    @classmethod
    def of(cls, record: domain.RestorePoint) -> RestorePoint:
        return cls(
            record=record,
            id=global_id("RestorePoint", record.id),
            resource_name=record.resource_name,
            workload=record.workload,
            region=record.region,
            leg=record.leg,
            at=record.at,
            created_at=record.created_at,
            state=record.state,
            size_bytes=Long(record.size_bytes),
            stored_bytes=Long(record.stored_bytes),
            is_change_tracking_base=record.base,
            flags=list(record.flags),
            manual=record.manual,
            slot_at=record.slot_at,
            health=record.health,
            damage=None if record.damage is None else Damage.of(record.damage),
            proven_at=record.proven_at,
            proven_how=None if record.proven_how is None else Proof(record.proven_how),
            locked_until=record.locked_until,
            expires_at=record.expires_at,
        )

    @strawberry.field
    async def resource(self, info: Info) -> Resource:
        return Resource.of(await loaders(info.context).resources.load(self.record.resource_id))

    @strawberry.field
    async def policy(self, info: Info) -> Policy | None:
        if self.record.policy_id is None:
            return None
        found = await loaders(info.context).policies.load(self.record.policy_id)
        return None if found is None else Policy.of(found)

    @strawberry.field
    async def session(self, info: Info) -> LazySession | None:
        from server.api.graphql.sessions import Session

        if self.record.session_id is None:
            return None
        found = await loaders(info.context).sessions.load(self.record.session_id)
        return None if found is None else Session.of(found)

    @strawberry.field
    async def repository(self, info: Info) -> Repository | None:
        if self.record.repository_id is None:
            return None
        found = await loaders(info.context).repositories.load(self.record.repository_id)
        return None if found is None else Repository.of(found)

    @strawberry.field(description="Why it is still there, or why the next pass of retention deletes it.")
    async def kept_because(self, info: Info) -> str:
        return await loaders(info.context).kept_because.load(self.record)

    @strawberry.field(description="Of the change-tracking base: what holding it costs.")
    async def base_cost(self, info: Info) -> BaseCost | None:
        if not self.record.base:
            return None
        return BaseCost.of(self.record, await loaders(info.context).prices.load(self.record.region))

    @strawberry.field(
        description="What it was made from, while the appliance knows it: an archive's backup, a replica's snapshot."
    )
    async def source(self, info: Info) -> RestorePoint | None:
        if self.record.source_id is None:
            return None
        found = await loaders(info.context).points.load(self.record.source_id)
        return None if found is None else RestorePoint.of(found)

    @strawberry.field(description="Of an archive: its readable copy; null while none was asked for.")
    async def retrieval(self, info: Info) -> Retrieval | None:
        if self.record.retrieval is None or self.record.repository_id is None:
            return None
        found = await loaders(info.context).repositories.load(self.record.repository_id)
        return None if found is None else Retrieval.of(self.record, found, info.context.app.clock.now())

    @strawberry.field(description="Of an archive: what keeping it costs, and what deleting it early would.")
    async def archive_cost(self, info: Info) -> ArchiveCost | None:
        if self.record.leg is not domain.Leg.ARCHIVE or self.record.repository_id is None:
            return None
        found = await loaders(info.context).repositories.load(self.record.repository_id)
        if found is None:
            return None
        prices = await loaders(info.context).prices.load(found.region)
        return ArchiveCost.of(self.record, found, prices, info.context.app.clock.now())

    @strawberry.field(description="The disks inside; for snapshots with their snapshot ids.")
    def disks(self, info: Info) -> list[PointDisk]:
        workload = info.context.app.workloads.get(self.record.workload)
        if workload is None:
            return []
        in_aws = self.record.leg in (domain.Leg.SNAPSHOT, domain.Leg.REPLICA)
        return [
            PointDisk(
                disk_id=disk.disk_id,
                device=str(disk.document.get("device", "")),
                size_bytes=Long(disk.size_bytes),
                snapshot_id=disk.snapshot_id if in_aws else None,
            )
            for disk in workload.disks(self.record.document)
        ]

    @strawberry.field(description="The resource as it was: what a restore works from.")
    def details(self) -> JSON:
        return JSON(self.record.document)


@strawberry.input
class RestorePointFilter:
    search: str | None = None
    resource_id: strawberry.ID | None = None
    policy_id: strawberry.ID | None = None
    repository_id: strawberry.ID | None = None
    leg: Leg | None = None
    state: PointState | None = None
    health: Health | None = None
    manual: bool | None = strawberry.field(default=None, description="Made by hand, or by a policy.")
    from_: datetime | None = strawberry.field(name="from", default=None)
    to: datetime | None = None

    def where(self) -> tuple[Where, ...]:
        found = []
        if self.search:
            found.append(Where("resource_name", "contains", self.search))
        for kind, name, value in (
            ("Resource", "resource_id", self.resource_id),
            ("Policy", "policy_id", self.policy_id),
            ("Repository", "repository_id", self.repository_id),
        ):
            if value is not None:
                found.append(Where(name, "eq", local_id(kind, value, f"filter.{kind.lower()}Id")))
        if self.leg is not None:
            found.append(Where("leg", "eq", self.leg))
        if self.state is not None:
            found.append(Where("state", "eq", self.state))
        if self.health is not None:
            found.append(Where("health", "eq", self.health))
        if self.manual is not None:
            found.append(Where("manual", "eq", self.manual))
        if self.from_ is not None:
            found.append(Where("at", "ge", self.from_))
        if self.to is not None:
            found.append(Where("at", "lt", self.to))
        return tuple(found)


@strawberry.enum
class RestorePointOrderField(enum.Enum):
    AT = "at"
    RESOURCE_NAME = "resource_name"
    SIZE_BYTES = "size_bytes"
    PROVEN_AT = "proven_at"


@strawberry.input
class RestorePointOrder:
    field: RestorePointOrderField
    direction: Direction = Direction.ASC


@strawberry.input
class DeletePointsInput:
    ids: list[strawberry.ID]
    dry_run: bool = False
    client_mutation_id: str | None = None


strawberry.enum(
    PointSet,
    description="ALL_SNAPSHOTS: with replicas and those made by hand; LOCAL_SNAPSHOTS, REPLICAS: of policies; "
    "STANDARD_BACKUPS: all but archives.",
)


@strawberry.input
class DeletePointSetInput:
    resource_ids: list[strawberry.ID]
    set: PointSet
    dry_run: bool = False
    client_mutation_id: str | None = None


@requires(Role.VIEWER)
@strawberry.type(description="session is null for a dry run, and when there is nothing to delete.")
class DeletePointSetPayload:
    session: LazySession | None
    count: int
    client_mutation_id: str | None


@strawberry.input
class VolumeRestoreInput:
    point_id: strawberry.ID
    account_id: strawberry.ID
    region: str
    zone: str
    disks: list[str] = strawberry.field(default_factory=list)
    name_suffix: str = "-restored"
    volume_type: str | None = None
    retrieval_mode: RetrievalMode = strawberry.field(
        default=RetrievalMode.STANDARD, description="How an archived point that is not readable is retrieved first."
    )
    retrieval_days: int = 1
    reason: str = ""
    dry_run: bool = False
    client_mutation_id: str | None = None

    def read(self) -> domain.VolumeRestore:
        return domain.VolumeRestore(
            account_id=local_id("Account", self.account_id, "accountId"),
            region=self.region,
            zone=self.zone,
            disks=tuple(self.disks),
            name_suffix=self.name_suffix,
            volume_type=self.volume_type,
            retrieval_mode=self.retrieval_mode,
            retrieval_days=self.retrieval_days,
        )


@strawberry.input
class InstanceRestoreInput:
    point_id: strawberry.ID
    account_id: strawberry.ID
    region: str
    name: str
    subnet_id: str | None = None
    security_group_ids: list[str] = strawberry.field(default_factory=list)
    instance_type: str | None = None
    iam_instance_profile: str | None = None
    image_id: str | None = None
    power_on: bool = True
    retrieval_mode: RetrievalMode = RetrievalMode.STANDARD
    retrieval_days: int = 1
    reason: str = ""
    dry_run: bool = False
    client_mutation_id: str | None = None

    def read(self) -> domain.InstanceRestore:
        return domain.InstanceRestore(
            account_id=local_id("Account", self.account_id, "accountId"),
            region=self.region,
            name=self.name,
            subnet_id=self.subnet_id,
            security_group_ids=tuple(self.security_group_ids),
            instance_type=self.instance_type,
            iam_instance_profile=self.iam_instance_profile,
            image_id=self.image_id,
            power_on=self.power_on,
            retrieval_mode=self.retrieval_mode,
            retrieval_days=self.retrieval_days,
        )


@strawberry.type
class PointQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    async def restore_points(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        offset: int = 0,
        filter: RestorePointFilter | None = None,
        order: list[RestorePointOrder] | None = None,
    ) -> Connection[RestorePoint]:
        return await connect(
            info,
            "points",
            RestorePoint.of,
            first=first,
            after=after,
            offset=offset,
            where=filter.where() if filter else (),
            order=ordering(order, Order("at", descending=True)),
        )


@strawberry.type
class PointMutation:
    @strawberry.mutation(description="Bring disks of a point back as new volumes.")
    @requires(Role.RESTORE_OPERATOR)
    async def start_volume_restore(self, info: Info, input: VolumeRestoreInput) -> LazySessionPayload:
        from server.api.graphql.operations import start_volume_restore

        return await start_volume_restore(info, input)

    @strawberry.mutation(description="Bring an instance back as a new one.")
    @requires(Role.RESTORE_OPERATOR)
    async def start_instance_restore(self, info: Info, input: InstanceRestoreInput) -> LazySessionPayload:
        from server.api.graphql.operations import start_instance_restore

        return await start_instance_restore(info, input)

    @strawberry.mutation(description="Delete points: snapshots in AWS, backups in their repository.")
    @requires(Role.OPERATOR)
    async def delete_restore_points(self, info: Info, input: DeletePointsInput) -> LazySessionPayload:
        from server.api.graphql.operations import delete_restore_points

        return await delete_restore_points(info, input)

    @strawberry.mutation(description="Delete all points of these resources that belong to a set.")
    @requires(Role.OPERATOR)
    async def delete_restore_point_set(self, info: Info, input: DeletePointSetInput) -> DeletePointSetPayload:
        from server.api.graphql.operations import delete_restore_point_set

        return await delete_restore_point_set(info, input)
