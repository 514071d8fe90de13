"""Files of policies: what is YAML here, what is not, and on which line it goes wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.cli.policy_files import DEPTH_MAX, SIZE_MAX, dump, load, parse
from server.domain import policy_rules
from server.domain.errors import InvalidInput
from server.domain.policy import Policy
from server.domain.policy_document import Names, entries, read
from server.domain.strict import Spot

SAMPLE = """\
# ours
holdfast: 1
policies:
  - name: Nightly
    enabled: on
    schedule:
      daily:
        snapshot: {hours: [7, 19], keep: 7}
  - name: "2"
    window: 07:00
    tags: {owner: ~, cost: 1.5, "no": yes, big: 0o17}
"""


def test_words_mean_what_they_say() -> None:
    found = parse(SAMPLE, "policies.yaml").content
    assert found["holdfast"] == 1
    first, second = found["policies"]
    assert (first["enabled"], first["schedule"]["daily"]["snapshot"]) == ("on", {"hours": [7, 19], "keep": 7})
    assert (second["name"], second["window"]) == ("2", "07:00")
    assert second["tags"] == {"owner": None, "cost": 1.5, "no": "yes", "big": "0o17"}


def test_the_readme_shows_a_document_that_can_be_applied() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = re.search(r"```yaml\n(holdfast: 1.*?)```", readme, re.DOTALL)
    assert shown is not None
    problems: dict[str, str] = {}
    [entry] = entries(Spot(parse(shown[1], "README.md").content, "", problems))
    names = Names(
        accounts={"Home account": UUID(int=1), "DR": UUID(int=2)},
        repositories={"vault": UUID(int=3), "cold": UUID(int=4)},
    )
    decided = read(entry, names)
    assert problems == {}
    now = datetime(2026, 11, 22, tzinfo=UTC)
    policy = replace(Policy(id=UUID(int=5), name="", scope=decided["scope"], created_at=now, updated_at=now), **decided)
    assert policy_rules.problems(policy, None, None) == {}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("policies.0.name", 4),
        ("policies.0.schedule.daily.snapshot.keep", 8),
        ("policies.1.window", 10),
        ("policies.1.regions", 9),
        ("policies", 3),
        ("", 2),
        ("elsewhere", 2),
    ],
)
def test_every_value_knows_its_line(path: str, line: int) -> None:
    assert parse(SAMPLE, "policies.yaml").where(path) == f"policies.yaml:{line}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2", "f:1: this is not YAML"),
        ("a: 1\nb: 2\na: 3", "f:3: a is there twice"),
        ("a: &x 1\nb: *x", "f:1: anchors"),
        ("a: 1\nb: *x", "f:2: anchors"),
        ("a: !!python/object:os.system {}", "f:1: the tag"),
        ("a: !secret x", "f:1: the tag"),
        ("? [a]\n: 1", "f:1: a field's name"),
        ("", "f is empty"),
        ("# nothing", "f is empty"),
        ("a: 1\n---\nb: 2", "f:2: this is not YAML"),
        ("[" * (DEPTH_MAX + 2) + "]" * (DEPTH_MAX + 2), "deep"),
        ("a: \x00", "not YAML"),
        ("\ta: 1", "not YAML"),
    ],
)
def test_mistakes_name_their_line(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text, "f")
    assert said in refused.value.message


def test_a_small_file_cannot_grow_without_end() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    with pytest.raises(InvalidInput, match="anchors"):
        parse("\n".join(lines), "f")


def test_files_have_limits_and_an_encoding(tmp_path: Path) -> None:
    large, odd = tmp_path / "large.yaml", tmp_path / "odd.yaml"
    large.write_bytes(b"# " + b"x" * SIZE_MAX)
    odd.write_bytes(b"a: \xff")
    for path, said in (
        (large, "more than 4 MiB"),
        (odd, "UTF-8"),
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "director"),
    ):
        with pytest.raises(InvalidInput, match=said):
            load(path)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3),
    max_leaves=15,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=8), values, min_size=1, max_size=4))
def test_what_is_written_reads_back(content: dict[str, Any]) -> None:
    assert parse(dump(content), "f").content == content
