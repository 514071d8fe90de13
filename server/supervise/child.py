"""Starting child processes that never outlive us and, when we are root, do not stay root."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from server.domain.errors import Misconfigured

_LAUNCHER: Final = Path(__file__).with_name("launch.py")
_SYSTEM_FOLDER: Final = Path("/var/lib/holdfast")  # for root only, see ``reachable_folder``
NOBODY: Final = 65534  # the uid every Linux distribution gives to ``nobody``


@dataclass(frozen=True, slots=True)
class RunAs:
    """The unprivileged user servers run as. ``uid`` None: the user we are already."""

    uid: int | None

    def own(self, path: Path) -> None:
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)

    def can(self, test: str, path: Path) -> bool:
        """Whether that user passes ``test -r`` (read) or ``test -x`` (execute, enter) on ``path``."""
        return self.output(["test", f"-{test}", str(path)]) is not None

    def output(self, command: Sequence[str]) -> str | None:
        """What ``command`` prints when that user runs it, None when it fails."""
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                timeout=30,
                cwd="/",
                user=self.uid,
                group=self.uid,
                extra_groups=None if self.uid is None else [],
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None


def unprivileged() -> RunAs:
    """Ourselves, or ``nobody`` when we are root: PostgreSQL refuses root, and no server needs it. No user is created."""
    if os.geteuid() != 0:
        return RunAs(None)
    try:
        return RunAs(pwd.getpwnam("nobody").pw_uid)
    except KeyError:
        return RunAs(NOBODY)


def private_folder(path: Path, run_as: RunAs) -> Path:
    """``path`` made, owned by the server's user, closed to others. Misconfigured when it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        run_as.own(path)
    except OSError as error:
        raise unusable(path, error) from error
    return path


def unusable(folder: Path, error: OSError) -> Misconfigured:
    return Misconfigured(
        f"Cannot use the folder {folder}: {error.strerror}.", remedy="Set HOLDFAST_DATA_DIR to a folder you may write to."
    )


def reachable_folder(path: Path, run_as: RunAs) -> Path:
    """A private folder the server's user can enter: ``path``, or one in /var/lib/holdfast that ``path`` then links to.

    The second case is a root whose appliance folder lies in a closed home: ``nobody`` cannot walk through /root.
    """
    if not path.is_symlink():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() or run_as.uid is None or run_as.can("x", path.parent):
            return private_folder(path, run_as)
        elsewhere = _SYSTEM_FOLDER / f"{path.name}-{secrets.token_hex(4)}"  # new: never the data of an appliance before us
        private_folder(elsewhere, run_as)
        _SYSTEM_FOLDER.chmod(0o755)
        path.symlink_to(elsewhere)
    return private_folder(path.resolve(), run_as)


def reachable_copy(source: Path, probe: Path, folder: Path, run_as: RunAs) -> Path:
    """``source`` (a folder of programs), or its copy in ``folder`` when the server's user cannot read ``probe`` inside it."""
    if run_as.can("r", probe):
        return source
    copy = folder / f"programs-{source.name}"
    if not copy.exists():
        partial = copy.with_name(copy.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial, symlinks=True)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        partial.rename(copy)
    return copy


def start(
    command: Sequence[str | Path],
    *,
    run_as: RunAs,
    death_signal: signal.Signals = signal.SIGTERM,
    stdin: bytes | None = None,
    output: IO[bytes] | int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` (absolute path first). The kernel sends it ``death_signal`` when we die, however we die.

    Call from a thread that lives as long as the process: the kernel watches the thread that started the child.
    The child leads a session of its own, so Ctrl-C in the terminal reaches it only through an orderly stop.
    """
    uid = -1 if run_as.uid is None else run_as.uid
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(uid), str(int(death_signal))]
    process = subprocess.Popen(
        [*launcher, *map(str, command)],
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=None if env is None else dict(env),
        cwd=cwd,
        start_new_session=True,
    )
    if stdin is not None and process.stdin is not None:
        with process.stdin as pipe:
            pipe.write(stdin)
    return process


def stop(process: subprocess.Popen[bytes], how: signal.Signals, *, patience: float) -> bool:
    """Ask with ``how``, wait ``patience`` seconds, then kill. True when it ended by itself."""
    if process.poll() is not None:
        return True
    process.send_signal(how)
    try:
        process.wait(patience)
        return True
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
        return False


def last_lines(path: Path, count: int = 5) -> str:
    """The end of a log, on one line, for an error message."""
    try:
        text = path.read_bytes()[-4096:].decode(errors="replace")
    except OSError:
        return ""
    return " | ".join(line.strip() for line in text.splitlines()[-count:] if line.strip())
