"""The account's own time: the real one, until it is set, moved or given another speed.

Every date the account shows and every date it goes by (StartTime, Last-Modified, Object Lock, retrievals) is of this clock,
moto's included. How long a transition takes, and how long what a caller holds stays valid (sessions, signatures, tokens),
goes by real time: callers live in it, and at a thousand times its speed nothing could be finished or used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

RATE_MAX = 10_000_000.0
LATEST = 253_402_300_799.0  # the end of the year 9999, which dates cannot pass


@dataclass(frozen=True, slots=True)
class Setting:
    """Account time was ``shown`` when real time was ``real`` (both Unix seconds); since then it runs ``rate`` times as fast."""

    real: float
    shown: float
    rate: float

    def at(self, real: float) -> float:
        return min(self.shown + (real - self.real) * self.rate, LATEST)


REAL_TIME = Setting(0.0, 0.0, 1.0)


class Clock:
    """``changed`` is told of every new setting, to keep it."""

    def __init__(self, real: Callable[[], float] = time.time) -> None:
        self._real = real
        self._lock = threading.Lock()
        self._setting = REAL_TIME
        self.changed: Callable[[Setting], None] = lambda _: None

    @property
    def setting(self) -> Setting:
        return self._setting

    @property
    def is_real(self) -> bool:
        return self._setting == REAL_TIME

    def now(self) -> float:
        """Unix seconds."""
        setting = self._setting
        return setting.at(self._real())

    def real(self) -> float:
        """Unix seconds of the machine's clock, which those who call the account go by."""
        return self._real()

    def put(self, setting: Setting) -> None:
        """Take over a setting kept before; nobody is told."""
        self._setting = setting

    def set(self, *, at: float | None = None, advance: float = 0.0, rate: float | None = None) -> None:
        """Show ``at`` (else what is shown now), moved by ``advance`` seconds; then run at ``rate`` (else as before).

        Errors: ValueError for a moment or a rate no clock can have.
        """
        with self._lock:
            real = self._real()
            shown = (self._setting.at(real) if at is None else at) + advance
            speed = self._setting.rate if rate is None else rate
            if not 0 <= shown <= LATEST:
                raise ValueError("the time must lie between 1970 and 9999")
            if not 0 <= speed <= RATE_MAX:
                raise ValueError(f"the rate must lie between 0 and {RATE_MAX:.0f}")
            self._change(Setting(real, shown, speed))

    def reset(self) -> None:
        """Real time again."""
        with self._lock:
            self._change(REAL_TIME)

    def _change(self, setting: Setting) -> None:
        self._setting = setting
        self.changed(setting)


CLOCK = Clock()  # one per process, as moto's state is


def now() -> float:
    """The account's time in Unix seconds."""
    return CLOCK.now()
