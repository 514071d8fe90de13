"""Which policy looks after which resource's restore points, and what it decides about them.

The policy that made the newest point does, enabled or not, as long as it still covers the resource: so one that moved to
another policy is kept by that one's rules alone, its whole chain, from that policy's first run on. Otherwise the enabled policy
that covers it now. Otherwise nobody, and its points are *unattended*.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from server.domain import keeping
from server.domain.access import Caller, Role
from server.domain.periods import Period
from server.domain.policy import Policy, rank
from server.domain.preferences import PREFERENCES_ID
from server.domain.restore import PointState, RestorePoint
from server.domain.retention import Decision, Rules, decide, decide_unattended
from server.domain.scope import verdict
from server.domain.sla import SlaTerms
from server.domain.templates import StorageTemplate
from server.domain.workload import Resource
from server.ports import Order, Select, Tx, Where
from server.services.context import Services

PAGE: Final = 1000  # points read at a time
POLICIES_MAX: Final = 1000  # more than an appliance has
LIVE: Final = (PointState.AVAILABLE, PointState.DELETING)


@dataclass(frozen=True, slots=True)
class Keeper:
    """A policy, as far as keeping goes. ``terms``: of an SLA policy's template."""

    policy: Policy
    terms: SlaTerms | None
    rules: Rules
    repositories: frozenset[UUID]
    track: bool

    @classmethod
    def made(cls, policy: Policy, terms: SlaTerms | None, storage: StorageTemplate | None) -> Keeper:
        named = {policy.repository_id, policy.archive_repository_id} - {None}
        repositories = {id for id in named if id is not None}
        if storage is not None:
            repositories |= storage.backup.all() | (storage.archive.all() if storage.archive else frozenset())
        rules = keeping.rules(policy, terms)
        return cls(policy, terms, rules, frozenset(repositories), keeping.tracks_changes(policy, terms))


class Keepers:
    """All policies as they are in one transaction, and who looks after what. Three statements, whatever is asked after."""

    def __init__(self, tx: Tx) -> None:
        found = tx.policies.page(Select(limit=POLICIES_MAX))
        templates = tx.sla_templates.many(one.sla_template_id for one in found if one.sla_template_id is not None)
        storages = tx.storage_templates.many(one.storage_template_id for one in found if one.storage_template_id is not None)
        terms = {id: template.terms for id, template in templates.items()}
        self.of_policy: dict[UUID, Keeper] = {
            one.id: Keeper.made(one, terms.get(one.sla_template_id or one.id), storages.get(one.storage_template_id or one.id))
            for one in found
        }
        self._claimants = [self.of_policy[one.id] for one in sorted(found, key=rank) if one.enabled]
        self.obsolete = obsolete_after(tx)

    def of(self, resource: Resource, chain: Sequence[RestorePoint]) -> Keeper | None:
        """``chain``: all points of the resource."""
        made = [point for point in chain if point.state is PointState.AVAILABLE and not point.manual]
        newest = max(made, key=lambda point: (point.at, point.policy_id is not None, point.id), default=None)
        maker = self.of_policy.get(newest.policy_id) if newest is not None and newest.policy_id is not None else None
        if maker is not None and _covers(maker.policy, resource):
            return maker
        return next((each for each in self._claimants if _covers(each.policy, resource)), None)

    def decided(self, keeper: Keeper | None, chain: Sequence[RestorePoint], now: datetime) -> list[Decision]:
        """What ``keeper`` (None: nobody) has to say about each point of a resource."""
        if keeper is None:
            return decide_unattended(chain, self.obsolete, now)
        return decide(chain, keeper.rules, now, repositories=keeper.repositories, track=keeper.track, obsolete=self.obsolete)


def obsolete_after(tx: Tx) -> Period | None:
    """How old snapshots get that no policy looks after; None: they stay."""
    found = tx.preferences.many([PREFERENCES_ID]).get(PREFERENCES_ID)
    return found.obsolete_snapshots if found is not None else None


def _covers(policy: Policy, resource: Resource) -> bool:
    return policy.workload == resource.workload and verdict(policy.scope, resource).covered


def chains(tx: Tx, resources: Collection[UUID]) -> dict[UUID, list[RestorePoint]]:
    """All points of each resource that are not deleted, the oldest first; empty for one without any."""
    found: dict[UUID, list[RestorePoint]] = {id: [] for id in resources}
    for point in live_points(tx, (Where("resource_id", "in", list(resources)),)) if resources else ():
        found[point.resource_id].append(point)
    return found


def live_points(tx: Tx, where: tuple[Where, ...]) -> Iterator[RestorePoint]:
    """Points that match and are not deleted, resource by resource, the oldest first; read in pages."""
    after: tuple[Any, ...] | None = None
    while True:
        order = (Order("resource_id"), Order("at"))
        select = Select(where=(*where, Where("state", "in", LIVE)), order=order, after=after, limit=PAGE)
        rows = tx.points.page(select)
        yield from rows
        if len(rows) < PAGE:
            return
        after = (rows[-1].resource_id, rows[-1].at, rows[-1].id)


def reasons(app: Services, caller: Caller, points: Sequence[RestorePoint]) -> dict[UUID, str]:
    """Why each point is kept, or why the next pass removes it. A fixed number of statements besides the pages of the chains."""
    caller.require(Role.VIEWER)
    now = app.clock.now()
    wanted = {point.resource_id for point in points if point.state is not PointState.DELETED}
    told: dict[UUID, str] = {point.id: "It was deleted." for point in points if point.state is PointState.DELETED}
    with app.store.transaction() as tx:
        keepers = Keepers(tx)
        resources = tx.resources.many(wanted)
        for resource_id, chain in chains(tx, wanted).items():
            keeper = keepers.of(resources[resource_id], chain)
            told |= {each.point.id: each.reason for each in keepers.decided(keeper, chain, now)}
    return told
