"""kill -9 of worker and scheduler at random moments, and a flushed Redis: nothing lost, nothing doubled, nothing left over.

``--kills`` says how many (6 by default, 50 for the full trial), ``--seed`` repeats a run of which the moments were unlucky.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server import bootstrap
from server.demo import setting
from server.demo.visitor import Visitor
from server.ports import Select
from server.repository.check import check
from server.repository.prune import collect
from tests.conftest import RunningAppliance, start_appliance, start_cloud, use_demo_keys
from tests.simulation.under_fire import UnderFire, all_points, inventory

START = "mutation($input: StartPolicyInput!) { startPolicy(input: $input) { session { id } } }"
RESTORE_VOLUMES = "mutation($input: VolumeRestoreInput!) { startVolumeRestore(input: $input) { session { id } } }"
RESTORE_INSTANCE = "mutation($input: InstanceRestoreInput!) { startInstanceRestore(input: $input) { session { id } } }"
CHURN_PERCENT = 20


@pytest.fixture
def fire(short_folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[UnderFire]:
    """An appliance and a demo account of its own; reads of blocks are slowed so that kills land inside the work."""
    folder = short_folder / "fire"
    folder.mkdir()
    use_demo_keys(monkeypatch)
    with start_cloud(folder / "aws") as cloud, start_appliance(folder / "appliance", cloud) as appliance:
        for operation in (
            "ec2:CreateSnapshots",
            "ec2:RunInstances",
            "ec2:CreateVolume",
            "ebs:GetSnapshotBlock",
            "ebs:PutSnapshotBlock",
        ):
            cloud.fault(operation, "slow", delay=0.4)
        visitor = Visitor(appliance.url)
        visitor.sign_in(appliance.username, appliance.password)
        seed = request.config.getoption("--seed")
        yield UnderFire(appliance, request.config.getoption("--kills"), random.Random(seed), visitor)


def test_kills_lose_nothing_double_nothing_leave_nothing(fire: UnderFire) -> None:
    before = inventory(fire.appliance.cloud.url, setting.REGIONS)
    prepared = setting.prepare(fire.visitor, snapshots_kept=1)
    wanted_kills, runs = fire.kills, 0
    volumes: set[str] = set()
    instances: set[str] = set()
    while fire.kills or not runs:
        runs += 1
        expected = _churned(fire, runs)
        run = fire.endure(START, id=prepared.policy_id)
        assert run["state"] == "SUCCESS", fire.last_words(run)
        point = _largest_backup(fire, run["id"])
        result = _restored(fire, point, as_instance=runs % 2 == 0)
        assert {volume["diskId"] for volume in result["volumes"]} == {disk["diskId"] for disk in point["disks"]}
        for volume in result["volumes"]:
            assert fire.hashes(volume["volumeId"]) == expected[volume["diskId"]]
        volumes |= {volume["volumeId"] for volume in result["volumes"]}
        instances |= {result["instanceId"]} if "instanceId" in result else set()
        assert runs <= wanted_kills + 1
    after = inventory(fire.appliance.cloud.url, setting.REGIONS)
    points = list(all_points(fire.visitor, leg="SNAPSHOT", state="AVAILABLE"))
    known = {disk["snapshotId"] for point in points for disk in point["disks"]}
    assert after.snapshots == before.snapshots | known
    assert after.volumes == before.volumes | volumes
    assert after.instances == before.instances | instances
    _each_run_made_one_point_per_resource(fire, runs)
    _repository_holds_only_what_is_needed(fire.appliance)
    assert "FLUSHALL" in fire.report
    print("\n".join([f"{runs} runs", *fire.report]))  # noqa: T201  pytest -rP tells what was hit


def _restored(fire: UnderFire, point: dict[str, Any], *, as_instance: bool) -> dict[str, Any]:
    """What the restore of ``point`` made."""
    zone = setting.zone_of(fire.visitor, point)
    where = {"pointId": point["id"], "accountId": zone.account_id, "region": zone.region}
    if as_instance:
        session = fire.endure(RESTORE_INSTANCE, name="restored under fire", **where)
    else:
        session = fire.endure(RESTORE_VOLUMES, zone=zone.name, **where)
    assert session["state"] == "SUCCESS", fire.last_words(session)
    result: dict[str, Any] = session["tasks"][0]["result"]
    return result


def _churned(fire: UnderFire, number: int) -> dict[str, Any]:
    """Rewrite a part of every protected disk; what each holds now."""
    resources = fire.visitor.ask("{ resources(first: 100, filter: {present: true}) { edges { node { details } } } }")
    volumes = [volume["volumeId"] for edge in resources["resources"]["edges"] for volume in edge["node"]["details"]["volumes"]]
    for volume in volumes:
        fire.demo("POST", f"volumes/{volume}/churn?percent={CHURN_PERCENT}&seed={number}")
    return {volume: fire.hashes(volume) for volume in volumes}


def _largest_backup(fire: UnderFire, session_id: str) -> dict[str, Any]:
    points = all_points(fire.visitor, leg="BACKUP", state="AVAILABLE")
    return max((point for point in points if point["session"]["id"] == session_id), key=lambda point: len(point["disks"]))


def _each_run_made_one_point_per_resource(fire: UnderFire, runs: int) -> None:
    made = [(point["session"]["id"], point["resource"]["id"]) for point in all_points(fire.visitor, leg="BACKUP")]
    assert len(made) == len(set(made))
    assert len({session for session, _ in made}) == runs


def _repository_holds_only_what_is_needed(appliance: RunningAppliance) -> None:
    """Every block of every point reads back, and two collections leave nothing for a third."""
    joined = bootstrap.build(appliance.settings)
    try:
        with joined.store.transaction() as tx:
            (row,) = tx.repositories.page(Select())
        repository = joined.services.open_repository(row)
        assert list(check(repository, "content")) == []
        for _ in range(2):
            collect(repository, min_age=timedelta(0))
        last = collect(repository, min_age=timedelta(0))
        assert (last.deleted_objects, last.marked_objects) == (0, 0)
        assert list(check(repository, "content")) == []
    finally:
        joined.close()
