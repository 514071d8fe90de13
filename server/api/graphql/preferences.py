"""What holds for the whole appliance."""

from __future__ import annotations

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.schedule_inputs import PeriodInput
from server.api.graphql.schedule_types import Period
from server.domain import preferences as domain
from server.domain.access import Role
from server.services import preferences


@requires(Role.VIEWER)
@strawberry.type
class Preferences:
    obsolete_snapshots: Period | None = strawberry.field(
        description="How old snapshots and replicas get that no policy looks after; null: they stay."
    )

    @classmethod
    def of(cls, record: domain.Preferences) -> Preferences:
        period = record.obsolete_snapshots
        return cls(obsolete_snapshots=None if period is None else Period.of(period))


@strawberry.input
class UpdatePreferencesInput:
    obsolete_snapshots: PeriodInput | None = strawberry.field(
        default=None, description="15 to 36135 days or 1 to 1188 months; null: they stay."
    )
    dry_run: bool = False
    client_mutation_id: str | None = None


@requires(Role.VIEWER)
@strawberry.type
class PreferencesPayload:
    preferences: Preferences
    client_mutation_id: str | None


@strawberry.type
class PreferencesQuery:
    @strawberry.field
    @requires(Role.VIEWER)
    async def preferences(self, info: Info) -> Preferences:
        return Preferences.of(await in_thread(preferences.current, info.context.app, info.context.who()))


@strawberry.type
class PreferencesMutation:
    @strawberry.mutation(description="Replaces all of them.")
    @requires(Role.ADMINISTRATOR)
    async def update_preferences(self, info: Info, input: UpdatePreferencesInput) -> PreferencesPayload:
        period = None if input.obsolete_snapshots is None else input.obsolete_snapshots.read()
        changed = await in_thread(
            preferences.update,
            info.context.app,
            info.context.who(),
            period,
            dry_run=input.dry_run,
            key=input.client_mutation_id,
        )
        return PreferencesPayload(preferences=Preferences.of(changed), client_mutation_id=input.client_mutation_id)
