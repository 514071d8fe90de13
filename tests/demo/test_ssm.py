"""Commands in guests: what is sent where, how it goes, what it leaves behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.demo.ssm.guests import Guest, Result
from tests.demo.clouds import Cloud, refused
from tests.waiting import until

LINUX_LINES = ["if [ ! -f /opt/freeze.sh ]; then echo 'no such script'; exit 213; fi", "sh /opt/freeze.sh 'web 1'"]
WINDOWS_LINES = [
    r"if (-not (Test-Path -LiteralPath 'C:\Scripts\freeze.ps1' -PathType Leaf)) { Write-Output 'no such script'; exit 213 }",
    r"& powershell.exe -File 'C:\Scripts\freeze.ps1'",
]


def managed(cloud: Cloud, instance_id: str, **guest: Any) -> str:
    cloud.control("POST", f"ssm/{instance_id}", {"agent": "online", **guest})
    return instance_id


def windows_image(cloud: Cloud) -> str:
    root, data = cloud.snapshot(cloud.volume(size=2)), cloud.snapshot(cloud.volume())
    mappings = [
        {"DeviceName": device, "Ebs": {"SnapshotId": snapshot}} for device, snapshot in (("/dev/sda1", root), ("xvdf", data))
    ]
    image: str = cloud.client("ec2").register_image(
        Name=f"windows-{root}", RootDeviceName="/dev/sda1", BlockDeviceMappings=mappings, BillingProducts=["bp-6ba54002"]
    )["ImageId"]
    return image


@pytest.fixture(scope="module")
def linux(cloud: Cloud) -> str:
    return managed(cloud, cloud.instance(cloud.image()))


@pytest.fixture(scope="module")
def windows(cloud: Cloud) -> str:
    return managed(cloud, cloud.instance(windows_image(cloud)))


def run(cloud: Cloud, instance_id: str, document: str, parameters: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The invocation, once it has ended."""
    ssm = cloud.client("ssm")
    sent = ssm.send_command(InstanceIds=[instance_id], DocumentName=document, Parameters=parameters, **options)["Command"]
    return ended(ssm, sent["CommandId"], instance_id)


def ended(ssm: Any, command_id: str, instance_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def over() -> bool:
        try:
            found.append(ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id))
        except ssm.exceptions.InvocationDoesNotExist:
            return False
        return found[-1]["Status"] not in ("Pending", "InProgress", "Cancelling")

    until(over)
    return found[-1]


def test_a_guest_is_known_by_its_agent(cloud: Cloud, linux: str, windows: str) -> None:
    ssm, unmanaged = cloud.client("ssm"), cloud.instance(cloud.image())
    ask = {"Filters": [{"Key": "InstanceIds", "Values": [linux, windows, unmanaged]}]}
    found = {each["InstanceId"]: each for each in ssm.describe_instance_information(**ask)["InstanceInformationList"]}
    assert set(found) == {linux, windows}
    assert [found[each]["PlatformType"] for each in (linux, windows)] == ["Linux", "Windows"]
    assert {each["PingStatus"] for each in found.values()} == {"Online"}
    shown = cloud.describe(windows)
    assert (shown["Platform"], shown["PlatformDetails"]) == ("windows", "Windows")
    assert refused(lambda: run(cloud, unmanaged, "AWS-RunShellScript", {"commands": ["true"]}))[0] == "InvalidInstanceId"


def test_an_agent_goes_online_by_the_role_of_its_instance(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    }
    iam.create_role(RoleName="node", AssumeRolePolicyDocument=json.dumps(trust))
    iam.create_instance_profile(InstanceProfileName="node")
    iam.add_role_to_instance_profile(InstanceProfileName="node", RoleName="node")
    instance_id = cloud.instance(cloud.image(), IamInstanceProfile={"Name": "node"})
    ask = {"Filters": [{"Key": "InstanceIds", "Values": [instance_id]}]}
    assert cloud.client("ssm").describe_instance_information(**ask)["InstanceInformationList"] == []
    allowed = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ssm:Update*", "Resource": "*"}}
    iam.put_role_policy(RoleName="node", PolicyName="ssm", PolicyDocument=json.dumps(allowed))
    (found,) = cloud.client("ssm").describe_instance_information(**ask)["InstanceInformationList"]
    assert (found["PingStatus"], found["IamRole"]) == ("Online", "node")
    cloud.client("ec2").stop_instances(InstanceIds=[instance_id])
    until(lambda: cloud.state(instance_id) == "stopped")
    (found,) = cloud.client("ssm").describe_instance_information(**ask)["InstanceInformationList"]
    assert found["PingStatus"] == "ConnectionLost"


@pytest.mark.parametrize(("platform", "path", "lines"), [
    ("linux", "/opt/freeze.sh", LINUX_LINES), ("windows", r"C:\Scripts\freeze.ps1", WINDOWS_LINES),
])  # fmt: skip
def test_scripts_end_as_the_guest_was_told(
    cloud: Cloud, request: pytest.FixtureRequest, platform: str, path: str, lines: list[str]
) -> None:
    instance_id = request.getfixturevalue(platform)
    document = "AWS-RunShellScript" if platform == "linux" else "AWS-RunPowerShellScript"
    missing = run(cloud, instance_id, document, {"commands": lines})
    assert (missing["Status"], missing["ResponseCode"]) == ("Failed", 213)
    assert missing["StandardOutputContent"] == "no such script\n"
    managed(cloud, instance_id, scripts={path: {"output": "frozen\n"}})
    done = run(cloud, instance_id, document, {"commands": lines})
    assert (done["Status"], done["ResponseCode"], done["StandardOutputContent"]) == ("Success", 0, "frozen\n")
    managed(cloud, instance_id, scripts={path: {"exitCode": 3, "error": "database is busy\n"}})
    failed = run(cloud, instance_id, document, {"commands": lines}, Comment="mark 1")
    assert (failed["Status"], failed["ResponseCode"], failed["StandardErrorContent"]) == ("Failed", 3, "database is busy\n")
    ran = cloud.control("GET", f"ssm/{instance_id}/commands")
    assert (ran[-1]["Comment"], ran[-1]["Parameters"]["commands"]) == ("mark 1", lines)


def test_a_script_that_takes_too_long_is_stopped(cloud: Cloud, linux: str) -> None:
    managed(cloud, linux, scripts={"/opt/freeze.sh": {"seconds": 3600}})
    slow = run(cloud, linux, "AWS-RunShellScript", {"commands": LINUX_LINES, "executionTimeout": ["1"]})
    assert (slow["Status"], slow["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")


def test_a_running_command_is_found_and_cancelled(cloud: Cloud, linux: str) -> None:
    managed(cloud, linux, scripts={"/opt/freeze.sh": {"seconds": 3600}})
    ssm = cloud.client("ssm")
    sent = ssm.send_command(
        InstanceIds=[linux], DocumentName="AWS-RunShellScript", Parameters={"commands": LINUX_LINES}, Comment="to be cancelled"
    )["Command"]
    filters = [{"key": "Status", "value": "InProgress"}]
    until(lambda: bool(ssm.list_commands(InstanceId=linux, Filters=filters)["Commands"]))
    assert ssm.get_command_invocation(CommandId=sent["CommandId"], InstanceId=linux)["ResponseCode"] == -1
    (found,) = [each for each in ssm.list_commands(InstanceId=linux)["Commands"] if each["Comment"] == "to be cancelled"]
    ssm.cancel_command(CommandId=found["CommandId"])
    assert ended(ssm, sent["CommandId"], linux)["Status"] == "Cancelled"
    assert refused(lambda: ssm.cancel_command(CommandId="11111111-2222-3333-4444-555555555555"))[0] == "InvalidCommandId"


def test_commands_are_listed_in_pages_the_newest_first(cloud: Cloud, linux: str) -> None:
    managed(cloud, linux, scripts={})
    for number in range(3):
        run(cloud, linux, "AWS-RunShellScript", {"commands": ["true"]}, Comment=f"page {number}")
    pages = cloud.client("ssm").get_paginator("list_commands").paginate(InstanceId=linux, PaginationConfig={"PageSize": 2})
    comments = [each["Comment"] for page in pages for each in page["Commands"]]
    assert comments[:3] == ["page 2", "page 1", "page 0"]
    (details,) = [
        each
        for each in cloud.client("ssm").list_command_invocations(InstanceId=linux, Details=True)["CommandInvocations"]
        if each["Comment"] == "page 0"
    ]
    assert details["CommandPlugins"][0]["ResponseCode"] == 0


def test_an_agent_that_is_offline_takes_no_command(slow_cloud: Cloud) -> None:
    instance_id = managed(slow_cloud, slow_cloud.instance(slow_cloud.image()), agent="offline")
    ssm = slow_cloud.client("ssm")
    (found,) = ssm.describe_instance_information()["InstanceInformationList"]
    assert found["PingStatus"] == "ConnectionLost"
    sent = ssm.send_command(InstanceIds=[instance_id], DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]})
    command_id = sent["Command"]["CommandId"]
    which = {"CommandId": command_id, "InstanceId": instance_id}
    assert refused(lambda: ssm.get_command_invocation(**which))[0] == "InvocationDoesNotExist"
    until(lambda: bool(ssm.list_command_invocations(CommandId=command_id)["CommandInvocations"]))
    assert ssm.get_command_invocation(**which)["Status"] == "Pending"


def test_what_cannot_be_sent_is_refused(cloud: Cloud, linux: str, windows: str) -> None:
    ssm = cloud.client("ssm")

    def send(**options: Any) -> str:
        return refused(lambda: ssm.send_command(**{"InstanceIds": [linux], **options}))[0]

    assert send(DocumentName="AWS-Nothing") == "InvalidDocument"
    assert send(DocumentName="AWS-RunShellScript", Parameters={"command": ["true"]}) == "InvalidParameters"
    assert send(DocumentName="AWSEC2-CreateVssSnapshot") == "UnsupportedPlatformType"
    shell: dict[str, Any] = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
    assert send(**{**shell, "InstanceIds": [windows]}) == "UnsupportedPlatformType"
    assert send(**{**shell, "InstanceIds": [linux, linux]}) == "DuplicateInstanceId"


def vss(cloud: Cloud, instance_id: str, token: str, **parameters: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The invocation and the snapshots it made."""
    asked = {"tags": [f"Key=task,Value={token};Key=Note,Value=a=b"], "CopyOnly": ["True"], "description": [f"vss {token}"]}
    found = run(cloud, instance_id, "AWSEC2-CreateVssSnapshot", asked | {key: [value] for key, value in parameters.items()})
    filters = [{"Name": "tag:task", "Values": [token]}]
    return found, cloud.client("ec2").describe_snapshots(Filters=filters)["Snapshots"]


def test_vss_makes_tagged_consistent_snapshots_of_all_volumes(cloud: Cloud, windows: str) -> None:
    found, snapshots = vss(cloud, windows, "all")
    assert found["Status"] == "Success"
    assert sorted(each["VolumeSize"] for each in snapshots) == [1, 2]
    for each in snapshots:
        tags = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        assert tags == {"task": "all", "Note": "a=b", "AppConsistent": "True"}
        assert each["Description"] == "vss all"
        assert each["SnapshotId"] in found["StandardOutputContent"]


def test_vss_can_leave_out_the_boot_volume_and_the_writers(cloud: Cloud, windows: str) -> None:
    _, snapshots = vss(cloud, windows, "data", ExcludeBootVolume="True", NoWriters="True")
    assert [each["VolumeSize"] for each in snapshots] == [1]
    assert {"Key": "AppConsistent", "Value": "False"} in snapshots[0]["Tags"]


@pytest.mark.parametrize(("setting", "made", "document"), [
    ("writers-fail", 0, "AWSEC2-CreateVssSnapshot"), ("not-installed", 0, "AWSEC2-CreateVssSnapshot"),
    ("partial", 2, "AWSEC2-CreateVssSnapshot"),
])  # fmt: skip
def test_vss_fails_as_the_guest_was_told(cloud: Cloud, windows: str, setting: str, made: int, document: str) -> None:
    managed(cloud, windows, vss=setting)
    found, snapshots = vss(cloud, windows, setting)
    managed(cloud, windows, vss="ok")
    assert (found["Status"], found["ResponseCode"], len(snapshots)) == ("Failed", 1, made)
    assert found["StandardErrorContent"]
    assert not [each for each in snapshots if {"Key": "AppConsistent", "Value": "True"} in each["Tags"]]


def test_the_installing_document_needs_no_components(cloud: Cloud, windows: str) -> None:
    managed(cloud, windows, vss="not-installed")
    found = run(cloud, windows, "AWSEC2-VssInstallAndSnapshot", {"tags": ["Key=task,Value=installed"]})
    managed(cloud, windows, vss="ok")
    assert found["Status"] == "Success"


def test_commands_and_guests_outlive_a_restart(fresh_cloud: Cloud) -> None:
    instance_id = managed(fresh_cloud, fresh_cloud.instance(fresh_cloud.image()), scripts={"/opt/freeze.sh": {"exitCode": 2}})
    before = run(fresh_cloud, instance_id, "AWS-RunShellScript", {"commands": LINUX_LINES})
    fresh_cloud.client("ssm").put_parameter(Name="p", Value="v", Type="String")
    fresh_cloud.kill()
    fresh_cloud.start()
    ssm = fresh_cloud.client("ssm")
    assert ssm.get_command_invocation(CommandId=before["CommandId"], InstanceId=instance_id)["ResponseCode"] == 2
    assert fresh_cloud.control("GET", f"ssm/{instance_id}")["scripts"]["/opt/freeze.sh"]["exitCode"] == 2
    assert ssm.get_parameter(Name="p")["Parameter"]["Value"] == "v"


@pytest.mark.parametrize(
    "change", [{"agent": "asleep"}, {"scripts": {"/x.sh": {"code": 1}}}, {"colour": "red"}, {"vss": 3}, []]
)
def test_settings_a_guest_cannot_have_are_refused(change: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Guest().changed(change)


@pytest.mark.parametrize(("lines", "windows", "code"), [
    (["sh /opt/none.sh"], False, 127), ([r"& 'C:\x\none.ps1'"], True, 1), (["uname -a"], False, 0),
    (["if [ ! -e '/opt/my scripts/none.sh' ]; then exit 9; fi"], False, 9),
])  # fmt: skip
def test_a_missing_script_is_what_the_shell_makes_of_it(lines: list[str], windows: bool, code: int) -> None:
    assert Guest().run(lines, windows=windows).exit_code == code


def test_a_script_counts_wherever_its_path_is_named() -> None:
    guest = Guest(scripts={"/opt/freeze.sh": Result(4)})
    assert guest.run(LINUX_LINES, windows=False).exit_code == 4
