"""EC2's answers written quickly: what moto looks up and compares for every value, is looked up once for every kind of value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from botocore.model import Shape
from moto.core.responses import ActionContext, ActionResult
from moto.core.serialize import AttributePickerContext, EC2Serializer
from moto.core.utils import get_value

Transform = Callable[[Any], Any]
_ABSENT: Final = object()

_NAMES: Final[dict[tuple[type, str, int], tuple[Shape, tuple[str, ...]]]] = {}
"""(type of an object, member, identity of its shape) → the shape, so that it lives as long, and names of the member."""


class QuickSerializer(EC2Serializer):
    def get_value(self, value: Any, key: str, shape: Shape) -> Any:
        known = _NAMES.get((type(value), key, id(shape)))
        if known is None:
            known = _NAMES[type(value), key, id(shape)] = (shape, self._names(value, key, shape))
        found = None
        for name in known[1]:
            found = get_value(value, name, _ABSENT)
            if found is not _ABSENT:
                break
        else:
            found = None
        transform = self._transform(key)
        return found if transform is None else transform(found)

    def _names(self, value: Any, key: str, shape: Shape) -> tuple[str, ...]:
        """As moto would try them, each once."""
        context = AttributePickerContext(obj=value, key=key, shape=shape)  # type: ignore[arg-type]  # moto's own name for it
        return tuple(dict.fromkeys(self._value_picker.get_possible_keys(context)))

    def _transform(self, key: str) -> Transform | None:
        found = self._transforms.get(key)
        if found is None:
            return None
        path = ".".join([*self.path, key])
        return next((transform for ending, transform in found if path.endswith(ending)), None)

    @cached_property
    def _transforms(self) -> Mapping[str, Sequence[tuple[str, Transform]]]:
        """By the last part of the path they are for."""
        every: Mapping[str, Transform] = self._value_picker.response_transformers
        found: dict[str, list[tuple[str, Transform]]] = {}
        for ending, transform in every.items():
            found.setdefault(ending.rsplit(".", 1)[-1], []).append((ending, transform))
        return found

    def _serialize_body(self, body: Mapping[str, Any]) -> str:
        parts = ['<?xml version="1.0" encoding="utf-8"?>\n']
        for name, value in body.items():
            _write(parts, name, value)
        return "".join(parts)


def _write(parts: list[str], name: str, value: Any) -> None:
    """xmltodict's conventions: a list repeats the element, ``@name`` is an attribute, ``#text`` the text."""
    if isinstance(value, list):
        for each in value:
            _write(parts, name, each)
    elif isinstance(value, Mapping):
        attributes = "".join(f" {key[1:]}={quoteattr(str(text))}" for key, text in value.items() if key.startswith("@"))
        parts.append(f"<{name}{attributes}>")
        for key, inner in value.items():
            if key == "#text":
                parts.append(escape(str(inner)))
            elif not key.startswith("@"):
                _write(parts, key, inner)
        parts.append(f"</{name}>")
    elif value is None or value == "":
        parts.append(f"<{name}/>")
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        parts.append(f"<{name}>{escape(text)}</{name}>")


class QuickResult(ActionResult):
    def execute_result(self, context: ActionContext) -> Any:
        context.serializer_class = QuickSerializer
        return super().execute_result(context)
