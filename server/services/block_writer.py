"""Writes a disk out of a repository into an EBS snapshot: several blocks at once, resumable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from server.domain.workload import Place
from server.ports import BLOCK_SIZE, DiskSnapshot
from server.repository.manifest import Manifest
from server.repository.repository import Repository
from server.repository.restore import read_blocks
from server.services.steps import Run
from server.services.wording import size

WRITERS: Final = 8  # parallel PutSnapshotBlock calls; more only queue behind the account's quota
WINDOW: Final = 2 * WRITERS  # blocks in memory on their way out: 8 MiB
CHECKPOINT_SECONDS: Final = 3.0


@dataclass(slots=True)
class _Position:
    """``next``: every block before this index is written; ``written``: how many those are."""

    next: int = 0
    written: int = 0


def write_disk(
    run: Run,
    where: Place,
    repository: Repository,
    manifest: Manifest,
    disk: DiskSnapshot,
    snapshot_id: str,
    keep: Callable[[], None],
) -> int:
    """Write every non-zero block of ``disk``; the number of distinct blocks the snapshot then holds. ``keep`` is called every
    few seconds.

    Resumes from the task's ``checkpoint`` (``{"disk", "next", "written"}``). Errors: Damaged, Cancelled, those of AWS.
    """
    checkpoint = run.task.document.get("checkpoint") or {}
    known = checkpoint if checkpoint.get("disk") == disk.disk_id else {}
    position = _Position(next=known.get("next", 0), written=known.get("written", 0))
    report = _Reporter(run, manifest, disk, keep)
    pending: deque[tuple[int, Future[None]]] = deque()
    pool = ThreadPoolExecutor(max_workers=WRITERS, thread_name_prefix="put-block")
    try:
        for index, data in read_blocks(repository, manifest, disk.disk_id, start_index=position.next):
            run.check()
            if len(pending) >= WINDOW:
                _settle(pending, position)
                report.told(position)
            pending.append((index, pool.submit(run.app.blocks.write, where, snapshot_id, index, data)))
        while pending:
            run.check()
            _settle(pending, position)
            report.told(position)
        report.told(position, last=True)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return position.written


def _settle(pending: deque[tuple[int, Future[None]]], position: _Position) -> None:
    """Wait for the oldest block; blocks are counted in order, so the position never skips one."""
    index, future = pending.popleft()
    future.result()
    position.next = index + 1
    position.written += 1


class _Reporter:
    """Progress, checkpoints and log lines of one disk, as part of the whole task."""

    def __init__(self, run: Run, manifest: Manifest, disk: DiskSnapshot, keep: Callable[[], None]) -> None:
        self._run = run
        self._keep = keep
        self._disk_id = disk.disk_id
        chosen = [record for record in manifest.disks if record.disk_id in run.task.document["disks"]]
        self._total = sum(record.blocks for record in chosen) * BLOCK_SIZE
        self._before = sum(run.task.document["written"].values())
        self._saved = run.app.clock.monotonic()
        self._tenths = int(run.task.document.get("tenths", 0))

    def told(self, position: _Position, *, last: bool = False) -> None:
        done = (self._before + position.written) * BLOCK_SIZE
        self._run.progress(done=done, total=self._total, read=done, stored=done, message="Writing data.")
        tenths = 10 * done // self._total if self._total else 10
        if self._tenths < tenths < 10:
            self._tenths = tenths
            text = f"Restore: Processing {self._run.task.name} - {tenths * 10}%, {size(done)} transferred."
            self._run.log(text, percent=tenths * 10, bytes=done, disk=self._disk_id)
        now = self._run.app.clock.monotonic()
        if last or now - self._saved >= CHECKPOINT_SECONDS:
            self._saved = now
            checkpoint = {"disk": self._disk_id, "next": position.next, "written": position.written}
            self._run.save({**self._run.task.document, "checkpoint": checkpoint, "tenths": self._tenths})
            self._keep()
