"""EC2 against the demo account: discovery and snapshots, also when steps are repeated and answers are lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.adapters.clock import FakeClock
from server.domain.errors import AwsNotFound
from server.ports import SnapshotJob
from server.workloads.ec2 import Ec2, records
from tests.demo_account import HOME, Site
from tests.waiting import until
from tests.workloads.conftest import (
    Driver,
    Memo,
    Protected,
    protect,
    resource_of,
)


def tags_of(found: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


# ---- discovery


def test_an_instance_is_found_with_all_a_restore_needs(site: Site, ec2: Ec2, web: Protected) -> None:
    found = next(f for f in ec2.discover(HOME) if f.aws_id == web.resource.aws_id)
    instance = found.document["instance"]
    assert (found.name, found.state, found.size_bytes) == ("web-1", "running", 3 * 2**30)
    assert instance["subnetId"] == site.subnet
    assert instance["vpcId"] == site.vpc
    assert instance["securityGroupIds"] == [site.group]
    assert instance["keyName"] == site.key
    assert instance["imageId"] == site.image
    assert instance["iamInstanceProfileArn"].endswith(f"/{site.profile}")
    assert [v["device"] for v in found.document["volumes"]] == ["/dev/sdf", "/dev/sdg", "/dev/xvda"]
    assert (found.document["volumes"][0]["volumeType"], found.document["volumes"][0]["iops"]) == ("gp3", 4000)
    assert json.loads(json.dumps(found.document)) == found.document


def test_no_ipv6_address_is_kept(ec2: Ec2, web: Protected) -> None:
    assert "ipv6" not in json.dumps(web.resource.document).lower()


def test_discovery_goes_through_all_pages(site: Site, ec2: Ec2, web: Protected, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        site.launch(f"small-{number}", data_disks=0)
    expected = {f.aws_id: f.size_bytes for f in ec2.discover(HOME)}
    monkeypatch.setattr(records, "PAGE", 5)
    site.account.reset()
    assert {f.aws_id: f.size_bytes for f in ec2.discover(HOME)} == expected
    assert site.account.calls("ec2:DescribeInstances") > 1
    assert site.account.calls("ec2:DescribeVolumes") > 1


def test_a_terminated_instance_is_not_found(site: Site, ec2: Ec2) -> None:
    instance = site.launch("short-lived", data_disks=0)
    site.call("terminate_instances", InstanceIds=[instance])
    assert instance not in {f.aws_id for f in ec2.discover(HOME)}


# ---- snapshots


def snapshots(site: Site, job: SnapshotJob) -> list[str]:
    return site.of_task(job.token)["snapshots"]


def test_a_snapshot_covers_every_volume(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = web.job()
    driver = Driver(clock, lambda memo: ec2.snapshot(job, memo))
    document = driver.finish()
    assert sorted(v["snapshotId"] for v in document["volumes"]) == sorted(snapshots(site, job))
    for volume in document["volumes"]:
        assert site.account.hashes(volume["snapshotId"]) == site.account.hashes(volume["volumeId"])
    assert document["instance"]["instanceId"] == web.resource.aws_id
    assert driver.messages[-1] == "3 snapshots completed."


def test_snapshots_carry_our_tags_and_the_volumes_own(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    data = web.volumes["/dev/sdf"]
    site.call("create_tags", Resources=[data], Tags=[{"Key": "Cost", "Value": "42"}, {"Key": "holdfast:task", "Value": "old"}])
    job = web.job()
    document = Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()
    snapshot = next(v["snapshotId"] for v in document["volumes"] if v["volumeId"] == data)
    assert tags_of(site.call("describe_snapshots", SnapshotIds=[snapshot])["Snapshots"][0]) == {
        "Name": "web-1",
        "Cost": "42",
        "holdfast:policy": "Nightly",
        "holdfast:resource": web.resource.aws_id,
        "holdfast:task": job.token,
    }


def test_tags_are_not_copied_when_not_asked_for(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = web.job(copy_tags=False)
    document = Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()
    found = site.call("describe_snapshots", SnapshotIds=[v["snapshotId"] for v in document["volumes"]])["Snapshots"]
    assert all("Cost" not in tags_of(snapshot) for snapshot in found)


def test_steps_repeated_after_a_crash_make_no_second_snapshot(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = web.job()
    driver = Driver(clock, lambda memo: ec2.snapshot(job, memo), twice=True)
    document = driver.finish()
    assert len(snapshots(site, job)) == 3
    for memo in driver.memos:  # and from each older memo once more
        again = Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish(memo)
        assert again["volumes"] == document["volumes"]
    assert len(snapshots(site, job)) == 3


@pytest.mark.parametrize("kind", ["lost_reply", "error500"])
def test_a_create_in_doubt_is_looked_for_before_it_is_repeated(
    site: Site, ec2: Ec2, web: Protected, clock: FakeClock, kind: str
) -> None:
    site.account.fault("ec2:CreateSnapshots", kind, times=1)
    job = web.job()
    driver = Driver(clock, lambda memo: ec2.snapshot(job, memo))
    started = clock.monotonic()
    driver.finish()
    assert len(snapshots(site, job)) == 3
    assert site.account.calls("ec2:CreateSnapshots") == (1 if kind == "lost_reply" else 2)
    if kind == "error500":
        assert clock.monotonic() - started >= 15  # time for AWS to show what it might have made


def test_a_busy_queue_only_delays_the_snapshot(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    """Each step comes a minute late: the intent has gone stale, and is stated anew with more time until it holds."""
    job = web.job()

    def late(memo: Memo) -> Any:
        clock.sleep(60)
        return ec2.snapshot(job, memo)

    Driver(clock, late).finish()
    assert len(snapshots(site, job)) == 3


def test_a_second_set_of_snapshots_is_deleted(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = web.job()
    driver = Driver(clock, lambda memo: ec2.snapshot(job, memo))
    memo = driver.step({}).memo
    memo = driver.step(memo).memo
    ours = {v["snapshotId"] for v in memo["volumes"]}
    site.call(
        "create_snapshots",
        InstanceSpecification={"InstanceId": web.resource.aws_id},
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "holdfast:task", "Value": job.token}]}],
    )
    driver.finish(memo)
    assert set(snapshots(site, job)) == ours


def test_a_volume_attached_at_the_last_moment_is_part_of_the_point(site: Site, ec2: Ec2, clock: FakeClock) -> None:
    protected = protect(site, ec2, "growing", data_disks=1)
    job = protected.job()
    driver = Driver(clock, lambda memo: ec2.snapshot(job, memo))
    memo = driver.step({}).memo
    added = site.attach_disk(protected.resource.aws_id, "/dev/sdh", name="late")
    document = driver.finish(memo)
    assert added in {v["volumeId"] for v in document["volumes"]}
    assert len(snapshots(site, job)) == 3


def test_an_instance_deleted_before_the_snapshot_is_named(site: Site, ec2: Ec2, clock: FakeClock) -> None:
    protected = protect(site, ec2, "doomed", data_disks=0)
    job = protected.job()
    driver = Driver(clock, lambda memo: ec2.snapshot(job, memo))
    memo = driver.step({}).memo
    site.call("terminate_instances", InstanceIds=[protected.resource.aws_id])
    until(lambda: site.state(protected.resource.aws_id) == "terminated")
    with pytest.raises(AwsNotFound, match=r"doomed .* no longer exists"):
        ec2.snapshot(job, {})
    with pytest.raises(AwsNotFound, match=r"doomed .* no longer exists"):
        driver.finish(memo)


def test_a_snapshot_deleted_by_somebody_is_named(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = web.job()
    driver = Driver(clock, lambda memo: ec2.snapshot(job, memo))
    memo = driver.step(driver.step({}).memo).memo
    victim = memo["volumes"][0]["snapshotId"]
    site.call("delete_snapshot", SnapshotId=victim)
    with pytest.raises(AwsNotFound, match=victim):
        driver.finish(memo)


def test_a_storm_of_throttling_and_failures_ends_well(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    for kind in ("throttle", "error500", "lost_reply"):
        site.account.fault("ec2:*", kind, times=None, probability=0.12)
    job = web.job()
    Driver(clock, lambda memo: ec2.snapshot(job, memo), twice=True).finish()
    site.account.reset()
    assert len(snapshots(site, job)) == 3


def test_deleting_a_point_twice_is_no_error(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = web.job()
    document = Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()
    ec2.delete_snapshot(HOME, document)
    assert not snapshots(site, job)
    ec2.delete_snapshot(HOME, document)


def test_abandoning_a_snapshot_leaves_nothing(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    job = web.job()
    driver = Driver(clock, lambda memo: ec2.snapshot(job, memo))
    driver.step(driver.step({}).memo)
    assert snapshots(site, job)
    ec2.abandon(HOME, job.token)
    assert not snapshots(site, job)
    ec2.abandon(HOME, job.token)


def test_a_rescanned_instance_equals_its_resource(ec2: Ec2, web: Protected) -> None:
    found = next(f for f in ec2.discover(HOME) if f.aws_id == web.resource.aws_id)
    assert resource_of(found).document["instance"] == web.resource.document["instance"]
