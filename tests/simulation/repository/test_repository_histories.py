"""Thousands of interleavings of everything the repository does; a failing one prints its seed and its last operations.

``--histories`` says how many (``scripts/test --long`` makes that fifty times as many). One history again, with all it did:
``python -m tests.simulation.repository.explore --first SEED --show --trace 5000``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
JOBS = 2
FIRST = 1_000_000  # seeds of the usual run
LONG_FIRST = 2_000_000

# Seeds that once failed. What a seed means changes with the simulation: rare moments also get a test of their own.
REGRESSIONS = (8, 10, 42, 73, 141, 303, 704, 30630, 30959)


def explore(*arguments: str) -> subprocess.Popen[str]:
    """Histories in a process of their own: the engine is loaded differently there."""
    command = [sys.executable, "-m", "tests.simulation.repository.explore", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def lines(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, _ = process.communicate()
    try:
        return [json.loads(line) for line in output.splitlines()]
    except ValueError:
        raise AssertionError(f"the simulation broke down:\n{output[-5000:]}") from None


def judge(jobs: list[subprocess.Popen[str]], count: int) -> None:
    """``count`` histories together, all as they must be."""
    told = [line for job in jobs for line in lines(job)]
    report = [f"seed {line['seed']}: {line['failure']}\n" + "\n".join(line["trace"]) for line in told if "failure" in line]
    assert not report, "\n\n".join(report)
    assert sum(line["histories"] for line in told) >= count


def run(first: int, count: int) -> None:
    each = -(-count // JOBS)
    judge([explore(f"--first={first + job}", f"--step={JOBS}", f"--count={each}") for job in range(JOBS)], count)


def test_thousands_of_histories(request: pytest.FixtureRequest) -> None:
    run(FIRST, request.config.getoption("--histories"))


@pytest.mark.slow
def test_many_more_histories(request: pytest.FixtureRequest) -> None:
    run(LONG_FIRST, 50 * request.config.getoption("--histories"))


def test_seeds_that_failed_once() -> None:
    judge([explore("--seeds", *map(str, REGRESSIONS))], len(REGRESSIONS))


def test_the_same_seed_is_the_same_history() -> None:
    """Byte for byte, in different processes."""
    one, two = (lines(explore("--first=500", "--count=25", "--digests")) for _ in range(2))
    assert [line["digest"] for line in one[:-1]] == [line["digest"] for line in two[:-1]]
    assert len({line["digest"] for line in one[:-1]}) == 25
