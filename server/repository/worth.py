"""Which packs are worth compacting, and what keeping them costs. Pure: facts in, decisions with reasons out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from server.domain.cost import GIB, bundled
from server.domain.repository import StorageClass

MAX_PACK = 64 * 1024 * 1024  # bytes; a larger one is not held in memory
DEAD_SHARE = 0.25  # of a pack that must be dead: so moving writes at most three bytes for each it frees
PAYBACK_MONTHS = 3.0  # in which what is saved must outweigh what the requests cost
MOVE_BYTES = 12  # of a forwarding record per item, compressed
RECORD_BYTES = 200  # and without any
ITEM_BYTES = 40  # of a pack's footer per item
PACK_BYTES = 400  # header, footer's rest and trailer

ROUND_BYTES = 32 * GIB  # read and written by one collection, at most: minutes
ROUND_ITEMS = 2_000_000
ROUND_PACKS = 4096


@dataclass(frozen=True, slots=True)
class Footprint:
    """What packs and forwarding records take. ``usd_month``: an estimate from list prices."""

    objects: int = 0
    size_bytes: int = 0
    usd_month: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PackFacts:
    """``live_items`` of ``live_bytes`` are needed. ``locked``: it could not be deleted."""

    name: str
    size: int
    live_items: int
    live_bytes: int
    storage_class: StorageClass = StorageClass.STANDARD
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """``freed``: bytes the store holds less afterwards, forwarding counted; ``reason`` in words, either way."""

    compact: bool
    freed: int
    reason: str


def footprint(objects: int, size_bytes: int, storage_class: StorageClass, region: str | None) -> Footprint:
    return Footprint(objects, size_bytes, size_bytes / GIB * bundled(region).storage[storage_class].month)


def decide(facts: PackFacts, region: str | None = None) -> Decision:
    """Whether to move what is needed out of a pack and delete it. Small packs of which all is needed stay: each pack moved
    costs a forwarding record, so putting them together would save no object."""
    freed = facts.size - facts.live_bytes - facts.live_items * (MOVE_BYTES + ITEM_BYTES) - RECORD_BYTES - PACK_BYTES
    if facts.storage_class is not StorageClass.STANDARD:
        return Decision(False, 0, "it is archived: it would have to be retrieved first")
    if facts.live_items == 0:
        return Decision(False, 0, "nothing of it is needed: it will be deleted")
    if facts.size > MAX_PACK:
        return Decision(False, 0, f"with {facts.size} bytes it is too large to move")
    if facts.locked:
        return Decision(False, 0, "it is locked")
    if freed < facts.size * DEAD_SHARE:
        return Decision(False, max(0, freed), f"{facts.live_bytes} of its {facts.size} bytes are needed")
    price = bundled(region).storage[StorageClass.STANDARD]
    saved = freed / GIB * price.month * PAYBACK_MONTHS
    cost = 3 * price.put / 1000  # the new pack, the record, and reads that together cost about as much as a put
    if saved < cost:
        return Decision(False, freed, f"freeing {freed} bytes would save less than the requests cost")
    return Decision(True, freed, f"{freed} of its {facts.size} bytes are free")


def choose(packs: Iterable[PackFacts], region: str | None = None) -> list[PackFacts]:
    """Of those worth it, the ones that free most for what they cost to move, within what one collection does."""
    worth = [(decision.freed / facts.size, facts) for facts in packs if (decision := decide(facts, region)).compact]
    worth.sort(key=lambda pair: (-pair[0], pair[1].name))
    chosen: list[PackFacts] = []
    size = items = 0
    for _, facts in worth:
        size += facts.live_bytes
        items += facts.live_items
        if size > ROUND_BYTES or items > ROUND_ITEMS or len(chosen) == ROUND_PACKS:
            break
        chosen.append(facts)
    return chosen
