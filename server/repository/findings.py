"""What a check found: damaged things, and whom they hurt."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from server.domain.errors import Damaged
from server.repository.crypto import TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.damage import Bad
from server.repository.tree import Entry

MAX_FINDINGS = 1000  # distinct damaged things examined; a repository with more is lost anyway


@dataclass(frozen=True, slots=True)
class Harm:
    """Bytes [start, end) of a disk of a point that cannot be restored. ``disk_id`` "" : the whole point."""

    point_id: UUID
    disk_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something damaged or missing, ``object`` in the store, and everything it hurts. Without harm nothing is lost (yet): a
    lock is too short. ``bad``: what ``record`` keeps for healing. ``unfinished``: no object, but that not everything was looked
    at, so that what is not named here need not be whole."""

    object: str
    message: str
    harm: tuple[Harm, ...]
    bad: tuple[Bad, ...] = ()
    unfinished: bool = False


@dataclass(slots=True)
class Findings:
    """By the entries that trees hold. Several threads may add."""

    things: dict[Bad, Damaged] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)  # objects locked too briefly, with the sentence about it

    @property
    def full(self) -> bool:
        return len(self.things) >= MAX_FINDINGS

    def item(self, pack_type: int, entry: Entry, damaged: Damaged) -> None:
        self.things[Bad(pack_type, entry.pack, entry.offset, entry.length)] = damaged

    def pack(self, pack_type: int, pack: bytes, damaged: Damaged) -> None:
        self.things[Bad(pack_type, pack[:16])] = damaged

    def unlocked(self, name: str, locked: datetime | None, promised: datetime) -> None:
        if len(self.locks) >= MAX_FINDINGS:
            return
        until = f"only until {locked:%Y-%m-%d %H:%M}" if locked else "not at all"
        self.locks[name] = f"{name} is locked {until}; a restore point that needs it promises {promised:%Y-%m-%d %H:%M} UTC."

    def block(self, entry: Entry) -> Bad | None:
        return self._known(TYPE_DATA_PACK, entry)

    def node(self, entry: Entry) -> Bad | None:
        return self._known(TYPE_TREE_PACK, entry)

    def _known(self, pack_type: int, entry: Entry) -> Bad | None:
        whole = Bad(pack_type, entry.pack[:16])
        item = Bad(pack_type, entry.pack, entry.offset, entry.length)
        return whole if whole in self.things else item if item in self.things else None


@dataclass(slots=True)
class Blame:
    """Harm joined per damaged thing, in the order it is found."""

    findings: Findings
    _harm: dict[tuple[str, str], list[Harm]] = field(default_factory=dict)
    _bad: dict[tuple[str, str], dict[Bad, None]] = field(default_factory=dict)

    def add(self, bad: Bad, new: Harm) -> None:
        """Joined to the range before when they touch."""
        damaged = self.findings.things[bad]
        key = (damaged.fields.get("object", ""), damaged.message)
        self._bad.setdefault(key, {})[bad] = None
        items = self._harm.setdefault(key, [])
        if items:
            last = items[-1]
            if (last.point_id, last.disk_id, last.end) == (new.point_id, new.disk_id, new.start):
                items[-1] = Harm(last.point_id, last.disk_id, last.start, new.end)
                return
        items.append(new)

    def problems(self) -> list[Problem]:
        hurting = [
            Problem(name, message, tuple(items), tuple(self._bad[name, message]))
            for (name, message), items in self._harm.items()
        ]
        return hurting + [Problem(name, message, ()) for name, message in self.findings.locks.items()]
