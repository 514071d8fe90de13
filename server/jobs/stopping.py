"""Being told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from types import FrameType


def on_signals(stop: threading.Event, signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
    """Set ``stop`` at each of these signals. Call on the main thread."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for each in signals:
        signal.signal(each, handle)
