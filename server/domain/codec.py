"""Frozen dataclasses to plain JSON values and back, directed by their type annotations.

Shapes: dataclass ↔ object by field name, enum ↔ its value, UUID ↔ text, datetime ↔ ISO 8601 text (aware), tuple and list ↔
array, ``dict[str, Any]`` ↔ object as it is. Reading is lenient about what a newer or older version wrote: unknown keys are
ignored, absent ones take the field's default; anything else raises ValueError naming the path.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Hashable
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast
from uuid import UUID

T = TypeVar("T")
Reader = Callable[[Any], Any]


def to_json(value: Any) -> Any:
    """``value`` as JSON-ready data: dict, list, str, int, float, bool, None."""
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def from_json(kind: type[T], data: Any) -> T:
    """``data`` as a ``kind``. ValueError when it does not fit."""
    value: T = reader(cast("Hashable", kind))(data)
    return value


@cache
def reader(kind: Any) -> Reader:
    """The function that reads JSON data as ``kind``."""
    if kind is Any:
        return _as_is
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(kind)
    if origin is tuple:
        return _sequence(typing.get_args(kind)[0], tuple)
    if origin is list:
        return _sequence(typing.get_args(kind)[0], list)
    if origin is dict:
        return _mapping(typing.get_args(kind)[1])
    if dataclasses.is_dataclass(kind):
        return _object(cast("type[Any]", kind))
    if issubclass(kind, enum.Enum):
        return cast("Reader", kind)
    if kind is UUID:
        return _uuid
    if kind is datetime:
        return _datetime
    if kind in (str, int, float, bool):
        return _scalar(kind)
    raise TypeError(f"{kind!r} has no JSON form here")


def _as_is(data: Any) -> Any:
    return data


def _optional(kind: Any) -> Reader:
    members = [member for member in typing.get_args(kind) if member is not types.NoneType]
    if len(members) != 1:
        raise TypeError(f"{kind!r} has no JSON form here: only X | None is read")
    read = reader(members[0])
    return lambda data: None if data is None else read(data)


def _sequence(item: Any, make: Callable[[list[Any]], Any]) -> Reader:
    read = reader(item)

    def read_sequence(data: Any) -> Any:
        if not isinstance(data, list):
            raise ValueError(f"expected an array, found {type(data).__name__}")
        return make([read(element) for element in data])

    return read_sequence


def _mapping(item: Any) -> Reader:
    read = reader(item)

    def read_mapping(data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"expected an object, found {type(data).__name__}")
        return data if read is _as_is else {key: read(value) for key, value in data.items()}

    return read_mapping


def _object(kind: type[Any]) -> Reader:
    hints = typing.get_type_hints(kind)
    readers = {field.name: reader(hints[field.name]) for field in dataclasses.fields(kind)}

    def read_object(data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"expected an object for {kind.__name__}, found {type(data).__name__}")
        values = {}
        for name, read in readers.items():
            if name in data:
                try:
                    values[name] = read(data[name])
                except (ValueError, AttributeError) as error:
                    raise ValueError(f"{kind.__name__}.{name}: {error}") from error
        try:
            return kind(**values)
        except TypeError as error:  # a field without default is absent
            raise ValueError(f"{kind.__name__}: {error}") from error

    return read_object


def _uuid(data: Any) -> UUID:
    if not isinstance(data, str):
        raise ValueError(f"expected an id, found {type(data).__name__}")
    return UUID(data)


def _datetime(data: Any) -> datetime:
    if not isinstance(data, str):
        raise ValueError(f"expected a time, found {type(data).__name__}")
    moment = datetime.fromisoformat(data)
    if moment.tzinfo is None:
        raise ValueError(f"the time {data} names no zone")
    return moment


def _scalar(kind: type) -> Reader:
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)

    def read_scalar(data: Any) -> Any:
        if not isinstance(data, accepted) or (kind is not bool and isinstance(data, bool)):
            raise ValueError(f"expected {kind.__name__}, found {type(data).__name__}")
        return kind(data)

    return read_scalar
