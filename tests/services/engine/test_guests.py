"""Scripts in the guest: around the moment of the snapshot, and never left frozen."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from server.domain import legs as domain
from server.domain.access import SYSTEM
from server.domain.errors import AwsAccessDenied, AwsRejected
from server.domain.guest import Guest, Script, Scripts
from server.domain.periods import Frequency
from server.domain.restore import Leg
from server.domain.schedule import NO_FLAGS
from server.domain.session import State, Task
from server.services import protection, tasks
from tests.services.engine.harness import Appliance
from tests.services.engine.test_protection import DISK, points

SCRIPTS = Guest(linux=Scripts(pre=Script(path="/opt/freeze.sh"), post=Script(path="/opt/thaw.sh")))


@pytest.fixture
def policy(appliance: Appliance) -> UUID:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    return appliance.policy(account, repository=appliance.repository(account), guest=SCRIPTS).id


def begun(appliance: Appliance, policy_id: UUID, retries: int = 0) -> UUID:
    flags = {Leg.SNAPSHOT: frozenset({Frequency.DAILY}), Leg.BACKUP: NO_FLAGS}
    order = protection.RunOrder(requested_by="schedule", flags=flags, retries=retries)
    with appliance.app.store.transaction() as tx:
        policy = tx.policies.get(policy_id, lock=True)
        return protection.start_run(tx, appliance.app, policy, order, next_run_at=None).id


def done(appliance: Appliance, session_id: UUID) -> Task:
    appliance.work()
    return appliance.tasks(session_id)[0]


def states(task: Task) -> dict[str, str]:
    return {leg.value: record.state.value for leg, record in domain.from_json(task.document["legs"]).items()}


def sent(appliance: Appliance) -> list[str]:
    return [moment for _, moment, _ in appliance.cloud.scripts]


def test_the_guest_goes_on_as_soon_as_the_moment_is_fixed_and_long_before_the_snapshot_is_complete(
    appliance: Appliance, policy: UUID
) -> None:
    appliance.cloud.workload.polls = 30
    session = begun(appliance, policy)
    appliance.work(until=lambda: sent(appliance) == ["pre", "post"])
    assert appliance.cloud.calls["snapshot"] == 1
    assert states(appliance.tasks(session)[0])["snapshot"] == "running"
    task = done(appliance, session)
    assert states(task) == {"guest": "success", "snapshot": "success", "backup": "success"}
    assert sent(appliance) == ["pre", "post"]


def test_no_snapshot_is_made_when_the_first_script_fails_but_the_last_one_runs(appliance: Appliance, policy: UUID) -> None:
    appliance.cloud.guests["pre"] = ("failed", "The script /opt/freeze.sh failed.")
    session = begun(appliance, policy)
    task = done(appliance, session)
    assert states(task) == {"guest": "error", "snapshot": "error", "backup": "skipped"}
    assert task.state is State.ERROR
    assert "No snapshot was made: The script /opt/freeze.sh failed." in "\n".join(appliance.lines(session))
    assert sent(appliance) == ["pre", "post"]
    assert appliance.cloud.calls["snapshot"] == 0


def test_scripts_run_again_with_the_snapshot_that_is_tried_again(appliance: Appliance, policy: UUID) -> None:
    appliance.cloud.guests["pre"] = ("failed", "Busy.")
    session = begun(appliance, policy, retries=1)
    appliance.work(limit=timedelta(seconds=40))
    appliance.cloud.guests.clear()
    task = done(appliance, session)
    assert states(task) == {"guest": "success", "snapshot": "success", "backup": "success"}
    assert sent(appliance) == ["pre", "post", "pre", "post"]
    assert len({token for _, _, token in appliance.cloud.scripts}) == 2, "another attempt is another mark"


def test_a_failed_backup_does_not_run_the_scripts_again(appliance: Appliance, policy: UUID) -> None:
    refusals = [1]

    def refuse(operation: str) -> None:
        if operation == "read" and refusals[0]:
            refusals[0] -= 1
            raise AwsRejected("Not now.")

    appliance.cloud.blocks.before = refuse
    task = done(appliance, begun(appliance, policy, retries=1))
    assert states(task) == {"guest": "success", "snapshot": "success", "backup": "success"}
    assert sent(appliance) == ["pre", "post"]


def test_a_last_script_that_fails_is_a_warning_and_the_snapshot_stays(appliance: Appliance, policy: UUID) -> None:
    appliance.cloud.guests["post"] = ("failed", "The script /opt/thaw.sh failed.")
    task = done(appliance, begun(appliance, policy))
    assert states(task) == {"guest": "warning", "snapshot": "success", "backup": "success"}
    assert task.state is State.WARNING
    assert task.message == "The script /opt/thaw.sh failed."
    assert len(points(appliance, Leg.SNAPSHOT)) == 1


def test_what_the_policy_says_to_ignore_is_a_warning_and_what_there_is_not_is_skipped(
    appliance: Appliance, policy: UUID
) -> None:
    appliance.cloud.guests = {"pre": ("warning", "The agent does not answer."), "post": ("skipped", "There is no script.")}
    task = done(appliance, begun(appliance, policy))
    assert states(task) == {"guest": "warning", "snapshot": "success", "backup": "success"}
    appliance.cloud.guests = {"pre": ("skipped", "It does not run."), "post": ("skipped", "It does not run.")}
    appliance.clock.advance(timedelta(hours=1))
    task = done(appliance, begun(appliance, policy))
    assert states(task)["guest"] == "skipped"
    assert task.state is State.SUCCESS


@pytest.mark.parametrize(("operation", "expected"), [("guest-pre", State.ERROR), ("guest-post", State.WARNING)])
def test_what_aws_refuses_is_told_and_the_guest_thawed(
    appliance: Appliance, policy: UUID, operation: str, expected: State
) -> None:
    def refuse(asked: str) -> None:
        if asked == operation:
            raise AwsAccessDenied("ssm:SendCommand is not allowed.")

    appliance.cloud.before = refuse
    task = done(appliance, begun(appliance, policy))
    assert task.state is expected
    assert "ssm:SendCommand is not allowed." in task.message
    assert appliance.cloud.calls["guest-post"] >= 1


def test_a_snapshot_that_fails_leaves_no_frozen_guest(appliance: Appliance, policy: UUID) -> None:
    def refuse(operation: str) -> None:
        if operation == "snapshot":
            raise AwsRejected("Not now.")

    appliance.cloud.before = refuse
    task = done(appliance, begun(appliance, policy))
    assert states(task) == {"guest": "success", "snapshot": "error", "backup": "skipped"}
    assert sent(appliance) == ["pre", "post"]


def test_a_cancelled_run_leaves_no_frozen_guest(appliance: Appliance, policy: UUID) -> None:
    session = begun(appliance, policy)
    appliance.work(until=lambda: sent(appliance) == ["pre"])
    tasks.request_cancel(appliance.app, SYSTEM, session)
    task = done(appliance, session)
    assert task.state is State.CANCELLED
    assert states(task) == {"guest": "skipped", "snapshot": "skipped", "backup": "skipped"}
    assert sent(appliance) == ["pre", "post"]
