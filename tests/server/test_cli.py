"""The ``holdfast`` command as people meet it: one clear sentence and a remedy on errors, never a traceback, never a secret."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server.adapters.db.migrate import newest_revision
from tests.conftest import ADMIN_PASSWORD, RunningAppliance
from tests.server.test_supervise import eventually

ROOT = Path(__file__).parents[2]


def clean_environment(**environ: str) -> dict[str, str]:
    """Ours without Holdfast's variables, but with those given (named without the prefix)."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return {**ours, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **{f"HOLDFAST_{name}": value for name, value in environ.items()}}


def holdfast(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments],
        env=clean_environment(**environ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["serve"], {"PORT": "http"}, "HOLDFAST_PORT must be a whole number"),
        (["worker"], {"REDIS_ULR": "redis://x"}, "did you mean HOLDFAST_REDIS_URL?"),
        (["migrate"], {}, "HOLDFAST_DATABASE_URL is not set"),
        (["migrate"], {"DATABASE_URL": "postgresql://u:hunter22@127.0.0.1:1/d"}, "database"),
        (["up"], {"DATA_DIR": "/proc/holdfast"}, "Cannot use the folder /proc/holdfast"),
        (["permissions", "lambda"], {}, "There is no workload 'lambda'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(arguments: list[str], environ: dict[str, str], said: str) -> None:
    done = holdfast(*arguments, **environ)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter22" not in done.stdout + done.stderr


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = holdfast("serve", PORT=str(port), DATABASE_URL="postgresql://u:p@127.0.0.1:1/d", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "HOLDFAST_PORT" in done.stderr


def test_migrate_tells_what_it_did(empty_database_url: str) -> None:
    first = holdfast("migrate", DATABASE_URL=empty_database_url)
    assert f"from None to {newest_revision()}" in first.stdout
    second = holdfast("migrate", DATABASE_URL=empty_database_url)
    assert f"is at revision {newest_revision()}" in second.stdout


def test_a_second_start_in_one_folder_hears_about_the_first(appliance: RunningAppliance) -> None:
    done = holdfast("up", DATA_DIR=str(appliance.settings.data_dir))
    assert done.returncode == 1
    assert "already runs in" in done.stderr
    assert appliance.url in done.stderr


def test_a_lost_password_is_replaced(appliance: RunningAppliance) -> None:
    environ = {
        "DATA_DIR": str(appliance.settings.data_dir),
        "DATABASE_URL": appliance.settings.need_database_url(),
        "REDIS_URL": appliance.settings.need_redis_url(),
    }
    unknown = holdfast("reset-password", "nobody", "--generate", **environ)
    assert "There is no user nobody" in unknown.stderr
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", "reset-password"],
        input=f"{ADMIN_PASSWORD}\n{ADMIN_PASSWORD}\n",
        env=clean_environment(**environ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "admin has a new password." in done.stdout
    assert ADMIN_PASSWORD not in done.stdout


def test_up_starts_everything_and_stops_in_order_on_sigterm(short_folder: Path, unused_port: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "up"],
        env=clean_environment(DATA_DIR=str(short_folder / "up"), PORT=str(unused_port)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines.append(line.rstrip())
            if "Sign in as admin" in line:
                process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, "\n".join(lines)
    assert any(f"Ready at http://127.0.0.1:{unused_port}" in line for line in lines)
    password = (short_folder / "up" / "initial-password").read_text().strip()
    assert len(password) >= 12
    assert (short_folder / "up" / "initial-password").stat().st_mode & 0o077 == 0
    assert eventually(lambda: not _leftovers(short_folder / "up"))


def _leftovers(folder: Path) -> list[str]:
    """Command lines of processes that still name ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # ended meanwhile
        if str(folder) in words:
            found.append(words)
    return found
