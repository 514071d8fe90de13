"""What backups and AWS say about a resource's data."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.estimate import Measured
from server.domain.restore import Leg, RestorePoint
from server.services import learning
from server.workloads.ec2.snapshot import _with_data
from tests.services.engine.harness import Appliance

GIB = 2**30
MONDAY = datetime(2026, 11, 16, 7, tzinfo=UTC)
WEB = UUID(int=1)


def point(days: float, leg: Leg = Leg.BACKUP, **document: Any) -> RestorePoint:
    at = MONDAY + timedelta(days=days)
    return RestorePoint(
        id=uuid4(),
        resource_id=WEB,
        resource_name="web-1",
        workload="tiny",
        account_id=UUID(int=2),
        region="us-east-1",
        leg=leg,
        at=at,
        created_at=at,
        document=document,
    )


def backup(days: float, *, read: float, incremental: bool = True, used: float = 100 * GIB, stored: float = 0.5) -> RestorePoint:
    figures = {"usedBytes": used, "readBytes": read, "storedBytes": read * stored, "incremental": incremental}
    return point(days, figures=figures)


def learned(*points: RestorePoint, held: dict[UUID, int] | None = None) -> Measured:
    return learning.by_resource(points, learning.figures(points), held or {})[WEB]


def test_the_rate_is_an_average_over_the_time_between_backups() -> None:
    """5 % after one day and 1 - 0.95 ** 2 after two more are the same rate."""
    found = learned(
        backup(0, read=100 * GIB, incremental=False),
        backup(1, read=5 * GIB),
        backup(3, read=(1 - 0.95**2) * 100 * GIB),
    )
    assert found.change == pytest.approx(0.05)
    assert found.used_bytes == 100 * GIB
    assert found.stored == pytest.approx(0.5)


def test_full_reads_and_backups_close_together_say_nothing_about_change() -> None:
    assert learned(backup(0, read=100 * GIB, incremental=False), backup(1, read=100 * GIB, incremental=False)).change is None
    assert learned(backup(0, read=GIB), backup(0.001, read=GIB)).change is None


def test_points_without_figures_only_tell_the_time() -> None:
    """An imported backup lies between: the change since counts for one day."""
    found = learned(backup(0, read=100 * GIB, incremental=False), point(1), backup(2, read=10 * GIB))
    assert found.change == pytest.approx(0.1)
    assert learned(point(0), point(1)) == learning.NOTHING


def test_what_aws_says_of_a_snapshot_is_how_much_there_is() -> None:
    first, snapshot = backup(0, read=GIB, incremental=False), point(1, Leg.SNAPSHOT)
    assert learned(first, snapshot, held={snapshot.id: 7 * GIB}).used_bytes == 7 * GIB
    assert learned(snapshot, held={snapshot.id: 7 * GIB}) == Measured(used_bytes=7 * GIB)


def test_snapshots_know_it_only_when_aws_said_it_of_every_disk(appliance: Appliance) -> None:
    disks = [{"volumeId": "vol-a", "snapshotId": "snap-a"}, {"volumeId": "vol-b", "snapshotId": "snap-b"}]
    known = [_with_data(disk, {"FullSnapshotSizeInBytes": GIB}) for disk in disks]
    assert learning.data_bytes(appliance.app, point(0, Leg.SNAPSHOT, volumes=known)) == 2 * GIB
    some = [known[0], _with_data(disks[1], {})]
    assert learning.data_bytes(appliance.app, point(0, Leg.SNAPSHOT, volumes=some)) is None
    assert learning.data_bytes(appliance.app, replace(point(0, Leg.SNAPSHOT), workload="gone")) is None


@given(st.lists(st.tuples(st.floats(0.01, 30), st.floats(0, 2)), min_size=1, max_size=8))
def test_any_history_gives_a_share(history: list[tuple[float, float]]) -> None:
    days, points = 0.0, [backup(0, read=100 * GIB, incremental=False)]
    for gap, share in history:
        days += gap
        points.append(backup(days, read=share * 100 * GIB))
    found = learned(*points)
    assert found.change is None or 0 <= found.change <= 1
    assert found.stored is not None
    assert 0 <= found.stored <= 1
