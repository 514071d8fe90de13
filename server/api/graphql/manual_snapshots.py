"""Snapshots made by hand, outside every policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.policy_inputs import TagInput
from server.api.graphql.scalars import local_id
from server.domain.access import Role
from server.domain.policy import Tag
from server.services import manual_snapshots as services

if TYPE_CHECKING:
    from server.api.graphql.sessions import SessionPayload

LazySessionPayload = Annotated["SessionPayload", strawberry.lazy("server.api.graphql.sessions")]


@strawberry.input(description="Another place to keep the snapshot in: it is copied there, and the original deleted.")
class SnapshotPlaceInput:
    account_id: strawberry.ID
    region: str
    kms_key: str | None = strawberry.field(default=None, description="Id, alias or ARN of a key there; null: not encrypted.")


@strawberry.input
class TakeManualSnapshotInput:
    resource_ids: list[strawberry.ID]
    keep_days: int | None = strawberry.field(default=None, description="Null: until somebody deletes it.")
    tags: list[TagInput] = strawberry.field(default_factory=list)
    copy_tags: bool = strawberry.field(default=True, description="The volumes' tags go onto their snapshots.")
    place: SnapshotPlaceInput | None = strawberry.field(default=None, description="Null: where the resource is.")
    dry_run: bool = False
    client_mutation_id: str | None = None

    def order(self) -> services.ManualOrder:
        place = self.place
        return services.ManualOrder(
            keep_days=self.keep_days,
            tags=tuple(Tag(key=tag.key.strip(), value=tag.value) for tag in self.tags),
            copy_tags=self.copy_tags,
            place=None
            if place is None
            else services.ManualPlace(
                account_id=local_id("Account", place.account_id, "place.accountId"),
                region=place.region,
                kms_key=place.kms_key,
            ),
        )


@strawberry.type
class ManualSnapshotMutation:
    @strawberry.mutation(description="Snapshot resources now, outside every policy and its retention.")
    @requires(Role.OPERATOR)
    async def take_manual_snapshot(self, info: Info, input: TakeManualSnapshotInput) -> LazySessionPayload:
        from server.api.graphql.operations import session_key
        from server.api.graphql.sessions import Session, SessionPayload

        context = info.context
        started = await in_thread(
            services.take,
            context.app,
            context.who(),
            [local_id("Resource", id, "resourceIds") for id in input.resource_ids],
            input.order(),
            dry_run=input.dry_run,
            key=session_key(context, "takeManualSnapshot", input.client_mutation_id),
        )
        shown = None if started is None else Session.of(started)
        return SessionPayload(session=shown, client_mutation_id=input.client_mutation_id)
