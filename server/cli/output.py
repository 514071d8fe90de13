"""What the commands say: to people as text and tables, to programs as JSON; progress only on a terminal."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.table import Table

from server.domain.errors import HoldfastError
from server.repository.control import Control
from server.repository.control import Progress as Done

out: Final = Console()
err: Final = Console(stderr=True)
_wide: Final = Console(width=1000)  # a table's line stays one line, for grep and for narrow terminals alike
UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def plain(text: str) -> str:
    """``text`` with rich's markup characters taken literally."""
    return text.replace("[", r"\[")


def say(text: str) -> None:
    """A line for people: to stderr, so that stdout holds results only."""
    err.print(plain(text), highlight=False, soft_wrap=True)


def complain(error: HoldfastError) -> None:
    """One sentence and a remedy, never a traceback."""
    err.print(f"[bold red]Error:[/] {plain(error.message)}", highlight=False, soft_wrap=True)
    if error.remedy:
        say(error.remedy)


def as_json(content: Any) -> None:
    """``content`` on stdout: names of our own as in every JSON of ours (``sizeBytes``), times in ISO 8601."""
    sys.stdout.write(json.dumps(_jsonable(content), indent=2) + "\n")


def _jsonable(value: Any) -> Any:
    if is_dataclass(value):
        return {_camel(one.name): _jsonable(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, UUID) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
    """``numbers`` names the columns set to the right."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, justify="right" if column in numbers else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*(plain(cell) for cell in row))
    _wide.print(shown, highlight=False)


def size(count: int) -> str:
    """Bytes for people: ``3.2 GiB``."""
    amount = float(count)
    for unit in UNITS:
        if amount < 1024 or unit == UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError  # the last unit takes everything


def moment(when: datetime | None) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S") if when else ""


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Control]:
    """Hooks that draw a bar of ``total`` plain bytes while the block runs; nothing where stderr is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(plain(what), total=total)

        def advance(done: Done) -> None:
            bar.update(task, completed=done.bytes_done)

        yield Control(progress=advance)


@contextmanager
def working(what: str) -> Iterator[None]:
    """A sign of life for work whose end is not known; nothing where stderr is no terminal."""
    if not err.is_terminal:
        yield
        return
    with err.status(plain(what)):
        yield
