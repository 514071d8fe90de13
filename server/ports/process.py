"""What a process of the appliance stands on: time, password hashing, sealing, the queue and its wake-ups."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class Passwords(Protocol):
    """Slow, salted hashing of passwords people chose."""

    def hash(self, password: str) -> str: ...

    def verify(self, hashed: str, password: str) -> bool:
        """In time that does not depend on where they differ; False also for a hash that cannot be read."""
        ...

    @property
    def decoy(self) -> str:
        """A hash nothing matches: verified in place of a missing one, so that both cost the same time."""
        ...

    def outdated(self, hashed: str) -> bool:
        """True when the parameters have been raised since: hash again at the next sign-in."""
        ...


class Sealing(Protocol):
    """Under the appliance's secret key. ``place`` names where the sealed value lies: it opens nowhere else."""

    def seal(self, plain: bytes, *, place: str) -> bytes: ...

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """Misconfigured when it was sealed with another key, for another place, or altered."""
        ...


class Jobs(Protocol):
    """A courier: may lose, repeat or delay. The database knows what is due."""

    def send(self, task_id: UUID, *, delay: timedelta = timedelta(0)) -> None: ...

    def ping(self) -> None: ...


class Wakeups(Protocol):
    """Hints that something changed. Losing one only delays a reader until its next look."""

    def wake(self, channel: str) -> None: ...

    def listen(self, *channels: str) -> AsyncIterator[None]:
        """Yields at once, then after each wake-up, and at least every few seconds."""
        ...
