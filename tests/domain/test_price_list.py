"""AWS's price list: products in the form GetProducts returns them, decoys included."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from server.domain import price_list
from server.domain.cost import PriceSource, bundled
from server.domain.price_list import RATES, Reading
from server.domain.repository import RetrievalMode, StorageClass

PUBLISHED = "2026-11-05T18:02:41Z"


def product(service: str, usage: str, *bands: tuple[str, str], family: str = "", **attributes: str) -> str:
    """One item of PriceList; ``bands``: begin of the range and USD."""
    dimensions = {
        f"SKU.T.{number}": {"beginRange": begin, "endRange": "Inf", "unit": "GB-Mo", "pricePerUnit": {"USD": usd}}
        for number, (begin, usd) in enumerate(bands)
    }
    item: dict[str, Any] = {
        "product": {
            "sku": "SKU",
            "productFamily": family,
            "attributes": {"usagetype": usage, "operation": "", "servicecode": service} | attributes,
        },
        "serviceCode": service,
        "terms": {"OnDemand": {"SKU.T": {"effectiveDate": PUBLISHED, "priceDimensions": dimensions}}},
        "version": "20261105180241",
        "publicationDate": PUBLISHED,
    }
    return json.dumps(item)


def usd(price: str) -> tuple[str, str]:
    return ("0", price)


FRANKFURT = [
    product("AmazonEC2", "EUC1-EBS:SnapshotUsage", usd("0.0540000000"), family="Storage Snapshot"),
    product("AmazonEC2", "EUC1-EBS:SnapshotArchiveStorage", usd("0.0135000000"), family="Storage Snapshot"),
    product("AmazonEC2", "EUC1-EBS:directAPI.snapshot.List", usd("0.0000007000")),
    product("AmazonEC2", "EUC1-EBS:directAPI.snapshot.Get", usd("0.0000036000")),
    product("AmazonEC2", "EUC1-EBS:directAPI.snapshot.Put", usd("0.0000072000")),
    product(
        "AmazonS3",
        "EUC1-TimedStorage-ByteHrs",
        ("512000", "0.0225000000"),
        usd("0.0245000000"),
        ("51200", "0.0235000000"),
        volumeType="Standard",
    ),
    product("AmazonS3", "EUC1-Tables-TimedStorage-ByteHrs", usd("0.0281000000")),
    product("AmazonS3", "EUC1-TimedStorage-ByteHrs", usd("9"), operation="INTAAS3ObjectOverhead"),
    product("AmazonS3", "EUC1-TimedStorage-GlacierByteHrs", usd("0.0040500000")),
    product("AmazonS3", "EUC1-Requests-Tier1", usd("0.0000054000")),
    product("AmazonS3", "EUC1-Requests-Tier2", usd("0.0000004300")),
    product("AmazonS3", "EUC1-Requests-GLACIER-Tier1", usd("0.0000360000"), operation="PutObject"),
    product("AmazonS3", "EUC1-Requests-Tier3", usd("0.0000600000"), operation="RestoreObject"),
    product("AmazonS3", "EUC1-Requests-Tier3", usd("0.0000360000"), operation="S3-GlacierTransition"),
    product("AmazonS3", "EUC1-Standard-Retrieval-Bytes", usd("0.0120000000"), operation="RestoreObject"),
    product("AmazonS3", "EUC1-Standard-Retrieval-Bytes", usd("0.0240000000"), operation="DeepArchiveRestoreObject"),
    product("AmazonS3", "EUC1-Bulk-Retrieval-Bytes", usd("0.0000000000"), operation="RestoreObject"),
    product("AmazonS3GlacierDeepArchive", "EUC1-TimedStorage-GDA-ByteHrs", usd("0.0018000000")),
    product("AmazonS3GlacierDeepArchive", "EUC1-Requests-GDA-Tier1", usd("0.0000600000"), operation="PutObject"),
    product("awskms", "eu-central-1-KMS-Requests", usd("0.0000000000"), ("20000", "0.0000030000")),
    product("awskms", "eu-central-1-KMS-Requests-Asymmetric", usd("0.0000150000")),
    product("AWSDataTransfer", "EUC1-EUW1-AWS-Out-Bytes", usd("0.0200000000"), toRegionCode="eu-west-1"),
    product("AWSDataTransfer", "EUC1-APS1-AWS-Out-Bytes", usd("0.0200000000"), toRegionCode="ap-southeast-1"),
    product("AWSDataTransfer", "EUC1-APS1-AWS-Out-Bytes", usd("5"), toRegionCode="ap-southeast-1", operation="Accelerated"),
]


def reading(items: list[str]) -> Reading:
    found = price_list.read(items)
    assert found is not None
    return found


def test_products_are_found_by_name_and_operation() -> None:
    rates = reading(FRANKFURT).rates
    assert rates["snapshot"] == 0.054
    assert (rates["direct.lists"], rates["direct.reads"], rates["direct.writes"]) == (0.0007, 0.0036, 0.0072)
    assert rates["standard.month"] == 0.0245, "the first band, not that of another product whose name ends alike"
    assert rates["glacier.standard.requests"] == 0.06
    assert (rates["glacier.standard.gib"], rates["deep_archive.standard.gib"]) == (0.012, 0.024)
    assert rates["glacier.bulk.gib"] == 0.0, "free is a price"
    assert rates["kms"] == 0.003, "the first band that is paid, and not the dearer kind of request"


def test_transfer_is_read_by_target_region() -> None:
    found = reading(FRANKFURT)
    assert found.transfer == {"eu-west-1": 0.02, "ap-southeast-1": 0.02}
    assert found.published == date(2026, 11, 5)


@pytest.mark.parametrize(
    ("prefix", "kms"), [("", "us-east-1-"), ("EU-", "eu-west-1-"), ("APS3-", "ap-south-1-"), ("UGE1-", "")]
)
def test_the_regions_prefix_is_no_part_of_the_name(prefix: str, kms: str) -> None:
    items = [
        product("AmazonEC2", f"{prefix}EBS:SnapshotUsage", usd("0.05")),
        product("AmazonS3", f"{prefix}TimedStorage-ByteHrs", usd("0.023")),
        product("awskms", f"{kms}KMS-Requests", usd("0.000003")),
    ]
    assert set(reading(items).rates) == {"snapshot", "standard.month", "kms"}


def test_where_deep_archive_is_not_listed_the_same_data_under_another_name_counts() -> None:
    items = [product("AmazonS3", "TimedStorage-INT-DAA-ByteHrs", usd("0.00099"))]
    assert reading(items).rates == {"deep_archive.month": 0.00099}


def test_what_the_list_lacks_is_the_bundled_price_and_named() -> None:
    found = price_list.prices("eu-central-1", reading(FRANKFURT))
    assert found.source is PriceSource.PRICE_LIST
    assert found.published == date(2026, 11, 5)
    assert found.storage[StorageClass.GLACIER].retrieval[RetrievalMode.EXPEDITED].gib == 0.036
    assert "glacier.expedited.gib" in found.missing
    assert "snapshot" not in found.missing
    assert set(found.missing) < set(RATES)


def test_a_region_the_table_does_not_know_is_exact_once_its_list_was_read() -> None:
    assert not bundled("mx-central-1").exact
    found = price_list.prices("mx-central-1", reading([product("AmazonEC2", "MXC1-EBS:SnapshotUsage", usd("0.0525"))]))
    assert (found.exact, found.snapshot) == (True, 0.0525)
    assert "transfer" in found.missing
    assert found.to_region("us-east-1") == bundled("mx-central-1").transfer_elsewhere


def test_transfer_stays_free_within_the_region_and_dear_to_unlisted_ones() -> None:
    found = price_list.prices("eu-central-1", reading(FRANKFURT))
    assert found.to_region("eu-central-1") == 0
    assert found.to_region("ap-southeast-1") == found.to_region("xx-nowhere-1") == 0.02


@pytest.mark.parametrize(
    "item",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"product": {"attributes": null}}',
        product("AmazonEC2", "EBS:SnapshotUsage"),
        product("AmazonEC2", "EBS:SnapshotUsage", usd("no number")),
        product("AmazonEC2", "EBS:SnapshotUsage", usd("0.05")).replace("USD", "CNY"),
        product("AmazonEC2", "BoxUsage:t3.large", usd("0.0832")),
    ],
)
def test_what_cannot_be_read_or_used_is_passed_over(item: str) -> None:
    assert price_list.read([item]) is None
    assert reading([item, *FRANKFURT]).rates == reading(FRANKFURT).rates


def test_a_reading_survives_storage() -> None:
    found = reading(FRANKFURT)
    assert Reading.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_every_rate_has_a_request_that_fetches_it() -> None:
    asked = {query.service for query in price_list.QUERIES}
    assert {wanted.service for alternatives in RATES.values() for wanted in alternatives} < asked
    assert {"regionCode": "eu-west-1"} in [query.attributes("eu-west-1") for query in price_list.QUERIES]
