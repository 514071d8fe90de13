"""The benchmarks themselves, at a size that takes no time: they measure what they say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from rich.console import Console

from server.ports import BLOCK_SIZE
from tests.bench import engine, image, kernels, listing, memory
from tests.bench.processes import BenchError, child, command
from tests.bench.rows import Report, Row

TINY = image.Recipe(disk=64, real=4, logs=2, tables=1, media=2)
FULL, INCREMENT = str(UUID(int=1)), str(UUID(int=2))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    modules = Path(engine.__file__).parents[2] / "server"
    files = [(str(path), path.stat().st_size) for path in sorted(modules.rglob("*.py"))]
    monkeypatch.setattr(image, "_regular_files", lambda roots: iter(files))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    path = tmp_path / "disk.img"
    image.make(path, TINY)
    return path


def test_backup_increment_and_restore_of_an_image(disk: Path, tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    listed = image.allocated(disk)
    assert 9 * 2 <= len(listed) < 64 * 2
    engine.create(repo)
    full = engine.backup(repo, str(disk), FULL)
    bare = kernels.backup(str(disk))
    assert full["blocks"] == bare["blocks"] == len(listed)
    before = engine.footprint(repo)
    sealed = before["stored"] - before["metadata"]
    assert sealed == pytest.approx(bare["stored"], rel=0.01), "the kernels do the same work"
    image.change(disk, listed[3:5])
    engine.backup(repo, str(disk), INCREMENT, parent=FULL, changed=listed[3:5])
    assert 0 < engine.footprint(repo)["metadata"] - before["metadata"] < 2**20
    target, copy = tmp_path / "out", tmp_path / "kernel-out"
    restored = engine.restore(repo, INCREMENT, str(target))
    assert target.read_bytes() == disk.read_bytes()
    assert kernels.restore(repo, INCREMENT, str(copy))["blocks"] == restored["blocks"]
    assert copy.read_bytes() == target.read_bytes()[: copy.stat().st_size]


def test_all_blocks_can_be_listed(disk: Path, tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    engine.create(repo)
    assert engine.backup(repo, str(disk), FULL, holes=True)["blocks"] == 64 * 2**20 // BLOCK_SIZE


def test_many_points(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    point = listing.fill(repo, 5)["point"]
    listing.refresh(repo)
    assert listing.list_points(repo)["count"] == 5
    assert listing.open_point(repo, point)["index"] == 7


def test_a_large_sparse_disk_comes_back(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    scattered = 200 * BLOCK_SIZE
    engine.create(repo)
    assert memory.full(repo, scattered)["blocks"] == 200
    assert memory.increment(repo, scattered)["blocks"] == 2
    assert memory.restore(repo, scattered)["blocks"] == 200


def test_a_child_tells_its_peak(tmp_path: Path) -> None:
    found = child("engine.create", repo=str(tmp_path / "repo"))
    assert found.answer["peak"] > 2**20
    assert found.wall > 0


def test_a_failed_command_tells_why() -> None:
    with pytest.raises(BenchError, match="no such thing"):
        command(["sh", "-c", "echo no such thing >&2; exit 3"])


@pytest.mark.parametrize(
    ("value", "target", "better", "ok"),
    [(1.0, 1.0, "lower", True), (1.1, 1.0, "lower", False), (0.9, 1.0, "higher", False), (5.0, None, "lower", True)],
)
def test_targets(value: float, target: float | None, better: str, ok: bool, tmp_path: Path) -> None:
    row = Row("row", value, "s", "", target, "lower" if better == "lower" else "higher")
    assert row.ok is ok
    report = Report(Console(quiet=True), [row])
    report.write(tmp_path / "rows.json")
    found = json.loads((tmp_path / "rows.json").read_text())
    assert found == {"row": {"value": value, "target": target, "unit": "s", "ok": ok}}
