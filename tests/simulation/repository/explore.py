"""Histories of many seeds, in a process of its own: ``python -m tests.simulation.repository.explore --help``.

Prints a line of JSON per failed history (seed, what was wrong, the last operations), and one at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--step", type=int, default=1, help="between seeds")
    parser.add_argument("--trace", type=int, default=80, help="operations to print of a failed history")
    parser.add_argument("--stop", type=int, default=5, help="failures after which to stop")
    parser.add_argument("--digests", action="store_true", help="a line for each history, with the digest of all it did")
    parser.add_argument("--mutant", default=None, help="break the engine on purpose (mutants.py)")
    parser.add_argument("--show", action="store_true", help="print the trace as text, also of a sound history")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets decides, too
        os.execve(sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
    return explore(arguments)


def explore(arguments: argparse.Namespace) -> int:
    from tests.simulation.repository import stage

    stage.set_stage(_mutated(arguments.mutant))
    from tests.simulation.repository.history import History

    began, failures, steps = time.monotonic(), 0, 0
    for seed in range(arguments.first, arguments.first + arguments.count * arguments.step, arguments.step):
        told = History(seed, keep=arguments.trace).run()
        steps += told.steps
        if arguments.digests:
            say(seed=told.seed, steps=told.steps, digest=told.digest)
        if arguments.show:
            sys.stdout.write("\n".join([*told.trace, told.failure or "sound", ""]))
        elif told.failure is not None:
            say(seed=told.seed, failure=told.failure, trace=told.trace)
        failures += told.failure is not None
        if failures >= arguments.stop:
            break
    say(histories=seed - arguments.first + 1, steps=steps, failures=failures, seconds=round(time.monotonic() - began, 1))
    return 1 if failures else 0


def _mutated(name: str | None) -> dict[str, str]:
    if name is None:
        return {}
    from tests.simulation.repository.mutants import mutated

    return mutated(name)


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
