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
from server.domain.guest import Guest, Script, Scripts
from server.domain.periods import DayRule, Ordinal, Period, Unit, Weekday
from server.domain.restore import InstanceRestore, VolumeRestore
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly
from server.domain.scope import Scope, SelectionMode, TagMatch, VolumeExclusions


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


periods = st.builds(Period, st.integers(1, 99), st.sampled_from(Unit))
rules = st.builds(
    Rule, slots=st.lists(st.integers(0, 23)).map(tuple), count=st.none() | st.integers(0, 9), period=st.none() | periods
)
maybe = st.none() | rules
days = st.builds(
    DayRule,
    ordinal=st.sampled_from(Ordinal),
    weekday=st.none() | st.sampled_from(Weekday),
    day=st.none() | st.integers(1, 31),
)
weekdays = st.lists(st.sampled_from(Weekday)).map(tuple)
scripts = st.builds(Scripts, pre=st.none() | st.builds(Script, path=text), ignore_missing=st.booleans())


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
        excluded_volumes=st.builds(VolumeExclusions, system=st.booleans(), volume_ids=st.lists(text).map(tuple), tags=tags),
    ),
    schedule=st.builds(
        Schedule,
        timezone=text,
        daily=st.none() | st.builds(Daily, days=weekdays, snapshot=rules, replica=maybe, backup=maybe),
        weekly=st.none() | st.builds(Weekly, enabled=st.booleans(), hour=st.integers(0, 23), snapshot=rules, backup=maybe),
        monthly=st.none() | st.builds(Monthly, hour=st.integers(0, 23), day=days, snapshot=rules, archive=maybe),
        yearly=st.none() | st.builds(Yearly, hour=st.integers(0, 23), day=days, backup=maybe, archive=maybe),
    ),
    guest=st.builds(Guest, application_aware=st.booleans(), linux=st.none() | scripts, windows=st.none() | scripts),
)
def test_the_documents_we_store_survive(scope: Scope, schedule: Schedule, guest: Guest) -> None:
    assert from_json(Scope, json.loads(json.dumps(to_json(scope)))) == scope
    assert from_json(Schedule, json.loads(json.dumps(to_json(schedule)))) == schedule
    assert from_json(Guest, json.loads(json.dumps(to_json(guest)))) == guest


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
