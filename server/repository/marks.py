"""What a collection has published: its state, and the list of packs it is about to delete or to compact (FORMAT.md §12)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from server.domain.errors import AlreadyThere, Conflict, Damaged, NotFound
from server.ports import Blob
from server.repository import layout
from server.repository.crypto import CHECK_REMEDY, TYPE_GC_MARK, TYPE_GC_STATE
from server.repository.vault import Vault
from server.repository.walk import PackIndex

ATTEMPTS = 4


class Candidate(NamedTuple):
    """An object as it was listed when it was marked."""

    name: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class MarkList:
    """``dead``: to be deleted when still unreached. ``compact``: packs to be rewritten and deleted. ``flatten``: ids of packs
    whose forwarding records are to be shortened, with their type."""

    dead: tuple[Candidate, ...] = ()
    compact: tuple[Candidate, ...] = ()
    flatten: tuple[tuple[int, bytes], ...] = field(default=())


def read_state(vault: Vault) -> tuple[dict[str, Any], Blob] | None:
    """Keys: ``phase`` (idle, marked, sweeping), ``mark``, ``points`` (strings, to be deleted), ``final`` (points a sweep has begun
    to delete, which cannot be recalled), ``markedAt``, ``turn``."""
    return vault.read_versioned(layout.GC_STATE, TYPE_GC_STATE)


def write_state(vault: Vault, content: dict[str, Any], before: Blob | None) -> Blob:
    """Conflict when somebody else wrote it since ``before``."""
    sealed = vault.seal(layout.GC_STATE, TYPE_GC_STATE, content)
    try:
        if before is None:
            return vault.put_once(layout.GC_STATE, sealed)
        return vault.replace(layout.GC_STATE, sealed, before.version)
    except AlreadyThere:
        raise Conflict("Another collection or a recall is going on in this repository.", remedy="Try again later.") from None


def write_mark(vault: Vault, mark: MarkList) -> str:
    """The id to name in the state."""
    mark_id = vault.new_id().hex()
    name = layout.GC_MARKS + mark_id
    content = {
        "objects": _rows(mark.dead),
        "compact": _rows(mark.compact),
        "flatten": [[kind, pack.hex()] for kind, pack in mark.flatten],
    }
    vault.put_once(name, vault.seal(name, TYPE_GC_MARK, content))
    return mark_id


def read_mark(vault: Vault, mark_id: str) -> MarkList:
    """NotFound when it was superseded; Damaged."""
    name = layout.GC_MARKS + mark_id
    content = vault.read_sealed(name, TYPE_GC_MARK)
    try:
        flatten = tuple((int(kind), bytes.fromhex(pack)) for kind, pack in content.get("flatten", ()))
        return MarkList(_candidates(content["objects"]), _candidates(content.get("compact", ())), flatten)
    except (KeyError, TypeError, ValueError) as wrong:
        raise Damaged(f"{name} does not hold what it should.", remedy=CHECK_REMEDY, fields={"object": name}) from wrong


def doomed(vault: Vault) -> PackIndex:
    """Packs a run must not refer to through the dedup index: those the current mark list names, dead or to be compacted. To be
    read after the run has written its pin; then every later list waits for the run to end.

    ``pack in index``: true for such a pack (its id of 16 bytes or its reference of 20).
    """
    missing = ""
    for _ in range(ATTEMPTS):
        state = read_state(vault)
        mark_id = state[0].get("mark") if state else None
        if mark_id is None or mark_id == missing:
            return PackIndex([])
        try:
            mark = read_mark(vault, mark_id)
        except NotFound:
            missing = mark_id  # unless a newer one has just been published, nothing can be swept by a list that is gone
            continue
        return PackIndex(_as_blobs([*mark.dead, *mark.compact]))
    raise Conflict("Collections of this repository follow each other too fast.", remedy="Try again.")


def _as_blobs(items: Iterable[Candidate]) -> list[Blob]:
    packs = [item for item in items if item.name.startswith((layout.PACKS, layout.TREES))]
    packs.sort(key=lambda item: item.name.rsplit("/", 1)[-1])
    return [Blob(item.name, item.size, "", item.modified) for item in packs]


def _rows(items: Iterable[Candidate]) -> list[list[Any]]:
    return [[item.name, item.size, item.modified.isoformat()] for item in items]


def _candidates(rows: Iterable[Any]) -> tuple[Candidate, ...]:
    return tuple(Candidate(str(name), int(size), datetime.fromisoformat(modified)) for name, size, modified in rows)
