"""The parts a policy is made of, as the schema shows them."""

from __future__ import annotations

from uuid import UUID

import strawberry

from server.api.graphql.accounts import Account
from server.api.graphql.context import Info
from server.api.graphql.loaders import loaders
from server.api.graphql.permissions import requires
from server.api.graphql.resources import Resource
from server.api.graphql.scalars import KeyUsage, Ordinal, SelectionMode, Weekday
from server.api.graphql.schedule_types import Period
from server.domain import guest as guests
from server.domain import policy as domain
from server.domain import replicas
from server.domain import scope as scopes
from server.domain.access import Role


@requires(Role.VIEWER)
@strawberry.type(description="A tag condition; without a value, any value of the key.")
class TagMatch:
    key: str
    value: str | None


def _matches(tags: tuple[scopes.TagMatch, ...]) -> list[TagMatch]:
    return [TagMatch(key=one.key, value=one.value) for one in tags]


@requires(Role.VIEWER)
@strawberry.type(description="Volumes of covered instances that are left out.")
class VolumeExclusions:
    system: bool = strawberry.field(description="The root device's.")
    volume_ids: list[str]
    tags: list[TagMatch]

    @classmethod
    def of(cls, record: scopes.VolumeExclusions) -> VolumeExclusions:
        return cls(system=record.system, volume_ids=list(record.volume_ids), tags=_matches(record.tags))


@requires(Role.VIEWER)
@strawberry.type
class Scope:
    record: strawberry.Private[scopes.Scope]
    regions: list[str]
    mode: SelectionMode
    tags: list[TagMatch]
    excluded_tags: list[TagMatch]
    excluded_volumes: VolumeExclusions

    @classmethod
    def of(cls, record: scopes.Scope) -> Scope:
        return cls(
            record=record,
            regions=list(record.regions),
            mode=record.mode,
            tags=_matches(record.tags),
            excluded_tags=_matches(record.excluded_tags),
            excluded_volumes=VolumeExclusions.of(record.excluded_volumes),
        )

    @strawberry.field
    async def account(self, info: Info) -> Account:
        return Account.of(await loaders(info.context).accounts.load(self.record.account_id))

    @strawberry.field
    async def resources(self, info: Info) -> list[Resource]:
        return await _resources(info, self.record.resource_ids)

    @strawberry.field
    async def excluded_resources(self, info: Info) -> list[Resource]:
        return await _resources(info, self.record.excluded_resource_ids)


async def _resources(info: Info, ids: tuple[UUID, ...]) -> list[Resource]:
    found = await loaders(info.context).resources.load_many(ids)
    return [Resource.of(one) for one in found if one is not None]


@requires(Role.VIEWER)
@strawberry.type(description="Where copies of some Regions' snapshots go; without Regions, of all that no other one names.")
class ReplicaTarget:
    record: strawberry.Private[replicas.ReplicaTarget]
    regions: list[str]
    region: str
    encrypt: bool
    kms_key: str | None = strawberry.field(description="Null: the Region's default EBS key.")
    key_usage: KeyUsage

    @classmethod
    def of(cls, record: replicas.ReplicaTarget) -> ReplicaTarget:
        return cls(
            record=record,
            regions=list(record.regions),
            region=record.region,
            encrypt=record.encrypt,
            kms_key=record.kms_key,
            key_usage=record.key_usage,
        )

    @strawberry.field(description="Null when it was removed.")
    async def account(self, info: Info) -> Account | None:
        found = await loaders(info.context).accounts.load(self.record.account_id)
        return None if found is None else Account.of(found)


@requires(Role.VIEWER)
@strawberry.type(description="A file in the guest, and what it is called with.")
class Script:
    path: str
    arguments: str

    @classmethod
    def maybe(cls, record: guests.Script | None) -> Script | None:
        return None if record is None else cls(path=record.path, arguments=record.arguments)


@requires(Role.VIEWER)
@strawberry.type
class Scripts:
    pre: Script | None
    post: Script | None
    timeout_seconds: int
    only_for_backups: bool
    ignore_missing: bool
    ignore_exit_codes: bool

    @classmethod
    def maybe(cls, record: guests.Scripts | None) -> Scripts | None:
        if record is None:
            return None
        return cls(
            pre=Script.maybe(record.pre),
            post=Script.maybe(record.post),
            timeout_seconds=record.timeout_seconds,
            only_for_backups=record.only_for_backups,
            ignore_missing=record.ignore_missing,
            ignore_exit_codes=record.ignore_exit_codes,
        )


@requires(Role.VIEWER)
@strawberry.type(description="What happens inside the guests around a snapshot.")
class Guest:
    application_aware: bool
    linux: Scripts | None
    windows: Scripts | None

    @classmethod
    def of(cls, record: guests.Guest) -> Guest:
        return cls(
            application_aware=record.application_aware,
            linux=Scripts.maybe(record.linux),
            windows=Scripts.maybe(record.windows),
        )


@requires(Role.VIEWER)
@strawberry.type(description="What is kept of points no schedule makes: of runs by hand where no schedule makes the leg.")
class Retention:
    snapshots: int
    replicas: int
    backups: Period
    archives: Period

    @classmethod
    def of(cls, record: domain.Retention) -> Retention:
        return cls(
            snapshots=record.snapshots,
            replicas=record.replicas,
            backups=Period.of(record.backups),
            archives=Period.of(record.archives),
        )


@requires(Role.VIEWER)
@strawberry.type(description="Mail about the policy's sessions, in place of the appliance's own settings.")
class Notifications:
    recipients: list[str]
    on_success: bool
    on_warning: bool
    on_failure: bool
    last_attempt_only: bool
    only_missed: bool
    at_minute: int | None

    @classmethod
    def maybe(cls, record: domain.Notifications | None) -> Notifications | None:
        if record is None:
            return None
        return cls(
            recipients=list(record.recipients),
            on_success=record.on_success,
            on_warning=record.on_warning,
            on_failure=record.on_failure,
            last_attempt_only=record.last_attempt_only,
            only_missed=record.only_missed,
            at_minute=record.at_minute,
        )


@requires(Role.VIEWER)
@strawberry.type(description="Once a month on that weekday: are the backups whole? A twelfth of the blocks is read each time.")
class HealthCheck:
    ordinal: Ordinal
    weekday: Weekday

    @classmethod
    def maybe(cls, record: domain.HealthCheck | None) -> HealthCheck | None:
        return None if record is None else cls(ordinal=record.ordinal, weekday=record.weekday)
