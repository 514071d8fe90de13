"""One seed, one history: every thread of every process is a greenlet, and one of those that can go on is chosen at each switch.

Time is simulated: it moves a little at each step, and jumps to the next timer when nobody can go on.
"""

from __future__ import annotations

import heapq
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from greenlet import getcurrent, greenlet

STEP_SECONDS = 0.01  # simulated, at most, per step
MAX_STEPS = 60_000  # a history takes some hundreds to some thousands

Strategy = Literal["uniform", "sticky", "priority"]


class Died(BaseException):
    """The process died here. Not an Exception: nothing may catch it and go on."""


class Stuck(AssertionError):
    """Nobody can go on, or nobody comes to an end."""


@dataclass(slots=True, eq=False)
class Process:
    """What dies together. ``skew``: how far its clock is off, in seconds; ``frozen``: until when it stands still."""

    name: str
    skew: float = 0.0
    alive: bool = True
    frozen: float = 0.0


@dataclass(slots=True, eq=False)
class Task:
    """A thread. ``ticket`` counts its waits, so that a late wake-up of an earlier one is recognised."""

    name: str
    process: Process
    thread: greenlet
    priority: float
    ticket: int = 0
    woken: bool = False
    done: bool = False
    locals: dict[int, dict[str, Any]] = field(default_factory=dict)


class Scheduler:
    """Runs tasks until all are done. ``rng`` decides everything; ``now`` is simulated seconds."""

    def __init__(self, rng: random.Random, strategy: Strategy = "uniform") -> None:
        self.rng = rng
        self.now = 0.0
        self.steps = 0
        self.task: Task | None = None
        self.switching = True  # False while the witness looks: nobody else may move
        self._strategy = strategy
        self._hub = getcurrent()
        self._ready: list[Task] = []
        self._timers: list[tuple[float, int, Task, int]] = []
        self._alarms = 0
        self._parked: dict[int, list[tuple[Task, int]]] = {}
        self._unfinished: dict[Task, None] = {}
        self._doomed: list[Task] = []
        self._failure: BaseException | None = None

    # -- for everybody

    def spawn(self, process: Process, name: str, work: Callable[[], None]) -> Task:
        """A new thread; it begins when it is chosen."""
        task = Task(name, process, greenlet(lambda: self._run(task, work), self._hub), self.rng.random())
        self._unfinished[task] = None
        self._ready.append(task)
        return task

    def pause(self) -> None:
        """Others may go first."""
        task = self.task
        if task is None or not self.switching:
            return
        if not task.process.alive:
            raise Died
        self._ready.append(task)
        self._leave(task)

    def preempt(self, chance: float = 0.04) -> None:
        """A switch where threads can lose the processor, but rarely do."""
        if self.task is not None and self.switching and self.rng.random() < chance:
            self.pause()

    def park(self, *keys: object, seconds: float | None = None) -> bool:
        """Wait until one of ``keys`` is woken (True) or the time is over (False)."""
        task = self.task
        if task is None or not self.switching:
            raise Stuck("something outside the simulated processes would wait for ever")
        if not task.process.alive:
            raise Died
        task.ticket += 1
        task.woken = False
        for key in keys:
            self._parked.setdefault(id(key), []).append((task, task.ticket))
        if seconds is not None:
            self._alarm(self.now + max(0.0, seconds), task)
        self._leave(task)
        return task.woken

    def wake(self, key: object) -> None:
        """Everybody who waits for ``key`` can go on."""
        for task, ticket in self._parked.pop(id(key), ()):
            if task.ticket == ticket and not task.done:
                task.ticket += 1
                task.woken = True
                self._ready.append(task)

    def kill(self, process: Process) -> None:
        """Each of its threads ends at its next step, without doing anything more."""
        process.alive = False
        doomed = [task for task in self._unfinished if task.process is process and task is not self.task]
        self._doomed.extend(doomed)
        if self.task is not None and self.task.process is process:
            raise Died

    def freeze(self, process: Process, seconds: float) -> None:
        """It stands still, as a suspended machine does, while time goes on."""
        process.frozen = self.now + seconds
        self.pause()

    def join(self, task: Task) -> None:
        while not task.done:
            self.park(task)

    # -- the hub

    def run(self) -> None:
        """Until every task is done. Raises what a task failed with; Stuck when they wait for each other."""
        while True:
            self._bury()
            if self._failure is not None:
                raise self._failure
            self._ring()
            if not self._ready:
                if not self._unfinished:
                    return
                self._sleep_until_the_next_timer()
                continue
            task = self._ready.pop(self._choose())
            if task.done:
                continue
            if task.process.frozen > self.now and task.process.alive:
                task.ticket += 1
                self._alarm(task.process.frozen, task)
                continue
            self.steps += 1
            self.now += self.rng.random() * STEP_SECONDS
            if self.steps > MAX_STEPS:
                raise Stuck(f"no end after {MAX_STEPS} steps:\n{self.stacks()}")
            self._enter(task)

    def close(self) -> None:
        """End what a failed history left."""
        for task in list(self._unfinished):
            task.process.alive = False
        self._doomed = list(self._unfinished)
        self._bury()

    def stacks(self) -> str:
        """Where each unfinished task is."""
        lines = []
        for task in self._unfinished:
            frame = task.thread.gr_frame
            where = "".join(traceback.format_stack(frame)[-6:]) if frame is not None else "  not begun\n"
            lines.append(f"{task.process.name}/{task.name}:\n{where}")
        return "".join(lines)

    def _choose(self) -> int:
        ready = self._ready
        if len(ready) == 1:
            return 0
        if self._strategy == "priority":
            if self.rng.random() < 0.01:
                self.rng.choice(ready).priority = self.rng.random() - 1.0
            return max(range(len(ready)), key=lambda at: ready[at].priority)
        if self._strategy == "sticky" and self.rng.random() < 0.85:
            return len(ready) - 1  # who paused last
        return int(self.rng.random() * len(ready))

    def _ring(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            _, _, task, ticket = heapq.heappop(self._timers)
            if task.ticket == ticket and not task.done:
                task.ticket += 1
                self._ready.append(task)

    def _alarm(self, at: float, task: Task) -> None:
        self._alarms += 1
        heapq.heappush(self._timers, (at, self._alarms, task, task.ticket))

    def _sleep_until_the_next_timer(self) -> None:
        while self._timers:
            at, _, task, ticket = self._timers[0]
            if task.ticket == ticket and not task.done:
                self.now = max(self.now, at)
                return
            heapq.heappop(self._timers)
        raise Stuck(f"everybody waits for somebody:\n{self.stacks()}")

    def _enter(self, task: Task) -> None:
        self.task = task
        task.thread.switch()
        self.task = None

    def _leave(self, task: Task) -> None:
        self._hub.switch()
        if not task.process.alive:
            raise Died

    def _bury(self) -> None:
        while self._doomed:
            task = self._doomed.pop(0)
            if task.done:
                continue
            if not task.thread:  # it had not begun
                self._finish(task)
                continue
            self.task = task
            task.thread.throw(Died)
            self.task = None

    def _run(self, task: Task, work: Callable[[], None]) -> None:
        try:
            work()
        except Died:
            if task.process.alive:
                self._failure = self._failure or AssertionError(f"{task.name} died in a living process")
        except BaseException as failure:
            self._failure = self._failure or failure
        finally:
            self._finish(task)

    def _finish(self, task: Task) -> None:
        task.done = True
        self._unfinished.pop(task, None)
        self.wake(task)
