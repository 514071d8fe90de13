"""Entities survive the way to JSON and back; what does not fit is refused with its path."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.codec import from_json, to_json
from server.domain.policy import DailySchedule, Scope, SelectionMode, TagMatch, Weekday
from server.domain.restore import InstanceRestore, VolumeRestore


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    colour: Colour
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    id: UUID
    at: datetime
    name: str
    ratio: float
    inner: Inner | None
    inners: tuple[Inner, ...]
    by_name: dict[str, Inner] = field(default_factory=dict)
    anything: dict[str, Any] = field(default_factory=dict)
    flag: bool = False


text = st.text(max_size=8)
inners = st.builds(Inner, colour=st.sampled_from(Colour), numbers=st.lists(st.integers(), max_size=3).map(tuple))
outers = st.builds(
    Outer,
    id=st.uuids(),
    at=st.datetimes(timezones=st.just(UTC)),
    name=text,
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    inner=st.none() | inners,
    inners=st.lists(inners, max_size=3).map(tuple),
    by_name=st.dictionaries(text, inners, max_size=3),
    anything=st.dictionaries(text, st.none() | st.booleans() | st.integers() | text | st.lists(text), max_size=3),
    flag=st.booleans(),
)


@given(value=outers)
def test_any_value_survives_the_way_through_json(value: Outer) -> None:
    assert from_json(Outer, json.loads(json.dumps(to_json(value)))) == value


ids = st.lists(st.uuids(), max_size=3).map(tuple)
tags = st.lists(st.builds(TagMatch, key=text, value=st.none() | text), max_size=3).map(tuple)


@given(
    scope=st.builds(
        Scope,
        account_id=st.uuids(),
        regions=st.lists(text).map(tuple),
        mode=st.sampled_from(SelectionMode),
        resource_ids=ids,
        tags=tags,
        excluded_resource_ids=ids,
        excluded_tags=tags,
    ),
    schedule=st.builds(
        DailySchedule,
        snapshot_hours=st.lists(st.integers(0, 23)).map(tuple),
        backup_hours=st.lists(st.integers(0, 23)).map(tuple),
        days=st.lists(st.sampled_from(Weekday)).map(tuple),
        timezone=text,
    ),
)
def test_the_documents_we_store_survive(scope: Scope, schedule: DailySchedule) -> None:
    assert from_json(Scope, json.loads(json.dumps(to_json(scope)))) == scope
    assert from_json(DailySchedule, json.loads(json.dumps(to_json(schedule)))) == schedule


def test_restore_requests_survive() -> None:
    volume = VolumeRestore(account_id=UUID(int=1), region="us-east-1", zone="us-east-1a", disks=("vol-1",))
    instance = InstanceRestore(account_id=UUID(int=1), region="us-east-1", name="back", security_group_ids=("sg-1",))
    assert from_json(VolumeRestore, to_json(volume)) == volume
    assert from_json(InstanceRestore, to_json(instance)) == instance


def test_what_a_newer_version_added_is_ignored_and_what_an_older_left_out_takes_its_default() -> None:
    assert from_json(Inner, {"colour": "red", "invented_later": 1}) == Inner(colour=Colour.RED)


@pytest.mark.parametrize(
    ("kind", "data", "complaint"),
    [
        (Inner, {"colour": "green"}, "Inner.colour"),
        (Inner, {}, "missing 1 required"),
        (Inner, {"colour": "red", "numbers": ["one"]}, "Inner.numbers: expected int, found str"),
        (Inner, {"colour": "red", "numbers": [True]}, "Inner.numbers: expected int, found bool"),
        (Inner, {"colour": "red", "numbers": 1}, "expected an array"),
        (Inner, [], "expected an object for Inner"),
        (datetime, "2026-11-22T00:00:00", "names no zone"),
        (datetime, 5, "expected a time"),
        (UUID, "not-an-id", "badly formed"),
        (UUID, 5, "expected an id"),
        (str, None, "expected str"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(kind: type, data: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_json(kind, data)


def test_values_and_types_without_a_json_form_are_refused() -> None:
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        to_json({"data": b"raw"})
    with pytest.raises(TypeError, match="no JSON form"):
        from_json(bytes, "x")
