"""The job engine under fire: workers die at any transaction border and in the middle of steps, messages are lost, doubled and
early, workers freeze past their lease, AWS throttles and fails, people cancel. Whatever happens, every session ends, every
effect exists exactly once or not at all, states only move forward, and the log has no gap."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from server.domain.access import SYSTEM
from server.domain.errors import AwsRejected, Conflict, HoldfastError, Throttled, Unavailable
from server.domain.session import Level, SessionKind, State, TaskKind
from server.ports import Tx
from server.services import runs, scheduling, tasks
from server.services.leases import LEASE
from server.services.steps import Done, Handler, Next, Run
from tests.services.engine.harness import Appliance, Killed, build

SEEDS = range(60)
ROUNDS_MAX = 3_000
ORDER = {State.PENDING: 0, State.RUNNING: 1, State.SUCCESS: 2, State.WARNING: 2, State.ERROR: 2, State.CANCELLED: 2}


@dataclass
class World:
    """AWS as the handler sees it: objects by token. ``made`` counts creations that really happened."""

    appliance: Appliance
    rng: random.Random
    objects: set[str] = field(default_factory=set)
    made: Counter[str] = field(default_factory=Counter)
    trouble: float = 0.0  # probability of each kind of misfortune, per occasion
    frozen: int = 0

    def misfortune(self, run: Run) -> None:
        if self.rng.random() < self.trouble:
            raise Killed
        if self.rng.random() < self.trouble:
            self._freeze(run)
        if self.rng.random() < self.trouble:
            kind = self.rng.choice([Throttled, Unavailable, Unavailable, AwsRejected])
            raise kind("AWS is in a mood.")

    def _freeze(self, run: Run) -> None:
        """This worker stands still past its lease; another takes the task meanwhile. Then this one goes on, unknowing."""
        if self.frozen:
            return
        self.frozen += 1
        try:
            self.appliance.clock.advance(LEASE + timedelta(seconds=1))
            self.appliance.advance(run.task.id)
        except Killed:
            pass
        finally:
            self.frozen -= 1

    # ---- the handler

    def step(self, run: Run) -> Next | Done:
        token = str(run.task.id)
        document = run.task.document
        self.misfortune(run)
        run.check()  # whoever froze must notice before doing anything
        if run.task.stage == "start":
            return Next(stage="make", document=document)
        if run.task.stage == "make":
            if token not in self.objects:
                self.objects.add(token)
                self.made[token] += 1
            self.misfortune(run)
            return Next(stage="poll", document={"polls": 0}, wait=1.0)
        if document["polls"] < 2:
            run.save({"polls": document["polls"] + 0.5})
            run.progress(done=document["polls"] + 1, total=3)
            self.misfortune(run)
            run.check()
            return Next(stage="poll", document={"polls": int(document["polls"]) + 1}, wait=0.7)

        def effect(tx: Tx) -> None:
            tx.events.append(run.session.id, Level.INFO, f"effect of {token}", at=run.app.clock.now())

        return Done(document={"result": {}}, change=effect)

    def cleanup(self, run: Run) -> None:
        self.objects.discard(str(run.task.id))
        self.misfortune(run)


def _begin(appliance: Appliance, number: int) -> UUID:
    drafts = [runs.TaskDraft(kind=TaskKind.PROTECT, name=f"task {n}") for n in range(number)]
    drafts.append(runs.TaskDraft(kind=TaskKind.RETENTION, name="after", waits=True))
    draft = runs.SessionDraft(kind=SessionKind.POLICY_RUN, name="run", requested_by="test")
    with appliance.app.store.transaction() as tx:
        return runs.begin(tx, appliance.app, draft, drafts).id


class Watch:
    """Looks at the tasks after every event and insists that states only move forward and the waiting task waits."""

    def __init__(self, appliance: Appliance, session_id: UUID) -> None:
        self.appliance = appliance
        self.session_id = session_id
        self.seen: dict[UUID, State] = {}

    def look(self) -> bool:
        """True when the session has ended."""
        found = self.appliance.tasks(self.session_id)
        for task in found:
            before = self.seen.get(task.id, State.PENDING)
            assert task.state is before or ORDER[task.state] > ORDER[before], f"{before} → {task.state}"
            self.seen[task.id] = task.state
        others = [task for task in found if task.kind is TaskKind.PROTECT]
        last = next(task for task in found if task.kind is TaskKind.RETENTION)
        if last.state in (State.RUNNING, State.SUCCESS):
            assert all(task.state.final for task in others), "the last task began before the others had ended"
        return self.appliance.session(self.session_id).state.final


def _event(appliance: Appliance, rng: random.Random, session_id: UUID) -> None:
    """Something happens."""
    choice = rng.random()
    if choice < 0.55:
        task_id = appliance.jobs.take()
        if task_id is not None:
            if rng.random() < 0.2:
                appliance.jobs.send(task_id)  # delivered twice
            appliance.advance(task_id)
    elif choice < 0.85:
        appliance.clock.advance(rng.uniform(0.1, 6.0))
    elif choice < 0.95:
        scheduling.sweep(appliance.app, appliance.clock.now())
    elif choice < 0.97:
        appliance.jobs.lose()
    elif choice < 0.985:
        appliance.jobs.send(rng.choice(appliance.tasks(session_id)).id)  # out of the blue
    elif rng.random() < 0.15:
        with contextlib.suppress(Conflict):  # it has just ended
            tasks.request_cancel(appliance.app, SYSTEM, session_id)


def _rage(appliance: Appliance, world: World, rng: random.Random, session_id: UUID) -> int:
    watch = Watch(appliance, session_id)
    for number in range(ROUNDS_MAX):
        world.trouble = 0.08 if number < 300 else 0.0  # the storm passes, and what it left must end
        appliance.store.deadly = lambda: rng.random() < world.trouble / 4
        with contextlib.suppress(Killed, HoldfastError):  # the worker is gone; only what is in the database counts
            _event(appliance, rng, session_id)
        appliance.store.deadly = lambda: False
        if watch.look():
            return number
    raise AssertionError(f"the session did not end: {appliance.tasks(session_id)}")


@pytest.mark.parametrize("batch", range(4))
def test_every_session_ends_with_each_effect_once(database_url: str, batch: int) -> None:
    appliance, database = build(database_url, seed=batch)
    outcomes: Counter[State] = Counter()
    try:
        for seed in list(SEEDS)[batch::4]:
            rng = random.Random(seed)
            world = World(appliance, rng)
            appliance.handlers = {
                TaskKind.PROTECT: Handler(step=world.step, cleanup=world.cleanup),
                TaskKind.RETENTION: Handler(step=lambda run: Done(document={})),
            }
            session_id = _begin(appliance, rng.randint(1, 4))
            _rage(appliance, world, rng, session_id)
            _check(appliance, world, session_id, seed)
            outcomes[appliance.session(session_id).state] += 1
    finally:
        database.close()
    assert outcomes[State.SUCCESS], "no run survived: the storm is too strong to prove anything"
    assert len(outcomes) > 1, "no run failed or was cancelled: the storm is too weak"


def _check(appliance: Appliance, world: World, session_id: UUID, seed: int) -> None:
    log = appliance.log(session_id)
    assert [event.number for event in log] == list(range(1, len(log) + 1)), f"seed {seed}: the log has a gap"
    effects = Counter(event.message for event in log if event.message.startswith("effect of "))
    endings = [event for event in log if "state" in event.data]
    assert len(endings) == 1, f"seed {seed}: {endings}"
    assert endings[0] is log[-1], f"seed {seed}: lines after the end"
    states = []
    for task in appliance.tasks(session_id):
        states.append(task.state)
        if task.kind is not TaskKind.PROTECT:
            continue
        token = str(task.id)
        done = task.state is State.SUCCESS
        assert effects[f"effect of {token}"] == (1 if done else 0), f"seed {seed}: {task.state}"
        assert (token in world.objects) == done, f"seed {seed}: {task.state}, object there: {token in world.objects}"
        assert world.made[token] <= 1, f"seed {seed}: made {world.made[token]} times"
        assert task.due_at is None
        assert task.lease_until is None
    session = appliance.session(session_id)
    assert session.ended_at is not None
    assert session.state in states
