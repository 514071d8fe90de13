"""A recall that stands still while collections go on: it brings the point back, or says that it cannot."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.domain.errors import NotFound
from server.ports import Blob
from server.repository.prune import collect
from tests.repository.bed import Bed, Content, plain

CONTENT: Content = {0: 5, 1: 7}
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("collections", [1, 2, 3])
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("asked", ["points/", "forgotten/"])
def test_recall_beside_collections(monkeypatch: pytest.MonkeyPatch, collections: int, before: int, asked: str) -> None:
    """``before`` and ``collections``: collections until the recall, and while it looks at the point."""
    bed = Bed()
    point, _ = bed.backup(CONTENT)
    bed.repo.forget(point.id)
    bed.days(1)
    for _ in range(before):
        collect(bed.repo, min_age=HOUR)
    head = bed.blobs.head

    def slowly(name: str) -> Blob | None:
        found = head(name)
        if name.startswith(asked):
            monkeypatch.setattr(bed.blobs, "head", head)
            for _ in range(collections):
                bed.days(1)
                collect(bed.repo, min_age=HOUR)
        return found

    monkeypatch.setattr(bed.blobs, "head", slowly)
    try:
        bed.repo.recall(point.id)
        recalled = True
    except NotFound:
        recalled = False
    for _ in range(3):
        bed.days(1)
        collect(bed.repo, min_age=HOUR)
    shown = [each.id for each in bed.repo.points()]
    assert shown == ([point.id] if recalled else [])
    if recalled:
        assert bed.restored(bed.repo.point(point.id)) == plain(CONTENT)
