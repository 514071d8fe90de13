"""When to try again: exponential with full jitter, and patient where AWS only asks us to slow down."""

from __future__ import annotations

import random
from typing import Final

ATTEMPTS_MAX: Final = 8  # failures of one stage without progress between them
THROTTLES_MAX: Final = 200  # at ≤ 120 s apart, about three hours of being turned away
_BASE_SECONDS: Final = 2.0
_CAP_SECONDS: Final = 60.0
_THROTTLE_BASE_SECONDS: Final = 4.0
_THROTTLE_CAP_SECONDS: Final = 120.0
_FLOOR_SECONDS: Final = 0.25  # full jitter may say zero: never spin


def after_failure(attempt: int, rng: random.Random) -> float | None:
    """Seconds before retry number ``attempt`` (1, 2, …), None when it is time to give up."""
    if attempt >= ATTEMPTS_MAX:
        return None
    return _jittered(_BASE_SECONDS, _CAP_SECONDS, attempt, rng)


def after_throttling(times: int, rng: random.Random) -> float | None:
    """Seconds before the next try after ``times`` throttled ones, None when it is time to give up."""
    if times >= THROTTLES_MAX:
        return None
    return _jittered(_THROTTLE_BASE_SECONDS, _THROTTLE_CAP_SECONDS, times, rng)


def _jittered(base: float, cap: float, times: int, rng: random.Random) -> float:
    ceiling = min(cap, base * 2 ** min(times - 1, 16))
    return max(_FLOOR_SECONDS, rng.uniform(0, ceiling))
