"""Names of objects in a repository (FORMAT.md §2)."""

from __future__ import annotations

from uuid import UUID

CONFIG = "config"
OWNER = "owner"
KEYS = "keys/"
PACKS = "packs/"
TREES = "trees/"
POINTS = "points/"
FORGOTTEN = "forgotten/"
PINS = "pins/"
CATALOG = "catalog/"
GC_STATE = "gc/state"
GC_MARKS = "gc/mark-"
MOVED = "moved/"
DAMAGE = "damage/"


def data_pack(pack_id: bytes) -> str:
    return f"{PACKS}{pack_id[:1].hex()}/{pack_id.hex()}"


def tree_pack(pack_id: bytes) -> str:
    return f"{TREES}{pack_id[:1].hex()}/{pack_id.hex()}"


def pack_id_of(name: str) -> bytes | None:
    """The id in the name of a pack of either type; None for a name that is none."""
    last = name.rsplit("/", 1)[-1]
    try:
        pack_id = bytes.fromhex(last)
    except ValueError:
        return None
    return pack_id if len(pack_id) == 16 else None


def key_slot(slot_id: UUID) -> str:
    return f"{KEYS}{slot_id}"


def point(point_id: UUID) -> str:
    return f"{POINTS}{point_id}"


def forgotten(point_id: UUID) -> str:
    return f"{FORGOTTEN}{point_id}"


def pin(point_id: UUID) -> str:
    return f"{PINS}{point_id}"


def uuid_of(name: str) -> UUID | None:
    """The UUID a name ends with; None when it does not."""
    try:
        return UUID(name.rsplit("/", 1)[-1])
    except ValueError:
        return None


def moved(pack_id: bytes) -> str:
    """Prefix of the forwarding records of a pack of either type."""
    return f"{MOVED}{pack_id.hex()}/"


def moved_pack_of(name: str) -> bytes | None:
    """The pack a forwarding record speaks of; None for a name that is none."""
    return pack_id_of(name.rpartition("/")[0]) if name.startswith(MOVED) else None


def catalog(catalog_id: bytes) -> str:
    return f"{CATALOG}{catalog_id.hex()}"


def damage(record_id: bytes) -> str:
    return f"{DAMAGE}{record_id.hex()}"
