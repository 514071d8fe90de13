"""The documents name what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from server.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_path_of_the_map_exists() -> None:
    map_of_code = README.split("## Map of the code")[1].split("## Add a workload")[0]
    paths = re.findall(r"`((?:server|frontend|frontend_dist|tests|scripts)/[\w/.]*)`", map_of_code)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_links_and_pictures_exist() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`?holdfast ([a-z-]+)", README)) - {"is"}))
def test_every_command_the_readme_names_exists(command: str) -> None:
    group = typer.main.get_command(app)
    assert command in group.commands  # type: ignore[attr-defined]  # a group, as the app has several commands


def test_every_script_the_readme_names_exists() -> None:
    named = set(re.findall(r"scripts/([a-z]+)", README))
    assert named
    assert [name for name in named if not (ROOT / "scripts" / name).exists()] == []


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "GNU AFFERO GENERAL PUBLIC LICENSE" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_decisions_are_numbered_without_gaps() -> None:
    text = (ROOT / "server" / "DECISIONS.md").read_text()
    numbers = [int(number) for number in re.findall(r"^(\d+)\. \*\*", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
