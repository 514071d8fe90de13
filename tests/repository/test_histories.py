"""Random histories of backups, kills, retention and collection against a plain dict: what is visible is always right, nothing
needed is ever deleted, and in the end all garbage goes."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.adapters.blobs.faulty import Crash, Faults
from server.domain.errors import Conflict, NotFound, Unavailable
from server.repository.check import check
from server.repository.prune import collect
from tests.repository.bed import EAGER, Bed, Content, plain

DAY = timedelta(days=1)

INDEXES = st.sampled_from([0, 1, 2, 250, 255, 256, 257, 511, 512, 599])
CRASH = st.none() | st.tuples(st.integers(1, 8), st.booleans())
BLOCKS = 600


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bed = Bed()
        self.disk: Content = {}
        self.points: dict[UUID, Content] = {}  # visible
        self.hidden: dict[UUID, Content] = {}  # forgotten, perhaps already collected
        self.unfinished: dict[UUID, tuple[UUID | None, Content]] = {}  # killed runs, with what they were writing
        self.seeds = 1

    def pick(self, number: int, among: dict[UUID, Content]) -> UUID:
        return list(among)[number % len(among)]

    # -- the world changes

    @rule(indexes=st.lists(INDEXES, min_size=1, max_size=4), zero=st.booleans())
    def guest_writes(self, indexes: list[int], zero: bool) -> None:
        for index in indexes:
            self.seeds += 1
            self.disk = {**self.disk, index: 0 if zero else self.seeds}

    @rule(days=st.sampled_from([0.01, 0.9, 2, 4]))
    def time_passes(self, days: float) -> None:
        self.bed.days(days)

    # -- backups

    def attempt(self, point: UUID, parent: UUID | None, content: Content, crash: tuple[int, bool] | None) -> None:
        base = self.points.get(parent) if parent else None
        changed = None if base is None else [i for i in {**base, **content} if base.get(i) != content.get(i)]
        if crash is not None:
            self.bed.blobs.revive(Faults(crash_after=crash[0], crash_applied=crash[1]))
        try:
            self.bed.backup(content, blocks=BLOCKS, changed=changed, parent=parent, point=point, tuning=EAGER)
        except Crash:
            self.bed.reopen()
            if any(summary.id == point for summary in self.bed.repo.points()):
                self.points[point] = content  # it died after its last byte
                self.unfinished.pop(point, None)
            else:
                self.unfinished[point] = (parent, content)
            return
        self.bed.blobs.revive()
        self.points[point] = content
        self.unfinished.pop(point, None)

    @rule(crash=CRASH)
    def full_backup(self, crash: tuple[int, bool] | None) -> None:
        self.attempt(uuid4(), None, dict(self.disk), crash)

    @precondition(lambda self: self.points)
    @rule(number=st.integers(0, 100), crash=CRASH)
    def incremental_backup(self, number: int, crash: tuple[int, bool] | None) -> None:
        self.attempt(uuid4(), self.pick(number, self.points), dict(self.disk), crash)

    @precondition(lambda self: self.unfinished)
    @rule(crash=CRASH)
    def resume_a_killed_run(self, crash: tuple[int, bool] | None) -> None:
        point, (parent, content) = next(iter(self.unfinished.items()))
        if parent is not None and parent not in self.points:
            with pytest.raises(NotFound):
                self.bed.repo.begin(point, parent=parent)
            del self.unfinished[point]
            return
        self.attempt(point, parent, content, crash)

    @rule(lost=st.sampled_from([0.05, 0.1]))
    def backup_over_a_bad_network(self, lost: float) -> None:
        self.bed.blobs.revive(Faults(lost=lost, refused=0.05))
        point = uuid4()
        try:
            self.bed.backup(dict(self.disk), blocks=BLOCKS, point=point)
        except Unavailable:
            self.bed.reopen()
            if all(summary.id != point for summary in self.bed.repo.points()):
                self.unfinished[point] = (None, dict(self.disk))
                return
        self.bed.blobs.revive()
        self.points[point] = dict(self.disk)

    # -- retention

    @precondition(lambda self: self.points)
    @rule(number=st.integers(0, 100))
    def forget(self, number: int) -> None:
        point = self.pick(number, self.points)
        self.bed.repo.forget(point)
        self.hidden[point] = self.points.pop(point)

    @precondition(lambda self: self.hidden)
    @rule(number=st.integers(0, 100))
    def recall(self, number: int) -> None:
        point = self.pick(number, self.hidden)
        content = self.hidden.pop(point)
        try:
            self.bed.repo.recall(point)
        except NotFound:
            return
        self.points[point] = content

    @rule(crash=CRASH)
    def collect(self, crash: tuple[int, bool] | None) -> None:
        if crash is not None:
            self.bed.blobs.revive(Faults(crash_after=crash[0], crash_applied=crash[1]))
        try:
            collect(self.bed.repo, min_age=DAY)
        except Crash:
            self.bed.reopen()
        self.bed.blobs.revive()

    # -- what must hold

    @invariant()
    def visible_points_are_the_models(self) -> None:
        assert {summary.id for summary in self.bed.repo.points()} == set(self.points)

    @invariant()
    def every_visible_point_is_whole(self) -> None:
        assert list(check(self.bed.repo, "content")) == []

    def teardown(self) -> None:
        for point, content in self.points.items():
            assert self.bed.restored(self.bed.repo.point(point)) == plain(content)
        for point in self.points:
            self.bed.repo.forget(point)
        for _ in range(4):
            self.bed.days(5)
            try:
                collect(self.bed.repo, min_age=DAY)
            except Conflict:
                continue
        assert self.bed.packs() == self.bed.names("moved/") == []
        left = {name.partition("/")[0] for name in self.bed.names()}
        assert left <= {"config", "owner", "keys", "gc"}


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=30, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
