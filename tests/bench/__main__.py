"""``scripts/bench TOPIC``: measures, prints a table, writes JSON."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tests.bench import protection, repository
from tests.bench.processes import BenchError
from tests.bench.rows import Report

MEMORY_FOLDER = Path("/dev/shm")
ROOM = 14 * 2**30  # bytes: image, repositories and a restored file


def main() -> int:
    options = _options()
    console = Console(width=None if os.isatty(1) else 150)
    report = Report(console)
    try:
        with _folder(options.work, quick=options.quick) as work:
            cores = len(os.sched_getaffinity(0))
            console.print(f"{cores} cores, load {os.getloadavg()[0]:.1f}; work folder {work} ({_kind(work)})", highlight=False)
            if options.topic == "protection":
                protection.run(work, report, quick=options.quick)
            else:
                repository.run(work, report, quick=options.quick, groups=options.rows)
    except BenchError as failure:
        console.print(f"[red]{failure}[/red]")
        return 1
    console.print(report.table())
    if options.quick:
        console.print("Quick: starting processes weighs more here than in the full run; targets are meant for that one.")
    if options.json:
        report.write(options.json)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("topic", choices=["repository", "protection"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write {row: {value, target, unit, ok}}")
    parser.add_argument("--quick", action="store_true", help="little of everything: for a first look while developing")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="keep the image here for the next run")
    parser.add_argument("--rows", type=_groups, default=repository.GROUPS, metavar="GROUP,…", help=", ".join(repository.GROUPS))
    return parser.parse_args()


def _groups(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if not set(chosen) <= set(repository.GROUPS):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(repository.GROUPS)}")
    return chosen


@contextmanager
def _folder(wanted: Path | None, *, quick: bool) -> Iterator[Path]:
    """In memory when there is room, so that a virtual machine's disk is not what gets measured."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.absolute()
        return
    room = ROOM // (8 if quick else 1)
    in_memory = MEMORY_FOLDER.is_dir() and min(shutil.disk_usage(MEMORY_FOLDER).free, _available()) > room
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=MEMORY_FOLDER if in_memory else None) as folder:
        yield Path(folder)


def _available() -> int:
    """Bytes of memory programs can still get."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _kind(folder: Path) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    return max((point, kind) for point, kind in mounts if folder.is_relative_to(point))[1]


if __name__ == "__main__":
    raise SystemExit(main())
