"""Whom a run of an SLA policy owes more than its slot says, because nothing came of an earlier one (``domain.owed``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.domain.owed import Owed, owed
from server.domain.policy import Policy
from server.domain.promises import Asked, Kept
from server.domain.restore import Leg
from server.domain.schedule import Flags
from server.domain.sla import SlaTerms
from server.domain.workload import Resource
from server.ports import Tx


@dataclass(frozen=True, slots=True)
class _Answer:
    """``made``: resources that have the point; ``joined``: of those that belong to the policy, since when."""

    made: frozenset[UUID]
    joined: Mapping[UUID, datetime]

    @classmethod
    def of(cls, rows: Iterable[Kept]) -> _Answer:
        made: set[UUID] = set()
        joined: dict[UUID, datetime] = {}
        for row in rows:
            joined[row.resource_id] = max(row.joined_at, joined.get(row.resource_id, row.joined_at))
            if row.made:
                made.add(row.resource_id)
        return cls(frozenset(made), joined)

    def owes(self, one: Owed, resource_id: UUID) -> bool:
        if resource_id in self.made:
            return False
        return one.joined_by is None or (resource_id in self.joined and self.joined[resource_id] <= one.joined_by)


def found(
    tx: Tx, policy: Policy, terms: SlaTerms, flags: Flags, slots: Mapping[Leg, datetime], covered: Iterable[Resource]
) -> dict[UUID, tuple[Owed, ...]]:
    """What is owed to each of the ``covered`` besides the run's own ``flags``; those that are owed nothing are left out. A
    statement per leg in question at most, and none in most runs."""
    by_region: defaultdict[str, list[UUID]] = defaultdict(list)
    for resource in covered:
        by_region[resource.region].append(resource.id)
    questions: defaultdict[Leg, list[tuple[str, Owed]]] = defaultdict(list)
    for region in by_region:
        for one in owed(terms, region, flags, slots):
            questions[one.leg].append((region, one))
    result: defaultdict[UUID, list[Owed]] = defaultdict(list)
    for leg, asked in questions.items():
        answers = _answers(tx, policy, leg, asked)
        for (region, one), answer in zip(asked, answers, strict=True):
            for id in by_region[region]:
                if answer.owes(one, id):
                    result[id].append(one)
    return {id: tuple(each) for id, each in result.items()}


def _answers(tx: Tx, policy: Policy, leg: Leg, asked: Iterable[tuple[str, Owed]]) -> list[_Answer]:
    """Those who join with this run are not told of."""
    questions = [Asked(policy.id, region, since=one.since, until=one.slot, closes=one.slot) for region, one in asked]
    rows: list[list[Kept]] = [[] for _ in questions]
    for row in tx.promises.kept(leg, questions):
        rows[row.asked].append(row)
    return [_Answer.of(each) for each in rows]
