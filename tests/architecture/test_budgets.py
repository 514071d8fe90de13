"""Budgets and banned things, read from the source itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION_LINES = 70
MODULE_LINES = 400
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(work|root|home|old_root|farm)/|/tmp/[\w]|\.\./shared")
REGISTRIES = re.compile(r"registry\.npmjs\.org|pypi\.org/simple|files\.pythonhosted\.org|--(extra-)?index-url|--find-links")

MODULES = sorted(path for folder in ("server", "tests") for path in (ROOT / folder).rglob("*.py"))
TEXTS = [
    *MODULES,
    *sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file()),
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "server").rglob("*.md")),
    ROOT / "pyproject.toml",
    ROOT / ".ci" / "run",
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_stay_within_budget(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MODULE_LINES, f"{name_of(path)} has {text.count(chr(10))} lines"
    long = {
        function.name: (function.end_lineno or 0) - function.lineno + 1
        for function in functions(ast.parse(text))
        if (function.end_lineno or 0) - function.lineno + 1 > FUNCTION_LINES
    }
    assert not long


def test_no_module_is_named_after_nothing() -> None:
    found = [name_of(path) for path in MODULES if BANNED_NAMES & {path.stem, *path.relative_to(ROOT).parts[:-1]}]
    assert not found


@pytest.mark.parametrize("path", [path for path in TEXTS if path != Path(__file__)], ids=name_of)
def test_nothing_is_unfinished_or_tied_to_one_machine(path: Path) -> None:
    found = [
        f"{number}: {line.strip()[:100]}"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNFINISHED.search(line) or MACHINE_PATHS.search(line)
    ]
    assert not found


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "frontend/package-lock.json"])
def test_lock_files_name_no_registry(name: str) -> None:
    text = (ROOT / name).read_text()
    found = {match.group(0) for match in REGISTRIES.finditer(text.split("\n", 3)[-1])}
    assert not found


def test_ignores_carry_their_code() -> None:
    bare = re.compile(r"type: ignore(?!\[)|noqa(?!: [A-Z])")
    found = [
        f"{name_of(path)}:{number}"
        for path in MODULES
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]
    assert not found


def test_no_test_is_left_out_or_waits_by_sleeping() -> None:
    banned = re.compile(r"mark\.(skip|skipif|xfail)|pytest\.(skip|xfail|importorskip)\(|time\.sleep\(|wait_for_timeout")
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in MODULES
        if path.is_relative_to(ROOT / "tests") and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if banned.search(line)
    ]
    assert not found
