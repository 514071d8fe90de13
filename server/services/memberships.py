"""Who belongs to which policy since when: noted as runs start and as rescans find and lose resources.

A disabled policy has no members: while it is off it promises nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from server.domain.policy import Policy
from server.domain.promises import Membership
from server.ports import Select, Tx, Where

MEMBERS_MAX: Final = 100_000  # of one policy
NAMED: Final = 3  # resources an activity line names


@dataclass(frozen=True, slots=True)
class Change:
    joined: int = 0
    left: int = 0


def refresh(
    tx: Tx, policy: Policy, covered: Collection[UUID], now: datetime, *, among: Collection[UUID] | None = None
) -> Change:
    """Note that ``covered`` are the policy's resources from ``now`` on, and tell the activity log who joined and left.

    ``among``: only these resources are looked at, others stay what they are. A scheduled run gives the moment it was
    planned for as ``now``, so that this run's own points are promised to those who join with it. The policy's row is held
    until the transaction ends; when nothing has changed, nothing is written. Errors: NotFound when the policy is gone.
    """
    tx.policies.get(policy.id, lock=True)  # two at once: the second sees what the first has noted
    wanted = set(covered) if policy.enabled else set()
    members = {one.resource_id: one for one in _open(tx, policy)}
    looked_at = wanted | members.keys() if among is None else set(among)
    joined = sorted((wanted - members.keys()) & looked_at)
    left = sorted((members.keys() - wanted) & looked_at)
    tx.memberships.put([_left(members[id], now) for id in left] + [_joined(policy, id, now) for id in joined])
    _tell(tx, policy, joined, left, now)
    return Change(len(joined), len(left))


def _open(tx: Tx, policy: Policy) -> list[Membership]:
    where = (Where("policy_id", "eq", policy.id), Where("left_at", "is_null", True))
    return tx.memberships.page(Select(where=where, limit=MEMBERS_MAX))


def _joined(policy: Policy, resource_id: UUID, now: datetime) -> Membership:
    id = uuid5(policy.id, f"{resource_id}/{now.isoformat()}")
    return Membership(id=id, policy_id=policy.id, resource_id=resource_id, joined_at=now)


def _left(member: Membership, now: datetime) -> Membership:
    return replace(member, left_at=max(now, member.joined_at))


def _tell(tx: Tx, policy: Policy, joined: Sequence[UUID], left: Sequence[UUID], now: datetime) -> None:
    named = tx.resources.many((*joined[:NAMED], *left[:NAMED])) if joined or left else {}
    for ids, verb in ((joined, "joined"), (left, "left")):
        if not ids:
            continue
        who = ", ".join(named[id].name or named[id].aws_id for id in ids[:NAMED])
        if len(ids) > NAMED:
            who += f" and {len(ids) - NAMED} more"
        tx.activity.append(
            at=now, kind="policy", subject_id=policy.id, change="changed", message=f"{who} {verb} the policy {policy.name}."
        )
