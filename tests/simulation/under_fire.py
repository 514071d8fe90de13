"""An appliance whose worker and scheduler are killed at random moments while it works."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import redis

from server.demo.visitor import OPEN_STATES, Session, Visitor
from server.supervise.appliance import DEMO_CREDENTIALS
from server.supervise.processes import Program
from tests.conftest import RunningAppliance

PAUSES = (0.2, 4.0)  # seconds between kills: from "still booting" to "well into the work"
FIRST_PAUSE = (0.0, 2.0)  # seconds before a session's first: also its early stages are to be hit
PER_SESSION = 5  # kills at most, so that they spread over runs and restores
SCHEDULER_SHARE = 0.25  # of the kills
SESSION_SECONDS = 240.0  # without kills a session takes a few
LOOK_EVERY = 0.2


@dataclass
class UnderFire:
    """``kills`` is how many are left. Nobody else may supervise the processes."""

    appliance: RunningAppliance
    kills: int
    rng: random.Random
    visitor: Visitor
    flush_at: int = field(init=False)
    per_session: int = field(init=False)
    report: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flush_at = self.kills // 2
        self.per_session = max(1, min(PER_SESSION, self.kills // 2))

    def endure(self, mutation: str, **values: Any) -> Session:
        """Start a session, kill while it runs, return it when it is over."""
        answer = self.visitor.ask(mutation, input=values)
        (payload,) = answer.values()
        return self._until_over(payload["session"]["id"])

    def _until_over(self, session_id: str) -> Session:
        gate = threading.Event()
        waited, next_kill, left = 0.0, self.rng.uniform(*FIRST_PAUSE), min(self.kills, self.per_session)
        while True:
            session = self.visitor.session(session_id)
            if session["state"] not in OPEN_STATES:
                return session
            assert waited < SESSION_SECONDS, f"{session['name']} hangs: {self.last_words(session)}"
            if left and waited >= next_kill:
                self._kill(session)
                left -= 1
                next_kill = waited + self.rng.uniform(*PAUSES)
            gate.wait(LOOK_EVERY)
            waited += LOOK_EVERY

    def _kill(self, session: Session) -> None:
        name = "scheduler" if self.rng.random() < SCHEDULER_SHARE else "worker"
        program = self.appliance.processes.programs[name]
        self.kills -= 1
        stages = ", ".join(f"{task['kind']}/{task['stage']}" for task in session["tasks"] if task["state"] == "RUNNING")
        self.report.append(f"kill {name} during {session['kind']} ({stages})")
        kill(program)
        if self.kills == self.flush_at:
            with redis.Redis.from_url(self.appliance.settings.need_redis_url()) as client:
                client.flushall()
            self.report.append("FLUSHALL")
        program.start()

    def last_words(self, session: Session) -> str:
        tasks = [f"{task['name']} {task['state']} {task['stage']}: {task['message']}" for task in session["tasks"]]
        return "\n".join([*tasks, *self.report[-10:], *self.appliance.lines[-30:]])

    def demo(self, method: str, path: str) -> Any:
        return self.appliance.cloud.control(method, path)

    def hashes(self, volume_id: str) -> Mapping[str, str]:
        found: Mapping[str, str] = self.demo("GET", f"volumes/{volume_id}/hash")["blocks"]
        return found


def kill(program: Program) -> None:
    """kill -9, and wait until it is gone."""
    assert program.process is not None
    program.process.kill()
    program.process.wait()


@dataclass(frozen=True)
class Inventory:
    """What exists in AWS: ids by kind."""

    snapshots: frozenset[str]
    volumes: frozenset[str]
    instances: frozenset[str]


def inventory(cloud_url: str, regions: tuple[str, ...]) -> Inventory:
    snapshots: set[str] = set()
    volumes: set[str] = set()
    instances: set[str] = set()
    for region in regions:
        ec2 = boto3.client(
            "ec2",
            region_name=region,
            endpoint_url=cloud_url,
            aws_access_key_id=DEMO_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=DEMO_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        for some in ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"]):
            snapshots |= {snapshot["SnapshotId"] for snapshot in some["Snapshots"]}
        for few in ec2.get_paginator("describe_volumes").paginate():
            volumes |= {volume["VolumeId"] for volume in few["Volumes"]}
        for page in ec2.get_paginator("describe_instances").paginate():
            instances |= {each["InstanceId"] for group in page["Reservations"] for each in group["Instances"]}
        ec2.close()
    return Inventory(frozenset(snapshots), frozenset(volumes), frozenset(instances))


def all_points(visitor: Visitor, **filters: Any) -> Iterator[dict[str, Any]]:
    """Restore points, oldest first."""
    after = None
    while True:
        page = visitor.ask(_POINTS, filter=filters, after=after)["restorePoints"]
        yield from (edge["node"] for edge in page["edges"])
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


_POINTS = """
query Points($filter: RestorePointFilter, $after: String) {
  restorePoints(first: 100, after: $after, filter: $filter, order: {field: AT, direction: ASC}) {
    edges { node { id leg region resource { id awsId } session { id } details disks { diskId snapshotId } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
