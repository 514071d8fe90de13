"""A policy over a thousand instances of which one in twenty is in trouble, and the inventory of ten thousand: the real
services, database and AWS adapters on the demo account, in one process with a few threads. Time between attempts is skipped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from server.adapters.db import migrate
from server.domain.access import SYSTEM
from server.domain.periods import Period
from server.domain.policy import Retries
from server.domain.repository import StorageClass
from server.domain.schedule import Daily, Rule, Schedule
from server.domain.scope import Scope, TagMatch, VolumeExclusions
from server.domain.session import Event, Session, State, Task, TaskKind
from server.domain.workload import Account
from server.ports import Select, Where
from server.services import policies, rescans, scheduling
from server.supervise.postgres import Postgres
from tests.bench.processes import BenchError
from tests.bench.rows import Report
from tests.conftest import use_demo_keys
from tests.simulation.estate import Estate, estate

BEGIN: Final = datetime(2026, 3, 2, 6, 30, tzinfo=UTC)
REGION: Final = "us-east-1"
THREADS: Final = 4  # as a worker process has
RETRIES: Final = 2
SECOND_DAY: Final = "second day"
EXPLAINED_MIN: Final = 20  # characters a failure's message has at least


@dataclass(frozen=True, slots=True)
class Size:
    policy: int
    inventory: int

    @property
    def of_each(self) -> int:
        """Instances with each of the five kinds of trouble."""
        return max(1, self.policy // 100)


def run(work: Path, report: Report, *, quick: bool) -> None:
    size = Size(50, 500) if quick else Size(1_000, 10_000)
    with pytest.MonkeyPatch.context() as patch, _postgres(work / "postgres") as url:
        use_demo_keys(patch)
        folder = work / "estate"
        folder.mkdir()
        with estate(url, folder, BEGIN) as made:
            account = made.account()
            ids = _seed(made, size.policy, "policy")
            _rescan(made, report, account, f"rescan of {size.policy:,}", size.policy)
            _protect(made, report, account, ids, size)
            _seed(made, size.inventory - size.policy, "more")
            _rescan(made, report, account, f"rescan of {size.inventory:,}", size.inventory)
            _rescan(made, report, account, f"rescan of {size.inventory:,}, again", size.inventory)


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    server = Postgres(folder, durable=False)
    server.start()
    try:
        migrate(server.url)
        yield server.url
    finally:
        server.stop()


def _seed(made: Estate, number: int, name: str) -> list[str]:
    found: list[str] = made.cloud.control("POST", "seed", {"instances": number, "regions": [REGION], "name": name})[REGION]
    return found


# ---- measuring --------------------------------------------------------------------------------------------------------


@dataclass
class _Measure:
    """What something took: seconds, of which the processor worked for this process, SQL statements, and how much more memory
    the process holds at most."""

    made: Estate
    seconds: float = 0.0
    worked: float = 0.0
    statements: int = 0
    grown: int = 0

    def __enter__(self) -> _Measure:
        self._statements = self.made.statements.total()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        self._resident = _memory("VmRSS")
        self._started, self._working = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._started
        self.worked = time.process_time() - self._working
        self.statements = self.made.statements.total() - self._statements
        self.grown = _memory("VmHWM") - self._resident

    def report(self, report: Report, name: str, number: int, says: str) -> None:
        report.add(f"{name}: time", self.seconds, "s", says)
        report.add(f"{name}: processor", self.worked, "s", "of this process; the account's and the database's own not counted")
        report.add(f"{name}: SQL", self.statements, "statements", f"{self.statements / number:.1f} for each of {number:,}")
        report.add(f"{name}: memory", self.grown / 2**20, "MiB", "resident, more than before, at its peak")


def _memory(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


def _rescan(made: Estate, report: Report, account: Account, name: str, number: int) -> None:
    with made.app.store.transaction() as tx:
        known = tx.resources.count(Select(where=(Where("present", "eq", True),)))
    with _Measure(made) as took:
        session = rescans.start_rescan(made.app, SYSTEM, account.id, regions=[REGION])
        made.work(made.clock.now() + timedelta(hours=1), threads=THREADS)
    _expect(made.session(session.id)[0].state is State.SUCCESS, "the rescan failed")
    took.report(report, name, number, f"{known:,} known before")


# ---- a policy ---------------------------------------------------------------------------------------------------------


def _protect(made: Estate, report: Report, account: Account, ids: Sequence[str], size: Size) -> None:
    policy = policies.create(
        made.app,
        SYSTEM,
        policies.PolicyDraft(
            name="everything",
            scope=Scope(
                account_id=account.id, regions=(REGION,), excluded_volumes=VolumeExclusions(tags=(TagMatch(key="skip"),))
            ),
            schedule=Schedule(daily=Daily(snapshot=Rule(slots=(7,), count=1), backup=Rule(slots=(7,), period=Period(7)))),
            repository_id=made.repository(account, "vault", StorageClass.STANDARD).id,
            retries=Retries(attempts=RETRIES),
        ),
    )
    expected = _trouble(made, ids, size)
    made.cloud.control("DELETE", "calls")
    with _Measure(made) as took:
        _strike(made, BEGIN.replace(hour=7, minute=0))
    found = _newest(made, policy.id)
    _judge(report, *found, expected, size)
    took.report(report, f"policy of {size.policy:,}", size.policy, f"{made.delivered:,} steps so far, {THREADS} threads")
    with _Measure(made) as took:
        _strike(made, BEGIN.replace(hour=7, minute=0) + timedelta(days=1))
    session, tasks, _ = _newest(made, policy.id)
    _expect(session.state.final, "the second day's run did not end")
    took.report(
        report, f"policy of {size.policy:,}, {SECOND_DAY}", size.policy, "increments; retention deletes a day's snapshots"
    )
    removed = next(task for task in tasks if task.kind is TaskKind.RETENTION).document["result"]["deleted"]
    report.add(f"policy of {size.policy:,}, {SECOND_DAY}: retention", removed, "points deleted", "one task")


def _strike(made: Estate, moment: datetime) -> None:
    made.clock.set(moment)
    hour = moment.replace(minute=0)
    scheduling.tick(made.app, scheduling.Agenda(minute=moment, hour=hour, day=hour.replace(hour=4)))
    made.work(moment + timedelta(hours=12), threads=THREADS)


def _newest(made: Estate, policy_id: UUID) -> tuple[Session, list[Task], list[Event]]:
    with made.app.store.transaction() as tx:
        session_id = tx.policies.get(policy_id).last_session_id
    _expect(session_id is not None, "the policy did not run")
    assert session_id is not None
    return made.session(session_id)


def _trouble(made: Estate, ids: Sequence[str], size: Size) -> Counter[str]:
    """Make trouble of five kinds; how many tasks will end in which way."""
    ec2 = made.cloud.client("ec2", REGION)
    number = size.of_each
    gone, bare, skipped = (list(ids[at * number : (at + 1) * number]) for at in range(3))
    ec2.terminate_instances(InstanceIds=gone)
    for each in bare:  # its disk is taken away
        ec2.stop_instances(InstanceIds=[each])
        ec2.detach_volume(VolumeId=_volume(made, each))
    ec2.create_tags(Resources=[_volume(made, each) for each in skipped], Tags=[{"Key": "skip", "Value": "yes"}])
    for operation in ("ec2:CreateSnapshots", "ebs:ListSnapshotBlocks"):  # refused once; the next attempt works
        fault: dict[str, Any] = {"operation": operation, "kind": "denied", "times": number}
        made.cloud.control("POST", "faults", fault)
    return Counter({"failed": 2 * number, "warned": number, "second attempt": 2 * number})


def _volume(made: Estate, instance_id: str) -> str:
    volume: str = made.cloud.describe(instance_id, REGION)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    return volume


def _judge(report: Report, session: Session, tasks: list[Task], log: list[Event], expected: Counter[str], size: Size) -> None:
    protects = [task for task in tasks if task.kind is TaskKind.PROTECT]
    bad = [task for task in protects if task.state is not State.SUCCESS]
    states = Counter(task.state for task in protects)
    again = Counter(event.task_id for event in log if "Another attempt follows" in event.message)
    recovered = [task for task in protects if again[task.id] and task.state is State.SUCCESS]
    _expect(session.state is State.ERROR, f"the session ended as {session.state.value}")
    _expect(len(protects) == size.policy, f"{len(protects)} tasks")
    found = Counter({"failed": states[State.ERROR], "warned": states[State.WARNING], "second attempt": len(recovered)})
    _expect(found == expected, f"{dict(found)} instead of {dict(expected)}: {sorted({task.message for task in bad})}")
    _expect(all(len(task.message) >= EXPLAINED_MIN for task in bad), "a failure is not explained")
    tried_again = {task_id for task_id in again if task_id}
    troubled = {task.id for task in protects if task.state is State.ERROR} | {task.id for task in recovered}
    _expect(tried_again == troubled, "others than the failed ones were tried again")
    name = f"policy of {size.policy:,}"
    report.add(f"{name}: failed", states[State.ERROR], "tasks", "; ".join(sorted({task.message for task in bad})))
    report.add(f"{name}: tried again", len(tried_again), "tasks", f"{len(recovered)} of them then succeeded; no other was")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise BenchError(otherwise)
