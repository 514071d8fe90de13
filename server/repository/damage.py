"""Damage as the last checks found it, kept in the repository (``damage/``), so that the next backup heals it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from server.domain.errors import Damaged, NotFound
from server.repository import layout
from server.repository.crypto import CHECK_REMEDY, TYPE_DAMAGE
from server.repository.tree import Entry
from server.repository.vault import Vault

MAX_BAD = 1000  # things in one record; a repository with more is lost anyway


class Bad(NamedTuple):
    """A pack that is missing or too short, or (``length`` > 0) one item of it, that cannot be read. ``pack``: 16 bytes id of a
    whole pack, else 20 bytes id ‖ epoch."""

    type: int
    pack: bytes
    offset: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """What is known to be bad. Ask with the entries a tree holds: an item that was moved is named by its old place."""

    bad: frozenset[Bad]

    @classmethod
    def of(cls, bad: Iterable[Bad]) -> Damage:
        return cls(frozenset(bad))

    def __bool__(self) -> bool:
        return bool(self.bad)

    def hurts(self, pack_type: int, entry: Entry) -> bool:
        """Whether the item itself, or its whole pack, is bad."""
        whole = Bad(pack_type, entry.pack[:16])
        return whole in self.bad or Bad(pack_type, entry.pack, entry.offset, entry.length) in self.bad


def known_damage(vault: Vault) -> Damage:
    """What the checks recorded and no later one withdrew. Records that are damaged themselves tell nothing."""
    return Damage.of(bad for _, found in _records(vault) for bad in found)


def write_damage(vault: Vault, bad: Iterable[Bad], *, at: datetime) -> None:
    """``bad`` replaces everything recorded before. Removes the record when there is none."""
    before = [blob.name for blob in vault.blobs.list(layout.DAMAGE)]
    rows = sorted(set(bad))[:MAX_BAD]
    if rows:
        name = layout.damage(vault.new_id())
        content = {
            "at": at.isoformat(),
            "packs": [[row.type, row.pack[:16].hex()] for row in rows if not row.length],
            "items": [[row.type, row.pack.hex(), row.offset, row.length] for row in rows if row.length],
        }
        vault.put_once(name, vault.seal(name, TYPE_DAMAGE, content))
    vault.patiently(lambda: vault.blobs.delete(before))


def _records(vault: Vault) -> Iterator[tuple[str, list[Bad]]]:
    for blob in vault.blobs.list(layout.DAMAGE):
        try:
            yield blob.name, _parse(vault, blob.name)
        except (NotFound, Damaged):
            continue  # replaced meanwhile, or unreadable: the next check finds the same again


def _parse(vault: Vault, name: str) -> list[Bad]:
    content = vault.read_sealed(name, TYPE_DAMAGE)
    try:
        packs = [Bad(int(kind), bytes.fromhex(pack)) for kind, pack in content["packs"]]
        items = [Bad(int(kind), bytes.fromhex(ref), int(at), int(size)) for kind, ref, at, size in content["items"]]
    except (KeyError, TypeError, ValueError) as wrong:
        raise Damaged(f"{name} does not hold what it should.", remedy=CHECK_REMEDY, fields={"object": name}) from wrong
    return packs + items
