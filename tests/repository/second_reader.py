"""A second reader of the repository format, built from ``FORMAT.md`` alone: it imports nothing of the engine.

It reads folders, passwords and standard-class packs, which is enough to show that the document says all there is to say.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zstandard
from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BLOCK = 524_288
MAX_HOPS = 16


class Unreadable(Exception):
    """What lies there is not what the document says."""


class Entry(NamedTuple):
    """``pack`` is a reference: id ‖ epoch."""

    pack: bytes
    codec: int
    offset: int
    length: int
    id: bytes


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise Unreadable(what)


def canonical(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def without(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}


def derive(key: bytes, salt: bytes, info: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info.encode()).derive(key)


class SecondReader:
    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder
        config = self._plain("config", "holdfast-repository")
        demand(config["version"] in (1, 2) and not config["requires"] and config["blockSize"] == BLOCK, "a newer version")
        self.id = bytes.fromhex(config["id"].replace("-", ""))
        self.ring = self._ring(password)
        first = self.ring[1]
        self.content_key = derive(first, self.id, "holdfast/1/content")
        self.tree_key = derive(first, self.id, "holdfast/1/tree")
        self.mac_key = derive(first, self.id, "holdfast/1/mac")
        demand(config["mac"] == self._mac(without(config, "checksum", "mac")), "a forged config")

    # -- §4, §5

    def _plain(self, name: str, kind: str) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.folder / name).read_bytes())
        right = hashlib.sha256(canonical(without(data, "checksum", "mac"))).hexdigest()
        demand(data["format"] == kind and data["checksum"] == right, f"a damaged {name}")
        return data

    def _mac(self, data: dict[str, Any]) -> str:
        return hmac.new(self.mac_key, canonical(data), hashlib.sha256).hexdigest()

    def _ring(self, password: str) -> dict[int, bytes]:
        for path in sorted((self.folder / "keys").iterdir()):
            slot = self._plain(f"keys/{path.name}", "holdfast-key")
            if slot["kind"] != "password":
                continue
            kdf = slot["kdf"]
            raw = hash_secret_raw(
                unicodedata.normalize("NFC", password).encode(),
                base64.b64decode(kdf["salt"]),
                kdf["passes"],
                kdf["memoryKib"],
                kdf["lanes"],
                64,
                Type.ID,
            )
            slot_id = bytes.fromhex(slot["id"].replace("-", ""))
            verifier = hmac.new(raw[32:], b"holdfast/1/verifier" + slot_id, hashlib.sha256).digest()[:16]
            if verifier == base64.b64decode(slot["verifier"]):
                bound = canonical(without(slot, "wrapped", "checksum"))
                ring = AESGCM(raw[:32]).decrypt(base64.b64decode(slot["nonce"]), base64.b64decode(slot["wrapped"]), bound)
                return dict(struct.iter_unpack("<I32s", ring))
        raise Unreadable("no slot opens with this password")

    # -- §7, §10

    def _header(self, data: bytes, kind: int) -> tuple[int, bytes]:
        """Epoch, and the pack's id or the object's salt."""
        magic, layout, found, zero, epoch, repository, last = struct.unpack("<8sHBBI16s16s", data[:48])
        demand((magic, layout, found, zero, repository) == (b"HOLDFAST", 1, kind, 0, self.id), "another kind of object")
        return epoch, last

    def sealed(self, name: str, kind: int) -> dict[str, Any]:
        data = (self.folder / name).read_bytes()
        epoch, salt = self._header(data, kind)
        key = derive(self.ring[epoch], self.id + salt, "holdfast/1/object")
        plain = AESGCM(key).decrypt(bytes(12), data[48:], data[:48] + name.encode())
        content: dict[str, Any] = json.loads(zstandard.decompress(plain))
        return content

    def points(self) -> list[str]:
        forgotten = {path.name for path in (self.folder / "forgotten").glob("*") if path.stat().st_size}
        return sorted(path.name for path in (self.folder / "points").glob("*") if path.name not in forgotten)

    def manifest(self, point: str) -> dict[str, Any]:
        return self.sealed(f"points/{point}", 16)

    # -- §8, §12.1

    def _item(self, pack_type: int, kind: int, entry: Entry) -> bytes:
        """Where it was put, else wherever forwarding records lead."""
        frontier, seen = [entry], {entry}
        for _ in range(MAX_HOPS + 1):
            for at in frontier:
                try:
                    return self._item_at(pack_type, kind, at)
                except (FileNotFoundError, InvalidTag, Unreadable):
                    continue
            frontier = [place for at in frontier for place in self._moved(pack_type, at) if place not in seen]
            seen.update(frontier)
        raise Unreadable(f"an item of pack {entry.pack.hex()} at {entry.offset}")

    def _item_at(self, pack_type: int, kind: int, at: Entry) -> bytes:
        pack_id, (epoch,) = at.pack[:16], struct.unpack("<I", at.pack[16:])
        name = f"{'packs' if pack_type == 1 else 'trees'}/{pack_id[:1].hex()}/{pack_id.hex()}"
        with (self.folder / name).open("rb") as pack:
            header = pack.read(48)
            demand(self._header(header, pack_type) == (epoch, pack_id), "another pack")
            pack.seek(at.offset)
            sealed = pack.read(at.length)
        key = derive(self.ring[epoch], self.id + pack_id, "holdfast/1/pack")
        bound = header + struct.pack("<BBHII", kind, at.codec, 0, at.offset, at.length)
        payload = AESGCM(key).decrypt(bytes(4) + at.offset.to_bytes(8, "big"), sealed, bound)
        return zstandard.decompress(payload) if at.codec == 1 else payload

    def _moved(self, pack_type: int, at: Entry) -> Iterator[Entry]:
        for path in sorted((self.folder / "moved" / at.pack[:16].hex()).glob("*")):
            record = self.sealed(f"moved/{at.pack[:16].hex()}/{path.name}", 21)
            for old, ref, new, *other in record["items"]:
                if record["type"] == pack_type and old == at.offset:
                    codec, length = other or (at.codec, at.length)
                    yield Entry(bytes.fromhex(ref), codec, new, length, at.id)

    # -- §9

    def _node(self, entry: Entry, level: int, number: int) -> dict[int, Entry]:
        """Children by slot."""
        plain = self._item(2, 2 if level else 1, entry)
        width = 64 if level else 32
        kind, found_level, count, packs, zero, found_number = struct.unpack_from("<BBHHHQ", plain)
        demand((kind, found_level, zero, found_number) == (2 if level else 1, level, 0, number), "another node")
        bitmap = plain[16 : 16 + width]
        slots = [slot for slot in range(width * 8) if bitmap[slot // 8] >> slot % 8 & 1]
        table = [plain[16 + width + 20 * i :][:20] for i in range(packs)]
        at = 16 + width + 20 * packs
        which = struct.unpack_from(f"<{count}H", plain, at)
        codecs = plain[at + 2 * count : at + 3 * count]
        offsets = struct.unpack_from(f"<{count}I", plain, at + 3 * count)
        lengths = struct.unpack_from(f"<{count}I", plain, at + 7 * count)
        ids = [plain[at + 11 * count + 16 * i :][:16] for i in range(count)]
        demand(len(slots) == count and len(plain) == at + (31 if level else 27) * count, "a node's size")
        own = blake3(struct.pack("<BQ", level, number) + bitmap + b"".join(ids), key=self.tree_key).digest(length=16)
        demand(own == entry.id, "a node's id")
        return {slot: Entry(table[which[i]], codecs[i], offsets[i], lengths[i], ids[i]) for i, slot in enumerate(slots)}

    def blocks(self, disk: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
        """Those that are not zeros, ascending."""
        root = disk["root"]
        top = bytes.fromhex(root["id"]) if root else bytes(16)
        own = blake3(b"disk" + struct.pack("<Q", disk["sizeBytes"]) + top, key=self.tree_key).hexdigest(length=32)
        demand(own == disk["contentRoot"], "a disk's content root")
        if root:
            entry = Entry(bytes.fromhex(root["pack"]), root["codec"], root["offset"], root["length"], top)
            yield from self._below(entry, disk["level"], 0)

    def _below(self, entry: Entry, level: int, number: int) -> Iterator[tuple[int, bytes]]:
        for slot, child in self._node(entry, level, number).items():
            if level:
                yield from self._below(child, level - 1, number * 512 + slot)
                continue
            data = self._item(1, 0, child)
            right = blake3(data, key=self.content_key).digest(length=16)
            demand(len(data) == BLOCK and right == child.id, "a block's content id")
            yield number * 256 + slot, data
