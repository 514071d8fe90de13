"""Mistakes and mishaps end in a message that says what is wrong, never in a stack trace, a hang or a wrong success."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Any

import pytest

from server.demo import setting
from server.demo.visitor import Session, Visitor, fetch
from server.domain.errors import HoldfastError
from tests.conftest import RunningAppliance
from tests.server.bad_input import (
    ADD_REPOSITORY,
    REFUSED,
    RESTORE_INSTANCE,
    RESTORE_VOLUMES,
    START_POLICY,
    Case,
    World,
    with_token,
)
from tests.server.test_supervise import eventually

SECONDS = 120.0
_POINT = """
{ restorePoints(first: 1, filter: {leg: BACKUP, state: AVAILABLE}) { edges { node { id region details } } } }
"""


@pytest.fixture(scope="module")
def world(appliance: RunningAppliance) -> Iterator[World]:
    appliance.cloud.reset()
    visitor = Visitor(appliance.url)
    visitor.sign_in(appliance.username, appliance.password)
    prepared = setting.prepare(visitor)
    session = visitor.ask(START_POLICY, input={"id": prepared.policy_id})["startPolicy"]["session"]["id"]
    setting.must_succeed(visitor.finished(session, look=lambda _: None, seconds=SECONDS))
    point = visitor.ask(_POINT)["restorePoints"]["edges"][0]["node"]
    yield World(appliance, visitor, prepared, session, point)
    appliance.cloud.reset()


@pytest.fixture
def calm(world: World) -> Iterator[World]:
    """No fault and no other policy before, no fault left behind."""
    world.appliance.cloud.reset()
    assert eventually(world.forget_policies, 60)
    yield world
    world.appliance.cloud.reset()


def ended(world: World, mutation: str, given: dict[str, Any]) -> Session:
    (payload,) = world.visitor.ask(mutation, input=given).values()
    return world.visitor.finished(payload["session"]["id"], look=lambda _: None, seconds=SECONDS)


def said(session: Session) -> str:
    return " ".join([task["message"] for task in session["tasks"]] + [line["message"] for line in session["log"]])


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_mistake_is_refused_with_its_reason(case: Case, world: World) -> None:
    with pytest.raises(HoldfastError) as caught:
        case.act(world)
    answer = " ".join([caught.value.sentence(), *caught.value.fields.values()])
    print(f"{case.name} | {answer}")  # noqa: T201  pytest -rP makes the table
    assert case.says.lower() in answer.lower()
    assert "unexpected" not in answer


def test_the_table_is_long_enough() -> None:
    assert len(REFUSED) >= 30
    assert len({case.name for case in REFUSED}) == len(REFUSED)


def test_a_throttled_account_only_slows_a_run_down(calm: World) -> None:
    calm.appliance.cloud.fault("ec2:DescribeSnapshots", "throttle", times=4)
    calm.appliance.cloud.fault("ebs:*", "throttle", times=4)
    session = ended(calm, START_POLICY, {"id": calm.prepared.policy_id})
    assert session["state"] == "SUCCESS", said(session)


@pytest.mark.parametrize(
    ("kind", "instance", "words"),
    [("denied", "build-01", "ec2:CreateSnapshots"), ("expired", "log-eu-01", "expired")],
)
def test_what_aws_refuses_is_told_in_the_session(kind: str, instance: str, words: str, calm: World) -> None:
    policy = calm.created_policy(scope=calm.only(instance))
    calm.appliance.cloud.fault("ec2:CreateSnapshots", kind)
    session = ended(calm, START_POLICY, {"id": policy})
    assert session["state"] == "ERROR", said(session)
    assert words in said(session)


@pytest.mark.parametrize(
    ("given", "words"),
    [({"subnetId": "subnet-0"}, "subnet-0"), ({"instanceType": "t9.huge"}, "t9.huge"), ({"imageId": "ami-0"}, "ami-0")],
)
def test_a_restore_to_what_is_not_there_names_it(given: dict[str, Any], words: str, calm: World) -> None:
    session = ended(calm, RESTORE_INSTANCE, calm.restore(name="x", **given))
    assert session["state"] == "ERROR"
    assert words in said(session)


def test_an_instance_that_is_gone_is_named(calm: World) -> None:
    """Deleted between the rescan and the run: its snapshot fails, the others' do not."""
    resources = calm.visitor.ask('{ resources(first: 10, filter: {search: "web-02"}) { edges { node { awsId } } } }')
    instance = resources["resources"]["edges"][0]["node"]["awsId"]
    terminate(calm, instance)
    session = ended(calm, START_POLICY, {"id": calm.prepared.policy_id})
    assert session["state"] in ("ERROR", "WARNING"), said(session)
    assert instance in said(session)
    assert any(words in said(session) for words in ("gone", "no longer", "not exist", "not found")), said(session)


def terminate(world: World, instance_id: str) -> None:
    import boto3

    from server.supervise.appliance import DEMO_CREDENTIALS

    ec2 = boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=world.appliance.cloud.url,
        aws_access_key_id=DEMO_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=DEMO_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    ec2.terminate_instances(InstanceIds=[instance_id])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    ec2.close()


def test_a_token_after_its_time_says_so(calm: World) -> None:
    import psycopg

    visitor = Visitor(calm.appliance.url)
    visitor.sign_in(calm.appliance.username, calm.appliance.password)
    token = visitor._token
    assert token is not None
    with psycopg.connect(calm.appliance.settings.need_database_url(), autocommit=True) as connection:
        connection.execute(
            "UPDATE tokens SET issued_at = issued_at - interval '1 year', expires_at = now() - interval '1 minute'"
            " WHERE issued_at = (SELECT max(issued_at) FROM tokens)"
        )
    with pytest.raises(HoldfastError, match="expired"):
        with_token(calm, token).ask("{ me { name } }")


def test_a_full_disk_is_named_and_the_run_goes_on_once_there_is_room(calm: World) -> None:
    """The worker may write no file of more than a few KiB, as a disk without room; then it may again."""
    location = str(calm.appliance.settings.local_repository_root / "full")
    given = calm.repository(kind="LOCAL", location=location, accountId=None, region=None, prefix="")
    repository = calm.visitor.ask(ADD_REPOSITORY, input=given)["addRepository"]["repository"]["id"]
    policy = calm.created_policy(scope=calm.only("build-01"), repositoryId=repository)
    worker = calm.appliance.processes.programs["worker"].process
    assert worker is not None
    unlimited = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
    try:
        session_id = calm.visitor.ask(START_POLICY, input={"id": policy})["startPolicy"]["session"]["id"]
        assert eventually(lambda: "space" in said(calm.visitor.session(session_id)), 60), said(calm.visitor.session(session_id))
    finally:
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, unlimited)
    session = calm.visitor.finished(session_id, look=lambda _: None, seconds=SECONDS)
    assert session["state"] == "SUCCESS", said(session)


def test_a_database_that_is_down_is_said_and_comes_back_by_itself(calm: World) -> None:
    postgres = calm.appliance.processes.servers["postgres"]
    postgres.stop()
    try:
        assert eventually(lambda: fetch("GET", f"{calm.appliance.url}/readyz")[0] == 503)
        assert fetch("GET", f"{calm.appliance.url}/healthz")[0] == 200
        with pytest.raises(HoldfastError, match="database"):
            calm.visitor.ask("{ overview { policyCount } }")
    finally:
        postgres.start()
    assert eventually(lambda: fetch("GET", f"{calm.appliance.url}/readyz")[0] == 200, 60)
    session = ended(calm, RESTORE_VOLUMES, calm.volumes())
    assert session["state"] == "SUCCESS", said(session)


def test_a_queue_that_is_down_delays_but_loses_nothing(calm: World) -> None:
    courier = calm.appliance.processes.servers["redis"]
    courier.stop()
    try:
        assert eventually(lambda: fetch("GET", f"{calm.appliance.url}/readyz")[0] == 503)
        started = calm.visitor.ask(RESTORE_INSTANCE, input=calm.restore(name="after the outage"))
    finally:
        courier.start()
    session_id = started["startInstanceRestore"]["session"]["id"]
    session = calm.visitor.finished(session_id, look=lambda _: None, seconds=SECONDS)
    assert session["state"] == "SUCCESS", said(session)
