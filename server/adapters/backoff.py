"""How long to wait before trying again: exponential with full jitter, so that many workers do not come back together."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """``attempts`` in all; before attempt n+1 a random wait of at most ``base * 2**n``, never above ``cap`` seconds."""

    attempts: int
    base: float
    cap: float

    def wait(self, failures: int) -> float | None:
        """Seconds to wait after so many failures, or None: give up."""
        if failures >= self.attempts:
            return None
        ceiling = min(self.cap, self.base * 2 ** (failures - 1))
        return random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing


# Kept short: a task is told to stop between calls, and must stop within seconds. The engine above waits longer.
THROTTLED = Patience(attempts=5, base=0.4, cap=2.5)
FAILED = Patience(attempts=4, base=0.2, cap=1.5)
