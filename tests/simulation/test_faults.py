"""Every AWS call a full run makes, failing once: no duplicate, no orphan, every leg made.

Which calls there are is found out by recording a run without faults. By default each suffers one kind of trouble, once, several
operations in one run; with ``--faults PATTERN`` those it matches suffer every kind, once and several times in a row, each in a
run of its own.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from server.domain.session import State
from tests.demo_account import DemoAccount, demo_account
from tests.simulation.fault_bench import FaultBench, bench

KINDS = ("lost_reply", "error500", "throttle")
TOGETHER = 6  # operations of one run, by default
IN_A_ROW = (1, 3, 7)  # the AWS adapter tries some calls again by itself; more than it does are the engine's


@pytest.fixture(scope="module")
def account() -> Iterator[DemoAccount]:
    with demo_account() as running:
        yield running


@pytest.fixture
def ready(database_url: str, account: DemoAccount) -> Iterator[FaultBench]:
    made = bench(database_url, account).prepare()
    yield made
    made.close()
    made.database.close()


@dataclass(frozen=True)
class Trouble:
    operation: str
    kind: str
    times: int

    def __str__(self) -> str:
        return f"{self.operation} {self.kind} ×{self.times}"


def clean_run(ready: FaultBench) -> dict[str, int]:
    """How often each operation is called by a run in which everything happens: the third one, as points are deleted by then."""
    for _ in range(3):
        ready.account.reset()
        session = ready.run()
        calls: dict[str, int] = ready.account.control("GET", "calls")
        assert session.state is State.SUCCESS, ready.appliance.lines(session.id)
        assert ready.leftovers(session) == []
    return calls


def troubles(calls: dict[str, int], pattern: str) -> Iterator[list[Trouble]]:
    """For each run what befalls it."""
    operations = sorted(calls)
    if pattern:
        chosen = fnmatch.filter(operations, pattern)
        yield from ([Trouble(each, kind, times)] for each in chosen for kind in KINDS for times in IN_A_ROW)
        return
    once = [Trouble(each, KINDS[number % len(KINDS)], 1) for number, each in enumerate(operations)]
    yield from (once[start : start + TOGETHER] for start in range(0, len(once), TOGETHER))


def test_every_call_of_a_full_run_may_fail(ready: FaultBench, request: pytest.FixtureRequest) -> None:
    calls = clean_run(ready)
    services = {operation.split(":")[0] for operation in calls}
    assert services >= {"ec2", "ebs", "s3", "ssm", "kms", "sts"}, "a run that uses less proves less"
    wanted = list(troubles(calls, request.config.getoption("--faults")))
    wrong = []
    for each in wanted:
        ready.account.reset()
        for trouble in each:
            ready.account.fault(trouble.operation, trouble.kind, times=trouble.times)
        session = ready.run()
        struck = all(left["times"] < each[0].times for left in ready.account.control("GET", "faults"))
        ready.account.reset()
        left = ready.leftovers(session)
        if session.state is not State.SUCCESS or left or not struck:
            lines = ready.appliance.lines(session.id)[-6:]
            wrong.append(f"{', '.join(map(str, each))}: {session.state.value}, struck: {struck}, left: {left}, log: {lines}")
    assert not wrong, "\n".join(wrong)
    assert ready.unneeded() == []
    print(f"{len(calls)} AWS operations, {sum(calls.values())} calls per run, {len(wanted)} troubled runs")  # noqa: T201  pytest -rP tells
