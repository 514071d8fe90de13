"""Why a resource is protected, or is not, and by what."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from server.api.graphql.permissions import requires
from server.domain import reasons as domain
from server.domain.access import Role
from server.services.reasons import Explained

if TYPE_CHECKING:
    from server.api.graphql.policies import Policy

LazyPolicy = Annotated["Policy", strawberry.lazy("server.api.graphql.policies")]


@strawberry.enum
class ProtectionState(enum.Enum):
    PROTECTED = "protected"
    NOT_PROTECTED = "not_protected"


@requires(Role.VIEWER)
@strawberry.type(description="What one policy does about the resource; covered: it is the one that protects it.")
class ProtectionReason:
    record: strawberry.Private[domain.Considered]
    covered: bool
    reason: str

    @strawberry.field
    def policy(self) -> LazyPolicy:
        from server.api.graphql.policies import Policy

        return Policy.of(self.record.policy)


@requires(Role.VIEWER)
@strawberry.type(description="Whether the resource is protected, by what and why.")
class Protection:
    record: strawberry.Private[domain.Protection]
    state: ProtectionState
    reason: str
    since: datetime | None = strawberry.field(
        description="Since when it belongs to the policy; null until the policy's next run, or a rescan, has found it."
    )

    @classmethod
    def of(cls, found: Explained) -> Protection:
        record = found.protection
        return cls(
            record=record,
            state=ProtectionState.NOT_PROTECTED if record.policy is None else ProtectionState.PROTECTED,
            reason=record.reason,
            since=found.since,
        )

    @strawberry.field(description="The one that protects it.")
    def policy(self) -> LazyPolicy | None:
        from server.api.graphql.policies import Policy

        return None if self.record.policy is None else Policy.of(self.record.policy)

    @strawberry.field(description="Every policy, enabled or not, and what it does about the resource; who claims first, first.")
    def considered(self) -> list[ProtectionReason]:
        return [ProtectionReason(record=one, covered=one.covered, reason=one.reason) for one in self.record.considered]
