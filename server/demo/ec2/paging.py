"""MaxResults and NextToken for every EC2 list call moto answers whole."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from moto.ec2.exceptions import EC2ClientError

PAGE_MIN, PAGE_MAX = 5, 1000
_OTHER_LIMITS = {"DescribeInstanceTypes": (5, 100), "DescribeInstanceTypeOfferings": (5, 1000)}


@lru_cache(maxsize=1)
def _model() -> ServiceModel:
    return botocore.session.Session().get_service_model("ec2")


@lru_cache(maxsize=512)
def list_member(operation: str) -> str | None:
    """The list an operation pages through, or None when it does not page."""
    if operation not in _model().operation_names:
        return None
    model = _model().operation_model(operation)
    asked, answered = model.input_shape, model.output_shape
    if asked is None or answered is None or not {"MaxResults", "NextToken"} <= set(asked.members):
        return None
    lists = [name for name, shape in answered.members.items() if shape.type_name == "list"]
    return lists[0] if len(lists) == 1 and "NextToken" in answered.members else None


def page(operation: str, question: dict[str, Any], items: list[Any]) -> tuple[list[Any], str | None]:
    """This page of ``items`` and the token of the next. Errors: InvalidParameterValue, InvalidNextToken."""
    asked, token = question.get("MaxResults"), question.get("NextToken")
    low, high = _OTHER_LIMITS.get(operation, (PAGE_MIN, PAGE_MAX))
    if asked is not None and not low <= int(asked) <= high:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ( {asked} ) for parameter maxResults is invalid. Expecting a value between {low} and {high}.",
        )
    start = _start(token, operation, question) if token else 0
    size = int(asked) if asked is not None else PAGE_MAX
    following = start + size
    return items[start:following], (_token(following, operation, question) if following < len(items) else None)


def _fingerprint(operation: str, question: dict[str, Any]) -> str:
    rest = {name: value for name, value in question.items() if name not in ("MaxResults", "NextToken")}
    return hashlib.sha256(json.dumps([operation, rest], sort_keys=True, default=str).encode()).hexdigest()[:16]


def _token(start: int, operation: str, question: dict[str, Any]) -> str:
    return base64.b64encode(f"{start}/{_fingerprint(operation, question)}".encode()).decode()


def _start(token: str, operation: str, question: dict[str, Any]) -> int:
    try:
        start, fingerprint = base64.b64decode(token, validate=True).decode().split("/")
        if fingerprint == _fingerprint(operation, question):
            return int(start)
    except (binascii.Error, ValueError):
        pass
    raise EC2ClientError("InvalidNextToken", "The specified NextToken is not valid.")
