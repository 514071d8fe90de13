"""Scripts in guests: when they run, what they are told, how they end, and that none runs twice."""

from __future__ import annotations

from typing import Any

import pytest

from server.adapters.aws_scripted import ScriptedAws
from server.adapters.clock import FakeClock
from server.domain.errors import AwsAccessDenied, AwsRejected
from server.domain.guest import Guest, Script, Scripts
from server.domain.workload import Found
from server.ports import GuestJob, GuestStep
from server.workloads.ec2 import Ec2, scripts
from tests.demo_account import HOME, REGION
from tests.workloads.conftest import Driver, Memo, resource_of
from tests.workloads.managed import Managed

INSTANCE = {"InstanceId": "i-1", "State": {"Name": "running"}, "Tags": [{"Key": "Name", "Value": "db"}]}
WINDOWS = {**INSTANCE, "Platform": "windows", "PlatformDetails": "Windows with SQL Server"}
LINUX_SCRIPTS = Scripts(pre=Script(path="/opt/freeze.sh", arguments="--for %instance%"), post=Script(path="/opt/thaw.sh"))
WINDOWS_SCRIPTS = Scripts(pre=Script(path=r"C:\Scripts\freeze.ps1"))
BOTH = Guest(linux=LINUX_SCRIPTS, windows=WINDOWS_SCRIPTS)


class Bed:
    """An instance with an agent, and a job to run in it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.aws = ScriptedAws({})
        self.guest = Managed(clock)
        self.guest.into(self.aws)
        self.instance(INSTANCE)

    def instance(self, described: dict[str, Any] | None) -> None:
        found = [{"Instances": [described]}] if described else []
        self.aws.answers["ec2", "describe_instances"] = {"Reservations": found}

    def job(self, guest: Guest = BOTH, **changes: Any) -> GuestJob:
        found = Found(aws_id="i-1", name="db", region=REGION, tags={}, state="running", size_bytes=0, document={})
        values = {
            "place": HOME,
            "resource": resource_of(found),
            "token": "task-1",
            "policy_name": "Nightly",
            "guest": guest,
            "moment": "pre",
            **changes,
        }
        return GuestJob(**values)

    def run(self, job: GuestJob, *, twice: bool = False) -> GuestStep:
        ec2 = Ec2(self.aws, self.clock)
        memo = Driver(self.clock, lambda memo: ec2.guest(job, memo), twice=twice).finish()
        return ec2.guest(job, memo)


@pytest.fixture
def bed(clock: FakeClock) -> Bed:
    return Bed(clock)


def scripts_of(**changes: Any) -> Guest:
    return Guest(linux=Scripts(pre=Script(path="/opt/freeze.sh"), **changes))


# ---- when


def test_a_script_runs_and_its_end_is_waited_for(bed: Bed) -> None:
    step = bed.run(bed.job())
    assert (step.done, step.outcome) == (True, "done")
    (command,) = bed.guest.commands
    assert command.document == "AWS-RunShellScript"
    assert command.parameters["executionTimeout"] == ["600"]
    assert any(
        "'/opt/freeze.sh' --for db" in line or "/opt/freeze.sh --for db" in line for line in command.parameters["commands"]
    )


def test_each_moment_has_its_own_script(bed: Bed) -> None:
    bed.run(bed.job(moment="post"))
    assert "/opt/thaw.sh" in bed.guest.commands[0].parameters["commands"][-1]


def test_windows_guests_run_windows_scripts(bed: Bed) -> None:
    bed.instance(WINDOWS)
    bed.run(bed.job())
    (command,) = bed.guest.commands
    assert command.document == "AWS-RunPowerShellScript"
    assert any("freeze.ps1" in line for line in command.parameters["commands"])


@pytest.mark.parametrize(
    ("guest", "moment"),
    [(Guest(), "pre"), (Guest(windows=WINDOWS_SCRIPTS), "post"), (Guest(application_aware=True), "pre")],
)
def test_without_a_script_nothing_is_asked_of_aws(bed: Bed, guest: Guest, moment: str) -> None:
    assert bed.run(bed.job(guest, moment=moment)).outcome == "skipped"
    assert bed.aws.asked == []


def test_a_guest_of_the_other_platform_is_left_alone(bed: Bed) -> None:
    assert bed.run(bed.job(Guest(windows=WINDOWS_SCRIPTS))).outcome == "skipped"
    assert not bed.guest.commands


@pytest.mark.parametrize("state", ["stopped", "stopping", "pending"])
def test_an_instance_that_does_not_run_has_nothing_to_freeze(bed: Bed, state: str) -> None:
    bed.instance({**INSTANCE, "State": {"Name": state}})
    step = bed.run(bed.job())
    assert step.outcome == "skipped"
    assert f"db is {state}" in step.message


def test_an_instance_that_is_gone_is_skipped(bed: Bed) -> None:
    bed.instance(None)
    assert bed.run(bed.job()).outcome == "skipped"


def test_scripts_for_backups_only_run_for_those(bed: Bed) -> None:
    guest = scripts_of(only_for_backups=True)
    assert bed.run(bed.job(guest)).outcome == "skipped"
    assert bed.run(bed.job(guest, for_backup=True)).outcome == "done"
    assert len(bed.guest.commands) == 1


# ---- how it ends


def failed(code: int = 3, **more: Any) -> dict[str, Any]:
    return {"Status": "Failed", "StatusDetails": "Failed", "ResponseCode": code, **more}


MISSING = failed(scripts.MISSING_CODE, StandardOutputContent=f"{scripts.MISSING_MARK}\n")
TIMED_OUT = {"Status": "TimedOut", "StatusDetails": "Execution Timed Out", "ResponseCode": -1}
UNDELIVERED = {"Status": "TimedOut", "StatusDetails": "Delivery Timed Out", "ResponseCode": -1}
STOPPED = {"Status": "Cancelled", "StatusDetails": "Cancelled", "ResponseCode": -1}
Case = tuple[dict[str, Any], dict[str, bool], str, str]
CASES: list[Case] = [
    (failed(), {}, "failed", "exit code 3"),
    (failed(StandardErrorContent="line\n no space left \n"), {}, "failed", "It said: no space left"),
    (failed(), {"ignore_exit_codes": True}, "done", "exit code 3 is ignored"),
    (failed(), {"ignore_missing": True}, "failed", "exit code 3"),
    (MISSING, {}, "failed", "does not exist in db"),
    (MISSING, {"ignore_missing": True}, "skipped", "does not exist in db"),
    (MISSING, {"ignore_exit_codes": True}, "failed", "does not exist in db"),
    (failed(scripts.MISSING_CODE), {"ignore_missing": True}, "failed", "exit code 213"),
    (TIMED_OUT, {}, "failed", "did not end within 600 s"),
    (TIMED_OUT, {"ignore_exit_codes": True, "ignore_missing": True}, "failed", "did not end within 600 s"),
    (UNDELIVERED, {}, "failed", "did not take it within 60 s"),
    (STOPPED, {}, "failed", "cancelled in AWS"),
    (failed(-1, StatusDetails="InvalidPlatform"), {"ignore_exit_codes": True}, "failed", "SSM says: InvalidPlatform"),
]


@pytest.mark.parametrize(("ends", "options", "outcome", "words"), CASES)
def test_every_end_is_told_apart(bed: Bed, ends: dict[str, Any], options: dict[str, bool], outcome: str, words: str) -> None:
    bed.guest.ends = ends
    step = bed.run(bed.job(scripts_of(**options)))
    assert step.outcome == outcome
    assert words in step.message


@pytest.mark.parametrize(("ping", "words"), [(None, "not managed by Systems Manager"), ("ConnectionLost", "does not answer")])
@pytest.mark.parametrize(("ignore", "outcome"), [(False, "failed"), (True, "warning")])
def test_a_running_guest_that_cannot_be_reached(bed: Bed, ping: str | None, words: str, ignore: bool, outcome: str) -> None:
    bed.guest.ping = ping
    step = bed.run(bed.job(scripts_of(ignore_missing=ignore)))
    assert step.outcome == outcome
    assert words in step.message
    assert not bed.guest.commands


def test_a_missing_permission_is_named(bed: Bed) -> None:
    bed.aws.answers["ssm", "describe_instance_information"] = AwsAccessDenied("may not", remedy="Allow it.")
    assert "may not Allow it." in bed.run(bed.job()).message
    bed.guest.into(bed.aws)
    bed.aws.answers["ssm", "send_command"] = AwsAccessDenied("may not send", remedy="Allow it.")
    assert bed.run(bed.job()).outcome == "failed"


def test_a_guest_that_vanished_from_ssm_is_no_error(bed: Bed) -> None:
    bed.aws.answers["ssm", "send_command"] = AwsRejected("Instances not in a valid state", aws_code="InvalidInstanceId")
    step = bed.run(bed.job())
    assert step.outcome == "failed"
    assert "not in a valid state" in step.message


def test_a_script_that_never_ends_is_cancelled(bed: Bed, clock: FakeClock) -> None:
    bed.guest.polls = 10**6
    started = clock.monotonic()
    step = bed.run(bed.job(scripts_of(timeout_seconds=30)))
    assert (step.outcome, bed.guest.commands[0].cancelled) == ("failed", True)
    assert "did not end within 30 s" in step.message
    assert clock.monotonic() - started < 200


def test_a_command_aws_forgets_is_no_endless_wait(bed: Bed) -> None:
    bed.aws.answers["ssm", "send_command"] = {"Command": {"CommandId": "0" * 36}}
    assert bed.run(bed.job()).outcome == "failed"


def test_arguments_nobody_can_read_run_nothing(bed: Bed) -> None:
    guest = Guest(linux=Scripts(pre=Script(path="/opt/freeze.sh", arguments='--name "open')))
    assert bed.run(bed.job(guest)).outcome == "failed"
    assert not bed.guest.commands


# ---- once


def test_steps_repeated_after_a_crash_run_no_script_twice(bed: Bed) -> None:
    ec2, job = Ec2(bed.aws, bed.clock), bed.job()
    driver = Driver(bed.clock, lambda memo: ec2.guest(job, memo), twice=True)
    driver.finish()
    for memo in driver.memos[1:]:
        Driver(bed.clock, lambda memo: ec2.guest(job, memo)).finish(memo)
    assert len(bed.guest.commands) == 1


def test_a_lost_answer_is_followed_up(bed: Bed) -> None:
    bed.guest.lose_answers = 1
    assert bed.run(bed.job()).outcome == "done"
    assert len(bed.guest.commands) == 1


def test_a_command_that_was_surely_not_sent_is_sent_again(bed: Bed, clock: FakeClock) -> None:
    bed.guest.refuse_first = 1
    started = clock.monotonic()
    assert bed.run(bed.job()).outcome == "done"
    assert len(bed.guest.commands) == 1
    assert clock.monotonic() - started >= 15  # time for AWS to show it


def test_the_commands_of_other_tasks_and_moments_are_not_taken_for_ours(bed: Bed) -> None:
    bed.run(bed.job())
    bed.run(bed.job(moment="post"))
    bed.run(bed.job(token="task-2"))
    assert [c.comment for c in bed.guest.commands] == ["task-1 pre", "task-1 post", "task-2 pre"]


def test_abandoning_stops_the_tasks_commands_and_no_others(bed: Bed) -> None:
    ec2 = Ec2(bed.aws, bed.clock)
    bed.guest.polls = 10**6
    for token in ("task-1", "task-11"):
        memo: Memo = {}
        while "commandId" not in memo.get("command", {}):
            memo = ec2.guest(bed.job(token=token), memo).memo
    bed.aws.answers |= {("ec2", "describe_volumes"): {"Volumes": []}, ("ec2", "describe_snapshots"): {"Snapshots": []}}
    bed.instance(None)
    ec2.abandon(HOME, "task-1")
    assert [c.cancelled for c in bed.guest.commands] == [True, False]


def test_abandoning_where_ssm_is_not_allowed_is_no_error(bed: Bed) -> None:
    bed.aws.answers |= {
        ("ec2", "describe_volumes"): {"Volumes": []},
        ("ec2", "describe_snapshots"): {"Snapshots": []},
        ("ssm", "list_commands"): AwsAccessDenied("may not"),
    }
    bed.instance(None)
    Ec2(bed.aws, bed.clock).abandon(HOME, "task-1")
