"""Builds a disk's tree from its leaves in ascending order, sharing what did not change with the parent (FORMAT.md §9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import zstandard

from server.repository.fetch import TreeReader
from server.repository.pack import RAW, ZSTD
from server.repository.tree import (
    PAGE_BITS,
    PAGE_CHILDREN,
    Entry,
    Slots,
    encode_node,
    entry_from_json,
    entry_to_json,
    node_id,
    node_kind,
    node_position,
    top_level,
)

NODE_LEVEL = 3  # zstd; ids do not compress, the other columns nearly vanish


class NodeSink(Protocol):
    def add(self, kind: int, codec: int, payload: bytes, position: int, item_id: bytes, blocks: int = 1) -> Entry: ...


@dataclass(slots=True)
class _Page:
    """A page some children of which are settled; None means the child became empty."""

    number: int
    children: dict[int, Entry | None] = field(default_factory=dict)


def squeeze(plain: bytes) -> tuple[int, bytes]:
    """Codec and payload: compressed when that helps."""
    packed = zstandard.ZstdCompressor(level=NODE_LEVEL).compress(plain)
    return (ZSTD, packed) if len(packed) < len(plain) else (RAW, plain)


class TreeBuilder:
    """``inherit``: children never settled keep what the parent has; otherwise they are empty. Memory: one page per level.

    ``healed(old, new)`` is told of nodes of the parent that cannot be read and were stored anew with the same content.
    """

    def __init__(
        self,
        parent: TreeReader,
        *,
        inherit: bool,
        size_bytes: int,
        tree_key: bytes,
        sink: NodeSink,
        healed: Callable[[Entry, Entry], None] = lambda _old, _new: None,
    ) -> None:
        self.level = top_level(size_bytes)
        self._parent = parent
        self._inherit = inherit
        self._tree_key = tree_key
        self._sink = sink
        self._healed = healed
        self._pages: dict[int, _Page] = {}
        self._root = parent.root if inherit and parent.level == self.level else None
        if inherit and parent.root is not None and parent.level < self.level:
            # The disk grew: the parent's whole tree is child 0 of the first new level.
            self._place(parent.level, 0, parent.root)

    def leaf(self, number: int, slots: Slots) -> None:
        """Settle a leaf: its complete content, ascending. Numbers must ascend from call to call."""
        self._place(0, number, self._settle(0, number, slots))

    def finish(self) -> Entry | None:
        """Close all pages; the disk's top node, None when the disk holds only zeros."""
        for level in range(1, self.level + 1):
            if level in self._pages:
                self._close(level)
        return self._root

    def _place(self, level: int, number: int, entry: Entry | None) -> None:
        if level == self.level:
            self._root = entry
            return
        above, page_number = level + 1, number >> PAGE_BITS
        page = self._pages.get(above)
        if page is not None and page.number != page_number:
            self._close(above)
            page = None
        if page is None:
            page = self._pages[above] = _Page(page_number)
        page.children[number & (PAGE_CHILDREN - 1)] = entry

    def _close(self, level: int) -> None:
        page = self._pages.pop(level)
        base = self._parent.node(level, page.number) if self._inherit and level <= self._parent.level else {}
        slots = overlay(base, page.children)
        self._place(level, page.number, self._settle(level, page.number, slots))

    def _settle(self, level: int, number: int, slots: Slots) -> Entry | None:
        """The parent's node when the content is the same and lies where it did, else a new one."""
        if not slots:
            return None
        own_id = node_id(self._tree_key, level, number, slots)
        known = self._parent.entry(level, number)
        same = known if known is not None and known.id == own_id else None
        there = self._parent.node(level, number) if same else {}
        if same and there == slots:
            return same
        codec, payload = squeeze(encode_node(level, number, slots))
        blocks = sum(entry.blocks for entry in slots.values())
        stored = self._sink.add(node_kind(level), codec, payload, node_position(level, number), own_id, blocks)
        if same and not there:  # a node is never empty: it could not be read
            self._healed(same, stored)
        return stored

    # -- checkpoints

    def to_json(self) -> dict[str, Any]:
        """What ``restore`` needs to go on behind the last settled leaf."""
        return {
            "root": entry_to_json(self._root) if self._root else None,
            "pages": [
                [level, page.number, [[slot, entry_to_json(entry) if entry else None] for slot, entry in page.children.items()]]
                for level, page in self._pages.items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._root = entry_from_json(state["root"]) if state["root"] else None
        self._pages = {
            level: _Page(number, {slot: entry_from_json(entry) if entry else None for slot, entry in children})
            for level, number, children in state["pages"]
        }


def overlay(base: Slots, changes: Mapping[int, Entry | None]) -> Slots:
    """``base`` with ``changes`` applied (None removes), in ascending order."""
    merged: dict[int, Entry | None] = {**base, **changes}
    return {slot: entry for slot, entry in sorted(merged.items()) if entry is not None}
