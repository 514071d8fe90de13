"""Packs: many sealed items in one object (FORMAT.md §8). ``PackBuffer`` fills one, ``open_item`` and ``read_footer`` read."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Mapping
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
TREE_PACK_SIZE = 4 * 1024 * 1024
MAX_PACK_SIZE = 2**32 - 1

_AAD = struct.Struct("<BBHII")
_TRAILER = struct.Struct("<QIIQ8s")
_TRAILER_MAGIC = b"HFPKEND1"
_ROW_SIZE = 1 + 1 + 4 + 4 + 8 + 16  # footer columns: kind, codec, offset, length, position, id
_FOOTER_SLACK = 64 * 1024  # context, zstd overhead, trailer


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


class PackBuffer:
    """A pack being filled by several threads. ``reserve`` hands out room in order; ``fill`` seals into it in parallel."""

    def __init__(self, keys: Keys, kind: int, buffer: bytearray, context: Mapping[str, Any], pack_id: bytes) -> None:
        self.id = pack_id
        self.ref = pack_ref(self.id, keys.epoch)
        self.kind = kind
        self._header = keys.header(kind, self.id)
        self._cipher = keys.pack_cipher(keys.epoch, self.id)
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._view[:HEADER_SIZE] = self._header
        self._end = HEADER_SIZE
        self._context = json.dumps(context, sort_keys=True).encode()
        self._items: list[Item] = []
        self._lock = threading.Lock()
        self._filling = 0
        self._closed = False

    @property
    def name(self) -> str:
        return layout.data_pack(self.id) if self.kind == TYPE_DATA_PACK else layout.tree_pack(self.id)

    @property
    def empty(self) -> bool:
        return not self._items

    def reserve(self, kind: int, codec: int, size: int, position: int, item_id: bytes) -> Item | None:
        """Room for ``size`` plain bytes; None when the pack is full. Each reserved item must be filled once."""
        length = size + TAG_SIZE
        with self._lock:
            rows = (len(self._items) + 1) * _ROW_SIZE
            if self._end + length + rows + _FOOTER_SLACK > len(self._buffer):
                return None
            item = Item(kind, codec, self._end, length, position, item_id)
            self._end += length
            self._items.append(item)
            self._filling += 1
        return item

    def fill(self, item: Item, payload: bytes) -> bool:
        """Seal ``payload`` into its room. True when the pack is closed and this was the last: the caller finishes it."""
        aad = item_aad(self._header, item.kind, item.codec, item.offset, item.length)
        self._cipher.encrypt_into(nonce(item.offset), payload, aad, self._view[item.offset : item.offset + item.length])
        with self._lock:
            self._filling -= 1
            return self._closed and self._filling == 0

    def close(self) -> bool:
        """No more reservations. True when nothing is being filled: the caller finishes it."""
        with self._lock:
            self._closed = True
            return self._filling == 0

    def finish(self) -> memoryview:
        """Footer and trailer written; the pack's bytes, valid until the buffer is used again."""
        packed = zstandard.ZstdCompressor(level=3).compress(self._footer())
        offset, length = self._end, len(packed) + TAG_SIZE
        trailer = _TRAILER.pack(offset, length, 0, 0, _TRAILER_MAGIC)
        aad = item_aad(self._header, KIND_FOOTER, ZSTD, offset, length)
        self._view[offset : offset + length] = self._cipher.encrypt(nonce(offset), packed, aad)
        end = offset + length + len(trailer)
        self._view[offset + length : end] = trailer
        return self._view[:end]

    def _footer(self) -> bytes:
        items = self._items
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
    epoch, pack_id = parse_header(name, kind, keys.repository_id.bytes, data)
    bad = Damaged(f"{name} is incomplete or damaged at its end.", remedy=CHECK_REMEDY, fields={"object": name})
    if pack_id != layout.pack_id_of(name) or len(data) < HEADER_SIZE + _TRAILER.size:
        raise bad
    offset, length, _, _, magic = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    if magic != _TRAILER_MAGIC or offset + length + _TRAILER.size != len(data):
        raise bad
    reader = PackReader(keys, kind, pack_ref(pack_id, epoch))
    plain = reader.open(KIND_FOOTER, ZSTD, offset, data[offset : offset + length], max_size=MAX_PACK_SIZE)
    try:
        return _parse_footer(plain)
    except (struct.error, ValueError, IndexError) as wrong:
        raise bad from wrong


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
