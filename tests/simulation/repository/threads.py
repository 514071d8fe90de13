"""Stand-ins for ``threading``, ``queue`` and ``concurrent.futures`` whose threads are the scheduler's tasks.

``using`` says whose scheduler counts. The engine is loaded with these in place of the real modules (stage.py).
"""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import Any, TypeVar

from tests.simulation.repository.scheduler import Died, Scheduler

T = TypeVar("T")

_scheduler: Scheduler | None = None


def use(scheduler: Scheduler) -> None:
    """From now on its tasks are the threads."""
    global _scheduler
    _scheduler = scheduler


def using() -> Scheduler:
    if _scheduler is None:
        raise RuntimeError("no simulation is running")
    return _scheduler


class Lock:
    """Not reentrant. Acquiring is a place where a thread may lose the processor."""

    def __init__(self) -> None:
        self._held = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        scheduler = using()
        scheduler.preempt()
        while self._held:
            if not blocking or not scheduler.park(self, seconds=None if timeout < 0 else timeout):
                return False
        self._held = True
        return True

    def release(self) -> None:
        if not self._held:
            raise RuntimeError("release of a lock nobody holds")
        self._held = False
        using().wake(self)

    def locked(self) -> bool:
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class RLock(Lock):
    """Reentrant for its task."""

    def __init__(self) -> None:
        super().__init__()
        self._owner: object = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = using().task
        if self._depth and self._owner is me:
            self._depth += 1
            return True
        if not super().acquire(blocking, timeout):
            return False
        self._owner, self._depth = me, 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            super().release()


class Semaphore:
    def __init__(self, value: int = 1) -> None:
        self._value = value

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        scheduler = using()
        scheduler.preempt()
        while not self._value:
            if not blocking or not scheduler.park(self, seconds=timeout):
                return False
        self._value -= 1
        return True

    def release(self, n: int = 1) -> None:
        self._value += n
        using().wake(self)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Event:
    def __init__(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        using().wake(self)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            using().park(self, seconds=timeout)
        return self._set


class Condition:
    """``notify`` wakes everybody: a waiter must look again, as it must after a spurious wake-up."""

    def __init__(self, lock: Lock | None = None) -> None:
        self._lock = lock or RLock()
        self.acquire, self.release = self._lock.acquire, self._lock.release

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        self._lock.release()
        try:
            return using().park(self, seconds=timeout)
        finally:
            self._lock.acquire()

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        found = predicate()
        while not found:
            if not self.wait(timeout):
                return predicate()
            found = predicate()
        return found

    def notify(self, n: int = 1) -> None:
        using().wake(self)

    def notify_all(self) -> None:
        using().wake(self)


class Local:
    """Attributes of each task's own."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self._mine()[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._mine()[name] = value

    def _mine(self) -> dict[str, Any]:
        task = using().task
        return {} if task is None else task.locals.setdefault(id(self), {})


class SimpleQueue:
    def __init__(self, maxsize: int = 0) -> None:
        self._items: deque[Any] = deque()
        self._room = maxsize

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        while self._room and len(self._items) >= self._room:
            if not block or not using().park(self, seconds=timeout):
                raise queue.Full
        self._items.append(item)
        using().wake(self)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        while not self._items:
            if not block or not using().park(self, seconds=timeout):
                raise queue.Empty
        item = self._items.popleft()
        using().wake(self)
        return item

    def put_nowait(self, item: Any) -> None:
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def empty(self) -> bool:
        return not self._items

    def qsize(self) -> int:
        return len(self._items)

    def __class_getitem__(cls, _: object) -> type[SimpleQueue]:
        return cls


class Future(concurrent.futures.Future[T]):
    """Waiting for it lets others go on."""

    def result(self, timeout: float | None = None) -> T:
        self._await(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._await(timeout)
        return super().exception(0)

    def set_result(self, result: T) -> None:
        super().set_result(result)
        using().wake(self)

    def set_exception(self, exception: BaseException | None) -> None:
        super().set_exception(exception)
        using().wake(self)

    def cancel(self) -> bool:
        cancelled = super().cancel()
        using().wake(self)
        return cancelled

    def _await(self, timeout: float | None) -> None:
        scheduler = using()
        until = None if timeout is None else scheduler.now + timeout
        while not self.done():
            left = None if until is None else until - scheduler.now
            if left is not None and left <= 0:
                scheduler.preempt(0.2)  # it may be done by the time the caller hears that it was not
                raise TimeoutError
            scheduler.park(self, seconds=left)


class Pool(Executor):
    """Up to ``threads`` tasks of the process that submits. The witness's own work runs at once."""

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._name = name
        self._queue: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = 0
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[T] = Future()
        self._queue.append((future, lambda: fn(*args, **kwargs)))
        scheduler = using()
        if scheduler.task is None or not scheduler.switching:
            self._work()
        elif self._busy < self._threads:
            self._busy += 1
            scheduler.spawn(scheduler.task.process, f"{scheduler.task.name}:{self._name}", self._thread)
        return future

    def _thread(self) -> None:
        try:
            self._work()
        finally:
            self._busy -= 1
            using().wake(self)

    def _work(self) -> None:
        while self._queue:
            future, work = self._queue.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except Died:
                raise
            except BaseException as failure:
                future.set_exception(failure)
            else:
                future.set_result(result)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._closed = True
        if cancel_futures:
            for future, _ in self._queue:
                future.cancel()
        while wait and self._busy:
            using().park(self)


def wait(
    fs: Iterable[Future[T]], timeout: float | None = None, return_when: str = concurrent.futures.ALL_COMPLETED
) -> concurrent.futures._base.DoneAndNotDoneFutures[T]:
    scheduler = using()
    futures = list(fs)
    until = None if timeout is None else scheduler.now + timeout
    while True:
        open_ones = [future for future in futures if not future.done()]
        done = {future for future in futures if future.done()}
        failed = any(not future.cancelled() and future.exception() is not None for future in done)
        enough = (return_when == concurrent.futures.FIRST_COMPLETED and done) or (
            return_when == concurrent.futures.FIRST_EXCEPTION and failed
        )
        left = None if until is None else until - scheduler.now
        if not open_ones or enough or (left is not None and left <= 0) or not scheduler.park(*open_ones, seconds=left):
            return concurrent.futures._base.DoneAndNotDoneFutures(done, set(open_ones))


def as_completed(fs: Iterable[Future[T]], timeout: float | None = None) -> Iterator[Future[T]]:
    left = list(fs)
    while left:
        ended = [future for future in left if future.done()]
        if not ended:
            using().park(*left, seconds=timeout)
        for future in ended:
            left.remove(future)
            yield future


def modules() -> dict[str, types.ModuleType]:
    """By name, to be put where an import finds them."""
    threads = types.ModuleType("threading")
    threads.__dict__.update(
        Lock=Lock,
        RLock=RLock,
        Semaphore=Semaphore,
        BoundedSemaphore=Semaphore,
        Event=Event,
        Condition=Condition,
        local=Local,
        get_ident=lambda: id(using().task),
        Thread=threading.Thread,
    )
    queues = types.ModuleType("queue")
    queues.__dict__.update(SimpleQueue=SimpleQueue, Queue=SimpleQueue, Empty=queue.Empty, Full=queue.Full)
    futures = types.ModuleType("concurrent.futures")
    futures.__dict__.update(concurrent.futures.__dict__)
    futures.__dict__.update(Future=Future, wait=wait, as_completed=as_completed)
    return {"threading": threads, "queue": queues, "concurrent.futures": futures}
