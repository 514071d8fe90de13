"""FORMAT.md keeps up with the code: whatever has a name, a number or a section there is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.domain.immutability import GENERATION_DAYS
from server.domain.repository import StorageClass
from server.repository import crypto, layout, moved, opening, pack, pins, tree

REPOSITORY = Path(opening.__file__).parent
FORMAT = (REPOSITORY / "FORMAT.md").read_text()
SECTIONS = set(re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", FORMAT, re.MULTILINE))


def test_it_is_about_the_version_that_is_written() -> None:
    assert FORMAT.startswith(f"# The Holdfast repository format, version {crypto.FORMAT_VERSION}\n")
    assert f"**Version {crypto.FORMAT_VERSION}**" in FORMAT
    assert tuple(range(1, crypto.FORMAT_VERSION + 1)) == crypto.READABLE_VERSIONS


@pytest.mark.parametrize("name", sorted(value for key, value in vars(layout).items() if key.isupper() and key != "UUID"))
def test_every_object_is_in_the_table(name: str) -> None:
    table = FORMAT.split("## 2. Objects")[1].split("## 3.")[0]
    assert re.search(rf"^\|.*`{re.escape(name)}", table, re.MULTILINE)


@pytest.mark.parametrize("number", sorted(value for key, value in vars(crypto).items() if key.startswith("TYPE_")))
def test_every_type_of_object_has_its_number(number: int) -> None:
    (row,) = [line for line in FORMAT.splitlines() if line.startswith("| 10 | 1 | type:")]
    assert re.search(rf"\b{number} [a-z]", row)


@pytest.mark.parametrize("number", sorted(value for key, value in vars(pack).items() if key.startswith("KIND_")))
def test_every_kind_of_item_has_its_number(number: int) -> None:
    assert re.search(rf"\b{number} [a-z]", FORMAT.split("Kinds: ")[1].split(". ")[0])


@pytest.mark.parametrize(
    "said",
    [
        f"**leaves** of {tree.LEAF_BLOCKS} blocks",
        f"**pages** of {tree.PAGE_CHILDREN} children",
        f"at most {moved.MAX_HOPS} hops",
        f"renewed within {pins.PIN_LIFE.days} days",
        f"retention + {GENERATION_DAYS} days",
        *(f"`{known.value}`" for known in StorageClass),
    ],
)
def test_numbers_and_words_are_those_of_the_code(said: str) -> None:
    assert said in FORMAT


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("*.py")), ids=lambda path: path.stem)
def test_sections_that_code_refers_to_exist(path: Path) -> None:
    named = re.findall(r"FORMAT\.md ((?:§[\d.]+(?:, |–)?)+)", path.read_text())
    assert {section.rstrip(".") for found in named for section in re.findall(r"§([\d.]+)", found)} <= SECTIONS
