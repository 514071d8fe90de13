"""``holdfast demo``: an appliance and an emulated AWS account on this machine, to try (stay) or to prove (once)."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.panel import Panel

from server.adapters.db import migrate
from server.demo import sample, setting
from server.demo.sample.filesystem import ToolMissing
from server.demo.sample.images import Size
from server.demo.story import Story
from server.demo.visitor import Visitor
from server.domain.errors import Conflict, HoldfastError, Misconfigured
from server.settings import Settings
from server.supervise.appliance import Appliance, Report
from server.supervise.child import unusable
from server.supervise.ports import free_port, is_free
from server.supervise.processes import Lock
from server.supervise.secrets import kept_password

_HOME: Final = ".holdfast"
_PORTS: Final = range(8000, 8020)  # tried in turn when HOLDFAST_PORT is not set
_LAST_LINES: Final = 15  # of the processes, shown when starting fails
_SPACE_NEEDED: Final = {"full": 12 << 30, "small": 2 << 30}  # bytes: sample disks, their snapshots, backups, restored disks


def stay(data: Path | None, disks: Size, console: Console, stopped: threading.Event) -> None:
    """Start, say where and how to sign in, run until the event is set. Data is kept: the next start takes seconds."""
    settings = _settings(data or _home() / "demo", _usable_port)
    with _appliance(settings, disks, console) as (appliance, visitor):
        with console.status("Rescanning the account, adding repository and policy"):
            setting.prepare(visitor)
        console.print(_welcome(appliance.settings, settings.admin_password or ""))
        stopped.wait()


def once(data: Path | None, disks: Size, console: Console) -> bool:
    """Tell the whole story on fresh data. True when every check held; the data is removed then, else kept to look at."""
    folder = (data or _home() / "once").resolve()
    empty(folder)
    settings = _settings(folder, free_port)
    with _appliance(settings, disks, console) as (appliance, visitor):
        cloud = appliance.settings.aws_endpoint_url or ""
        held = Story(visitor, cloud, worker_peak=lambda: _peak_memory(appliance), console=console).tell()
    if held:
        empty(folder)
        folder.rmdir()
        console.print("[bold green]Every step did what it should, and every restored block equals its original.[/]")
    else:
        console.print(f"[bold red]Something differs.[/] The data and {folder / 'demo.log'} are kept.", highlight=False)
    return held


@contextmanager
def _appliance(settings: Settings, disks: Size, console: Console) -> Iterator[tuple[Appliance, Visitor]]:
    """A running appliance on a seeded demo account, and somebody signed in to it. Stopped at the end, come what may."""
    _check_space(settings.data_dir, disks)
    began = time.monotonic()
    with (settings.data_dir / "demo.log").open("a") as log:
        recent: deque[str] = deque(maxlen=_LAST_LINES)
        lock = threading.Lock()

        def sink(name: str, line: str) -> None:
            with lock:
                recent.append(f"{name}: {line}")
                log.write(f"{name}: {line}\n")
                log.flush()

        appliance = Appliance(settings, sink=sink, migrate=migrate, demo=True)
        try:
            with console.status("Starting") as status:
                report = status.update if console.is_terminal else partial(console.print, highlight=False)
                _start(appliance, report, disks)
            visitor = Visitor(appliance.settings.public_url)
            visitor.sign_in("admin", settings.admin_password or "")
            console.print(f"Started in {time.monotonic() - began:.1f} s.", highlight=False)
            with _watched(appliance):
                yield appliance, visitor
        except (HoldfastError, OSError):
            console.print(*recent, sep="\n", style="dim", highlight=False, markup=False)
            raise
        finally:
            with console.status("Stopping"):
                appliance.stop()


@contextmanager
def _watched(appliance: Appliance) -> Iterator[None]:
    """Crashed processes are started again meanwhile. Those end with the watching thread, just before all are stopped."""
    enough = threading.Event()
    watcher = threading.Thread(target=appliance.watch, args=[enough], name="watch")
    watcher.start()
    try:
        yield
    finally:
        enough.set()
        watcher.join()


def _start(appliance: Appliance, report: Report, disks: Size) -> None:
    def furnish(address: str) -> None:
        folder = appliance.settings.data_dir / "aws"
        sample.seed(address, folder, size=disks, progress=lambda what: report(f"Making the sample: {what}"))

    try:
        appliance.start(report, furnish=furnish)
    except ToolMissing as error:
        raise Misconfigured(f"The sample disks cannot be made: {error}") from error


def _settings(folder: Path, choose_port: Callable[[], int]) -> Settings:
    """The environment's settings with the demo's own folder, account, password and port."""
    folder = folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error) from error
    ours = {
        "HOLDFAST_DATA_DIR": str(folder),
        "HOLDFAST_AWS_ENDPOINT_URL": "",  # always our own emulated account
        "HOLDFAST_ADMIN_PASSWORD": kept_password(folder / "admin-password"),
        "HOLDFAST_LOG_FORMAT": "text",
    }
    if not os.environ.get("HOLDFAST_PORT"):
        ours["HOLDFAST_PORT"] = str(choose_port())
    return Settings.from_env({**os.environ, **ours})


def _home() -> Path:
    return Path(os.environ.get("HOLDFAST_DATA_DIR") or _HOME)


def _usable_port() -> int:
    for port in _PORTS:
        if is_free(port):
            return port
    raise Conflict(f"Ports {_PORTS.start} to {_PORTS.stop - 1} are all in use.", remedy="Set HOLDFAST_PORT to a free one.")


def _check_space(folder: Path, disks: Size) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free, needed = shutil.disk_usage(existing).free, _SPACE_NEEDED[disks]
    if free < needed:
        raise Conflict(
            f"The demo needs {needed >> 30} GiB of disk space in {folder}; {free / (1 << 30):.1f} GiB are free.",
            remedy="Free some, choose another folder with --data, or use --disks small.",
        )


def empty(folder: Path) -> None:
    """Remove what an earlier ``once`` left. Refuses a folder that holds anything else. Errors: Conflict."""
    if not folder.exists():
        return
    lock = Lock(folder)
    lock.take("emptying")
    try:
        foreign = {path.name for path in folder.iterdir()} - _OURS
        if foreign:
            raise Conflict(f"{folder} holds other files ({', '.join(sorted(foreign)[:3])}).", remedy="Choose an empty folder.")
        for path in folder.iterdir():
            if path.is_symlink():  # a server's data that had to live elsewhere
                shutil.rmtree(path.resolve(), ignore_errors=True)
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    finally:
        lock.release()


_OURS: Final = frozenset(
    {
        "admin-password",
        "aws",
        "cache",
        "demo.log",
        "initial-password",
        "postgres",
        "redis",
        "repositories",
        "running.lock",
        "secret.key",
    }
)


def _peak_memory(appliance: Appliance) -> int:
    """The highest resident memory of the worker so far, in bytes; 0 while it is being restarted."""
    process = appliance.programs["worker"].process
    try:
        status = Path(f"/proc/{process.pid}/status").read_text() if process is not None else ""
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _welcome(settings: Settings, password: str) -> Panel:
    return Panel(
        f"[bold]{settings.public_url}[/]\n"
        f"Sign in as [bold]admin[/] with [bold]{password}[/]\n\n"
        "What to try:\n"
        f"  1. Policies → {setting.POLICY} → Start, and watch its session live.\n"
        "  2. Protected data → a backup → Restore, as volumes or as an instance.\n"
        "  3. Start the policy again: only changed blocks are read.\n\n"
        f"The AWS account is emulated: {settings.aws_endpoint_url} (any AWS tool, keys demo/demo).\n"
        f"Data and logs: {settings.data_dir}   Stop: Ctrl-C",
        title="Holdfast demo",
        expand=False,
    )
