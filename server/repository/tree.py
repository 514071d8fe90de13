"""The tree of a disk: leaves of 256 blocks under pages of 512 children (FORMAT.md §9). Encoding and arithmetic only."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from blake3 import blake3

from server.domain.errors import Damaged
from server.ports import BLOCK_SIZE
from server.repository.crypto import CHECK_REMEDY
from server.repository.pack import KIND_LEAF, KIND_PAGE

LEAF_BITS, PAGE_BITS = 8, 9
LEAF_BLOCKS, PAGE_CHILDREN = 1 << LEAF_BITS, 1 << PAGE_BITS
ID_SIZE = 16
MAX_NODE_SIZE = 64 * 1024
MAX_LEVEL = 5  # 2^53 blocks: more than any disk; a larger number in a manifest is damage

_HEAD = struct.Struct("<BBHHHQ")
_NO_CONTENT = bytes(ID_SIZE)


class Entry(NamedTuple):
    """Where a child is: a block (leaf entries) or a node (page entries).

    ``pack``: id ‖ epoch, 20 bytes. ``length`` counts the seal. ``id``: content or node id. ``blocks``: non-zero ones in it.
    """

    pack: bytes
    codec: int
    offset: int
    length: int
    id: bytes
    blocks: int = 1


Slots = dict[int, Entry]


def entry_to_json(entry: Entry) -> dict[str, Any]:
    return {
        "pack": entry.pack.hex(),
        "codec": entry.codec,
        "offset": entry.offset,
        "length": entry.length,
        "id": entry.id.hex(),
        "blocks": entry.blocks,
    }


def entry_from_json(data: Mapping[str, Any]) -> Entry:
    pack, entry_id = bytes.fromhex(data["pack"]), bytes.fromhex(data["id"])
    numbers = [int(data[key]) for key in ("codec", "offset", "length", "blocks")]
    if len(pack) != ID_SIZE + 4 or len(entry_id) != ID_SIZE or not all(0 <= n < 2**32 for n in numbers) or numbers[0] > 255:
        raise ValueError("entry sizes")
    codec, offset, length, blocks = numbers
    return Entry(pack, codec, offset, length, entry_id, blocks)


def block_count(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_SIZE)


def top_level(size_bytes: int) -> int:
    """The level whose single node 0 covers a disk of this size."""
    leaves = max(1, -(-block_count(size_bytes) // LEAF_BLOCKS))
    level = 0
    while leaves > 1:
        leaves = -(-leaves // PAGE_CHILDREN)
        level += 1
    return level


def node_kind(level: int) -> int:
    return KIND_LEAF if level == 0 else KIND_PAGE


def node_position(level: int, number: int) -> int:
    """As pack footers record nodes."""
    return level << 56 | number


def node_id(tree_key: bytes, level: int, number: int, slots: Slots) -> bytes:
    """Commits to the content below the node, not to where it is stored. ``slots`` in ascending order."""
    body = b"".join(slots[slot].id for slot in slots)
    return blake3(struct.pack("<BQ", level, number) + _bitmap(level, slots) + body, key=tree_key).digest(length=ID_SIZE)


def content_root(tree_key: bytes, size_bytes: int, root: Entry | None) -> str:
    """Hex. Equal for two disks exactly when size and every block are equal."""
    top = root.id if root else _NO_CONTENT
    return blake3(b"disk" + struct.pack("<Q", size_bytes) + top, key=tree_key).hexdigest()


def _width(level: int) -> int:
    return LEAF_BLOCKS if level == 0 else PAGE_CHILDREN


def _bitmap(level: int, slots: Slots) -> bytes:
    bits = 0
    for slot in slots:
        bits |= 1 << slot
    return bits.to_bytes(_width(level) // 8, "little")


def encode_node(level: int, number: int, slots: Slots) -> bytes:
    """``slots`` must be in ascending order and not empty."""
    entries = list(slots.values())
    count = len(entries)
    packs: dict[bytes, int] = {}
    for entry in entries:
        packs.setdefault(entry.pack, len(packs))
    columns = [
        _HEAD.pack(node_kind(level), level, count, len(packs), 0, number),
        _bitmap(level, slots),
        b"".join(packs),
        struct.pack(f"<{count}H", *(packs[entry.pack] for entry in entries)),
        bytes(entry.codec for entry in entries),
        struct.pack(f"<{count}I", *(entry.offset for entry in entries)),
        struct.pack(f"<{count}I", *(entry.length for entry in entries)),
        b"".join(entry.id for entry in entries),
    ]
    if level:
        columns.append(struct.pack(f"<{count}I", *(entry.blocks for entry in entries)))
    return b"".join(columns)


def decode_node(tree_key: bytes, level: int, number: int, expected_id: bytes, data: bytes) -> Slots:
    """Damaged when ``data`` is not the node ``number`` of ``level`` with that id."""
    try:
        slots = _parse(level, number, data)
    except (struct.error, ValueError, IndexError) as wrong:
        raise _bad_node(level, number) from wrong
    if node_id(tree_key, level, number, slots) != expected_id:
        raise _bad_node(level, number)
    return slots


def _bad_node(level: int, number: int) -> Damaged:
    return Damaged(f"A tree node (level {level}, number {number}) does not hold what its id says.", remedy=CHECK_REMEDY)


def _parse(level: int, number: int, data: bytes) -> Slots:
    kind, found_level, count, pack_count, _, found_number = _HEAD.unpack_from(data)
    bitmap_size = _width(level) // 8
    tables = _HEAD.size + bitmap_size
    columns = tables + 20 * pack_count
    size = columns + count * (11 + ID_SIZE + (4 if level else 0))
    if (kind, found_level, found_number) != (node_kind(level), level, number) or size != len(data):
        raise ValueError("not this node")
    bits = int.from_bytes(data[_HEAD.size : tables], "little")
    present = [slot for slot in range(_width(level)) if bits >> slot & 1]
    if len(present) != count:
        raise ValueError("bitmap")
    packs = [data[tables + 20 * i : tables + 20 * i + 20] for i in range(pack_count)]
    which = struct.unpack_from(f"<{count}H", data, columns)
    codecs = data[columns + 2 * count : columns + 3 * count]
    offsets = struct.unpack_from(f"<{count}I", data, columns + 3 * count)
    lengths = struct.unpack_from(f"<{count}I", data, columns + 7 * count)
    ids = columns + 11 * count
    blocks = struct.unpack_from(f"<{count}I", data, ids + 16 * count) if level else (1,) * count
    return {
        slot: Entry(packs[which[i]], codecs[i], offsets[i], lengths[i], data[ids + 16 * i : ids + 16 * i + 16], blocks[i])
        for i, slot in enumerate(present)
    }


def reached_packs(level: int, data: bytes) -> list[bytes]:
    """Pack references (20 bytes each) of an authenticated plain node: all that marking a leaf needs."""
    _, _, _, pack_count, _, _ = _HEAD.unpack_from(data)
    start = _HEAD.size + _width(level) // 8
    return [data[start + 20 * i : start + 20 * i + 20] for i in range(pack_count)]


def leaf_entries(data: bytes, wanted: Callable[[bytes], bool]) -> Iterator[Entry]:
    """Of an authenticated plain leaf, the entries whose pack reference is ``wanted``."""
    _, _, count, _, _, _ = _HEAD.unpack_from(data)
    packs = reached_packs(0, data)
    chosen = [wanted(pack) for pack in packs]
    if not any(chosen):
        return
    columns = _HEAD.size + _width(0) // 8 + 20 * len(packs)
    which = struct.unpack_from(f"<{count}H", data, columns)
    codecs = data[columns + 2 * count : columns + 3 * count]
    offsets = struct.unpack_from(f"<{count}I", data, columns + 3 * count)
    lengths = struct.unpack_from(f"<{count}I", data, columns + 7 * count)
    ids = columns + 11 * count
    for i in range(count):
        if chosen[which[i]]:
            yield Entry(packs[which[i]], codecs[i], offsets[i], lengths[i], data[ids + 16 * i : ids + 16 * i + 16])
