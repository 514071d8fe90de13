"""The engine broken on purpose, one rule at a time: each of these the simulation must notice (test_mutants.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import server
ENGINE = Path(server.__file__).parent / "repository"


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` must occur in the module's source; every occurrence becomes ``new``."""

    module: str
    old: str
    new: str


MUTANTS = {
    "collection ignores pins": Mutant("prune", "pins = list(live_pins(vault))", "pins = [p for p in live_pins(vault) if not p]"),
    "pins are read before tombstones": Mutant(
        "prune",
        "    forgotten = set(repo.forgotten())\n    pins = list(live_pins(vault))\n",
        "    pins = list(live_pins(vault))\n    forgotten = set(repo.forgotten())\n",
    ),
    "the parent is looked at before the pin is written": Mutant(
        "repository",
        "        pin = Pin.acquire(self.vault, point_id, parent)  # before looking at the parent: FORMAT.md §12\n        try:\n            basis = self.point(parent) if parent else None\n",
        "        basis = self.point(parent) if parent else None\n        pin = Pin.acquire(self.vault, point_id, parent)\n        try:\n            pass\n",
    ),
    "commit does not renew its pin": Mutant("run", "            pin.renew()\n            self._vault.put_once", "            self._vault.put_once"),
    "expiry is written unconditionally": Mutant(
        "pins",
        "vault.replace(name, vault.seal(name, TYPE_PIN, replace(record, expired=True).to_json()), blob.version)",
        "vault.blobs.put(name, vault.seal(name, TYPE_PIN, replace(record, expired=True).to_json()))",
    ),
    "the manifest does not wait for packs": Mutant(
        "pipeline", "wait_for(self._data.outstanding() + self._tree.outstanding(), self._tick)", "self._tick()"
    ),
    "young packs are not spared": Mutant("prune", "return self.since is not None and modified >=", "return False and modified >="),
    "the sweep trusts the mark": Mutant("prune", "dead = [item for item in marked if not reach.alive(item.name) and", "dead = [item for item in marked if"),
    "recall does not stop the sweep": Mutant("repository", 'if content["phase"] == "sweeping":', "if False:"),
    "recall leaves the state": Mutant("repository", "self.vault.replace(layout.GC_STATE, idle, blob.version)", "idle"),
    "a checkpoint does not wait for its packs": Mutant(
        "pipeline", "if all(future.done() and future.exception() is None for future in futures):", "if futures or not futures:"
    ),
    "collection does not check the owner": Mutant("prune", "vault.check_owner()", "vault.id"),
    "commit does not check the owner": Mutant("run", "self._vault.check_owner()", "self._vault.id"),
    "packs overwrite": Mutant("vault", "return blobs.put(name, data, if_absent=True)", "return blobs.put(name, data)"),
    "a lost reply is a lost race": Mutant("vault", "                return self._ours_after_all(name, data)", "                raise"),
    "checkpoints of dead runs are accepted": Mutant("run", "return bool(run == self._pin.record.run)", "return bool(run)"),
    "blocks known from a failed disk": Mutant("run", "recent = self._recent.copy()", "recent = self._recent"),
    "marks are not told from late packs": Mutant("prune", "and not _listed_late(reach, blob)", ""),
    "state is written unconditionally": Mutant(
        "prune", "return vault.replace(layout.GC_STATE, sealed, before.version)", "return vault.blobs.put(layout.GC_STATE, sealed)"
    ),
    "tombstones go before manifests": Mutant(
        "prune",
        "    _delete(vault, [layout.point(point) for point in points], hooks)\n    _delete(vault, [layout.forgotten(point) for point in dict.fromkeys([*points, *leftover])], hooks)\n",
        "    _delete(vault, [layout.forgotten(point) for point in dict.fromkeys([*points, *leftover])], hooks)\n    _delete(vault, [layout.point(point) for point in points], hooks)\n",
    ),
    "packs go before manifests": Mutant(
        "prune",
        "    _delete(vault, [layout.point(point) for point in points], hooks)\n",
        "    _delete(vault, [item.name for item in dead], hooks)\n    _delete(vault, [layout.point(point) for point in points], hooks)\n",
    ),
}


def mutated(name: str) -> dict[str, str]:
    """Source text by module."""
    mutant = MUTANTS[name]
    source = (ENGINE / f"{mutant.module}.py").read_text()
    if mutant.old not in source:
        raise ValueError(f"{mutant.module}.py no longer holds: {mutant.old}")
    return {mutant.module: source.replace(mutant.old, mutant.new)}
