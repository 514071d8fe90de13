"""What every identifiable object has in common."""

from __future__ import annotations

import strawberry

from server.api.graphql.permissions import requires
from server.domain.access import Role


@requires(Role.VIEWER)
@strawberry.interface
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque; the same for ever.")


@strawberry.input
class IdInput:
    id: strawberry.ID
    dry_run: bool = False
    client_mutation_id: str | None = None


@requires(Role.VIEWER)
@strawberry.type
class RemovedPayload:
    id: strawberry.ID
    client_mutation_id: str | None


@requires(Role.VIEWER)
@strawberry.type
class Tag:
    key: str
    value: str


def tags(pairs: dict[str, str]) -> list[Tag]:
    return [Tag(key=key, value=value) for key, value in sorted(pairs.items())]
