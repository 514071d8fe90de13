"""Clouds for these tests: one that does everything at once, one that takes its time, and fresh ones."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.clouds import Cloud


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    yield path
    shutil.rmtree(path)


def _running(pace: float) -> Iterator[Cloud]:
    cloud = Cloud(Path(tempfile.mkdtemp(prefix="holdfast-demo-")), pace)
    cloud.start()
    yield cloud
    cloud.kill()
    shutil.rmtree(cloud.data)


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """Shared; transitions happen at once. Tests make what they need and leave no faults behind."""
    yield from _running(0.0)


@pytest.fixture(scope="session")
def slow_cloud() -> Iterator[Cloud]:
    """Shared; a snapshot takes two seconds, an instance as long to start."""
    yield from _running(2.0)


@pytest.fixture
def fresh_cloud(folder: Path) -> Iterator[Cloud]:
    """One of its own, for tests that kill it or cause trouble."""
    fresh = Cloud(folder / "cloud")
    fresh.start()
    yield fresh
    fresh.kill()
