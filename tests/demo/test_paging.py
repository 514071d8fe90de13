"""Lists come in pages of the size asked for, each thing once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.demo.clouds import Cloud, refused


@pytest.fixture(scope="module", autouse=True)
def _enough(cloud: Cloud) -> None:
    ec2, image_id = cloud.client("ec2"), cloud.image()
    for _ in range(7):
        cloud.snapshot(cloud.volume())
        ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t3.micro")


def walk(cloud: Cloud, operation: str, member: str, size: int) -> tuple[list[str], list[int]]:
    pages = [
        page[member] for page in cloud.client("ec2").get_paginator(operation).paginate(PaginationConfig={"PageSize": size})
    ]
    return [str(item) for page in pages for item in page], [len(page) for page in pages]


@pytest.mark.parametrize(
    ("operation", "member"),
    [
        ("describe_instances", "Reservations"),
        ("describe_volumes", "Volumes"),
        ("describe_snapshots", "Snapshots"),
        ("describe_subnets", "Subnets"),
    ],
)
def test_pages_hold_everything_once(cloud: Cloud, operation: str, member: str) -> None:
    items, sizes = walk(cloud, operation, member, 5)
    everything: list[Any] = getattr(cloud.client("ec2"), operation)()[member]
    assert len(sizes) > 1
    assert set(sizes[:-1]) == {5}
    assert items == [str(item) for item in everything]


def test_a_page_size_out_of_bounds_is_refused(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    assert refused(lambda: ec2.describe_volumes(MaxResults=4)) == ("InvalidParameterValue", 400)
    assert refused(lambda: ec2.describe_volumes(MaxResults=100_000)) == ("InvalidParameterValue", 400)


def test_a_token_is_good_for_its_own_question_only(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    token = ec2.describe_volumes(MaxResults=5)["NextToken"]
    assert refused(lambda: ec2.describe_snapshots(MaxResults=5, NextToken=token)) == ("InvalidNextToken", 400)
    assert refused(lambda: ec2.describe_volumes(MaxResults=5, NextToken="bogus")) == ("InvalidNextToken", 400)


def test_instance_ids_and_page_sizes_exclude_each_other(cloud: Cloud) -> None:
    instance_id = cloud.instance(cloud.image())
    call = lambda: cloud.client("ec2").describe_instances(InstanceIds=[instance_id], MaxResults=5)  # noqa: E731
    assert refused(call) == ("InvalidParameterCombination", 400)
