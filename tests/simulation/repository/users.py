"""People and schedules: what they do to the repository, each at its own pace, and what each deed must lead to."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from server.domain.errors import AlreadyThere, Conflict, Damaged, HoldfastError, NotFound, NotOwner, Unavailable
from server.domain.immutability import LockRequest
from server.repository.check import check
from server.repository.prune import collect
from server.repository.restore import read_blocks
from tests.simulation.repository.appliance import Appliance, Backup, Outcome
from tests.simulation.repository.model import Content, Disk, Model, Point, differing, plain
from tests.simulation.repository.scheduler import Process, Scheduler
from tests.simulation.repository.store import CALM, DAY, HOUR, MINUTE, Store

ATTEMPTS = 8
INDEXES = (0, 1, 7, 8, 15, 63, 64, 70, 127)  # blocks at the edges of leaves and pages
SEEDS = 12  # different contents a block can have: few, so that blocks are equal often

Deed = Callable[[Appliance], None]


class Users:
    """``min_age`` of collections in seconds. ``works`` are who acts at the same time."""

    def __init__(
        self,
        store: Store,
        model: Model,
        appliances: list[Appliance],
        rng: random.Random,
        min_age: float,
        *,
        locks: bool,
    ) -> None:
        self.store = store
        self.scheduler: Scheduler = store.scheduler
        self.model = model
        self.appliances = appliances
        self.rng = rng
        self.min_age = min_age
        self.locks = locks
        self.process = Process("user")
        self.disks: dict[str, dict[str, Disk]] = {}
        self.pulse = object()  # woken when a collection or a backup begins
        self._contenders = 0  # collections and recalls under way
        self._contended = 0  # step at which two of them last were
        paces = (
            (0.0, 0.0, 1.0, min_age * 1.1),
            (0.0, 1.0, MINUTE, HOUR, DAY),
            (min_age * 0.6, min_age * 1.2),
            (0.0, DAY, 2 * DAY),
        )
        self.pauses = rng.choice(paces)
        for number in range(rng.choice((1, 1, 2))):
            self.disks[f"i-{number}"] = {}
            self._guest_writes(f"i-{number}")

    def works(self) -> list[Callable[[], None]]:
        """Some of everything, or specialists who meet each other all the time."""
        rng = self.rng
        if rng.random() < 0.35:
            mixed = (self.back_up, self.forget, self.collect, self.recall, self.restore, self.check, self.list, self.take_over)
            weights = [rng.choice((0, 1, 3)) for _ in mixed]
            weights[0] += 2
            return [self._life(mixed, tuple(weights), rng.randint(2, 6)) for _ in range(rng.choice((1, 2, 3, 4)))]
        lives = [self._life((self.back_up,), (1,), rng.randint(2, 4)) for _ in range(rng.choice((1, 1, 2)))]
        lives.append(self._life((self.collect,), (1,), rng.randint(3, 7)))
        lives.append(self._life((self.forget, self.recall), (4, rng.choice((0, 1, 3))), rng.randint(2, 5)))
        others = (self.restore, self.check, self.list, self.take_over, self.outage)
        if rng.random() < 0.5:
            lives.append(self._life(others, (2, 2, 2, 3, 1), rng.randint(1, 4)))
        return lives

    def _life(self, deeds: tuple[Deed, ...], weights: tuple[int, ...], count: int) -> Callable[[], None]:
        def live() -> None:
            for _ in range(count):
                self.rng.choices(deeds, weights)[0](self.rng.choice(self.appliances))
                self.rest()

        return live

    def rest(self) -> None:
        """For a while, or until somebody else begins something that might go wrong together."""
        if self.rng.random() < 0.3:
            self.scheduler.park(self.pulse, seconds=2 * DAY)
        else:
            self.scheduler.park(seconds=self.rng.choice(self.pauses))

    # -- backups

    def _guest_writes(self, resource: str) -> None:
        disks = self.disks[resource]
        for number in range(2 if not disks and self.rng.random() < 0.2 else 1):
            disk = disks.get(f"{resource}-{number}") or Disk(f"{resource}-{number}", self.rng.choice((9, 72, 128)), {})
            written: Content = {
                self.rng.choice(INDEXES) % disk.blocks: self.rng.randint(0, SEEDS) for _ in range(self.rng.randint(1, 4))
            }
            disks[disk.id] = replace(disk, content={**disk.content, **written})

    def back_up(self, appliance: Appliance) -> None:
        resource = self.rng.choice(list(self.disks))
        self._guest_writes(resource)
        point = Point(UUID(bytes=self.rng.randbytes(16)), resource, tuple(self.disks[resource].values()))
        parents = [p.id for p in self.model.points.values() if p.resource == resource and p.committed]
        parent = self.rng.choice(parents[-2:]) if parents and self.rng.random() < 0.85 else None
        self.begin_backup(appliance, point, parent)

    def back_up_again(self, appliance: Appliance, parent: Point) -> None:
        """Nothing changed since that point."""
        again = Point(UUID(bytes=self.rng.randbytes(16)), parent.resource, parent.disks)
        self.begin_backup(appliance, again, parent.id)

    def begin_backup(self, appliance: Appliance, point: Point, parent: UUID | None, holds: tuple[float, ...] = ()) -> None:
        """Until it is committed, or given up. ``holds``: see ``Backup``."""
        self.model.points[point.id] = point
        lock = LockRequest(self.rng.choice(("daily", "weekly")), self.rng.randint(1, 30)) if self.locks else None
        backup = Backup(self.model, self.store, self.rng, point, parent, lock, holds)
        if self.rng.random() < 0.1:  # the queue delivers the task twice
            twin = replace(backup, results={}, checkpoint=None)
            self.scheduler.spawn(self.process, "twin", lambda: self._carry_through(appliance, twin))
        self._carry_through(appliance, backup)

    def _carry_through(self, appliance: Appliance, backup: Backup) -> None:
        for _ in range(ATTEMPTS):
            self.scheduler.wake(self.pulse)
            outcome = self._try(appliance, f"backup {backup.point.id.hex[:4]}", lambda: backup.attempt(appliance))
            if outcome.error is None and not outcome.died:
                return
            if isinstance(outcome.error, NotOwner):
                return
            if isinstance(outcome.error, NotFound) and backup.point.forgets:
                return
            self.scheduler.park(seconds=self.rng.choice((0.0, 1.0, MINUTE, HOUR, 9 * DAY)))
        self.until_done(appliance, "abandon", lambda: backup.abandon(appliance.repository()))

    # -- retention

    def forget(self, appliance: Appliance) -> None:
        visible = self.model.visible()
        if not visible:
            return
        point = self.rng.choice(visible[:2])
        point.forgets += 1
        recalls, recalling = point.recalls, point.recalling
        outcome = self.until_done(appliance, f"forget {point.id.hex[:4]}", lambda: appliance.repository().forget(point.id))
        if outcome.error is None and not recalling and point.recalls == recalls:
            assert not point.visible, f"point {point.id} is visible though it was forgotten"

    def recall(self, appliance: Appliance) -> None:
        hidden = [point for point in self.model.points.values() if point.committed and point.forgets and not point.visible]
        if not hidden:
            return
        point = self.rng.choice(hidden)
        forgets = point.forgets
        point.recalls += 1
        point.recalling += 1
        with self._contending():
            outcome = self.until_done(appliance, f"recall {point.id.hex[:4]}", lambda: appliance.repository().recall(point.id))
        point.recalling -= 1
        if outcome.error is None and point.forgets == forgets and not self.store.faults.late:
            assert point.visible, f"point {point.id} is not visible though it was recalled"

    def collect(self, appliance: Appliance) -> None:
        age = timedelta(seconds=self.min_age)
        self.scheduler.wake(self.pulse)
        if self.rng.random() < 0.3:
            self.scheduler.thaw()
        if self.model.owner != appliance.owner:
            self.model.strangers[appliance.name] = self.scheduler.steps
        else:
            self.model.strangers.pop(appliance.name, None)
        with self._contending():
            self._try(appliance, "collect", lambda: collect(appliance.repository(), min_age=age))

    # -- reading

    def restore(self, appliance: Appliance) -> None:
        visible = self.model.visible()
        if not visible:
            return
        point = self.rng.choice(visible)
        disk = self.rng.choice(point.disks)
        since = self.scheduler.steps

        def restore() -> dict[int, bytes]:
            repo = appliance.repository()
            return dict(read_blocks(repo, repo.point(point.id), disk.id, threads=2))

        outcome = appliance.attempt(f"restore {point.id.hex[:4]}", restore)
        if outcome.error is None and not outcome.died:
            assert outcome.value == plain(disk.content), differing(outcome.value, plain(disk.content))
        elif outcome.error is not None and self.model.throughout(point.id, since):
            self._excuse(outcome.error, "restore", since)

    def check(self, appliance: Appliance) -> None:
        since = self.scheduler.steps
        level: Any = self.rng.choice(("structure", "content"))
        outcome = self._try(appliance, "check", lambda: list(check(appliance.repository(), level)))
        for problem in outcome.value or ():
            blamed = [harm.point_id for harm in problem.harm if self.model.throughout(harm.point_id, since)]
            assert not blamed, f"{problem.message} is said to harm {blamed}, which is sound"

    def list(self, appliance: Appliance) -> None:
        since = self.scheduler.steps
        fresh = self.rng.random() < 0.5
        outcome = self._try(appliance, "list", lambda: [p.id for p in appliance.repository(fresh=fresh).points()])
        if outcome.value is None:
            return
        assert len(outcome.value) == len(set(outcome.value)), "a point is listed twice"
        for point in self.model.points.values():
            if point.changed < since:
                assert (point.id in outcome.value) == point.visible, f"point {point.id} is listed wrongly"

    # -- trouble

    def take_over(self, appliance: Appliance) -> None:
        if len(self.appliances) > 1:
            self._try(appliance, "take over", lambda: appliance.repository(take_over=True))

    def outage(self, appliance: Appliance) -> None:
        if self.store.faults is not CALM:
            self.store.outage_until = self.scheduler.now + self.rng.choice((1.0, 20.0, 300.0))

    # -- what may go wrong

    def _try(self, appliance: Appliance, name: str, work: Callable[[], Any]) -> Outcome:
        owned = self.model.owner == appliance.owner
        since = self.scheduler.steps
        outcome = appliance.attempt(name, work)
        if outcome.error is not None:
            self._excuse(outcome.error, name, since)
        elif not outcome.died and not owned and self.model.owner_changed < since and not name.startswith(READING):
            raise AssertionError(f"{appliance.name} did {name} though it is not the owner")
        return outcome

    def until_done(self, appliance: Appliance, name: str, work: Callable[[], Any]) -> Outcome:
        while True:
            outcome = self._try(appliance, name, work)
            if not outcome.died and not isinstance(outcome.error, Unavailable | Conflict):
                return outcome
            self.scheduler.park(seconds=self.rng.choice((1.0, MINUTE)))

    @contextmanager
    def _contending(self) -> Iterator[None]:
        self._contenders += 1
        if self._contenders > 1:
            self._contended = self.scheduler.steps
        yield
        if self._contenders > 1:
            self._contended = self.scheduler.steps
        self._contenders -= 1

    def _excuse(self, error: HoldfastError, name: str, since: int) -> None:
        """Errors an honest engine may answer with. Damage there is none, so nobody may see any."""
        excused: tuple[type[HoldfastError], ...] = (NotFound,)
        if self.store.faults is not CALM:
            excused = (*excused, Unavailable)
        if len(self.appliances) > 1:
            excused = (*excused, NotOwner, AlreadyThere)
        if name.startswith("backup") or self._contended >= since or self.store.faults.late or self.store.faults.frozen:
            excused = (*excused, Conflict)
        if any(point.spoiled for point in self.model.points.values()):
            excused = (*excused, Damaged)
        assert isinstance(error, excused), f"{name}: {type(error).__name__}: {error.message}"


READING = ("check", "list", "restore", "take over", "open")
