"""The lock files fit pyproject.toml: every dependency is pinned to a version it allows, and every pin has hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["demo"]]
DEVELOP = [*RUN, *PROJECT["optional-dependencies"]["dev"]]


def entries(name: str) -> list[str]:
    """Each pinned requirement with its hashes on one line."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def pins(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries(name):
        requirement = Requirement(entry.split("--hash")[0].strip())
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


@pytest.mark.parametrize(("name", "wanted"), [("requirements.lock", RUN), ("requirements-dev.lock", DEVELOP)])
def test_every_dependency_is_pinned_within_its_limits(name: str, wanted: list[str]) -> None:
    pinned = pins(name)
    outside = [
        text
        for text in wanted
        if pinned.get(canonicalize_name(Requirement(text).name)) is None
        or pinned[canonicalize_name(Requirement(text).name)] not in Requirement(text).specifier
    ]
    assert not outside


def test_both_locks_agree() -> None:
    run, develop = pins("requirements.lock"), pins("requirements-dev.lock")
    assert run.items() <= develop.items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_pin_has_hashes(name: str) -> None:
    assert [entry for entry in entries(name) if "--hash=sha256:" not in entry] == []
