"""EC2 where an emulated account cannot be brought: encrypted disks, failed snapshots, refusals. AWS answers from a script."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.adapters.aws_scripted import ScriptedAws
from server.adapters.clock import FakeClock
from server.domain.errors import AwsAccessDenied, AwsLimit, AwsNotFound, AwsRejected, HoldfastError, Throttled, Unavailable
from server.domain.workload import Found
from server.ports import DiskSnapshot, SnapshotJob
from server.workloads.ec2 import Ec2, tags
from server.workloads.ec2.volumes import client_token
from tests.demo_account import HOME, REGION
from tests.workloads.conftest import Memo, instance_options, resource_of, restore_job, volume_options

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = f"arn:aws:kms:{REGION}:1:key/k"
INSTANCE: dict[str, Any] = {
    "InstanceId": "i-1",
    "State": {"Name": "running"},
    "Tags": [{"Key": "Name", "Value": "db"}],
    "InstanceType": "t3.small",
    "ImageId": "ami-1",
    "SubnetId": "subnet-1",
    "SecurityGroups": [{"GroupId": "sg-1"}],
    "RootDeviceName": "/dev/xvda",
}
VOLUME: dict[str, Any] = {
    "VolumeId": "vol-1",
    "Size": 8,
    "VolumeType": "gp3",
    "Iops": 3000,
    "Attachments": [{"InstanceId": "i-1", "Device": "/dev/xvda", "State": "attached"}],
}


def snapshot_of(volume: str, name: str, state: str = "pending", **more: Any) -> dict[str, Any]:
    return {"SnapshotId": name, "VolumeId": volume, "State": state, "StartTime": START, **more}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def aws() -> ScriptedAws:
    return ScriptedAws(
        {
            ("ec2", "describe_instances"): {"Reservations": [{"Instances": [INSTANCE]}]},
            ("ec2", "describe_volumes"): {"Volumes": [VOLUME]},
            ("ec2", "describe_snapshots"): {"Snapshots": []},
            ("ec2", "describe_availability_zones"): {"AvailabilityZones": [{"ZoneName": f"{REGION}a", "State": "available"}]},
            ("ec2", "create_snapshots"): {"Snapshots": [snapshot_of("vol-1", "snap-1")]},
            ("ec2", "delete_snapshot"): {},
            ("ec2", "create_tags"): {},
            ("ssm", "list_commands"): {"Commands": []},
        }
    )


@pytest.fixture
def ec2(aws: ScriptedAws, clock: FakeClock) -> Ec2:
    return Ec2(aws, clock)


@pytest.fixture
def job() -> SnapshotJob:
    found = Found(aws_id="i-1", name="db", region=REGION, tags={}, state="running", size_bytes=0, document={})
    return SnapshotJob(place=HOME, resource=resource_of(found), token="task-1", policy_name="Nightly")


def begun(ec2: Ec2, job: SnapshotJob) -> Memo:
    """The memo once the snapshots have been started."""
    return ec2.snapshot(job, ec2.snapshot(job, {}).memo).memo


# ---- snapshots


def test_an_instance_without_volumes_is_told_apart(aws: ScriptedAws, ec2: Ec2, job: SnapshotJob) -> None:
    aws.answers["ec2", "describe_volumes"] = {"Volumes": []}
    with pytest.raises(AwsRejected, match="no EBS volume"):
        ec2.snapshot(job, {})


def test_the_moment_of_the_data_is_fixed_when_the_snapshots_have_been_started(
    aws: ScriptedAws, ec2: Ec2, job: SnapshotJob
) -> None:
    planned = ec2.snapshot(job, {})
    started = ec2.snapshot(job, planned.memo)
    aws.answers["ec2", "describe_snapshots"] = {"Snapshots": [snapshot_of("vol-1", "snap-1")]}
    waiting = ec2.snapshot(job, started.memo)
    assert [step.taken for step in (planned, started, waiting)] == [False, True, True]
    assert not waiting.done


def test_a_failed_snapshot_says_why(aws: ScriptedAws, ec2: Ec2, job: SnapshotJob) -> None:
    memo = begun(ec2, job)
    failed = snapshot_of("vol-1", "snap-1", "error", StateMessage="Given key ID is not accessible")
    aws.answers["ec2", "describe_snapshots"] = {"Snapshots": [failed]}
    with pytest.raises(AwsRejected, match="Given key ID is not accessible") as caught:
        ec2.snapshot(job, memo)
    assert "KMS" in (caught.value.remedy or "")


def test_progress_is_what_aws_reports(aws: ScriptedAws, ec2: Ec2, job: SnapshotJob) -> None:
    memo = begun(ec2, job)
    aws.answers["ec2", "describe_snapshots"] = {"Snapshots": [snapshot_of("vol-1", "snap-1", Progress="37%")]}
    step = ec2.snapshot(job, memo)
    assert (step.done, step.progress) == (False, 0.37)


def test_a_long_snapshot_is_looked_at_less_often(aws: ScriptedAws, ec2: Ec2, job: SnapshotJob, clock: FakeClock) -> None:
    memo = begun(ec2, job)
    aws.answers["ec2", "describe_snapshots"] = {"Snapshots": [snapshot_of("vol-1", "snap-1")]}
    early = ec2.snapshot(job, memo).wait
    clock.advance(timedelta(hours=2))
    assert early < ec2.snapshot(job, memo).wait <= 15


def test_throttling_of_the_create_is_left_to_the_engine(aws: ScriptedAws, ec2: Ec2, job: SnapshotJob) -> None:
    memo = ec2.snapshot(job, {}).memo
    aws.answers["ec2", "create_snapshots"] = Throttled("slow down")
    with pytest.raises(Throttled):
        ec2.snapshot(job, memo)


def test_after_a_doubtful_create_nothing_is_created_until_aws_must_have_shown_it(
    aws: ScriptedAws, ec2: Ec2, job: SnapshotJob, clock: FakeClock
) -> None:
    memo = ec2.snapshot(job, {}).memo
    aws.answers["ec2", "create_snapshots"] = Unavailable("connection lost")
    memo = ec2.snapshot(job, memo).memo
    for _ in range(10):
        clock.advance(2)
        memo = ec2.snapshot(job, memo).memo
    assert len(aws.called("create_snapshots")) == 1
    aws.answers["ec2", "describe_snapshots"] = {"Snapshots": [snapshot_of("vol-1", "snap-9")]}
    assert ec2.snapshot(job, memo).memo["volumes"][0]["snapshotId"] == "snap-9"


def test_the_same_memo_long_after_a_crash_does_not_create(
    aws: ScriptedAws, ec2: Ec2, job: SnapshotJob, clock: FakeClock
) -> None:
    memo = ec2.snapshot(job, {}).memo
    clock.advance(25)  # the lease of the worker that died has run out
    ec2.snapshot(job, memo)
    assert not aws.called("create_snapshots")


def test_other_refusals_of_the_create_stay_as_they_are(aws: ScriptedAws, ec2: Ec2, job: SnapshotJob) -> None:
    memo = ec2.snapshot(job, {}).memo
    aws.answers["ec2", "create_snapshots"] = AwsRejected("no", aws_code="InvalidParameterValue")
    with pytest.raises(AwsRejected, match="no"):
        ec2.snapshot(job, memo)


def test_more_tags_than_aws_allows_are_left_out() -> None:
    copied = {f"k{n:02}": "v" for n in range(60)} | {"aws:cloudformation:stack-id": "x", tags.TASK: "other"}
    merged = tags.merged({tags.TASK: "mine"}, copied)
    assert len(merged) == 50
    assert merged[tags.TASK] == "mine"
    assert not any(key.startswith("aws:") for key in merged)


@pytest.mark.parametrize("code", ["InvalidSnapshot.InUse", "IncorrectState"])
def test_every_snapshot_of_a_point_is_tried_before_a_refusal_counts(aws: ScriptedAws, ec2: Ec2, code: str) -> None:
    def delete(params: dict[str, Any]) -> dict[str, Any]:
        if params["SnapshotId"] == "snap-1":
            raise AwsRejected("in use", aws_code=code)
        return {}

    aws.answers["ec2", "delete_snapshot"] = delete
    with pytest.raises(AwsRejected, match="in use"):
        ec2.delete_snapshot(HOME, {"volumes": [{"snapshotId": "snap-1"}, {"snapshotId": None}, {"snapshotId": "snap-2"}]})
    assert [call["SnapshotId"] for call in aws.called("delete_snapshot")] == ["snap-1", "snap-2"]


def test_abandoning_gives_up_after_a_while_and_names_what_is_left(aws: ScriptedAws, ec2: Ec2, clock: FakeClock) -> None:
    aws.answers["ec2", "describe_volumes"] = {"Volumes": [{"VolumeId": "vol-stuck", "State": "in-use"}]}
    aws.answers["ec2", "describe_instances"] = {"Reservations": []}
    with pytest.raises(Unavailable, match="vol-stuck"):
        ec2.abandon(HOME, "task-1")


def test_abandoning_looks_twice_because_aws_lists_new_things_late(aws: ScriptedAws, ec2: Ec2) -> None:
    looks = iter([[], [snapshot_of("vol-1", "snap-late")], [], []])
    aws.answers["ec2", "describe_snapshots"] = lambda _: {"Snapshots": next(looks)}
    aws.answers["ec2", "describe_instances"] = {"Reservations": []}
    aws.answers["ec2", "describe_volumes"] = {"Volumes": []}
    ec2.abandon(HOME, "task-1")
    assert [call["SnapshotId"] for call in aws.called("delete_snapshot")] == ["snap-late"]


# ---- restored volumes


def record(**volume: Any) -> Memo:
    disk = {"volumeId": "vol-1", "snapshotId": "snap-1", "sizeGib": 8, "device": "/dev/xvda", "tags": {}, **volume}
    instance = {
        "instanceId": "i-1",
        "name": "db",
        "instanceType": "t3.small",
        "imageId": "ami-1",
        "subnetId": "subnet-1",
        "securityGroupIds": ["sg-1"],
        "rootDeviceName": "/dev/xvda",
        "tags": {},
    }
    return {"instance": instance, "volumes": [disk]}


def created(aws: ScriptedAws, ec2: Ec2, document: Memo, *, key: str | None = None, **options: Any) -> tuple[Memo, Memo]:
    """The parameters of CreateVolume, and the memo after it."""
    aws.answers["ec2", "describe_volumes"] = {"Volumes": []}
    encryption = {"Encrypted": True, "KmsKeyId": key} if key else {"Encrypted": False}
    source = snapshot_of("vol-1", "snap-1", "completed", **encryption)
    aws.answers["ec2", "describe_snapshots"] = {"Snapshots": [source]}
    aws.answers["ec2", "create_volume"] = {"VolumeId": "vol-new"}
    job = restore_job(document, ec2)
    step = ec2.restore_volumes(job, volume_options(**options), {"phase": "create", "warnings": []})
    (params,) = aws.called("create_volume")
    return params, step.memo


@pytest.mark.parametrize(
    ("recorded", "chosen", "expected"),
    [
        ({"volumeType": "gp3", "iops": 5000, "throughput": 300}, None, {"VolumeType": "gp3", "Iops": 5000, "Throughput": 300}),
        ({"volumeType": "gp2", "iops": 100}, None, {"VolumeType": "gp2"}),
        ({"volumeType": "io2", "iops": 400}, None, {"VolumeType": "io2", "Iops": 400}),
        ({"volumeType": "gp2", "iops": 100}, "io1", {"VolumeType": "io1", "Iops": 100}),
        ({"volumeType": "gp3", "iops": 16000}, "io1", {"VolumeType": "io1", "Iops": 400}),
        ({"volumeType": "io1", "iops": 400}, "gp3", {"VolumeType": "gp3"}),
        ({"volumeType": "standard"}, None, {"VolumeType": "standard"}),
        ({}, None, {"VolumeType": "gp3"}),
    ],
)
def test_speed_follows_the_type(aws: ScriptedAws, ec2: Ec2, recorded: Memo, chosen: str | None, expected: Memo) -> None:
    params, _ = created(aws, ec2, record(**recorded), volume_type=chosen)
    assert {key: params[key] for key in ("VolumeType", "Iops", "Throughput") if key in params} == expected


def test_a_disk_encrypted_before_is_encrypted_again_with_its_key(aws: ScriptedAws, ec2: Ec2) -> None:
    params, memo = created(aws, ec2, record(encrypted=True, kmsKeyId=KEY))
    assert (params["Encrypted"], params["KmsKeyId"]) == (True, KEY)
    assert memo["warnings"] == []


def test_a_key_of_another_region_is_replaced_with_a_warning(aws: ScriptedAws, ec2: Ec2) -> None:
    params, memo = created(aws, ec2, record(encrypted=True, kmsKeyId=KEY.replace(REGION, "us-east-1")))
    assert params["Encrypted"] is True
    assert "KmsKeyId" not in params
    assert "default key" in memo["warnings"][0]


def test_an_encrypted_snapshot_brings_its_own_key(aws: ScriptedAws, ec2: Ec2) -> None:
    params, _ = created(aws, ec2, record(encrypted=True, kmsKeyId=KEY), key=KEY)
    assert "Encrypted" not in params


def test_data_that_travelled_under_the_default_key_gets_its_own_again(aws: ScriptedAws, ec2: Ec2) -> None:
    params, memo = created(aws, ec2, record(encrypted=True, kmsKeyId=KEY), key=f"arn:aws:kms:{REGION}:123456789012:key/default")
    assert (params["Encrypted"], params["KmsKeyId"]) == (True, KEY)
    assert memo["warnings"] == []


def test_a_client_token_fits_into_64_characters_and_differs_per_disk(ec2: Ec2) -> None:
    job = restore_job(record(), ec2, token="t" * 200)
    assert len(client_token(job, "vol-1")) <= 64
    assert client_token(job, "vol-1") != client_token(job, "vol-2")


def test_a_volume_that_fails_says_where_to_look(aws: ScriptedAws, ec2: Ec2, clock: FakeClock) -> None:
    broken = {"VolumeId": "vol-new", "State": "error", "Tags": [{"Key": tags.DISK, "Value": "vol-1"}]}
    aws.answers["ec2", "describe_volumes"] = {"Volumes": [broken]}
    memo = {"phase": "wait", "warnings": [], "createdAt": clock.now().timestamp()}
    with pytest.raises(AwsRejected, match="vol-new") as caught:
        ec2.restore_volumes(restore_job(record(), ec2), volume_options(), memo)
    assert "KMS" in (caught.value.remedy or "")


def test_a_used_up_quota_is_passed_on(aws: ScriptedAws, ec2: Ec2) -> None:
    aws.answers["ec2", "describe_volumes"] = {"Volumes": []}
    aws.answers["ec2", "create_volume"] = AwsLimit("quota", aws_code="VolumeLimitExceeded")
    memo = {"phase": "create", "warnings": []}
    with pytest.raises(AwsLimit):
        ec2.restore_volumes(restore_job(record(), ec2), volume_options(), memo)


# ---- what an instance restore looks at first


@pytest.fixture
def target(aws: ScriptedAws) -> ScriptedAws:
    subnet = {"SubnetId": "subnet-1", "VpcId": "vpc-1", "AvailabilityZone": f"{REGION}a", "AvailableIpAddressCount": 9}
    aws.answers |= {
        ("ec2", "describe_subnets"): {"Subnets": [subnet]},
        ("ec2", "describe_images"): {"Images": [{"ImageId": "ami-1", "Architecture": "x86_64", "State": "available"}]},
        ("ec2", "describe_security_groups"): {"SecurityGroups": [{"GroupId": "sg-1", "VpcId": "vpc-1"}]},
        ("ec2", "describe_instance_types"): {"InstanceTypes": [{"ProcessorInfo": {"SupportedArchitectures": ["x86_64"]}}]},
        ("iam", "get_instance_profile"): {},
    }
    return aws


Case = tuple[str, dict[str, Any], dict[tuple[str, str], Any], type[HoldfastError], str]
PREFLIGHT: list[Case] = [
    ("no subnet recorded", {"subnetId": None}, {}, AwsNotFound, "names no subnet"),
    ("no AMI recorded", {"imageId": None}, {}, AwsNotFound, "names no AMI"),
    ("no group recorded", {"securityGroupIds": []}, {}, AwsNotFound, "names no security group"),
    (
        "subnet is full",
        {},
        {("ec2", "describe_subnets"): {"Subnets": [{"SubnetId": "s", "VpcId": "v", "AvailableIpAddressCount": 0}]}},
        AwsRejected,
        "no free address",
    ),
    ("AMI deregistered", {}, {("ec2", "describe_images"): {"Images": []}}, AwsNotFound, "deregistered"),
    (
        "AMI still pending",
        {},
        {("ec2", "describe_images"): {"Images": [{"ImageId": "ami-1", "State": "pending"}]}},
        AwsNotFound,
        "not available",
    ),
    (
        "malformed AMI id",
        {},
        {("ec2", "describe_images"): AwsRejected("Invalid id", aws_code="InvalidAMIID.Malformed")},
        AwsNotFound,
        "not available",
    ),
    (
        "unknown type",
        {},
        {("ec2", "describe_instance_types"): AwsRejected("The following types do not exist", aws_code="InvalidInstanceType")},
        AwsRejected,
        "no instance type",
    ),
    ("denied", {}, {("ec2", "describe_subnets"): AwsAccessDenied("may not")}, AwsAccessDenied, "may not"),
]


@pytest.mark.parametrize(("name", "recorded", "answers", "kind", "words"), PREFLIGHT, ids=[case[0] for case in PREFLIGHT])
def test_nothing_is_made_when_something_does_not_fit(
    target: ScriptedAws,
    ec2: Ec2,
    name: str,
    recorded: dict[str, Any],
    answers: dict[tuple[str, str], Any],
    kind: type[HoldfastError],
    words: str,
) -> None:
    target.answers |= answers
    document = record()
    job = restore_job({**document, "instance": {**document["instance"], **recorded}}, ec2)
    with pytest.raises(kind, match=words):
        ec2.restore_instance(job, instance_options(), {})
    assert all(asked.operation.startswith(("describe_", "get_")) for asked in target.asked)


def test_a_profile_we_may_not_look_at_is_a_warning(target: ScriptedAws, ec2: Ec2) -> None:
    target.answers["iam", "get_instance_profile"] = AwsAccessDenied("may not")
    document = record()
    arn = "arn:aws:iam::1:instance-profile/path/web"
    job = restore_job({**document, "instance": {**document["instance"], "iamInstanceProfileArn": arn}}, ec2)
    step = ec2.restore_instance(job, instance_options(), {})
    assert "iam:GetInstanceProfile" in step.memo["warnings"][0]
    assert target.called("get_instance_profile") == [{"InstanceProfileName": "web"}]


def test_an_empty_profile_means_none(target: ScriptedAws, ec2: Ec2) -> None:
    document = record()
    arn = "arn:aws:iam::1:instance-profile/web"
    job = restore_job({**document, "instance": {**document["instance"], "iamInstanceProfileArn": arn}}, ec2)
    step = ec2.restore_instance(job, instance_options(iam_instance_profile=""), {})
    assert step.memo["plan"]["instance_profile"] is None
    assert step.memo["warnings"] == []


def test_a_disk_without_a_device_is_not_attached_somewhere(target: ScriptedAws, ec2: Ec2) -> None:
    disk = DiskSnapshot(disk_id="vol-1", snapshot_id="snap-1", size_bytes=2**30, document={"device": None})
    job = restore_job(record(), ec2, disks=(disk,))
    memo = {"phase": "attach", "instanceId": "i-2", "volumes": [{"diskId": "vol-1", "volumeId": "vol-9"}]}
    with pytest.raises(AwsRejected, match="where disk vol-1 was attached"):
        ec2.restore_instance(job, instance_options(), memo)
