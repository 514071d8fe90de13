"""The price list as the demo account publishes it, asked for and read by the code that asks AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from server.domain import price_list
from server.domain.cost import PriceSource
from server.domain.price_list import ENDPOINT_REGIONS, QUERIES
from server.domain.repository import StorageClass
from server.domain.workload import Place
from server.services import prices
from tests.services.configuration.conftest import CALLER, Bench


def items(bench: Bench, endpoint: str, region: str) -> Iterator[str]:
    where = Place(bench.home.id, None, None, endpoint)
    for query in QUERIES:
        asked: dict[str, Any] = prices.request(query, region)
        for page in bench.aws.pages(where, "pricing", "get_products", **asked):
            yield from page["PriceList"]


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "eu-west-1"])
def test_every_rate_is_found(bench: Bench, region: str) -> None:
    reading = price_list.read(items(bench, ENDPOINT_REGIONS[0], region))
    assert reading is not None
    found = price_list.prices(region, reading)
    assert found.missing == ()
    assert (found.source, found.exact) == (PriceSource.PRICE_LIST, True)
    assert 0.01 < found.snapshot < 0.2
    assert 0 < found.storage[StorageClass.DEEP_ARCHIVE].month < found.storage[StorageClass.GLACIER].month
    assert found.to_region(region) == 0
    assert 0.005 < found.to_region("ap-southeast-1") < 0.2


def test_every_endpoint_answers_alike(bench: Bench) -> None:
    readings = {endpoint: price_list.read(items(bench, endpoint, "eu-central-1")) for endpoint in ENDPOINT_REGIONS}
    assert len({str(reading) for reading in readings.values()}) == 1


def test_the_regions_in_use_are_those_whose_prices_are_shown(bench: Bench) -> None:
    bench.resource("web-1")
    assert [book.prices.region for book in prices.known(bench.app, CALLER)] == ["eu-central-1"]
