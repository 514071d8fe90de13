"""Runs find blocks of a forgotten point through the index while collections mark and sweep its packs (FORMAT.md §12.4 (e))."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from tests.simulation.repository.appliance import Appliance
from tests.simulation.repository.model import Content, Disk, Point
from tests.simulation.repository.store import MINUTE

if TYPE_CHECKING:
    from tests.simulation.repository.history import History

PLACES = range(0, 128, 9)
RARE = range(1000, 2000)  # contents that nobody else writes
BLOCKS = 128


class Salvage:
    """One point has blocks that nobody else has; it is forgotten and collected while slow runs meet them again."""

    def __init__(self, history: History) -> None:
        self._users = history.users
        self._scheduler = history.scheduler
        self._model = history.model
        self._rng = rng = history.rng
        age = history.min_age
        self._holds = (0.0, age * 0.6, age * 1.2, age * 2.5)
        self._pauses = (0.0, 1.5 * MINUTE, age * 0.6, age * 1.2)
        self._rare = rng.sample(RARE, rng.randint(3, 10))

    def works(self) -> list[Callable[[], None]]:
        return [self._begin]

    def _begin(self) -> None:
        """The packs are old before anything else happens."""
        rng, appliance = self._rng, self._appliance()
        point = self._point("rare", self._rare)
        self._users.begin_backup(appliance, point, None)
        if rng.random() < 0.5:  # needs some of the blocks: packs to be compacted
            self._users.begin_backup(appliance, self._point("other", self._some()), None)
        self._scheduler.park(seconds=max(self._holds) + 2 * MINUTE)
        if rng.random() < 0.6:
            self._forget(appliance, point)
            if rng.random() < 0.5:
                self._users.collect(appliance)
                self._scheduler.park(seconds=2 * MINUTE)  # runs begin after the mark
        lives = [lambda: self._forget_later(point), self._collect, *[self._back_up] * rng.choice((1, 1, 2, 3))]
        if rng.random() < 0.2:
            lives.append(self._collect)
        if rng.random() < 0.2:
            lives += self._users.works()
        for number, live in enumerate(lives):
            self._scheduler.spawn(self._users.process, f"salvage{number}", live)

    def _forget_later(self, point: Point) -> None:
        self._rest()
        self._forget(self._appliance(), point)
        if self._rng.random() < 0.2:
            self._rest()
            self._users.recall(self._appliance())

    def _forget(self, appliance: Appliance, point: Point) -> None:
        point.forgets += 1
        self._users.until_done(appliance, f"forget {point.id.hex[:4]}", lambda: appliance.repository().forget(point.id))

    def _collect(self) -> None:
        for _ in range(self._rng.randint(3, 6)):
            self._users.collect(self._appliance())
            self._rest()

    def _back_up(self) -> None:
        """Slow runs of a resource of their own; later ones go on from the first, or not."""
        rng = self._rng
        resource, parent = f"slow-{rng.random()}", None
        for _ in range(rng.choice((1, 1, 2))):
            self._rest()
            point = self._point(resource, self._some())
            self._users.begin_backup(self._appliance(), point, parent, self._holds)
            parent = point.id if point.committed and rng.random() < 0.5 else None

    def _rest(self) -> None:
        self._scheduler.park(seconds=self._rng.choice(self._pauses))

    def _appliance(self) -> Appliance:
        """The first most of the time: what another one does waits for a takeover."""
        return self._users.appliances[0] if self._rng.random() < 0.8 else self._rng.choice(self._users.appliances)

    def _some(self) -> list[int]:
        return self._rng.sample(self._rare, self._rng.randint(1, len(self._rare)))

    def _point(self, resource: str, contents: list[int]) -> Point:
        content: Content = dict(zip(self._rng.sample(PLACES, len(contents)), contents, strict=True))
        return Point(UUID(bytes=self._rng.randbytes(16)), resource, (Disk(f"{resource}-0", BLOCKS, content),))
