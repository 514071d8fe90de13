"""A history: what a seed makes happen to one repository, and what must be true at its end."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import get_args
from uuid import UUID

from server.domain.immutability import BucketFacts
from server.repository import layout
from server.repository.prune import collect
from server.repository.repository import Repository
from server.repository.runtime import Runtime
from tests.simulation.repository import stage, threads
from tests.simulation.repository.appliance import PASSWORD, Appliance
from tests.simulation.repository.model import Model, Witness
from tests.simulation.repository.ordeal import Ordeal
from tests.simulation.repository.salvage import Salvage
from tests.simulation.repository.scheduler import Process, Scheduler, Strategy
from tests.simulation.repository.store import CALM, DAY, HOUR, MINUTE, Faults, ProcessClock, Store
from tests.simulation.repository.users import Users

PIN_LIFE = 3 * DAY
LOCKED, DEDUP, SPOILED = 0.2, 0.5, 0.25  # shares of histories
SALVAGING = 0.7  # of those where a run can refer to what is collected
RETAINED = (None, None, 1, 5)  # days for which a bucket with locks keeps whatever is written


@dataclass(frozen=True, slots=True)
class Told:
    """Of a history: ``failure`` None when all was as it must be; ``trace``, the last operations, one line each."""

    seed: int
    steps: int
    failure: str | None
    trace: tuple[str, ...]


def faults(rng: random.Random, min_age: float) -> Faults:
    """A mixture of troubles. Processes stand still for times at which something expires."""
    return Faults(
        refused=rng.choice((0.0, 0.0, 0.03)),
        lost=rng.choice((0.0, 0.02, 0.05)),
        late=rng.choice((0.0, 0.0, 0.02)),
        slow=rng.choice((0.0, 0.03)),
        crash=rng.choice((0.0, 0.1, 0.3)),
        frozen=rng.choice((0.0, 0.1, 0.4)),
        freezes=(MINUTE, min_age * 1.1, min_age * 2.5, HOUR, 1.1 * PIN_LIFE, 3 * PIN_LIFE),
    )


class History:
    def __init__(self, seed: int, *, keep: int | None = 80) -> None:
        self.seed = seed
        self.rng = rng = random.Random(seed)
        stage.reseed(seed)
        self.scheduler = Scheduler(rng, rng.choice(get_args(Strategy)))
        threads.use(self.scheduler)
        self.locks = rng.random() < LOCKED
        kept = rng.choice(RETAINED) if self.locks else None
        facts = BucketFacts(versioning="enabled", object_lock=True, default_retention=kept) if self.locks else BucketFacts()
        self.store = Store(self.scheduler, rng, facts, keep)
        self.model = Model()
        self.witness = Witness(self.store, self.model)
        self.min_age = rng.choice((0.0, MINUTE, HOUR, DAY))
        self.faults = faults(rng, self.min_age) if rng.random() < 0.85 else CALM
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-history-")) if rng.random() < DEDUP else None
        skewed = rng.random() < 0.3
        self.appliances = [
            Appliance(
                "AB"[number],
                UUID(int=number + 1),
                self.store,
                rng.uniform(-120, 120) if skewed else 0.0,
                self.folder / "AB"[number] if self.folder else None,
            )
            for number in range(2 if rng.random() < 0.3 else 1)
        ]
        self.users = Users(self.store, self.model, self.appliances, rng, self.min_age, locks=self.locks)

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
            if self.folder is not None:
                shutil.rmtree(self.folder)
        return Told(self.seed, self.scheduler.steps, failure, tuple(self.store.trace.lines()))

    def _prologue(self) -> None:
        creator = self.appliances[0]

        def begin() -> None:
            outcome = creator.attempt("create", creator.create)
            assert outcome.error is None, f"create: {outcome.error}"
            process = Process("witness")
            self.witness.repo = Repository.open(
                self.witness.blobs,
                PASSWORD,
                clock=ProcessClock(self.scheduler, process),
                owner=None,
                runtime=Runtime(pools=threads.Pool),
            )
            self.model.owner = creator.owner
            self.store.watcher = self.witness

        self._together([begin])

    def _play(self) -> None:
        self.store.faults = self.faults
        salvaging = self.folder is not None and self.min_age > 0 and not self.locks and self.rng.random() < SALVAGING
        self._together(Salvage(self).works() if salvaging else self.users.works())
        if not self.locks and self.rng.random() < SPOILED:
            self._together(Ordeal(self).works())
        self.store.faults = CALM
        self.store.outage_until = 0.0
        for appliance in self.appliances:
            appliance.calm()

    def _together(self, works: list[Callable[[], None]]) -> None:
        for number, work in enumerate(works):
            self.scheduler.spawn(self.users.process, f"user{number}", work)
        self.scheduler.run()

    # -- the end

    def _epilogue(self) -> None:
        """No more faults: what was begun is there or gone, and garbage goes."""
        appliance = self.appliances[0]

        def settle() -> None:
            self.users.until_done(appliance, "open", lambda: appliance.repository(take_over=True))
            for point in self.model.points.values():
                assert point.visible or point.forgets or not point.committed, f"point {point.id} vanished"
                if point.visible:
                    self.witness.verify(point)
            self._collect_until(appliance, self._out_of_order, "garbage stays, or needed packs went")
            for point in self.model.visible() if self.rng.random() < 0.5 else ():
                point.forgets += 1
                self.users.until_done(appliance, "forget", lambda point=point: appliance.repository().forget(point.id))  # type: ignore[misc]
            if not self.model.visible():
                self.scheduler.park(seconds=100 * DAY if self.locks else 0.0)  # no lock is longer
                self._collect_until(appliance, self._leftovers, "an empty repository is not empty")

        self._together([settle])

    def _collect_until(self, appliance: Appliance, wrong: Callable[[], set[str]], complaint: str) -> None:
        """Five collections are enough to bring any repository into order."""
        for _ in range(5):
            if not wrong():
                return
            self.scheduler.park(seconds=4 * DAY)
            self.users.until_done(appliance, "collect", lambda: collect(appliance.repository(), min_age=timedelta(hours=1)))
        assert not wrong(), f"{complaint}: {sorted(wrong())}"

    def _out_of_order(self) -> set[str]:
        """Packs that are needed and not there, or there and not needed; where items moved, every copy may be needed."""
        needed = set[str]().union(*(point.needs for point in self.model.visible()))
        packs = {name for name in needed if name.startswith((layout.PACKS, layout.TREES))}
        kept = self.locks or next(self.store.memory.list(layout.MOVED), None) is not None
        return packs - self._packs() if kept else packs ^ self._packs()

    def _leftovers(self) -> set[str]:
        kept = (layout.CONFIG, layout.OWNER, layout.KEYS, "gc/", "catalog/")
        return {blob.name for blob in self.store.memory.list() if not blob.name.startswith(kept)}

    def _packs(self) -> set[str]:
        return {blob.name for prefix in (layout.PACKS, layout.TREES) for blob in self.store.memory.list(prefix)}
