"""EC2's answers are the same as moto writes them, only sooner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.parsers import EC2QueryParser
from hypothesis import given
from hypothesis import strategies as st
from moto.core.serialize import EC2Serializer, XFormedAttributePicker
from moto.core.utils import get_service_model

from server.demo.ec2.answers import QuickSerializer

MODEL = get_service_model("ec2")


@dataclass
class Volume:
    """Named as moto names its models: ``id`` for VolumeId, ``status`` for State."""

    id: str
    status: str
    size: int
    encrypted: bool
    tags: list[dict[str, str]]


def answer(serializer: type[EC2Serializer], operation: str, result: Any) -> dict[str, Any]:
    """As a client reads it."""
    transformers = {"Volume.State": lambda state: f"{state}!", "Volumes.Volume.KmsKeyId": lambda _: "k"}
    made = serializer(
        operation_model=MODEL.operation_model(operation),
        value_picker=XFormedAttributePicker(response_transformers=transformers),
        context=SimpleNamespace(request_id="request"),  # type: ignore[arg-type]  # all that is asked of it
    ).serialize(result)
    body = str(made["body"]).encode()
    shape: Any = MODEL.operation_model(operation).output_shape  # None where there is nothing to read
    parsed: dict[str, Any] = EC2QueryParser().parse({"body": body, "headers": {}, "status_code": made["status_code"]}, shape)
    return parsed


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Zs", "Zl", "Zp"]), max_size=8)
TAGS = st.lists(st.fixed_dictionaries({"Key": TEXT, "Value": TEXT}), max_size=3)


@given(st.lists(st.builds(Volume, TEXT, TEXT, st.integers(1, 100), st.booleans(), TAGS), max_size=3))
def test_lists_of_objects_read_the_same(volumes: list[Volume]) -> None:
    result = {"Volumes": volumes, "NextToken": None}
    assert answer(QuickSerializer, "DescribeVolumes", result) == answer(EC2Serializer, "DescribeVolumes", result)


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("DescribeVolumes", {"Volumes": [{"VolumeId": "v", "CreateTime": datetime(2028, 1, 1, tzinfo=UTC)}]}),
        ("CopySnapshot", {"SnapshotId": "snap-1", "Tags": [{"key": "a<&>\"'", "value": ""}]}),
        ("DeleteSnapshot", None),
        ("DescribeSnapshots", {"Snapshots": []}),
    ],
)
def test_other_answers_read_the_same(operation: str, result: Any) -> None:
    assert answer(QuickSerializer, operation, result) == answer(EC2Serializer, operation, result)
