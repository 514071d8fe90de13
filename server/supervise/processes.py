"""The supervisor: starts the parts of an appliance in order, restarts what crashes, stops everything in order."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Protocol

from server.domain.errors import Conflict, HoldfastError, Unavailable
from server.supervise import child

Sink = Callable[[str, str], None]
"""Receives a part's name and one line it wrote, without the line break. Called from several threads."""

_LOOK_EVERY: Final = 0.2  # seconds between looks at the parts
_BACKOFF: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before restart number 1, 2, 3 ...
_HEALTHY_AFTER: Final = 60.0  # seconds of life after which earlier crashes are forgotten


class Part(Protocol):
    """Something that runs. ``start`` returns when it is ready to be used."""

    @property
    def name(self) -> str: ...

    def start(self) -> object: ...

    def alive(self) -> bool: ...

    def stop(self) -> None: ...


@dataclass(kw_only=True)
class Program:
    """One of our own processes. ``ready_url``: answers 200 once it is ready; ``patience``: seconds it may take to stop."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    sink: Sink
    ready_url: str | None = None
    ready_seconds: float = 60.0
    patience: float = 25.0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Launch and wait until ready. Errors: Unavailable when it ends, or does not become ready, in time."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        self.process = child.start(self.command, run_as=child.RunAs(None), output=subprocess.PIPE, env=self.env)
        assert self.process.stdout is not None
        threading.Thread(target=self._pump, args=(self.process.stdout,), name=f"log-{self.name}", daemon=True).start()

    def await_ready(self) -> None:
        """At once when there is no ``ready_url``. Errors: Unavailable."""
        if self.ready_url is None:
            return
        deadline = time.monotonic() + self.ready_seconds
        while time.monotonic() < deadline:
            if not self.alive():
                raise Unavailable(f"{self.name} ended while starting.", remedy="Its last lines say why.")
            if answers(self.ready_url):
                return
            time.sleep(0.05)
        self.stop()
        raise Unavailable(
            f"{self.name} was not ready within {self.ready_seconds:.0f} seconds.", remedy="Its last lines say why."
        )

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send the signal and return at once; ``stop`` waits."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        if self.process is not None and not child.stop(self.process, signal.SIGTERM, patience=self.patience):
            self.sink(self.name, f"did not stop within {self.patience:.0f} seconds and was killed")

    def _pump(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self.sink(self.name, line.decode(errors="replace").rstrip("\n"))


def answers(url: str) -> bool:
    """Whether a GET of ``url`` gives 200 within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  our own http address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class Supervisor:
    """Runs parts in the order given. One thread calls ``start``, ``watch`` and ``stop``: the kernel ties children to it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parts: list[Part] = []
        self._crashes: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._again_at: dict[str, float] = {}

    def start(self, part: Part) -> None:
        """Start ``part`` and keep it running from now on. Its errors pass through; stop() then stops what runs."""
        self._parts.append(part)
        part.start()
        self._since[part.name] = time.monotonic()

    def launch(self, program: Program) -> None:
        """The same without waiting: the caller asks ``await_ready`` itself."""
        self._parts.append(program)
        program.launch()
        self._since[program.name] = time.monotonic()

    def watch(self, until: threading.Event) -> None:
        """Restart crashed parts, each after a growing pause, until the event is set."""
        while not until.wait(_LOOK_EVERY):
            for part in self._parts:
                if not part.alive():
                    self._revive(part, time.monotonic())

    def stop(self) -> None:
        """Stop in reverse order: nobody loses the database or the queue while still at work."""
        for part in reversed(self._parts):
            part.stop()
        self._parts.clear()

    def _revive(self, part: Part, now: float) -> None:
        again_at = self._again_at.get(part.name)
        if again_at is None:
            if now - self._since.get(part.name, now) > _HEALTHY_AFTER:
                self._crashes[part.name] = 0
            crashes = self._crashes[part.name] = self._crashes.get(part.name, 0) + 1
            pause = _BACKOFF[min(crashes, len(_BACKOFF)) - 1]
            self._again_at[part.name] = now + pause
            self._sink(part.name, f"ended unexpectedly; starting it again in {pause:g} s")
        elif now >= again_at:
            del self._again_at[part.name]
            try:
                part.start()
            except HoldfastError as error:
                self._sink(part.name, error.sentence())
            self._since[part.name] = time.monotonic()


class Lock:
    """At most one supervisor per appliance folder. Held until the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "running.lock"
        self._descriptor: int | None = None

    def take(self, note: str) -> None:
        """``note`` tells a second starter about the first (its address). Errors: Conflict, Misconfigured."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise child.unusable(self._path.parent, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 500, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise Conflict(
                f"Holdfast already runs in {self._path.parent} ({holder}).",
                remedy="Use that one, stop it first, or set HOLDFAST_DATA_DIR to another folder.",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}, {note}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
