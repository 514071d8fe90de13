"""What the demo cannot do is refused in the language of the service, not with a page of HTML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.demo.clouds import Cloud, refused

CALLS: dict[str, Callable[[Cloud], Any]] = {
    "ec2": lambda cloud: cloud.client("ec2").describe_volume_status(),
    "ec2 filter": lambda cloud: cloud.client("ec2").describe_subnets(Filters=[{"Name": "no-such-filter", "Values": ["x"]}]),
    "json": lambda cloud: cloud.client("service-quotas").list_services(),
    "rest": lambda cloud: cloud.client("backup").list_backup_jobs(),
    "query": lambda cloud: cloud.client("sts").decode_authorization_message(EncodedMessage="x"),
    "service": lambda cloud: cloud.client("rbin").list_rules(ResourceType="EBS_SNAPSHOT"),
    "price list": lambda cloud: cloud.client("pricing").list_price_lists(
        ServiceCode="AmazonS3", EffectiveDate="2026-11-01", CurrencyCode="USD"
    ),
    "s3": lambda cloud: cloud.client("s3").list_bucket_analytics_configurations(Bucket="any-bucket"),
}


@pytest.mark.parametrize("name", CALLS)
def test_unimplemented_calls_say_so(cloud: Cloud, name: str) -> None:
    assert refused(lambda: CALLS[name](cloud)) == ("NotImplemented", 501)
