"""Packs: many sealed items in one object (FORMAT.md §8). ``PackBuffer`` fills one, ``open_item`` and ``read_footer`` read."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.domain.errors import Damaged
from server.repository import layout
from server.repository.crypto import CHECK_REMEDY, HEADER_SIZE, TAG_SIZE, TYPE_DATA_PACK, Keys, parse_header

KIND_BLOCK, KIND_LEAF, KIND_PAGE, KIND_STATE, KIND_FOOTER = 0, 1, 2, 3, 127
RAW, ZSTD = 0, 1
DATA_PACK_SIZE = 16 * 1024 * 1024
ARCHIVE_PACK_SIZE = 512 * 1024 * 1024
PART_SIZE = 16 * 1024 * 1024
TREE_PACK_SIZE = 4 * 1024 * 1024
MAX_PACK_SIZE = 2**32 - 1

_AAD = struct.Struct("<BBHII")
_TRAILER = struct.Struct("<QIIQ8s")
_TRAILER_MAGIC = b"HFPKEND1"
_ROW_SIZE = 1 + 1 + 4 + 4 + 8 + 16  # footer columns: kind, codec, offset, length, position, id
_FOOTER_SLACK = 64 * 1024  # context, zstd overhead, trailer
_USUAL_FOOTER = 64 * 1024  # bytes read from a pack's end at first: footers are seldom larger


@dataclass(frozen=True, slots=True)
class Item:
    """A row of a pack's footer. ``position``: block index, or level << 56 | number of a node."""

    kind: int
    codec: int
    offset: int
    length: int
    position: int
    id: bytes


def nonce(offset: int) -> bytes:
    return offset.to_bytes(12, "big")


def item_aad(header: bytes, kind: int, codec: int, offset: int, length: int) -> bytes:
    return header + _AAD.pack(kind, codec, 0, offset, length)


def pack_ref(pack_id: bytes, epoch: int) -> bytes:
    """20 bytes naming a pack and the epoch of its key, as nodes store it."""
    return pack_id + epoch.to_bytes(4, "little")


@dataclass(slots=True)
class Part:
    """A stretch of a pack's bytes in a buffer of its own, of which ``used`` bytes count. ``number`` from 1. ``filling``: items
    in it that are not sealed yet. ``pooled``: the buffer came from ``take``."""

    number: int
    buffer: memoryview
    used: int
    pooled: bool = True
    filling: int = 0

    @property
    def data(self) -> memoryview:
        return self.buffer[: self.used]


class PackBuffer:
    """A pack being filled by several threads. ``reserve`` hands out room in order; ``fill`` seals into it in parallel.

    Its bytes lie in buffers from ``take``, all of one size. A pack larger than that hands each on as soon as it is full.
    """

    def __init__(
        self,
        keys: Keys,
        kind: int,
        context: Mapping[str, Any],
        pack_id: bytes,
        *,
        size: int,
        part_size: int,
        take: Callable[[], memoryview],
    ) -> None:
        self.id = pack_id
        self.ref = pack_ref(self.id, keys.epoch)
        self.kind = kind
        self._header = keys.header(kind, self.id)
        self._cipher = keys.pack_cipher(keys.epoch, self.id)
        self._size = size
        self._part_size = part_size
        self._take = take
        self._parts: dict[int, Part] = {}  # by number; not handed on yet
        self._end = HEADER_SIZE
        self._context = json.dumps(context, sort_keys=True).encode()
        self.items: list[Item] = []
        self._lock = threading.Lock()
        self._filling = 0
        self._closed = False
        self._store(0, self._header)

    @property
    def name(self) -> str:
        return layout.data_pack(self.id) if self.kind == TYPE_DATA_PACK else layout.tree_pack(self.id)

    def reserve(self, kind: int, codec: int, size: int, position: int, item_id: bytes) -> Item | None:
        """Room for ``size`` plain bytes; None when the pack is full. Each reserved item must be filled once. One caller at a
        time; blocks while ``take`` does."""
        length = size + TAG_SIZE
        rows = (len(self.items) + 1) * _ROW_SIZE
        if self._end + length + rows + _FOOTER_SLACK > self._size:
            return None
        item = Item(kind, codec, self._end, length, position, item_id)
        parts = [self._part(number) for number in self._numbers(item.offset, length)]
        with self._lock:
            self._end += length
            self.items.append(item)
            self._filling += 1
            for part in parts:
                part.filling += 1
        return item

    def fill(self, item: Item, payload: bytes | bytearray | memoryview) -> tuple[list[Part], bool]:
        """Seal ``payload`` into its room. Parts that are full now and to be put (large packs only), and whether the pack is
        closed and this was its last item: then the caller finishes it."""
        aad = item_aad(self._header, item.kind, item.codec, item.offset, item.length)
        numbers = self._numbers(item.offset, item.length)
        if len(numbers) == 1:
            at = item.offset % self._part_size
            room = self._parts[numbers[0]].buffer[at : at + item.length]
            self._cipher.encrypt_into(nonce(item.offset), payload, aad, room)
        else:
            self._store(item.offset, self._cipher.encrypt(nonce(item.offset), payload, aad))
        with self._lock:
            self._filling -= 1
            full = []
            for number in numbers:
                part = self._parts[number]
                part.filling -= 1
                if not part.filling and number * self._part_size <= self._end:
                    full.append(self._parts.pop(number))
            return full, self._closed and self._filling == 0

    def close(self) -> bool:
        """No more reservations. True when nothing is being filled: the caller finishes it."""
        with self._lock:
            self._closed = True
            return self._filling == 0

    def finish(self) -> list[Part]:
        """Footer and trailer written; the parts not handed on yet, in order, the last one cut to its length."""
        packed = zstandard.ZstdCompressor(level=3).compress(self._footer())
        offset, length = self._end, len(packed) + TAG_SIZE
        trailer = _TRAILER.pack(offset, length, 0, 0, _TRAILER_MAGIC)
        aad = item_aad(self._header, KIND_FOOTER, ZSTD, offset, length)
        tail = self._cipher.encrypt(nonce(offset), packed, aad) + trailer
        last = self._numbers(offset, len(tail))[-1]
        for number in self._numbers(offset, len(tail)):
            # No buffer is taken here: all may be held by packs that wait for the thread that runs this.
            self._parts.setdefault(number, Part(number, memoryview(bytearray(self._part_size)), self._part_size, pooled=False))
        self._store(offset, tail)
        self._parts[last].used = offset + len(tail) - (last - 1) * self._part_size
        return [self._parts[number] for number in sorted(self._parts)]

    def _numbers(self, offset: int, length: int) -> range:
        """Of the parts that these bytes lie in."""
        return range(offset // self._part_size + 1, (offset + length - 1) // self._part_size + 2)

    def _part(self, number: int) -> Part:
        part = self._parts.get(number)
        if part is None:
            part = self._parts[number] = Part(number, self._take(), self._part_size)
        return part

    def _store(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            number = offset // self._part_size + 1
            at = offset % self._part_size
            piece = view[: self._part_size - at]
            self._part(number).buffer[at : at + len(piece)] = piece
            offset += len(piece)
            view = view[len(piece) :]

    def _footer(self) -> bytes:
        items = self.items
        count = len(items)
        return b"".join(
            (
                struct.pack("<I", len(self._context)),
                self._context,
                struct.pack("<I", count),
                bytes(item.kind for item in items),
                bytes(item.codec for item in items),
                struct.pack(f"<{count}I", *(item.offset for item in items)),
                struct.pack(f"<{count}I", *(item.length for item in items)),
                struct.pack(f"<{count}Q", *(item.position for item in items)),
                b"".join(item.id for item in items),
            )
        )


# ---- reading ----------------------------------------------------------------------------------------------------------


class PackReader:
    """Opens items of one pack, given the bytes of each (from any range request)."""

    __slots__ = ("_cipher", "_header", "name")

    def __init__(self, keys: Keys, kind: int, ref: bytes) -> None:
        epoch = int.from_bytes(ref[16:20], "little")
        self._header = keys.header(kind, ref[:16], epoch)
        self._cipher: AESGCM = keys.pack_cipher(epoch, ref[:16])
        self.name = layout.data_pack(ref[:16]) if kind == TYPE_DATA_PACK else layout.tree_pack(ref[:16])

    def open(self, kind: int, codec: int, offset: int, sealed: bytes | memoryview, *, max_size: int) -> bytes:
        """The plain bytes of an item of at most ``max_size``. Damaged when anything does not fit."""
        aad = item_aad(self._header, kind, codec, offset, len(sealed))
        try:
            payload = self._cipher.decrypt(nonce(offset), sealed, aad)
        except (InvalidTag, ValueError):
            raise self._damaged(offset, len(sealed)) from None
        if codec == RAW:
            return payload
        try:
            if codec != ZSTD or not 0 <= zstandard.frame_content_size(payload) <= max_size:
                raise self._damaged(offset, len(sealed))
            return zstandard.ZstdDecompressor().decompress(payload)
        except zstandard.ZstdError:
            raise self._damaged(offset, len(sealed)) from None

    def _damaged(self, offset: int, length: int) -> Damaged:
        return Damaged(
            f"{self.name} is damaged at bytes {offset} to {offset + length - 1}.",
            remedy=CHECK_REMEDY,
            fields={"object": self.name, "offset": str(offset), "length": str(length)},
        )


def read_footer(keys: Keys, kind: int, name: str, data: bytes) -> tuple[dict[str, Any], list[Item]]:
    """Context and items of a whole pack ``data``. Damaged when it is not complete."""
    _, context, items = footer_in(keys, kind, name, len(data), lambda start, length: data[start : start + length])
    return context, items


def footer_in(
    keys: Keys, kind: int, name: str, size: int, read: Callable[[int, int], bytes]
) -> tuple[int, dict[str, Any], list[Item]]:
    """Epoch, context and items of a pack of ``size`` bytes, of which ``read(start, length)`` gives some. Damaged when it is not
    complete."""
    bad = Damaged(f"{name} is incomplete or damaged at its end.", remedy=CHECK_REMEDY, fields={"object": name})
    epoch, pack_id = parse_header(name, kind, keys.repository_id.bytes, read(0, HEADER_SIZE + TAG_SIZE))
    if pack_id != layout.pack_id_of(name) or size < HEADER_SIZE + _TRAILER.size:
        raise bad
    tail_at = max(0, size - _USUAL_FOOTER)
    tail = read(tail_at, size - tail_at)
    if len(tail) != size - tail_at:
        raise bad
    offset, length, _, _, magic = _TRAILER.unpack_from(tail, len(tail) - _TRAILER.size)
    if magic != _TRAILER_MAGIC or offset + length + _TRAILER.size != size:
        raise bad
    sealed = tail[offset - tail_at : -_TRAILER.size] if offset >= tail_at else read(offset, length)
    plain = PackReader(keys, kind, pack_ref(pack_id, epoch)).open(KIND_FOOTER, ZSTD, offset, sealed, max_size=MAX_PACK_SIZE)
    try:
        context, items = _parse_footer(plain)
    except (struct.error, ValueError, IndexError) as wrong:
        raise bad from wrong
    return epoch, context, items


def _parse_footer(plain: bytes) -> tuple[dict[str, Any], list[Item]]:
    (size,) = struct.unpack_from("<I", plain)
    context = json.loads(plain[4 : 4 + size])
    at = 4 + size
    (count,) = struct.unpack_from("<I", plain, at)
    at += 4
    if len(plain) != at + count * _ROW_SIZE:
        raise ValueError("footer size")
    kinds, codecs = plain[at : at + count], plain[at + count : at + 2 * count]
    at += 2 * count
    offsets = struct.unpack_from(f"<{count}I", plain, at)
    lengths = struct.unpack_from(f"<{count}I", plain, at + 4 * count)
    positions = struct.unpack_from(f"<{count}Q", plain, at + 8 * count)
    at += 16 * count
    ids = [plain[at + 16 * i : at + 16 * i + 16] for i in range(count)]
    return context, [Item(*row) for row in zip(kinds, codecs, offsets, lengths, positions, ids, strict=True)]
