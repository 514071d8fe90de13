"""The engine broken on purpose, one rule at a time: each of these the simulation must notice (test_repository_mutants.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import server

ENGINE = Path(server.__file__).parent / "repository"


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` must occur in the module's source; every occurrence becomes ``new``. ``quick``: found within some seconds."""

    module: str
    old: str
    new: str
    quick: bool = False


MUTANTS = {
    "collection ignores pins": Mutant("pins", "yield record", "yield from ()"),
    "young packs are not spared, and the sweep does not look again": Mutant(
        "prune", "if not reach.alive(item.name) and not reach.young(item.modified)]", "if item.name]"
    ),
    "packs of the index are not looked for": Mutant("known", "if blob is None:\n            return False", ""),
    "packs of the index are not locked": Mutant(
        "known", "locks.ensure(self._vault, blob, self._lock_until)", "pass", quick=True
    ),
    "inherited packs are not locked": Mutant(
        "locks",
        "return secure(vault, roots, lock.until, since=since, control=control, beat=beat) if roots else []",
        "return []",
        quick=True,
    ),
    "locked manifests lose their tombstones": Mutant("prune", "if layout.point(point) not in kept]", "]"),
    "tombstones go before manifests": Mutant(
        "prune",
        "    kept = _delete(vault, [layout.point(point) for point in points], hooks)\n",
        "    _delete(vault, [layout.forgotten(point) for point in points], hooks)\n"
        "    kept = _delete(vault, [layout.point(point) for point in points], hooks)\n",
        quick=True,
    ),
    "the sweep does not wait for runs older than the mark": Mutant(
        "prune", "if any(pin.since <= marked_at + PIN_MARGIN for pin in live_pins(vault)):", "if not vault:"
    ),
    "runs do not read the mark list": Mutant(
        "run", "return doomed(self._vault) if self._vault.runtime.cache else PackIndex([])", "return PackIndex([])", quick=True
    ),
    "packs to be compacted are referred to": Mutant(
        "marks", "pack_blobs([*mark.dead, *mark.compact])", "pack_blobs(mark.dead)"
    ),
    "compaction forgets to forward": Mutant("reach", "following += onward", "following += onward[:0]"),
    "the manifest does not wait for packs": Mutant(
        "pipeline", "wait_for(self._data.outstanding() + self._tree.outstanding(), self._tick)", "self._tick()"
    ),
    "a checkpoint does not wait for its packs": Mutant(
        "pipeline",
        "if all(future.done() and future.exception() is None for future in mark.futures):",
        "if mark:",
        quick=True,
    ),
    "checkpoints of dead runs are accepted": Mutant("run", "return bool(run == self._pin.record.run)", "return bool(run)"),
    "blocks of a failed disk are known": Mutant("run", "recent = self._recent.copy()", "recent = self._recent"),
    "collection does not check the owner": Mutant("prune", "vault.check_owner()", "vault.id"),
    "locked tombstones stay after a recall": Mutant(
        "repository", 'self.vault.replace(name, b"", locked.version)', "locked.size"
    ),
    "commit does not check the owner": Mutant("run", "self._vault.check_owner()", "self._vault.id"),
    "objects overwrite": Mutant(
        "vault", "return blobs.put(name, data, if_absent=True,", "return blobs.put(name, data,", quick=True
    ),
    "a lost reply is a lost race": Mutant(
        "vault", "                return self._ours_after_all(name, data)", "                raise"
    ),
    "damage is not written down": Mutant(
        "check", "found = {bad for problem in problems for bad in problem.bad}", "found = set()", quick=True
    ),
    "healed blocks are not forwarded": Mutant("heal", "if not heals:", "if heals or not heals:", quick=True),
}


def mutated(name: str) -> dict[str, str]:
    """Source text by module."""
    mutant = MUTANTS[name]
    source = (ENGINE / f"{mutant.module}.py").read_text()
    if mutant.old not in source:
        raise ValueError(f"{mutant.module}.py no longer holds: {mutant.old}")
    return {mutant.module: source.replace(mutant.old, mutant.new)}
