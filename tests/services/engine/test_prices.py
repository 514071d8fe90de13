"""AWS's price list: read for the Regions in use, kept with its dates, and never a reason for estimates to fail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.domain.access import Caller, Role
from server.domain.cost import PriceSource, bundled
from server.domain.errors import AwsAccessDenied, Forbidden, InvalidInput, Unavailable
from server.domain.session import Session, SessionKind, State
from server.ports import Select, Where
from server.services import prices, scheduling
from tests.domain.test_price_list import product, usd
from tests.services.engine.harness import Appliance

LISTED = {
    "AmazonEC2": [product("AmazonEC2", "EBS:SnapshotUsage", usd("0.0510000000"))],
    "AWSDataTransfer": [product("AWSDataTransfer", "USE1-EUC1-AWS-Out-Bytes", usd("0.021"), toRegionCode="eu-central-1")],
}
OPERATOR = Caller(user_id=None, name="ann", role=Role.OPERATOR)
VIEWER = Caller(user_id=None, name="eve", role=Role.VIEWER)


def refreshed(appliance: Appliance, *regions: str) -> Session:
    session = prices.refresh(appliance.app, OPERATOR, regions or None)
    assert session is not None
    appliance.work()
    return appliance.session(session.id)


def book(appliance: Appliance, region: str) -> prices.Book:
    with appliance.app.store.transaction() as tx:
        return prices.books(tx, [region])[region]


def test_until_a_list_was_read_the_bundled_prices_hold(appliance: Appliance) -> None:
    assert book(appliance, "eu-west-1") == prices.Book(bundled("eu-west-1"), None)
    assert prices.of_region(appliance.app, None) == bundled(None)


def test_a_list_is_kept_with_its_dates_and_replaces_the_one_before(appliance: Appliance) -> None:
    appliance.cloud.price_lists = LISTED
    session = refreshed(appliance, "us-east-1")
    assert session.state is State.SUCCESS, appliance.lines(session.id)
    found = book(appliance, "us-east-1")
    assert (found.prices.source, found.prices.snapshot) == (PriceSource.PRICE_LIST, 0.051)
    assert found.prices.to_region("eu-central-1") == 0.021
    assert found.prices.published.isoformat() == "2026-11-05"
    assert found.fetched_at is not None
    assert "glacier.month" in found.prices.missing

    appliance.cloud.price_lists = {"AmazonEC2": [product("AmazonEC2", "EBS:SnapshotUsage", usd("0.0490000000"))]}
    refreshed(appliance, "us-east-1")
    assert book(appliance, "us-east-1").prices.snapshot == 0.049


@pytest.mark.parametrize(
    "problem", [AwsAccessDenied("Not allowed.", operation="pricing:GetProducts"), Unavailable("No answer.")]
)
def test_a_list_that_cannot_be_read_is_a_warning_and_the_prices_before_stay(appliance: Appliance, problem: Exception) -> None:
    appliance.cloud.price_lists = LISTED
    refreshed(appliance, "us-east-1")

    def refuse(operation: str) -> None:
        if operation == "get_products":
            raise problem

    appliance.cloud.before = refuse
    session = refreshed(appliance, "us-east-1")
    assert session.state is State.WARNING
    assert any(str(problem) in line for line in appliance.lines(session.id))
    assert book(appliance, "us-east-1").prices.snapshot == 0.051


def test_an_empty_list_is_a_warning(appliance: Appliance) -> None:
    assert refreshed(appliance, "us-east-1").state is State.WARNING
    assert book(appliance, "us-east-1").fetched_at is None


def test_all_endpoints_are_tried(appliance: Appliance) -> None:
    appliance.cloud.price_lists = LISTED
    left = 2

    def refuse(operation: str) -> None:
        nonlocal left
        if operation == "get_products" and left:
            left -= 1
            raise Unavailable("This endpoint does not answer.")

    appliance.cloud.before = refuse
    assert refreshed(appliance, "us-east-1").state is State.SUCCESS


def test_regions_in_use_are_read_and_fresh_lists_are_left_alone(appliance: Appliance) -> None:
    appliance.cloud.price_lists = LISTED
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": {}})
    appliance.policy(account, repository=appliance.repository(account))

    def due(key: str) -> Session | None:
        with appliance.app.store.transaction() as tx:
            return prices.begin_due(tx, appliance.app, requested_by="schedule", key=key)

    first = due("monday")
    assert first is not None
    appliance.work()
    assert appliance.session(first.id).state is State.SUCCESS
    assert [task.name for task in appliance.tasks(first.id)] == ["us-east-1"]
    assert due("tuesday") is None
    appliance.clock.set(appliance.clock.now() + timedelta(days=7))
    assert due("next monday") is not None


def test_the_daily_upkeep_reads_them(appliance: Appliance) -> None:
    appliance.cloud.price_lists = LISTED
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": {}})
    appliance.clock.set(datetime(2026, 3, 3, 5, tzinfo=UTC))
    scheduling.tick(appliance.app, scheduling.Agenda())
    with appliance.app.store.transaction() as tx:
        found = tx.sessions.page(Select(where=(Where("kind", "eq", SessionKind.PRICES),)))
    assert [session.key for session in found] == ["prices:2026-03-03"]


def test_what_is_asked_for_is_checked(appliance: Appliance) -> None:
    with pytest.raises(InvalidInput, match="Did you mean us-east-1"):
        prices.refresh(appliance.app, OPERATOR, ["us-esat-1"])
    with pytest.raises(InvalidInput, match="No Region is in use yet"):
        prices.refresh(appliance.app, OPERATOR)
    with pytest.raises(Forbidden):
        prices.refresh(appliance.app, VIEWER, ["us-east-1"])
    assert prices.refresh(appliance.app, OPERATOR, ["us-east-1"], dry_run=True) is None
    once = prices.refresh(appliance.app, OPERATOR, ["us-east-1"], key="k")
    again = prices.refresh(appliance.app, OPERATOR, ["us-east-1"], key="k")
    assert once == again


def test_all_known_prices_are_listed_by_region(appliance: Appliance) -> None:
    appliance.cloud.price_lists = LISTED
    refreshed(appliance, "us-east-1", "ap-south-2")
    appliance.policy(appliance.account("other"))
    found = prices.known(appliance.app, VIEWER)
    assert [one.prices.region for one in found] == ["ap-south-2", "us-east-1"]
    assert all(one.prices.exact for one in found)
