"""A history: what a seed makes happen to one repository, and what must be true at its end."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

from server.domain.errors import AlreadyThere, Conflict, HoldfastError, NotFound, NotOwner, StorageFull, Unavailable
from server.domain.immutability import BucketFacts
from server.repository import layout
from server.repository.check import check
from server.repository.prune import collect
from server.repository.repository import Repository
from server.repository.restore import read_blocks
from server.repository.runtime import Runtime
from tests.simulation.repository import stage, threads
from tests.simulation.repository.appliance import PASSWORD, Appliance, Backup, Outcome
from tests.simulation.repository.model import Content, Disk, Model, Point, Witness, differing, plain
from tests.simulation.repository.scheduler import Process, Scheduler, Strategy
from tests.simulation.repository.store import CALM, DAY, HOUR, MINUTE, Faults, ProcessClock, Store

PAUSES = (0.0, 0.0, 0.0, 2.0, 30.0, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 4 * DAY)
ATTEMPTS = 8
INDEXES = (0, 1, 7, 8, 15, 63, 64, 70, 127)  # blocks at the edges of leaves and pages
SEEDS = 12  # different contents a block can have: few, so that blocks are equal often
FAULTS = (
    CALM,
    Faults(slow=0.03),
    Faults(crash=0.004, slow=0.02),
    Faults(lost=0.03, refused=0.03),
    Faults(lost=0.02, refused=0.02, late=0.02, slow=0.02),
    Faults(frozen=0.006, slow=0.02),
    Faults(frozen=0.004, crash=0.004, lost=0.02, refused=0.02, late=0.01, slow=0.03),
)


@dataclass(frozen=True, slots=True)
class Told:
    """Of a history: ``digest`` of everything that happened; ``failure`` None when all was as it must be."""

    seed: int
    steps: int
    digest: str
    failure: str | None
    trace: tuple[str, ...]


class History:
    def __init__(self, seed: int, *, keep: int = 80) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        stage.reseed(seed)
        self.scheduler = Scheduler(self.rng, self.rng.choice(get_args(Strategy)))
        threads.use(self.scheduler)
        self.facts = BucketFacts()
        self.store = Store(self.scheduler, self.rng, self.facts, keep)
        self.model = Model()
        self.witness = Witness(self.store, self.model)
        self.users = Process("user")
        self.min_age = self.rng.choice((0.0, MINUTE, HOUR, DAY))
        self.faults = self.rng.choice(FAULTS)
        self.disks: dict[str, dict[str, Disk]] = {}
        owners = 2 if self.rng.random() < 0.35 else 1
        self.appliances = [
            Appliance("AB"[n], UUID(int=n + 1), self.store, self.rng.uniform(-120, 120) if self.rng.random() < 0.5 else 0.0)
            for n in range(owners)
        ]

    # -- the whole

    def run(self) -> Told:
        failure = None
        try:
            self._prologue()
            self._play()
            self._epilogue()
        except Exception as wrong:  # anything: a failed history is reported, whatever it is
            failure = f"{type(wrong).__name__}: {wrong}"
        finally:
            self.scheduler.close()
        trace = self.store.trace
        return Told(self.seed, self.scheduler.steps, trace.digest(), failure, tuple(trace.lines))

    def _prologue(self) -> None:
        for number in range(self.rng.choice((1, 1, 2))):
            self.disks[f"i-{number}"] = {}
            self._guest_writes(f"i-{number}")

        def begin() -> None:
            outcome = self.appliances[0].attempt("create", self.appliances[0].create)
            assert outcome.error is None, f"create: {outcome.error}"
            process = Process("witness")
            self.witness.repo = Repository.open(
                self.witness.blobs,
                PASSWORD,
                clock=ProcessClock(self.scheduler, process),
                owner=self.appliances[0].owner,
                runtime=Runtime(pools=threads.Pool),
            )
            self.store.watcher = self.witness

        self._together([begin])

    def _play(self) -> None:
        self.store.faults = self.faults
        self._together([self._user(number) for number in range(self.rng.choice((1, 2, 2, 3, 4)))])
        self.store.faults = CALM
        self.store.outage_until = 0.0

    def _together(self, works: list[Callable[[], None]]) -> None:
        for number, work in enumerate(works):
            self.scheduler.spawn(self.users, f"user{number}", work)
        self.scheduler.run()

    # -- users

    def _user(self, number: int) -> Callable[[], None]:
        deeds: tuple[tuple[Callable[[Appliance], None], int], ...] = (
            (self._back_up, 8),
            (self._forget, 5),
            (self._recall, 2),
            (self._collect, 7),
            (self._restore, 2),
            (self._check, 1),
            (self._list, 1),
            (self._take_over, 1 if len(self.appliances) > 1 else 0),
            (self._outage, 1 if self.faults is not CALM else 0),
        )
        names, weights = zip(*deeds, strict=True)
        count = self.rng.randint(2, 7)

        def live() -> None:
            for _ in range(count):
                self.rng.choices(names, weights)[0](self.rng.choice(self.appliances))
                self.scheduler.park(seconds=self.rng.choice(PAUSES))

        return live

    def _guest_writes(self, resource: str) -> None:
        disks = self.disks[resource]
        for number in range(2 if not disks and self.rng.random() < 0.2 else 1):
            disk = disks.get(f"{resource}-{number}") or Disk(f"{resource}-{number}", self.rng.choice((9, 72, 128)), {})
            written: Content = {
                self.rng.choice(INDEXES) % disk.blocks: self.rng.randint(0, SEEDS) for _ in range(self.rng.randint(1, 4))
            }
            disks[disk.id] = replace(disk, content={**disk.content, **written})

    def _back_up(self, appliance: Appliance) -> None:
        resource = self.rng.choice(list(self.disks))
        self._guest_writes(resource)
        point = Point(UUID(bytes=self.rng.randbytes(16)), resource, tuple(self.disks[resource].values()))
        parents = [p.id for p in self.model.points.values() if p.resource == resource and p.committed]
        parent = self.rng.choice(parents[-3:]) if parents and self.rng.random() < 0.85 else None
        self.model.points[point.id] = point
        backup = Backup(self.model, self.store, self.rng, point, parent)
        if self.rng.random() < 0.1:  # the queue delivers the task twice
            twin = replace(backup, results={}, checkpoint=None)
            self.scheduler.spawn(self.users, "twin", lambda: self._carry_through(appliance, twin))
        self._carry_through(appliance, backup)

    def _carry_through(self, appliance: Appliance, backup: Backup) -> None:
        for _ in range(ATTEMPTS):
            outcome = self._try(appliance, f"backup {backup.point.id.hex[:4]}", lambda: backup.attempt(appliance.repository()))
            if outcome.error is None and not outcome.died:
                return
            if isinstance(outcome.error, NotOwner):
                return
            if isinstance(outcome.error, NotFound) and backup.point.forgets:
                return
            self.scheduler.park(seconds=self.rng.choice((0.0, 1.0, MINUTE, HOUR, HOUR, 4 * DAY)))
        self._until_done(appliance, "abandon", lambda: backup.abandon(appliance.repository()))

    def _forget(self, appliance: Appliance) -> None:
        visible = self.model.visible()
        if not visible:
            return
        point = self.rng.choice(visible)
        point.forgets += 1
        recalls, recalling = point.recalls, point.recalling
        outcome = self._until_done(appliance, f"forget {point.id.hex[:4]}", lambda: appliance.repository().forget(point.id))
        if outcome.error is None and not recalling and point.recalls == recalls:
            assert not point.visible, f"point {point.id} is visible though it was forgotten"

    def _recall(self, appliance: Appliance) -> None:
        hidden = [point for point in self.model.points.values() if point.committed and point.forgets and not point.visible]
        if not hidden:
            return
        point = self.rng.choice(hidden)
        forgets = point.forgets
        point.recalls += 1
        point.recalling += 1
        outcome = self._until_done(appliance, f"recall {point.id.hex[:4]}", lambda: appliance.repository().recall(point.id))
        point.recalling -= 1
        if outcome.error is None and point.forgets == forgets and not self.faults.late:
            assert point.visible, f"point {point.id} is not visible though it was recalled"

    def _collect(self, appliance: Appliance) -> None:
        age = timedelta(seconds=self.min_age)
        self._try(appliance, "collect", lambda: collect(appliance.repository(), min_age=age))

    def _restore(self, appliance: Appliance) -> None:
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
            self._excused(outcome.error, since)

    def _check(self, appliance: Appliance) -> None:
        since = self.scheduler.steps
        level: Any = self.rng.choice(("structure", "content"))
        outcome = self._try(appliance, "check", lambda: list(check(appliance.repository(), level)))
        for problem in outcome.value or ():
            blamed = [harm.point_id for harm in problem.harm if self.model.throughout(harm.point_id, since)]
            assert not blamed, f"{problem.message} is said to harm {blamed}, which is sound"

    def _list(self, appliance: Appliance) -> None:
        since = self.scheduler.steps
        fresh = self.rng.random() < 0.5
        outcome = self._try(appliance, "list", lambda: [p.id for p in appliance.repository(fresh=fresh).points()])
        if outcome.value is None:
            return
        assert len(outcome.value) == len(set(outcome.value)), "a point is listed twice"
        for point in self.model.points.values():
            if point.changed < since:
                assert (point.id in outcome.value) == point.visible, f"point {point.id} is listed wrongly"

    def _take_over(self, appliance: Appliance) -> None:
        self._try(appliance, "take over", lambda: appliance.repository(take_over=True))

    def _outage(self, appliance: Appliance) -> None:
        self.store.outage_until = self.scheduler.now + self.rng.choice((1.0, 20.0, 300.0))

    # -- what may go wrong

    def _try(self, appliance: Appliance, name: str, work: Callable[[], Any]) -> Outcome:
        since = self.scheduler.steps
        outcome = appliance.attempt(name, work)
        if outcome.error is not None:
            self._excused(outcome.error, since)
        return outcome

    def _until_done(self, appliance: Appliance, name: str, work: Callable[[], Any]) -> Outcome:
        while True:
            outcome = self._try(appliance, name, work)
            if not outcome.died and not isinstance(outcome.error, Unavailable | Conflict):
                return outcome
            self.scheduler.park(seconds=self.rng.choice((1.0, MINUTE)))

    def _excused(self, error: HoldfastError, since: int) -> None:
        """Errors an honest engine may answer with. Damage there is none, so nobody may see any."""
        excused: tuple[type[HoldfastError], ...] = (Unavailable, Conflict, NotFound, StorageFull)
        if len(self.appliances) > 1:
            excused = (*excused, NotOwner, AlreadyThere)
        assert isinstance(error, excused), f"{type(error).__name__}: {error.message}"

    # -- the end

    def _epilogue(self) -> None:
        """No more faults: what was begun is there or gone, and garbage goes."""
        appliance = self.appliances[0]

        def settle() -> None:
            self._until_done(appliance, "open", lambda: appliance.repository(take_over=True))
            for point in self.model.points.values():
                assert point.visible or point.forgets or not point.committed, f"point {point.id} vanished"
                if point.visible:
                    self.witness.verify(point)
            self._collect_all(appliance)
            needed = set[str]().union(*(point.needs for point in self.model.visible()))
            assert self._packs() == {name for name in needed if name.startswith((layout.PACKS, layout.TREES))}, "garbage stays"
            for point in self.model.visible():
                point.forgets += 1
                self._until_done(appliance, "forget", lambda point=point: appliance.repository().forget(point.id))  # type: ignore[misc]
            self._collect_all(appliance)
            left = {blob.name for blob in self.store.memory.list() if not blob.name.startswith(("keys/", "gc/"))}
            assert left == {layout.CONFIG, layout.OWNER}, f"an empty repository keeps {sorted(left)}"

        self._together([settle])

    def _collect_all(self, appliance: Appliance) -> None:
        for _ in range(4):
            self.scheduler.park(seconds=5 * DAY)
            self._until_done(appliance, "collect", lambda: collect(appliance.repository(), min_age=timedelta(hours=1)))

    def _packs(self) -> set[str]:
        return {blob.name for prefix in (layout.PACKS, layout.TREES) for blob in self.store.memory.list(prefix)}
