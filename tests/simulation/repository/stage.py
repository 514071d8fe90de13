"""Loads the engine for the simulation: with the scheduler's threads, and small, so that a few blocks make a deep tree.

``set_stage`` must come before anything imports ``server.repository``: histories run in processes of their own (explore.py).
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import random
import sys
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader

from tests.simulation.repository import threads

BLOCK_SIZE = 4096
LEAF_BITS, PAGE_BITS = 3, 3  # 8 blocks to a leaf, 8 children to a page
FOOTER_SLACK = 1024
PACK_SIZE = 16 * 1024

# What the engine stands on and must see the real threads: loaded before they are exchanged.
FOUNDATIONS = (
    "argon2.low_level",
    "blake3",
    "concurrent.futures.thread",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "server.adapters.blobs.memory",
    "server.domain.repository",
    "server.ports",
    "zstandard",
)
# Limits that only large repositories meet; module, name, value. Small ones are met here in every history.
LIMITS = (
    ("prune", "DELETE_BATCH", 2),
    ("prune", "NODE_GROUP", 3),
    ("repository", "LIST_CHUNK", 3),
    ("walk", "LEAF_GROUP", 2),
)

_generators: list[random.Random] = []


def set_stage(mutate: dict[str, str] | None = None) -> None:
    """``mutate``: other source text for some modules, by name: to show that the simulation notices."""
    if any(name.startswith("server.repository.") for name in sys.modules):
        raise RuntimeError("the engine is loaded already, with real threads")
    for name in FOUNDATIONS:
        importlib.import_module(name)
    sys.modules["server.ports"].__dict__["BLOCK_SIZE"] = BLOCK_SIZE
    real = {name: sys.modules[name] for name in threads.modules()}
    sys.modules.update(threads.modules())
    sys.meta_path.insert(0, _Mutants(mutate or {}))
    try:
        _load()
    finally:
        sys.modules.update(real)


def reseed(seed: int) -> None:
    """Everything the engine draws at random follows from ``seed`` from now on: also keys and salts, for the sizes they have."""
    source = random.Random(seed)
    os.urandom = source.randbytes
    for generator in _generators:
        generator.seed(source.random())


def _load() -> None:
    package = importlib.import_module("server.repository")
    pack, tree = (importlib.import_module(f"server.repository.{name}") for name in ("pack", "tree"))
    pack.__dict__["_FOOTER_SLACK"] = FOOTER_SLACK
    tree.__dict__.update(
        LEAF_BITS=LEAF_BITS, PAGE_BITS=PAGE_BITS, LEAF_BLOCKS=1 << LEAF_BITS, PAGE_CHILDREN=1 << PAGE_BITS, MAX_LEVEL=12
    )
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"server.repository.{found.name}")
        _generators.extend(value for value in vars(module).values() if type(value) is random.Random)
    for name, constant, value in LIMITS:
        loaded = sys.modules[f"server.repository.{name}"]
        if not hasattr(loaded, constant):
            raise RuntimeError(f"{name}.{constant} is gone: say here what took its place")
        setattr(loaded, constant, value)


class _Mutants(InspectLoader, MetaPathFinder):
    """Imports modules of the engine from other source text."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = {f"server.repository.{name}": text for name, text in sources.items()}

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname in self._sources else None

    def get_source(self, fullname: str) -> str:
        return self._sources[fullname]
