"""Files as found on servers: source, logs, tables, pictures, sparse files. The same seed always gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MIB = 1024 * 1024
PAGE = 64 * 1024
PAGES = 24  # distinct pages of each kind of text; files mix them
EPOCH = 1_780_000_000  # modification time of every file, so that images of one version are alike
_VOCABULARY = """
account address amount backup block bucket cache cart catalog category channel checkout client cluster commit config
connection context counter customer default delivery discount document domain event export factory field filter
handler header index invoice item journal ledger limit listener locale lookup manager mapping message metric module
network node notice number object offer option order package page partner payment policy price process product profile
queue quota record refund region report request result retention return review route schedule schema search server
service session shipment signal snapshot source status stock storage stream supplier table target task tenant ticket
token transfer update upload user value vendor version volume warehouse webhook window worker zone
"""
_WORDS = _VOCABULARY.split()
_STATUSES = (200, 200, 200, 304, 404, 500)


class Noise:
    """Incompressible bytes from a seed, at memory speed (AES in counter mode)."""

    def __init__(self, seed: str) -> None:
        key = hashlib.sha256(seed.encode()).digest()
        self._stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def read(self, size: int) -> bytes:
        return self._stream.update(bytes(size))


class Writer:
    """Text pages of a seed: ``source``, ``log``, ``json`` and ``table``."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._noise = Noise(seed)
        makers = {"source": self._source_line, "log": self._log_line, "json": self._json_line}
        self.pages = {kind: [self._page(make) for _ in range(PAGES)] for kind, make in makers.items()}
        self.pages["table"] = [self._table_page() for _ in range(PAGES)]

    def _page(self, line: object) -> bytes:
        lines: list[str] = []
        size = 0
        while size < PAGE:
            text = line()  # type: ignore[operator]  # one of the makers below
            lines.append(text)
            size += len(text) + 1
        return "\n".join(lines).encode()[:PAGE]

    def _source_line(self) -> str:
        pick, depth = self._random.choice, self._random.randrange(4)
        name, other = pick(_WORDS), pick(_WORDS)
        forms = (
            f"def {name}_{other}({pick(_WORDS)}: str, {pick(_WORDS)}: int = {self._random.randrange(100)}) -> None:",
            f"    {name} = {other}.{pick(_WORDS)}({pick(_WORDS)}, timeout={self._random.randrange(60)})",
            f"    if {name} is None and {other} > {self._random.randrange(1000)}:",
            f"        raise ValueError('{name} needs a {other}')",
            f"    # {name} before {other}: the {pick(_WORDS)} depends on it",
            f"    return {{'{name}': {other}, '{pick(_WORDS)}': {self._random.randrange(10_000)}}}",
        )
        return "    " * depth + pick(forms)

    def _log_line(self) -> str:
        rand, pick = self._random.randrange, self._random.choice
        moment = f"2026-{rand(1, 12):02d}-{rand(1, 29):02d}T{rand(24):02d}:{rand(60):02d}:{rand(60):02d}.{rand(1000):03d}Z"
        level, verb, status = pick(("INFO", "INFO", "INFO", "WARN", "ERROR")), pick(("GET", "GET", "POST")), pick(_STATUSES)
        client, path = f"10.{rand(4)}.{rand(256)}.{rand(256)}", f"/{pick(_WORDS)}/{rand(100_000)}/{pick(_WORDS)}"
        return f"{moment} {level} [{pick(_WORDS)}-{rand(16)}] {client} {verb} {path} {status} {rand(90_000)} {rand(2000)}ms"

    def _json_line(self) -> str:
        rand, pick = self._random.randrange, self._random.choice
        document = {
            pick(_WORDS): rand(100_000),
            pick(_WORDS): pick(_WORDS),
            "id": f"{rand(2**64):016x}",
            "tags": [pick(_WORDS), pick(_WORDS)],
        }
        return json.dumps(document)

    def _table_page(self) -> bytes:
        """Rows as a database keeps them: some text, some numbers, free space at the end of each 8 KiB page."""
        page = bytearray()
        while len(page) < PAGE:
            row = self._json_line().encode() + self._noise.read(24)
            if len(page) % 8192 + len(row) > 7400:
                page.extend(bytes(8192 - len(page) % 8192))
            page.extend(row)
        return bytes(page[:PAGE])

    def chunks(self, kind: str, size: int, name: str) -> Iterator[bytes]:
        """``size`` bytes of a kind; every page begins with a line of its own, so that no two are equal."""
        if kind == "noise":
            noise = Noise(name)
            for begin in range(0, size, MIB):
                yield noise.read(min(MIB, size - begin))
            return
        chooser = random.Random(name)
        for number, begin in enumerate(range(0, size, PAGE)):
            head = f"# {name} {number} {chooser.randrange(2**63):016x}\n".encode()
            yield (head + chooser.choice(self.pages[kind]))[: min(PAGE, size - begin)]


@dataclass(slots=True)
class Tree:
    """A folder being filled, and what is in it: path → (size, SHA-256)."""

    root: Path
    writer: Writer
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, kind: str, size: int) -> None:
        target = self._target(path)
        digest = hashlib.sha256()
        with target.open("wb", buffering=0) as out:
            for chunk in self.writer.chunks(kind, size, path):
                digest.update(chunk)
                out.write(chunk)
        self._seal(path, target, size, digest.hexdigest())

    def add_text(self, path: str, text: str) -> None:
        data = text.encode()
        target = self._target(path)
        target.write_bytes(data)
        self._seal(path, target, len(data), hashlib.sha256(data).hexdigest())

    def add_sparse(self, path: str, size: int, islands: int) -> None:
        """A file of holes with a few islands of 64 KiB of data."""
        target = self._target(path)
        step = size // islands // PAGE * PAGE
        with target.open("wb", buffering=0) as out:
            for number in range(islands):
                out.seek(number * step)
                out.write(next(self.writer.chunks("log", PAGE, f"{path}#{number}")))
            out.truncate(size)
        digest = hashlib.sha256()
        with target.open("rb") as source:
            while chunk := source.read(MIB):
                digest.update(chunk)
        self._seal(path, target, size, digest.hexdigest())

    def add_link(self, path: str, to: str) -> None:
        target = self._target(path)
        target.symlink_to(to)
        self.links[path] = to

    def _target(self, path: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _seal(self, path: str, target: Path, size: int, digest: str) -> None:
        os.utime(target, (EPOCH, EPOCH))
        self.files[path] = (size, digest)
