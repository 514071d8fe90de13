"""What the engine takes from its process: threads and random bytes. A simulation hands in its own, so that a seed decides."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


def thread_pool(threads: int, name: str) -> Executor:
    """Up to ``threads`` threads called ``name_…``."""
    return ThreadPoolExecutor(threads, thread_name_prefix=name)


@dataclass(frozen=True, slots=True)
class Runtime:
    """``pools(threads, name)`` makes an executor. ``entropy(n)`` gives n random bytes: ids of packs, runs and lists come from
    it, keys and salts never do. ``cache``: a folder for what may be lost at any moment (the deduplication index); None: without.
    """

    pools: Callable[[int, str], Executor] = thread_pool
    entropy: Callable[[int], bytes] = os.urandom
    cache: Path | None = None


REAL = Runtime()
