"""Would the simulation notice? Each rule of the engine is broken on purpose, and a failing history must be found."""

from __future__ import annotations

import pytest

from tests.simulation.repository.mutants import MUTANTS
from tests.simulation.repository.test_repository_histories import explore, lines

HISTORIES = 3000  # at most; most are found within a hundred
QUICK = tuple(name for name, mutant in MUTANTS.items() if mutant.quick)


def found(name: str) -> str | None:
    told = lines(explore("--first=10000", f"--count={HISTORIES}", "--stop=1", f"--mutant={name}"))
    return next((line["failure"] for line in told if "failure" in line), None)


@pytest.mark.parametrize("name", QUICK)
def test_found_soon(name: str) -> None:
    assert found(name) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MUTANTS if name not in QUICK])
def test_found(name: str) -> None:
    assert found(name) is not None
