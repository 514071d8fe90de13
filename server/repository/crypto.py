"""Keys, seals and key slots (FORMAT.md §3, §5, §7). Knows bytes, not storage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.domain.errors import Damaged, ForeignFormat, WrongPassword
from server.ports import Kms

FORMAT_VERSION = 2  # of repositories made now
READABLE_VERSIONS = (1, 2)
LAYOUT_VERSION = 1  # of binary objects and key slots: the same in both format versions
MAGIC = b"HOLDFAST"
HEADER = struct.Struct("<8sHBBI16s16s")
HEADER_SIZE = HEADER.size
TAG_SIZE = 16
KEY_SIZE = 32
ZERO_NONCE = bytes(12)
CHECK_REMEDY = "Run a repository check, and back up the resources it names again."

TYPE_DATA_PACK, TYPE_TREE_PACK = 1, 2
TYPE_MANIFEST, TYPE_TOMBSTONE, TYPE_PIN, TYPE_GC_STATE, TYPE_GC_MARK = 16, 17, 18, 19, 20
TYPE_MOVED, TYPE_DAMAGE, TYPE_CATALOG = 21, 22, 23

# A slot is read before anything is authenticated: do not let it ask for all the memory of the machine.
MAX_KDF_MEMORY_KIB = 4 * 1024 * 1024
MAX_KDF_PASSES = 64


@dataclass(frozen=True, slots=True)
class Kdf:
    """Costs of Argon2id. The default takes about 0.15 s and 64 MiB, the second choice of RFC 9106."""

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 1


def canonical(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode("ascii")


def checksum(data: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON without ``checksum`` and ``mac``: tells damage from a wrong password."""
    plain = {key: value for key, value in data.items() if key not in ("checksum", "mac")}
    return hashlib.sha256(canonical(plain)).hexdigest()


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=salt, info=info).derive(key)


class Keys:
    """The data keys of an open repository, by epoch, and what is derived from them."""

    def __init__(self, repository_id: UUID, ring: Mapping[int, bytes]) -> None:
        self.repository_id = repository_id
        self._salt = repository_id.bytes
        self._ring = dict(ring)
        self.epoch = max(self._ring)
        first = self._ring[min(self._ring)]
        self.content = _hkdf(first, self._salt, b"holdfast/1/content")
        self.tree = _hkdf(first, self._salt, b"holdfast/1/tree")
        self._mac = _hkdf(first, self._salt, b"holdfast/1/mac")

    def __repr__(self) -> str:
        return f"Keys(epochs={sorted(self._ring)})"

    @classmethod
    def new(cls, repository_id: UUID) -> Keys:
        return cls(repository_id, {1: os.urandom(KEY_SIZE)})

    def _data_key(self, epoch: int) -> bytes:
        key = self._ring.get(epoch)
        if key is None:
            raise Damaged(f"An object names data key {epoch}, which no key slot of the repository holds.", remedy=CHECK_REMEDY)
        return key

    def pack_cipher(self, epoch: int, pack_id: bytes) -> AESGCM:
        return AESGCM(_hkdf(self._data_key(epoch), self._salt + pack_id, b"holdfast/1/pack"))

    def _object_cipher(self, epoch: int, salt: bytes) -> AESGCM:
        return AESGCM(_hkdf(self._data_key(epoch), self._salt + salt, b"holdfast/1/object"))

    def header(self, kind: int, object_id: bytes, epoch: int | None = None) -> bytes:
        chosen = self.epoch if epoch is None else epoch
        return HEADER.pack(MAGIC, LAYOUT_VERSION, kind, 0, chosen, self._salt, object_id)

    def seal(self, name: str, kind: int, plain: bytes) -> bytes:
        """A sealed object (FORMAT.md §7) bound to ``name``."""
        salt = os.urandom(16)
        header = self.header(kind, salt)
        return header + self._object_cipher(self.epoch, salt).encrypt(ZERO_NONCE, plain, header + name.encode())

    def unseal(self, name: str, kind: int, data: bytes) -> bytes:
        """Errors: ForeignFormat for a newer version, Damaged for anything that is not exactly what ``seal`` made."""
        epoch, salt = parse_header(name, kind, self._salt, data)
        try:
            return self._object_cipher(epoch, salt).decrypt(ZERO_NONCE, data[HEADER_SIZE:], data[:HEADER_SIZE] + name.encode())
        except InvalidTag:
            raise Damaged(f"{name} is damaged or was exchanged.", remedy=CHECK_REMEDY, fields={"object": name}) from None

    def mac(self, data: Mapping[str, Any]) -> str:
        plain = {key: value for key, value in data.items() if key not in ("checksum", "mac")}
        return hmac.new(self._mac, canonical(plain), hashlib.sha256).hexdigest()

    def signed(self, data: Mapping[str, Any]) -> bytes:
        """``data`` with its checksum and MAC, as stored in ``config`` and ``owner``."""
        return canonical({**data, "checksum": checksum(data), "mac": self.mac(data)})

    def verify(self, name: str, data: Mapping[str, Any]) -> None:
        if not hmac.compare_digest(self.mac(data), str(data.get("mac"))):
            raise Damaged(f"{name} was not written by this repository's owner.", remedy=CHECK_REMEDY, fields={"object": name})

    def ring_bytes(self) -> bytes:
        return b"".join(struct.pack("<I", epoch) + key for epoch, key in sorted(self._ring.items()))


def parse_header(name: str, kind: int, repository: bytes, data: bytes) -> tuple[int, bytes]:
    """Epoch and object id (or salt) of a binary object, after refusing what is not ours."""
    if len(data) < HEADER_SIZE + TAG_SIZE:
        raise Damaged(f"{name} is too short ({len(data)} bytes).", remedy=CHECK_REMEDY, fields={"object": name})
    magic, version, found_kind, _, epoch, found_repository, object_id = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Damaged(f"{name} does not begin as a Holdfast object.", remedy=CHECK_REMEDY, fields={"object": name})
    if version != LAYOUT_VERSION:
        raise ForeignFormat(
            f"{name} has object layout {version}; this program reads {LAYOUT_VERSION}.",
            remedy="Use a newer Holdfast for this repository.",
        )
    if found_kind != kind or found_repository != repository:
        raise Damaged(f"{name} belongs to another place or repository.", remedy=CHECK_REMEDY, fields={"object": name})
    return epoch, object_id


# ---- key slots --------------------------------------------------------------------------------------------------------


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unb64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _stretch(password: str, kdf: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """KEK and verifier key. ForeignFormat for a KDF this program does not know, Damaged for absurd costs."""
    if kdf["name"] != "argon2id":
        raise ForeignFormat(f"A key slot uses {kdf['name']!r}.", remedy="Use a newer Holdfast for this repository.")
    memory, passes, lanes = int(kdf["memoryKib"]), int(kdf["passes"]), int(kdf["lanes"])
    if not (8 * lanes <= memory <= MAX_KDF_MEMORY_KIB and 1 <= passes <= MAX_KDF_PASSES and 1 <= lanes <= 64):
        raise Damaged("A key slot asks for absurd password hashing costs.", remedy="Restore the key slot from a copy.")
    raw = hash_secret_raw(
        unicodedata.normalize("NFC", password).encode(),
        _unb64(kdf["salt"]),
        time_cost=passes,
        memory_cost=memory,
        parallelism=lanes,
        hash_len=64,
        type=Type.ID,
    )
    return raw[:32], raw[32:]


def _verifier(key: bytes, slot_id: UUID) -> bytes:
    return hmac.new(key, b"holdfast/1/verifier" + slot_id.bytes, hashlib.sha256).digest()[:16]


class Password(str):
    """A repository password that does not show itself. A plain ``str`` is taken as one too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Password(…)"


@dataclass(frozen=True, slots=True)
class KmsKey:
    """The key ``arn`` of AWS KMS, reached through ``kms``, in place of a password.

    The ARN is the opener's, never taken from the repository: else whoever can write to the bucket could exchange it whole.
    """

    arn: str
    kms: Kms = field(repr=False)


Secret = str | KmsKey


def make_slot(keys: Keys, secret: Secret, *, created: datetime, hint: str = "", kdf: Kdf | None = None) -> dict[str, Any]:
    """A key slot (FORMAT.md §5) that ``secret`` opens. ``kdf`` counts for passwords only. Errors: those of ``Kms``."""
    if isinstance(secret, KmsKey):
        return make_kms_slot(keys, secret, created=created, hint=hint)
    return make_password_slot(keys, secret, created=created, hint=hint, kdf=kdf)


def make_password_slot(
    keys: Keys, password: str, *, created: datetime, hint: str = "", kdf: Kdf | None = None
) -> dict[str, Any]:
    costs = kdf or Kdf()
    slot_id = uuid4()
    derivation = {
        "name": "argon2id",
        "salt": _b64(os.urandom(16)),
        "memoryKib": costs.memory_kib,
        "passes": costs.passes,
        "lanes": costs.lanes,
    }
    kek, verifier_key = _stretch(password, derivation)
    own = {"kind": "password", "kdf": derivation, "verifier": _b64(_verifier(verifier_key, slot_id))}
    return _wrapped(keys, slot_id, kek, own, created, hint)


def make_kms_slot(keys: Keys, key: KmsKey, *, created: datetime, hint: str = "") -> dict[str, Any]:
    kek, sealed = key.kms.generate(key.arn, kms_context(keys.repository_id))
    return _wrapped(keys, uuid4(), kek, {"kind": "kms", "keyArn": key.arn, "dataKey": _b64(sealed)}, created, hint)


def kms_context(repository_id: UUID) -> dict[str, str]:
    """The encryption context of a repository's KMS data keys; key policies may demand it."""
    return {"holdfast:repository": str(repository_id)}


def _wrapped(keys: Keys, slot_id: UUID, kek: bytes, own: Mapping[str, Any], created: datetime, hint: str) -> dict[str, Any]:
    nonce = os.urandom(12)
    slot: dict[str, Any] = {
        "format": "holdfast-key",
        "version": LAYOUT_VERSION,
        "id": str(slot_id),
        "repository": str(keys.repository_id),
        "created": created.isoformat(),
        "hint": hint,
        "nonce": _b64(nonce),
        **own,
    }
    slot["wrapped"] = _b64(AESGCM(kek).encrypt(nonce, keys.ring_bytes(), canonical(slot)))
    slot["checksum"] = checksum(slot)
    return slot


def opens(slot: Mapping[str, Any], secret: Secret) -> bool:
    """Whether a secret of this kind, and with KMS this key, is what the slot asks for."""
    if isinstance(secret, KmsKey):
        return slot.get("kind") == "kms" and _same_key(str(slot.get("keyArn")), secret.arn)
    return slot.get("kind") == "password"


def _same_key(one: str, other: str) -> bool:
    """Replicas of a multi-Region key have ARNs that differ in the Region only, and open the same data keys."""
    if one == other:
        return True
    a, b = one.split(":"), other.split(":")
    return len(a) == len(b) == 6 and a[5].startswith("key/mrk-") and a[:3] + a[4:] == b[:3] + b[4:]


def open_slot(slot: Mapping[str, Any], secret: Secret) -> Keys:
    """Errors: WrongPassword, Damaged (checksum, forged ring), ForeignFormat, those of ``Kms``."""
    if slot.get("version") != LAYOUT_VERSION:
        raise ForeignFormat("A key slot is of another version.", remedy="Use a newer Holdfast for this repository.")
    damaged = Damaged("A key slot of the repository is damaged.", remedy="Restore the object under keys/ from a copy.")
    if slot.get("checksum") != checksum(slot):
        raise damaged
    try:
        repository_id = UUID(slot["repository"])
        if isinstance(secret, KmsKey):
            kek = secret.kms.decrypt(_unb64(slot["dataKey"]), kms_context(repository_id), secret.arn)
        else:
            kek = _password_kek(slot, secret)
        bound = canonical({key: value for key, value in slot.items() if key not in ("wrapped", "checksum")})
        ring = AESGCM(kek).decrypt(_unb64(slot["nonce"]), _unb64(slot["wrapped"]), bound)
    except (KeyError, TypeError, ValueError, InvalidTag) as wrong:
        raise damaged from wrong
    if not ring or len(ring) % (4 + KEY_SIZE):
        raise damaged
    epochs = {struct.unpack_from("<I", ring, at)[0]: ring[at + 4 : at + 36] for at in range(0, len(ring), 4 + KEY_SIZE)}
    return Keys(repository_id, epochs)


def _password_kek(slot: Mapping[str, Any], password: str) -> bytes:
    kek, verifier_key = _stretch(password, slot["kdf"])
    if not hmac.compare_digest(_verifier(verifier_key, UUID(slot["id"])), _unb64(slot["verifier"])):
        raise WrongPassword("The repository password is wrong.", remedy="Enter the password the repository was made with.")
    return kek
