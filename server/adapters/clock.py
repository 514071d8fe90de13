"""The only clock. Everything else is handed one, so that tests decide what time it is."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class FakeClock:
    """A clock that stands still until told, or slept on. Safe to share between threads."""

    def __init__(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError("a clock needs an aware datetime")
        self._start = now.astimezone(UTC)
        self._elapsed = 0.0  # seconds
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        with self._lock:
            return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Return at once; time has moved on by ``seconds``."""
        self.advance(max(0.0, seconds))

    def advance(self, by: float | timedelta) -> datetime:
        """Move time forward by seconds or a timedelta; the new time. Going back is refused, as real time would."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        if seconds < 0:
            raise ValueError("time does not run backwards")
        with self._lock:
            self._elapsed += seconds
            return self._start + timedelta(seconds=self._elapsed)

    def set(self, now: datetime) -> datetime:
        """Jump forward to ``now``."""
        return self.advance(now - self.now())
