"""Harmonised flags: which points of a chain stay, when several frequencies share them. Pure: ``now`` is an argument.

All points of one resource in one leg and place are one chain, whatever flags they carry.
1. A point gets the flag of every frequency whose slot its run was (``domain.schedule``).
2. For each frequency, its flag is taken from the oldest holders while there are more than its rule's count, or from every
   holder that has reached its rule's age.
3. A point with no flag left leaves the chain. One that holds another flag stays, whatever the more frequent rules say.
4. A flag whose frequency has no rule (any more) holds as long as the retention recorded with the point, where there is one;
   otherwise it counts as that of the most frequent schedule that has a rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from server.domain.periods import Frequency
from server.domain.schedule import Rule

NAMES = {Frequency.DAILY: "D", Frequency.WEEKLY: "W", Frequency.MONTHLY: "M", Frequency.YEARLY: "Y"}


@dataclass(frozen=True, slots=True)
class Flagged:
    """A point as far as flags are concerned. ``until``: the retention recorded with it, which holds a flag without a rule."""

    id: UUID
    at: datetime
    flags: frozenset[Frequency]
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """``flags`` left; empty: the point leaves its chain. ``reasons``: a sentence per flag kept or lost."""

    flags: frozenset[Frequency]
    reasons: tuple[str, ...]


def harmonise(chain: Sequence[Flagged], rules: Mapping[Frequency, Rule], now: datetime) -> dict[UUID, Kept]:
    """For each point of the chain, in any order, what is left of its flags."""
    stand_in = next((frequency for frequency in Frequency if frequency in rules), None)
    current = (_translated(point, rules, stand_in) for point in chain)
    newest = sorted(current, key=lambda point: (point.at, point.id), reverse=True)
    left: dict[UUID, set[Frequency]] = {point.id: set() for point in chain}
    reasons: dict[UUID, list[str]] = {point.id: [] for point in chain}
    for frequency in Frequency:
        holders = [point for point in newest if frequency in point.flags]
        for rank, point in enumerate(holders, start=1):
            stays, reason = _verdict(frequency, rules.get(frequency), rank, point, now)
            reasons[point.id].append(reason)
            if stays:
                left[point.id].add(frequency)
    return {point.id: Kept(frozenset(left[point.id]), tuple(reasons[point.id])) for point in chain}


def _translated(point: Flagged, rules: Mapping[Frequency, Rule], stand_in: Frequency | None) -> Flagged:
    if stand_in is None or point.until is not None or point.flags <= rules.keys():
        return point
    return replace(point, flags=frozenset(flag if flag in rules else stand_in for flag in point.flags))


def _verdict(frequency: Frequency, rule: Rule | None, rank: int, point: Flagged, now: datetime) -> tuple[bool, str]:
    name = frequency.value
    if rule is None:
        gone = f"There is no {name} schedule for it any more"
        if point.until is None or now >= point.until:
            return False, f"{gone}."
        return True, f"{gone}: kept until {point.until:%Y-%m-%d %H:%M} UTC, as it was made to be."
    if rule.period is not None:
        end = rule.period.after(point.at)
        if now >= end:
            return False, f"Its {name} period of {rule.period} ended {end:%Y-%m-%d %H:%M} UTC."
        return True, f"Kept as {name} until {end:%Y-%m-%d %H:%M} UTC ({rule.period})."
    count = rule.count or 0
    if rank > count:
        return False, f"Beyond the {count} newest {name} ones."
    return True, f"Number {rank} of the {count} newest {name} ones."


def letters(flags: frozenset[Frequency]) -> str:
    """``DWMY`` as shown to people."""
    return "".join(NAMES[frequency] for frequency in Frequency if frequency in flags)
