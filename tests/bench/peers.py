"""restic and BorgBackup on the same image, as their manuals say, encryption on; what they keep lies in the work folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Run, command

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Peer:
    """``start`` makes an empty repository; ``backup`` and ``restore`` are what is timed. ``says``: how it is run."""

    name: str
    says: str
    folder: Path
    start: Callable[[], None]
    backup: Callable[[Path], Run]
    restore: Callable[[Path, Path], Run]

    def stored(self) -> int:
        return sum(path.stat().st_size for path in (self.folder / "repo").rglob("*") if path.is_file())


def restic(work: Path) -> Peer:
    """0.14 or later, repository version 2. Compression "auto" is its default; it cannot make sparse files before 0.15."""
    folder = work / "restic"
    env = {
        "RESTIC_PASSWORD": PASSWORD,
        "RESTIC_REPOSITORY": str(folder / "repo"),
        "RESTIC_CACHE_DIR": str(folder / "cache"),
        "RESTIC_PROGRESS_FPS": "0.1",
    }

    def start() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        command(["restic", "init", "--repository-version", "2"], env=env)

    sparse = ["--sparse"] if "--sparse" in _help("restic", "restore") else []
    return Peer(
        "restic",
        f"{_version('restic', 'version')}, compression auto, AES-256 + Poly1305",
        folder,
        start,
        lambda image: command(["restic", "backup", image], env=env),
        lambda image, target: command(["restic", "restore", "latest", "--target", target, *sparse], env=env),
    )


def borg(work: Path, *, fixed: bool = False) -> Peer:
    """``fixed``: with fixed-size chunks and holes skipped, which its manual advises for disk images; otherwise its defaults."""
    folder = work / ("borg-fixed" if fixed else "borg")
    env = {
        "BORG_PASSPHRASE": PASSWORD,
        "BORG_BASE_DIR": str(folder / "base"),
        "BORG_REPO": str(folder / "repo"),
    }
    chunks = ["--chunker-params", "fixed,4194304", "--sparse"] if fixed else []

    def start() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "base").mkdir(parents=True)
        command(["borg", "init", "--encryption", "repokey"], env=env)

    def restore(image: Path, target: Path) -> Run:
        target.mkdir()
        return command(["borg", "extract", "--sparse", "::disk"], env=env, cwd=target)

    return Peer(
        folder.name,
        f"{_version('borg', '--version')}, zstd,1, AES-256 + HMAC-SHA256{', fixed chunks of 4 MiB, sparse' if fixed else ''}",
        folder,
        start,
        lambda image: command(["borg", "create", "--compression", "zstd,1", *chunks, "::disk", image], env=env),
        restore,
    )


def _version(program: str, flag: str) -> str:
    return " ".join(_output(program, flag).split()[:2])


def _help(program: str, verb: str) -> str:
    return _output(program, verb, "--help")


def _output(*arguments: str) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"})
    return done.stdout
