"""Files of policies: YAML or JSON, read within limits, with the line of every value; and written as YAML.

Of YAML what configuration needs: no anchors and aliases (a small file could grow without end), no tags, no key twice; only
``true``, ``false``, ``null`` and numbers mean something else than their text, so ``on``, ``no`` and ``07:00`` stay texts.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from server.domain.errors import InvalidInput

SIZE_MAX: Final = 4 << 20  # bytes
DEPTH_MAX: Final = 20
NODES_MAX: Final = 200_000
_WORDS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FRACTION: Final = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,18}")
_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value", "yaml")  # by their looks
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """``lines``: path (``policies.0.name``) → line, from 1."""

    name: str
    content: Any
    lines: Mapping[str, int]

    def where(self, path: str) -> str:
        """``policies.yaml:12``: the line of the value, or of the nearest around it."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return f"{self.name}:{self.lines.get(path, 1)}"


def load(path: Path) -> Loaded:
    """``-``: from stdin. Errors: InvalidInput."""
    name = "stdin" if str(path) == "-" else str(path)
    return parse(_content(path, name), name)


def _content(path: Path, name: str) -> str:
    try:
        with sys.stdin.buffer if name == "stdin" else path.open("rb") as file:
            data = file.read(SIZE_MAX + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not UTF-8 text: byte {error.start + 1} is none of it.") from error
    if len(data) > SIZE_MAX:
        raise InvalidInput(f"{name} has more than {SIZE_MAX >> 20} MiB.", remedy="Divide it into several files.")
    return text


def parse(text: str, name: str) -> Loaded:
    """Errors: InvalidInput naming the line."""
    try:
        tree = _compose(text, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{name}:{mark.line + 1}" if mark else name
        raise InvalidInput(f"{line}: this is not YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"{name} is not YAML: {error}.") from error
    if tree is None:
        raise InvalidInput(f"{name} is empty.")
    reading = _Reading(name)
    content = reading.value(tree, "", 0)
    return Loaded(name, content, reading.lines)


def _compose(text: str, name: str) -> yaml.Node | None:
    """The one document of the text. Anchors are refused before anything is put together from them."""
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            raise _wrong(name, event.start_mark, "anchors (&) and aliases (*) are not read here: write it out")
        if number > NODES_MAX:
            raise _wrong(name, event.start_mark, f"more than {NODES_MAX} values")
    return yaml.compose(text, Loader=yaml.SafeLoader)


class _Reading:
    def __init__(self, name: str) -> None:
        self._name = name
        self.lines: dict[str, int] = {}

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise _wrong(self._name, node.start_mark, f"this nests more than {DEPTH_MAX} deep")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if node.tag not in _TAGS:
            raise _wrong(self._name, node.start_mark, f"the tag {node.tag} is not read here")
        if isinstance(node, yaml.MappingNode):
            return self._object(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, f"{path}.{at}" if path else str(at), depth + 1) for at, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # there is no fourth kind
        return self._scalar(node)

    def _object(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, inner in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _wrong(self._name, key_node.start_mark, "a field's name is expected here")
            key = str(key_node.value)
            if key in found:
                raise _wrong(self._name, key_node.start_mark, f"{key} is there twice")
            below = f"{path}.{key}" if path else key
            self.lines[below] = key_node.start_mark.line + 1
            found[key] = self.value(inner, below, depth + 1)
        return found

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if node.style is not None:  # quoted, or a block: a text
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _WHOLE.fullmatch(text):
            return int(text)
        return float(text) if _FRACTION.fullmatch(text) else text


def _wrong(name: str, mark: Any, what: str) -> InvalidInput:
    return InvalidInput(f"{name}:{mark.line + 1}: {what}.")


class _Dumper(yaml.SafeDumper):
    """Lists of scalars on one line, and lists indented beneath their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  # what it overrides
        super().increase_indent(flow, False)


def _list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flow = not any(isinstance(item, dict | list) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)


def _text(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
    """What a terminal or an editor would not show is escaped."""
    style = None if data.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(list, _list)
_Dumper.add_representer(str, _text)


def dump(content: Any) -> str:
    """As YAML that ``parse`` reads back to the same."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)
