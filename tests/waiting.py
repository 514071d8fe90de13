"""Waiting for something another process or thread does: looking again until it holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float = 20.0, *, what: str = "it") -> None:
    """Return as soon as ``holds()`` is true; fail the test after ``seconds``."""
    pause = threading.Event()  # never set: its wait is the time between two looks
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        pause.wait(0.02)
