"""A repository whose packs are half dead: what compaction is for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from server.ports import BLOCK_SIZE
from server.repository.check import check
from server.repository.prune import CollectReport, collect
from server.repository.repository import DiskInput, Manifest
from tests.repository.bed import SMALL, Bed, Content, plain

DAY = timedelta(days=1)
WHOLE: Content = {index: 5 * index + 5 for index in range(12)}  # three blocks to a pack
LATER: Content = {index: 5 * index + 1005 for index in range(12) if index % 3}  # two of each three
BOTH: Content = WHOLE | LATER
ORDERED = replace(SMALL, threads=1)  # blocks lie in packs as on the disk
DISK = DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE)


def half_dead(bed: Bed) -> Manifest:
    """A point whose older half lies in packs of which two thirds are dead, and which are old."""
    first, _ = bed.backup(WHOLE, tuning=ORDERED)
    second, _ = bed.backup(BOTH, changed=LATER, parent=first.id)
    bed.repo.forget(first.id)
    bed.days(5)
    return second


def rounds(bed: Bed, number: int = 3) -> list[CollectReport]:
    reports = []
    for _ in range(number):
        reports.append(collect(bed.repo, min_age=DAY))
        bed.days(5)
    return reports


def stored(bed: Bed) -> int:
    return sum(blob.size for prefix in ("packs/", "trees/", "moved/") for blob in bed.inner.list(prefix))


def sound(bed: Bed, contents: dict[UUID, Content]) -> None:
    """Every point is what it was, and nothing else is there."""
    assert {point.id for point in bed.repo.points()} == set(contents)
    assert list(check(bed.repo, "content")) == []
    for point, content in contents.items():
        assert bed.restored(bed.repo.point(point)) == plain(content)
