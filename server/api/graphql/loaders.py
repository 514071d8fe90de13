"""Relations of many objects, read together: one statement per relation and list, however many rows the list has.

Loaders live as long as one request. Keys are collected within one turn of the event loop, then read in a thread.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

from strawberry.dataloader import DataLoader

from server.api.graphql.context import Context, in_thread
from server.domain.compliance import Entry
from server.domain.cost import Prices, bundled
from server.domain.policy import Policy
from server.domain.restore import Health, Leg, PointState, RestorePoint
from server.domain.session import Task
from server.domain.templates import SlaTemplateVersion
from server.domain.workload import Resource
from server.ports import Group, Order, Select, Where
from server.services import claims, compliance, keepers, lists, prices, reasons, sla_templates
from server.services.compliance import Chart
from server.services.reasons import Explained

TASKS_MAX = 10_000  # of all sessions of one page together; a policy run has one per resource


class Loaders:
    """One per request. Each attribute reads one relation."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cache = context.socket is None  # a socket lives long: batch there, but remember nothing
        self.accounts = self._by_id("accounts")
        self.resources = self._by_id("resources")
        self.policies = self._by_id("policies")
        self.repositories = self._by_id("repositories")
        self.points = self._by_id("points")
        self.sessions = self._by_id("sessions")
        self.sla_templates = self._by_id("sla_templates")
        self.storage_templates = self._by_id("storage_templates")
        self.sla_versions: DataLoader[UUID, list[SlaTemplateVersion]] = DataLoader(load_fn=self._versions, cache=self._cache)
        self._charts: dict[tuple[Chart, int | None], DataLoader[Policy, list[Entry]]] = {}
        self.policies_of_sla = self._policies_of("sla_template_id")
        self.policies_of_storage = self._policies_of("storage_template_id")
        self.tasks: DataLoader[UUID, list[Task]] = DataLoader(load_fn=self._tasks, cache=self._cache)
        self.protection: DataLoader[Resource, Explained] = DataLoader(
            load_fn=self._protection, cache=self._cache, cache_key_fn=lambda resource: resource.id
        )
        self.coverage: DataLoader[Policy, int] = DataLoader(
            load_fn=self._coverage, cache=self._cache, cache_key_fn=lambda policy: policy.id
        )
        self.prices: DataLoader[str | None, Prices] = DataLoader(load_fn=self._prices, cache=self._cache)
        self.kept_because: DataLoader[RestorePoint, str] = DataLoader(
            load_fn=self._kept_because, cache=self._cache, cache_key_fn=lambda point: point.id
        )
        self.points_of_resource = self._groups("points", "resource_id", newest="at", living=True)
        self._in_leg = {leg: self._groups("points", "resource_id", living=True, also=(Where("leg", "eq", leg),)) for leg in Leg}
        self.points_of_repository = self._groups("points", "repository_id", living=True)
        incomplete = (Where("health", "eq", Health.INCOMPLETE),)
        self.incomplete_of_repository = self._groups("points", "repository_id", living=True, also=incomplete)
        self.done = self._groups("tasks", "session_id", total="progress_done")
        self.size = self._groups("tasks", "session_id", total="progress_total")
        self.read = self._groups("tasks", "session_id", total="bytes_read")
        self.stored = self._groups("tasks", "session_id", total="bytes_stored")

    def _by_id(self, noun: lists.Noun) -> DataLoader[UUID, Any]:
        async def load(ids: list[UUID]) -> list[Any]:
            context = self._context
            found = await in_thread(lists.many, context.app, context.who(), noun, ids)
            return [found.get(id) for id in ids]

        return DataLoader(load_fn=load, cache=self._cache)

    def points_in(self, leg: Leg) -> DataLoader[UUID, Group]:
        return self._in_leg[leg]

    def _groups(
        self,
        noun: lists.Noun,
        by: str,
        *,
        total: str | None = None,
        newest: str | None = None,
        living: bool = False,
        also: tuple[Where, ...] = (),
    ) -> DataLoader[UUID, Group]:
        async def load(ids: list[UUID]) -> list[Group]:
            context = self._context
            where: tuple[Where, ...] = (Where(by, "in", list(ids)), *also)
            if living:
                where += (Where("state", "eq", PointState.AVAILABLE),)
            found = await in_thread(lists.groups, context.app, context.who(), noun, by, where, total=total, newest=newest)
            return [found.get(id, Group(count=0)) for id in ids]

        return DataLoader(load_fn=load, cache=self._cache)

    def compliance(self, chart: Chart, last: int | None) -> DataLoader[Policy, list[Entry]]:
        async def load(wanted: list[Policy]) -> list[list[Entry]]:
            found = await in_thread(compliance.charts, self._context.app, self._context.who(), wanted, chart, last)
            return [found[policy.id] for policy in wanted]

        if (chart, last) not in self._charts:
            made = DataLoader(load_fn=load, cache=self._cache, cache_key_fn=lambda policy: policy.id)
            self._charts[chart, last] = made
        return self._charts[chart, last]

    async def _versions(self, ids: list[UUID]) -> list[list[SlaTemplateVersion]]:
        found = await in_thread(sla_templates.versions_of, self._context.app, self._context.who(), ids)
        return [found[id] for id in ids]

    def _policies_of(self, field: str) -> DataLoader[UUID, list[Policy]]:
        async def load(ids: list[UUID]) -> list[list[Policy]]:
            found = await in_thread(sla_templates.policies_of, self._context.app, self._context.who(), ids, field)
            return [found[id] for id in ids]

        return DataLoader(load_fn=load, cache=self._cache)

    async def _tasks(self, ids: list[UUID]) -> list[list[Task]]:
        context = self._context
        select = Select(where=(Where("session_id", "in", list(ids)),), order=(Order("position"),), limit=TASKS_MAX)
        by_session: defaultdict[UUID, list[Task]] = defaultdict(list)
        for task in await in_thread(lists.page, context.app, context.who(), "tasks", select):
            by_session[task.session_id].append(task)
        return [by_session[id] for id in ids]

    async def _protection(self, resources: list[Resource]) -> list[Explained]:
        context = self._context
        found = await in_thread(reasons.explain, context.app, context.who(), resources)
        return [found[resource.id] for resource in resources]

    async def _prices(self, regions: list[str | None]) -> list[Prices]:
        found = await in_thread(prices.loaded, self._context.app, self._context.who(), [one for one in regions if one])
        return [found[one] if one else bundled(None) for one in regions]

    async def _kept_because(self, points: list[RestorePoint]) -> list[str]:
        found = await in_thread(keepers.reasons, self._context.app, self._context.who(), points)
        return [found.get(point.id, "It was deleted meanwhile.") for point in points]

    async def _coverage(self, wanted: list[Policy]) -> list[int]:
        context = self._context
        found = await in_thread(claims.coverage, context.app, context.who(), wanted)
        return [found[policy.id] for policy in wanted]


def loaders(context: Context) -> Loaders:
    """The request's loaders, made at first use."""
    if context.loaders is None:
        context.loaders = Loaders(context)
    return context.loaders
