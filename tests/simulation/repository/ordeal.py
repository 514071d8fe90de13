"""Damage done by the store: found, blamed on the right points, written down, and healed by the next backup."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from server.repository import layout
from server.repository.check import check, record
from tests.simulation.repository.appliance import Appliance
from tests.simulation.repository.model import Point

if TYPE_CHECKING:
    from tests.simulation.repository.history import History


class Ordeal:
    """Part of a history in which packs were altered."""

    def __init__(self, history: History) -> None:
        self._users = history.users
        self._model = history.model
        self._witness = history.witness
        self._store = history.store
        self._rng = history.rng

    def works(self) -> list[Callable[[], None]]:
        return [self._suffer_and_heal]

    def _suffer_and_heal(self) -> None:
        appliance = self._users.appliances[0]
        self._users.until_done(appliance, "take over", lambda: appliance.repository(take_over=True))
        visible = self._model.visible()
        needed = sorted({name for point in visible for name in point.needs if name.startswith((layout.PACKS, layout.TREES))})
        if not needed:
            return
        self._spoil(self._rng.choice(needed))  # one: a node that is lost hides what else is wrong below it
        for point in visible:
            point.spoiled = self._witness.is_hurt(point)
        truth = {point.id for point in visible if point.spoiled}
        self._checked(appliance, truth)
        for _ in range(self._rng.choice((1, 2))):
            self._users.back_up(appliance)  # may heal, and must be whole itself
        for point in self._hurt():
            if self._rng.random() < 0.7:
                self._heal(appliance, point)
        self._checked(appliance, {point.id for point in self._hurt()})
        for point in self._hurt():
            point.forgets += 1
            self._users.until_done(appliance, "forget", lambda point=point: appliance.repository().forget(point.id))  # type: ignore[misc]  # binds the loop's value

    def _spoil(self, name: str) -> None:
        memory, stored = self._store.memory, self._store.memory.get(name)
        how = self._rng.choice(("bit", "bit", "cut", "gone"))
        self._store.trace.add(f"spoil {name}: {how}")
        if how == "gone":
            memory.hide(name)
            return
        data = bytearray(stored)
        data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        memory.put(name, bytes(data) if how == "bit" else stored[: self._rng.randrange(len(stored))])

    def _hurt(self) -> list[Point]:
        """Those visible that cannot be restored just now."""
        for point in self._model.visible():
            point.spoiled = point.spoiled and self._witness.is_hurt(point)
        return [point for point in self._model.visible() if point.spoiled]

    def _checked(self, appliance: Appliance, truth: set[UUID]) -> None:
        def look() -> set[UUID]:
            repo = appliance.repository()
            problems = list(check(repo, "content"))
            record(repo, problems)
            return {harm.point_id for problem in problems for harm in problem.harm}

        outcome = self._users.until_done(appliance, "check", look)
        if outcome.value is not None:
            assert outcome.value == truth, f"said to be damaged: {outcome.value}, really: {truth}"

    def _heal(self, appliance: Appliance, point: Point) -> None:
        """The source still holds what it held: backing it up again heals this point, too."""
        self._users.back_up_again(appliance, point)
        assert not self._witness.is_hurt(point), f"point {point.id} was not healed"
        point.spoiled = False
