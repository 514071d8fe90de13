"""What the snapshots of a point tell of it, so that it can be imported where it is not known any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from server.domain.codec import from_json, to_json
from server.domain.periods import Frequency
from server.domain.policy import Policy
from server.domain.restore import Leg, RestorePoint
from server.domain.workload import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A point as of its creation, but for its document and the place its snapshots lie in, which they are found in.

    ``flags`` are those it was made with: retention takes away again what rules do not hold. ``aws_account_id``, ``region``,
    ``aws_id``: of the resource. ``source_id``, ``task_id``: of the snapshot a replica was made from, of the task that made it.
    """

    leg: Leg
    at: datetime
    created_at: datetime
    workload: str
    region: str
    aws_id: str
    name: str
    size_bytes: int = 0
    aws_account_id: str | None = None
    flags: tuple[Frequency, ...] = ()
    manual: bool = False
    slot_at: datetime | None = None
    expires_at: datetime | None = None
    policy_id: UUID | None = None
    policy_name: str = ""
    source_id: UUID | None = None
    task_id: UUID | None = None

    @classmethod
    def of(cls, point: RestorePoint, resource: Resource, *, aws_account_id: str | None, policy_name: str) -> Told:
        return cls(
            leg=point.leg,
            at=point.at,
            created_at=point.created_at,
            workload=point.workload,
            region=resource.region,
            aws_id=resource.aws_id,
            name=point.resource_name,
            size_bytes=point.size_bytes,
            aws_account_id=aws_account_id,
            flags=point.flags,
            manual=point.manual,
            slot_at=point.slot_at,
            expires_at=point.expires_at,
            policy_id=point.policy_id,
            policy_name=policy_name,
            source_id=point.source_id,
            task_id=point.task_id,
        )

    def to_json(self) -> dict[str, Any]:
        """Without what says nothing: tags are short of room."""
        return {key: value for key, value in to_json(self).items() if value not in (None, "", [], False)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Told:
        """ValueError when it does not fit."""
        return from_json(cls, dict(data))

    def policy(self, policies: Iterable[Policy]) -> UUID | None:
        """The policy that made it: by its id, else one of its name made anew."""
        fitting = [each for each in policies if each.workload == self.workload]
        by_id = next((each.id for each in fitting if each.id == self.policy_id), None)
        return by_id or next((each.id for each in fitting if self.policy_id and each.name == self.policy_name), None)

    def point(self, id: UUID, resource_id: UUID, account_id: UUID, region: str, document: dict[str, Any]) -> RestorePoint:
        """Whose snapshots lie in ``account_id`` and ``region``; nobody's and without source until those are looked up."""
        return RestorePoint(
            id=id,
            resource_id=resource_id,
            resource_name=self.name,
            workload=self.workload,
            account_id=account_id,
            region=region,
            leg=self.leg,
            at=self.at,
            created_at=self.created_at,
            size_bytes=self.size_bytes,
            flags=self.flags,
            manual=self.manual,
            slot_at=self.slot_at,
            expires_at=self.expires_at,
            document=document,
        )
