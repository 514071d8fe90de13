"""Reading what people wrote: JSON-like data into frozen dataclasses, strictly, with every mistake at its path.

Keys are the dataclass's fields in camelCase. Unknown keys, wrong types and values are collected instead of raised, so that all
of them can be told at once; what could not be read is None or the default. Types with a notation of their own are read by
``special``.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")
ITEMS_MAX = 10_000  # of one list


@dataclass(frozen=True, slots=True)
class Spot:
    """A value, and where it stands. ``problems``: path → sentence, shared by all spots of one document."""

    value: Any
    path: str
    problems: dict[str, str]

    def wrong(self, sentence: str) -> None:
        """Only the first mistake at a path is told."""
        self.problems.setdefault(self.path, sentence)

    def at(self, key: str | int) -> Spot:
        return Spot(self.value[key], f"{self.path}.{key}" if self.path else str(key), self.problems)

    def beside(self, key: str, sentence: str) -> None:
        """A mistake at a key of this object."""
        self.problems.setdefault(f"{self.path}.{key}" if self.path else key, sentence)

    def items(self) -> list[Spot]:
        """Those of a list; none, and a problem, when it is no list."""
        if not isinstance(self.value, list):
            self.wrong(f"A list is expected here, not {_named(self.value)}.")
            return []
        if len(self.value) > ITEMS_MAX:
            self.wrong(f"At most {ITEMS_MAX} entries.")
            return []
        return [self.at(index) for index in range(len(self.value))]

    def keys(self, allowed: Iterable[str]) -> dict[str, Spot]:
        """The entries of an object that are given and not null; others than ``allowed`` are problems."""
        if not isinstance(self.value, dict):
            self.wrong(f"An object with fields is expected here, not {_named(self.value)}.")
            return {}
        known = list(allowed)
        for key in self.value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f" Did you mean {near[0]}?" if near else f" Known ones: {', '.join(known)}."
                self.beside(str(key), f"There is no field {key!r} here.{hint}")
        return {key: self.at(key) for key in known if self.value.get(key) is not None}

    # ---- scalars

    def text(self) -> str | None:
        if isinstance(self.value, str):
            return self.value
        self.wrong(f"A text is expected here, not {_named(self.value)}.")
        return None

    def whole(self) -> int | None:
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return self.value
        self.wrong(f"A whole number is expected here, not {_named(self.value)}.")
        return None

    def flag(self) -> bool | None:
        if isinstance(self.value, bool):
            return self.value
        self.wrong(f"true or false is expected here, not {_named(self.value)}.")
        return None

    def choice(self, kind: type[enum.Enum]) -> Any:
        """One of an enum, by its value or its name in lower case."""
        words = {spoken(member): member for member in kind}
        if isinstance(self.value, str) and self.value.lower() in words:
            return words[self.value.lower()]
        self.wrong(f"{_named(self.value)} is none of {', '.join(words)}.")
        return None


Special = Mapping[Any, Callable[[Spot], Any]]


@dataclass(frozen=True, slots=True)
class StrictReader:
    """Reads dataclasses; ``special``: type → reader, for those with a notation of their own."""

    special: Special = field(default_factory=dict)

    def read(self, kind: type[T], spot: Spot, *, only: Iterable[str] | None = None) -> T | None:
        """None, and problems, when it cannot be made. ``only``: the fields looked for, of all the class has."""
        values = self.fields(kind, spot, only=only)
        if values is None:
            return None
        missing = [
            one.name
            for one in dataclasses.fields(cast("Any", kind))
            if one.name not in values and one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        ]
        for name in missing:
            spot.beside(camel(name), "This is needed.")
        return None if missing else kind(**values)

    def fields(self, kind: type[Any], spot: Spot, *, only: Iterable[str] | None = None) -> dict[str, Any] | None:
        """Field name → value, of those given and readable; None when it is no object."""
        hints = typing.get_type_hints(kind)
        names = {camel(name): name for name in (only if only is not None else hints)}
        if not isinstance(spot.value, dict):
            spot.keys(names)
            return None
        found = {}
        for key, inner in spot.keys(names).items():
            value = self.value(hints[names[key]], inner)
            if value is not None:
                found[names[key]] = value
        return found

    def value(self, kind: Any, spot: Spot) -> Any:
        if kind in self.special:
            return self.special[kind](spot)
        origin = typing.get_origin(kind)
        if origin in (typing.Union, types.UnionType):
            [kind] = [one for one in typing.get_args(kind) if one is not types.NoneType]
            return self.value(kind, spot)
        if origin is tuple:
            values = [self.value(typing.get_args(kind)[0], item) for item in spot.items()]
            return tuple(value for value in values if value is not None)
        if dataclasses.is_dataclass(kind):
            return self.read(cast("type[Any]", kind), spot)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return spot.choice(kind)
        scalars: dict[Any, Callable[[], Any]] = {str: spot.text, int: spot.whole, bool: spot.flag}
        return scalars[kind]()


def plain(value: Any, special: Mapping[Any, Callable[[Any], Any]]) -> Any:
    """The opposite: JSON-like data with camelCase keys, without what a reader would fill in by itself."""
    if type(value) in special:
        return special[type(value)](value)
    if isinstance(value, enum.Enum):
        return spoken(value)
    if isinstance(value, tuple | list):
        return [plain(item, special) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            camel(one.name): plain(getattr(value, one.name), special)
            for one in dataclasses.fields(value)
            if getattr(value, one.name) != default_of(one)
        }
    return value


def default_of(one: dataclasses.Field[Any]) -> Any:
    """MISSING when there is none."""
    if one.default_factory is not dataclasses.MISSING:
        return one.default_factory()
    return one.default


def spoken(member: enum.Enum) -> str:
    """How people write it: its value, or its name where the value is a number."""
    return member.value if isinstance(member.value, str) else member.name.lower()


def camel(name: str) -> str:
    """``copy_tags`` → ``copyTags``."""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _named(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value) if not isinstance(value, bool) else str(value).lower()
