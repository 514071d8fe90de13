"""The price list: found by filters, in pages, in AWS's shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.demo.pricing.table import REGIONS, products
from tests.demo.clouds import Cloud, refused


def found(cloud: Cloud, service: str, **filters: str) -> list[dict[str, Any]]:
    wanted = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in filters.items()]
    pages = cloud.client("pricing").get_paginator("get_products").paginate(ServiceCode=service, Filters=wanted)
    return [json.loads(text) for page in pages for text in page["PriceList"]]


def prices(product: dict[str, Any]) -> list[tuple[str, str, float]]:
    """(begin, end, USD) of the bands."""
    (term,) = product["terms"]["OnDemand"].values()
    return [(d["beginRange"], d["endRange"], float(d["pricePerUnit"]["USD"])) for d in term["priceDimensions"].values()]


def by_usage(items: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(i["product"]["attributes"]["usagetype"], i["product"]["attributes"]["operation"]): i for i in items}


def test_snapshots_have_a_price_in_their_region(cloud: Cloud) -> None:
    items = by_usage(found(cloud, "AmazonEC2", regionCode="eu-central-1", productFamily="Storage Snapshot"))
    snapshot = items["EUC1-EBS:SnapshotUsage", ""]
    assert prices(snapshot) == [("0", "Inf", 0.054)]
    assert snapshot["product"]["productFamily"] == "Storage Snapshot"
    assert snapshot["publicationDate"].endswith("-01T00:00:00Z")


def test_a_regions_storage_is_listed_with_its_bands_and_look_alikes(cloud: Cloud) -> None:
    items = by_usage(found(cloud, "AmazonS3", regionCode="us-east-1"))
    assert [(begin, end) for begin, end, _ in prices(items["TimedStorage-ByteHrs", ""])] == [
        ("0", "51200"), ("51200", "512000"), ("512000", "Inf"),
    ]  # fmt: skip
    assert ("Tables-TimedStorage-ByteHrs", "") in items
    assert prices(items["Requests-Tier3", "RestoreObject"]) != prices(items["Requests-Tier3", "S3-GlacierTransition"])
    deep = by_usage(found(cloud, "AmazonS3GlacierDeepArchive", regionCode="us-east-1"))
    assert prices(deep["TimedStorage-GDA-ByteHrs", ""]) == [("0", "Inf", 0.00099)]


def test_transfer_has_a_price_per_pair_of_regions(cloud: Cloud) -> None:
    items = found(cloud, "AWSDataTransfer", fromRegionCode="us-east-1", transferType="InterRegion Outbound")
    usd = {item["product"]["attributes"]["toRegionCode"]: prices(item)[0][2] for item in items}
    assert (usd["eu-central-1"], usd["us-east-2"]) == (0.02, 0.01)
    assert len(usd) == len(REGIONS) - 1


def test_small_pages_make_the_same_list(cloud: Cloud) -> None:
    pricing, ask = cloud.client("pricing"), {"ServiceCode": "AmazonS3", "MaxResults": 7}
    page, skus = pricing.get_products(**ask), []
    while True:
        skus += [json.loads(text)["product"]["sku"] for text in page["PriceList"]]
        if "NextToken" not in page:
            break
        page = pricing.get_products(**ask, NextToken=page["NextToken"])
    assert len(skus) == len(set(skus)) == len(found(cloud, "AmazonS3"))


def test_services_and_values_are_described(cloud: Cloud) -> None:
    pricing = cloud.client("pricing", "eu-central-1")
    services = {each["ServiceCode"]: each["AttributeNames"] for each in pricing.describe_services()["Services"]}
    assert {"AmazonEC2", "AmazonS3", "AWSDataTransfer", "awskms"} <= set(services)
    assert "regionCode" in services["AmazonEC2"]
    values = pricing.get_attribute_values(ServiceCode="awskms", AttributeName="regionCode")["AttributeValues"]
    assert {"Value": "sa-east-1"} in values


def test_what_the_list_does_not_have_is_refused(cloud: Cloud) -> None:
    assert refused(lambda: cloud.client("pricing").get_products(ServiceCode="AmazonNothing"))[0] == "InvalidParameterException"
    assert refused(lambda: cloud.client("pricing", "eu-west-1").describe_services())[0] == "UnknownEndpoint"
    broken = lambda: cloud.client("pricing").get_products(ServiceCode="AmazonS3", NextToken="x")  # noqa: E731
    assert refused(broken)[0] == "InvalidNextTokenException"


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_every_region_has_every_kind_of_price(region: Any) -> None:
    own = [p for p in products() if p.attributes.get("regionCode", p.attributes.get("fromRegionCode")) == region.name]
    assert {p.service for p in own} == {
        "AmazonEC2", "AmazonS3", "AmazonS3GlacierDeepArchive", "AWSDataTransfer", "awskms",
    }  # fmt: skip
    assert len({(p.service, p.usage_type, p.operation) for p in own}) == len(own)
    assert all(band.price >= 0 for p in own for band in p.bands)
