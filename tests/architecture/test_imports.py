"""Imports are law: the contracts in pyproject.toml hold, and the linter would notice if they did not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_every_import_contract_holds() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_domain_module_that_reaches_up_is_noticed(tmp_path: Path) -> None:
    """The same contract on a small tree that breaks it: the linter is really looking."""
    package = tmp_path / "server"
    for name in ("domain", "services"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "domain" / "wrong.py").write_text("import server.services\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_package = "server"\n[[tool.importlinter.contracts]]\nname = "One way down"\n'
        'type = "layers"\ncontainers = ["server"]\nlayers = ["services", "domain"]\n'
    )
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "server.domain.wrong -> server.services" in done.stdout
