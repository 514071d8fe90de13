"""Random histories of a chain of increments, retention, collection and runs in progress: compaction happens in nearly all of
them, every point restores as it was, and in the end the store holds little more than what is needed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from server.adapters.blobs.faulty import Crash, Faults
from server.domain.errors import NotFound
from server.ports import BLOCK_SIZE
from server.repository import worth
from server.repository.check import check
from server.repository.prune import collect
from server.repository.repository import BackupRun, Control, DiskInput, DiskResult, Repository
from server.repository.runtime import Runtime
from server.repository.worth import DEAD_SHARE
from tests.repository.bed import OWNER, PASSWORD, SMALL, Bed, Content, Source, plain, refs

DAY = timedelta(days=1)
BLOCKS = 300
DISK = DiskInput(disk_id="vol-1", size_bytes=BLOCKS * BLOCK_SIZE)
INDEXES = [*range(8), 254, 255, 256, 257]
CRASH = st.none() | st.tuples(st.integers(1, 14), st.booleans())
compacted = 0


@pytest.fixture(autouse=True, scope="module")
def _compact_what_is_small() -> Iterator[None]:
    """These packs are too small to pay for their requests; move them all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worth, "PAYBACK_MONTHS", 1e9)
        yield
    assert compacted > 20, "hardly anything was compacted: these histories prove nothing"


class Chains(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bed = Bed()
        self.folder = TemporaryDirectory()
        self.reopen()
        self.points: dict[UUID, Content] = {}
        self.hidden: dict[UUID, Content] = {}
        self.run: tuple[BackupRun, DiskResult, Content] | None = None
        self.seed = 0

    def reopen(self) -> None:
        self.bed.blobs.revive()
        runtime = Runtime(cache=Path(self.folder.name))
        self.bed.repo = Repository.open(self.bed.blobs, PASSWORD, clock=self.bed.clock, owner=OWNER, runtime=runtime)

    def fresh(self) -> int:
        """Content that does not compress, so that packs have weight; sometimes what was there before, for the index."""
        self.seed += 1
        return 5 * (self.seed if self.seed % 4 else max(1, self.seed // 2))

    @initialize()
    def first_point(self) -> None:
        content = {index: self.fresh() for index in INDEXES}
        manifest, _ = self.bed.backup(content, blocks=BLOCKS)
        self.points[manifest.id] = content

    # -- backups

    def begun(self, indexes: set[int], *, full: bool) -> tuple[BackupRun, DiskResult, Content]:
        parent = None if full else list(self.points)[-1]
        base = self.points[list(self.points)[-1]]
        changed = {index: self.fresh() for index in indexes}
        content = base | changed
        listed = content if full else changed
        run = self.bed.repo.begin(uuid4(), parent=parent, tuning=SMALL)
        source = Source(listed).read
        result = run.disk(DISK, blocks=refs(listed), read=source, mode="full" if full else "changed", control=Control())
        return run, result, content

    def commit(self, run: BackupRun, result: DiskResult, content: Content) -> None:
        try:
            manifest = run.commit(at=self.bed.clock.now(), resource={}, document={}, disks=[result])
        except NotFound:
            event("run had expired")
            return
        self.points[manifest.id] = content

    @precondition(lambda self: self.points)
    @rule(indexes=st.sets(st.sampled_from(INDEXES), min_size=1, max_size=8), full=st.sampled_from([False, False, True]))
    def back_up(self, indexes: set[int], full: bool) -> None:
        self.commit(*self.begun(indexes, full=full))

    @precondition(lambda self: self.points and self.run is None)
    @rule(indexes=st.sets(st.sampled_from(INDEXES), min_size=1, max_size=8), full=st.booleans())
    def begin(self, indexes: set[int], full: bool) -> None:
        self.run = self.begun(indexes, full=full)

    @precondition(lambda self: self.run is not None)
    @rule(commits=st.sampled_from([True, True, False]))
    def end(self, commits: bool) -> None:
        assert self.run is not None
        if commits:
            self.commit(*self.run)
        else:
            self.run[0].abandon()
        self.run = None

    # -- retention and collection

    @precondition(lambda self: len(self.points) > 1)
    @rule(number=st.integers(1, 3))
    def forget_oldest(self, number: int) -> None:
        for point in list(self.points)[: min(number, len(self.points) - 1)]:
            self.bed.repo.forget(point)
            self.hidden[point] = self.points.pop(point)

    @precondition(lambda self: self.hidden)
    @rule()
    def recall(self) -> None:
        point, content = self.hidden.popitem()
        try:
            self.bed.repo.recall(point)
        except NotFound:
            return
        self.points = {point: content, **self.points}

    @rule(crash=CRASH, days=st.sampled_from([0.5, 2, 2]), beat=st.booleans())
    def collect(self, crash: tuple[int, bool] | None, days: float, beat: bool) -> None:
        self.bed.days(days)
        if beat and self.run is not None:
            try:
                self.run[0].disk(DISK, blocks=[], read=Source({}).read, mode="full", control=Control())
            except NotFound:
                event("run had expired")
        if crash is not None:
            self.bed.blobs.revive(Faults(crash_after=crash[0], crash_applied=crash[1]))
        try:
            self.count(collect(self.bed.repo, min_age=DAY).compacted.packs)
        except Crash:
            self.run = None  # died with the process
            self.reopen()
        self.bed.blobs.revive()
        self.look()

    def count(self, packs: int) -> None:
        global compacted  # over all histories: one alone may have nothing to compact
        compacted += packs
        event(f"compacted: {packs > 0}")

    def look(self) -> None:
        assert {summary.id for summary in self.bed.repo.points()} == set(self.points)
        assert list(check(self.bed.repo, "content")) == []

    def teardown(self) -> None:
        if not self.points:
            return
        for point, content in self.points.items():
            assert self.bed.restored(self.bed.repo.point(point)) == plain(content)
        *old, last = self.points
        content = self.points[last]
        for point in old:
            self.bed.repo.forget(point)
        for _ in range(5):
            self.bed.days(5)
            self.count(collect(self.bed.repo, min_age=DAY).compacted.packs)
        assert self.bed.restored(self.bed.repo.point(last)) == plain(content)
        stored = sum(blob.size for prefix in ("packs/", "moved/") for blob in self.bed.inner.list(prefix))
        needed = len(set(content.values())) * BLOCK_SIZE
        assert stored <= (needed + BLOCK_SIZE) / (1 - DEAD_SHARE), "more than a quarter of what is stored is needed by nobody"
        self.folder.cleanup()


TestChains = Chains.TestCase
TestChains.settings = settings(max_examples=40, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))
