"""Commands and Python functions run as processes of their own: wall time, CPU, peak memory, answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 900.0
ERROR_LINES = 20  # of a failed command, shown


class BenchError(Exception):
    """A command failed; its last words are the message."""


@dataclass(frozen=True, slots=True)
class Run:
    """``wall`` and ``cpu`` are seconds of the whole process, start included; ``answer`` is what a child function returned."""

    wall: float
    cpu: float
    answer: dict[str, Any]


def command(arguments: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Run:
    before = os.times()
    started = time.monotonic()
    done = subprocess.run(
        [str(argument) for argument in arguments],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    wall = time.monotonic() - started
    after = os.times()
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-ERROR_LINES:]
        raise BenchError(f"{arguments[0]} ended with {done.returncode}:\n" + "\n".join(words))
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(wall, cpu, _answer(done.stdout))


def child(function: str, env: Mapping[str, str] | None = None, **arguments: Any) -> Run:
    """Run ``tests.bench.<module>.<function>(**arguments)`` in a fresh interpreter. ``function`` is "module.function"; arguments
    and the returned dict travel as JSON. The answer gains ``peak`` (bytes): the most memory the process had resident."""
    return command([sys.executable, "-m", "tests.bench.child", function, json.dumps(arguments)], env=env, cwd=ROOT)


def peak_bytes() -> int:
    """Of this process alone (VmHWM): getrusage would include what its parent had when it forked."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise BenchError("The kernel does not tell the peak memory of a process (VmHWM).")


def _answer(output: str) -> dict[str, Any]:
    last = output.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        return {}
    found: dict[str, Any] = json.loads(last)
    return found


def read_through(path: Path) -> None:
    """So that it is in the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(8 * 1024**2):
            continue
