"""``holdfast repository …`` run in this process, on a copy of a repository that is always the same."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from server import cli
from tests.repository.frozen.contents import PASSWORDS

FROZEN = Path(__file__).parents[1] / "repository" / "frozen" / "version-1"


@dataclass(frozen=True)
class Done:
    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


Holdfast = Callable[..., Done]


@pytest.fixture
def holdfast(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Holdfast:
    monkeypatch.setenv("HOLDFAST_REPOSITORY_PASSWORD", PASSWORDS[0])

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["holdfast", "repository", *map(str, arguments)])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capfdbinary.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err.decode())

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two points, and a forgotten one."""
    return Path(shutil.copytree(FROZEN, tmp_path / "repository"))
